//! No more than so many bytes a second of a node, and no more than such a part of its time.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// What all questions to a node share.
pub(super) struct Pace {
    /// Bytes a second; none: no limit.
    rate: Option<u64>,
    /// Hundredths of the time of one core; none: no limit.
    load: Option<u32>,
    /// When the bytes that were taken are paid for.
    bytes_paid: Mutex<Instant>,
    /// When the time that was taken is paid for.
    time_paid: Mutex<Instant>,
}

impl Pace {
    /// So many bytes a second, and so many hundredths of the time of one core.
    pub(super) fn new(rate: Option<u64>, load: Option<u32>) -> Pace {
        let now = Instant::now();
        Pace {
            rate,
            load,
            bytes_paid: Mutex::new(now),
            time_paid: Mutex::new(now),
        }
    }

    /// Returns when all bytes that were taken before are paid for.
    pub(super) async fn take(&self, bytes: u64) {
        let Some(rate) = self.rate else {
            return;
        };
        let costs = Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1));
        let turn = {
            let mut paid = self.bytes_paid.lock();
            let turn = (*paid).max(Instant::now());
            *paid = turn + costs;
            turn
        };
        sleep_until(turn).await;
    }

    /// The node was waited for since then. Returns when that is paid for.
    pub(super) async fn waited_since(&self, began: Instant) {
        let Some(load) = self.load else {
            return;
        };
        let costs = began.elapsed() * 100 / load.max(1);
        let turn = {
            let mut paid = self.time_paid.lock();
            *paid = (*paid).max(began) + costs;
            *paid
        };
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time_whoever_takes_them() {
        let began = Instant::now();
        let pace = Pace::new(Some(1_000), None);
        for _ in 0..5 {
            tokio::join!(pace.take(500), pace.take(500));
        }
        assert_eq!(began.elapsed().as_millis(), 4_500);
        let unlimited = Pace::new(None, None);
        unlimited.take(u64::MAX).await;
        assert_eq!(began.elapsed().as_millis(), 4_500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_waited_for_during_a_part_of_the_time_however_many_wait() {
        let pace = Pace::new(None, Some(10));
        let question = async |takes: u64| {
            let began = Instant::now();
            sleep(Duration::from_millis(takes)).await;
            pace.waited_since(began).await;
        };
        let began = Instant::now();
        question(100).await;
        assert_eq!(began.elapsed().as_millis(), 1_000);
        tokio::join!(question(100), question(50));
        assert_eq!(began.elapsed().as_millis(), 2_500);
        question(0).await;
        assert_eq!(began.elapsed().as_millis(), 2_500);
    }
}
