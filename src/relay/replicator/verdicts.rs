//! What a replica's answers mean to the records that were sent.

use std::time::{Instant, SystemTime};

use log::{error, warn};

use super::super::board::{Report, Settlement};
use super::super::change::Change;
use super::super::client::SendError;
use super::super::dead_letters::DeadLetter;
use super::super::lane::{Failure, weight};
use super::super::refusals::{Conclusion, Refusal};
use super::super::replica_answer::ReplicaAnswer;
use super::super::trail::Doubted;
use super::super::trust::Scope;
use super::{Finished, Replicator};
use crate::influx::{TryAgain, Verdict};
use crate::journal::Sequence;

/// How much of a strange answer is shown.
const SHOWN: usize = 200;

/// How records came to their verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    Refused,
    /// Held for as long as may be.
    GivenUp,
}

impl Replicator {
    pub(super) async fn finished(&mut self, finished: Finished) {
        let now = Instant::now();
        match finished {
            Finished::Greeting(greeted) => self.greeted(now, *greeted),
            Finished::Request { lane, result } => {
                self.note_hearing(now, &result);
                self.answered(now, &lane, result).await;
            }
            Finished::Packed {
                lane,
                sequence,
                packed,
            } => self.packed(&lane, sequence, packed).await,
            Finished::Running(result) => {
                self.note_hearing(now, &result);
                self.heard_what_runs(now, result);
            }
            Finished::Statement(result) => {
                self.note_hearing(now, &result);
                self.statement_answered(now, result).await;
            }
            Finished::Check {
                lane,
                sequences,
                answer,
            } => {
                if let Some(answer) = &answer {
                    self.note_hearing(now, answer);
                }
                self.checked(now, &lane, &sequences, answer);
            }
            Finished::Ping(result) => {
                self.is_pinged = false;
                match result {
                    Some(Err(error)) if self.is_linked() => self.broke(now, &error),
                    Some(result) => self.note_hearing(now, &result),
                    None => {}
                }
            }
        }
    }

    fn note_hearing(&mut self, now: Instant, result: &Result<ReplicaAnswer, SendError>) {
        if result.is_ok() && self.is_linked() {
            self.trail.heard(now);
            self.replica.server.note_answer();
        }
    }

    async fn answered(
        &mut self,
        now: Instant,
        name: &str,
        result: Result<ReplicaAnswer, SendError>,
    ) {
        let cursor = self.tracker.cursor();
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let answer = match result {
            Ok(answer) => answer,
            Err(error @ SendError::Connect { .. }) => {
                lane.failed();
                self.broke(now, &error);
                return;
            }
            Err(error) => {
                let how = match error {
                    SendError::Timeout { .. } => Failure::Slow,
                    _ => Failure::Quick,
                };
                self.trail.doubt(now, cursor, of(name));
                self.no_verdict(now, name, error.to_string(), how);
                return;
            }
        };
        self.replica.learn_version(&answer);
        let sequences = lane.under_way();
        let (stats, most) = (&self.replica.relay_stats, self.pace.max_refusal_texts);
        let refusal = || Refusal::in_full(answer.status, answer.words(), stats, most);
        match answer.judge_write() {
            Verdict::Applied => self.verdict(name, &sequences, Report::Applied).await,
            Verdict::TooLarge => self.too_large(name, &sequences, refusal()).await,
            Verdict::Expired { .. } | Verdict::Refused if sequences.len() > 1 => {
                lane.separate(Failure::Quick);
            }
            Verdict::Expired { .. } => {
                self.verdict(name, &sequences, Report::Expired(refusal()))
                    .await;
            }
            Verdict::Refused => {
                self.verdict(name, &sequences, Report::Refused(refusal()))
                    .await;
            }
            Verdict::DatabaseNotFound
            | Verdict::RetentionPolicyNotFound
            | Verdict::Unauthorized => {
                self.refused_for_now(now, name, &sequences, refusal()).await;
            }
            Verdict::TryAgain(TryAgain::BodyNotRead) | Verdict::Unexpected => {
                self.no_verdict(now, name, shown(&answer), Failure::Quick);
            }
            Verdict::TryAgain(why) => {
                lane.failed();
                if why == TryAgain::Timeout {
                    self.trail.doubt(now, cursor, of(name));
                }
                self.lost(now, shown(&answer), answer.retry_after);
            }
        }
    }

    /// Every record of the request has this verdict.
    pub(super) async fn verdict(&mut self, name: &str, sequences: &[Sequence], report: Report) {
        let Some(report) = self.of_whole_records(name, report) else {
            return;
        };
        let stats = &self.replica.stats;
        let records = sequences.len() as u64;
        match report {
            Report::Applied => stats.applied.add(records),
            Report::Expired(_) => stats.expired.add(records),
            Report::Refused(_) => stats.refused.add(records),
            Report::SetAside => stats.set_aside.add(records),
        }
        let reports: Vec<(Sequence, Report)> = sequences
            .iter()
            .map(|sequence| (*sequence, report.clone()))
            .collect();
        let accepted = matches!(report, Report::Applied);
        let cursor = self.judge(sequences);
        let (index, count) = (self.replica.index, sequences.len());
        if accepted {
            // Who is acknowledged now finds this replica fresh.
            self.show_judged(name, count);
        }
        let conclusions = self.board.report(index, &reports, cursor);
        if !accepted {
            // Only now: if another one took it, the board has said that this one serves no reads.
            self.show_judged(name, count);
        }
        for conclusion in conclusions {
            self.dead_letter(Some(name), conclusion).await;
        }
        let end = if accepted {
            End::Accepted
        } else {
            End::Refused
        };
        self.settle(name, count, end);
    }

    /// The records are as the replica has them; whether that is their verdict depends on the other replicas.
    pub(super) async fn refused_for_now(
        &mut self,
        now: Instant,
        name: &str,
        sequences: &[Sequence],
        refusal: Refusal,
    ) {
        let (mut settled, mut given_up) = (0, false);
        for sequence in sequences {
            match self.board.consider(self.replica.index, *sequence, &refusal) {
                Settlement::Final(conclusion) => {
                    match conclusion {
                        Some(conclusion) => self.dead_letter(Some(name), conclusion).await,
                        None => self.forget_credentials(name, *sequence, &refusal),
                    }
                    settled += 1;
                }
                Settlement::Hold => break,
            }
        }
        if settled == 0
            && let Some(sequence) = sequences.first()
            && let Some(lane) = self.lanes.get_mut(name)
        {
            let held_since = lane.hold(now);
            // A statement that waits behind it may be what it lacks; it cannot go first.
            let longest = match &self.barrier {
                Some(barrier) if *sequence < barrier.sequence => {
                    self.pace.hold.min(self.pace.retry_max)
                }
                _ => self.pace.hold,
            };
            let held = now.saturating_duration_since(held_since);
            if held < longest {
                self.replica.stats.retries.increment();
                return;
            }
            warn!(
                "replica {}: record {sequence} was held for {held:?} and is given up",
                self.replica.stats.name
            );
            if let Some(conclusion) = self.board.give_up(self.replica.index, *sequence, &refusal) {
                self.dead_letter(Some(name), conclusion).await;
            }
            settled = 1;
            given_up = true;
        }
        let (done, _) = sequences.split_at(settled);
        self.replica.stats.refused.add(done.len() as u64);
        let cursor = self.judge(done);
        self.show_judged(name, done.len());
        self.board.report(self.replica.index, &[], cursor);
        let end = if given_up { End::GivenUp } else { End::Refused };
        self.settle(name, done.len(), end);
    }

    /// Every replica refuses the record: if its credentials are the reason, what comes next in their name is judged anew.
    fn forget_credentials(&self, name: &str, sequence: Sequence, refusal: &Refusal) {
        let lane = self.lanes.get(name);
        if matches!(refusal.status, 401 | 403)
            && let Some(record) = lane.and_then(|lane| lane.record(sequence))
        {
            let scope = Scope::Write(name);
            let tag = self.trust.tag(&record.destination.credentials, scope);
            self.trust.refused(tag);
        }
    }

    /// The replicas differ on a record, and it is certain. On disk when it returns, so that the cursor may pass the record.
    pub(super) async fn dead_letter(&mut self, lane: Option<&str>, conclusion: Conclusion) {
        let relay = &self.replica.relay_stats;
        for index in conclusion.moot_for {
            if let Some(stats) = relay.replicas.get(index) {
                let sequence = conclusion.sequence.get();
                self.dead_letters.settle(&stats.name, sequence).await;
            }
        }
        if conclusion.refused_by.is_empty() {
            return;
        }
        relay.dead_letters.increment();
        let record = self.concluded(lane, conclusion.sequence);
        for (index, refusal) in conclusion.refused_by {
            let replica = relay
                .replicas
                .get(index)
                .map_or("?", |stats| stats.name.as_str());
            let reason = refusal.words().to_owned();
            error!(
                "relay {}: record {} was accepted by one replica and refused for good by {replica} ({}): the replicas differ",
                relay.name, conclusion.sequence, refusal.status
            );
            let Some(record) = &record else {
                error!(
                    "relay {}: record {} is not at hand any more, so it is not kept as a dead letter",
                    relay.name, conclusion.sequence
                );
                continue;
            };
            let letter = DeadLetter {
                replica: replica.to_owned(),
                sequence: conclusion.sequence.get(),
                record: record.clone(),
                status: refusal.status,
                reason,
                time: SystemTime::now(),
            };
            match self.dead_letters.keep(letter).await {
                Ok(()) => self.freshness.update(index, |view| {
                    view.unsettled = view.unsettled.saturating_sub(1);
                }),
                Err(error) => error!(
                    "relay {}: the dead letter of record {} could not be kept, so {replica} serves no reads: {error}",
                    relay.name, conclusion.sequence
                ),
            }
        }
    }

    /// The record of a conclusion, if it is at hand: in the lane, or the statement that this replica stands before.
    fn concluded(&self, lane: Option<&str>, sequence: Sequence) -> Option<Change> {
        if let Some(barrier) = &self.barrier
            && barrier.sequence == sequence
        {
            return Some(Change::Statement(barrier.statement.clone()));
        }
        let lane = self.lanes.get(lane?)?;
        lane.record(sequence).cloned().map(Change::Write)
    }

    /// Marks the records as judged; where the cursor stands then.
    pub(super) fn judge(&mut self, sequences: &[Sequence]) -> Sequence {
        for sequence in sequences {
            self.tracker.judged(*sequence);
        }
        self.attempts.judged(sequences);
        self.tracker.cursor().sequence
    }

    /// The first `count` records of the lane's request are done with.
    fn settle(&mut self, name: &str, count: usize, end: End) {
        let cursor = self.tracker.cursor().sequence;
        if count > 0 {
            self.goes_on(name);
        }
        if let Some(lane) = self.lanes.get_mut(name) {
            let done = match end {
                End::Accepted | End::Refused => lane.settled(count),
                End::GivenUp => lane.given_up(count),
            };
            for queued in done {
                self.window = self.window.saturating_sub(weight(&queued.record));
                if end == End::Accepted {
                    self.is_known_unsaved |= self.known.accepted(&queued.record);
                    self.witness
                        .accepted(queued.sequence, queued.record, cursor);
                }
            }
            if lane.is_empty() {
                self.lanes.remove(name);
            }
        }
    }
}

impl Replicator {
    /// The answer as a refusal.
    pub(super) fn refusal(&self, answer: &ReplicaAnswer) -> Refusal {
        let (stats, most) = (&self.replica.relay_stats, self.pace.max_refusal_texts);
        Refusal::in_full(answer.status, answer.words(), stats, most)
    }
}

/// What a request to this database puts in doubt.
fn of(database: &str) -> Doubted {
    Doubted::Databases([database.to_owned()].into())
}

pub(super) fn shown(answer: &ReplicaAnswer) -> String {
    let text = answer.body.get(..SHOWN).unwrap_or(&answer.body);
    let text = String::from_utf8_lossy(text);
    format!("it answered {} {}", answer.status, text.trim())
}
