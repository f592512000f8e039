//! What clients wrote, and what of it was acknowledged.
//!
//! | measurement | points | what is known afterwards |
//! | --- | --- | --- |
//! | `counted` | each at a time of its own; `v` is its number | which numbers were acknowledged |
//! | `stamped` | without a time; `v` is its number | which numbers were acknowledged |
//! | `rising` | each overwritten some dozen times with rising values, by one client at a time but by all in turn; then never touched again | the last value acknowledged, and sent |
//!
//! That a point of `rising` is given up is what makes it tell: whatever put an old value over a newer one, at any time in the
//! run, stays and is found.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::outcome::Outcome;
use super::support::long_run::numbers::Series;
use super::{CLIENTS, DATABASES};

/// Series of `rising` in each database; in each, one point is being overwritten.
pub const PLACES: usize = 12;

/// `counted` points start here, Unix time in seconds.
const COUNTED_BEGIN: u64 = 1_600_000_000;

/// Attempts on a point that are remembered, to explain what went wrong.
const REMEMBERED: usize = 40;

/// All of it.
pub struct Ledger {
    begun: Instant,
    /// By client, then by database.
    pub counted: Vec<Vec<Mutex<Series>>>,
    /// By client, then by database.
    pub stamped: Vec<Vec<Mutex<Series>>>,
    /// By database.
    pub rising: Vec<Vec<Mutex<Place>>>,
}

/// A series whose newest point is overwritten until the next one is begun.
#[derive(Debug)]
pub struct Place {
    /// Their times are their numbers, in seconds.
    pub points: Vec<Point>,
}

/// A point that is overwritten.
#[derive(Debug, Default)]
pub struct Point {
    /// The highest value that was sent.
    pub sent: u64,
    /// The highest value that was acknowledged.
    pub acknowledged: Option<u64>,
    /// What was tried last.
    pub attempts: VecDeque<Attempt>,
}

/// One write to a point.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The value.
    pub value: u64,
    /// Who.
    pub client: usize,
    /// When, since the run began.
    pub sent: Duration,
    /// When the answer was there, or was given up.
    pub ended: Duration,
    /// What came of it.
    pub outcome: Outcome,
}

impl Ledger {
    pub fn new(begun: Instant) -> Self {
        fn fill<T: Default>(count: usize) -> Vec<Mutex<T>> {
            (0..count).map(|_| Mutex::default()).collect()
        }
        let per_client = || (0..CLIENTS).map(|_| fill(DATABASES.len())).collect();
        Self {
            begun,
            counted: per_client(),
            stamped: per_client(),
            rising: DATABASES.iter().map(|_| fill(PLACES)).collect(),
        }
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self {
            points: vec![Point::default()],
        }
    }
}

impl Place {
    /// The next higher value for the newest point, as (the point's time in seconds, the value).
    pub fn raise(&mut self) -> (u64, u64) {
        let time = self.points.len() as u64 - 1;
        let point = self.newest();
        point.sent += 1;
        (time, point.sent)
    }

    /// The point that is being overwritten.
    pub fn newest(&mut self) -> &mut Point {
        self.points.last_mut().expect("there is always one")
    }

    /// Gives the newest point up and begins another.
    pub fn begin_another(&mut self) {
        self.points.push(Point::default());
    }
}

impl Point {
    /// Notes what came of an attempt.
    pub fn note(&mut self, attempt: Attempt) {
        if attempt.outcome.is_acknowledged() {
            self.acknowledged = Some(attempt.value);
        }
        if self.attempts.len() == REMEMBERED {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }
}

/// A unit of time that a client writes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Its name at `/write`.
    pub name: &'static str,
    /// Its name at `/api/v2/write`.
    pub v2_name: &'static str,
    /// Its nanoseconds.
    pub nanos: u64,
}

/// Those that are written in.
pub const UNITS: [Unit; 3] = [
    Unit {
        name: "n",
        v2_name: "ns",
        nanos: 1,
    },
    Unit {
        name: "ms",
        v2_name: "ms",
        nanos: 1_000_000,
    },
    Unit {
        name: "s",
        v2_name: "s",
        nanos: 1_000_000_000,
    },
];

/// The unit of a client's `counted` points.
pub fn counted_unit(client: usize) -> Unit {
    UNITS[client % UNITS.len()]
}

/// The time of a `counted` point, in its client's unit.
pub fn counted_time(client: usize, number: u64) -> u64 {
    COUNTED_BEGIN * (1_000_000_000 / counted_unit(client).nanos) + number
}
