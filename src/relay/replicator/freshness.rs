//! What the replicator shows of its replica to the read barrier.
//!
//! The order matters: what makes the replica less fresh is shown before anything is acknowledged that leans on it, what makes it
//! more so only once it is true.

use std::collections::HashSet;

use super::Replicator;
use crate::journal::Sequence;

impl Replicator {
    /// Records were read: their lanes, or the statement among them, and how far.
    pub(super) fn show_read(&mut self) {
        self.show_doubt();
        let begun = self.lanes.take_begun();
        let statements = self.barriers.ahead();
        let read = self.tracker.newest();
        self.freshness.update(self.replica.index, |view| {
            for (lane, oldest) in begun {
                view.begin(lane, oldest);
            }
            view.statements = statements;
            view.read = view.read.max(read);
        });
    }

    /// The first `count` records of a lane have their verdict.
    pub(super) fn show_judged(&mut self, lane: &str, count: usize) {
        let oldest = self
            .lanes
            .get(lane)
            .and_then(|lane| lane.oldest_after(count));
        let cursor = self.tracker.cursor().sequence;
        self.freshness.update(self.replica.index, |view| {
            match (oldest, view.pending.get_mut(lane)) {
                (Some(oldest), Some(known)) => *known = oldest,
                (Some(oldest), None) => {
                    view.pending.insert(lane.to_owned(), oldest);
                }
                (None, _) => {
                    view.pending.remove(lane);
                }
            }
            view.cursor = cursor;
        });
    }

    /// The cursor, where it has moved by itself.
    pub(super) fn show_cursor(&mut self, cursor: Sequence) {
        self.freshness
            .update(self.replica.index, |view| view.cursor = cursor);
    }

    /// The statement that is next has its verdict; what waits for it goes out later.
    pub(super) fn show_statement_judged(&mut self) {
        let cursor = self.tracker.cursor().sequence;
        let next = self.barriers.next().map(|barrier| barrier.sequence);
        let parked = self.barriers.oldest_parked();
        self.freshness.update(self.replica.index, |view| {
            for (lane, oldest) in parked {
                view.begin(lane, oldest);
            }
            let judged = view
                .statements
                .extract_if(.., |ahead| Some(ahead.sequence) == next)
                .next();
            if let Some(judged) = judged {
                view.carry_out(judged.sequence, &judged.touched);
            }
            view.cursor = cursor;
        });
    }

    /// It begins again from here; until it is where it was, its data may be older than it was.
    pub(super) fn show_start(&mut self, place: Sequence) {
        self.is_doubt_changed = false;
        let doubted = self.doubted();
        self.freshness.update(self.replica.index, |view| {
            view.is_set_back();
            view.pending.clear();
            view.statements.clear();
            view.cursor = place;
            view.read = place;
            view.doubt(doubted);
            view.is_going_back = false;
        });
    }

    /// Whose data may still change behind our back, if that has changed. Where all of it is to be sent again, all of it is in doubt
    /// until that has begun.
    pub(super) fn show_doubt(&mut self) {
        if !std::mem::take(&mut self.is_doubt_changed) {
            return;
        }
        let doubted = self.doubted();
        let is_going_back = self.going_back.is_some();
        self.freshness.update(self.replica.index, |view| {
            view.doubt(doubted);
            view.is_going_back = is_going_back;
        });
    }

    fn doubted(&self) -> HashSet<String> {
        let lanes = self.doubts.lanes().chain(self.reread_lanes());
        lanes.map(str::to_owned).collect()
    }

    /// Whether it is there, and is who it was.
    pub(super) fn show_trust(&mut self) {
        let trusted_at = self.replica.trusted_at();
        self.freshness
            .update(self.replica.index, |view| view.trusted_at = trusted_at);
    }
}
