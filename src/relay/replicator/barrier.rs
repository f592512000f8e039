//! Statements that a replica stands before, and what waits behind them (rule S1).
//!
//! A statement is a **barrier** for the lanes that it [touches](crate::relay::record::touched): what comes behind it in these lanes is parked with it
//! until it has its verdict and the cursor is saved behind it. What finds no room there is skipped: then the replica goes back to the
//! statement when it has passed it, with all lanes, and reads everything behind it once more. Other lanes go on, past the statement. A statement that touches all lanes, or
//! more statements than [`MOST_STATEMENTS`], end the reading of the journal until it is their turn.
//!
//! What is skipped is read for the sake of other lanes, and read again: of a node that returns with a long backlog of one database, with
//! statements in between, that would be all of it for each of them. So it is skipped no faster than [`SKIPPED_A_SECOND`]: little
//! before a statement that is quick, and as much as it takes before one that lasts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::queue::window::{BATCHES, Window};
use super::{MAX_TRACKED, Replicator, STATEMENT_WEIGHT};
use crate::journal::{Position, Sequence};
use crate::relay::record::statement::StatementRecord;
use crate::relay::record::touched::Touched;
use crate::relay::record::withdrawal::Withdrawal;
use crate::relay::record::write::WriteRecord;
use crate::relay::replica::backoff::Backoff;
use crate::relay::replicator::queue::lane::weight;
use crate::relay::replicator::turns::Turn;
use crate::relay::verdict::freshness::Ahead;

/// How long a statement may keep writes waiting before their clients no longer wait for this replica.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Joined requests' worth of writes that are parked: half of what the window holds, so that other lanes have the rest.
const PARKED_BATCHES: usize = BATCHES / 2;

/// Writes that are parked with one statement.
const MOST_PARKED: usize = MAX_TRACKED / 2;

/// Statements that are read ahead of their turn.
const MOST_STATEMENTS: usize = 64;

/// Bytes that are skipped in a second, beside as many as may be parked. Ten times as many were read out of the system's cache.
const SKIPPED_A_SECOND: usize = 64 << 20;

/// What found no room behind a statement, and will be read again.
struct Skipped {
    since: Instant,
    bytes: usize,
}

/// A statement, and what waits for it.
pub(super) struct Barrier {
    pub(super) sequence: Sequence,
    pub(super) position: Position,
    pub(super) statement: StatementRecord,
    pub(super) touched: Touched,
    withdrawal: Withdrawal,
    pub(super) since: Instant,
    pub(super) stage: Stage,
    /// Not before this moment.
    pub(super) not_before: Option<Instant>,
    /// Since when it is tried and not taken.
    pub(super) held_since: Option<Instant>,
    pub(super) backoff: Backoff,
    /// This replica did not carry it out.
    pub(super) is_refused: bool,
    /// While it is under way: this replica may carry it out before the others.
    pub(super) turn: Option<Turn>,
    /// Another replica is first at it.
    pub(super) is_anothers_turn: bool,
    /// Writes behind it to the lanes that it touches.
    parked: Vec<(Sequence, WriteRecord)>,
    /// The oldest write of each of these lanes that found no room there.
    skipped: BTreeMap<String, Sequence>,
}

impl Barrier {
    /// Whether it is tried again and again, because the replica does not take it as things are.
    pub(super) fn is_held(&self) -> bool {
        self.held_since.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// What came before it has no verdict yet, or the cursor is not saved.
    Waiting,
    /// The cursor is saved right before it.
    Ready,
    /// It, or the question whether it still runs, is under way.
    UnderWay,
    /// It has its verdict; the cursor is not saved behind it.
    Judged,
}

impl Barrier {
    fn new(position: Position, statement: StatementRecord, backoff: Backoff) -> Barrier {
        Barrier {
            sequence: position.sequence,
            position,
            touched: Touched::of(&statement),
            withdrawal: Withdrawal::of(&statement),
            statement,
            since: Instant::now(),
            stage: Stage::Waiting,
            not_before: None,
            held_since: None,
            backoff,
            is_refused: false,
            turn: None,
            is_anothers_turn: false,
            parked: Vec::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// Whether this record waits for it.
    fn holds(&self, sequence: Sequence, lane: &str) -> bool {
        self.sequence < sequence && self.touched.contains(lane)
    }

    fn has_waited_long(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PATIENCE
    }
}

/// What became of a record that was shown to the barriers.
pub(super) enum Met {
    /// It waits for no statement.
    Free(WriteRecord),
    /// It waits with one.
    Parked,
    /// It should, and found no room: it is read again once the statement is passed.
    Skipped,
}

/// A statement that was passed.
pub(super) struct Passed {
    pub(super) barrier: Barrier,
    /// What waited for it, in order.
    pub(super) parked: Vec<(Sequence, WriteRecord)>,
    /// Something found no room behind it.
    pub(super) has_skipped: bool,
}

/// The statements that a replica stands before.
pub(super) struct Barriers {
    /// The one that is next.
    next: Option<Barrier>,
    /// Those behind it that were read already.
    later: VecDeque<Barrier>,
    /// Bytes of writes that wait.
    parked: usize,
    /// As many may wait, beside the first one behind each statement.
    most_parked: usize,
    skipped: Option<Skipped>,
}

impl Barriers {
    /// None; joined requests have at most `max_batch` bytes.
    pub(super) fn new(max_batch: usize) -> Barriers {
        Barriers {
            next: None,
            later: VecDeque::new(),
            parked: 0,
            most_parked: max_batch.saturating_mul(PARKED_BATCHES),
            skipped: None,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Barrier> {
        self.next.iter().chain(&self.later)
    }

    /// The one that is next.
    pub(super) fn next(&self) -> Option<&Barrier> {
        self.next.as_ref()
    }

    /// The one that is next.
    pub(super) fn next_mut(&mut self) -> Option<&mut Barrier> {
        self.next.as_mut()
    }

    pub(super) fn push(&mut self, barrier: Barrier) {
        match self.next {
            None => self.next = Some(barrier),
            Some(_) => self.later.push_back(barrier),
        }
    }

    /// Whether nothing that is read now waits for a statement in any case.
    pub(super) fn may_read_past(&self) -> bool {
        self.later.len() < MOST_STATEMENTS
            && self.all().all(|barrier| barrier.touched != Touched::All)
    }

    /// Whether this record of the lane waits for a statement.
    pub(super) fn hold(&self, sequence: Sequence, lane: &str) -> bool {
        self.all().any(|barrier| barrier.holds(sequence, lane))
    }

    /// Takes a write that waits for a statement, which stands in the window then.
    pub(super) fn meet(
        &mut self,
        sequence: Sequence,
        record: WriteRecord,
        window: &mut Window,
    ) -> Met {
        let lane = &record.destination.database;
        let mut all = self.next.iter_mut().chain(&mut self.later);
        let Some(barrier) = all.find(|barrier| barrier.holds(sequence, lane)) else {
            return Met::Free(record);
        };
        let weight = weight(&record);
        let is_full = self.parked.saturating_add(weight) > self.most_parked
            || barrier.parked.len() >= MOST_PARKED;
        if !barrier.parked.is_empty() && (is_full || !barrier.skipped.is_empty()) {
            barrier.skipped.entry(lane.clone()).or_insert(sequence);
            let skipped = self.skipped.get_or_insert_with(|| Skipped {
                since: Instant::now(),
                bytes: 0,
            });
            skipped.bytes = skipped.bytes.saturating_add(weight);
            return Met::Skipped;
        }
        self.parked += weight;
        window.add(&record);
        barrier.parked.push((sequence, record));
        Met::Parked
    }

    /// The statement that is next is passed.
    pub(super) fn pass(&mut self) -> Option<Passed> {
        let mut barrier = self.next.take()?;
        self.next = self.later.pop_front();
        let parked = std::mem::take(&mut barrier.parked);
        let weights = parked.iter().map(|(_, record)| weight(record));
        self.parked = self.parked.saturating_sub(weights.sum());
        Some(Passed {
            has_skipped: !barrier.skipped.is_empty(),
            parked,
            barrier,
        })
    }

    pub(super) fn clear(&mut self) {
        self.next = None;
        self.later = VecDeque::new();
        self.parked = 0;
        self.skipped = None;
    }

    /// Whether something found no room, so that less has been read than it seems.
    pub(super) fn have_skipped(&self) -> bool {
        self.skipped.is_some()
    }

    /// When more may be read, if that is not now.
    pub(super) fn reads_on_at(&self, now: Instant) -> Option<Instant> {
        let skipped = self.skipped.as_ref()?;
        let paced = skipped.bytes.saturating_sub(self.most_parked) as f64;
        let at = skipped.since + Duration::from_secs_f64(paced / SKIPPED_A_SECOND as f64);
        (at > now).then_some(at)
    }

    /// The statements without a verdict, for those who read.
    pub(super) fn ahead(&self) -> Vec<Ahead> {
        let ahead = self
            .all()
            .filter(|barrier| barrier.stage != Stage::Judged)
            .map(|barrier| Ahead {
                sequence: barrier.sequence,
                touched: barrier.touched.clone(),
                withdrawal: barrier.withdrawal.clone(),
            });
        ahead.collect()
    }

    /// The oldest write of each lane that waits for the statement that is next.
    pub(super) fn oldest_parked(&self) -> BTreeMap<String, Sequence> {
        let mut oldest = BTreeMap::new();
        let Some(barrier) = &self.next else {
            return oldest;
        };
        for (sequence, record) in &barrier.parked {
            let lane = record.destination.database.clone();
            oldest.entry(lane).or_insert(*sequence);
        }
        for (lane, sequence) in &barrier.skipped {
            oldest.entry(lane.clone()).or_insert(*sequence);
        }
        oldest
    }

    /// Whether a statement, or the question about it, is under way.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(&self.next, Some(barrier) if barrier.stage == Stage::UnderWay)
    }

    /// Whether a statement keeps the replica from all writes for longer than their clients should wait.
    pub(super) fn hold_all_up(&self, now: Instant) -> bool {
        let mut all = self.all();
        all.any(|barrier| barrier.touched == Touched::All && barrier.has_waited_long(now))
    }

    /// The lanes that a statement has kept waiting for too long.
    pub(super) fn held_up(&self, now: Instant) -> impl Iterator<Item = &str> {
        let long = self.all().filter(move |one| one.has_waited_long(now));
        let lanes = long.filter_map(|barrier| barrier.touched.lanes()).flatten();
        lanes.map(String::as_str)
    }

    /// When the next statement will have kept its lanes waiting for too long.
    pub(super) fn next_held_up(&self, now: Instant) -> Option<Instant> {
        let moments = self.all().map(|barrier| barrier.since + PATIENCE);
        moments.filter(|moment| *moment > now).min()
    }
}

impl Replicator {
    /// The next record is a statement. Returns whether what is behind it may be read.
    pub(super) fn stand_before(&mut self, position: Position, statement: StatementRecord) -> bool {
        self.window
            .add_bytes(statement.body.len() + STATEMENT_WEIGHT);
        let backoff = Backoff::new(self.pace.retry_min, self.pace.retry_max);
        self.barriers
            .push(Barrier::new(position, statement, backoff));
        let may_read_on = self.barriers.may_read_past();
        if !may_read_on {
            self.reader = self.journal.reader(position.sequence);
        }
        may_read_on
    }

    /// Takes a write that waits for a statement; gives back one that does not.
    pub(super) fn park(&mut self, sequence: Sequence, record: WriteRecord) -> Option<WriteRecord> {
        let lane = record.destination.database.clone();
        match self.barriers.meet(sequence, record, &mut self.window) {
            Met::Free(record) => return Some(record),
            Met::Parked => {}
            // The cursor does not pass what is parked before it.
            Met::Skipped => self.tracker.judged(sequence),
        }
        self.lanes.began_elsewhere(&lane, sequence);
        None
    }

    /// The statement is passed: what waited for it goes on, to the next statement or to its lane.
    pub(super) fn leave_barrier(&mut self) -> Option<Barrier> {
        let passed = self.barriers.pass()?;
        let barrier = passed.barrier;
        self.window
            .remove_bytes(barrier.statement.body.len() + STATEMENT_WEIGHT);
        if passed.has_skipped {
            self.going_back = Some(self.back());
            self.is_doubt_changed = true;
            self.show_doubt();
            return Some(barrier);
        }
        for (sequence, record) in passed.parked {
            self.window.remove(&record);
            if let Some(record) = self.not_held(sequence, record) {
                self.enqueue_in_lane(sequence, record, false);
            }
        }
        self.show_read();
        Some(barrier)
    }

    /// Tells which lanes a statement has kept waiting for too long, and which are being sent again.
    pub(super) fn show_held(&mut self, now: Instant) {
        let lanes = self.barriers.held_up(now).chain(self.reread_lanes());
        let held: BTreeSet<&str> = lanes.collect();
        if held
            .iter()
            .copied()
            .eq(self.held.iter().map(String::as_str))
        {
            return;
        }
        self.pending_clients
            .hold(self.replica.index, held.iter().copied());
        let held = held.into_iter().map(str::to_owned).collect();
        self.held = held;
    }
}

#[cfg(test)]
mod tests;
