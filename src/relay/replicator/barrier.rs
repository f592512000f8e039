//! Statements that a replica stands before, and what waits behind them (rule S1).
//!
//! A statement is a **barrier** for the lanes that it [touches](crate::relay::record::touched): what comes behind it in these lanes is parked with it
//! until it has its verdict and the cursor is saved behind it. What finds no room there is skipped: then the replica goes back to the
//! statement when it has passed it, with all lanes, and reads everything behind it once more. Other lanes go on, past the statement. A statement that touches all lanes, or
//! more statements than [`MOST_STATEMENTS`], end the reading of the journal until it is their turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::queue::window::BATCHES;
use super::{MAX_TRACKED, Replicator, STATEMENT_WEIGHT};
use crate::journal::{Position, Sequence};
use crate::relay::record::statement::StatementRecord;
use crate::relay::record::touched::Touched;
use crate::relay::record::write::WriteRecord;
use crate::relay::replica::backoff::Backoff;
use crate::relay::replicator::queue::lane::weight;
use crate::relay::replicator::turns::Turn;

/// How long a statement may keep writes waiting before their clients no longer wait for this replica.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Joined requests' worth of writes that are parked: half of what the window holds, so that other lanes have the rest.
const PARKED_BATCHES: usize = BATCHES / 2;

/// Writes that are parked with one statement.
const MOST_PARKED: usize = MAX_TRACKED / 2;

/// Statements that are read ahead of their turn.
const MOST_STATEMENTS: usize = 64;

/// A statement, and what waits for it.
pub(super) struct Barrier {
    pub(super) sequence: Sequence,
    pub(super) position: Position,
    pub(super) statement: StatementRecord,
    pub(super) touched: Touched,
    pub(super) since: Instant,
    pub(super) stage: Stage,
    /// Not before this moment.
    pub(super) not_before: Option<Instant>,
    /// Since when it is tried and not taken.
    pub(super) held_since: Option<Instant>,
    pub(super) backoff: Backoff,
    /// While it is under way: this replica may carry it out before the others.
    pub(super) turn: Option<Turn>,
    /// Writes behind it to the lanes that it touches.
    parked: Vec<(Sequence, WriteRecord)>,
    /// The oldest write of each of these lanes that found no room there.
    skipped: BTreeMap<String, Sequence>,
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
    /// Whether this record waits for it.
    fn holds(&self, sequence: Sequence, lane: &str) -> bool {
        self.sequence < sequence && self.touched.contains(lane)
    }

    fn has_waited_long(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PATIENCE
    }
}

impl Replicator {
    /// The next record is a statement. Returns whether what is behind it may be read.
    pub(super) fn stand_before(&mut self, position: Position, statement: StatementRecord) -> bool {
        let touched = Touched::of(&statement);
        self.window
            .add_bytes(statement.body.len() + STATEMENT_WEIGHT);
        let barrier = Barrier {
            sequence: position.sequence,
            position,
            statement,
            touched,
            since: Instant::now(),
            stage: Stage::Waiting,
            not_before: None,
            held_since: None,
            backoff: Backoff::new(self.pace.retry_min, self.pace.retry_max),
            turn: None,
            parked: Vec::new(),
            skipped: BTreeMap::new(),
        };
        match self.barrier {
            None => self.barrier = Some(barrier),
            Some(_) => self.later_barriers.push_back(barrier),
        }
        let may_read_on = self.may_read_past_statements();
        if !may_read_on {
            self.reader = self.journal.reader(position.sequence);
        }
        may_read_on
    }

    /// Whether nothing that is read now waits for a statement in any case.
    pub(super) fn may_read_past_statements(&self) -> bool {
        self.later_barriers.len() < MOST_STATEMENTS
            && self
                .barriers()
                .all(|barrier| barrier.touched != Touched::All)
    }

    fn barriers(&self) -> impl Iterator<Item = &Barrier> {
        self.barrier.iter().chain(&self.later_barriers)
    }

    /// Takes a write that waits for a statement; gives back one that does not.
    pub(super) fn park(&mut self, sequence: Sequence, record: WriteRecord) -> Option<WriteRecord> {
        let lane = &record.destination.database;
        let mut barriers = self.barrier.iter_mut().chain(&mut self.later_barriers);
        let Some(barrier) = barriers.find(|barrier| barrier.holds(sequence, lane)) else {
            return Some(record);
        };
        self.begun_lanes.push((lane.clone(), sequence));
        let weight = weight(&record);
        let is_full = self.parked.saturating_add(weight) > self.pace.max_batch * PARKED_BATCHES
            || barrier.parked.len() >= MOST_PARKED;
        if !barrier.parked.is_empty() && (is_full || !barrier.skipped.is_empty()) {
            barrier.skipped.entry(lane.clone()).or_insert(sequence);
            // The cursor does not pass what is parked before it.
            self.tracker.judged(sequence);
            return None;
        }
        self.parked += weight;
        self.window.add(&record);
        barrier.parked.push((sequence, record));
        None
    }

    /// The statement is passed: what waited for it goes on, to the next statement or to its lane.
    pub(super) fn leave_barrier(&mut self) -> Option<Barrier> {
        let mut barrier = self.barrier.take()?;
        self.barrier = self.later_barriers.pop_front();
        let weight_of = barrier.statement.body.len() + STATEMENT_WEIGHT;
        self.window.remove_bytes(weight_of);
        if !barrier.skipped.is_empty() {
            self.going_back = Some(self.back());
            self.is_doubt_changed = true;
            self.show_doubt();
            return Some(barrier);
        }
        for (sequence, record) in std::mem::take(&mut barrier.parked) {
            let weight = weight(&record);
            self.parked = self.parked.saturating_sub(weight);
            self.window.remove(&record);
            if let Some(record) = self.not_held(sequence, record) {
                self.enqueue_in_lane(sequence, record, false);
            }
        }
        self.show_read();
        Some(barrier)
    }

    /// Nothing stands before any statement.
    pub(super) fn forget_barriers(&mut self) {
        self.barrier = None;
        self.later_barriers = VecDeque::new();
        self.parked = 0;
    }

    /// The statements without a verdict, for those who read.
    pub(super) fn statements_ahead(&self) -> Vec<(Sequence, Touched)> {
        self.barriers()
            .filter(|barrier| barrier.stage != Stage::Judged)
            .map(|barrier| (barrier.sequence, barrier.touched.clone()))
            .collect()
    }

    /// The oldest write of each lane that waits for the statement that is next.
    pub(super) fn oldest_parked(&self) -> BTreeMap<String, Sequence> {
        let skipped = self.barrier.as_ref().map(|barrier| barrier.skipped.clone());
        let mut oldest = BTreeMap::new();
        for (sequence, record) in self.barrier.iter().flat_map(|barrier| &barrier.parked) {
            let lane = record.destination.database.clone();
            oldest.entry(lane).or_insert(*sequence);
        }
        for (lane, sequence) in skipped.into_iter().flatten() {
            oldest.entry(lane).or_insert(sequence);
        }
        oldest
    }

    /// Whether this record of the lane waits for a statement.
    pub(super) fn is_held_by_statement(&self, sequence: Sequence, lane: &str) -> bool {
        self.barriers().any(|barrier| barrier.holds(sequence, lane))
    }

    /// Whether a statement, or the question about it, is under way.
    pub(super) fn is_statement_under_way(&self) -> bool {
        matches!(&self.barrier, Some(barrier) if barrier.stage == Stage::UnderWay)
    }

    /// Whether a statement keeps the replica from all writes for longer than their clients should wait.
    pub(super) fn is_held_up(&self, now: Instant) -> bool {
        let mut barriers = self.barriers();
        barriers.any(|barrier| barrier.touched == Touched::All && barrier.has_waited_long(now))
    }

    /// Tells which lanes a statement has kept waiting for too long, and which are being sent again.
    pub(super) fn show_held(&mut self, now: Instant) {
        let long = self.barriers().filter(|one| one.has_waited_long(now));
        let lanes = long.filter_map(|barrier| barrier.touched.lanes()).flatten();
        let lanes = lanes.map(String::as_str).chain(self.reread_lanes());
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

    /// When the next statement will have kept its lanes waiting for too long.
    pub(super) fn next_held(&self, now: Instant) -> Option<Instant> {
        let moments = self.barriers().map(|barrier| barrier.since + PATIENCE);
        moments.filter(|moment| *moment > now).min()
    }
}
