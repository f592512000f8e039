//! What requests without an answer mean to the replicator (rule W7): their lanes are put in [doubt](super::doubts), and the node is
//! asked for signs of life so that the doubts come to their end.

use std::sync::Arc;
use std::time::Instant;

use super::{Finished, Replicator};
use crate::journal::Sequence;
use crate::relay::replica::request::{Pieces, get_request};

impl Replicator {
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
        let address = self.replica.trusted_address()?;
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
}
