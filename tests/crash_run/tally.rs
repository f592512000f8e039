//! What happened, in numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::Reply;

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
    pub haflux_killed: Count,
    pub haflux_stopped: Count,
    pub node_killed: Count,
    pub node_stopped: Count,
    pub node_paused_briefly: Count,
    /// Longer than haflux waits.
    pub node_paused_long: Count,
    /// What was sent arrived after haflux had given it up.
    pub network_late: Count,
    /// Neither node answered.
    pub both_away: Count,
}

impl Tally {
    /// Counts a write of `lines` lines.
    pub fn count(&self, reply: Reply, lines: u64) {
        let counter = match reply {
            Reply::Acknowledged { applied } => {
                self.lines.add(lines);
                if applied == 0 {
                    &self.journaled
                } else {
                    &self.applied
                }
            }
            Reply::Status(400..=499) => &self.refused,
            Reply::Status(503) => &self.rejected,
            Reply::Status(504) => &self.unmet,
            Reply::Status(_) => &self.other,
            Reply::Silence => &self.silence,
            Reply::NotSent => &self.not_sent,
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
        let rows: [(&str, &[(&str, &Count)]); 4] = [
            (
                "writes",
                &[
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
            ("lines", &[("acknowledged", &self.lines)]),
            (
                "haflux",
                &[
                    ("kill -9", &self.haflux_killed),
                    ("graceful stop", &self.haflux_stopped),
                ],
            ),
            (
                "nodes",
                &[
                    ("kill -9", &self.node_killed),
                    ("stop", &self.node_stopped),
                    ("short pause", &self.node_paused_briefly),
                    ("pause beyond the timeout", &self.node_paused_long),
                    ("both away", &self.both_away),
                    ("late delivery", &self.network_late),
                ],
            ),
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
