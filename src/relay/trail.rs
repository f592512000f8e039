//! Where a replica's cursor stood in the recent past, so that it can be set back by a time (rules W7 and R2).
//!
//! A node that restarted may have lost its last seconds; a request that got no answer may land after newer ones. Both are
//! mended by sending again, in order, what came since. What is saved as the replica's cursor is therefore not where it is
//! but where it was `rewind` ago, or before the oldest request in doubt: after a crash of haflux the same is sent again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::proof::Proof;
use crate::journal::Position;

/// Marks in a full trail: how finely a time is met.
const MARKS: u32 = 32;

/// A place of the cursor, with a point that the replica had accepted when its cursor stood there (rule R1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    pub(super) proof: Option<Arc<Proof>>,
}

/// The recent past of one cursor.
#[derive(Debug)]
pub(super) struct Trail {
    rewind: Duration,
    /// Rising in time and position; the first is the newest that is at least `rewind` old, if there is one so old.
    marks: VecDeque<(Instant, Mark)>,
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
    before: Mark,
    databases: Doubted,
    /// When it can no longer land, as far as can be told.
    until: Instant,
}

impl Trail {
    pub(super) fn new(rewind: Duration, now: Instant, place: Mark) -> Trail {
        Trail {
            rewind,
            marks: VecDeque::from([(now, place)]),
            doubt: None,
        }
    }

    /// The cursor is here now. If it is time for a mark, `proof` gives a point accepted up to here; without one, the proof
    /// stays what it was.
    pub(super) fn mark(
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
    pub(super) fn pace(&self) -> Duration {
        (self.rewind / MARKS).max(Duration::from_millis(10))
    }

    /// Where the cursor stood `rewind` before the newest mark, at least; and before what is in doubt.
    pub(super) fn back(&self) -> Mark {
        let marked = self
            .marks
            .front()
            .map(|(_, mark)| mark.clone())
            .unwrap_or_default();
        match &self.doubt {
            Some(doubt) if doubt.before.position.sequence < marked.position.sequence => {
                doubt.before.clone()
            }
            _ => marked,
        }
    }

    /// A request for these databases that went out when the cursor stood here got no answer.
    pub(super) fn doubt(&mut self, now: Instant, cursor: Position, mut databases: Doubted) {
        let until = now + self.rewind;
        let mut before = Mark {
            position: cursor,
            proof: self.newest_proof(),
        };
        if let Some(earlier) = self.doubt.take() {
            if earlier.before.position.sequence < cursor.sequence {
                before = earlier.before;
            }
            databases.add(earlier.databases);
        }
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
    pub(super) fn settle_doubt(&mut self, now: Instant) -> Option<Mark> {
        let doubt = self.doubt.take_if(|doubt| doubt.until <= now)?;
        Some(doubt.before)
    }

    /// Nothing before this place will be sent again: a statement stands here. `proof` is as for a mark.
    pub(super) fn begin_at(
        &mut self,
        now: Instant,
        position: Position,
        proof: impl FnOnce() -> Option<Proof>,
    ) {
        let proof = proof().map(Arc::new).or_else(|| self.newest_proof());
        self.went_back(now, Mark { position, proof });
    }

    /// The cursor was set back to here: nothing after it counts any more.
    pub(super) fn went_back(&mut self, now: Instant, place: Mark) {
        if let Some(doubt) = &mut self.doubt
            && doubt.before.position.sequence > place.position.sequence
        {
            doubt.before = place.clone();
        }
        self.marks = VecDeque::from([(now, place)]);
    }

    /// No point is known any more that the replica must have.
    pub(super) fn forget_proofs(&mut self) {
        for (_, mark) in &mut self.marks {
            mark.proof = None;
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.before.proof = None;
        }
    }

    fn newest_proof(&self) -> Option<Arc<Proof>> {
        self.marks.back().and_then(|(_, mark)| mark.proof.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::proof::tests::record;
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
        assert_eq!(trail.doubt_ends(), Some(later(32)), "not before that");
        trail.answers_again(later(100));
        assert_eq!(trail.settle_doubt(later(129)), None);
        assert_eq!(trail.settle_doubt(later(130)), Some(bare(5)));
        assert_eq!(trail.settle_doubt(later(131)), None);
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
        trail.forget_proofs();
        assert_eq!(trail.back().proof, None);
        trail.mark(later(202), at(202), || None);
        assert_eq!(trail.settle_doubt(later(300)), Some(bare(100)));
        assert_eq!(trail.back().proof, None);
    }
}
