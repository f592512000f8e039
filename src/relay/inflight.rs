//! How many bytes of clients' bodies are held at once: bounded, whatever arrives.

use std::sync::Arc;

use crate::stats::RelayStats;

/// A body is in memory as it came, and as the journal's record: for as long as its client waits, both count.
const COPIES: usize = 2;

/// The account of one relay.
#[derive(Debug)]
pub(super) struct Inflight {
    limit: u64,
    stats: Arc<RelayStats>,
}

/// Some of the account, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Inflight>,
    bytes: usize,
}

impl Inflight {
    pub(super) fn new(limit: usize, stats: Arc<RelayStats>) -> Arc<Inflight> {
        Arc::new(Inflight {
            limit: limit as u64,
            stats,
        })
    }

    /// Reserves room for a body of so many bytes, if there is room. An empty account always has room for one request, however large.
    pub(super) fn reserve(self: &Arc<Self>, body: usize) -> Option<Reservation> {
        let bytes = body.saturating_mul(COPIES);
        self.take(bytes, 0).then(|| Reservation {
            account: Arc::clone(self),
            bytes,
        })
    }

    /// Takes `bytes` for one who holds `own` already.
    fn take(&self, bytes: usize, own: usize) -> bool {
        let (bytes, own) = (bytes as u64, own as u64);
        let fits = |held: u64| held <= own || held.saturating_add(bytes) <= self.limit;
        self.stats.inflight.add_if(bytes, fits)
    }
}

impl Reservation {
    /// Makes sure that a body of so many bytes is covered. False when there is no room for it.
    pub(super) fn cover(&mut self, body: usize) -> bool {
        let bytes = body.saturating_mul(COPIES);
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return true;
        };
        // In steps, so that a body of many pieces does not touch the shared account for each of them.
        let more = more.max(64 * 1024);
        if !self.account.take(more, self.bytes) {
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.stats.inflight.subtract(self.bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_always_has_room_and_two_share_the_limit() {
        let account = Inflight::new(1 << 20, Arc::default());
        let mut only = account.reserve(1000).expect("an empty account");
        assert!(only.cover(100 << 20), "however large");
        assert!(account.reserve(1).is_none());
        drop(only);
        let mut one = account.reserve(200_000).expect("room");
        let _other = account.reserve(200_000).expect("room");
        assert!(!one.cover(400_000), "each counts twice");
        assert!(account.reserve(200_000).is_none());
    }
}
