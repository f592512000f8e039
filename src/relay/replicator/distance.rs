//! How far a replica is from the head of the journal, and from which distance on nobody waits for it.
//!
//! Two distances, because lanes do not wait for each other. What is not read yet, all of it lanes' to come, is measured for the
//! replica as a whole: in bytes, and in the time for which it has been durable. What stands in a lane is measured for that lane, by
//! the time for which its oldest record has stood there: a lane that is slow, or stands before a record that gets no verdict,
//! keeps nobody from the other lanes. A lane holds no more than the window, so a replica that is slow in all of them ceases
//! to read, and is far as a whole.
//!
//! Whether clients wait says nothing of how old the oldest record is that the replica has read and not judged: a statement may be
//! under way for hours while its lanes count as out of reach and all others as near. A replica with a record older than `near.time` is
//! *late*: it is not fresh for those who look at it, and its backlog is bounded as that of one that is away (rule R3). The time for
//! which another replica is first at a statement does not make it late.
//!
//! Time is that of the process, not of a clock that is set: what was durable when is remembered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Replicator;
use crate::config::model::Near;
use crate::journal::{Position, Sequence};
use crate::relay::verdict::reach::Reach;

use super::link::LinkState;

/// How often a late replica is looked at: nothing else may wake its task for long.
const LATE_PACE: Duration = Duration::from_secs(1);

/// `near.time` divided by this: how finely it is met.
const STEPS: u32 = 8;

/// Where the head stood in the recent past.
#[derive(Debug)]
pub(super) struct Heads {
    near: Near,
    /// Rising; none is older than `near.time`.
    recent: VecDeque<(Instant, Sequence)>,
    /// Where it stood when `near.time` began.
    before: Sequence,
}

impl Heads {
    /// For a replica whose journal ends here when it begins: that is as old as can be.
    pub(super) fn new(near: Near, head: Sequence) -> Heads {
        Heads {
            near,
            recent: VecDeque::new(),
            before: head,
        }
    }

    /// The head stands here now.
    pub(super) fn look(&mut self, now: Instant, head: Sequence) {
        let newest = self.recent.back();
        let is_due = newest.is_none_or(|(last, known)| {
            *known < head && now.saturating_duration_since(*last) >= self.pace()
        });
        if is_due {
            self.recent.push_back((now, head));
        }
        while let Some((_, old)) = self
            .recent
            .pop_front_if(|(moment, _)| now.saturating_duration_since(*moment) >= self.near.time)
        {
            self.before = self.before.max(old);
        }
    }

    /// Whether a replica that has read up to here is near a head that stands there.
    fn is_near(&self, read: Position, head: Position) -> bool {
        read.sequence >= self.before && head.offset.saturating_sub(read.offset) <= self.near.bytes
    }

    /// The time between two looks.
    fn pace(&self) -> Duration {
        (self.near.time / STEPS).max(Duration::from_millis(10))
    }
}

impl Replicator {
    /// Whether clients wait for this replica: the one place where it is decided. A lane of it that is slow has no say in it.
    pub(super) fn reach(&self, now: Instant) -> Reach {
        match self.link.state() {
            LinkState::Unasked => Reach::Unasked,
            LinkState::Away { .. } | LinkState::Closed => Reach::Away,
            LinkState::Handshake { before } => before,
            LinkState::Linked if self.is_near() && !self.barriers.hold_all_up(now) => Reach::Near,
            LinkState::Linked => Reach::Behind,
        }
    }

    /// Whether little of the journal is unread.
    pub(super) fn is_near(&self) -> bool {
        self.going_back.is_none()
            && self
                .heads
                .is_near(self.tracker.read_up_to(), self.journal.durable())
    }

    /// Since when its oldest record has been without a verdict, and not because another replica is first at it.
    pub(super) fn lacks_since(&self) -> Option<Instant> {
        let (oldest, since) = self.tracker.oldest()?;
        let next = self.barriers.next();
        let waits = next.is_some_and(|next| next.sequence == oldest && next.is_anothers_turn);
        (!waits).then(|| since.max(self.held_up_until))
    }

    /// Whether a record that was read has been without a verdict for longer than it is in a replica that is near.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        let since = self.lacks_since();
        since.is_some_and(|since| now.saturating_duration_since(since) >= self.heads.near.time)
    }

    /// Whether it has read and judged everything, or does so within `near`.
    pub(super) fn keeps_up(&self, now: Instant) -> bool {
        self.is_linked() && self.is_near() && !self.is_late(now)
    }

    /// Clients do not wait for lanes that are slow; what is under way in them is vouched for by nobody else. Whether there are any.
    pub(super) fn stall_slow_lanes(&mut self, now: Instant) -> bool {
        let mut is_slow = false;
        for (name, lane) in self.lanes.iter() {
            let waits = lane.waits(now);
            if waits < self.heads.near.time {
                continue;
            }
            is_slow = true;
            if self.stalled.insert(name.clone()) {
                self.pending_clients
                    .stall(self.replica.index, name, &lane.under_way());
            }
        }
        is_slow
    }

    /// When this replica, or a lane of it, may be far, or late, for lack of progress.
    pub(super) fn next_distance(&self) -> Option<Instant> {
        let now = Instant::now();
        let unread = self.journal.durable().sequence > self.tracker.read_up_to().sequence;
        let look = (unread && self.is_linked()).then(|| now + self.heads.pace());
        let slow = self.lanes.iter().filter_map(|(name, lane)| {
            let left = self.heads.near.time.checked_sub(lane.waits(now))?;
            (!self.stalled.contains(name)).then(|| now + left)
        });
        let late = self.lacks_since().map(|since| {
            let late = since + self.heads.near.time;
            if late > now { late } else { now + LATE_PACE }
        });
        look.into_iter().chain(slow).chain(late).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64, offset: u64) -> Position {
        Position {
            sequence: Sequence::new(sequence),
            offset,
        }
    }

    #[test]
    fn near_is_a_distance_in_bytes_and_in_time() {
        let near = Near {
            bytes: 1000,
            time: Duration::from_secs(5),
        };
        let start = Instant::now();
        let later = |millis| start + Duration::from_millis(millis);
        let mut heads = Heads::new(near, Sequence::new(10));
        // What was there at the start is old.
        assert!(!heads.is_near(at(9, 900), at(10, 1000)));
        assert!(heads.is_near(at(10, 1000), at(10, 1000)));
        for second in 1..=100 {
            heads.look(later(second * 1000), Sequence::new(10 + second));
        }
        let head = at(110, 1000);
        assert!(heads.is_near(at(106, 500), head));
        assert!(!heads.is_near(at(104, 500), head), "more than five seconds");
        assert!(!heads.is_near(at(110, 1000), at(111, 2001)), "more bytes");
        // Nothing is written any more, and it makes no progress.
        assert!(heads.is_near(at(109, 500), head));
        heads.look(later(105_000), Sequence::new(110));
        assert!(!heads.is_near(at(109, 500), head));
        assert!(heads.is_near(at(110, 1000), head));
        // A head that moves all the time is not remembered all the time.
        for milli in 0..60_000 {
            heads.look(later(200_000 + milli), Sequence::new(1000 + milli));
        }
        assert!(heads.recent.len() <= STEPS as usize + 1);
    }
}
