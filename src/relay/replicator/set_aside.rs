//! Records that the replica leaves without a verdict (rule N2): counted, looked for in joined requests, and set aside when the replica
//! serves others. What counts stands in [`Attempts`](crate::relay::replicator::attempts::Attempts).
//!
//! Trouble of one record holds its lane only. Whether it is the node's trouble is asked at once, by a write that holds no point: a
//! node that gives that no verdict either is lost, as is one whose process has ended. A node that does keeps its other lanes going,
//! and the clients of the lane do not wait for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use log::{error, warn};

use super::{Finished, Replicator};
use crate::influx::Verdict;
use crate::journal::Sequence;
use crate::relay::dead_letters::{DeadLetter, NO_VERDICT};
use crate::relay::record::change::Change;
use crate::relay::record::write::{Destination, Form};
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::client::SendError;
use crate::relay::replica::request::{Pieces, get_request, write_request_header};
use crate::relay::replicator::queue::lane::{Failure, Queued};
use crate::relay::verdict::pending::Report;
use crate::shown;

/// How long a node may take to answer a write without a point.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of it at most: a network that loses what is larger loses that, too.
const LARGEST_CHECK: usize = 64 * 1024;

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
                lane.keep_alone();
            }
            _ => lane.separate(how),
        }
        if lane.wait(now) {
            warn!(
                "replica {}: database {:?} waits: {reason}",
                self.replica.stats.name,
                shown::name(name)
            );
        }
        self.replica.stats.retries.increment();
        self.replica.note_error(reason);
        self.check(name, sequences);
    }

    /// The statement ended without a verdict.
    pub(super) fn no_verdict_on_statement(&mut self, sequence: Sequence, reason: String) {
        self.attempts.failed(sequence, reason.clone());
        self.replica.stats.retries.increment();
        self.replica.note_error(reason);
        if let Some(address) = self.replica.trusted_address() {
            let mut request = Pieces::default();
            request.push(get_request("/ping", address));
            self.send_check(String::new(), vec![sequence], address, request);
        }
    }

    /// Asks whether the node takes anything from who sent these records.
    fn check(&mut self, name: &str, sequences: Vec<Sequence>) {
        let address = self.replica.trusted_address();
        let (Some(lane), Some(address)) = (self.lanes.get(name), address) else {
            return;
        };
        let Some((destination, size)) = lane.next() else {
            return;
        };
        let destination = Destination {
            form: Form::LineProtocol,
            ..destination.clone()
        };
        let body = without_point(size.min(LARGEST_CHECK));
        let mut request = Pieces::default();
        request.push(write_request_header(
            &destination,
            self.replica.client.recipient(address),
            body.len(),
            false,
        ));
        request.push(body);
        self.send_check(name.to_owned(), sequences, address, request);
    }

    /// A node that is lost already is asked anew by a handshake in any case.
    fn send_check(
        &mut self,
        lane: String,
        sequences: Vec<Sequence>,
        address: SocketAddr,
        request: Pieces,
    ) {
        if !self.is_linked() {
            return;
        }
        let replica = Arc::clone(&self.replica);
        self.under_way.push(Box::pin(async move {
            let answer = replica.client.exchange(address, request);
            Finished::Check {
                lane,
                sequences,
                answer: tokio::time::timeout(CHECK_TIMEOUT, answer).await.ok(),
            }
        }));
    }

    /// The answer to that.
    pub(super) fn checked(
        &mut self,
        now: Instant,
        name: &str,
        sequences: &[Sequence],
        answer: Option<Result<ReplicaAnswer, SendError>>,
    ) {
        if !self.is_linked() {
            return;
        }
        let answer = match answer {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => return self.broke(now, &error),
            None => return self.broke_for(now, "it answers no write in time".to_owned()),
        };
        if let Verdict::TryAgain(_) | Verdict::Unexpected = answer.judge_write() {
            self.lost(now, self.shown_of_lane(name, &answer), answer.retry_after);
            return;
        }
        if let [only] = sequences {
            self.attempts.serves_others(*only);
            self.save_attempts();
        }
        if self.lanes.contains(name) {
            self.stalled.insert(name.to_owned());
            self.pending_clients
                .stall(self.replica.index, name, sequences);
        }
    }

    /// Records of the lane got their verdict: it goes on.
    pub(super) fn goes_on(&mut self, name: &str) {
        self.link.applied();
        if self.stalled.remove(name) {
            self.pending_clients.unstall(self.replica.index, name);
        }
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.forget_waits();
        }
    }

    /// Sets aside what is to be set aside.
    pub(super) async fn set_aside_due(&mut self) {
        if self.attempts.is_quiet() {
            return;
        }
        let due: Vec<(Sequence, String)> = self.attempts.all_due().collect();
        for (sequence, reason) in due {
            if let Some(queued) = self.lanes.take(sequence) {
                let name = queued.record.destination.database.clone();
                self.set_aside(&name, queued, reason).await;
            }
        }
    }

    async fn set_aside(&mut self, name: &str, queued: Queued, reason: String) {
        let sequence = queued.sequence;
        let record = Change::Write(queued.record.clone());
        if !self.keep_letter(sequence, record, reason).await {
            if let Some(lane) = self.lanes.get_mut(name) {
                lane.put_back(queued);
                lane.wait(Instant::now());
            }
            return;
        }
        self.window.remove_queued(&queued);
        self.pass_over(sequence);
        self.show_judged(name, 0);
        if self.lanes.end_if_empty(name) {
            self.goes_on_after(name);
        }
    }

    /// A lane that ended is no longer stalled; nothing of it was applied.
    fn goes_on_after(&mut self, name: &str) {
        if self.stalled.remove(name) {
            self.pending_clients.unstall(self.replica.index, name);
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
        if self.pending_clients.may_be_missed(replica.index, sequence) {
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
        self.pending_clients
            .report(index, &[(sequence, Report::SetAside)], cursor);
    }

    /// A person wants records to be passed over.
    pub(super) fn take_skips(&mut self) {
        for sequence in self.replica.skips() {
            match self.attempts.is_set_aside(sequence) {
                true => self.replica.skip_done(sequence),
                false => self.attempts.skip(sequence),
            }
        }
        self.save_attempts();
    }

    /// Puts the counts on disk, with the cursor that they belong to.
    pub(super) fn save_attempts(&mut self) {
        self.save_note();
        let journal = self.journal.clone();
        let name = self.replica.stats.name.clone();
        tokio::spawn(async move {
            if let Err(error) = journal.sync_cursors().await {
                warn!("replica {name}: its attempts could not be saved: {error}");
            }
        });
    }
}

/// A body of about so many bytes of which InfluxDB stores nothing: a comment, and a line that it refuses.
fn without_point(size: usize) -> Bytes {
    const LINE: &[u8] = b"\nhaflux";
    let mut body = vec![b'#'; size.saturating_sub(LINE.len()).max(1)];
    body.extend_from_slice(LINE);
    Bytes::from(body)
}
