//! Going back: what was in doubt is sent again with all that followed it (rules R2 and W7).

use std::sync::Arc;
use std::time::Instant;

use log::info;

use super::{Finished, Replicator};
use crate::relay::replica::request::{Pieces, get_request};
use crate::relay::replicator::last_accepted::LastAccepted;
use crate::relay::replicator::queue::tracker::Tracker;
use crate::relay::replicator::rewind::Checkpoint;

impl Replicator {
    /// Sets the replicator back once what was in doubt has had its time, or a node has returned; not while anything is under
    /// way, so that nothing old can arrive behind what is sent again.
    pub(super) fn go_back_if_due(&mut self) {
        let now = Instant::now();
        // What is in doubt beside a statement is of lanes that it does not touch, and waits for the end of it.
        if self.is_linked()
            && !self.is_statement_under_way()
            && let Some(mut before) = self.rewind.settle_doubts()
        {
            let cursor = self.tracker.cursor();
            if before.position.sequence > cursor.sequence {
                // It has gone back further already, and has not come there again.
                before = self.rewind.here(cursor);
            }
            info!(
                "replica {}: what had no answer is sent again, from record {} on",
                self.replica.stats.name,
                before.position.sequence.next()
            );
            self.go_back_to(before);
        }
        if self.under_way.is_empty()
            && let Some(place) = self.going_back.take()
        {
            let sequence = place.position.sequence;
            self.start_over(now, place);
            self.pending_clients.go_back(self.replica.index, sequence);
        }
    }

    /// While something is in doubt the node is to be heard of, or its time would stand still: when there is nothing else that it
    /// answers it is pinged. Says when that is due.
    pub(super) fn keep_hearing(&mut self) -> Option<Instant> {
        if !self.is_linked() || self.is_pinged {
            return None;
        }
        let moment = self.rewind.next_hearing()?;
        if moment > Instant::now() {
            return Some(moment);
        }
        let address = self.replica.server.address()?;
        let replica = Arc::clone(&self.replica);
        let longest = self.rewind.step();
        self.is_pinged = true;
        self.under_way.push(Box::pin(async move {
            let mut request = Pieces::default();
            request.push(get_request("/ping", address));
            let answer = replica.client.exchange(address, request);
            Finished::Ping(tokio::time::timeout(longest, answer).await.ok())
        }));
        None
    }

    /// Reads and sends from here on.
    pub(super) fn start_over(&mut self, now: Instant, place: Checkpoint) {
        self.end_lanes();
        self.stalled.clear();
        self.pending_clients.unstall_all(self.replica.index);
        self.forget_barriers();
        self.pending_clients.carries_out(self.replica.index, None);
        self.window.clear();
        self.last_accepted = LastAccepted::default();
        self.tracker = Tracker::new(place.position);
        self.reader = self.journal.reader(place.position.sequence);
        let sequence = place.position.sequence;
        self.rewind.went_back(now, place);
        self.show_start(sequence);
    }

    pub(super) fn go_back_to(&mut self, place: Checkpoint) {
        let sequence = place.position.sequence;
        if let Some(earlier) = &self.going_back
            && earlier.position.sequence < sequence
        {
            return;
        }
        if sequence < self.tracker.cursor().sequence || !self.lanes.is_empty() {
            self.going_back = Some(place);
            self.show_doubt();
        }
    }

    /// The place from which everything would have to be sent again, were this life to end now.
    pub(super) fn back(&self) -> Checkpoint {
        let back = self.rewind.back();
        match &self.going_back {
            Some(place) if place.position.sequence < back.position.sequence => place.clone(),
            _ => back,
        }
    }

    /// Whether something that got no answer may still be carried out, or is to be sent again for it.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.rewind.doubted().is_some() || self.going_back.is_some() || self.unanswered.is_some()
    }
}
