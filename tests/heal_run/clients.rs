//! Clients: each changes what it owns and reads what anyone owns, one request after another.

use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;

use super::asks::Ask;
use super::book::Book;
use super::changes;
use super::support::lock;
use super::support::long_run::model::{Found, Look, Outcome};
use super::support::long_run::replies::{count_change, outcome_of, results_kept};
use super::support::long_run::{Connection, Tally, Violations, clients};

/// What all clients of a run have in common.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// `host:port` that requests go to.
    pub address: &'a str,
    pub book: &'a Book,
    pub tally: &'a Tally,
    pub violations: &'a Violations<'a>,
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
            let ask = Ask::any(&mut client.rng, run.book);
            client.read(&ask);
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
        let Run {
            book,
            tally,
            violations,
            ..
        } = self.run;
        let (plan, begun) = {
            let mut page = book.page(self.number);
            let plan = changes::any(&mut self.rng, self.number, book, &mut page, &mark);
            let begun = page.begin(plan.what, &plan.contents, book.elapsed());
            (plan, begun)
        };
        let reply = self.connection.send(&plan.request);
        let (about, come) = ((plan.what, mark.as_str()), outcome_of(&reply));
        count_change(tally, violations, about, &reply, come, book.elapsed());
        let (outcome, _) = come;
        if outcome == Outcome::Acknowledged && !plan.numbers.is_empty() {
            lock(&book.counted[self.number]).acknowledge(plan.numbers);
        }
        let ended = book.elapsed();
        book.page(self.number).end(&begun, outcome, ended);
    }

    /// Reads. False if there was no answer to look at.
    pub fn read(&mut self, ask: &Ask) -> bool {
        let mark = self.mark();
        let Run {
            book,
            tally,
            violations,
            ..
        } = self.run;
        let request = ask.request(&mut self.rng, &mark);
        let bounds = book.open(&ask.keys(book));
        let begun = book.elapsed();
        let reply = self.connection.send(&request);
        let ended = book.elapsed();
        let results = results_kept(tally, violations, &reply, 1, ended);
        let found = results.and_then(|results| {
            ask.found(book, &results[0]).map_err(|error| {
                tally.note(ask.name(), 200, &error);
                "error in the answer"
            })
        });
        match found {
            Err(what) => {
                tally.count(ask.name(), what);
                false
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
                violations.read(ask.name(), book.close(&bounds, &found, look));
                true
            }
        }
    }
}
