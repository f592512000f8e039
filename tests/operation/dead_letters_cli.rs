//! `haflux dead-letters`, on letters as a relay keeps them, against stand-ins and a real node.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Influxd, StandIn, wait_until};
use haflux::influx::{Credentials, Ending, Precision};
use haflux::relay::dead_letters::{DeadLetter, DeadLetters, Limits};
use haflux::relay::record::change::Change;
use haflux::relay::record::write::{Destination, Form, WriteRecord};

const LIMITS: Limits = Limits {
    letters: 100,
    bytes: 1 << 20,
};

/// A configuration and the letters of its relay.
struct Place {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Place {
    fn new(address1: &str, address2: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("haflux.toml");
        let data = folder.path().join("data");
        let text = format!(
            "[server]\ndata_dir = {data:?}\n\
             [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:1\"\ndefault_backend = \"influx_back\"\n\
             [[relay]]\nname = \"influx_relay\"\nreplicate_to = \"influx_back\"\ntimeout = \"11s\"\n\
             [[backend]]\nname = \"influx_back\"\nservers = [\
             {{ name = \"influx1\", address = {address1:?} }}, {{ name = \"influx2\", address = {address2:?} }}]\n"
        );
        std::fs::write(&config, text).unwrap();
        Place { folder, config }
    }

    fn letters(&self) -> PathBuf {
        self.folder.path().join("data/influx_relay/dead-letters")
    }

    fn keep(&self, sequence: u64, replica: &str, body: &str) {
        let letter = DeadLetter {
            replica: replica.to_owned(),
            sequence,
            record: Change::Write(WriteRecord {
                destination: Destination {
                    form: Form::LineProtocol,
                    precision: Precision::Seconds,
                    consistency: None,
                    database: "telegraf".to_owned(),
                    retention_policy: String::new(),
                    credentials: Credentials::Parameters {
                        user: b"collector".to_vec(),
                        password: b"hunter2".to_vec(),
                    },
                },
                lines: u32::try_from(body.lines().count()).unwrap(),
                ending: Ending::Closed,
                body: body.to_owned().into(),
            }),
            status: 400,
            reason: "partial write: field type conflict\nsecond line \u{1b}[2J".to_owned(),
            time: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let store = DeadLetters::open(&self.letters(), LIMITS).unwrap();
        runtime.block_on(store.keep(letter)).unwrap();
    }

    fn count(&self) -> usize {
        DeadLetters::open(&self.letters(), LIMITS).unwrap().count()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let config = self.config.to_str().unwrap();
        let mut all = vec!["dead-letters", arguments[0], "--config", config];
        all.extend(&arguments[1..]);
        Said::of(&Haflux::command(&all))
    }
}

/// What a command said, which is never a secret.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Said {
        let said = Said {
            status: output.status.code(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        };
        for secret in ["hunter2", "collector", "\u{1b}"] {
            assert!(
                !said.out.contains(secret) && !said.err.contains(secret),
                "{said:?}"
            );
        }
        said
    }

    #[track_caller]
    fn expect(self, status: i32) -> Said {
        assert_eq!(self.status, Some(status), "{self:?}");
        self
    }
}

#[test]
fn letters_are_listed_and_shown_without_secrets() {
    let place = Place::new("127.0.0.1:1", "127.0.0.1:2");
    let nothing = place.run(&["list"]);
    assert_eq!(
        nothing.status,
        Some(1),
        "no folder of the relay yet: {nothing:?}"
    );
    place.keep(41, "influx2", "cpu v=1 1\ncpu v=2 2\tx\u{7}");
    place.keep(7, "influx1", "cpu v=3 3");
    let list = place.run(&["list"]).expect(0).out;
    let rows: Vec<&str> = list.lines().collect();
    assert!(rows[0].starts_with("ID          REPLICA  TIME"), "{list}");
    assert_eq!(
        rows[1..],
        [
            "7-influx1   influx1  2023-11-14T22:13:20Z  telegraf  1      400     partial write: field type conflict",
            "41-influx2  influx2  2023-11-14T22:13:20Z  telegraf  2      400     partial write: field type conflict",
        ]
    );
    let list = place.run(&["list", "--replica", "influx2"]).expect(0).out;
    assert!(list.contains("41-influx2") && !list.contains("7-influx1"));
    let shown = place.run(&["show", "41-influx2"]).expect(0).out;
    for line in [
        "  refused by   influx2, for good at 2023-11-14T22:13:20Z, with status 400\n",
        "  reason       partial write: field type conflict\\nsecond line \\u{1b}[2J\n",
        "  into         database telegraf, the default retention policy\n",
        "  credentials  a user and a password, not shown\n",
        "\n\ncpu v=1 1\ncpu v=2 2\tx\\u{7}\n",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    let body = place.run(&["show", "41-influx2", "--body"]).expect(0).out;
    assert_eq!(body, "cpu v=1 1\ncpu v=2 2\tx\u{7}");
    place.run(&["show", "8-influx1"]).expect(1);
}

#[test]
fn a_body_that_a_full_disk_does_not_take_is_an_error() {
    let place = Place::new("127.0.0.1:1", "127.0.0.1:2");
    place.keep(7, "influx1", "cpu v=3 3");
    let config = place.config.to_str().unwrap();
    for more in [
        &["list"][..],
        &["show", "7-influx1"],
        &["show", "7-influx1", "--body"],
    ] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_haflux"))
            .arg("dead-letters")
            .args(more)
            .args(["--config", config])
            .stdout(full)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(1), "{more:?}: {said}");
        assert!(said.contains("No space left"), "{more:?}: {said}");
    }
}

#[test]
fn a_data_dir_that_cannot_be_used_is_no_error_of_the_configuration() {
    let place = Place::new("127.0.0.1:1", "127.0.0.1:2");
    std::fs::write(place.folder.path().join("data"), b"in the way").unwrap();
    let said = place.run(&["list"]).expect(1);
    assert!(said.err.starts_with("cannot read "), "{said:?}");
}

#[test]
fn nothing_is_sent_or_removed_before_the_warning_is_answered() {
    let node = StandIn::healthy();
    let place = Place::new("127.0.0.1:1", &node.address());
    place.keep(41, "influx2", "cpu v=1 1");
    for (command, words) in [
        ("replay", "OLDER value back over the newer one"),
        ("drop", "stay without these records"),
    ] {
        let said = place.run(&[command, "all"]).expect(2);
        assert!(
            said.err.contains(words) && said.err.contains("41-influx2"),
            "{said:?}"
        );
        assert!(said.err.contains("--yes"), "{said:?}");
    }
    assert_eq!((node.requests().len(), place.count()), (0, 1));
}

#[test]
fn a_replay_goes_to_the_replica_that_refused_as_the_client_sent_it() {
    let (other, node) = (StandIn::healthy(), StandIn::healthy());
    let place = Place::new(&other.address(), &node.address());
    place.keep(41, "influx2", "cpu v=1 1");
    place.keep(40, "influx2", "cpu v=0 1");
    place.keep(39, "influx1", "cpu v=9 1");
    let said = place
        .run(&["replay", "all", "--replica", "influx2", "--yes"])
        .expect(0);
    assert!(said.err.contains("WARNING"), "{said:?}");
    let sent = node.requests();
    let bodies: Vec<String> = sent.iter().map(|request| request.text()).collect();
    assert_eq!(bodies, ["cpu v=0 1", "cpu v=1 1"], "oldest first");
    assert_eq!(
        sent[0].target,
        "/write?db=telegraf&precision=s&u=collector&p=hunter2"
    );
    assert_eq!((other.requests().len(), place.count()), (0, 1));
}

#[test]
fn a_replay_goes_in_pieces_where_the_node_takes_no_more() {
    let node = StandIn::start(|request| match request.text() {
        text if text.len() > 20 => {
            Behaviour::status(413, r#"{"error":"Request Entity Too Large"}"#)
        }
        text if text.contains("old") => Behaviour::status(
            400,
            r#"{"error":"partial write: points beyond retention policy dropped=1"}"#,
        ),
        _ => Behaviour::no_content(),
    });
    let place = Place::new("127.0.0.1:1", &node.address());
    place.keep(
        41,
        "influx2",
        "cpu v=1 1\ncpu v=2 1\nold v=3 1\ncpu v=4 1\nold v=5 1",
    );
    let said = place.run(&["replay", "41-influx2", "--yes"]).expect(0);
    assert!(
        said.err.contains("2 points") || said.out.contains("2 points"),
        "{said:?}"
    );
    let taken: Vec<String> = node
        .requests()
        .iter()
        .map(|request| request.text())
        .filter(|text| text.len() <= 20)
        .collect();
    assert_eq!(
        taken.join("\n"),
        "cpu v=1 1\ncpu v=2 1\nold v=3 1\ncpu v=4 1\nold v=5 1"
    );
    place.keep(
        42,
        "influx2",
        "cpu v=1 1\nfar_too_long_for_the_node v=2 1\ncpu v=3 1",
    );
    let said = place.run(&["replay", "42-influx2", "--yes"]).expect(1);
    assert!(said.err.contains("status 413"), "{said:?}");
    assert_eq!(place.count(), 1);
}

#[test]
fn what_is_refused_again_or_unanswered_stays() {
    let node = StandIn::start(|_| Behaviour::status(401, r#"{"error":"authorization failed"}"#));
    let place = Place::new("127.0.0.1:1", &node.address());
    place.keep(41, "influx2", "cpu v=1 1");
    place.keep(42, "influx1", "cpu v=1 1");
    place.keep(43, "gone", "cpu v=1 1");
    let said = place.run(&["replay", "all", "--yes"]).expect(1);
    for words in [
        "41-influx2: refused again with status 401: authorization failed; the letter stays",
        "42-influx1: cannot connect to 127.0.0.1:1",
        "43-gone: the pool has no server gone any more",
    ] {
        assert!(said.err.contains(words), "{words:?} is not in\n{said:?}");
    }
    for behaviour in [
        Behaviour::Close,
        Behaviour::status(200, ""),
        Behaviour::status(503, ""),
        Behaviour::status(500, r#"{"error":"timeout"}"#),
    ] {
        let shown = format!("{behaviour:?}");
        node.behave(move |_| behaviour.clone());
        let said = place.run(&["replay", "41-influx2", "--yes"]);
        assert_eq!(said.status, Some(1), "{shown}: {said:?}");
    }
    assert_eq!(place.count(), 3);
}

#[test]
fn two_commands_do_not_replay_the_same_letter() {
    let node = StandIn::start(|_| {
        Behaviour::After(Duration::from_secs(2), Box::new(Behaviour::no_content()))
    });
    let place = Place::new("127.0.0.1:1", &node.address());
    place.keep(41, "influx2", "cpu v=1 1");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| place.run(&["replay", "all", "--yes"]));
        wait_until("the first replay to be under way", SOON, || {
            !node.requests().is_empty()
        });
        let second = place.run(&["replay", "all", "--yes"]).expect(1);
        assert!(
            second.err.contains("another process is working on it"),
            "{second:?}"
        );
        place.run(&["drop", "all", "--yes"]).expect(1);
        first.join().unwrap().expect(0);
    });
    assert_eq!((node.requests().len(), place.count()), (1, 0));
}

#[test]
fn dropping_removes_what_was_named_and_damaged_letters_too() {
    let place = Place::new("127.0.0.1:1", "127.0.0.1:2");
    for sequence in 1..=4 {
        place.keep(sequence, "influx2", "cpu v=1 1");
    }
    let file = place.letters().join("00000000000000000002-influx2.letter");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(place.count(), 4);
    let list = place.run(&["list"]).expect(0).out;
    assert!(list.contains("damaged, set aside"), "{list}");
    let said = place.run(&["replay", "2-influx2", "--yes"]).expect(1);
    assert!(said.err.contains("can only be dropped"), "{said:?}");
    place
        .run(&["drop", "1-influx2", "2-influx2", "--yes"])
        .expect(0);
    let said = place
        .run(&["drop", "1-influx2", "3-influx2", "--yes"])
        .expect(1);
    assert!(
        said.err.contains("1-influx2: there is no such letter"),
        "{said:?}"
    );
    assert_eq!(place.count(), 1);
}

#[test]
fn what_is_asked_for_wrongly_is_exit_status_2() {
    let place = Place::new("127.0.0.1:1", "127.0.0.1:2");
    place.keep(1, "influx2", "cpu v=1 1");
    for arguments in [
        &["replay"][..],
        &["drop", "one", "--yes"],
        &["drop", "all", "1-influx2", "--yes"],
        &["drop", "1-influx2", "--replica", "influx2", "--yes"],
        &["list", "--relay", "other"],
    ] {
        assert_eq!(place.run(arguments).status, Some(2), "{arguments:?}");
    }
    let text = std::fs::read_to_string(&place.config).unwrap();
    let two = "[[relay]]\nname = \"second\"\nreplicate_to = \"back2\"\n[[backend]]\nname = \"back2\"\nservers = [{ name = \"a\", address = \"127.0.0.1:3\" }]\n";
    std::fs::write(&place.config, text + two).unwrap();
    let said = place.run(&["list"]).expect(2);
    assert!(said.err.contains("influx_relay, second"), "{said:?}");
    place.run(&["list", "--relay", "influx_relay"]).expect(0);
    assert_eq!(place.count(), 1);
}

fn points(node: &Influxd) -> u64 {
    node.count("telegraf", "cpu", "v")
}

#[test]
fn a_real_node_refuses_as_long_as_the_cause_is_there_and_then_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Influxd::start(Path::new(folder.path()));
    node.create_database("telegraf");
    assert_eq!(
        node.write("telegraf", "cpu v=\"text\" 1000000000").status,
        204
    );
    let place = Place::new("127.0.0.1:1", &node.address());
    place.keep(41, "influx2", "cpu v=1 1\ncpu v=2 2");
    let said = place.run(&["replay", "41-influx2", "--yes"]).expect(1);
    assert!(
        said.err
            .contains("refused again with status 400: partial write: field type conflict"),
        "{said:?}"
    );
    assert_eq!(place.count(), 1);
    node.query("telegraf", "DROP MEASUREMENT cpu");
    let said = place.run(&["replay", "41-influx2", "--yes"]).expect(0);
    assert_eq!(said.out, "41-influx2: applied, the letter is removed\n");
    assert_eq!((points(&node), place.count()), (2, 0));
}
