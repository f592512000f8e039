//! The way to the node: whether it answers, when it is tried again, and what watches for its end.
//!
//! | state | ends when |
//! | --- | --- |
//! | unasked: since the start | the first handshake begins |
//! | away: nothing is sent | its moment has come: then a handshake begins |
//! | handshake: the node is asked who it is | the node answers: linked; or not: away |
//! | linked | the way to the node is lost: away |
//! | closed: its server is in maint | the server is in maint no longer: then a handshake begins |

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::influx::Started;
use crate::relay::replica::backoff::Backoff;
use crate::relay::replica::liveness::{self, Liveness};
use crate::relay::verdict::reach::Reach;

/// A liveness connection that ended sooner is not replaced at once: something there closes idle connections.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// The state of the way to the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkState {
    /// No handshake has begun.
    Unasked,
    /// A handshake begins, not before the moment.
    Away { until: Instant },
    /// A handshake is under way; others go on taking the replica for what it was.
    Handshake { before: Reach },
    /// Its server is in maint.
    Closed,
    /// The node answers.
    Linked,
}

/// The way to one node.
#[derive(Debug)]
pub(super) struct Link {
    state: LinkState,
    /// Where the handshake went last.
    address: Option<SocketAddr>,
    /// Watches for the end of the node's process.
    liveness: Option<Liveness>,
    /// One that ended at once is not replaced before this moment.
    liveness_after: Instant,
    liveness_backoff: Backoff,
    /// The process that was trusted last, if it said when it started.
    started: Option<Started>,
    backoff: Backoff,
    /// The longest wait of the backoff.
    retry_max: Duration,
    /// Since when it is linked.
    since: Instant,
    /// Bytes of a body that the node is sent at once, as far as they can be cut: what it did not refuse as too large.
    largest: usize,
}

/// How the way to a node was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss {
    /// It was linked until now.
    pub(super) was_linked: bool,
    /// It is to be told: repeats are told once per growth of the wait.
    pub(super) is_news: bool,
}

impl Link {
    pub(super) fn new(now: Instant, retry_min: Duration, retry_max: Duration) -> Link {
        Link {
            state: LinkState::Unasked,
            address: None,
            liveness: None,
            liveness_after: now,
            liveness_backoff: Backoff::new(retry_min, retry_max),
            started: None,
            backoff: Backoff::new(retry_min, retry_max),
            retry_max,
            since: now,
            largest: usize::MAX,
        }
    }

    pub(super) fn state(&self) -> LinkState {
        self.state
    }

    /// Where it was asked last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether the node answers.
    pub(super) fn is_linked(&self) -> bool {
        self.state == LinkState::Linked
    }

    /// When a handshake may begin, if nothing is sent until then.
    pub(super) fn away_until(&self) -> Option<Instant> {
        match self.state {
            LinkState::Away { until } => Some(until),
            LinkState::Unasked
            | LinkState::Handshake { .. }
            | LinkState::Closed
            | LinkState::Linked => None,
        }
    }

    /// A handshake begins, not before the moment.
    pub(super) fn stay_away(&mut self, until: Instant) {
        self.state = LinkState::Away { until };
    }

    /// Its server is in maint. False if that is known, or a handshake is still under way.
    pub(super) fn close(&mut self) -> bool {
        if matches!(self.state, LinkState::Closed | LinkState::Handshake { .. }) {
            return false;
        }
        self.state = LinkState::Closed;
        self.backoff.reset();
        true
    }

    /// Whether the node is where it was asked last, and was watched since.
    pub(super) fn is_watched_at(&mut self, address: SocketAddr) -> bool {
        self.address.replace(address) == Some(address) && self.liveness.is_some()
    }

    /// A handshake begins. Gives away the liveness connection, which comes back with its result.
    pub(super) fn begin_handshake(&mut self, before: Reach) -> Option<Liveness> {
        self.state = LinkState::Handshake { before };
        self.liveness.take()
    }

    /// The liveness connection that the handshake left.
    pub(super) fn watch(&mut self, liveness: Option<Liveness>) {
        self.liveness = liveness;
    }

    /// Whether a new liveness connection may be opened.
    pub(super) fn may_open(&self, now: Instant) -> bool {
        self.liveness_after <= now
    }

    /// The process that was trusted last, if it said when it started.
    pub(super) fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// This process is trusted. Returns whether it is known to be another one than the last.
    pub(super) fn trust(&mut self, started: Option<Started>) -> bool {
        let is_new = self.started.is_some() && started.is_some() && self.started != started;
        self.started = started;
        is_new
    }

    /// The handshake was well; the node may have another limit than before.
    pub(super) fn linked(&mut self, now: Instant) {
        self.state = LinkState::Linked;
        self.since = now;
        self.largest = usize::MAX;
    }

    /// Trouble of the whole node. The wait grows until something is applied, or nothing was amiss for as long as the wait may grow.
    pub(super) fn lose(&mut self, now: Instant, retry_after: Option<Duration>) -> Loss {
        if self.state == LinkState::Closed {
            // What was under way came to no good end; nothing more is sent in any case.
            return Loss {
                was_linked: false,
                is_news: false,
            };
        }
        let was_linked = self.is_linked();
        if was_linked && now.saturating_duration_since(self.since) >= self.retry_max {
            self.backoff.reset();
        }
        let is_news = was_linked && self.backoff.grows();
        let wait = self.backoff.next();
        let longest = self.retry_max.max(wait);
        let wait = retry_after.map_or(wait, |asked| asked.clamp(wait, longest));
        self.stay_away(now + wait);
        Loss {
            was_linked,
            is_news,
        }
    }

    /// The health check says that the node is up: it is tried at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let LinkState::Away { until } = &mut self.state {
            *until = now;
        }
    }

    /// Something was applied: the next wait is the shortest again.
    pub(super) fn applied(&mut self) {
        self.backoff.reset();
    }

    /// Nothing watches for the end of the node's process.
    pub(super) fn distrust(&mut self) {
        self.liveness = None;
    }

    /// The replica stands aside, or another node's data was copied to it.
    pub(super) fn forget(&mut self, now: Instant) {
        self.started = None;
        self.backoff.reset();
        self.stay_away(now);
    }

    /// Ends when the liveness connection does; never, if there is none.
    pub(super) async fn liveness_ended(&self) {
        liveness::ended(self.liveness.as_ref()).await;
    }

    /// It has ended: when it may be replaced.
    pub(super) fn put_off_liveness(&mut self, now: Instant) {
        let lived = self.liveness.as_ref().map(Liveness::age);
        if lived.is_some_and(|age| age < SHORT_LIFE) {
            self.liveness_after = now + self.liveness_backoff.next();
        } else {
            self.liveness_after = now;
            self.liveness_backoff.reset();
        }
    }

    /// Whether a node that answers needs another handshake: nothing watches for its end, or its name means another address now.
    pub(super) fn needs_handshake(&self, now: Instant, address: Option<SocketAddr>) -> bool {
        let is_unwatched = self.liveness.is_none() && self.may_open(now);
        is_unwatched || (address.is_some() && address != self.address)
    }

    /// When the liveness connection will be replaced.
    pub(super) fn next_liveness(&self) -> Option<Instant> {
        let is_missing = self.is_linked() && self.liveness.is_none();
        is_missing.then_some(self.liveness_after)
    }

    /// Bytes of a body that the node is sent at once.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// The node did not take so many bytes at once. Returns whether that is news.
    pub(super) fn refused_as_too_large(&mut self, size: usize) -> bool {
        let is_news = self.largest == usize::MAX;
        self.largest = self.largest.min(size / 2);
        is_news
    }
}

#[cfg(test)]
mod tests;
