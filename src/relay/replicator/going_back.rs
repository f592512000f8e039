//! Going back: a node that may have lost its last seconds is sent them again, all lanes in the order of the journal (rule R2).

use std::sync::Arc;
use std::time::Instant;

use super::{Finished, Replicator};
use crate::journal::Sequence;
use crate::relay::replica::request::{Pieces, get_request};
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

    /// While something is in doubt the node is to be heard of, or its time would stand still: when there is nothing else that it
    /// answers it is pinged. Says when that is due.
    pub(super) fn keep_hearing(&mut self) -> Option<Instant> {
        if !self.is_linked() || self.is_pinged {
            return None;
        }
        let moment = self.doubts.next_hearing()?;
        if moment > Instant::now() {
            return Some(moment);
        }
        let address = self.replica.server.address()?;
        let replica = Arc::clone(&self.replica);
        let longest = self.doubts.step();
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

    /// A request of this lane got no answer: `first` is its first record.
    pub(super) fn put_in_doubt(&mut self, now: Instant, lane: &str, first: Option<Sequence>) {
        let before = first.and_then(|first| self.tracker.before(first));
        let from = match (before, self.lane_reread_from(lane)) {
            (Some(position), _) => self.rewind.at(position),
            (None, Some(from)) => from.clone(),
            (None, None) => self.back(),
        };
        self.doubts.doubt(now, lane, from);
        self.is_doubt_changed = true;
    }

    /// Nothing that got no answer can be carried out any more.
    pub(super) fn forget_doubts(&mut self) {
        self.doubts.forget();
        self.is_doubt_changed = true;
    }

    /// Whether what got no answer before this record may still be carried out, or is being sent again for that.
    pub(super) fn is_in_doubt_before(&self, sequence: Sequence) -> bool {
        let mut places = self.doubts.oldest().into_iter().chain(self.reread_from());
        places.any(|from| from.position.sequence < sequence)
    }

    /// Whether the lane is to be sent again before anything else of it.
    pub(super) fn is_to_be_reread(&self, lane: &str) -> bool {
        self.doubts.is_over(lane) && self.lane_reread_from(lane).is_none()
    }

    /// Whether something that got no answer may still be carried out, or is to be sent again for it.
    pub(super) fn is_in_doubt(&self) -> bool {
        !self.doubts.is_empty()
            || !self.rereads.is_empty()
            || self.going_back.is_some()
            || self.unanswered.is_some()
    }
}
