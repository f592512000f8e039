//! The way to the node: greeting it, losing it, and how near it is to the head.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::super::client::{ReplicaAnswer, SendError};
use super::super::wire::{Pieces, get_request};
use super::{Finished, Link, Replicator, WINDOW_BATCHES};

impl Replicator {
    /// Whether the node answers.
    pub(super) fn is_linked(&self) -> bool {
        matches!(self.link, Link::CatchingUp { .. } | Link::Near)
    }

    pub(super) fn away_until(&self) -> Option<Instant> {
        match self.link {
            Link::Away { until } => Some(until),
            Link::Greeting | Link::CatchingUp { .. } | Link::Near => None,
        }
    }

    pub(super) fn greet(&mut self, now: Instant) {
        if !self.under_way.is_empty() {
            // What was sent before the link was lost is still coming to its end; its records must not be sent twice at once.
            self.link = Link::Away {
                until: now + self.pace.retry_min,
            };
            return;
        }
        let Some(address) = self.replica.server.address() else {
            self.lost(now, "its name cannot be resolved".to_owned(), None);
            return;
        };
        self.link = Link::Greeting;
        self.asked = true;
        let replica = Arc::clone(&self.replica);
        self.under_way.push(Box::pin(async move {
            let mut request = Pieces::default();
            request.push(get_request("/ping", address));
            Finished::Greeting(replica.client.exchange(address, request).await)
        }));
    }

    pub(super) fn greeted(&mut self, now: Instant, result: Result<ReplicaAnswer, SendError>) {
        let answer = match result {
            Ok(answer) if answer.status < 500 => answer,
            Ok(answer) => {
                let reason = format!("it answers {} to a ping", answer.status);
                self.lost(now, reason, answer.retry_after);
                return;
            }
            Err(error) => {
                self.lost(now, error.to_string(), None);
                return;
            }
        };
        self.replica.learn_version(&answer);
        self.backoff.reset();
        self.catch_up();
        self.trail.answers_again(now);
        if std::mem::take(&mut self.broken) {
            self.go_back_to(self.trail.back());
        }
        self.is_trusted = true;
        self.show_trust();
        let behind = self.journal.durable().sequence.get();
        let place = self.going_back.unwrap_or(self.tracker.cursor());
        info!(
            "replica {} answers; from record {} on it is sent {} records",
            self.replica.stats.name,
            place.sequence.next(),
            behind.saturating_sub(place.sequence.get())
        );
    }

    pub(super) fn catch_up(&mut self) {
        let target = self.journal.durable().sequence;
        self.link = Link::CatchingUp { target };
    }

    /// What had to be caught up is applied; if much came meanwhile, there is more to catch up.
    pub(super) fn arrive_if_there(&mut self) {
        let Link::CatchingUp { target } = self.link else {
            return;
        };
        let durable = self.journal.durable();
        let behind = durable.offset.saturating_sub(self.tracker.cursor().offset);
        let is_there = self.tracker.cursor().sequence >= target || behind <= self.near();
        if self.going_back.is_some() || !is_there {
            return;
        }
        if behind > self.near() {
            self.catch_up();
        } else {
            self.link = Link::Near;
        }
    }

    /// Bytes that a replica may be behind and still count as near: what its window holds, a matter of a moment.
    pub(super) fn near(&self) -> u64 {
        self.pace.max_batch.saturating_mul(WINDOW_BATCHES) as u64
    }

    /// The node could not be reached, or gave no answer: it may have died, and may have lost its last seconds.
    pub(super) fn broke(&mut self, now: Instant, error: &SendError) {
        self.broken = true;
        self.is_trusted = false;
        self.show_trust();
        self.lost(now, error.to_string(), None);
    }

    /// Trouble of the whole replica.
    pub(super) fn lost(&mut self, now: Instant, reason: String, retry_after: Option<Duration>) {
        if self.is_linked() {
            warn!(
                "replica {} takes no writes: {reason}",
                self.replica.stats.name
            );
            self.replica.client.drop_idle();
        }
        self.replica.stats.retries.increment();
        self.replica.note_error(reason);
        let wait = self.backoff.next();
        let longest = self.pace.retry_max.max(wait);
        let wait = retry_after.map_or(wait, |asked| asked.clamp(wait, longest));
        self.link = Link::Away { until: now + wait };
    }

    /// The health check's word: a server that came up is tried at once.
    pub(super) fn server_changed(&mut self) {
        if self.replica.server.is_up()
            && let Link::Away { until } = &mut self.link
        {
            *until = Instant::now();
            self.backoff.reset();
        }
    }
}
