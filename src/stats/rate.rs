//! How many events a second there are, counted as HAProxy counts them: in whole seconds, of which the one before the current
//! second still weighs as much as is left of the current one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Events a second, now and at most.
///
/// A second and its count share one word, so that a new second begins without a lock.
#[derive(Debug)]
pub struct Rate {
    begun: Instant,
    /// The second of the newest event, counted from `begun`, and the events in it.
    current: AtomicU64,
    /// The second with events before that one, and its events.
    previous: AtomicU64,
    highest: AtomicU64,
}

/// A second and how many events it had, as one word holds them. The first second has number 1: 0 stands for "no event".
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    second: u32,
    events: u32,
}

impl Slot {
    fn of(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Self {
            second: u32::from_be_bytes([a, b, c, d]),
            events: u32::from_be_bytes([e, f, g, h]),
        }
    }

    fn word(self) -> u64 {
        u64::from(self.second) << 32 | u64::from(self.events)
    }

    /// The slot after one more event in `second`. A clock that seems to run backwards counts for the newer second.
    fn after_event(self, second: u32) -> Self {
        match second > self.second {
            true => Self { second, events: 1 },
            false => Self {
                events: self.events.saturating_add(1),
                ..self
            },
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            current: AtomicU64::new(0),
            previous: AtomicU64::new(0),
            highest: AtomicU64::new(0),
        }
    }
}

impl Rate {
    /// Counts one event, now.
    pub fn tick(&self) {
        self.tick_at(self.begun.elapsed());
    }

    /// Events a second now.
    pub fn get(&self) -> u64 {
        self.get_at(self.begun.elapsed())
    }

    /// The most events that one second had.
    pub fn highest(&self) -> u64 {
        let current = Slot::of(self.current.load(Ordering::Relaxed));
        let highest = self.highest.load(Ordering::Relaxed);
        highest.max(u64::from(current.events))
    }

    /// How long ago the newest event was, in whole seconds; nothing if there was none.
    pub fn last(&self) -> Option<Duration> {
        let current = Slot::of(self.current.load(Ordering::Relaxed));
        let seconds = second(self.begun.elapsed()).saturating_sub(current.second);
        (current.second > 0).then(|| Duration::from_secs(u64::from(seconds)))
    }

    fn tick_at(&self, elapsed: Duration) {
        let second = second(elapsed);
        let relaxed = Ordering::Relaxed;
        let counted = self.current.fetch_update(relaxed, relaxed, |word| {
            Some(Slot::of(word).after_event(second).word())
        });
        let before = Slot::of(counted.unwrap_or_default());
        if second > before.second {
            self.highest.fetch_max(u64::from(before.events), relaxed);
            self.previous.store(before.word(), relaxed);
        }
    }

    fn get_at(&self, elapsed: Duration) -> u64 {
        let second = second(elapsed);
        let current = Slot::of(self.current.load(Ordering::Relaxed));
        let previous = Slot::of(self.previous.load(Ordering::Relaxed));
        let left = u64::from(1000 - elapsed.subsec_millis().min(1000));
        let part = |slot: Slot| u64::from(slot.events) * left / 1000;
        if current.second == second {
            let is_adjacent = previous.second > 0 && previous.second + 1 == second;
            u64::from(current.events) + if is_adjacent { part(previous) } else { 0 }
        } else if current.second > 0 && current.second.saturating_add(1) == second {
            part(current)
        } else {
            0
        }
    }
}

fn second(elapsed: Duration) -> u32 {
    u32::try_from(elapsed.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_second_before_weighs_as_much_as_is_left() {
        let rate = Rate::default();
        assert_eq!((rate.get_at(at(0.0)), rate.highest()), (0, 0));
        assert_eq!(rate.last(), None);
        for _ in 0..100 {
            rate.tick_at(at(0.5));
        }
        assert_eq!(rate.get_at(at(0.9)), 100);
        assert_eq!(rate.get_at(at(1.25)), 75);
        assert_eq!(rate.get_at(at(2.0)), 0);
        for _ in 0..10 {
            rate.tick_at(at(1.5));
        }
        assert_eq!(rate.get_at(at(1.5)), 60);
        assert_eq!(rate.get_at(at(2.5)), 5);
        assert_eq!(rate.get_at(at(9.0)), 0);
        assert_eq!(rate.highest(), 100);
        assert_eq!(rate.last(), Some(Duration::ZERO));
    }

    #[test]
    fn what_seems_to_come_earlier_counts_for_the_newer_second() {
        let rate = Rate::default();
        rate.tick_at(at(3.0));
        rate.tick_at(at(1.0));
        assert_eq!(rate.get_at(at(3.5)), 2);
    }
}
