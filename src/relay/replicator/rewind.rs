//! Where a replica's cursor stood in the recent past, so that it can be set back by a time (rule R2).
//!
//! A node that restarted may have lost its last seconds, so it is sent again, in order, what came since `rewind` before. What is
//! saved as the replica's cursor is therefore not where it is but where it was `rewind` ago: after a crash of haflux the same is
//! sent again. What may land late for want of an answer is known for each lane: [`doubts`](crate::relay::replicator::doubts).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::Position;
use crate::relay::record::removal::Removal;
use crate::relay::replica::identity_point::IdentityPoint;

/// Checkpoints for the whole of `rewind`: how finely a time is met.
const CHECKPOINTS: u32 = 32;

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
}

impl Rewind {
    pub(in crate::relay) fn new(rewind: Duration, now: Instant, place: Checkpoint) -> Rewind {
        Rewind {
            rewind,
            checkpoints: VecDeque::from([(now, place)]),
        }
    }

    /// The cursor is here now. If it is time for a checkpoint, `identity_point` gives a point accepted up to here; without one, the
    /// identity point stays what it was.
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

    /// The time between two checkpoints.
    pub(in crate::relay) fn pace(&self) -> Duration {
        (self.rewind / CHECKPOINTS).max(Duration::from_millis(10))
    }

    /// Where the cursor stood `rewind` before the newest checkpoint, at least.
    pub(in crate::relay) fn back(&self) -> Checkpoint {
        let first = self.checkpoints.front();
        first.map_or_else(Checkpoint::default, |(_, checkpoint)| checkpoint.clone())
    }

    /// A checkpoint at a place at or behind the cursor.
    pub(in crate::relay) fn at(&self, position: Position) -> Checkpoint {
        Checkpoint {
            position,
            identity_point: self.newest_identity_point(),
        }
    }

    /// Nothing before this place is sent again, because a statement stands here. `identity_point` is as for a checkpoint.
    pub(in crate::relay) fn begin_at(
        &mut self,
        now: Instant,
        position: Position,
        identity_point: impl FnOnce() -> Option<IdentityPoint>,
    ) {
        let mut place = self.at(position);
        if let Some(identity_point) = identity_point() {
            place.identity_point = Some(Arc::new(identity_point));
        }
        self.went_back(now, place);
    }

    /// The cursor was set back to here: nothing after it counts.
    pub(in crate::relay) fn went_back(&mut self, now: Instant, place: Checkpoint) {
        self.checkpoints = VecDeque::from([(now, place)]);
    }

    /// Points that may be removed prove nothing.
    pub(in crate::relay) fn forget_identity_points(&mut self, removal: &Removal) {
        for (_, checkpoint) in &mut self.checkpoints {
            checkpoint.forget_identity_point(removal);
        }
    }

    /// The newest identity point that a checkpoint took.
    pub(in crate::relay) fn newest_identity_point(&self) -> Option<Arc<IdentityPoint>> {
        let (_, newest) = self.checkpoints.back()?;
        newest.identity_point.clone()
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
            rewind.checkpoints.len() <= CHECKPOINTS as usize + 3,
            "{}",
            rewind.checkpoints.len()
        );
    }

    #[test]
    fn the_identity_point_is_of_the_place_it_leads_back_to_and_not_newer() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut rewind = Rewind::new(REWIND, start, bare(0));
        for second in 1..=100 {
            // Every other checkpoint finds no point: the identity point stays what it was.
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
        rewind.begin_at(later(101), at(101), || None);
        assert_eq!(rewind.back().position, at(101));
        assert_eq!(
            second_proven(&rewind.back()),
            Some(100),
            "it proves the same there"
        );
        rewind.forget_identity_points(&Removal::Points(None));
        assert_eq!(rewind.back().identity_point, None);
    }
}
