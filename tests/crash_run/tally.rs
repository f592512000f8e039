//! What happened, in numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::outcome::Outcome;
use super::support::long_run::Trouble;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// With no replica that had applied it: the journal alone vouched for it.
    journaled: Count,
    /// By a replica at least.
    applied: Count,
    /// Lines of acknowledged writes.
    lines: Count,
    refused: Count,
    rejected: Count,
    unmet: Count,
    other: Count,
    silence: Count,
    not_sent: Count,
    /// How often each kind of trouble was made.
    troubles: [Count; Trouble::ALL.len()],
}

impl Tally {
    /// Counts trouble that is made.
    pub fn trouble(&self, trouble: Trouble) {
        self.troubles[trouble as usize].add(1);
    }

    /// Counts a write of `lines` lines.
    pub fn count(&self, outcome: Outcome, lines: u64) {
        let counter = match outcome {
            Outcome::Acknowledged { applied } => {
                self.lines.add(lines);
                if applied == 0 {
                    &self.journaled
                } else {
                    &self.applied
                }
            }
            Outcome::Status(400..=499) => &self.refused,
            Outcome::Status(503) => &self.rejected,
            Outcome::Status(504) => &self.unmet,
            Outcome::Status(_) => &self.other,
            Outcome::Silence => &self.silence,
            Outcome::NotSent => &self.not_sent,
        };
        counter.add(1);
    }

    /// Writes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.journaled.get() + self.applied.get()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubles = |whom: &str| {
            let all = Trouble::ALL.iter().zip(&self.troubles);
            all.filter(|(trouble, _)| trouble.whom() == whom)
                .map(|(trouble, count)| (trouble.what(), count))
                .collect()
        };
        let rows: [(&str, Vec<(&str, &Count)>); 4] = [
            (
                "writes",
                vec![
                    ("acknowledged as applied", &self.applied),
                    ("acknowledged as journaled", &self.journaled),
                    ("refused (4xx)", &self.refused),
                    ("turned away (503)", &self.rejected),
                    ("policy unmet (504)", &self.unmet),
                    ("other answers", &self.other),
                    ("without an answer", &self.silence),
                    ("without a connection", &self.not_sent),
                ],
            ),
            ("lines", vec![("acknowledged", &self.lines)]),
            ("haflux", troubles("haflux")),
            ("nodes", troubles("nodes")),
        ];
        for (name, counts) in rows {
            let counts: Vec<String> = counts
                .iter()
                .map(|(name, count)| format!("{} {name}", count.get()))
                .collect();
            writeln!(f, "{name:8}{}", counts.join(", "))?;
        }
        Ok(())
    }
}
