//! Clients: each writes what comes to its mind, one request after another, and notes what was acknowledged.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::ledger::{Attempt, Ledger, PLACES, UNITS, Unit, counted_time, counted_unit};
use super::outcome::Outcome;
use super::support::http::query_string;
use super::support::lock;
use super::support::long_run::{Connection, Request, clients};
use super::tally::Tally;
use super::{CLIENTS, DATABASES};

/// How often a point is written before it is given up, on average.
const WRITES_TO_A_POINT: usize = 20;

struct Client<'a> {
    number: usize,
    connection: Connection<'a>,
    ledger: &'a Ledger,
    tally: &'a Tally,
    rng: Rng,
}

/// Writes until `over`.
pub fn write_until(
    over: &AtomicBool,
    address: &str,
    number: usize,
    ledger: &Ledger,
    tally: &Tally,
    rng: Rng,
) {
    assert!(number < CLIENTS);
    let mut client = Client {
        number,
        connection: Connection::new(address),
        ledger,
        tally,
        rng,
    };
    while !over.load(Ordering::Relaxed) {
        client.write_something();
        clients::pause(&mut client.rng);
    }
}

impl Client<'_> {
    fn write_something(&mut self) {
        if self.rng.u8(..) < 4 {
            self.connection.close();
        }
        match self.rng.u8(..100) {
            0..30 => self.count(1),
            30..38 => {
                let lines = self.rng.u64(2..40);
                self.count(lines);
            }
            38..50 => self.stamp(),
            50..80 => self.raise(1),
            _ => {
                let lines = self.rng.usize(2..12);
                self.raise(lines);
            }
        }
    }

    fn database(&mut self) -> usize {
        // The first one gets most, so that one lane is long and others are short.
        self.rng.usize(..DATABASES.len() * 2) % (DATABASES.len() + 1) % DATABASES.len()
    }

    /// Points at times of their own.
    fn count(&mut self, lines: u64) {
        let database = self.database();
        let numbers = lock(&self.ledger.counted[self.number][database]).take(lines);
        let mut body = String::new();
        for number in numbers.clone() {
            self.noise(&mut body);
            let time = counted_time(self.number, number);
            let _ = writeln!(
                body,
                "counted,client={} v={number}i,text=\"say \\\"{number}\\\", twice\" {time}",
                self.number
            );
        }
        let outcome = self.send(database, counted_unit(self.number), body, lines);
        if outcome.is_acknowledged() {
            lock(&self.ledger.counted[self.number][database]).acknowledge(numbers);
        }
    }

    /// Points without a time, at most one a series, as they all get the same.
    fn stamp(&mut self) {
        let database = self.database();
        let lines = self.rng.u64(1..5);
        let numbers = lock(&self.ledger.stamped[self.number][database]).take(lines);
        let mut body = String::new();
        for (line, number) in numbers.clone().enumerate() {
            let _ = writeln!(
                body,
                "stamped,client={},line={line} v={number}i",
                self.number
            );
        }
        let outcome = self.send(database, UNITS[0], body, lines);
        if outcome.is_acknowledged() {
            lock(&self.ledger.stamped[self.number][database]).acknowledge(numbers);
        }
    }

    /// Higher values for points that are there, of those that no other client is writing.
    fn raise(&mut self, lines: usize) {
        let database = self.database();
        // Mostly the same, as what differs cannot be joined.
        let unit = match self.rng.u8(..4) {
            0 => self.rng.choice(UNITS).unwrap_or(UNITS[0]),
            _ => UNITS[0],
        };
        let places = &self.ledger.rising[database];
        let wanted = self.rng.usize(1..=lines.min(3));
        // Each is tried and none waited for, so clients cannot wait for each other in a circle.
        let mut held = Vec::new();
        for _ in 0..wanted {
            let number = self.rng.usize(..PLACES);
            if let Ok(place) = places[number].try_lock() {
                held.push((number, place));
            }
        }
        if held.is_empty() {
            return;
        }
        let mut body = String::new();
        for line in 0..lines.max(held.len()) {
            self.noise(&mut body);
            // Several times in a body, a point ends as the last one says.
            let turn = line % held.len();
            let (number, place) = &mut held[turn];
            let (seconds, value) = place.raise();
            let time = seconds * (1_000_000_000 / unit.nanos);
            let _ = writeln!(body, "rising,place={number} v={value}i {time}");
        }
        let sent = self.ledger.elapsed();
        let outcome = self.send(database, unit, body, lines as u64);
        let ended = self.ledger.elapsed();
        for (_, place) in &mut held {
            let point = place.newest();
            point.note(Attempt {
                value: point.sent,
                client: self.number,
                sent,
                ended,
                outcome,
            });
            if self.rng.usize(..WRITES_TO_A_POINT) == 0 {
                place.begin_another();
            }
        }
    }

    /// Now and then a comment, an empty line, or one that InfluxDB refuses while it takes those around it.
    fn noise(&mut self, body: &mut String) {
        match self.rng.u16(..2000) {
            0..20 => body.push_str("# a \"comment\n"),
            20..40 => body.push('\n'),
            40 => body.push_str("refused v=\n"),
            _ => {}
        }
    }

    /// Sends it by one of the ways that lead to the same place.
    fn send(&mut self, database: usize, unit: Unit, mut body: String, lines: u64) -> Outcome {
        let database = DATABASES[database];
        let policy = self.rng.u8(..8) == 0;
        let target = if self.rng.u8(..8) == 0 {
            let slash = if policy { "/autogen" } else { "" };
            let bucket = format!("{database}{slash}");
            let query = query_string(&[("bucket", &bucket), ("precision", unit.v2_name)]);
            format!("/api/v2/write?{query}")
        } else {
            let policy = if policy { "autogen" } else { "" };
            let query = query_string(&[("db", database), ("rp", policy), ("precision", unit.name)]);
            format!("/write?{query}")
        };
        if self.rng.bool() {
            body.truncate(body.trim_end().len());
        }
        let gzip = self.rng.u8(..6) == 0;
        let request = Request {
            method: "POST",
            target,
            header: gzip.then_some(("Content-Encoding", "gzip")),
            body: if gzip {
                packed(&body)
            } else {
                body.into_bytes()
            },
        };
        let outcome = Outcome::of(&self.connection.send(&request));
        self.tally.count(outcome, lines);
        outcome
    }
}

fn packed(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes()).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}
