//! How long to wait before a replica, or a lane of it, is tried again.

use std::time::Duration;

/// Waits that double from `min` to `max`, each drawn between half and all of its length, so that replicators that failed
/// together do not return together.
#[derive(Debug, Clone)]
pub(in crate::relay) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    pub(in crate::relay) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff {
            min,
            max: max.max(min),
            failures: 0,
        }
    }

    /// The wait after one more failure.
    pub(in crate::relay) fn next(&mut self) -> Duration {
        let doubled = self
            .min
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        let whole = doubled.min(self.max);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// Whether the next wait is longer than the one before it: repeats are told once per growth.
    pub(in crate::relay) fn grows(&self) -> bool {
        let doubled = |failures: u32| {
            self.min
                .saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX))
        };
        match self.failures.checked_sub(1) {
            None => true,
            Some(before) => doubled(before) < self.max,
        }
    }

    /// Success: the next wait is the shortest again.
    pub(in crate::relay) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_bounds() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut backoff = Backoff::new(min, max);
        for failure in 0..100_u32 {
            let whole = min
                .saturating_mul(2_u32.saturating_pow(failure.min(20)))
                .min(max);
            let wait = backoff.next();
            assert!(
                wait >= whole / 2 && wait <= whole,
                "wait {failure} was {wait:?}, of {whole:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= min);
        let mut backoff = Backoff::new(min, max);
        let told = (0..100).filter(|_| {
            let grows = backoff.grows();
            backoff.next();
            grows
        });
        assert_eq!(told.count(), 8, "100 ms, 200 ms, … 6.4 s, 10 s");
    }
}
