//! The board: where replicators report verdicts and waiting clients learn theirs.
//!
//! It holds two things, both bounded: a row for each client that waits, and the [refusals](super::refusals) that not every
//! replica has judged. One short lock guards both; it is never held across an await, and a report of a whole batch takes
//! it once.
//!
//! A client's row is made under the same lock as the append, so no replica can report before there is a row to report to.
//! Who waits for a statement has a row of another kind ([`statements`]): it wants the answer itself.

mod statements;

#[cfg(test)]
pub(in crate::relay) use statements::tests::place as statement_place;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::acknowledge::{Decision, Policy, Standing};
use super::freshness::Freshness;
use super::refusals::{Refusal, Refusals, Unsaved};
use crate::journal::{Append, AppendError, Sequence};
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
    /// Left without a verdict too often, and set aside.
    SetAside,
}

/// What a replica does with a record that it refused for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Every replica in reach says the same: it is the record's verdict.
    Final,
    /// Another replica accepted it, or has not judged it yet: try again.
    Hold,
}

/// How a client's wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledge; so many replicas had applied it.
    Acknowledged {
        /// How many.
        applied: usize,
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
pub struct Board {
    policy: Policy,
    timeout: Duration,
    stats: Arc<RelayStats>,
    freshness: Arc<Freshness>,
    rows: Mutex<Rows>,
    /// Tells lanes apart without their names.
    lanes: RandomState,
    /// Whether every replica has been asked at least once.
    all_met: watch::Sender<bool>,
}

struct Rows {
    reachable: Vec<bool>,
    /// Replicas and lanes of theirs in which a record has no verdict: nobody waits for them there.
    stalled: HashSet<(usize, LaneKey)>,
    /// Lanes of each replica that wait for a statement: nobody waits for them there.
    held: Vec<HashSet<LaneKey>>,
    answers: Vec<bool>,
    met: Vec<bool>,
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

impl Board {
    /// A board for replicas with these cursors, none of them in reach yet.
    pub fn new(
        policy: Policy,
        timeout: Duration,
        cursors: Vec<Sequence>,
        max_pending_refusals: usize,
        stats: Arc<RelayStats>,
        freshness: Arc<Freshness>,
    ) -> Board {
        Board {
            policy,
            timeout,
            stats,
            freshness,
            rows: Mutex::new(Rows {
                reachable: vec![false; cursors.len()],
                stalled: HashSet::new(),
                held: vec![HashSet::new(); cursors.len()],
                answers: vec![false; cursors.len()],
                met: vec![false; cursors.len()],
                waiting: BTreeMap::new(),
                statements: BTreeMap::new(),
                carrying_out: vec![None; cursors.len()],
                refusals: Refusals::new(cursors, max_pending_refusals),
            }),
            lanes: RandomState::new(),
            all_met: watch::Sender::new(false),
        }
    }

    /// Whether the replica answers and is near the head.
    pub fn is_near(&self, replica: usize) -> bool {
        self.rows().reachable.get(replica) == Some(&true)
    }

    /// Whether another replica answers and has come further than this cursor.
    pub fn another_is_ahead(&self, replica: usize, cursor: Sequence) -> bool {
        let rows = self.rows();
        let answering = rows.answers.iter().enumerate();
        answering
            .filter(|(other, answers)| *other != replica && **answers)
            .any(|(other, _)| rows.refusals.cursor(other) > cursor)
    }

    /// What is remembered of refusals.
    pub(super) fn refusals<T>(&self, look: impl FnOnce(&Refusals) -> T) -> T {
        look(&self.rows().refusals)
    }

    /// Changes what is remembered of refusals.
    pub(super) fn change_refusals<T>(&self, change: impl FnOnce(&mut Refusals) -> T) -> T {
        let mut rows = self.rows();
        let changed = change(&mut rows.refusals);
        self.show_all_unsettled(&rows);
        changed
    }

    /// Whether a write to this database may be taken now (rule W5).
    pub fn admits(&self, database: &str) -> bool {
        let lane = self.lanes.hash_one(database);
        let rows = self.rows();
        let known = rows.reachable.iter().zip(&rows.held);
        let reachable = known.filter(|(reachable, held)| **reachable && !held.contains(&lane));
        self.policy.admits(reachable.count(), rows.reachable.len())
    }

    /// A replica was asked, and answers or not.
    pub fn meet(&self, replica: usize, answers: bool) {
        let mut rows = self.rows();
        if let Some(known) = rows.answers.get_mut(replica) {
            *known = answers;
        }
        if let Some(met) = rows.met.get_mut(replica) {
            *met = true;
        }
        if !rows.met.contains(&false) {
            self.all_met
                .send_if_modified(|met| !std::mem::replace(met, true));
        }
    }

    /// Whether every replica has been asked at least once.
    pub fn all_met(&self) -> bool {
        *self.all_met.borrow()
    }

    /// Returns once every replica has been asked at least once.
    pub async fn wait_until_all_met(&self) {
        // The sender is `self`, so the wait cannot fail.
        let _ = self.all_met.subscribe().wait_for(|met| *met).await;
    }

    /// Appends with `append` and opens a row for the client that waits for the record.
    ///
    /// # Errors
    /// Those of `append`.
    pub fn open<F>(
        &self,
        database: &str,
        append: F,
    ) -> Result<(Append, oneshot::Receiver<Outcome>), AppendError>
    where
        F: FnOnce() -> Result<Append, AppendError>,
    {
        let (outcome, receiver) = oneshot::channel();
        let lane = self.lanes.hash_one(database);
        let mut rows = self.rows();
        let appended = append()?;
        let waiting = Waiting {
            since: Instant::now(),
            lane,
            is_suspect: false,
            standings: vec![Standing::Unknown; rows.reachable.len()],
            refusal: None,
            outcome,
        };
        match rows.decide(self.policy, &waiting) {
            Decision::Wait => {
                rows.waiting.insert(appended.sequence, waiting);
            }
            decision => waiting.finish(decision),
        }
        Ok((appended, receiver))
    }

    /// A replica's verdicts on some records, in their order, and where its cursor stands with them.
    pub fn report(&self, replica: usize, reports: &[(Sequence, Report)], cursor: Sequence) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        let judged = reports.iter().map(|(sequence, _)| *sequence);
        rows.refusals.advance(replica, judged, cursor);
        for (sequence, report) in reports {
            let (standing, refusal) = match report {
                Report::Applied => (Standing::Applied, None),
                Report::Refused(refusal) | Report::Expired(refusal) => {
                    (Standing::Refused, Some(refusal))
                }
                Report::SetAside => (Standing::SetAside, None),
            };
            match report {
                Report::Refused(refusal) => rows.refusals.refuse(replica, *sequence, refusal),
                Report::Applied | Report::Expired(_) => rows.refusals.accept(replica, *sequence),
                Report::SetAside => rows.refusals.set_aside(replica, *sequence),
            }
            self.show_difference(rows, *sequence);
            self.tell_client(rows, replica, *sequence, standing, refusal);
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
        if rows.refusals.may_be_taken(sequence, &rows.reachable) {
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
        for replica in 0..rows.reachable.len() {
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
    /// A refusal before it is not on disk; nothing was saved.
    pub(super) fn save(
        &self,
        replica: usize,
        cursor: Sequence,
        save: impl FnOnce(),
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

    /// A replica came into reach or went out of it: clients that waited for it, or for nobody, may have their answer now.
    pub fn set_reachable(&self, replica: usize, reachable: bool) {
        let mut guard = self.rows();
        let rows = &mut *guard;
        match rows.reachable.get_mut(replica) {
            Some(known) if *known != reachable => *known = reachable,
            _ => return,
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
                waiting.finish(decision);
            }
        }
    }

    /// Ends the waits that have lasted longer than `timeout`. Called at a steady pace by one task for all clients.
    pub fn expire(&self, now: Instant) {
        let mut rows = self.rows();
        while let Some(entry) = rows.waiting.first_entry() {
            if now.saturating_duration_since(entry.get().since) < self.timeout {
                break;
            }
            let waiting = entry.remove();
            let applied = waiting
                .standings
                .iter()
                .filter(|standing| **standing == Standing::Applied)
                .count();
            waiting.finish(Decision::Unmet { applied });
        }
        self.expire_statements(&mut rows, now);
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
            waiting.finish(decision);
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn decide(&self, policy: Policy, waiting: &Waiting) -> Decision {
        let is_quiet = self.stalled.is_empty() && self.held.iter().all(HashSet::is_empty);
        let decision = if is_quiet {
            policy.decide(&waiting.standings, &self.reachable)
        } else {
            let reachable = self.reachable.iter().enumerate();
            let reachable: Vec<bool> = reachable
                .map(|(replica, reachable)| {
                    let held = self.held.get(replica);
                    *reachable
                        && !self.stalled.contains(&(replica, waiting.lane))
                        && !held.is_some_and(|held| held.contains(&waiting.lane))
                })
                .collect();
            policy.decide(&waiting.standings, &reachable)
        };
        match decision {
            Decision::Acknowledge { applied: 0 } if waiting.is_suspect => Decision::Wait,
            decision => decision,
        }
    }
}

impl Waiting {
    /// Tells the client; one that has left is nobody's loss.
    fn finish(self, decision: Decision) {
        let outcome = match decision {
            Decision::Acknowledge { applied } => Outcome::Acknowledged { applied },
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
