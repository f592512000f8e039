//! The pending clients: where replicators report verdicts and waiting clients learn theirs.
//!
//! It holds two things, both bounded: a row for each client that waits, and the [refusals](crate::relay::verdict::refusals) that not every
//! replica has judged. One short lock guards both; it is never held across an await, and a report of a whole batch takes
//! it once.
//!
//! A client's row stands under the [`Ticket`] of its record until the journal says where the record is ([`committed`]); then it
//! stands under the record's sequence, and is decided. The journal says so before any reader is given the record, so no replica can
//! report before there is a row to report to, and no client is told of a record that the journal does not vouch for.
//! Who waits for a statement has a row of another kind ([`statements`]): it wants the answer itself.

mod committed;
mod statements;

#[cfg(test)]
pub(in crate::relay) use statements::tests::place as statement_place;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};

use crate::journal::{AppendError, CursorError, Sequence, Ticket};
use crate::relay::verdict::freshness::Freshness;
use crate::relay::verdict::policy::{Decision, Policy, Standing};
use crate::relay::verdict::reach::Reach;
use crate::relay::verdict::refusals::{Refusal, Refusals, Unsaved};
use crate::stats::RelayStats;

use statements::WaitingStatement;
pub use statements::{
    BegunAnswer, StatementAnswer, StatementOutcome, StatementPlace, StatementWait, Wanted,
};

/// What a replica made of one record.
#[derive(Debug, Clone)]
pub enum Report {
    /// Applied.
    Applied,
    /// Refused for good.
    Refused(Refusal),
    /// Its points were older than the retention policy: refused to a client that waits, but no dead letter.
    Expired(Refusal),
    /// A statement that was refused because nothing was left to do: the replica is as if it had applied it.
    Needless {
        /// What it said.
        refusal: Refusal,
        /// The statement may have been carried out there before.
        may_be_done: bool,
    },
    /// Left without a verdict too often, and set aside.
    SetAside,
}

impl Report {
    /// What a client that waits hears of it; nothing if the record may have been applied.
    pub(in crate::relay) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Report::Refused(refusal)
            | Report::Expired(refusal)
            | Report::Needless {
                refusal,
                may_be_done: false,
            } => Some(refusal),
            Report::Applied
            | Report::Needless {
                may_be_done: true, ..
            }
            | Report::SetAside => None,
        }
    }
}

/// What a replica does with a record that it refused for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Every replica in reach says the same: it is the record's verdict.
    Final,
    /// Another replica accepted it, or has not judged it yet: try again.
    Hold,
}

/// How a lane goes for a large body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headway {
    /// Every replica that clients of the lane wait for has judged what went before, or there is none.
    GoOn,
    /// One of them has not.
    Wait,
    /// The lane stands still at all replicas in reach.
    StandsStill,
}

/// How a client's wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledge; so many replicas had applied it.
    Acknowledged {
        /// How many.
        applied: usize,
        /// The record.
        sequence: Sequence,
    },
    /// Answer with this refusal.
    Refused(Refusal),
    /// The policy was not met in time, or cannot be met.
    Unmet {
        /// How many had applied it.
        applied: usize,
    },
}

/// Where verdicts meet clients.
pub struct PendingClients {
    policy: Policy,
    timeout: Duration,
    stats: Arc<RelayStats>,
    freshness: Arc<Freshness>,
    rows: Mutex<Rows>,
    /// Tells lanes apart without their names.
    lanes: RandomState,
    /// Whether every replica has been asked at least once, or had its time to answer.
    all_met: watch::Sender<bool>,
}

struct Rows {
    reach: Vec<Reach>,
    /// Replicas and lanes of theirs in which a record has no verdict: nobody waits for them there.
    stalled: HashSet<(usize, LaneKey)>,
    /// Lanes of each replica that wait for a statement: nobody waits for them there.
    held: Vec<HashSet<LaneKey>>,
    /// Rows of records that the journal has not committed, of writes and of statements.
    uncommitted: BTreeMap<Ticket, Waiting>,
    uncommitted_statements: BTreeMap<Ticket, WaitingStatement>,
    waiting: BTreeMap<Sequence, Waiting>,
    statements: BTreeMap<Sequence, WaitingStatement>,
    /// The statement that each replica is carrying out.
    carrying_out: Vec<Option<Sequence>>,
    refusals: Refusals,
}

/// A database, hashed.
type LaneKey = u64;

struct Waiting {
    since: Instant,
    lane: LaneKey,
    /// A replica left it without a verdict: the journal alone does not vouch for it.
    is_suspect: bool,
    standings: Vec<Standing>,
    refusal: Option<Refusal>,
    outcome: oneshot::Sender<Outcome>,
}

impl PendingClients {
    /// Pending clients of replicas with these cursors, none of them in reach yet.
    pub fn new(
        policy: Policy,
        timeout: Duration,
        cursors: Vec<Sequence>,
        max_pending_refusals: usize,
        stats: Arc<RelayStats>,
        freshness: Arc<Freshness>,
    ) -> PendingClients {
        let replicas = cursors.len();
        PendingClients {
            policy,
            timeout,
            stats,
            freshness,
            rows: Mutex::new(Rows {
                reach: vec![Reach::Unasked; replicas],
                stalled: HashSet::new(),
                held: vec![HashSet::new(); replicas],
                uncommitted: BTreeMap::new(),
                uncommitted_statements: BTreeMap::new(),
                waiting: BTreeMap::new(),
                statements: BTreeMap::new(),
                carrying_out: vec![None; replicas],
                refusals: Refusals::new(cursors, max_pending_refusals),
            }),
            lanes: RandomState::new(),
            all_met: watch::Sender::new(replicas == 0),
        }
    }

    /// Whether the replica answers and is near the head.
    pub fn is_near(&self, replica: usize) -> bool {
        self.rows().is_near(replica)
    }

    /// Whether another replica answers and has come further than this cursor.
    pub fn another_is_ahead(&self, replica: usize, cursor: Sequence) -> bool {
        let rows = self.rows();
        let answering = rows.reach.iter().enumerate();
        answering
            .filter(|(other, reach)| *other != replica && reach.answers())
            .any(|(other, _)| rows.refusals.cursor(other) > cursor)
    }

    /// What is remembered of refusals.
    pub(in crate::relay) fn refusals<T>(&self, look: impl FnOnce(&Refusals) -> T) -> T {
        look(&self.rows().refusals)
    }

    /// Changes what is remembered of refusals.
    pub(in crate::relay) fn change_refusals<T>(
        &self,
        change: impl FnOnce(&mut Refusals) -> T,
    ) -> T {
        let mut rows = self.rows();
        let changed = change(&mut rows.refusals);
        self.show_all_unsettled(&rows);
        changed
    }

    /// Whether a write to this database may be taken now (rule W5).
    pub fn admits(&self, database: &str) -> bool {
        let lane = self.lanes.hash_one(database);
        let rows = self.rows();
        let known = rows.reach.iter().zip(&rows.held);
        let near = known.filter(|(reach, held)| reach.is_near() && !held.contains(&lane));
        self.policy.admits(near.count(), rows.reach.len())
    }

    /// Whether more of a large body may follow in this lane; `has_judged`: whether a replica has a verdict on what went before.
    pub fn headway(&self, database: &str, has_judged: impl Fn(usize) -> bool) -> Headway {
        let lane = self.lanes.hash_one(database);
        let rows = self.rows();
        let near = rows.reach.iter().zip(&rows.held).enumerate();
        let near = near.filter(|(_, (reach, held))| reach.is_near() && !held.contains(&lane));
        let (mut goes_on, mut stands_still) = (false, false);
        for (replica, _) in near {
            if has_judged(replica) {
                goes_on = true;
            } else if rows.stalled.contains(&(replica, lane)) {
                stands_still = true;
            } else {
                return Headway::Wait;
            }
        }
        match (goes_on, stands_still) {
            (false, true) => Headway::StandsStill,
            _ => Headway::GoOn,
        }
    }

    /// From now on a replica that has not answered since the start is out of reach, and nobody waits for it any more.
    pub fn end_first_meeting(&self) {
        self.all_met
            .send_if_modified(|met| !std::mem::replace(met, true));
    }

    /// Returns once every replica has been asked, or the time for that is over.
    pub async fn first_meeting(&self) {
        if *self.all_met.borrow() {
            return;
        }
        // The sender is `self`, so the wait cannot fail.
        let _ = self.all_met.subscribe().wait_for(|met| *met).await;
    }

    /// Appends with `append` and opens a row for the client that waits for the record. The wait ends without an outcome if the
    /// journal ends before it has said whether the record is stored.
    ///
    /// # Errors
    /// Those of `append`.
    pub fn open<F>(
        &self,
        database: &str,
        append: F,
    ) -> Result<oneshot::Receiver<Outcome>, AppendError>
    where
        F: FnOnce() -> Result<Ticket, AppendError>,
    {
        let (outcome, receiver) = oneshot::channel();
        let lane = self.lanes.hash_one(database);
        // Held across the append, so that the journal finds the row when it commits the record.
        let mut rows = self.rows();
        let ticket = append()?;
        let waiting = Waiting {
            since: Instant::now(),
            lane,
            is_suspect: false,
            standings: vec![Standing::Unknown; rows.reach.len()],
            refusal: None,
            outcome,
        };
        rows.uncommitted.insert(ticket, waiting);
        Ok(receiver)
    }

    /// A replica's verdicts on some records, in their order, and where its cursor stands with them.
    pub fn report(&self, replica: usize, reports: &[(Sequence, Report)], cursor: Sequence) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        let judged = reports.iter().map(|(sequence, _)| *sequence);
        rows.refusals.advance(replica, judged, cursor);
        for (sequence, report) in reports {
            let standing = match report {
                Report::Applied => Standing::Applied,
                Report::Needless {
                    may_be_done: true, ..
                } => Standing::Repeated,
                Report::Refused(_) | Report::Expired(_) | Report::Needless { .. } => {
                    Standing::Refused
                }
                Report::SetAside => Standing::SetAside,
            };
            match report {
                Report::Refused(refusal) => rows.refusals.refuse(replica, *sequence, refusal),
                Report::Needless {
                    refusal,
                    may_be_done: false,
                } => rows.refusals.needless(replica, *sequence, refusal),
                Report::Applied | Report::Expired(_) | Report::Needless { .. } => {
                    rows.refusals.accept(replica, *sequence);
                }
                Report::SetAside => rows.refusals.set_aside(replica, *sequence),
            }
            self.show_difference(rows, *sequence);
            self.tell_client(rows, replica, *sequence, standing, report.refusal());
        }
    }

    /// A replica refuses a record as things are now: schema or rights are missing. Whether that is its verdict depends on
    /// the others.
    pub fn consider(&self, replica: usize, sequence: Sequence, refusal: &Refusal) -> Settlement {
        let mut guard = self.rows();
        let rows = &mut *guard;
        self.tell_client(rows, replica, sequence, Standing::Held, Some(refusal));
        rows.refusals.hold(replica, sequence);
        self.show_difference(rows, sequence);
        let is_awaited = |other: usize| rows.reach.get(other).is_some_and(|reach| reach.is_near());
        if rows.refusals.may_be_taken(sequence, is_awaited) {
            return Settlement::Hold;
        }
        rows.refusals.refuse(replica, sequence, refusal);
        self.show_difference(rows, sequence);
        Settlement::Final
    }

    /// A record that was held for a replica is given up there.
    pub fn give_up(&self, replica: usize, sequence: Sequence, refusal: &Refusal) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        rows.refusals.refuse(replica, sequence, refusal);
        self.show_difference(rows, sequence);
        self.tell_client(rows, replica, sequence, Standing::Refused, Some(refusal));
    }

    /// Whoever refused a record that another one took serves no reads until the dead letter is kept: shown before any client
    /// hears that another one took it.
    fn show_difference(&self, rows: &Rows, sequence: Sequence) {
        if rows.refusals.knows(sequence) {
            self.show_all_unsettled(rows);
        }
    }

    fn show_all_unsettled(&self, rows: &Rows) {
        for replica in 0..rows.reach.len() {
            let unsettled = rows.refusals.unsettled(replica);
            self.freshness
                .update(replica, |view| view.unsettled = unsettled);
        }
    }

    /// A replica goes back to this cursor and will judge what follows again.
    pub fn go_back(&self, replica: usize, cursor: Sequence) {
        self.rows().refusals.go_back(replica, cursor);
    }

    /// Saves a replica's cursor with `save`.
    ///
    /// # Errors
    /// A refusal before it is not on disk, or `save` failed; nothing was saved.
    pub(in crate::relay) fn save(
        &self,
        replica: usize,
        cursor: Sequence,
        save: impl FnOnce() -> Result<(), CursorError>,
    ) -> Result<(), Unsaved> {
        self.rows().refusals.save(replica, cursor, save)
    }

    /// Takes back which records were set aside for a replica.
    pub fn restore_set_aside(&self, replica: usize, sequences: &[u64]) {
        let mut rows = self.rows();
        for sequence in sequences {
            let sequence = Sequence::new(*sequence);
            rows.refusals.set_aside(replica, sequence);
        }
    }

    /// How a replica can be reached now: clients that waited for it, or for nobody, may have their answer.
    pub fn set_reach(&self, replica: usize, reach: Reach) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        match rows.reach.get_mut(replica) {
            Some(known) if *known != reach => *known = reach,
            _ => return,
        }
        if !rows.reach.contains(&Reach::Unasked) {
            self.end_first_meeting();
        }
        self.decide_writes(rows);
        self.decide_statements(rows);
    }

    /// The replica answers, but leaves these records of the lane without a verdict: the clients of those behind them need not wait
    /// for it, and the journal alone vouches for none of these.
    pub fn stall(&self, replica: usize, lane: &str, without_verdict: &[Sequence]) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        for sequence in without_verdict {
            if let Some(waiting) = rows.waiting.get_mut(sequence) {
                waiting.is_suspect = true;
            }
        }
        if rows.stalled.insert((replica, self.lanes.hash_one(lane))) {
            self.decide_writes(rows);
        }
    }

    /// These lanes, and no others, have waited at the replica for a statement for so long that no client need wait with them.
    pub fn hold<'a>(&self, replica: usize, lanes: impl Iterator<Item = &'a str>) {
        let lanes = lanes.map(|lane| self.lanes.hash_one(lane)).collect();
        let mut guard = self.rows();
        let rows = &mut *guard;
        if let Some(held) = rows.held.get_mut(replica) {
            *held = lanes;
        }
        self.decide_writes(rows);
    }

    /// The lane goes on at the replica.
    pub fn unstall(&self, replica: usize, lane: &str) {
        let mut rows = self.rows();
        rows.stalled.remove(&(replica, self.lanes.hash_one(lane)));
    }

    /// All lanes of the replica begin anew.
    pub fn unstall_all(&self, replica: usize) {
        self.rows().stalled.retain(|(known, _)| *known != replica);
    }

    /// Whether another replica took the record, or may, so that this one misses it if it is set aside here.
    pub fn may_be_missed(&self, replica: usize, sequence: Sequence) -> bool {
        !self.rows().refusals.others_refuse(replica, sequence)
    }

    /// Ends the waits for writes that have come to a decision.
    fn decide_writes(&self, rows: &mut Rows) {
        let decided: Vec<(Sequence, Decision)> = rows
            .waiting
            .iter()
            .map(|(sequence, waiting)| (*sequence, rows.decide(self.policy, waiting)))
            .filter(|(_, decision)| *decision != Decision::Wait)
            .collect();
        for (sequence, decision) in decided {
            if let Some(waiting) = rows.waiting.remove(&sequence) {
                waiting.finish(sequence, decision);
            }
        }
    }

    /// Ends the waits that have lasted longer than `timeout`. Called at a steady pace by one task for all clients.
    pub fn expire(&self, now: Instant) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        let is_over =
            |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= self.timeout;
        while let Some(entry) = rows.waiting.first_entry().filter(|row| is_over(row.get())) {
            entry.remove().give_up();
        }
        while let Some(entry) = rows
            .uncommitted
            .first_entry()
            .filter(|row| is_over(row.get()))
        {
            entry.remove().give_up();
        }
        self.expire_statements(rows, now);
    }

    fn tell_client(
        &self,
        rows: &mut Rows,
        replica: usize,
        sequence: Sequence,
        standing: Standing,
        refusal: Option<&Refusal>,
    ) {
        let Some(waiting) = rows.waiting.get_mut(&sequence) else {
            self.tell_of_statement(rows, replica, sequence, standing);
            return;
        };
        if let Some(known) = waiting.standings.get_mut(replica) {
            *known = standing;
        }
        if waiting.refusal.is_none() {
            waiting.refusal = refusal.cloned();
        }
        let decision = match rows.waiting.get(&sequence) {
            Some(waiting) => rows.decide(self.policy, waiting),
            None => Decision::Wait,
        };
        if decision != Decision::Wait
            && let Some(waiting) = rows.waiting.remove(&sequence)
        {
            waiting.finish(sequence, decision);
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock()
    }
}

impl Rows {
    fn is_near(&self, replica: usize) -> bool {
        self.reach.get(replica).is_some_and(|reach| reach.is_near())
    }

    /// How many replicas clients wait for.
    fn near(&self) -> usize {
        self.reach.iter().filter(|reach| reach.is_near()).count()
    }

    fn somebody_answers(&self) -> bool {
        self.reach.iter().any(|reach| reach.answers())
    }

    fn decide(&self, policy: Policy, waiting: &Waiting) -> Decision {
        let reach = self.reach.iter().zip(&self.held).enumerate();
        let reachable: Vec<bool> = reach
            .map(|(replica, (reach, held))| {
                reach.is_near()
                    && !self.stalled.contains(&(replica, waiting.lane))
                    && !held.contains(&waiting.lane)
            })
            .collect();
        match policy.decide(&waiting.standings, &reachable) {
            Decision::Acknowledge { applied: 0 } if waiting.is_suspect => Decision::Wait,
            decision => decision,
        }
    }
}

impl Waiting {
    /// Ends the wait, which has lasted too long.
    fn give_up(self) {
        let standings = self.standings.iter();
        let applied = standings.filter(|standing| **standing == Standing::Applied);
        let applied = applied.count();
        let _ = self.outcome.send(Outcome::Unmet { applied });
    }

    /// Tells the client; one that has left is nobody's loss.
    fn finish(self, sequence: Sequence, decision: Decision) {
        let outcome = match decision {
            Decision::Acknowledge { applied } => Outcome::Acknowledged { applied, sequence },
            Decision::Unmet { applied } => Outcome::Unmet { applied },
            Decision::Refuse => match self.refusal {
                Some(refusal) => Outcome::Refused(refusal),
                None => Outcome::Unmet { applied: 0 },
            },
            Decision::Wait => return,
        };
        let _ = self.outcome.send(outcome);
    }
}

#[cfg(test)]
mod tests;
