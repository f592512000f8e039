//! Going back: a node that may have lost its last seconds is sent them again, all lanes in the order of the journal (rule R2).

use std::time::Instant;

use super::Replicator;
use crate::relay::replicator::last_accepted::LastAccepted;
use crate::relay::replicator::queue::tracker::Tracker;
use crate::relay::replicator::rewind::Checkpoint;

impl Replicator {
    /// Sets the replicator back once a node has returned that may have lost something; not while anything is under way, so that
    /// nothing old can arrive behind what is sent again.
    pub(super) fn go_back_if_due(&mut self) {
        if self.under_way.is_empty()
            && let Some(place) = self.going_back.take()
        {
            let sequence = place.position.sequence;
            self.start_over(Instant::now(), place);
            self.pending_clients.go_back(self.replica.index, sequence);
        }
    }

    /// Reads and sends from here on.
    pub(super) fn start_over(&mut self, now: Instant, place: Checkpoint) {
        self.lanes.clear();
        self.forget_rereads();
        self.stalled.clear();
        self.pending_clients.unstall_all(self.replica.index);
        self.barriers.clear();
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
            self.is_doubt_changed = true;
            self.show_doubt();
        }
    }

    /// The place from which everything would have to be sent again, were haflux to end now.
    pub(super) fn back(&self) -> Checkpoint {
        let back = self.rewind.back();
        let places = self.going_back.iter().chain(self.doubts.oldest());
        let earliest = places
            .chain(self.reread_from())
            .min_by_key(|place| place.position.sequence);
        match earliest {
            Some(place) if place.position.sequence < back.position.sequence => place.clone(),
            _ => back,
        }
    }
}
