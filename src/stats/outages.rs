//! How often something was down, and for how long in all.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The outages of a server or of a whole backend.
///
/// The lock is taken when a state changes and when a view is made, never for a request.
#[derive(Debug)]
pub struct Outages(Mutex<History>);

#[derive(Debug)]
struct History {
    is_up: bool,
    since: Instant,
    before: Duration,
    count: u64,
}

/// Outages as they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutagesReading {
    /// How often it went from up to down.
    pub count: u64,
    /// How long it was down in all, the outage that lasts included.
    pub time: Duration,
    /// How long ago it went up or down last; if it never did, how long ago it began.
    pub since_change: Duration,
}

impl Default for Outages {
    /// Up, from now on.
    fn default() -> Self {
        Self(Mutex::new(History {
            is_up: true,
            since: Instant::now(),
            before: Duration::ZERO,
            count: 0,
        }))
    }
}

impl Outages {
    /// It begins in this state, from now on.
    pub fn begin(&self, is_up: bool) {
        let mut history = self.0.lock();
        history.is_up = is_up;
        history.since = Instant::now();
    }

    /// It is up now, or down. Nothing happens if it was so before.
    pub fn note(&self, is_up: bool) {
        let mut history = self.0.lock();
        if history.is_up == is_up {
            return;
        }
        match is_up {
            true => history.before = history.before.saturating_add(history.since.elapsed()),
            false => history.count = history.count.saturating_add(1),
        }
        history.is_up = is_up;
        history.since = Instant::now();
    }

    /// Reads it.
    pub fn read(&self) -> OutagesReading {
        let history = self.0.lock();
        let since_change = history.since.elapsed();
        let lasts = match history.is_up {
            true => Duration::ZERO,
            false => since_change,
        };
        OutagesReading {
            count: history.count,
            time: history.before.saturating_add(lasts),
            since_change,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_going_down_counts() {
        let outages = Outages::default();
        outages.note(true);
        assert_eq!(
            (outages.read().count, outages.read().time),
            (0, Duration::ZERO)
        );
        outages.note(false);
        std::thread::sleep(Duration::from_millis(2));
        outages.note(false);
        let lasting = outages.read();
        assert_eq!(lasting.count, 1);
        assert!(lasting.time >= Duration::from_millis(2));
        outages.note(true);
        let over = outages.read().time;
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(outages.read().time, over);
        assert!(outages.read().since_change >= Duration::from_millis(2));
    }

    #[test]
    fn who_begins_down_has_not_gone_down() {
        let outages = Outages::default();
        outages.begin(false);
        assert_eq!(outages.read().count, 0);
    }
}
