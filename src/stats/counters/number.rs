//! Numbers that are counted up, and up and down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::stats::sharded::Sharded;

/// A number that only grows. A clone is the same number.
#[derive(Debug, Default, Clone)]
pub struct Counter(Arc<Sharded<AtomicU64>>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.here().fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        let counts = self.0.all().map(|count| count.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

/// A number that goes up and down, and the highest it has been.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Gauge {
    /// Raises it by one until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> GaugeGuard {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.highest.fetch_max(now, Ordering::Relaxed);
        GaugeGuard(Arc::clone(self))
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.now.store(value, Ordering::Relaxed);
        self.highest.fetch_max(value, Ordering::Relaxed);
    }

    /// Adds `amount` if `admits` what it was before; says whether it did.
    pub fn add_if(&self, amount: u64, admits: impl Fn(u64) -> bool) -> bool {
        let relaxed = Ordering::Relaxed;
        let added = self.now.fetch_update(relaxed, relaxed, |before| {
            admits(before).then(|| before.saturating_add(amount))
        });
        if let Ok(before) = added {
            self.highest
                .fetch_max(before.saturating_add(amount), relaxed);
        }
        added.is_ok()
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        let before = self.now.fetch_add(amount, Ordering::Relaxed);
        self.highest
            .fetch_max(before.saturating_add(amount), Ordering::Relaxed);
    }

    /// Takes away what [`Gauge::add_if`] or [`Gauge::add`] added.
    pub fn subtract(&self, amount: u64) {
        self.now.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Sets it, unless it is higher already.
    pub fn raise(&self, value: u64) {
        self.now.fetch_max(value, Ordering::Relaxed);
        self.highest.fetch_max(value, Ordering::Relaxed);
    }

    /// Its value now.
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The highest value it has had.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }
}

/// Lowers a [`Gauge`] again when it is dropped.
#[derive(Debug)]
pub struct GaugeGuard(Arc<Gauge>);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of bodies that are held, within the limits of a [`crate::budget::Budget`].
#[derive(Debug, Default)]
pub struct BudgetStats {
    /// Bytes held now.
    pub held: Gauge,
    /// Bodies that waited for room.
    pub waits: Counter,
    /// Bodies that were refused for want of room.
    pub refused: Counter,
}
