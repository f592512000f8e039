//! How many bytes a second pass between a frontend and each address, and within each request (`bandwidth`).
//!
//! Bytes are charged when they have passed, and the next ones wait until those are paid for. So nothing is reserved, and whoever shares an
//! address with others waits its turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::moments::Moments;
use crate::config::model;
use crate::source::Source;

/// What may pass at once after a pause, in time.
const BURST: Duration = Duration::from_secs(1);

/// Smallest and largest piece that passes at once, in bytes.
const PIECES: std::ops::RangeInclusive<u64> = 256..=65_536;

/// How many pieces the bytes of a second pass in, unless they would be smaller or larger than that.
const PIECES_A_SECOND: u64 = 16;

/// What each address has to pay for still, in one direction.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Debts(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// By which debts are paid, in bytes a second.
    rate: Option<u64>,
    paid_at: Moments,
}

impl Debts {
    fn new(rate: Option<u64>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Book {
            rate,
            paid_at: Moments::default(),
        })))
    }

    /// Another rate from `now` on. Bytes that have passed are paid for by the new one, in the time of a burst at most.
    fn change(&self, rate: Option<u64>, now: Instant) {
        let mut book = self.0.lock();
        match (book.rate, rate) {
            (Some(before), Some(after)) => book.paid_at.change_left(now, |left| {
                let bytes = left.as_nanos().saturating_mul(before.into()) / 1_000_000_000;
                time_of(usize::try_from(bytes).unwrap_or(usize::MAX), after).min(BURST)
            }),
            _ => book.paid_at.forget(),
        }
        book.rate = rate;
    }
}

/// What each address has to pay for still.
#[derive(Debug)]
pub(in crate::proxy) struct Bandwidth {
    /// Bodies of requests.
    pub(in crate::proxy) bodies: Arc<Debts>,
    /// Answers.
    pub(in crate::proxy) answers: Arc<Debts>,
}

impl Bandwidth {
    /// Nobody owes anything.
    pub(in crate::proxy) fn new(limits: Option<&model::Bandwidth>) -> Self {
        Self {
            bodies: Debts::new(limits.and_then(|limits| limits.in_per_source)),
            answers: Debts::new(limits.and_then(|limits| limits.out_per_source)),
        }
    }

    /// Other limits from `now` on.
    pub(in crate::proxy) fn change(&self, limits: Option<&model::Bandwidth>, now: Instant) {
        let rate = |of: fn(&model::Bandwidth) -> Option<u64>| limits.and_then(of);
        self.bodies.change(rate(|limits| limits.in_per_source), now);
        self.answers
            .change(rate(|limits| limits.out_per_source), now);
    }
}

/// The limits on one direction of a request.
#[derive(Debug)]
pub(super) struct Limit {
    own: Option<Own>,
    source: Option<OfSource>,
}

/// The request's own.
#[derive(Debug)]
struct Own {
    /// Bytes a second.
    rate: u64,
    paid_at: Instant,
}

/// That of its address.
#[derive(Debug)]
struct OfSource {
    /// Bytes a second.
    rate: u64,
    debts: Arc<Debts>,
    source: Source,
    most: usize,
}

impl Limit {
    /// For a request of `source` that begins `now`. Nothing if no limit is set. Rates are bytes a second; `most` addresses are counted
    /// each for itself.
    pub(super) fn new(
        own: Option<u64>,
        of_source: Option<u64>,
        debts: &Arc<Debts>,
        source: Source,
        most: usize,
        now: Instant,
    ) -> Option<Self> {
        let own = own.map(|rate| Own { rate, paid_at: now });
        let source = of_source.map(|rate| OfSource {
            rate,
            debts: Arc::clone(debts),
            source,
            most,
        });
        (own.is_some() || source.is_some()).then_some(Self { own, source })
    }

    /// How many bytes may pass at once.
    pub(super) fn piece(&self) -> usize {
        let own = self.own.as_ref().map(|own| own.rate);
        let source = self.source.as_ref().map(|source| source.rate);
        let rate = own.into_iter().chain(source).min().unwrap_or(u64::MAX);
        let piece = (rate / PIECES_A_SECOND).clamp(*PIECES.start(), *PIECES.end());
        usize::try_from(piece).unwrap_or(usize::MAX)
    }

    /// Charges for bytes that have passed; says when the next ones may.
    pub(super) fn charge(&mut self, bytes: usize, now: Instant) -> Instant {
        let own = self.own.as_mut().map(|own| {
            own.paid_at = own.paid_at.max(now) + time_of(bytes, own.rate);
            own.paid_at
        });
        let source = self.source.as_ref().map(|source| {
            let mut debts = source.debts.0.lock();
            let paid_at = debts.paid_at.of(source.source, source.most, now);
            *paid_at += time_of(bytes, source.rate);
            *paid_at
        });
        let paid_at = own.into_iter().chain(source).max().unwrap_or(now);
        paid_at.checked_sub(BURST).map_or(now, |at| at.max(now))
    }
}

/// How long it takes for so many bytes to pass at `rate`.
fn time_of(bytes: usize, rate: u64) -> Duration {
    let nanoseconds = (bytes as u128).saturating_mul(1_000_000_000) / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn limit(own: Option<u64>, of_source: Option<u64>, debts: &Arc<Debts>, now: Instant) -> Limit {
        let source = Source::from(IpAddr::from([192, 0, 2, 1]));
        Limit::new(own, of_source, debts, source, 10, now).expect("a limit")
    }

    #[test]
    fn a_second_passes_at_once_and_then_the_rate() {
        let (debts, now) = (Arc::default(), Instant::now());
        let mut one = limit(Some(1000), None, &debts, now);
        assert_eq!(one.charge(600, now), now);
        assert_eq!(one.charge(400, now), now);
        assert_eq!(one.charge(500, now), now + Duration::from_millis(500));
        // Time that nobody uses is not saved past a second.
        let later = now + Duration::from_secs(60);
        assert_eq!(one.charge(1000, later), later);
        assert_eq!(one.charge(100, later), later + Duration::from_millis(100));
    }

    #[test]
    fn requests_of_one_address_share_what_it_has() {
        let (debts, now) = (Arc::default(), Instant::now());
        let mut one = limit(Some(1_000_000), Some(1000), &debts, now);
        let mut other = limit(None, Some(1000), &debts, now);
        assert_eq!(one.charge(1000, now), now);
        assert_eq!(other.charge(250, now), now + Duration::from_millis(250));
        assert_eq!(one.charge(0, now), now + Duration::from_millis(250));
        let apart = Arc::default();
        let mut third = limit(None, Some(1000), &apart, now);
        assert_eq!(third.charge(250, now), now);
    }

    #[test]
    fn what_has_passed_is_paid_for_by_a_new_rate() {
        let (debts, now) = (Debts::new(Some(100)), Instant::now());
        let owed = |rate| limit(None, Some(rate), &debts, now).charge(0, now) - now;
        let mut one = limit(None, Some(100), &debts, now);
        one.charge(10_000, now);
        assert_eq!(owed(100), Duration::from_secs(99));
        debts.change(Some(8000), now);
        assert_eq!(owed(8000), Duration::ZERO);
        assert_eq!(one.charge(25, now), now + Duration::from_millis(250));
        debts.change(Some(1), now);
        assert_eq!(owed(1), Duration::ZERO);
        debts.change(None, now);
        assert!(
            debts
                .0
                .lock()
                .paid_at
                .kept_of(Source::from(IpAddr::from([192, 0, 2, 1])), 1)
                .is_none()
        );
    }

    #[test]
    fn pieces_are_small_where_the_rate_is() {
        let (debts, now) = (Arc::default(), Instant::now());
        let piece = |own, source| limit(own, source, &debts, now).piece();
        assert_eq!(piece(Some(1024), None), 256);
        assert_eq!(piece(Some(1 << 30), Some(160_000)), 10_000);
        assert_eq!(piece(None, Some(1 << 40)), 65_536);
    }

    #[test]
    fn no_amount_is_too_much() {
        let (debts, now) = (Arc::default(), Instant::now());
        let mut one = limit(Some(1024), None, &debts, now);
        assert!(one.charge(1 << 40, now) > now);
    }
}
