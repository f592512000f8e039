//! Counts the requests under way, so that a graceful stop can wait until there are none.

use tokio::sync::watch;

/// The number of requests under way; a clone counts the same ones.
#[derive(Debug, Clone, Default)]
pub struct InFlight(watch::Sender<usize>);

/// One request under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard(watch::Sender<usize>);

impl InFlight {
    pub(crate) fn enter(&self) -> InFlightGuard {
        // Nobody is woken for a rise: only the fall to zero is waited for.
        self.0.send_if_modified(|count| {
            *count += 1;
            false
        });
        InFlightGuard(self.0.clone())
    }

    /// How many there are now.
    pub fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Returns when there are none.
    pub async fn none_left(&self) {
        // The sender is `self`, so the wait cannot fail.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
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
