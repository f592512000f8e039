//! How far a replica has come: records get their verdicts out of order (lanes do not wait for each other), the cursor is
//! the newest record up to which there is no hole.

use std::collections::VecDeque;

use crate::journal::{Position, Sequence};

/// Records that were read for a replica and have no verdict before them yet.
#[derive(Debug)]
pub(super) struct Tracker {
    cursor: Position,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    /// When it was appended, Unix time in nanoseconds.
    appended: u64,
    judged: bool,
}

impl Tracker {
    pub(super) fn new(cursor: Position) -> Tracker {
        Tracker {
            cursor,
            entries: VecDeque::new(),
        }
    }

    /// The next record was read; sequences only rise.
    pub(super) fn read(&mut self, position: Position, appended: u64) {
        self.entries.push_back(Entry {
            position,
            appended,
            judged: false,
        });
    }

    /// The record has its verdict; the cursor moves if nothing before it is open.
    pub(super) fn judged(&mut self, sequence: Sequence) {
        if let Ok(index) = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.position.sequence)
            && let Some(entry) = self.entries.get_mut(index)
        {
            entry.judged = true;
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.judged) {
            self.cursor = entry.position;
        }
    }

    /// The newest record that was read and lies beyond the cursor.
    pub(super) fn newest(&self) -> Option<Sequence> {
        self.entries.back().map(|entry| entry.position.sequence)
    }

    /// Records read beyond the cursor.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn cursor(&self) -> Position {
        self.cursor
    }

    /// When the oldest record without a verdict was appended, Unix time in nanoseconds.
    pub(super) fn oldest_pending(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.appended)
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
        assert_eq!(tracker.oldest_pending(), Some(4));
        tracker.judged(Sequence::new(4));
        assert_eq!(tracker.cursor(), position(5));
        // A verdict for a record that is gone changes nothing.
        tracker.judged(Sequence::new(4));
        tracker.judged(Sequence::new(9));
        assert_eq!(tracker.oldest_pending(), None);
        assert_eq!(tracker.cursor(), position(9));
    }
}
