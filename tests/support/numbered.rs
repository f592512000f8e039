//! Numbered writes: what was answered to each of them, and which of them a replica took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::haflux::Haflux;
use super::http::{self, Answer};
use super::stand_in::{Behaviour, Request, StandIn};
use super::wait::wait_until;

/// A read that each [`Follower`] answers.
pub const READ: &str = "/query?db=telegraf&q=SELECT+v+FROM+numbered";

/// Writes numbers from 1 on, each with the next one, and keeps what was said of them.
pub struct Numbered {
    newest: usize,
    /// Those that were answered 204.
    pub acknowledged: Vec<usize>,
    /// Those that were answered 504: nobody was promised anything, and they may come.
    pub in_doubt: Vec<usize>,
}

impl Numbered {
    /// None yet.
    pub fn new() -> Self {
        Numbered {
            newest: 0,
            acknowledged: Vec::new(),
            in_doubt: Vec::new(),
        }
    }

    /// Goes on with the numbers of others, and knows of none of them.
    pub fn starting_after(others: &Numbered) -> Self {
        Numbered {
            newest: others.newest,
            ..Numbered::new()
        }
    }

    /// Writes the next number, in a line with so many bytes beside it. Only 204, 503 and 504 may be answered.
    #[track_caller]
    pub fn write(&mut self, haflux: &Haflux, padding: usize) -> Answer {
        self.newest += 1;
        let line = format!("numbered p=\"{}\" {}", "x".repeat(padding), self.newest);
        let answer = http::post(&format!("{}/write?db=telegraf", haflux.url("front")), line);
        match answer.status {
            204 => self.acknowledged.push(self.newest),
            504 => self.in_doubt.push(self.newest),
            503 => {}
            status => panic!("{status}: {}", answer.text()),
        }
        answer
    }

    /// The newest one that was acknowledged.
    pub fn newest_acknowledged(&self) -> Option<usize> {
        self.acknowledged.last().copied()
    }
}

/// A stand-in that takes writes, answers [`READ`] and carries out `CREATE`, and remembers numbers only, however large the lines.
pub struct Follower {
    /// The server.
    pub server: StandIn,
    taken: Arc<Mutex<Vec<usize>>>,
    away: Arc<AtomicBool>,
}

impl Follower {
    /// Starts it.
    pub fn start() -> Self {
        let follower = Follower {
            server: StandIn::healthy(),
            taken: Arc::default(),
            away: Arc::default(),
        };
        follower.server.keep_no_requests();
        follower.before_each(|_| {});
        follower
    }

    /// From now on this is done before a request is taken and answered; it may take its time.
    pub fn before_each(&self, first: impl Fn(&Request) + Send + Sync + 'static) {
        let (taken, away) = (Arc::clone(&self.taken), Arc::clone(&self.away));
        self.server.behave(move |request| {
            if away.load(Ordering::SeqCst) {
                return Behaviour::Close;
            }
            first(request);
            taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(numbers(request));
            if request.path() == "/query" && is_answered(request) {
                return Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n");
            }
            Behaviour::no_content()
        });
    }

    /// From now on it closes every connection without a word, or does so no more. Its port stays its own: one that is given
    /// back may be another test's before it returns.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// The numbers that it has taken, in its order.
    pub fn taken(&self) -> Vec<usize> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.clone()
    }

    /// Forgets what it has taken.
    pub fn forget(&self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.clear();
    }

    /// Waits for the newest acknowledged number; then checks that all of them came, in order, what came twice with everything
    /// after it, and nothing that was turned away.
    #[track_caller]
    pub fn assert_has(&self, written: &Numbered, limit: std::time::Duration) {
        wait_until("a replica to have all", limit, || {
            let taken = self.taken();
            let known = |value: &&usize| !written.in_doubt.contains(value);
            taken.iter().rev().find(known).copied() == written.newest_acknowledged()
        });
        let taken = self.taken();
        let mut place = 0;
        for value in taken
            .iter()
            .filter(|value| !written.in_doubt.contains(value))
        {
            match written.acknowledged.binary_search(value) {
                Ok(found) => {
                    assert!(found <= place, "{value} came too early: {taken:?}");
                    place = found + 1;
                }
                Err(_) => panic!("{value} was turned away and came all the same: {taken:?}"),
            }
        }
        assert_eq!(place, written.acknowledged.len(), "{taken:?}");
    }
}

/// What a node without the read's series, and one that carries out a statement, answers alike. Not the question for a proof.
fn is_answered(query: &Request) -> bool {
    let said = [query.target.clone(), query.text()].concat();
    said.contains("CREATE") || said.contains("FROM+numbered")
}

/// The numbers in a write.
pub fn numbers(request: &Request) -> Vec<usize> {
    if request.path() != "/write" {
        return Vec::new();
    }
    let number = |line: &[u8]| {
        let last = line.rsplit(|byte| *byte == b' ').next()?;
        std::str::from_utf8(last).ok()?.parse().ok()
    };
    let lines = request.body.split(|byte| *byte == b'\n');
    lines.filter_map(number).collect()
}
