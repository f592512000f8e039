//! Counts what is under way, in all and by source, within limits: so that no single source takes all of the room.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::source::Source;

/// Limits on what is under way at once.
#[derive(Debug)]
pub(crate) struct PerSource {
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    most: usize,
    most_of_one: usize,
    all: usize,
    by_source: HashMap<Source, usize>,
}

/// One that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limits: Arc<PerSource>,
    source: Source,
}

impl PerSource {
    /// At most `most` at once, and `most_of_one` of them from one source.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<PerSource> {
        Arc::new(PerSource {
            counts: Mutex::new(Counts {
                most,
                most_of_one,
                all: 0,
                by_source: HashMap::new(),
            }),
        })
    }

    /// Other limits from now on. What is under way already stays, also where it is past them.
    pub(crate) fn change(&self, most: usize, most_of_one: usize) {
        let mut counts = self.counts();
        counts.most = most;
        counts.most_of_one = most_of_one;
    }

    /// One more from this source; nothing if there is no room for it.
    pub(crate) fn enter(self: &Arc<Self>, source: Source) -> Option<Place> {
        let mut counts = self.counts();
        let of_source = counts.by_source.get(&source).copied().unwrap_or(0);
        if counts.all >= counts.most || of_source >= counts.most_of_one {
            return None;
        }
        counts.all += 1;
        counts.by_source.insert(source, of_source + 1);
        Some(Place {
            limits: Arc::clone(self),
            source,
        })
    }

    /// How many sources have something under way.
    #[cfg(test)]
    pub(crate) fn sources(&self) -> usize {
        self.counts().by_source.len()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock()
    }
}

impl Place {
    /// Whose it is.
    pub(crate) fn source(&self) -> Source {
        self.source
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limits.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(of_source) = counts.by_source.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                counts.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(last: u8) -> Source {
        Source::from(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn neither_one_source_nor_all_of_them_take_more_than_their_share() {
        let limits = PerSource::new(3, 2);
        let first = limits.enter(source(1)).expect("room");
        let _second = limits.enter(source(1)).expect("room");
        assert!(limits.enter(source(1)).is_none(), "its share");
        let _third = limits.enter(source(2)).expect("room");
        assert!(limits.enter(source(3)).is_none(), "all");
        drop(first);
        let _fourth = limits.enter(source(3)).expect("room again");
        assert!(limits.enter(source(1)).is_none(), "all");
        drop(_third);
        assert_eq!(limits.sources(), 2, "who left is forgotten");
    }
}
