//! How many requests each address sends (`rate_limit`), or wrong passwords (`max_failures`): a bucket for each, which fills steadily.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::model::RateLimit;
use crate::proxy::client::Moments;
use crate::source::Source;

/// The buckets of one limit.
#[derive(Debug)]
pub(in crate::proxy) struct Rates(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    limit: Option<RateLimit>,
    /// When each is full again.
    full_at: Moments,
}

impl Rates {
    /// All buckets are full.
    pub(in crate::proxy) fn new(limit: Option<RateLimit>) -> Self {
        Self(Mutex::new(Buckets {
            limit,
            full_at: Moments::default(),
        }))
    }

    /// Another limit from `now` on. Requests that were counted count by the new one, and empty a bucket at most.
    pub(super) fn change(&self, limit: Option<RateLimit>, now: Instant) {
        let mut buckets = self.0.lock();
        match (buckets.limit, limit) {
            (Some(before), Some(after)) => buckets.full_at.change_left(now, |left| {
                let requests = left.as_nanos().div_ceil(each(&before).as_nanos().max(1));
                let requests = u32::try_from(requests).unwrap_or(u32::MAX);
                each(&after) * requests.min(after.burst)
            }),
            _ => buckets.full_at.forget(),
        }
        buckets.limit = limit;
    }

    /// Lets a request of `source` go on now.
    ///
    /// # Errors
    ///
    /// It has to wait, and for how long.
    pub(in crate::proxy) fn admit(&self, source: Source, now: Instant) -> Result<(), Duration> {
        self.0.lock().admit(source, now)
    }

    /// Whether a request of `source` would be admitted now.
    pub(in crate::proxy) fn would_admit(&self, source: Source, now: Instant) -> bool {
        self.0.lock().would_admit(source, now)
    }

    /// Counts one more of `source`, also past the limit: then it has so much longer to wait.
    pub(in crate::proxy) fn charge(&self, source: Source, now: Instant) {
        self.0.lock().charge(source, now);
    }
}

impl Buckets {
    fn admit(&mut self, source: Source, now: Instant) -> Result<(), Duration> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let full_at = self.full_at.of(source, limit.max_sources, now);
        let wait = wait(&limit, *full_at, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        *full_at += each(&limit);
        Ok(())
    }

    fn would_admit(&self, source: Source, now: Instant) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let full_at = self.full_at.kept_of(source, limit.max_sources);
        full_at.is_none_or(|full_at| wait(&limit, full_at, now).is_zero())
    }

    fn charge(&mut self, source: Source, now: Instant) {
        if let Some(limit) = self.limit {
            *self.full_at.of(source, limit.max_sources, now) += each(&limit);
        }
    }
}

/// How long until a bucket that is full at this moment holds one request.
fn wait(limit: &RateLimit, full_at: Instant, now: Instant) -> Duration {
    let each = each(limit);
    (full_at.max(now) + each).saturating_duration_since(now + each * limit.burst)
}

/// In what time a bucket gets room for one request.
fn each(limit: &RateLimit) -> Duration {
    limit.per / limit.requests
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn limit(requests: u32, burst: u32, max_sources: usize) -> Option<RateLimit> {
        Some(RateLimit {
            requests,
            per: Duration::from_secs(1),
            burst,
            max_sources,
        })
    }

    fn admits(rates: &Rates, source: Source, now: Instant) -> bool {
        rates.admit(source, now).is_ok()
    }

    fn source(last: u8) -> Source {
        Source::from(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (rates, now) = (Rates::new(limit(10, 3, 100)), Instant::now());
        let at = |milliseconds: u64| now + Duration::from_millis(milliseconds);
        for _ in 0..3 {
            assert!(admits(&rates, source(1), at(0)));
        }
        assert!(!admits(&rates, source(1), at(0)));
        assert!(!admits(&rates, source(1), at(99)));
        assert!(admits(&rates, source(2), at(99)), "another one has its own");
        assert!(admits(&rates, source(1), at(100)));
        assert!(!admits(&rates, source(1), at(100)));
        // After a pause no more than a burst.
        let admitted = (0..9).filter(|_| admits(&rates, source(1), at(60_000)));
        assert_eq!(admitted.count(), 3);
        rates.change(None, at(60_000));
        assert!((0..9).all(|_| admits(&rates, source(1), at(60_000))));
    }

    #[test]
    fn who_is_refused_hears_for_how_long() {
        let (rates, now) = (Rates::new(limit(1, 2, 1)), Instant::now());
        let at = |milliseconds: u64| now + Duration::from_millis(milliseconds);
        let wait = |milliseconds| Err(Duration::from_millis(milliseconds));
        assert_eq!([0, 0].map(|_| rates.admit(source(1), at(0))), [Ok(()); 2]);
        assert_eq!(rates.admit(source(1), at(0)), wait(1000));
        assert_eq!(rates.admit(source(1), at(300)), wait(700));
        assert_eq!(rates.admit(source(1), at(1000)), Ok(()));
        assert_eq!(rates.admit(source(1), at(1000)), wait(1000));
    }

    #[test]
    fn what_was_counted_counts_by_a_new_limit() {
        let (rates, now) = (Rates::new(limit(1, 3, 1)), Instant::now());
        let at = |milliseconds: u64| now + Duration::from_millis(milliseconds);
        let last = [1, 2].map(source);
        for source in last {
            assert!((0..3).all(|_| admits(&rates, source, at(0))));
            assert!(!admits(&rates, source, at(0)));
        }
        // Three requests take 30 ms now, so one of them is let in after 10 ms.
        rates.change(limit(100, 3, 1), at(0));
        for source in last {
            assert!(!admits(&rates, source, at(9)));
            assert!(admits(&rates, source, at(10)));
        }
        // Nobody owes more than the new limit lets pass at once.
        rates.change(limit(1, 1, 1), at(10));
        for source in last {
            assert!(!admits(&rates, source, at(1009)));
            assert!(admits(&rates, source, at(1010)));
        }
    }

    #[test]
    fn what_is_charged_past_the_limit_has_to_be_waited_for() {
        let (rates, now) = (Rates::new(limit(10, 2, 1)), Instant::now());
        let at = |milliseconds: u64| now + Duration::from_millis(milliseconds);
        assert!(rates.would_admit(source(1), at(0)));
        for _ in 0..5 {
            rates.charge(source(1), at(0));
        }
        assert!(!rates.would_admit(source(1), at(399)));
        assert!(rates.would_admit(source(1), at(400)));
        // There is no room for a second address.
        assert!(rates.would_admit(source(2), at(0)));
        rates.charge(source(2), at(0));
        rates.charge(source(3), at(0));
        assert!(!rates.would_admit(source(2), at(0)));
        assert!(rates.would_admit(source(2), at(100)));
    }

    #[test]
    fn addresses_past_the_table_share_one_bucket_until_it_has_room() {
        let (rates, now) = (Rates::new(limit(1, 1, 2)), Instant::now());
        let later = now + Duration::from_secs(1);
        assert!(admits(&rates, source(1), now) && admits(&rates, source(2), now));
        assert!(admits(&rates, source(3), now));
        assert!(!admits(&rates, source(4), now));
        assert!(!admits(&rates, source(1), now));
        assert_eq!(rates.0.lock().full_at.sources(), 2);
        assert!(
            admits(&rates, source(4), later),
            "who was there has a full bucket"
        );
        assert_eq!(rates.0.lock().full_at.sources(), 1);
    }
}
