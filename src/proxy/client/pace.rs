//! How fast a body has to come.
//!
//! A client has a stock of time, `timeout.http_body` when the body begins. Waiting for its bytes takes from the stock, and
//! each byte that comes puts back as long as `min_body_rate` allows for it, up to the whole. So who keeps the rate never runs
//! out, who pauses may pause for the whole stock, and who drips runs out of it. Nobody may be silent for longer than
//! `timeout.client`. Time in which nobody waits for the client is not counted.

use std::time::Duration;

use tokio::time::Instant;

/// What a frontend asks of its clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// `timeout.http_body`.
    pub(super) stock: Duration,
    /// `min_body_rate`, in bytes a second.
    pub(super) least: u32,
    /// `timeout.client`.
    pub(super) silence: Duration,
}

/// The stock of one body.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    left: Duration,
    /// Since when bytes are waited for.
    waiting: Option<Instant>,
}

impl Pace {
    /// A whole stock.
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            left: rate.stock,
            waiting: None,
        }
    }

    /// A whole stock again, for the next body.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.rate);
    }

    /// Nothing is there at `now`; returns when that has lasted for too long.
    pub(super) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting.get_or_insert(now) + self.left.min(self.rate.silence)
    }

    /// It is not the client that is waited for any more.
    pub(super) fn pause(&mut self, now: Instant) {
        if let Some(since) = self.waiting.take() {
            let waited = now.saturating_duration_since(since);
            self.left = self.left.saturating_sub(waited);
        }
    }

    /// So many bytes have come. `now` is asked for only if they were waited for.
    pub(super) fn came(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        let Some(since) = self.waiting.take() else {
            return;
        };
        let waited = now().saturating_duration_since(since);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1).saturating_mul(bytes) / self.rate.least.max(1);
        let left = self.left.saturating_sub(waited).saturating_add(earned);
        self.left = left.min(self.rate.stock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        stock: Duration::from_secs(10),
        least: 100,
        silence: Duration::from_secs(60),
    };

    /// After how many pieces of so many bytes, one a second, the stock is used up.
    fn pieces_until_over(bytes: usize) -> Option<usize> {
        let start = Instant::now();
        let mut pace = Pace::new(RATE);
        (0..1000)
            .find(|piece| {
                let now = start + Duration::from_secs(*piece);
                let over = pace.wait(now) <= now + Duration::from_secs(1);
                pace.came(bytes, || now + Duration::from_secs(1));
                over
            })
            .map(|piece| piece as usize)
    }

    #[test]
    fn who_drips_runs_out_and_who_keeps_the_rate_does_not() {
        assert_eq!(pieces_until_over(1), Some(10));
        assert_eq!(pieces_until_over(50), Some(18));
        assert_eq!(pieces_until_over(100), None);
    }

    #[test]
    fn a_pause_may_be_as_long_after_much_as_after_little() {
        let start = Instant::now();
        let mut pace = Pace::new(RATE);
        pace.wait(start);
        pace.came(1 << 30, || start + Duration::from_secs(5));
        assert_eq!(pace.wait(start), start + RATE.stock);
    }

    #[test]
    fn no_pause_is_longer_than_the_silence_that_is_allowed() {
        let start = Instant::now();
        let silence = Duration::from_secs(3);
        let mut pace = Pace::new(Rate { silence, ..RATE });
        for _ in 0..10 {
            assert_eq!(pace.wait(start), start + silence);
            pace.came(1 << 30, || start + Duration::from_secs(2));
        }
        pace.wait(start);
        pace.came(0, || start + Duration::from_secs(8));
        assert_eq!(pace.wait(start), start + Duration::from_secs(2));
    }

    #[test]
    fn time_in_which_nobody_waits_is_not_counted() {
        let start = Instant::now();
        let mut pace = Pace::new(RATE);
        pace.came(0, || panic!("nobody waited"));
        assert_eq!(pace.wait(start), start + RATE.stock);
        pace.pause(start + Duration::from_secs(1));
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.wait(later), later + Duration::from_secs(9));
    }
}
