//! Where a replica's cursor stood in the recent past, so that it can be set back by a time (rules W7 and R2).
//!
//! A node that restarted may have lost its last seconds; a request that got no answer may land after newer ones. Both are
//! mended by sending again, in order, what came since. What is saved as the replica's cursor is therefore not where it is
//! but where it was `rewind` ago, or before the oldest request in doubt: after a crash of haflux the same is sent again.
//!
//! A request in doubt can land for `rewind` of the time in which its node works. A node that stands still holds it back for as
//! long as it does, so only time counts between two answers of the node, and of each such stretch a part at most. Each doubt ends
//! for itself: a node that now and then leaves a request without an answer is set back for each of them, but not kept at the
//! first one for ever. Doubts that begin close together are one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::Position;
use crate::relay::record::removal::Removal;
use crate::relay::replica::identity_point::IdentityPoint;

/// Marks in a full trail: how finely a time is met.
const MARKS: u32 = 32;

/// A place of the cursor, with a point that the replica had accepted when its cursor stood there (rule R1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::relay) struct Checkpoint {
    pub(in crate::relay) position: Position,
    pub(in crate::relay) identity_point: Option<Arc<IdentityPoint>>,
}

impl Checkpoint {
    /// A point that may be removed proves nothing.
    pub(in crate::relay) fn forget_identity_point(&mut self, removal: &Removal) {
        self.identity_point
            .take_if(|identity_point| removal.takes_points(&identity_point.database));
    }
}

/// The recent past of one cursor.
#[derive(Debug)]
pub(in crate::relay) struct Rewind {
    rewind: Duration,
    /// Rising in time and position; the first is the newest that is at least `rewind` old, if there is one so old.
    checkpoints: VecDeque<(Instant, Checkpoint)>,
    /// In the order in which they began.
    doubts: VecDeque<Doubt>,
    /// What the doubts say together.
    doubted: Option<Doubted>,
    /// When the node answered last, unless the way to it was interrupted since.
    heard: Option<Instant>,
}

/// More doubts than this are not told apart.
const MOST_DOUBTS: usize = 16;

/// `rewind` divided by this: doubts that begin within it are one, and a node is to be heard of that often.
const STEPS: u32 = 8;

/// More databases in doubt than this are not told apart.
const MOST_DOUBTED: usize = 64;

/// The databases whose data may still change behind our back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Doubted {
    /// Any.
    All,
    /// These.
    Databases(BTreeSet<String>),
}

impl Doubted {
    fn add(&mut self, other: &Doubted) {
        match (&mut *self, other) {
            (Doubted::Databases(known), Doubted::Databases(more)) => {
                known.extend(more.iter().cloned());
                if known.len() > MOST_DOUBTED {
                    *self = Doubted::All;
                }
            }
            _ => *self = Doubted::All,
        }
    }
}

/// Requests that may still be carried out.
#[derive(Debug, Clone)]
struct Doubt {
    /// Where the cursor stood before them.
    before: Checkpoint,
    databases: Doubted,
    /// When the first one got no answer, and the last.
    begun: Instant,
    since: Instant,
    /// For how long they may land yet, in time in which the node works.
    left: Duration,
}

impl Rewind {
    pub(in crate::relay) fn new(rewind: Duration, now: Instant, place: Checkpoint) -> Rewind {
        Rewind {
            rewind,
            checkpoints: VecDeque::from([(now, place)]),
            doubts: VecDeque::new(),
            doubted: None,
            heard: None,
        }
    }

    /// The cursor is here now. If it is time for a mark, `identity_point` gives a point accepted up to here; without one, the identity point
    /// stays what it was.
    pub(in crate::relay) fn checkpoint(
        &mut self,
        now: Instant,
        position: Position,
        identity_point: impl FnOnce() -> Option<IdentityPoint>,
    ) {
        let due = self
            .checkpoints
            .back()
            .is_none_or(|(last, _)| now.saturating_duration_since(*last) >= self.pace());
        if due {
            let identity_point = identity_point()
                .map(Arc::new)
                .or_else(|| self.newest_identity_point());
            self.checkpoints.push_back((
                now,
                Checkpoint {
                    position,
                    identity_point,
                },
            ));
        }
        let old = |checkpoint: Option<&(Instant, Checkpoint)>| {
            checkpoint
                .is_some_and(|(moment, _)| now.saturating_duration_since(*moment) >= self.rewind)
        };
        while old(self.checkpoints.get(1)) {
            self.checkpoints.pop_front();
        }
    }

    /// The time between two marks.
    pub(in crate::relay) fn pace(&self) -> Duration {
        (self.rewind / MARKS).max(Duration::from_millis(10))
    }

    /// Where the cursor stood `rewind` before the newest mark, at least; and before what is in doubt.
    pub(in crate::relay) fn back(&self) -> Checkpoint {
        let marked = self.checkpoints.front().map(|(_, checkpoint)| checkpoint);
        let doubted = self.doubts.iter().map(|doubt| &doubt.before);
        let earliest = marked
            .into_iter()
            .chain(doubted)
            .min_by_key(|checkpoint| checkpoint.position.sequence);
        earliest.cloned().unwrap_or_default()
    }

    /// A mark at the place where the cursor stands now.
    pub(in crate::relay) fn here(&self, cursor: Position) -> Checkpoint {
        Checkpoint {
            position: cursor,
            identity_point: self.newest_identity_point(),
        }
    }

    /// A request for these databases that went out when the cursor stood here got no answer.
    pub(in crate::relay) fn doubt(&mut self, now: Instant, cursor: Position, databases: Doubted) {
        match &mut self.doubted {
            Some(doubted) => doubted.add(&databases),
            None => self.doubted = Some(databases.clone()),
        }
        let before = self.here(cursor);
        let is_full = self.doubts.len() >= MOST_DOUBTS;
        let step = self.step();
        match self.doubts.back_mut() {
            Some(last) if is_full || now.saturating_duration_since(last.begun) < step => {
                if cursor.sequence < last.before.position.sequence {
                    last.before = before;
                }
                last.databases.add(&databases);
                last.since = now;
                last.left = self.rewind;
            }
            _ => self.doubts.push_back(Doubt {
                before,
                databases,
                begun: now,
                since: now,
                left: self.rewind,
            }),
        }
    }

    /// Whose data may still change behind our back; nothing if nothing is in doubt.
    pub(in crate::relay) fn doubted(&self) -> Option<&Doubted> {
        self.doubted.as_ref()
    }

    /// How long what got no answer may still be carried out.
    pub(in crate::relay) fn rewind(&self) -> Duration {
        self.rewind
    }

    /// The node answered.
    pub(in crate::relay) fn heard(&mut self, now: Instant) {
        if let Some(before) = self.heard.replace(now) {
            let most = 2 * self.step();
            for doubt in &mut self.doubts {
                let worked = now.saturating_duration_since(before.max(doubt.since));
                doubt.left = doubt.left.saturating_sub(worked.min(most));
            }
        }
    }

    /// The way to the node was interrupted: it may be standing still.
    pub(in crate::relay) fn interrupted(&mut self) {
        self.heard = None;
    }

    /// When the node should be heard of again, so that the time of what is in doubt goes on; nothing if nothing is.
    pub(in crate::relay) fn next_hearing(&self) -> Option<Instant> {
        let least = self.doubts.iter().map(|doubt| doubt.left).min()?;
        Some(self.heard? + self.step().min(least))
    }

    /// The place to go back to because of what was in doubt and can land no more; it is in doubt no longer.
    pub(in crate::relay) fn settle_doubts(&mut self) -> Option<Checkpoint> {
        let mut earliest: Option<Checkpoint> = None;
        self.doubts.retain(|doubt| {
            let is_over = doubt.left.is_zero();
            let sequence = doubt.before.position.sequence;
            if is_over
                && earliest
                    .as_ref()
                    .is_none_or(|checkpoint| sequence < checkpoint.position.sequence)
            {
                earliest = Some(doubt.before.clone());
            }
            !is_over
        });
        if earliest.is_some() {
            self.doubted = None;
            for doubt in &self.doubts {
                match &mut self.doubted {
                    Some(doubted) => doubted.add(&doubt.databases),
                    None => self.doubted = Some(doubt.databases.clone()),
                }
            }
        }
        earliest
    }

    /// The process that had them is gone: nothing of what was in doubt can land any more.
    pub(in crate::relay) fn forget_doubts(&mut self) {
        self.doubts.clear();
        self.doubted = None;
    }

    /// The time between two hearings.
    pub(in crate::relay) fn step(&self) -> Duration {
        (self.rewind / STEPS).max(Duration::from_millis(10))
    }

    /// Nothing before this place will be sent again: a statement stands here. `identity_point` is as for a mark.
    pub(in crate::relay) fn begin_at(
        &mut self,
        now: Instant,
        position: Position,
        identity_point: impl FnOnce() -> Option<IdentityPoint>,
    ) {
        let identity_point = identity_point()
            .map(Arc::new)
            .or_else(|| self.newest_identity_point());
        let place = Checkpoint {
            position,
            identity_point,
        };
        for doubt in &mut self.doubts {
            if doubt.before.position.sequence < position.sequence {
                // Of a lane that the statement does not touch, and newer than the statement.
                doubt.before = place.clone();
            }
        }
        self.went_back(now, place);
    }

    /// The cursor was set back to here: nothing after it counts any more.
    pub(in crate::relay) fn went_back(&mut self, now: Instant, place: Checkpoint) {
        self.checkpoints = VecDeque::from([(now, place)]);
    }

    /// Points that may be removed prove nothing.
    pub(in crate::relay) fn forget_proofs(&mut self, removal: &Removal) {
        let checkpoints = self
            .checkpoints
            .iter_mut()
            .map(|(_, checkpoint)| checkpoint);
        let doubts = self.doubts.iter_mut().map(|doubt| &mut doubt.before);
        for checkpoint in checkpoints.chain(doubts) {
            checkpoint.forget_identity_point(removal);
        }
    }

    /// The newest identity point that a mark took.
    pub(in crate::relay) fn newest_identity_point(&self) -> Option<Arc<IdentityPoint>> {
        self.checkpoints
            .back()
            .and_then(|(_, checkpoint)| checkpoint.identity_point.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Sequence;
    use crate::relay::replica::identity_point::tests::record;

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

    fn bare(sequence: u64) -> Checkpoint {
        Checkpoint {
            position: at(sequence),
            identity_point: None,
        }
    }

    fn identity_point(second: u64) -> Option<IdentityPoint> {
        IdentityPoint::of(&record(&format!("m v=1 {second}")))
    }

    fn second_proven(checkpoint: &Checkpoint) -> Option<i64> {
        let identity_point = checkpoint.identity_point.as_ref()?;
        Some(identity_point.point.time / 1_000_000_000)
    }

    #[test]
    fn it_leads_back_by_the_time_asked_for() {
        let start = Instant::now();
        let mut rewind = Rewind::new(REWIND, start, bare(0));
        for second in 1..=300 {
            rewind.checkpoint(start + Duration::from_secs(second), at(second), || None);
            let back = rewind.back().position.sequence.get();
            assert!(back <= second.saturating_sub(30), "at {second}: {back}");
            assert!(
                back + 33 >= second || second < 33,
                "at {second}: {back} is further back than needed"
            );
        }
        assert!(
            rewind.checkpoints.len() <= MARKS as usize + 3,
            "{}",
            rewind.checkpoints.len()
        );
    }

    /// The node answers every second, from one moment to another.
    fn works(rewind: &mut Rewind, start: Instant, seconds: std::ops::RangeInclusive<u64>) {
        for second in seconds {
            rewind.heard(start + Duration::from_secs(second));
        }
    }

    #[test]
    fn a_doubt_holds_it_back_until_the_node_had_its_time() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut rewind = Rewind::new(REWIND, start, bare(0));
        rewind.doubt(later(1), at(5), of("a"));
        rewind.doubt(later(2), at(9), of("b"));
        let both = ["a", "b"].map(str::to_owned).into();
        assert_eq!(rewind.doubted(), Some(&Doubted::Databases(both)));
        for second in 1..100 {
            rewind.checkpoint(later(second), at(10 + second), || None);
        }
        assert_eq!(rewind.back(), bare(5));
        works(&mut rewind, start, 100..=129);
        assert_eq!(rewind.settle_doubts(), None);
        assert_eq!(rewind.next_hearing(), Some(later(130)));
        works(&mut rewind, start, 130..=130);
        assert_eq!(rewind.settle_doubts(), Some(bare(5)));
        assert_eq!((rewind.settle_doubts(), rewind.doubted()), (None, None));
        assert_eq!(rewind.next_hearing(), None);
        rewind.went_back(later(130), bare(5));
        assert_eq!(rewind.back(), bare(5));
        rewind.checkpoint(later(131), at(20), || identity_point(131));
        rewind.begin_at(later(132), at(21), || None);
        assert_eq!(rewind.back().position, at(21));
        assert_eq!(
            second_proven(&rewind.back()),
            Some(131),
            "it proves the same there"
        );
    }

    #[test]
    fn while_a_node_stands_still_its_time_does_too() {
        let start = Instant::now();
        let mut rewind = Rewind::new(REWIND, start, bare(0));
        works(&mut rewind, start, 0..=0);
        rewind.doubt(start, at(5), Doubted::All);
        works(&mut rewind, start, 1..=20);
        // Silent for long: a part of it counts if nothing told of an interruption, and nothing if something did.
        works(&mut rewind, start, 100..=100);
        assert_eq!(rewind.settle_doubts(), None);
        rewind.interrupted();
        assert_eq!(rewind.next_hearing(), None);
        works(&mut rewind, start, 200..=202);
        assert_eq!(rewind.settle_doubts(), None);
        works(&mut rewind, start, 203..=203);
        assert_eq!(rewind.settle_doubts(), Some(bare(5)));
    }

    #[test]
    fn each_doubt_ends_for_itself_and_they_are_not_too_many() {
        let start = Instant::now();
        let mut rewind = Rewind::new(REWIND, start, bare(0));
        let mut gone_back = Vec::new();
        // A request without an answer every five seconds.
        for second in 1..=100 {
            if second % 5 == 0 {
                rewind.doubt(start + Duration::from_secs(second), at(second), of("a"));
            }
            works(&mut rewind, start, second..=second);
            gone_back.extend(rewind.settle_doubts().map(|checkpoint| checkpoint.position));
        }
        let expected: Vec<Position> = (1..=14).map(|five| at(5 * five)).collect();
        assert_eq!(gone_back, expected);
        // As many as you like at once, and not heard of.
        for second in 101..=200 {
            rewind.doubt(start + Duration::from_secs(second), at(second), of("a"));
        }
        assert_eq!(rewind.doubts.len(), MOST_DOUBTS);
        assert_eq!(
            rewind.doubts.front().map(|doubt| &doubt.before),
            Some(&bare(75))
        );
        rewind.forget_doubts();
        assert_eq!((rewind.back(), rewind.doubted()), (bare(0), None));
    }

    #[test]
    fn the_identity_point_is_of_the_place_it_leads_back_to_and_not_newer() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut rewind = Rewind::new(REWIND, start, bare(0));
        for second in 1..=100 {
            // Every other mark finds no point: the identity point stays what it was.
            rewind.checkpoint(later(second), at(second), || {
                if second % 2 == 0 {
                    identity_point(second)
                } else {
                    None
                }
            });
            let back = rewind.back();
            let place = back.position.sequence.get();
            let expected = (place >= 2).then(|| (place - place % 2).cast_signed());
            assert_eq!(second_proven(&back), expected, "at {second}");
        }
        rewind.doubt(later(100), at(100), of("a"));
        for second in 101..=200 {
            rewind.checkpoint(later(second), at(second), || identity_point(second));
        }
        assert_eq!(rewind.back().position, at(100));
        assert_eq!(second_proven(&rewind.back()), Some(100));
        rewind.forget_proofs(&Removal::Points(None));
        assert_eq!(rewind.back().identity_point, None);
        rewind.checkpoint(later(202), at(202), || None);
        works(&mut rewind, start, 300..=330);
        assert_eq!(rewind.settle_doubts(), Some(bare(100)));
        assert_eq!(rewind.back().identity_point, None);
    }
}
