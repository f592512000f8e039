//! Records that the replica leaves without a verdict (rule N2): counted, looked for in joined requests, and set aside when the replica
//! serves others. What counts stands in [`Attempts`](super::super::attempts::Attempts).
//!
//! Trouble of one record holds its lane only. Whether it is the node's trouble is asked at once, by a ping: a node that does not
//! answer that either is lost, as is one whose process has ended. A node that answers keeps its other lanes going, and the clients of
//! the lane do not wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::{error, warn};

use super::super::board::Report;
use super::super::change::Change;
use super::super::client::{ReplicaAnswer, SendError};
use super::super::dead_letters::{DeadLetter, NO_VERDICT};
use super::super::lane::{Failure, Queued, weight};
use super::super::wire::{Pieces, get_request, write_head};
use super::{Finished, Replicator};
use crate::journal::Sequence;

/// How long a node may take to answer a ping that tells whether it is there.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

impl Replicator {
    /// The request of that lane ended without a verdict.
    pub(super) fn no_verdict(&mut self, now: Instant, name: &str, reason: String, how: Failure) {
        let Some(lane) = self.lanes.get_mut(name) else {
            return;
        };
        let sequences = lane.under_way();
        match sequences.as_slice() {
            [] => return,
            [only] => {
                self.attempts.failed(*only, reason.clone());
                let is_due = self.attempts.due(*only).is_some();
                let must_wait = is_due || self.attempts.lacks_evidence(*only);
                if must_wait && !lane.suspend(now) {
                    // Whatever is sent fails: nothing speaks against the records.
                    let alike = lane.suspended().chain(sequences.iter().copied());
                    self.attempts.begin_anew(alike);
                    lane.resume();
                }
            }
            _ => lane.separate(how),
        }
        if lane.wait(now) {
            warn!(
                "replica {}: database {name:?} waits: {reason}",
                self.replica.stats.name
            );
        }
        self.save_attempts();
        if self.sentinel.is_none() {
            self.broke_for(now, reason);
            return;
        }
        self.replica.stats.retries.increment();
        self.replica.note_error(reason);
        self.check(name, sequences);
    }

    /// Asks whether the node answers anything.
    fn check(&mut self, name: &str, sequences: Vec<Sequence>) {
        let Some(address) = self.replica.server.address() else {
            return;
        };
        let replica = Arc::clone(&self.replica);
        let lane = name.to_owned();
        self.under_way.push(Box::pin(async move {
            let mut request = Pieces::default();
            request.push(get_request("/ping", address));
            let answer = replica.client.exchange(address, request);
            let answer = tokio::time::timeout(CHECK_TIMEOUT, answer).await;
            Finished::Check {
                lane,
                sequences,
                answers: matches!(answer, Ok(Ok(_))),
            }
        }));
    }

    /// The answer to that.
    pub(super) fn checked(
        &mut self,
        now: Instant,
        name: &str,
        sequences: &[Sequence],
        answers: bool,
    ) {
        if !self.is_linked() {
            return;
        }
        if !answers {
            self.broke_for(now, "it answers no ping".to_owned());
            return;
        }
        if self.lanes.contains_key(name) {
            self.stalled.insert(name.to_owned());
            self.board.stall(self.replica.index, name, sequences);
        }
    }

    /// Records of the lane got their verdict: it goes on.
    pub(super) fn goes_on(&mut self, name: &str) {
        self.backoff.reset();
        if self.stalled.remove(name) {
            self.board.unstall(self.replica.index, name);
        }
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.forget_waits();
        }
    }

    /// Where nothing but suspended records is left in a lane, and nothing came for twice as long as a request may take, the node is
    /// asked whether it takes anything for their destination. Says when that is due.
    pub(super) fn ask_for_suspended(&mut self, now: Instant) -> Option<Instant> {
        if self.attempts.tried() == 0 || !self.is_linked() {
            return None;
        }
        let address = self.replica.server.address()?;
        let mut wake: Option<Instant> = None;
        let mut questions = Vec::new();
        for (name, lane) in &self.lanes {
            let Some((sequence, destination, since)) = lane.only_suspended() else {
                continue;
            };
            if self.asked_for.contains(name) {
                continue;
            }
            let due = since + 2 * self.replica.client.timeout();
            if due > now {
                wake = Some(wake.map_or(due, |earlier| earlier.min(due)));
            } else {
                questions.push((name.clone(), sequence, write_head(destination, address, 0)));
            }
        }
        for (lane, sequence, question) in questions {
            self.asked_for.insert(lane.clone());
            let replica = Arc::clone(&self.replica);
            self.under_way.push(Box::pin(async move {
                let mut request = Pieces::default();
                request.push(question);
                Finished::Question {
                    lane,
                    sequence,
                    result: replica.client.exchange(address, request).await,
                }
            }));
        }
        wake
    }

    /// The answer to that.
    pub(super) fn question_answered(
        &mut self,
        now: Instant,
        name: &str,
        sequence: Sequence,
        result: &Result<ReplicaAnswer, SendError>,
    ) {
        self.asked_for.remove(name);
        if matches!(result, Ok(answer) if answer.status < 500) {
            let a_statement_waits = self.barrier.is_some();
            self.attempts
                .answered_a_question(sequence, a_statement_waits);
        }
        if let Some(lane) = self.lanes.get_mut(name)
            && self.attempts.lacks_evidence(sequence)
        {
            self.attempts.begin_anew(lane.suspended());
            lane.resume();
            lane.wait(now);
        }
    }

    /// Sets aside what is to be set aside, and has suspended records tried again once there is evidence that the node serves others.
    pub(super) async fn set_aside_due(&mut self) {
        if self.attempts.is_quiet() {
            return;
        }
        let due: Vec<(String, Sequence, String)> = self
            .lanes
            .iter()
            .flat_map(|(name, lane)| {
                let skipped = self
                    .attempts
                    .skips()
                    .filter(|sequence| lane.holds(*sequence));
                let candidates = lane.suspended().chain(skipped);
                candidates.filter_map(|sequence| {
                    Some((name.clone(), sequence, self.attempts.due(sequence)?))
                })
            })
            .collect();
        for (name, sequence, reason) in due {
            let taken = self
                .lanes
                .get_mut(&name)
                .and_then(|lane| lane.take(sequence));
            if let Some(queued) = taken {
                self.set_aside(&name, queued, reason).await;
            }
        }
        for lane in self.lanes.values_mut() {
            let may_be_tried = |sequence| {
                !self.attempts.lacks_evidence(sequence) && self.attempts.due(sequence).is_none()
            };
            if lane.is_idle() && lane.has_suspended() && lane.suspended().all(may_be_tried) {
                lane.resume();
            }
        }
    }

    async fn set_aside(&mut self, name: &str, queued: Queued, reason: String) {
        let sequence = queued.sequence;
        let record = Change::Write(queued.record.clone());
        if !self.keep_letter(sequence, record, reason).await {
            let again = Instant::now();
            if let Some(lane) = self.lanes.get_mut(name) {
                lane.put_back(queued, again);
                lane.wait(again);
            }
            return;
        }
        self.window = self.window.saturating_sub(weight(&queued.record));
        self.pass_over(sequence);
        self.show_judged(name, 0);
        if self.lanes.get(name).is_some_and(|lane| lane.is_empty()) {
            self.lanes.remove(name);
            self.goes_on_after(name);
        }
    }

    /// A lane that ended is no longer stalled; nothing of it was applied.
    fn goes_on_after(&mut self, name: &str) {
        if self.stalled.remove(name) {
            self.board.unstall(self.replica.index, name);
        }
    }

    /// Keeps the dead letter of a record that is set aside, unless every other replica refused the record. False: it cannot be kept
    /// now, and the record must not be passed.
    pub(super) async fn keep_letter(
        &mut self,
        sequence: Sequence,
        record: Change,
        reason: String,
    ) -> bool {
        let replica = &self.replica;
        error!(
            "replica {}: record {sequence} is set aside: {reason}",
            replica.stats.name
        );
        if self.board.may_be_missed(replica.index, sequence) {
            let letter = DeadLetter {
                replica: replica.stats.name.clone(),
                sequence: sequence.get(),
                record,
                status: NO_VERDICT,
                reason,
                time: SystemTime::now(),
            };
            if let Err(error) = self.dead_letters.keep(letter).await {
                let reason =
                    format!("the dead letter of record {sequence} could not be kept: {error}");
                error!("replica {}: {reason}", replica.stats.name);
                replica.note_error(reason);
                return false;
            }
            replica.relay_stats.dead_letters.increment();
        }
        replica.stats.set_aside.increment();
        self.attempts.set_aside(sequence);
        self.replica.skip_done(sequence);
        self.save_attempts();
        true
    }

    /// The record is set aside: it counts as judged.
    pub(super) fn pass_over(&mut self, sequence: Sequence) {
        self.tracker.judged(sequence);
        let cursor = self.tracker.cursor().sequence;
        let index = self.replica.index;
        self.board
            .report(index, &[(sequence, Report::SetAside)], cursor);
    }

    /// A person wants records to be passed over.
    pub(super) fn take_skips(&mut self) {
        for sequence in self.replica.skips() {
            self.attempts.skip(sequence);
        }
        self.save_attempts();
    }

    /// Puts the counts on disk, with the cursor that they belong to.
    pub(super) fn save_attempts(&mut self) {
        self.save(self.back());
        let journal = self.journal.clone();
        let name = self.replica.stats.name.clone();
        tokio::spawn(async move {
            if let Err(error) = journal.sync_cursors().await {
                warn!("replica {name}: its attempts could not be saved: {error}");
            }
        });
    }
}
