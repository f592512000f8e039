//! Messages that repeat: after the first few within an interval the rest are counted, and one line says how many there were.
//!
//! The same message is the same text from the same place in the code. The table is bounded: while it is full, new messages pass
//! without being counted.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use log::Level;

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Messages of a kind within an interval.
    pub(super) most: u64,
    /// The interval, from the first message of the kind.
    pub(super) interval: Duration,
    /// Kinds that are known at once.
    pub(super) kinds: usize,
}

/// A message and how often it was held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) text: String,
    pub(super) held: u64,
}

struct Kind {
    since: Instant,
    seen: u64,
    message: Repeated,
}

/// The messages of the present intervals.
pub(super) struct Repeats {
    bounds: Bounds,
    kinds: HashMap<u64, Kind>,
}

impl Repeats {
    pub(super) fn new(bounds: Bounds) -> Repeats {
        Repeats {
            bounds,
            kinds: HashMap::new(),
        }
    }

    /// Whether this message is to be logged. `place` is where it comes from.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        place: (Option<&str>, Option<u32>),
        level: Level,
        target: &str,
        text: &str,
    ) -> bool {
        let mut hasher = DefaultHasher::new();
        (place, level, text).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(kind) = self.kinds.get_mut(&key) {
            kind.seen += 1;
            let passes = kind.seen <= self.bounds.most;
            if !passes {
                kind.message.held += 1;
            }
            return passes;
        }
        if self.kinds.len() < self.bounds.kinds {
            let message = Repeated {
                level,
                target: target.to_owned(),
                text: text.to_owned(),
                held: 0,
            };
            let kind = Kind {
                since: now,
                seen: 1,
                message,
            };
            self.kinds.insert(key, kind);
        }
        true
    }

    /// Forgets the messages whose interval is over, and returns those of them that were held back, in the order in which they began.
    pub(super) fn over(&mut self, now: Instant) -> Vec<Repeated> {
        let interval = self.bounds.interval;
        let over = self
            .kinds
            .extract_if(|_, kind| now.saturating_duration_since(kind.since) >= interval);
        let mut over: Vec<Kind> = over
            .map(|(_, kind)| kind)
            .filter(|kind| kind.message.held > 0)
            .collect();
        over.sort_by_key(|kind| kind.since);
        over.into_iter().map(|kind| kind.message).collect()
    }

    /// The same for all messages, whether or not their interval is over: for the end of the process.
    pub(super) fn all(&mut self) -> Vec<Repeated> {
        let ends = Instant::now() + self.bounds.interval;
        self.over(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (Option<&str>, Option<u32>) = (Some("a.rs"), Some(1));

    fn repeats(kinds: usize) -> Repeats {
        Repeats::new(Bounds {
            most: 2,
            interval: Duration::from_secs(10),
            kinds,
        })
    }

    #[test]
    fn the_rest_of_an_interval_is_counted() {
        let mut repeats = repeats(10);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let admit = |repeats: &mut Repeats, text: &str| {
            repeats.admit(start, PLACE, Level::Warn, "haflux::relay", text)
        };
        let passed: Vec<bool> = (0..5).map(|_| admit(&mut repeats, "down")).collect();
        assert_eq!(passed, [true, true, false, false, false]);
        assert!(admit(&mut repeats, "up"), "another message");
        assert!(
            repeats.admit(
                start,
                (PLACE.0, Some(2)),
                Level::Warn,
                "haflux::relay",
                "down"
            ),
            "from another place"
        );
        assert_eq!(repeats.over(after(9)), []);
        let over = repeats.over(after(10));
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].held, over[0].text.as_str()), (3, "down"));
        assert_eq!(repeats.all(), []);
        assert!(admit(&mut repeats, "down"), "a new interval");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut repeats = repeats(1);
        let now = Instant::now();
        for _ in 0..4 {
            repeats.admit(now, PLACE, Level::Warn, "x", "first");
        }
        for _ in 0..4 {
            assert!(repeats.admit(now, PLACE, Level::Warn, "x", "second"));
        }
        assert_eq!(repeats.kinds.len(), 1);
        assert_eq!(repeats.all().len(), 1);
    }
}
