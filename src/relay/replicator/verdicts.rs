//! What a replica's answers mean to the records that were sent.

use std::time::{Instant, SystemTime};

use log::{error, warn};

use super::super::board::{Report, Settlement};
use super::super::client::{ReplicaAnswer, SendError};
use super::super::dead_letters::DeadLetter;
use super::super::lane::weight;
use super::super::refusals::{Conclusion, Refusal};
use super::{Finished, Replicator};
use crate::influx::{TryAgain, Verdict, judge_write, refusal_of_replica};
use crate::journal::Sequence;

/// How much of a strange answer is shown.
const SHOWN: usize = 200;

impl Replicator {
    pub(super) async fn finished(&mut self, finished: Finished) {
        let now = Instant::now();
        match finished {
            Finished::Greeting(greeted) => self.greeted(now, *greeted),
            Finished::Request { lane, result } => self.answered(now, &lane, result).await,
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
            Err(error) => {
                lane.failed();
                if !matches!(error, SendError::Connect { .. }) {
                    self.trail.doubt(now, cursor);
                }
                self.broke(now, &error);
                return;
            }
        };
        self.replica.learn_version(&answer);
        if answer.repeated {
            self.trail.doubt(now, cursor);
        }
        let sequences = lane.under_way();
        let refusal = || Refusal::new(answer.status, &answer.body);
        match judge_write(answer.status, &answer.body) {
            Verdict::Applied => self.verdict(name, &sequences, Report::Applied).await,
            Verdict::Expired { .. } | Verdict::Refused | Verdict::TooLarge
                if sequences.len() > 1 =>
            {
                lane.separate();
            }
            Verdict::Expired { .. } => {
                self.verdict(name, &sequences, Report::Expired(refusal()))
                    .await;
            }
            Verdict::Refused | Verdict::TooLarge => {
                self.verdict(name, &sequences, Report::Refused(refusal()))
                    .await;
            }
            Verdict::DatabaseNotFound
            | Verdict::RetentionPolicyNotFound
            | Verdict::Unauthorized => {
                self.refused_for_now(now, name, &sequences, refusal()).await;
            }
            Verdict::TryAgain(why) => {
                lane.failed();
                if why == TryAgain::Timeout {
                    self.trail.doubt(now, cursor);
                }
                self.lost(now, shown(&answer), answer.retry_after);
            }
            Verdict::Unexpected => {
                lane.failed();
                self.lost(now, shown(&answer), answer.retry_after);
            }
        }
    }

    /// Every record of the request has this verdict.
    async fn verdict(&mut self, name: &str, sequences: &[Sequence], report: Report) {
        let stats = &self.replica.stats;
        let records = sequences.len() as u64;
        match report {
            Report::Applied => stats.applied.add(records),
            Report::Expired(_) => stats.expired.add(records),
            Report::Refused(_) => stats.refused.add(records),
        }
        let reports: Vec<(Sequence, Report)> = sequences
            .iter()
            .map(|sequence| (*sequence, report.clone()))
            .collect();
        let accepted = matches!(report, Report::Applied);
        let cursor = self.judge(sequences);
        let conclusions = self.board.report(self.replica.index, &reports, cursor);
        for conclusion in conclusions {
            self.dead_letter(Some(name), conclusion).await;
        }
        self.settle(name, sequences.len(), accepted);
    }

    /// The records are as the replica has them; whether that is their verdict depends on the other replicas.
    async fn refused_for_now(
        &mut self,
        now: Instant,
        name: &str,
        sequences: &[Sequence],
        refusal: Refusal,
    ) {
        let mut settled = 0;
        for sequence in sequences {
            match self.board.consider(self.replica.index, *sequence, &refusal) {
                Settlement::Final(conclusion) => {
                    if let Some(conclusion) = conclusion {
                        self.dead_letter(Some(name), conclusion).await;
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
            if now.saturating_duration_since(held_since) < self.pace.hold {
                self.replica.stats.retries.increment();
                return;
            }
            warn!(
                "replica {}: record {sequence} was held for {:?} and is given up",
                self.replica.stats.name, self.pace.hold
            );
            if let Some(conclusion) = self.board.give_up(self.replica.index, *sequence, &refusal) {
                self.dead_letter(Some(name), conclusion).await;
            }
            settled = 1;
        }
        let (done, _) = sequences.split_at(settled);
        self.replica.stats.refused.add(done.len() as u64);
        let cursor = self.judge(done);
        self.board.report(self.replica.index, &[], cursor);
        self.settle(name, done.len(), false);
    }

    /// The replicas differ on a record, and it is certain. On disk when it returns, so that the cursor may pass the record.
    pub(super) async fn dead_letter(&mut self, lane: Option<&str>, conclusion: Conclusion) {
        let relay = &self.replica.relay_stats;
        relay.dead_letters.increment();
        let record = lane
            .and_then(|name| self.lanes.get(name))
            .and_then(|lane| lane.record(conclusion.sequence));
        for (replica, refusal) in conclusion.refused_by {
            let replica = relay
                .replicas
                .get(replica)
                .map_or("?", |stats| stats.name.as_str());
            let reason = refusal_of_replica(refusal.status, &refusal.body).message;
            error!(
                "relay {}: record {} was accepted by one replica and refused for good by {replica} ({}): the replicas differ",
                relay.name, conclusion.sequence, refusal.status
            );
            let Some(record) = record else {
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
            if let Err(error) = self.dead_letters.keep(letter).await {
                error!(
                    "relay {}: the dead letter of record {} could not be kept: {error}",
                    relay.name, conclusion.sequence
                );
            }
        }
    }

    /// Marks the records as judged; where the cursor stands then.
    fn judge(&mut self, sequences: &[Sequence]) -> Sequence {
        for sequence in sequences {
            self.tracker.judged(*sequence);
        }
        self.tracker.cursor().sequence
    }

    /// The first `count` records of the lane's request are done with.
    fn settle(&mut self, name: &str, count: usize, accepted: bool) {
        let cursor = self.tracker.cursor().sequence;
        if let Some(lane) = self.lanes.get_mut(name) {
            for queued in lane.settled(count) {
                self.window = self.window.saturating_sub(weight(&queued.record));
                if accepted {
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

fn shown(answer: &ReplicaAnswer) -> String {
    let text = answer.body.get(..SHOWN).unwrap_or(&answer.body);
    let text = String::from_utf8_lossy(text);
    format!("it answered {} {}", answer.status, text.trim())
}
