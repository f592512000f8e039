//! When a replica is none: it stands aside, until a person takes it back (rules R3 and R4).

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use log::error;

use super::statements::SAVE_TIMEOUT;
use super::{Common, Replicator};
use crate::relay::verdict::reach::Reach;
use crate::relay::verdict::refusals::Refusals;
use crate::stats::ReplicaStatus;

impl Replicator {
    /// Rule R4: no records, no acknowledgements, and nobody waits for it. Its place in the journal is given up.
    pub(super) async fn stand_aside(&mut self) {
        self.drain().await;
        self.under_way = FuturesUnordered::new();
        self.is_pinged = false;
        self.lanes.clear();
        self.barriers.clear();
        self.forget_rereads();
        self.forget_doubts();
        self.unanswered = None;
        self.window.clear();
        self.link.forget(Instant::now());
        self.distrust();
        self.is_held = false;
        // The control's change of its place may have crossed a handshake.
        self.replica.set_held(false);
        self.going_back = None;
        let index = self.replica.index;
        self.pending_clients.carries_out(index, None);
        self.stalled.clear();
        self.pending_clients.unstall_all(index);
        self.dead_letters
            .set_follows(&self.replica.stats.name, false);
        self.pending_clients.set_reach(index, Reach::Away);
        self.pending_clients
            .change_refusals(|refusals| refusals.leave(index));
        self.keeper.keep_letters().await;
        self.give_up_place().await;
        if let Some(divergence) = self.replica.membership().divergence() {
            self.replica.note_error(divergence.reason.clone());
        }
        self.show_lanes(Instant::now());
        self.replica
            .publish(ReplicaStatus::Diverged, self.tracker.cursor(), None);
    }

    /// Removes its cursor, from both tables: else damage to the newer one would show the older one's cursor, and make it a
    /// follower again if the membership file is damaged too.
    async fn give_up_place(&mut self) {
        self.journal.remove_cursor(&self.replica.stats.name);
        let saved = tokio::time::timeout(SAVE_TIMEOUT, self.journal.settle_cursors()).await;
        let trouble = match saved {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the journal's disk does not answer".to_owned(),
        };
        error!(
            "replica {}: that its place in the journal is given up could not be saved: {trouble}",
            self.replica.stats.name
        );
    }

    /// It was taken back: it follows from where its cursor was put. Another node's data was copied to it, so the cursor says all that
    /// is known of it, and nothing that this run has learned of the node before counts.
    pub(super) fn come_back(&mut self) {
        let (replica, common) = (Arc::clone(&self.replica), self.common());
        *self = Replicator::at_saved_cursor(replica, common);
        // What was in doubt before is in the copy.
        self.forget_doubts();
        let place = self.tracker.cursor().sequence;
        self.show_start(place);
        let index = self.replica.index;
        self.pending_clients
            .change_refusals(|refusals| refusals.join(index, place));
    }

    fn common(&self) -> Common {
        Common {
            journal: self.journal.clone(),
            pending_clients: Arc::clone(&self.pending_clients),
            freshness: Arc::clone(&self.freshness),
            dead_letters: self.dead_letters.clone(),
            keeper: Arc::clone(&self.keeper),
            trust: Arc::clone(&self.trust),
            turns: Arc::clone(&self.turns),
            pace: self.pace.clone(),
            replicas: self.others.as_slice().into(),
        }
    }

    /// Rule R3: past its bounds a backlog is let go, if another replica has what is in it.
    pub(super) fn diverge_if_too_far_behind(&mut self) {
        let now = Instant::now();
        if self.keeps_up(now) {
            self.behind_since = None;
            self.allowance = 0;
            return;
        }
        let cursor = self.tracker.cursor();
        let bytes = self.journal.durable().offset.saturating_sub(cursor.offset);
        let age = match bytes {
            // Nothing was written since it is away.
            0 => {
                self.behind_since = None;
                Duration::ZERO
            }
            _ => {
                let since = self.lacks_since().unwrap_or(now);
                now.saturating_duration_since(*self.behind_since.get_or_insert(since))
            }
        };
        let reason = if bytes > self.pace.max_backlog.saturating_add(self.allowance) {
            format!("it is {bytes} bytes behind, more than max_backlog")
        } else if age > self.pace.max_backlog_age {
            format!("it has been behind for {age:?}, longer than max_backlog_age")
        } else if self.is_waited_for_by_many() {
            "half of max_pending_refusals records that another replica refused wait for its verdict"
                .to_owned()
        } else {
            return;
        };
        self.diverge_unless_most_advanced(&reason);
    }

    /// Whether hardly any more refusals could be remembered, because they wait for this replica.
    fn is_waited_for_by_many(&self) -> bool {
        let index = self.replica.index;
        self.pending_clients
            .refusals(|refusals| refusals.is_filled_by(index))
    }

    /// The most advanced replica never diverges: what it has not applied, nobody has.
    fn diverge_unless_most_advanced(&mut self, reason: &str) -> bool {
        let cursor = self.tracker.cursor().sequence;
        self.pending_clients
            .another_is_ahead(self.replica.index, cursor)
            && self.replica.diverge(reason)
    }

    /// Rule J5: marks the replica diverged if another one that follows stands further, and so may have applied what the journal
    /// has lost. Whether that one answers makes no difference: it has its records when it comes back.
    pub(super) fn diverge_if_another_has_more(&mut self, reason: &str) -> bool {
        let cursor = self.tracker.cursor().sequence;
        let following = self.others.iter().filter(|other| other.follows());
        let mut cursors = following.map(|other| {
            let cursor_of = |refusals: &Refusals| refusals.cursor(other.index);
            (self.pending_clients.refusals(cursor_of), &other.stats.name)
        });
        let Some((further, name)) = cursors.find(|(further, _)| *further > cursor) else {
            return false;
        };
        let reason = format!("{reason}; {name} has applied the records up to {further}");
        self.replica.diverge(&reason)
    }
}
