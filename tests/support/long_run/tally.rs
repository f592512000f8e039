//! What happened, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use crate::support::lock;

/// So many different answers that nobody expected are told.
const TOLD: usize = 40;

/// The counts of a run: by what was done, and by what came of it.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// Answers that are no violation, but worth a look.
    answers: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    pub fn count(&self, what: &'static str, result: &'static str) {
        *lock(&self.counts).entry((what, result)).or_default() += 1;
    }

    /// How often something came of what begins like that.
    pub fn sum(&self, what: &str, result: &str) -> u64 {
        lock(&self.counts)
            .iter()
            .filter(|((of, came), _)| of.starts_with(what) && *came == result)
            .map(|(_, count)| count)
            .sum()
    }

    /// Remembers an answer, without what makes each different.
    pub fn note(&self, what: &str, status: u16, text: &str) {
        let mut plain = String::new();
        for letter in text.trim_end().chars().take(160) {
            let digit = letter.is_ascii_digit();
            if !(digit && plain.ends_with('#')) {
                plain.push(if digit { '#' } else { letter });
            }
        }
        let mut answers = lock(&self.answers);
        let answer = format!("{status} to {what}: {plain}");
        if answers.len() < TOLD || answers.contains_key(&answer) {
            *answers.entry(answer).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((what, result), count) in lock(&self.counts).iter() {
            let row = rows.entry(what).or_default();
            row.push(format!("{count} {result}"));
        }
        for (what, counts) in rows {
            writeln!(f, "{what:24}{}", counts.join(", "))?;
        }
        for (answer, count) in lock(&self.answers).iter() {
            writeln!(f, "{count:6} times {answer}")?;
        }
        Ok(())
    }
}
