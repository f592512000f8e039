//! The deadline for the whole header of a request.
//!
//! Pingora limits each read of a header, so a client that sends a byte a minute would hold its connection for ever. One
//! clock for each connection is armed while a header is awaited and disarmed when it is there; its timer looks only as often
//! as the shortest limit, so a request costs two stores and no timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const DISARMED: u64 = u64::MAX;

tokio::task_local! {
    /// The clock of the connection whose task this is.
    static CLOCK: Arc<HeaderClock>;
}

/// The deadline of one connection.
#[derive(Debug)]
pub(crate) struct HeaderClock {
    opened: Instant,
    /// Milliseconds after `opened`, or `DISARMED`.
    deadline: AtomicU64,
    /// No deadline is ever set nearer than this.
    shortest: Duration,
}

impl HeaderClock {
    /// A clock that runs out `shortest` from now.
    pub(crate) fn armed(shortest: Duration) -> Self {
        let clock = Self {
            opened: Instant::now(),
            deadline: AtomicU64::new(DISARMED),
            shortest,
        };
        clock.arm(shortest);
        clock
    }

    /// Runs out `after` from now, which is not less than the shortest limit.
    pub(crate) fn arm(&self, after: Duration) {
        let deadline = (self.opened.elapsed() + after).as_millis();
        self.deadline.store(
            u64::try_from(deadline).unwrap_or(DISARMED),
            Ordering::Relaxed,
        );
    }

    /// Does not run out until it is armed again.
    pub(crate) fn disarm(&self) {
        self.deadline.store(DISARMED, Ordering::Relaxed);
    }

    /// Returns when it has run out.
    pub(crate) async fn expired(&self) {
        loop {
            let next = match self.deadline.load(Ordering::Relaxed) {
                DISARMED => Instant::now() + self.shortest,
                deadline => {
                    let deadline = self.opened + Duration::from_millis(deadline);
                    if deadline <= Instant::now() {
                        return;
                    }
                    deadline
                }
            };
            tokio::time::sleep_until(next).await;
        }
    }

    /// Runs `work` as the task of this clock's connection.
    pub(crate) async fn scope<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        CLOCK.scope(self, work).await
    }

    /// The clock of the connection whose task calls this.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CLOCK.try_with(Arc::clone).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn runs_out_only_while_armed() {
        let start = Instant::now();
        let clock = Arc::new(HeaderClock::armed(Duration::from_secs(10)));
        let watched = Arc::clone(&clock);
        let expiry = tokio::spawn(async move {
            watched.expired().await;
            Instant::now()
        });
        tokio::time::sleep(Duration::from_secs(9)).await;
        clock.disarm();
        tokio::time::sleep(Duration::from_secs(95)).await;
        assert!(!expiry.is_finished());
        clock.arm(Duration::from_secs(15));
        let expired = expiry.await.unwrap() - start;
        assert!((119..=120).contains(&expired.as_secs()), "{expired:?}");
    }
}
