//! Whatever a replica does to a write instead of taking it: nothing is lost, no order is broken, and the other replica's clients
//! do not notice. Stand-ins, because a real node cannot be told how to misbehave.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, lock, relay_over, wait_until, write};

/// Writes before, during and after the fault.
const PHASE: usize = 40;

/// The relay's `timeout`; a client that had to wait for the faulty replica would wait at least that long.
const TIMEOUT: Duration = Duration::from_secs(4);

/// A replica that keeps what it has taken, and can be made to do something else instead.
struct Replica {
    server: StandIn,
    taken: Arc<Mutex<Vec<usize>>>,
}

impl Replica {
    fn start() -> Self {
        let replica = Replica {
            server: StandIn::healthy(),
            taken: Arc::default(),
        };
        replica.heal();
        replica
    }

    fn heal(&self) {
        let taken = Arc::clone(&self.taken);
        self.server.behave(move |request| {
            if request.path() == "/write" {
                lock(&taken).extend(values(request));
            }
            Behaviour::no_content()
        });
    }

    /// The values that it has taken, in its order.
    fn taken(&self) -> Vec<usize> {
        lock(&self.taken).clone()
    }

    /// All values of all requests that reached it, in their order, whatever became of them.
    fn received(&self) -> Vec<usize> {
        let writes = self.server.writes();
        writes.iter().flat_map(values).collect()
    }
}

/// The values of the lines `fault v=VALUE 1`: each write overwrites the same point, so the order is all that counts.
fn values(request: &Request) -> Vec<usize> {
    let text = request.text();
    let value = |line: &str| {
        let (_, rest) = line.split_once("v=")?;
        rest.split_once(' ')?.0.parse().ok()
    };
    text.lines().filter_map(value).collect()
}

/// Each value follows the one before it, or is one that came before: then everything after it comes again too. That is what
/// makes a repeated write harmless. The last one is the newest.
#[track_caller]
fn assert_in_order(values: &[usize], newest: usize) {
    let mut expected = 0;
    for (place, value) in values.iter().enumerate() {
        assert!(
            *value <= expected,
            "at {place}, {value} came where at most {expected} may come: {values:?}"
        );
        expected = value + 1;
    }
    assert_eq!(values.last(), Some(&newest), "{values:?}");
}

fn write_value(url: &str, value: usize) -> u16 {
    write(url, "telegraf", format!("fault v={value} 1")).status
}

fn start(folder: &std::path::Path, replicas: [&Replica; 2]) -> Haflux {
    let servers = replicas.map(|replica| &replica.server);
    let keys = format!("timeout = \"{}s\"\nrewind = \"300ms\"", TIMEOUT.as_secs());
    Haflux::start(folder, &relay_over(&servers, &keys))
}

/// One replica is sick for a while, the other one is well.
fn one_is_sick(fault: impl Fn(&Request) -> Behaviour + Send + Sync + 'static) {
    let (sick, well) = (Replica::start(), Replica::start());
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(folder.path(), [&sick, &well]);
    let url = haflux.url("front");
    for value in 0..PHASE {
        assert_eq!(write_value(&url, value), 204, "before the fault");
    }
    for replica in [&sick, &well] {
        wait_until("both to have all", SOON, || {
            replica.taken().last() == Some(&(PHASE - 1))
        });
    }

    sick.server.behave(fault);
    for value in PHASE..2 * PHASE {
        let begun = Instant::now();
        assert_eq!(write_value(&url, value), 204, "during the fault");
        assert!(
            begun.elapsed() < TIMEOUT,
            "write {value} waited for the sick replica: {:?}",
            begun.elapsed()
        );
    }
    wait_until("the well replica to have all", SOON, || {
        well.taken().last() == Some(&(2 * PHASE - 1))
    });
    wait_until("the sick replica to be asked", SOON, || {
        sick.received().iter().any(|value| *value >= PHASE)
            || sick.server.requests_for("/ping").len() > 1
    });

    sick.heal();
    for value in 2 * PHASE..3 * PHASE {
        assert_eq!(write_value(&url, value), 204, "after the fault");
    }
    let newest = 3 * PHASE - 1;
    for replica in [&sick, &well] {
        wait_until("both to have all in the end", SOON, || {
            replica.taken().last() == Some(&newest)
        });
        assert_in_order(&replica.taken(), newest);
        assert_in_order(&replica.received(), newest);
    }
    assert!(
        !haflux.log().contains("the replicas differ"),
        "{}",
        haflux.log()
    );
}

fn on_writes(behaviour: Behaviour) -> impl Fn(&Request) -> Behaviour + Send + Sync + 'static {
    move |request| {
        if request.path() == "/write" {
            behaviour.clone()
        } else {
            Behaviour::no_content()
        }
    }
}

fn error(status: u16, text: &str) -> Behaviour {
    Behaviour::status(status, &format!("{{\"error\":\"{text}\"}}\n"))
}

fn with_header(status: u16, name: &str, value: &str) -> Behaviour {
    Behaviour::Answer {
        status,
        headers: vec![(name.to_owned(), value.to_owned())],
        body: Vec::new(),
    }
}

macro_rules! sick {
    ($($name:ident: $fault:expr;)*) => {
        $(
            #[test]
            fn $name() {
                one_is_sick($fault);
            }
        )*
    };
}

sick! {
    a_replica_that_hangs_on_writes: on_writes(Behaviour::Hang);
    a_replica_that_accepts_and_never_answers: |_| Behaviour::Hang;
    a_replica_that_closes_without_a_word: on_writes(Behaviour::Close);
    a_replica_that_closes_on_everything: |_| Behaviour::Close;
    a_replica_that_closes_inside_its_status_line: on_writes(Behaviour::Raw(b"HTTP/1.1 20".to_vec()));
    a_replica_that_closes_inside_its_head: on_writes(Behaviour::Raw(b"HTTP/1.1 204 No Content\r\nContent-Ty".to_vec()));
    a_replica_that_closes_inside_its_body: on_writes(Behaviour::break_off("{\"error\":\"timeo"));
    a_replica_that_answers_byte_by_byte: on_writes(Behaviour::Drip(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(), Duration::from_millis(10)));
    a_replica_that_answers_slower_than_the_timeout: on_writes(Behaviour::Drip(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Duration::from_millis(400)));
    a_replica_that_only_ever_says_continue: on_writes(Behaviour::Raw(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000)));
    a_replica_whose_head_has_no_end: on_writes(Behaviour::Raw([b"HTTP/1.1 204 No Content\r\nX: ".to_vec(), vec![b'x'; 1 << 20]].concat()));
    a_replica_that_speaks_another_protocol: |_| Behaviour::Raw(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec());
    a_replica_that_answers_nonsense: on_writes(Behaviour::Raw(vec![0; 1000]));
    a_replica_that_answers_200: on_writes(Behaviour::status(200, "{}"));
    a_replica_that_answers_202: on_writes(Behaviour::status(202, ""));
    a_replica_that_redirects: on_writes(with_header(302, "Location", "http://127.0.0.1:9/write"));
    a_replica_that_redirects_for_good: on_writes(with_header(308, "Location", "/write"));
    a_replica_that_answers_429: on_writes(with_header(429, "Retry-After", "1"));
    a_replica_that_answers_503_and_when_to_come_back: on_writes(with_header(503, "Retry-After", "1"));
    a_replica_that_answers_503_to_everything: |_| Behaviour::status(503, "");
    a_replica_that_asks_to_come_back_in_an_hour: on_writes(with_header(503, "Retry-After", "3600"));
    a_replica_behind_a_broken_gateway: on_writes(Behaviour::status(502, "<html>Bad Gateway</html>"));
    a_replica_whose_own_timeout_passed: on_writes(error(500, "timeout"));
    a_replica_whose_cache_is_full: on_writes(error(500, "engine: cache-max-memory-size exceeded: (1073741900/1073741824)"));
    a_replica_whose_engine_is_closed: on_writes(error(500, "engine is closed"));
    a_replica_whose_shard_is_disabled: on_writes(error(500, "shard is disabled"));
    a_replica_whose_disk_is_full: on_writes(error(500, "engine: write /var/lib/influxdb/wal/telegraf: no space left on device"));
    a_replica_that_fails_with_words_nobody_knows: on_writes(error(500, "something new"));
    a_replica_that_fails_without_words: on_writes(Behaviour::status(500, ""));
    a_replica_that_did_not_get_the_whole_body: on_writes(error(400, "unexpected EOF"));
    a_replica_that_is_dropping_the_shard: on_writes(error(400, "partial write: shard 3 is pending deletion dropped=1"));
    a_replica_without_the_database: on_writes(error(404, "database not found: \\\"telegraf\\\""));
    a_replica_without_the_retention_policy: on_writes(error(500, "retention policy not found: autogen"));
    a_replica_that_does_not_know_the_user: on_writes(error(401, "authorization failed"));
    a_replica_on_which_the_user_may_not_write: on_writes(error(403, "\\\"u\\\" user is not authorized to write to database \\\"telegraf\\\""));
    something_else_at_the_replicas_address: on_writes(Behaviour::status(404, "404 page not found\n"));
}

/// Both replicas are sick, one after the other is well again: what was acknowledged meanwhile is on both.
fn both_are_sick(fault: impl Fn(&Request) -> Behaviour + Clone + Send + Sync + 'static) {
    let replicas = [Replica::start(), Replica::start()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = start(folder.path(), [&replicas[0], &replicas[1]]);
    let url = haflux.url("front");
    for value in 0..PHASE {
        assert_eq!(write_value(&url, value), 204, "before the fault");
    }
    for replica in &replicas {
        replica.server.behave(fault.clone());
    }
    let mut written = PHASE;
    for value in PHASE..2 * PHASE {
        // The first ones may wait for replicas that are not known to be sick yet; they are in the journal all the same.
        let status = write_value(&url, value);
        assert!(matches!(status, 204 | 504), "{status} during the fault");
        written += 1;
        if value % 10 == 0 {
            haflux.kill9();
            haflux.restart();
            break;
        }
    }
    replicas[1].heal();
    wait_until("the first one to have all", SOON, || {
        replicas[1].taken().last() == Some(&(written - 1))
    });
    replicas[0].heal();
    for replica in &replicas {
        wait_until("both to have all", SOON, || {
            replica.taken().last() == Some(&(written - 1))
        });
        assert_in_order(&replica.taken(), written - 1);
        assert_in_order(&replica.received(), written - 1);
    }
}

macro_rules! both_sick {
    ($($name:ident: $fault:expr;)*) => {
        $(
            #[test]
            fn $name() {
                both_are_sick($fault);
            }
        )*
    };
}

both_sick! {
    both_replicas_hang: |_| Behaviour::Hang;
    both_replicas_close: |_| Behaviour::Close;
    both_replicas_are_busy: |_| Behaviour::status(503, "");
}
