//! How far a replica has come: records get their verdicts out of order (lanes do not wait for each other, nor for a statement that
//! does not touch them), the cursor is the newest record up to which there is no hole. Only what has no verdict is kept.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::journal::{Position, Sequence};

/// Records that were read for a replica and have no verdict.
#[derive(Debug)]
pub(in crate::relay) struct Tracker {
    /// The newest record that was read, or where reading begins.
    newest: Position,
    open: BTreeMap<Sequence, Open>,
}

#[derive(Debug)]
struct Open {
    /// The record right before it.
    before: Position,
    /// When it was appended, Unix time in nanoseconds.
    appended: u64,
    /// When it was read.
    since: Instant,
}

impl Tracker {
    pub(in crate::relay) fn new(cursor: Position) -> Tracker {
        Tracker {
            newest: cursor,
            open: BTreeMap::new(),
        }
    }

    /// The next record was read; sequences only rise.
    pub(in crate::relay) fn read(&mut self, position: Position, appended: u64) {
        let before = std::mem::replace(&mut self.newest, position);
        let open = Open {
            before,
            appended,
            since: Instant::now(),
        };
        self.open.insert(position.sequence, open);
    }

    /// The records up to here are lost: no verdict is waited for.
    pub(in crate::relay) fn pass_over(&mut self, lost: Position) {
        if lost.sequence > self.newest.sequence {
            self.newest = lost;
        }
    }

    /// The record has its verdict; the cursor moves if nothing before it is open.
    pub(in crate::relay) fn judged(&mut self, sequence: Sequence) {
        self.open.remove(&sequence);
    }

    /// Whether everything before this record has its verdict, and this one has not.
    pub(in crate::relay) fn is_next(&self, sequence: Sequence) -> bool {
        let first = self.open.first_key_value();
        first.is_some_and(|(first, _)| *first == sequence)
    }

    /// What comes right before this record, if it has no verdict.
    pub(in crate::relay) fn before(&self, sequence: Sequence) -> Option<Position> {
        self.open.get(&sequence).map(|open| open.before)
    }

    /// Where the newest record that was read stands.
    pub(in crate::relay) fn read_up_to(&self) -> Position {
        self.newest
    }

    /// The newest record that was read.
    pub(in crate::relay) fn newest(&self) -> Sequence {
        self.newest.sequence
    }

    /// Records without a verdict.
    pub(in crate::relay) fn len(&self) -> usize {
        self.open.len()
    }

    pub(in crate::relay) fn cursor(&self) -> Position {
        let first = self.open.first_key_value();
        first.map_or(self.newest, |(_, open)| open.before)
    }

    /// The oldest record without a verdict, and when it was read.
    pub(in crate::relay) fn oldest(&self) -> Option<(Sequence, Instant)> {
        let first = self.open.first_key_value();
        first.map(|(sequence, open)| (*sequence, open.since))
    }

    /// When the oldest record without a verdict was appended, Unix time in nanoseconds.
    pub(in crate::relay) fn oldest_pending(&self) -> Option<u64> {
        self.open.first_key_value().map(|(_, open)| open.appended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(sequence: u64) -> Position {
        Position {
            sequence: Sequence::new(sequence),
            offset: sequence * 10,
        }
    }

    #[test]
    fn the_cursor_passes_only_what_has_no_hole_before_it() {
        let mut tracker = Tracker::new(position(3));
        for sequence in [4, 5, 9] {
            tracker.read(position(sequence), sequence);
        }
        tracker.judged(Sequence::new(5));
        assert_eq!(tracker.cursor(), position(3));
        assert!(tracker.is_next(Sequence::new(4)) && !tracker.is_next(Sequence::new(9)));
        assert_eq!((tracker.newest(), tracker.len()), (Sequence::new(9), 2));
        assert_eq!(tracker.oldest_pending(), Some(4));
        tracker.judged(Sequence::new(4));
        assert_eq!(tracker.cursor(), position(5));
        // A verdict for a record that is gone changes nothing.
        tracker.judged(Sequence::new(4));
        tracker.judged(Sequence::new(9));
        assert_eq!(tracker.oldest_pending(), None);
        assert_eq!(tracker.cursor(), position(9));
    }

    #[test]
    fn the_cursor_passes_what_is_lost_once_all_before_it_has_its_verdict() {
        let mut tracker = Tracker::new(position(3));
        tracker.read(position(4), 4);
        tracker.pass_over(position(7));
        assert_eq!(tracker.cursor(), position(3));
        tracker.judged(Sequence::new(4));
        assert_eq!(tracker.cursor(), position(7));
        // What was read before is not read anew.
        tracker.pass_over(position(5));
        assert_eq!(tracker.cursor(), position(7));
    }
}
