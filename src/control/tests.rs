//! A real socket, and something that pretends to keep replicas.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::stats::AdminState;
use crate::stats::QueriesView;
use crate::stats::csv::StatQuery;
use crate::stats::units::Count;

const LIMIT: Duration = Duration::from_secs(20);

/// Two replicas that remember what was asked for. `slow` waits for a permit, `broken` panics.
struct Pretended {
    orders: Mutex<Vec<String>>,
    begun: Mutex<mpsc::Sender<()>>,
    permits: Semaphore,
}

impl Pretended {
    fn note(&self, order: &str, relay: Option<&str>, name: &str) {
        let relay = relay.unwrap_or("-");
        self.orders
            .lock()
            .unwrap()
            .push(format!("{order} {relay} {name}"));
    }

    fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }
}

fn report(name: &str) -> ReplicaReport {
    ReplicaReport {
        relay: "relay".to_owned(),
        name: name.to_owned(),
        address: "127.0.0.1:8086".to_owned(),
        state: "lagging".to_owned(),
        since: 1,
        cursor: 2,
        lag_records: 3,
        lag_bytes: 4,
        oldest_pending_ms: 5,
        reason: Some("why\nnot".to_owned()),
    }
}

#[async_trait]
impl Replicas for Pretended {
    async fn status(&self) -> Vec<ReplicaReport> {
        vec![report("one"), report("two")]
    }

    async fn rebuild_begin(&self, relay: Option<&str>, name: &str) -> Result<String, ControlError> {
        match name {
            "slow" => {
                let _ = self.begun.lock().unwrap().send(());
                let _permit = self.permits.acquire().await;
            }
            "broken" => panic!("on purpose"),
            _ => {}
        }
        self.note("rebuild_begin", relay, name);
        Ok(format!("copy the data to {name}"))
    }

    async fn readmit(
        &self,
        relay: Option<&str>,
        name: &str,
        as_it_is: bool,
    ) -> Result<String, ControlError> {
        self.note(if as_it_is { "as it is" } else { "readmit" }, relay, name);
        Err(ControlError::UnknownReplica {
            name: name.to_owned(),
            known: vec!["one".to_owned(), "two".to_owned()],
        })
    }

    async fn skip(
        &self,
        relay: Option<&str>,
        name: &str,
        sequence: u64,
    ) -> Result<String, ControlError> {
        self.note("skip", relay, name);
        Ok(format!("record {sequence} is set aside"))
    }
}

#[async_trait]
impl Configuration for Pretended {
    async fn reload(&self, dry_run: bool) -> Result<String, ControlError> {
        Ok(format!("dry run: {dry_run}"))
    }
}

#[async_trait]
impl Healing for Pretended {
    async fn heal(
        &self,
        relay: Option<&str>,
        order: HealOrder,
    ) -> Result<Box<HealReport>, ControlError> {
        Err(ControlError::NotNow {
            reason: format!("{relay:?} {order:?}"),
        })
    }

    async fn lacking_users(
        &self,
        _: Option<&str>,
        target: &str,
        source: Option<&str>,
    ) -> Result<Vec<String>, ControlError> {
        Ok(vec![format!("{target} {source:?}")])
    }
}

#[async_trait]
impl Servers for Pretended {
    fn servers(&self) -> Vec<ServerReport> {
        Vec::new()
    }

    fn statistics(&self, query: &StatQuery) -> Option<String> {
        let is_known = query.proxy.as_deref() != Some("nowhere");
        is_known.then(|| "# pxname,\nback,\n".to_owned())
    }

    fn snapshot(&self) -> String {
        r#"{"version":"1"}"#.to_owned()
    }

    fn process(&self) -> Vec<(&'static str, String)> {
        vec![("Name", "haflux".to_owned())]
    }

    async fn set_state(
        &self,
        backend: &str,
        server: &str,
        state: AdminState,
    ) -> Result<String, ControlError> {
        self.note(state.word(), Some(backend), server);
        Ok(String::new())
    }

    async fn set_weight(&self, _: &str, name: &str, _: &str) -> Result<String, ControlError> {
        Err(ControlError::UnknownServer {
            backend: "back".to_owned(),
            name: name.to_owned(),
            known: Vec::new(),
        })
    }
}

impl Queries for Pretended {
    fn queries(&self) -> QueriesView {
        QueriesView {
            queries: Vec::new(),
            max_fingerprints: Count(200),
            left_out: Count(0),
            running: Vec::new(),
            all_running: Count(3),
        }
    }

    fn kill(&self, id: u64) -> Result<String, ControlError> {
        self.note("kill", None, &id.to_string());
        Ok(format!("query {id}"))
    }
}

fn bind(folder: &Path) -> Result<ControlSocket, ControlBindError> {
    ControlSocket::bind(of_data_dir(folder))
}

struct Served {
    folder: TempDir,
    runtime: Runtime,
    replicas: Arc<Pretended>,
    begun: mpsc::Receiver<()>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    fn start() -> Served {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (begin, begun) = mpsc::channel();
        let replicas = Arc::new(Pretended {
            orders: Mutex::default(),
            begun: Mutex::new(begin),
            permits: Semaphore::new(0),
        });
        let (stop, stopped) = watch::channel(false);
        let socket = bind(folder.path()).unwrap();
        let orders = Orders {
            replicas: Arc::clone(&replicas) as Arc<dyn Replicas>,
            healing: Arc::clone(&replicas) as Arc<dyn Healing>,
            servers: Arc::clone(&replicas) as Arc<dyn Servers>,
            queries: Arc::clone(&replicas) as Arc<dyn Queries>,
            configuration: Arc::clone(&replicas) as Arc<dyn Configuration>,
        };
        let task = runtime.spawn(socket.serve(orders, stopped));
        Served {
            folder,
            runtime,
            replicas,
            begun,
            stop,
            task,
        }
    }

    fn ask(&self, request: &Request) -> Result<Answer, AskError> {
        ask(self.folder.path(), request, LIMIT)
    }

    fn connect(&self) -> UnixStream {
        let connection = UnixStream::connect(self.folder.path().join(SOCKET_NAME)).unwrap();
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        connection
    }

    /// What is answered to `sent`, and whether the connection ended then.
    fn say(&self, sent: &[u8]) -> (Option<Answer>, bool) {
        let mut connection = self.connect();
        // It may end before it has read everything.
        let _ = connection.write_all(sent);
        let _ = connection.shutdown(std::net::Shutdown::Write);
        let mut from = BufReader::new(connection);
        let mut line = String::new();
        let _ = from.read_line(&mut line);
        let answer = serde_json::from_str(&line).ok();
        let ended = from.read_line(&mut line).map_or(true, |read| read == 0);
        (answer, ended)
    }

    fn stop(self) -> TempDir {
        self.stop.send_replace(true);
        self.runtime
            .block_on(async { tokio::time::timeout(LIMIT, self.task).await })
            .unwrap()
            .unwrap();
        self.folder
    }
}

fn rebuild_begin(name: &str) -> Request {
    Request::RebuildBegin {
        name: name.to_owned(),
        relay: None,
    }
}

#[test]
fn each_request_reaches_the_replicas_and_their_answer_the_client() {
    let served = Served::start();
    assert_eq!(
        served.ask(&Request::Status {}).unwrap(),
        Answer::Replicas(vec![report("one"), report("two")])
    );
    let begin = Request::RebuildBegin {
        name: "one".to_owned(),
        relay: Some("relay".to_owned()),
    };
    assert_eq!(
        served.ask(&begin).unwrap(),
        Answer::Done("copy the data to one".to_owned())
    );
    let readmit = Request::Readmit {
        name: "three".to_owned(),
        relay: None,
        as_it_is: false,
    };
    let Answer::Refused(ControlError::UnknownReplica { name, known }) =
        served.ask(&readmit).unwrap()
    else {
        panic!("it is not known")
    };
    assert_eq!((name.as_str(), known.len()), ("three", 2));
    assert_eq!(
        served.replicas.orders(),
        ["rebuild_begin relay one", "readmit - three"]
    );
    served.stop();
}

#[test]
fn the_socket_is_its_owners_alone_and_gone_after_a_stop() {
    let served = Served::start();
    let path = served.folder.path().join(SOCKET_NAME);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(std::fs::read_dir(served.folder.path()).unwrap().count(), 1);
    let folder = served.stop();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let gone = ask(folder.path(), &Request::Status {}, LIMIT).unwrap_err();
    assert!(
        matches!(
            gone,
            AskError::NotRunning {
                left_behind: false,
                ..
            }
        ),
        "{gone}"
    );
}

#[test]
fn a_socket_that_answers_is_not_taken_over() {
    let served = Served::start();
    let error = bind(served.folder.path()).unwrap_err();
    assert!(matches!(error, ControlBindError::InUse { .. }), "{error}");
    served
        .ask(&Request::Status {})
        .expect("the first still answers");
    served.stop();
}

#[test]
fn one_whose_queue_is_full_is_not_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let path = folder.path().join(SOCKET_NAME);
    socket
        .bind(&socket2::SockAddr::unix(&path).unwrap())
        .unwrap();
    socket.listen(0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let error = bind(folder.path()).unwrap_err();
    assert!(matches!(error, ControlBindError::InUse { .. }), "{error}");
    let begun = Instant::now();
    let limit = Duration::from_millis(50);
    let late = ask(folder.path(), &Request::Status {}, limit).unwrap_err();
    assert!(matches!(late, AskError::Timeout { .. }), "{late}");
    assert!(begun.elapsed() < LIMIT);
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join(SOCKET_NAME)).unwrap());
    let dead = ask(folder.path(), &Request::Status {}, LIMIT).unwrap_err();
    assert!(
        matches!(
            dead,
            AskError::NotRunning {
                left_behind: true,
                ..
            }
        ),
        "{dead}"
    );
    let _socket = bind(folder.path()).unwrap();
    UnixStream::connect(folder.path().join(SOCKET_NAME)).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET_NAME);
    std::fs::write(&path, "precious").unwrap();
    let error = bind(folder.path()).unwrap_err();
    assert!(
        matches!(error, ControlBindError::NotASocket { .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = bind(Path::new("/nonexistent")).unwrap_err();
    assert!(
        matches!(nowhere, ControlBindError::Socket { .. }),
        "{nowhere}"
    );
}

#[test]
fn another_socket_of_that_name_is_not_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET_NAME);
    let ours = bind(folder.path()).unwrap();
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    drop(ours);
    assert!(path.exists());
}

#[test]
fn several_requests_share_a_connection() {
    let served = Served::start();
    let mut connection = served.connect();
    let mut from = BufReader::new(connection.try_clone().unwrap());
    connection
        .write_all(b"{\"command\":\"status\"}\n{\"command\":\"readmit\",\"name\":\"x\"}\n")
        .unwrap();
    let mut lines = String::new();
    from.read_line(&mut lines).unwrap();
    assert!(lines.starts_with("{\"replicas\":[{\"relay\":\"relay\",\"name\":\"one\","));
    lines.clear();
    from.read_line(&mut lines).unwrap();
    assert_eq!(
        lines,
        "{\"refused\":{\"unknown_replica\":{\"name\":\"x\",\"known\":[\"one\",\"two\"]}}}\n"
    );
    served.stop();
}

#[test]
fn what_is_no_request_is_said_to_be_none() {
    let served = Served::start();
    for sent in [
        &b"{}\n"[..],
        b" {\xff\xfe\n",
        b"{\"command\":\"reboot\"}\n",
        b"{\"command\":\"status\",\"force\":true}\n",
        b"{\"command\":\"readmit\"}\n",
        b"{\"command\":\"status\"}",
    ] {
        let (answer, ended) = served.say(sent);
        assert!(
            matches!(answer, Some(Answer::Misunderstood(_))),
            "{}: {answer:?}",
            String::from_utf8_lossy(sent)
        );
        assert!(ended);
    }
    let nested = [
        b"{\"command\":".as_slice(),
        &[b'['; LONGEST_REQUEST / 2],
        b"\n",
    ]
    .concat();
    assert!(matches!(
        served.say(&nested).0,
        Some(Answer::Misunderstood(_))
    ));
    assert_eq!(served.say(b""), (None, true));
    assert_eq!(served.replicas.orders(), [""; 0]);
    served.stop();
}

/// All that is said to these bytes of text, until the connection ends.
fn text(served: &Served, sent: &[u8]) -> String {
    let mut connection = served.connect();
    connection.write_all(sent).unwrap();
    let mut said = String::new();
    connection.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn haproxys_commands_are_answered_on_the_same_socket() {
    let served = Served::start();
    assert_eq!(text(&served, b"show info\n"), "Name: haflux\n\n");
    assert_eq!(
        text(
            &served,
            b"set server b/s state drain;show info;set server b/t weight 5\n"
        ),
        "\nName: haflux\n\nNo such server.\n\n"
    );
    assert_eq!(served.replicas.orders(), ["drain b s"]);
    assert_eq!(
        text(&served, b"show info\nuser;disable server b/s\n"),
        "Name: haflux\n\n\nPermission denied\n\n",
        "what comes together is answered together"
    );
    assert!(text(&served, b"\xff\n").starts_with("Unknown command."));
    assert_eq!(
        text(&served, b"replica skip one 41\n"),
        "record 41 is set aside\n\n"
    );
    served.stop();
}

#[test]
fn each_answer_goes_before_the_next_command_is_carried_out() {
    let served = Served::start();
    let mut connection = served.connect();
    connection
        .write_all(b"show info;replica rebuild-begin slow;show info\n")
        .unwrap();
    let mut first = [0; "Name: haflux\n\n".len()];
    connection.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"Name: haflux\n\n");
    served.begun.recv_timeout(LIMIT).unwrap();
    assert_eq!(served.replicas.orders(), [""; 0], "it is under way");
    served.replicas.permits.add_permits(1);
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "copy the data to slow\n\nName: haflux\n\n");
    served.stop();
}

#[test]
fn what_follows_a_line_that_cannot_be_read_is_no_order() {
    let served = Served::start();
    let long = [
        b"x".repeat(LONGEST_REQUEST + 10),
        b"\ndisable server b/s\n".to_vec(),
    ]
    .concat();
    for sent in [
        &long[..],
        b"{\"command\":\"x\"}\ndisable server b/s\n",
        b"quit\ndisable server b/s\n",
    ] {
        let mut connection = served.connect();
        let _ = connection.write_all(sent);
        // The end may come before all of it was read, which is an error here.
        let _ = connection.read_to_end(&mut Vec::new());
        assert_eq!(served.replicas.orders(), [""; 0]);
    }
    served.stop();
}

#[test]
fn nothing_of_a_line_overtakes_an_order_that_is_late() {
    let served = Served::start();
    let said = text(&served, b"replica rebuild-begin slow;replica skip one 41\n");
    assert!(said.contains("goes on"), "{said}");
    assert_eq!(served.replicas.orders(), [""; 0]);
    served.replicas.permits.add_permits(1);
    served.stop();
}

#[test]
fn a_person_is_prompted_until_the_end() {
    let served = Served::start();
    let mut connection = served.connect();
    let mut heard = |sent: &str, expected: &str| {
        connection.write_all(sent.as_bytes()).unwrap();
        let mut said = vec![0; expected.len()];
        connection.read_exact(&mut said).unwrap();
        assert_eq!(String::from_utf8_lossy(&said), expected);
    };
    heard("prompt\n", "\n> ");
    heard("show info\n", "Name: haflux\n\n> ");
    heard("set timeout cli 1\n", "\n> ");
    connection.write_all(b"quit\n").unwrap();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    served.stop();
}

#[test]
fn a_request_has_a_longest_length() {
    let served = Served::start();
    for (length, understood) in [(LONGEST_REQUEST, true), (LONGEST_REQUEST + 1, false)] {
        let mut line = b"{\"command\":\"status\"}".to_vec();
        line.resize(length, b' ');
        line.push(b'\n');
        let mut connection = served.connect();
        let _ = connection.write_all(&line);
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        assert_eq!(answer.starts_with("{\"replicas\""), understood, "{answer}");
    }
    served.stop();
}

#[test]
fn an_order_that_takes_longer_than_the_deadline_is_carried_out_all_the_same() {
    let served = Served::start();
    let answer = served.ask(&rebuild_begin("slow")).unwrap();
    assert!(
        matches!(&answer, Answer::Refused(ControlError::Failed { reason }) if reason.contains("goes on")),
        "{answer:?}"
    );
    served.begun.recv_timeout(LIMIT).unwrap();
    assert_eq!(served.replicas.orders(), [""; 0]);
    served.replicas.permits.add_permits(1);
    let begun = Instant::now();
    while served.replicas.orders() != ["rebuild_begin - slow"] {
        assert!(begun.elapsed() < LIMIT, "it was dropped half-way");
        std::thread::sleep(Duration::from_millis(5));
    }
    served.stop();
}

#[test]
fn a_stop_waits_for_the_order_under_way() {
    let served = Served::start();
    let mut connection = served.connect();
    connection
        .write_all(b"{\"command\":\"rebuild_begin\",\"name\":\"slow\"}\n")
        .unwrap();
    served.begun.recv_timeout(LIMIT).unwrap();
    let path = served.folder.path().join(SOCKET_NAME);
    served.stop.send_replace(true);
    let begun = Instant::now();
    while path.exists() {
        assert!(begun.elapsed() < LIMIT, "the socket stays");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!served.task.is_finished());
    served.replicas.permits.add_permits(1);
    served.stop();
    let mut answer = String::new();
    BufReader::new(connection).read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"done\":\"copy the data to slow\"}\n");
}

#[test]
fn a_panic_behind_the_trait_is_an_answer() {
    let served = Served::start();
    let answer = served.ask(&rebuild_begin("broken")).unwrap();
    assert!(
        matches!(answer, Answer::Refused(ControlError::Failed { .. })),
        "{answer:?}"
    );
    served
        .ask(&Request::Status {})
        .expect("it still answers others");
    served.stop();
}

#[test]
fn more_connections_wait_for_a_place_and_silence_gives_it_up() {
    let served = Served::start();
    let begun = Instant::now();
    let silent: Vec<UnixStream> = (0..MOST_CONNECTIONS).map(|_| served.connect()).collect();
    // They were accepted in order, so whoever comes now comes after them all.
    let early = ask(
        served.folder.path(),
        &Request::Status {},
        Duration::from_millis(300),
    );
    assert!(matches!(early, Err(AskError::Timeout { .. })), "{early:?}");
    served.ask(&Request::Status {}).unwrap();
    assert!(begun.elapsed() >= DEADLINE, "{:?}", begun.elapsed());
    drop(silent);
    served.stop();
}

#[test]
fn a_stop_does_not_wait_for_silent_connections() {
    let served = Served::start();
    let _silent = served.connect();
    served.ask(&Request::Status {}).unwrap();
    let begun = Instant::now();
    served.stop();
    assert!(begun.elapsed() < DEADLINE);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn lines_come_out_as_they_went_in(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("no end", |byte| *byte != b'\n'), 0..40), 0..8),
        buffer in 1_usize..16,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sent: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
        let mut from = tokio::io::BufReader::with_capacity(buffer, sent.as_slice());
        for line in &lines {
            let read = runtime.block_on(line::read(&mut from, 32));
            if line.len() > 32 {
                let too_long = matches!(read, Err(line::LineError::TooLong { .. }));
                prop_assert!(too_long);
                return Ok(());
            }
            let read = read.unwrap();
            prop_assert_eq!(read.as_ref(), Some(line));
        }
        prop_assert_eq!(runtime.block_on(line::read(&mut from, 32)).unwrap(), None);
    }

    #[test]
    fn nothing_that_is_parsed_makes_it_panic(text in "[{}\\[\\]:,\"a-z_]{0,60}") {
        let _ = serde_json::from_str::<Request>(&text);
        let _ = serde_json::from_str::<Answer>(&text);
    }
}
