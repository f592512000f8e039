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
use crate::relay::replica::identity_point::Proof;

/// Marks in a full trail: how finely a time is met.
const MARKS: u32 = 32;

/// A place of the cursor, with a point that the replica had accepted when its cursor stood there (rule R1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::relay) struct Mark {
    pub(in crate::relay) position: Position,
    pub(in crate::relay) proof: Option<Arc<Proof>>,
}

impl Mark {
    /// A point that may be removed proves nothing.
    pub(in crate::relay) fn forget_proof(&mut self, removal: &Removal) {
        self.proof
            .take_if(|proof| removal.takes_points(&proof.database));
    }
}

/// The recent past of one cursor.
#[derive(Debug)]
pub(in crate::relay) struct Trail {
    rewind: Duration,
    /// Rising in time and position; the first is the newest that is at least `rewind` old, if there is one so old.
    marks: VecDeque<(Instant, Mark)>,
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
    before: Mark,
    databases: Doubted,
    /// When the first one got no answer, and the last.
    begun: Instant,
    since: Instant,
    /// For how long they may land yet, in time in which the node works.
    left: Duration,
}

impl Trail {
    pub(in crate::relay) fn new(rewind: Duration, now: Instant, place: Mark) -> Trail {
        Trail {
            rewind,
            marks: VecDeque::from([(now, place)]),
            doubts: VecDeque::new(),
            doubted: None,
            heard: None,
        }
    }

    /// The cursor is here now. If it is time for a mark, `proof` gives a point accepted up to here; without one, the proof
    /// stays what it was.
    pub(in crate::relay) fn mark(
        &mut self,
        now: Instant,
        position: Position,
        proof: impl FnOnce() -> Option<Proof>,
    ) {
        let due = self
            .marks
            .back()
            .is_none_or(|(last, _)| now.saturating_duration_since(*last) >= self.pace());
        if due {
            let proof = proof().map(Arc::new).or_else(|| self.newest_proof());
            self.marks.push_back((now, Mark { position, proof }));
        }
        let old = |mark: Option<&(Instant, Mark)>| {
            mark.is_some_and(|(moment, _)| now.saturating_duration_since(*moment) >= self.rewind)
        };
        while old(self.marks.get(1)) {
            self.marks.pop_front();
        }
    }

    /// The time between two marks.
    pub(in crate::relay) fn pace(&self) -> Duration {
        (self.rewind / MARKS).max(Duration::from_millis(10))
    }

    /// Where the cursor stood `rewind` before the newest mark, at least; and before what is in doubt.
    pub(in crate::relay) fn back(&self) -> Mark {
        let marked = self.marks.front().map(|(_, mark)| mark);
        let doubted = self.doubts.iter().map(|doubt| &doubt.before);
        let earliest = marked
            .into_iter()
            .chain(doubted)
            .min_by_key(|mark| mark.position.sequence);
        earliest.cloned().unwrap_or_default()
    }

    /// A mark at the place where the cursor stands now.
    pub(in crate::relay) fn here(&self, cursor: Position) -> Mark {
        Mark {
            position: cursor,
            proof: self.newest_proof(),
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
    pub(in crate::relay) fn settle_doubts(&mut self) -> Option<Mark> {
        let mut earliest: Option<Mark> = None;
        self.doubts.retain(|doubt| {
            let is_over = doubt.left.is_zero();
            let sequence = doubt.before.position.sequence;
            if is_over
                && earliest
                    .as_ref()
                    .is_none_or(|mark| sequence < mark.position.sequence)
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

    /// Nothing before this place will be sent again: a statement stands here. `proof` is as for a mark.
    pub(in crate::relay) fn begin_at(
        &mut self,
        now: Instant,
        position: Position,
        proof: impl FnOnce() -> Option<Proof>,
    ) {
        let proof = proof().map(Arc::new).or_else(|| self.newest_proof());
        let place = Mark { position, proof };
        for doubt in &mut self.doubts {
            if doubt.before.position.sequence < position.sequence {
                // Of a lane that the statement does not touch, and newer than the statement.
                doubt.before = place.clone();
            }
        }
        self.went_back(now, place);
    }

    /// The cursor was set back to here: nothing after it counts any more.
    pub(in crate::relay) fn went_back(&mut self, now: Instant, place: Mark) {
        self.marks = VecDeque::from([(now, place)]);
    }

    /// Points that may be removed prove nothing.
    pub(in crate::relay) fn forget_proofs(&mut self, removal: &Removal) {
        let marks = self.marks.iter_mut().map(|(_, mark)| mark);
        let doubts = self.doubts.iter_mut().map(|doubt| &mut doubt.before);
        for mark in marks.chain(doubts) {
            mark.forget_proof(removal);
        }
    }

    /// The newest proof that a mark took.
    pub(in crate::relay) fn newest_proof(&self) -> Option<Arc<Proof>> {
        self.marks.back().and_then(|(_, mark)| mark.proof.clone())
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

    fn bare(sequence: u64) -> Mark {
        Mark {
            position: at(sequence),
            proof: None,
        }
    }

    fn proof(second: u64) -> Option<Proof> {
        Proof::of(&record(&format!("m v=1 {second}")))
    }

    fn second_proven(mark: &Mark) -> Option<i64> {
        let proof = mark.proof.as_ref()?;
        Some(proof.point.time / 1_000_000_000)
    }

    #[test]
    fn it_leads_back_by_the_time_asked_for() {
        let start = Instant::now();
        let mut trail = Trail::new(REWIND, start, bare(0));
        for second in 1..=300 {
            trail.mark(start + Duration::from_secs(second), at(second), || None);
            let back = trail.back().position.sequence.get();
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

    /// The node answers every second, from one moment to another.
    fn works(trail: &mut Trail, start: Instant, seconds: std::ops::RangeInclusive<u64>) {
        for second in seconds {
            trail.heard(start + Duration::from_secs(second));
        }
    }

    #[test]
    fn a_doubt_holds_it_back_until_the_node_had_its_time() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut trail = Trail::new(REWIND, start, bare(0));
        trail.doubt(later(1), at(5), of("a"));
        trail.doubt(later(2), at(9), of("b"));
        let both = ["a", "b"].map(str::to_owned).into();
        assert_eq!(trail.doubted(), Some(&Doubted::Databases(both)));
        for second in 1..100 {
            trail.mark(later(second), at(10 + second), || None);
        }
        assert_eq!(trail.back(), bare(5));
        works(&mut trail, start, 100..=129);
        assert_eq!(trail.settle_doubts(), None);
        assert_eq!(trail.next_hearing(), Some(later(130)));
        works(&mut trail, start, 130..=130);
        assert_eq!(trail.settle_doubts(), Some(bare(5)));
        assert_eq!((trail.settle_doubts(), trail.doubted()), (None, None));
        assert_eq!(trail.next_hearing(), None);
        trail.went_back(later(130), bare(5));
        assert_eq!(trail.back(), bare(5));
        trail.mark(later(131), at(20), || proof(131));
        trail.begin_at(later(132), at(21), || None);
        assert_eq!(trail.back().position, at(21));
        assert_eq!(
            second_proven(&trail.back()),
            Some(131),
            "it proves the same there"
        );
    }

    #[test]
    fn while_a_node_stands_still_its_time_does_too() {
        let start = Instant::now();
        let mut trail = Trail::new(REWIND, start, bare(0));
        works(&mut trail, start, 0..=0);
        trail.doubt(start, at(5), Doubted::All);
        works(&mut trail, start, 1..=20);
        // Silent for long: a part of it counts if nothing told of an interruption, and nothing if something did.
        works(&mut trail, start, 100..=100);
        assert_eq!(trail.settle_doubts(), None);
        trail.interrupted();
        assert_eq!(trail.next_hearing(), None);
        works(&mut trail, start, 200..=202);
        assert_eq!(trail.settle_doubts(), None);
        works(&mut trail, start, 203..=203);
        assert_eq!(trail.settle_doubts(), Some(bare(5)));
    }

    #[test]
    fn each_doubt_ends_for_itself_and_they_are_not_too_many() {
        let start = Instant::now();
        let mut trail = Trail::new(REWIND, start, bare(0));
        let mut gone_back = Vec::new();
        // A request without an answer every five seconds.
        for second in 1..=100 {
            if second % 5 == 0 {
                trail.doubt(start + Duration::from_secs(second), at(second), of("a"));
            }
            works(&mut trail, start, second..=second);
            gone_back.extend(trail.settle_doubts().map(|mark| mark.position));
        }
        let expected: Vec<Position> = (1..=14).map(|five| at(5 * five)).collect();
        assert_eq!(gone_back, expected);
        // As many as you like at once, and not heard of.
        for second in 101..=200 {
            trail.doubt(start + Duration::from_secs(second), at(second), of("a"));
        }
        assert_eq!(trail.doubts.len(), MOST_DOUBTS);
        assert_eq!(
            trail.doubts.front().map(|doubt| &doubt.before),
            Some(&bare(75))
        );
        trail.forget_doubts();
        assert_eq!((trail.back(), trail.doubted()), (bare(0), None));
    }

    #[test]
    fn the_proof_is_of_the_place_it_leads_back_to_and_not_newer() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut trail = Trail::new(REWIND, start, bare(0));
        for second in 1..=100 {
            // Every other mark finds no point: the proof stays what it was.
            trail.mark(later(second), at(second), || {
                if second % 2 == 0 { proof(second) } else { None }
            });
            let back = trail.back();
            let place = back.position.sequence.get();
            let expected = (place >= 2).then(|| (place - place % 2).cast_signed());
            assert_eq!(second_proven(&back), expected, "at {second}");
        }
        trail.doubt(later(100), at(100), of("a"));
        for second in 101..=200 {
            trail.mark(later(second), at(second), || proof(second));
        }
        assert_eq!(trail.back().position, at(100));
        assert_eq!(second_proven(&trail.back()), Some(100));
        trail.forget_proofs(&Removal::Points(None));
        assert_eq!(trail.back().proof, None);
        trail.mark(later(202), at(202), || None);
        works(&mut trail, start, 300..=330);
        assert_eq!(trail.settle_doubts(), Some(bare(100)));
        assert_eq!(trail.back().proof, None);
    }
}
