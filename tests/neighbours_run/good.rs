//! The good client: on its own database it writes and reads ten times a second, and notes what it was told.
//!
//! It writes the points of `pulse`, numbered and one a second of InfluxDB's time. A read asks for the last of them and must see
//! what was acknowledged, and what a read has shown, before it began.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::house::{GOOD, GOOD_USER};
use super::support::door::Door;
use super::support::http::{Answer, query_string};
use super::support::lock;
use super::support::long_run::{Connection, Reply, Request};

/// Between two of its writes, and between two of its reads.
const PACE: Duration = Duration::from_millis(100);

/// So many of the last points are read each time.
const READ: u64 = 30;

/// What it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Write,
    Read,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// As it should be: 204 to a write, points to a read.
    Well,
    /// Another answer.
    Status(u16),
    /// No answer, or nobody took the connection.
    Nothing,
}

/// One write or read.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub what: What,
    pub begun: Duration,
    pub took: Duration,
    pub came: Came,
}

/// What the client knows.
#[derive(Debug, Default)]
pub struct Known {
    /// The number of its first point.
    first: u64,
    /// By number: whether it was acknowledged.
    pub acknowledged: Vec<bool>,
    /// The highest number that was acknowledged or shown.
    highest: Option<u64>,
    /// Reads that showed less than they had to.
    pub stale: Vec<String>,
}

impl Known {
    /// The number behind the last one.
    pub fn end(&self) -> u64 {
        self.first + self.acknowledged.len() as u64
    }
}

/// The client.
pub struct Good {
    begun: Instant,
    pub known: Mutex<Known>,
    pub attempts: Mutex<Vec<Attempt>>,
}

impl Good {
    pub fn new(begun: Instant) -> Self {
        Self::beginning_at(begun, 0)
    }

    /// One whose points are numbered from `first` on, where others have lower numbers already.
    pub fn beginning_at(begun: Instant, first: u64) -> Self {
        let known = Known {
            first,
            ..Known::default()
        };
        Self {
            begun,
            known: Mutex::new(known),
            attempts: Mutex::default(),
        }
    }

    /// Writes until `over`.
    pub fn write_until(&self, over: &AtomicBool, door: &Door) {
        self.at_pace(over, door, |connection| {
            let (place, number) = {
                let mut known = lock(&self.known);
                let number = known.end();
                known.acknowledged.push(false);
                (known.acknowledged.len() - 1, number)
            };
            let target = format!("/write?db={GOOD}&precision=s&{GOOD_USER}");
            let body = format!("pulse v={number}i {number}");
            let reply = self.ask(connection, What::Write, "POST", target, body, |answer| {
                answer.status == 204
            });
            if reply.is_some() {
                let mut known = lock(&self.known);
                known.acknowledged[place] = true;
                known.highest = known.highest.max(Some(number));
            }
        });
    }

    /// Reads until `over`.
    pub fn read_until(&self, over: &AtomicBool, door: &Door) {
        self.at_pace(over, door, |connection| self.read(connection));
    }

    fn read(&self, connection: &mut Connection<'_>) {
        let (from, due, highest) = {
            let known = lock(&self.known);
            let from = known.end().saturating_sub(READ).max(known.first);
            let due: Vec<u64> = (known.first..)
                .zip(&known.acknowledged)
                .filter(|(number, acknowledged)| *number >= from && **acknowledged)
                .map(|(number, _)| number)
                .collect();
            (from, due, known.highest)
        };
        let query = format!("SELECT v FROM pulse WHERE time >= {from}s");
        let parameters = query_string(&[("db", GOOD), ("epoch", "s"), ("q", &query)]);
        let target = format!("/query?{GOOD_USER}&{parameters}");
        let begun = self.begun.elapsed();
        let is_well = |answer: &Answer| answer.status == 200 && shown(answer).is_some();
        let Some(answer) = self.ask(
            connection,
            What::Read,
            "GET",
            target,
            String::new(),
            is_well,
        ) else {
            return;
        };
        let shown = shown(&answer).unwrap_or_default();
        let mut known = lock(&self.known);
        let sent = known.end();
        let missing: Vec<&u64> = due
            .iter()
            .filter(|number| !shown.contains(number))
            .collect();
        let newest = shown.iter().max().copied();
        let wrong = if !missing.is_empty() {
            Some(format!("lacks {missing:?}, acknowledged before"))
        } else if newest < highest.filter(|highest| *highest >= from) {
            Some(format!(
                "shows {newest:?}, and {highest:?} was shown before"
            ))
        } else if newest.is_some_and(|newest| newest >= sent) {
            Some(format!("shows {newest:?}, never sent"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let at = begun.as_secs_f64();
            known.stale.push(format!("{at:10.4} a read {wrong}"));
        }
        known.highest = known.highest.max(newest);
    }

    fn at_pace(&self, over: &AtomicBool, door: &Door, mut act: impl FnMut(&mut Connection<'_>)) {
        let mut connection = Connection::through(door);
        while !over.load(Ordering::Relaxed) {
            let next = Instant::now() + PACE;
            act(&mut connection);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Asks and notes what came of it; the answer if it is well.
    fn ask(
        &self,
        connection: &mut Connection<'_>,
        what: What,
        method: &'static str,
        target: String,
        body: String,
        is_well: impl Fn(&Answer) -> bool,
    ) -> Option<Answer> {
        let request = Request {
            method,
            target,
            header: None,
            body: body.into_bytes(),
        };
        let begun = self.begun.elapsed();
        let reply = connection.send(&request);
        let took = self.begun.elapsed().saturating_sub(begun);
        let (came, answer) = match reply {
            Reply::Answer(answer) if is_well(&answer) => (Came::Well, Some(answer)),
            Reply::Answer(answer) => (Came::Status(answer.status), None),
            Reply::NotSent | Reply::Silence => (Came::Nothing, None),
        };
        lock(&self.attempts).push(Attempt {
            what,
            begun,
            took,
            came,
        });
        answer
    }
}

/// The values in an answer to a read; none if the statement failed.
fn shown(answer: &Answer) -> Option<Vec<u64>> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    let result = value.get("results")?.get(0)?;
    if result.get("error").is_some() {
        return None;
    }
    let rows = result["series"][0]["values"].as_array();
    let rows = rows.map_or(&[][..], Vec::as_slice);
    Some(rows.iter().filter_map(|row| row[1].as_u64()).collect())
}
