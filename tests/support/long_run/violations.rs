//! What did not hold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use super::events::{self, Events};
use super::model::Wrong;
use crate::support::http::Answer;
use crate::support::lock;

/// Violations of a kind that are told in words; the others are counted.
const TOLD: u64 = 3;

/// How long before a violation what happened is told with it.
const BEFORE: Duration = Duration::from_secs(6);

/// Something wrong that a read showed.
pub struct Violation {
    /// What it showed wrong.
    pub thing: String,
    pub wrong: Wrong,
    pub begun: Duration,
    pub ended: Duration,
    /// What led to it, each line beginning with its moment.
    pub history: Vec<String>,
}

/// All that was found.
pub struct Violations<'a> {
    events: &'a Events,
    counts: Mutex<BTreeMap<String, u64>>,
    told: Mutex<Vec<String>>,
}

impl<'a> Violations<'a> {
    pub fn new(events: &'a Events) -> Self {
        Self {
            events,
            counts: Mutex::default(),
            told: Mutex::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.counts).is_empty()
    }

    /// How many reads were wrong in that way.
    pub fn count(&self, wrong: Wrong) -> u64 {
        let ending = format!("{wrong:?}");
        let counts = lock(&self.counts);
        let of_kind = counts.iter().filter(|(kind, _)| kind.ends_with(&ending));
        of_kind.map(|(_, count)| count).sum()
    }

    /// Those of a read.
    pub fn read(&self, what: &str, violations: Vec<Violation>) {
        for violation in violations {
            let Violation {
                thing,
                wrong,
                begun,
                ended,
                mut history,
            } = violation;
            self.add(&format!("{what}: {wrong:?}"), || {
                history.extend(self.events.between(begun.saturating_sub(BEFORE), ended));
                events::sort_by_moment(&mut history);
                format!("{what}, {wrong:?}: {thing}\n{}", history.join("\n"))
            });
        }
    }

    /// A change that nothing stood in the way of was refused.
    pub fn refused(&self, what: &str, mark: &str, at: Duration, answer: &Answer) {
        self.add(&format!("{what}: refused"), || {
            let mut history = self.events.between(at.saturating_sub(BEFORE), at);
            let (status, text) = (answer.status, answer.text());
            let told = format!(
                "{what} (n={mark}) is answered {status}: {}",
                text.trim_end()
            );
            history.push(events::line(at, told));
            format!("{what} refused\n{}", history.join("\n"))
        });
    }

    /// A stale answer was served, though these are to be turned away.
    pub fn said_stale(&self, at: Duration) {
        self.add("a stale answer", || {
            events::line(at, "an answer says that it is stale")
        });
    }

    /// Another one.
    pub fn add(&self, kind: &str, told: impl FnOnce() -> String) {
        let count = {
            let mut counts = lock(&self.counts);
            let count = counts.entry(kind.to_owned()).or_default();
            *count += 1;
            *count
        };
        if count <= TOLD {
            let told = told();
            lock(&self.told).push(told);
        }
    }
}

impl fmt::Display for Violations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = lock(&self.counts);
        if counts.is_empty() {
            return writeln!(f, "no violation");
        }
        for (kind, count) in counts.iter() {
            writeln!(f, "VIOLATED {count} times: {kind}")?;
        }
        let told = lock(&self.told);
        told.iter().try_for_each(|told| writeln!(f, "\n{told}"))
    }
}
