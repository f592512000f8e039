//! Where a replica's cursor stood in the recent past, so that it can be set back by a time (rules W7 and R2).
//!
//! A node that restarted may have lost its last seconds; a request that got no answer may land after newer ones. Both are
//! mended by sending again, in order, what came since. What is saved as the replica's cursor is therefore not where it is
//! but where it was `rewind` ago, or before the oldest request in doubt: after a crash of haflux the same is sent again.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::journal::Position;

/// Marks in a full trail: how finely a time is met.
const MARKS: u32 = 32;

/// The recent past of one cursor.
#[derive(Debug)]
pub(super) struct Trail {
    rewind: Duration,
    /// Rising in time and position; the first is the newest that is at least `rewind` old, if there is one so old.
    marks: VecDeque<(Instant, Position)>,
    doubt: Option<Doubt>,
}

/// More databases in doubt than this are not told apart.
const MOST_DOUBTED: usize = 64;

/// The databases whose data may still change behind our back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubted {
    /// Any.
    All,
    /// These.
    Databases(BTreeSet<String>),
}

impl Doubted {
    fn add(&mut self, other: Doubted) {
        match (&mut *self, other) {
            (Doubted::Databases(known), Doubted::Databases(more)) => {
                known.extend(more);
                if known.len() > MOST_DOUBTED {
                    *self = Doubted::All;
                }
            }
            _ => *self = Doubted::All,
        }
    }
}

/// A request that may still be carried out.
#[derive(Debug, Clone)]
struct Doubt {
    /// The cursor when it went out.
    before: Position,
    databases: Doubted,
    /// When it can no longer land, as far as can be told.
    until: Instant,
}

impl Trail {
    pub(super) fn new(rewind: Duration, now: Instant, cursor: Position) -> Trail {
        Trail {
            rewind,
            marks: VecDeque::from([(now, cursor)]),
            doubt: None,
        }
    }

    /// The cursor is here now.
    pub(super) fn mark(&mut self, now: Instant, cursor: Position) {
        let due = self
            .marks
            .back()
            .is_none_or(|(last, _)| now.saturating_duration_since(*last) >= self.pace());
        if due {
            self.marks.push_back((now, cursor));
        }
        let old = |mark: Option<&(Instant, Position)>| {
            mark.is_some_and(|(moment, _)| now.saturating_duration_since(*moment) >= self.rewind)
        };
        while old(self.marks.get(1)) {
            self.marks.pop_front();
        }
    }

    /// The time between two marks.
    pub(super) fn pace(&self) -> Duration {
        (self.rewind / MARKS).max(Duration::from_millis(10))
    }

    /// Where the cursor stood `rewind` before the newest mark, at least; and before what is in doubt.
    pub(super) fn back(&self) -> Position {
        let marked = self
            .marks
            .front()
            .map(|(_, cursor)| *cursor)
            .unwrap_or_default();
        match &self.doubt {
            Some(doubt) if doubt.before.sequence < marked.sequence => doubt.before,
            _ => marked,
        }
    }

    /// A request for these databases that went out when the cursor stood here got no answer.
    pub(super) fn doubt(&mut self, now: Instant, cursor: Position, mut databases: Doubted) {
        let mut before = cursor;
        if let Some(earlier) = self.doubt.take() {
            if earlier.before.sequence < cursor.sequence {
                before = earlier.before;
            }
            databases.add(earlier.databases);
        }
        let until = now + self.rewind;
        self.doubt = Some(Doubt {
            before,
            databases,
            until,
        });
    }

    /// Whose data may still change behind our back; nothing if nothing is in doubt.
    pub(super) fn doubted(&self) -> Option<&Doubted> {
        self.doubt.as_ref().map(|doubt| &doubt.databases)
    }

    /// How long what got no answer may still be carried out.
    pub(super) fn rewind(&self) -> Duration {
        self.rewind
    }

    /// The node answers again: what it may have held back can land from now on.
    pub(super) fn answers_again(&mut self, now: Instant) {
        if let Some(doubt) = &mut self.doubt {
            doubt.until = now + self.rewind;
        }
    }

    /// When what is in doubt is to be sent again, if anything is.
    pub(super) fn doubt_ends(&self) -> Option<Instant> {
        self.doubt.as_ref().map(|doubt| doubt.until)
    }

    /// The place to go back to because of what was in doubt; it is in doubt no longer.
    pub(super) fn settle_doubt(&mut self, now: Instant) -> Option<Position> {
        let doubt = self.doubt.take_if(|doubt| doubt.until <= now)?;
        Some(doubt.before)
    }

    /// From here on is counted: nothing before it will be sent again (a statement's place), or the cursor was set back to it.
    pub(super) fn begin_at(&mut self, now: Instant, cursor: Position) {
        self.marks = VecDeque::from([(now, cursor)]);
        if let Some(doubt) = &mut self.doubt
            && doubt.before.sequence > cursor.sequence
        {
            doubt.before = cursor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Sequence;

    const REWIND: Duration = Duration::from_secs(30);

    fn at(sequence: u64) -> Position {
        Position {
            sequence: Sequence::new(sequence),
            offset: sequence * 100,
        }
    }

    fn of(database: &str) -> Doubted {
        Doubted::Databases([database.to_owned()].into())
    }

    #[test]
    fn it_leads_back_by_the_time_asked_for() {
        let start = Instant::now();
        let mut trail = Trail::new(REWIND, start, at(0));
        for second in 1..=300 {
            trail.mark(start + Duration::from_secs(second), at(second));
            let back = trail.back().sequence.get();
            assert!(back <= second.saturating_sub(30), "at {second}: {back}");
            assert!(
                back + 33 >= second || second < 33,
                "at {second}: {back} is further back than needed"
            );
        }
        assert!(
            trail.marks.len() <= MARKS as usize + 3,
            "{}",
            trail.marks.len()
        );
    }

    #[test]
    fn a_doubt_holds_it_back_until_the_node_had_its_time() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut trail = Trail::new(REWIND, start, at(0));
        trail.doubt(later(1), at(5), of("a"));
        trail.doubt(later(2), at(9), of("b"));
        let both = ["a", "b"].map(str::to_owned).into();
        assert_eq!(trail.doubted(), Some(&Doubted::Databases(both)));
        for second in 1..100 {
            trail.mark(later(second), at(10 + second));
        }
        assert_eq!(trail.back(), at(5));
        trail.answers_again(later(100));
        assert_eq!(trail.settle_doubt(later(129)), None);
        assert_eq!(trail.settle_doubt(later(130)), Some(at(5)));
        assert_eq!(trail.settle_doubt(later(131)), None);
        trail.begin_at(later(130), at(5));
        assert_eq!(trail.back(), at(5));
    }
}
