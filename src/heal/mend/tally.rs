//! What was done, or would be, for a person.

use std::collections::BTreeMap;

use super::plan::Change;
use crate::heal::progress::Progress;
use crate::stats::units::Count;

/// Counts of one mend.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By database and node.
    done: BTreeMap<(String, usize), Done>,
    contradictory: u64,
    given_up: u64,
}

/// Points of one database on one node.
#[derive(Debug, Default)]
struct Done {
    written: u64,
    removed: u64,
    expired: u64,
    inexpressible: u64,
}

impl Tally {
    /// What a change would do to a node's points in a database.
    pub(super) fn would_do(&mut self, node: usize, database: &str, change: &Change) {
        self.removed(node, database, change);
        self.written(node, database, number(change.writes.len()));
    }

    /// The points that a change deletes are deleted.
    pub(super) fn removed(&mut self, node: usize, database: &str, change: &Change) {
        // A point that is deleted to be written again with fewer fields is written.
        let rewritten = change.writes.keys().filter(|time| {
            let mut removals = change.removals.iter();
            removals.any(|(from, until)| from <= *time && *time <= until)
        });
        let removed = change.removed.saturating_sub(number(rewritten.count()));
        if removed > 0 {
            self.of(node, database).removed += removed;
        }
    }

    /// The node has taken points.
    pub(super) fn written(&mut self, node: usize, database: &str, points: u64) {
        if points > 0 {
            self.of(node, database).written += points;
        }
    }

    /// Points beyond what the policy keeps.
    pub(super) fn expired(&mut self, node: usize, database: &str, points: u64) {
        self.of(node, database).expired += points;
    }

    /// Values that no line can express.
    pub(super) fn inexpressible(&mut self, node: usize, database: &str, values: u64) {
        self.of(node, database).inexpressible += values;
    }

    /// Points with values that contradict.
    pub(super) fn contradict(&mut self, points: u64) {
        self.contradictory += points;
    }

    /// Points that could not be mended while the gate was closed.
    pub(super) fn give_up(&mut self, points: u64) {
        self.given_up += points;
    }

    fn of(&mut self, node: usize, database: &str) -> &mut Done {
        self.done.entry((database.to_owned(), node)).or_default()
    }

    /// Says all of it.
    pub(super) fn say(&self, nodes: &[String], dry_run: bool, progress: &Progress) {
        let would = if dry_run { "would be " } else { "" };
        for ((database, node), done) in &self.done {
            let node = nodes.get(*node).map_or("", String::as_str);
            progress.note(format!(
                "{node}, database {database}: {} points {would}written, {} {would}removed",
                Count(done.written),
                Count(done.removed)
            ));
            if done.expired > 0 {
                progress.note(format!(
                    "{node}, database {database}: {} points lie beyond what their policies keep, and were not taken",
                    Count(done.expired)
                ));
            }
            if done.inexpressible > 0 {
                progress.note(format!(
                    "{node}, database {database}: {} values have names that no line can express, and were left out",
                    Count(done.inexpressible)
                ));
            }
        }
        if self.contradictory > 0 {
            progress.note(format!(
                "{} points have several values of the same field, which --union leaves alone: --from NODE says whose are right",
                Count(self.contradictory)
            ));
        }
        if self.given_up > 0 {
            progress.note(format!(
                "{} points could not be mended in the time for which writes may wait",
                Count(self.given_up)
            ));
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
