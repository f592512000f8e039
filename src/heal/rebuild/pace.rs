//! No more than so many bytes a second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Bytes a second that all slices share; none: no limit.
pub(super) struct Pace {
    rate: Option<u64>,
    /// When what was taken is paid for.
    free: Mutex<Instant>,
}

impl Pace {
    /// So many bytes a second.
    pub(super) fn new(rate: Option<u64>) -> Pace {
        Pace {
            rate,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Returns when all that was taken before is paid for.
    pub(super) async fn take(&self, bytes: u64) {
        let Some(rate) = self.rate else {
            return;
        };
        let costs = Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1));
        let turn = {
            let mut free = self.free.lock();
            let turn = (*free).max(Instant::now());
            *free = turn + costs;
            turn
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time_whoever_takes_them() {
        let began = Instant::now();
        let pace = Pace::new(Some(1_000));
        for _ in 0..5 {
            tokio::join!(pace.take(500), pace.take(500));
        }
        assert_eq!(began.elapsed().as_millis(), 4_500);
        let unlimited = Pace::new(None);
        unlimited.take(u64::MAX).await;
        assert_eq!(began.elapsed().as_millis(), 4_500);
    }
}
