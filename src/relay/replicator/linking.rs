//! Beginning and losing the way to the node, and what else that means to the replicator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::handshake::{Completed, Handshake, Unwelcome};
use super::{Finished, Replicator};
use crate::relay::record::removal::Removal;
use crate::relay::replica::client::SendError;
use crate::relay::replica::questions::Unanswered;
use crate::relay::verdict::reach::Reach;

impl Replicator {
    /// Whether the node answers.
    pub(super) fn is_linked(&self) -> bool {
        self.link.is_linked()
    }

    /// Asks the node who it is.
    pub(super) fn begin_handshake(&mut self, now: Instant) {
        let of_statement = usize::from(self.barriers.is_under_way());
        if self.under_way.len() > of_statement {
            // What was sent before the link was lost is still coming to its end; its records must not be sent twice at once. A statement
            // may take long, and is sent again only when it can no longer run.
            self.link.stay_away(now + self.pace.retry_min);
            return;
        }
        let Some(address) = self.replica.address() else {
            self.lost(now, self.replica.why_nowhere().to_owned(), None);
            return;
        };
        // What nobody watched, or what is somewhere else now, may be another node, however often it has to be asked.
        if !self.link.is_watched_at(address) {
            self.distrust();
        }
        if self.replica.take_as_it_is() {
            self.forget(&Removal::Databases(None));
        }
        let before = match self.reach(now) {
            Reach::Near => Reach::Behind,
            before => before,
        };
        let liveness = self.link.begin_handshake(before);
        let handshake = Handshake {
            replica: Arc::clone(&self.replica),
            others: self.others.clone(),
            address,
            may_open: self.link.may_open(now),
            liveness,
            started: self.link.started().cloned(),
            identity_point: self.back().identity_point,
            newest: self.newest_identity_point(),
            known: self.known.clone(),
        };
        self.under_way.push(Box::pin(async move {
            Finished::Handshake(Box::new(handshake.run().await))
        }));
    }

    pub(super) fn handshake_completed(&mut self, now: Instant, completed: Completed) {
        self.link.watch(completed.liveness);
        let welcome = match completed.outcome {
            Ok(welcome) => welcome,
            Err(Unwelcome::Unanswered(Unanswered::Busy {
                reason,
                retry_after,
            })) => {
                self.lost(now, reason, retry_after);
                return;
            }
            Err(Unwelcome::Unanswered(Unanswered::Broken(error))) => {
                self.broke(now, &error);
                return;
            }
            Err(Unwelcome::Doubtful(reason)) => {
                self.hold(now, reason);
                return;
            }
        };
        self.replica.learn_version(&welcome.ping);
        if !self.is_who_it_was(&welcome) {
            self.link.stay_away(now);
            return;
        }
        let is_new = self.link.trust(welcome.started);
        self.replica.set_process(self.link.started().cloned());
        if is_new {
            self.attempts.process_ended();
            self.save_attempts();
            self.nothing_is_under_way_there();
        } else if !self.replica.is_trusted() {
            self.stood_still(now);
        }
        self.attempts.was_away();
        self.is_held = false;
        self.replica.set_held(false);
        self.replica.trust(self.link.address());
        self.show_trust();
        self.link.linked(now);
        self.replica.stats.request_limit.set(0);
        self.doubts.heard(now);
        if !welcome.has_lost_nothing {
            self.go_back_to(self.back());
        }
        if is_new {
            // What the process before it had not answered went with it; where it is gone back to is before that.
            self.forget_doubts();
        }
        // Before others hear that it answers, so that who waits for that finds it in reach.
        self.go_back_if_due();
        let behind = self.journal.durable().sequence.get();
        let place = match &self.going_back {
            Some(place) => place.position,
            None => self.tracker.cursor(),
        };
        info!(
            "replica {} answers; from record {} on it is sent {} records",
            self.replica.stats.name,
            place.sequence.next(),
            behind.saturating_sub(place.sequence.get())
        );
    }

    /// The node could not be reached, or gave no answer: it may have died, and may have lost its last seconds.
    pub(super) fn broke(&mut self, now: Instant, error: &SendError) {
        self.broke_for(now, error.to_string());
    }

    /// The same, for this reason.
    pub(super) fn broke_for(&mut self, now: Instant, reason: String) {
        self.distrust();
        self.lost(now, reason, None);
    }

    /// Trouble of the whole replica: nothing is sent to it for a while.
    pub(super) fn lost(&mut self, now: Instant, reason: String, retry_after: Option<Duration>) {
        self.give_turn_back();
        if !self.barriers.is_under_way() {
            // Nobody waits for its verdict any longer.
            self.pending_clients.carries_out(self.replica.index, None);
        }
        let loss = self.link.lose(now, retry_after);
        if loss.is_news {
            warn!(
                "replica {} takes no writes: {reason}",
                self.replica.stats.name
            );
        }
        if loss.was_linked {
            self.replica.client.drop_idle();
        }
        self.replica.stats.retries.increment();
        self.replica.note_error(reason);
    }

    /// A person has put its server in maint: nothing is sent from here on, and what is under way comes to its end.
    pub(super) fn close(&mut self) {
        if !self.link.close() {
            return;
        }
        warn!(
            "replica {}: its server is in maint: nothing is sent to it, and its backlog grows",
            self.replica.stats.name
        );
        self.distrust();
        self.give_turn_back();
        if !self.barriers.is_under_way() {
            // Nobody waits for its verdict any longer.
            self.pending_clients.carries_out(self.replica.index, None);
        }
        self.replica.client.drop_idle();
    }

    /// The health check's word, or a person's: a server that came up is tried at once.
    pub(super) fn server_changed(&mut self) {
        if !self.replica.is_up() {
            self.give_turn_back();
        } else {
            self.link.hurry(Instant::now());
        }
    }
}
