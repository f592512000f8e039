//! What a replica's answers mean to the records that were sent.

use std::time::Instant;

use log::warn;

use super::given_up::Want;
use super::{Finished, Replicator};
use crate::influx::{TryAgain, Verdict};
use crate::journal::Sequence;
use crate::relay::record::reason::without_secrets_of_write;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::client::SendError;
use crate::relay::replicator::queue::lane::{Failure, Lane};
use crate::relay::trust::Scope;
use crate::relay::verdict::pending::{Report, Settlement};
use crate::relay::verdict::refusals::Refusal;
use crate::shown;

/// What a node says of messages of Prometheus that end too soon, and of bodies that do.
const BREAKS_OFF: &str = "unexpected EOF";

/// How much of a strange answer is shown.
const SHOWN: usize = 200;

impl Replicator {
    pub(super) async fn finished(&mut self, finished: Finished) {
        let now = Instant::now();
        match finished {
            Finished::Handshake(completed) => self.handshake_completed(now, *completed),
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
            self.doubts.heard(now);
            self.replica.note_answer();
        }
    }

    async fn answered(
        &mut self,
        now: Instant,
        name: &str,
        result: Result<ReplicaAnswer, SendError>,
    ) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let first = lane.first_under_way();
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
                self.put_in_doubt(now, name, first);
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
            Verdict::Expired { .. } | Verdict::Refused | Verdict::ShardFailed
                if sequences.len() > 1 =>
            {
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
            // The body came whole, or there were no answer on this connection: it is its messages that break off.
            Verdict::TryAgain(TryAgain::BodyNotRead)
                if lane.is_of_prometheus() && answer.words() == BREAKS_OFF =>
            {
                self.verdict(name, &sequences, Report::Refused(refusal()))
                    .await;
            }
            Verdict::DatabaseNotFound => {
                self.refused_for_now(now, name, Want::Database, refusal())
                    .await;
            }
            Verdict::RetentionPolicyNotFound => {
                self.refused_for_now(now, name, Want::RetentionPolicy, refusal())
                    .await;
            }
            Verdict::ShardFailed => {
                if !lane.is_held() {
                    warn!(
                        "replica {}: database {:?} waits for a shard that influxd could not open ({}): mend it, or free \
                         what it lacks, and restart influxd there, because it does not try again before; other databases go on",
                        self.replica.stats.name,
                        shown::name(name),
                        self.shown_of_lane(name, &answer)
                    );
                }
                self.refused_for_now(now, name, Want::Shard, refusal())
                    .await;
            }
            Verdict::Unauthorized => {
                self.refused_for_now(now, name, Want::Rights, refusal())
                    .await;
            }
            Verdict::TryAgain(TryAgain::BodyNotRead) | Verdict::Unexpected => {
                self.no_verdict(now, name, self.shown_of_lane(name, &answer), Failure::Quick);
            }
            Verdict::TryAgain(why) => {
                lane.failed();
                if why == TryAgain::Timeout {
                    self.put_in_doubt(now, name, first);
                }
                self.lost(now, self.shown_of_lane(name, &answer), answer.retry_after);
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
            Report::Refused(_) | Report::Needless { .. } => stats.refused.add(records),
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
        self.pending_clients.report(index, &reports, cursor);
        if !accepted {
            // Only now: if another replica took it, the report has shown that this one serves no reads.
            self.show_judged(name, count);
        }
        self.keeper.keep_letters().await;
        self.settle(name, count, accepted);
    }

    /// The replica refuses the records of the lane's request as things are there; whether that is their verdict depends on the
    /// other replicas. One that another replica took, or may, is held for its time: what is wanting may come.
    pub(super) async fn refused_for_now(
        &mut self,
        now: Instant,
        name: &str,
        want: Want,
        refusal: Refusal,
    ) {
        let Some(lane) = self.lanes.get(name) else {
            return;
        };
        let sequences = lane.under_way();
        let was_given_up = lane
            .next()
            .is_some_and(|(destination, _)| self.given_up.contains(want, destination));
        let index = self.replica.index;
        let mut settled = 0;
        for sequence in &sequences {
            match self.pending_clients.consider(index, *sequence, &refusal) {
                Settlement::Final => self.forget_credentials(name, *sequence, &refusal),
                Settlement::Hold if was_given_up => {
                    self.pending_clients.give_up(index, *sequence, &refusal);
                }
                Settlement::Hold => break,
            }
            settled += 1;
        }
        if settled == 0
            && let Some(sequence) = sequences.first()
        {
            let was_held = self.lanes.get(name).is_some_and(Lane::is_held);
            if !self.is_held_long_enough(now, name, *sequence, want) {
                let reason = self.words_of_lane(name, refusal.status, refusal.words());
                if want == Want::Rights && !was_held {
                    warn!(
                        "replica {}: database {:?} waits, because {reason}: whoever wrote record {sequence} must be known and allowed \
                         there; it is tried again for hold_for, and becomes a dead letter then if another replica took it",
                        self.replica.stats.name,
                        shown::name(name)
                    );
                }
                self.replica.stats.retries.increment();
                self.replica.note_error(reason);
                return;
            }
            self.pending_clients.give_up(index, *sequence, &refusal);
            settled = 1;
        }
        let (done, _) = sequences.split_at(settled);
        self.replica.stats.refused.add(done.len() as u64);
        let cursor = self.judge(done);
        self.show_judged(name, done.len());
        self.pending_clients.report(index, &[], cursor);
        self.keeper.keep_letters().await;
        self.settle(name, done.len(), false);
    }

    /// Holds the first record of a lane. Whether that was for as long as may be: then nothing is held for the same want again.
    fn is_held_long_enough(
        &mut self,
        now: Instant,
        name: &str,
        sequence: Sequence,
        want: Want,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(name) else {
            return true;
        };
        let held = now.saturating_duration_since(lane.hold(now));
        // A statement that waits behind it may be what it lacks; it cannot go first.
        let longest = match self.barriers.next() {
            Some(barrier) if sequence < barrier.sequence => self.pace.hold.min(self.pace.retry_max),
            _ => self.pace.hold,
        };
        if held < longest {
            return false;
        }
        if let Some((destination, _)) = lane.next() {
            self.given_up.insert(want, destination);
        }
        warn!(
            "replica {}: record {sequence} was held for {held:?} and is given up",
            self.replica.stats.name
        );
        true
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

    /// Marks the records as judged; where the cursor stands then.
    pub(super) fn judge(&mut self, sequences: &[Sequence]) -> Sequence {
        for sequence in sequences {
            self.tracker.judged(*sequence);
        }
        self.attempts.judged(sequences);
        self.tracker.cursor().sequence
    }

    /// The first `count` records of the lane's request are done with.
    fn settle(&mut self, name: &str, count: usize, accepted: bool) {
        let cursor = self.tracker.cursor().sequence;
        if count > 0 {
            self.goes_on(name);
        }
        if let Some(lane) = self.lanes.get_mut(name) {
            for queued in lane.settled(count) {
                self.window.remove_queued(&queued);
                if accepted {
                    self.is_known_unsaved |= self.known.accepted(&queued.record);
                    self.last_accepted
                        .accepted(queued.sequence, queued.record, cursor);
                }
            }
        }
        self.lanes.end_if_empty(name);
    }
}

impl Replicator {
    /// An answer to what a lane sent, for the log and the page: its beginning, without the credentials of its client.
    pub(super) fn shown_of_lane(&self, name: &str, answer: &ReplicaAnswer) -> String {
        self.words_of_lane(name, answer.status, &String::from_utf8_lossy(&answer.body))
    }

    fn words_of_lane(&self, name: &str, status: u16, words: &str) -> String {
        let destination = self.lanes.get(name).and_then(Lane::next);
        let words = destination.map(|(to, _)| without_secrets_of_write(words, to));
        // Without the record nobody knows what they must not show.
        shown(status, words.as_deref().unwrap_or_default())
    }

    /// The answer as a refusal.
    pub(super) fn refusal(&self, answer: &ReplicaAnswer) -> Refusal {
        let (stats, most) = (&self.replica.relay_stats, self.pace.max_refusal_texts);
        Refusal::in_full(answer.status, answer.words(), stats, most)
    }
}

/// The beginning of an answer, for the log and the page.
pub(super) fn shown(status: u16, words: &str) -> String {
    let words = words.get(..words.floor_char_boundary(SHOWN));
    let said = format!("it answered {status} {}", words.unwrap_or_default().trim());
    said.trim_end().to_owned()
}
