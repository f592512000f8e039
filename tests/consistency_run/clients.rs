//! Clients: each changes what it owns and reads what anyone owns, one request after another.

use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;

use super::asks::{Ask, request};
use super::book::Book;
use super::changes;
use super::support::http::Answer;
use super::support::long_run::model::{Found, Look, Outcome};
use super::support::long_run::replies::{count_change, outcome_of, results_kept};
use super::support::long_run::{Connection, Reply, Tally, Violations, clients};

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
            book,
            tally,
            violations,
            alone,
            ..
        } = self.run;
        // A DELETE beside the DROP of another database. Behind haflux statements are not carried out side by side.
        let beside_a_drop = |answer: &Answer| {
            alone && answer.status == 200 && answer.text().contains("engine is closed")
        };
        let (outcome, result) = match reply {
            Reply::Answer(answer) if beside_a_drop(answer) => (Outcome::Unknown, "other error"),
            reply => outcome_of(reply),
        };
        let (about, come) = ((plan.what, mark), (outcome, result));
        count_change(tally, violations, about, reply, come, book.elapsed());
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
        let results = results_kept(tally, violations, &reply, asks.len(), ended);
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
}
