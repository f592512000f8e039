//! A moment for each address, kept until it has passed.
//!
//! Of a bucket that fills steadily only the moment is kept at which it will be full again; a bucket that is full needs not be kept.
//! Addresses past the limit of the table share one moment, so that inventing addresses buys nobody more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::source::Source;

/// Between two looks for moments that have passed, when the table is full.
const SWEEP: Duration = Duration::from_secs(1);

/// The moments of all addresses.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Moments {
    of: HashMap<Source, Instant>,
    /// That of the addresses for which there is no room.
    shared: Option<Instant>,
    swept: Option<Instant>,
}

impl Moments {
    /// The moment of `source`, not before `now`. At most `most` addresses have one of their own.
    pub(in crate::proxy) fn of(
        &mut self,
        source: Source,
        most: usize,
        now: Instant,
    ) -> &mut Instant {
        let is_known = self.of.contains_key(&source);
        if !is_known && self.of.len() >= most {
            self.sweep(now);
        }
        let moment = match is_known || self.of.len() < most {
            true => self.of.entry(source).or_insert(now),
            false => self.shared.get_or_insert(now),
        };
        *moment = (*moment).max(now);
        moment
    }

    /// The moment that is kept of `source`, or of all for which there is no room; it may have passed.
    pub(in crate::proxy) fn kept_of(&self, source: Source, most: usize) -> Option<Instant> {
        let own = self.of.get(&source).copied();
        own.or(self.shared.filter(|_| self.of.len() >= most))
    }

    /// Forgets all.
    pub(in crate::proxy) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Changes how long from `now` on each is still to come.
    pub(in crate::proxy) fn change_left(
        &mut self,
        now: Instant,
        change: impl Fn(Duration) -> Duration,
    ) {
        for moment in self.of.values_mut().chain(&mut self.shared) {
            let left = moment.saturating_duration_since(now);
            *moment = now.checked_add(change(left)).unwrap_or(*moment);
        }
    }

    /// How many addresses have one.
    #[cfg(test)]
    pub(in crate::proxy) fn sources(&self) -> usize {
        self.of.len()
    }

    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|swept| now >= swept + SWEEP);
        if is_due {
            self.swept = Some(now);
            self.of.retain(|_, moment| *moment > now);
        }
    }
}
