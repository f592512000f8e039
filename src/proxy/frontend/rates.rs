//! How many requests each address sends (`rate_limit`), or wrong passwords (`max_failures`): a bucket for each, which fills steadily.

use std::net::IpAddr;
use std::time::Instant;

use parking_lot::Mutex;

use crate::config::model::RateLimit;
use crate::proxy::client::Moments;

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

    /// Another limit from now on. Who has used up the one before waits by the new one.
    pub(super) fn change(&self, limit: Option<RateLimit>) {
        let mut buckets = self.0.lock();
        if limit.is_none() {
            buckets.full_at.forget();
        }
        buckets.limit = limit;
    }

    /// Whether a request of `source` may go on now.
    pub(in crate::proxy) fn admit(&self, source: IpAddr, now: Instant) -> bool {
        self.0.lock().admit(source, now)
    }

    /// Whether a request of `source` would be admitted now.
    pub(in crate::proxy) fn would_admit(&self, source: IpAddr, now: Instant) -> bool {
        self.0.lock().would_admit(source, now)
    }

    /// Counts one more of `source`, also past the limit: then it has so much longer to wait.
    pub(in crate::proxy) fn charge(&self, source: IpAddr, now: Instant) {
        self.0.lock().charge(source, now);
    }
}

impl Buckets {
    fn admit(&mut self, source: IpAddr, now: Instant) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let full_at = self.full_at.of(source, limit.max_sources, now);
        let is_admitted = has_room(&limit, *full_at, now);
        if is_admitted {
            *full_at += limit.per / limit.requests;
        }
        is_admitted
    }

    fn would_admit(&self, source: IpAddr, now: Instant) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let full_at = self.full_at.kept_of(source, limit.max_sources);
        full_at.is_none_or(|full_at| has_room(&limit, full_at, now))
    }

    fn charge(&mut self, source: IpAddr, now: Instant) {
        if let Some(limit) = self.limit {
            *self.full_at.of(source, limit.max_sources, now) += limit.per / limit.requests;
        }
    }
}

/// Whether a bucket that is full at this moment holds one request.
fn has_room(limit: &RateLimit, full_at: Instant, now: Instant) -> bool {
    let each = limit.per / limit.requests;
    full_at.max(now) + each <= now + each * limit.burst
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limit(requests: u32, burst: u32, max_sources: usize) -> Option<RateLimit> {
        Some(RateLimit {
            requests,
            per: Duration::from_secs(1),
            burst,
            max_sources,
        })
    }

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (rates, now) = (Rates::new(limit(10, 3, 100)), Instant::now());
        let at = |milliseconds: u64| now + Duration::from_millis(milliseconds);
        for _ in 0..3 {
            assert!(rates.admit(source(1), at(0)));
        }
        assert!(!rates.admit(source(1), at(0)));
        assert!(!rates.admit(source(1), at(99)));
        assert!(rates.admit(source(2), at(99)), "another one has its own");
        assert!(rates.admit(source(1), at(100)));
        assert!(!rates.admit("::ffff:192.0.2.1".parse().unwrap(), at(100)));
        // After a pause no more than a burst.
        let admitted = (0..9).filter(|_| rates.admit(source(1), at(60_000)));
        assert_eq!(admitted.count(), 3);
        rates.change(limit(10, 1, 100));
        assert!(!rates.admit(source(1), at(60_200)));
        assert!(rates.admit(source(1), at(60_300)));
        rates.change(None);
        assert!((0..9).all(|_| rates.admit(source(1), at(60_300))));
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
        assert!(rates.admit(source(1), now) && rates.admit(source(2), now));
        assert!(rates.admit(source(3), now));
        assert!(!rates.admit(source(4), now));
        assert!(!rates.admit(source(1), now));
        assert_eq!(rates.0.lock().full_at.sources(), 2);
        assert!(
            rates.admit(source(4), later),
            "who was there has a full bucket"
        );
        assert_eq!(rates.0.lock().full_at.sources(), 1);
    }
}
