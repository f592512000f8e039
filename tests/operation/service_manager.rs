//! What a service manager hears of haflux, over a real datagram socket as systemd has one: ready when it serves, alive while its
//! runtime is, stopping before it stops; and that one which does not listen costs nothing.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::http;
use crate::support::relay::relay_over_addresses;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Influxd, Options, StandIn, relay_over, wait_for, wait_until,
};

/// What the watchdog allows: three beats within it.
const WATCHDOG: Duration = Duration::from_millis(300);

/// The other end of `NOTIFY_SOCKET`. A thread reads it all the time, as systemd does: the kernel keeps few messages.
struct Manager {
    messages: Receiver<String>,
    environment: Vec<(String, String)>,
}

impl Manager {
    fn start(folder: &Path) -> Manager {
        let (socket, environment) = socket(folder, WATCHDOG);
        let (heard, messages) = channel();
        // Ends when nobody listens any more; at the latest with the process of the tests.
        std::thread::spawn(move || while heard.send(read(&socket)).is_ok() {});
        Manager {
            messages,
            environment,
        }
    }

    /// The next message, if one comes in time.
    fn hears(&self, limit: Duration) -> Option<String> {
        self.messages.recv_timeout(limit).ok()
    }

    /// The next message that has this line, or one that begins so.
    #[track_caller]
    fn hears_of(&self, beginning: &str) -> String {
        wait_for(beginning, SOON, || {
            let message = self.hears(SOON)?;
            let found = message.lines().any(|line| line.starts_with(beginning));
            found.then_some(message)
        })
    }
}

/// A socket, and the variables that lead to it.
fn socket(folder: &Path, watchdog: Duration) -> (UnixDatagram, Vec<(String, String)>) {
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let environment = vec![
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), watchdog.as_micros().to_string()),
    ];
    (socket, environment)
}

fn read(socket: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).expect("a message");
    String::from_utf8(message.get(..length).unwrap_or_default().to_vec()).expect("text")
}

/// A relay over one server, with one thread.
fn start(folder: &Path, server: &StandIn, environment: &[(String, String)]) -> Haflux {
    let configuration = relay_over(&[server], "").replace("[server]", "[server]\nthreads = 1");
    Haflux::start_in(folder, &configuration, environment)
}

#[test]
fn ready_comes_first_and_once_and_then_beats() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::start(folder.path());
    let server = StandIn::start(|_| Behaviour::no_content());
    let mut haflux = start(folder.path(), &server, &manager.environment);
    let first = manager.hears(SOON).expect("a message");
    assert!(
        first.starts_with("READY=1\nWATCHDOG=1\nSTATUS=serves"),
        "{first}"
    );
    let begun = Instant::now();
    for _ in 0..9 {
        let next = manager.hears(SOON).expect("a beat");
        assert!(next.starts_with("WATCHDOG=1\n"), "{next}");
    }
    // No sooner than due, or it would be idle work; the first of them may have waited in the socket.
    assert!(begun.elapsed() > WATCHDOG, "{:?}", begun.elapsed());
    haflux.terminate();
}

#[test]
fn one_that_cannot_serve_is_never_ready() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::start(folder.path());
    let server = StandIn::start(|_| Behaviour::no_content());
    let haflux = start(folder.path(), &server, &[]);
    // The first has the journal and the ports.
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_haflux"))
        .args(["run", "--config"])
        .arg(haflux.file())
        .envs(manager.environment.iter().cloned())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_eq!(manager.hears(Duration::from_millis(100)), None);
}

#[test]
fn a_process_that_stands_still_sends_no_beat() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::start(folder.path());
    let server = StandIn::start(|_| Behaviour::no_content());
    let mut haflux = start(folder.path(), &server, &manager.environment);
    manager.hears_of("READY=1");
    haflux.pause();
    while manager.hears(Duration::from_millis(100)).is_some() {}
    assert_eq!(manager.hears(2 * WATCHDOG), None);
    haflux.resume();
    manager.hears_of("WATCHDOG=1");
}

#[test]
fn a_stop_is_announced_and_watched_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::start(folder.path());
    let server = StandIn::start(|request| match request.path() {
        "/write" => Behaviour::After(4 * WATCHDOG, Box::new(Behaviour::no_content())),
        _ => Behaviour::no_content(),
    });
    let mut haflux = start(folder.path(), &server, &manager.environment);
    manager.hears_of("READY=1");
    let url = format!("{}/write?db=db", haflux.url("front"));
    let writing = std::thread::spawn(move || http::post(&url, b"m v=1 1").status);
    wait_until("the write to be under way", SOON, || {
        !server.writes().is_empty()
    });
    haflux.ask_to_end();
    let stopping = manager.hears_of("STOPPING=1");
    assert!(stopping.contains("STATUS=stops"), "{stopping}");
    // The write is still being answered.
    for _ in 0..3 {
        let beat = manager.hears_of("WATCHDOG=1");
        assert!(!beat.contains("STATUS="), "{beat}");
    }
    assert_eq!(writing.join().unwrap(), 204);
    assert!(haflux.wait().success());
}

#[test]
fn the_status_follows_the_replicas() {
    let folder = tempfile::tempdir().unwrap();
    let manager = Manager::start(folder.path());
    let mut node = Influxd::start_with(&folder.path().join("node0"), Options::default());
    let configuration = relay_over_addresses(&[node.address()], "");
    let _haflux = Haflux::start_in(folder.path(), &configuration, &manager.environment);
    manager.hears_of("STATUS=serves; every replica is fresh");
    node.kill9();
    manager.hears_of("STATUS=serves; relay/node0 is DOWN");
    node.restart();
    manager.hears_of("STATUS=serves; every replica is fresh");
}

#[test]
fn a_manager_that_does_not_read_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let beat = Duration::from_millis(3);
    let (socket, environment) = socket(folder.path(), 3 * beat);
    let server = StandIn::start(|_| Behaviour::no_content());
    let haflux = start(folder.path(), &server, &environment);
    // More beats are due than the kernel keeps.
    let kept = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    let kept: u32 = kept.trim().parse().unwrap();
    std::thread::sleep(beat * (kept + 100));
    // The only thread of the runtime answers all the same.
    let page = http::get(&format!("{}/haproxy?stats", haflux.url("front")));
    assert_eq!(page.status, 200);
    assert!(read(&socket).starts_with("READY=1\n"));
    for _ in 0..2 * kept {
        assert!(read(&socket).contains("WATCHDOG=1\n"));
    }
}
