//! A node that returns with a long backlog does not slow what goes to the others: every answer of the returning one is held
//! until the test has seen that further writes have reached the other.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::support::http;
use crate::support::numbered::READ;
use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Follower, Haflux, Numbered, relay_over, status, wait_until};

const LONG: Duration = Duration::from_secs(300);

/// The backlog: so many writes of a megabyte.
const BACKLOG: usize = 50;
const LARGE: usize = 1_000_000;

/// Writes that must reach the other one before the returning one may give its next answer.
const BETWEEN: usize = 3;

/// Holds a stand-in's answers.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Nothing is held.
    open: bool,
    /// So many more answers may be given.
    permits: usize,
    /// So many wait.
    waiting: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit.
    fn pass(&self) {
        let mut state = self.state();
        state.waiting += 1;
        while !state.open && state.permits == 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
        state.permits = state.permits.saturating_sub(1);
    }

    fn permit_one(&self) {
        self.state().permits += 1;
        self.changed.notify_all();
    }

    fn set_open(&self, open: bool) {
        self.state().open = open;
        self.changed.notify_all();
    }

    fn waiting(&self) -> usize {
        self.state().waiting
    }
}

/// Opened at the end whatever happens, or the stand-in's threads would stay.
struct Opened(Arc<Gate>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.set_open(true);
    }
}

/// haflux before both, which have taken something; `keys` are the relay's.
#[track_caller]
fn started(folder: &Path, live: &Follower, returning: &Follower, keys: &str) -> (Haflux, Numbered) {
    let keys = format!("rewind = \"100ms\"\nack = \"any\"\n{keys}");
    let haflux = Haflux::start(
        folder,
        &relay_over(&[&live.server, &returning.server], &keys),
    );
    let mut written = Numbered::new();
    wait_until("both to be known", SOON, || {
        written.write(&haflux, 1).status == 204 && !returning.taken().is_empty()
    });
    (haflux, written)
}

/// Writes, each of which is acknowledged, and is on the live one by then.
#[track_caller]
fn live_writes_pass(haflux: &Haflux, live: &Follower, written: &mut Numbered, count: usize) {
    for _ in 0..count {
        let answer = written.write(haflux, 1);
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(answer.header("x-haflux-applied"), Some("1/2"));
        assert_eq!(live.taken().last().copied(), written.newest_acknowledged());
    }
}

/// The live one is not behind, and is read from.
#[track_caller]
fn live_is_fresh(haflux: &Haflux) {
    let read = http::get(&format!("{}{READ}", haflux.url("reads")));
    assert_eq!(read.status, 200);
    assert!(read.header("x-haflux-stale").is_none());
    wait_until("the live one to be shown without lag", SOON, || {
        status::replica(&haflux.url("front"), 0)["lag"]["records"] == 0
    });
}

#[test]
fn what_a_returning_node_has_to_catch_up_with_does_not_delay_the_others() {
    let (live, returning) = (Follower::start(), Follower::start());
    let gate = Arc::new(Gate::default());
    let _opened = Opened(Arc::clone(&gate));
    let folder = tempfile::tempdir().expect("a folder");
    // No deadline frees what is held: who waited for the returning one would wait longer than the test's client does.
    let (haflux, mut written) = started(folder.path(), &live, &returning, "timeout = \"5m\"");
    returning.set_away(true);
    for _ in 0..BACKLOG {
        assert_eq!(written.write(&haflux, LARGE).status, 204);
    }
    let behind = || status::replica(&haflux.url("front"), 1)["lag"]["bytes"].as_u64();
    wait_until("the backlog to be shown", SOON, || {
        behind() > Some((BACKLOG * LARGE) as u64)
    });

    // It is back, and does not say more than that it lives.
    // But pings: while something of it is in doubt it is pinged every few milliseconds, for a small `rewind`, and pings that nobody waits
    // for any more would take the permits.
    let held = Arc::clone(&gate);
    returning.before_each(move |request: &Request| {
        if request.path() != "/ping" {
            held.pass();
        }
    });
    returning.set_away(false);
    wait_until("the returning one to be asked", SOON, || gate.waiting() > 0);
    live_writes_pass(&haflux, &live, &mut written, 10 * BETWEEN);
    live_is_fresh(&haflux);

    // Each of its answers comes after further writes have reached the other.
    let mut answers = 0;
    wait_until("the backlog to be nearly sent", LONG, || {
        live_writes_pass(&haflux, &live, &mut written, BETWEEN);
        if gate.waiting() > 0 {
            gate.permit_one();
            answers += 1;
        }
        returning
            .taken()
            .iter()
            .filter(|number| **number > 1)
            .count()
            > BACKLOG * 9 / 10
    });
    assert!(answers > BACKLOG / 2, "only {answers} answers were held");
    assert!(
        behind() > Some(0),
        "it has still something to catch up with"
    );

    gate.set_open(true);
    for replica in [&live, &returning] {
        replica.assert_has(&written, LONG);
    }
    assert!(!haflux.log().contains("panicked"));
}

#[test]
fn who_has_read_past_what_waits_for_a_statement_is_not_fresh() {
    let (live, returning) = (Follower::start(), Follower::start());
    let gate = Arc::new(Gate::default());
    let _opened = Opened(Arc::clone(&gate));
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "max_batch = \"64KiB\"\nnear = { bytes = \"1MiB\" }";
    let (haflux, mut written) = started(folder.path(), &live, &returning, keys);
    returning.set_away(true);
    let create = format!("{}/query?q=CREATE+DATABASE+telegraf", haflux.url("front"));
    assert_eq!(http::post(&create, "").status, 200);
    for _ in 0..BACKLOG {
        assert_eq!(written.write(&haflux, 100_000).status, 204);
    }

    // It stands before the statement, and more lies behind that than it can hold.
    let held = Arc::clone(&gate);
    returning.before_each(move |request: &Request| {
        if request.target.contains("CREATE") || request.text().contains("CREATE") {
            held.pass();
        }
    });
    returning.set_away(false);
    wait_until("the statement to be under way", SOON, || gate.waiting() > 0);
    for _ in 0..50 {
        let replica = status::replica(&haflux.url("front"), 1);
        assert_ne!(replica["status"], "fresh", "{replica}");
        std::thread::sleep(Duration::from_millis(10));
    }
    gate.set_open(true);
    returning.assert_has(&written, SOON);
    wait_until("it to be fresh", SOON, || {
        status::replica(&haflux.url("front"), 1)["status"] == "fresh"
    });
}
