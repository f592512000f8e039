//! Clients: each changes what it owns and reads what anyone owns, one request after another.

use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use serde_json::Value;

use super::asks::{Ask, request};
use super::book::Book;
use super::changes;
use super::model::{Found, Look, Outcome};
use super::support::http::Answer;
use super::support::long_run::{Connection, Reply, clients};
use super::tally::Tally;
use super::violations::Violations;

/// What all clients of a run have in common.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// `host:port` that requests go to.
    pub address: &'a str,
    pub book: &'a Book,
    pub tally: &'a Tally,
    pub violations: &'a Violations<'a>,
    /// It is a node's, with no haflux before it.
    pub alone: bool,
}

pub struct Client<'a> {
    number: usize,
    requests: u64,
    connection: Connection<'a>,
    run: Run<'a>,
    rng: Rng,
}

/// Changes and reads until `over`.
pub fn go_on_until(over: &AtomicBool, run: Run<'_>, number: usize, rng: Rng) {
    let mut client = Client::new(run, number, rng);
    while !over.load(Ordering::Relaxed) {
        if client.rng.u8(..) < 4 {
            client.connection.close();
        }
        if client.rng.u8(..5) < 2 {
            client.change();
        } else {
            let count = if client.rng.u8(..4) == 0 { 3 } else { 1 };
            let mut asks: Vec<Ask> = (0..count).map(|_| Ask::any(&mut client.rng)).collect();
            // Where its database is gone that is an error, and what is behind an error is left out.
            asks.sort_by_key(|ask| matches!(ask, Ask::Inside { .. }));
            client.read(&asks);
        }
        clients::pause(&mut client.rng);
    }
}

impl<'a> Client<'a> {
    pub fn new(run: Run<'a>, number: usize, rng: Rng) -> Self {
        Self {
            number,
            requests: 0,
            connection: Connection::new(run.address),
            run,
            rng,
        }
    }

    fn mark(&mut self) -> String {
        self.requests += 1;
        format!("{}.{}", self.number, self.requests)
    }

    /// Changes something that it owns.
    fn change(&mut self) {
        let mark = self.mark();
        let Run { book, .. } = self.run;
        let (plan, begun) = {
            let mut page = book.page(self.number);
            let plan = changes::any(&mut self.rng, self.number, &mut page, &mark);
            let begun = page.begin(plan.what, &plan.contents, book.elapsed());
            (plan, begun)
        };
        let reply = self.connection.send(&plan.request);
        let outcome = self.outcome(&plan, &reply, &mark);
        let ended = book.elapsed();
        book.page(self.number).end(&begun, outcome, ended);
    }

    /// What came of a change.
    fn outcome(&self, plan: &changes::Plan, reply: &Reply, mark: &str) -> Outcome {
        let Run {
            tally, violations, ..
        } = self.run;
        let (outcome, result) = match reply {
            Reply::NotSent => (Outcome::TurnedAway, "without a connection"),
            Reply::Silence => (Outcome::Unknown, "without an answer"),
            Reply::Answer(answer) if is_done(answer) => (Outcome::Acknowledged, "acknowledged"),
            Reply::Answer(answer) => {
                tally.note(plan.what, answer.status, &answer.text());
                match answer.status {
                    503 => (Outcome::TurnedAway, "turned away (503)"),
                    504 => (Outcome::Unknown, "policy unmet (504)"),
                    500..=599 => (Outcome::Unknown, "other error"),
                    // A DELETE beside the DROP of another database. Behind haflux statements are not carried out side by side.
                    200 if self.run.alone && answer.text().contains("engine is closed") => {
                        (Outcome::Unknown, "other error")
                    }
                    _ => {
                        violations.refused(plan.what, mark, self.run.book.elapsed(), answer);
                        (Outcome::Unknown, "refused")
                    }
                }
            }
        };
        tally.count(plan.what, result);
        outcome
    }

    /// Reads. False if there was no answer to look at.
    pub fn read(&mut self, asks: &[Ask]) -> bool {
        let mark = self.mark();
        let Run {
            book,
            tally,
            violations,
            ..
        } = self.run;
        let request = request(&mut self.rng, asks, &mark);
        let begun = book.elapsed();
        let opened: Vec<_> = asks
            .iter()
            .map(|ask| book.open(|owner, key| ask.covers(owner, key)))
            .collect();
        let reply = self.connection.send(&request);
        let ended = book.elapsed();
        let results = self.results(&reply, asks.len());
        let mut answered = true;
        for (place, (ask, bounds)) in asks.iter().zip(opened).enumerate() {
            let found = match &results {
                Ok(results) => ask.found(&results[place]).map_err(|error| {
                    tally.note(ask.name(), 200, &error);
                    "error in the answer"
                }),
                Err(what) => Err(*what),
            };
            match found {
                Err(what) => {
                    answered = false;
                    tally.count(ask.name(), what);
                    book.abandon();
                }
                Ok(found) => {
                    tally.count(ask.name(), "ok");
                    let look = Look {
                        client: self.number,
                        request: self.requests,
                        begun,
                        ended,
                        found: Found::Nothing,
                    };
                    let wrong =
                        book.close(&bounds, |owner, key| ask.covers(owner, key), &found, look);
                    violations.read(ask.name(), wrong);
                }
            }
        }
        answered
    }

    /// The result of each statement, or why there is none.
    fn results(&self, reply: &Reply, statements: usize) -> Result<Vec<Value>, &'static str> {
        let answer = match reply {
            Reply::NotSent => return Err("without a connection"),
            Reply::Silence => return Err("without an answer"),
            Reply::Answer(answer) => answer,
        };
        if answer.header("x-haflux-stale").is_some() {
            self.run.violations.said_stale(self.run.book.elapsed());
        }
        if answer.status == 503 {
            self.run.tally.note("a read", 503, &answer.text());
            return Err("rejected (503)");
        }
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match value["results"].as_array() {
            // After an error the statements behind it are left out.
            Some(results) if answer.status == 200 => {
                let mut results = results.clone();
                results.resize_with(statements, || serde_json::json!({"error": "not executed"}));
                Ok(results)
            }
            _ => {
                self.run.tally.note("a read", answer.status, &answer.text());
                Err("other answer")
            }
        }
    }
}

/// Whether a change is said to be done.
fn is_done(answer: &Answer) -> bool {
    match answer.status {
        200 => {
            let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let results = value["results"].as_array();
            results.is_some_and(|results| {
                let good = |result: &Value| result.get("error").is_none();
                !results.is_empty() && results.iter().all(good)
            })
        }
        201..=299 => true,
        _ => false,
    }
}
