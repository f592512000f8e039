//! Counts the requests under way, so that a graceful stop can wait until there are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of requests under way; a clone counts the same ones.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    /// Told of each fall to zero.
    none_left: Notify,
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<Shared>);

impl InFlight {
    pub(crate) fn enter(&self) -> InFlightGuard {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        InFlightGuard(Arc::clone(&self.0))
    }

    /// How many there are now.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Returns when there are none.
    pub async fn none_left(&self) {
        loop {
            // From here on a fall to zero is not missed.
            let fallen = self.0.none_left.notified();
            if self.count() == 0 {
                return;
            }
            fallen.await;
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // What the request did is seen by who finds none left.
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn waits_for_the_last_request() {
        let in_flight = InFlight::default();
        in_flight.none_left().await;
        let first = in_flight.enter();
        let second = in_flight.enter();
        let mut wait = Box::pin(in_flight.none_left());
        assert!(wait.as_mut().now_or_never().is_none());
        drop(first);
        assert!(wait.as_mut().now_or_never().is_none());
        assert_eq!(in_flight.count(), 1);
        drop(second);
        wait.await;
    }
}
