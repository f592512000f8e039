//! Reading the journal ahead of what is sent, into a bounded window.

use std::time::Instant;

use log::error;

use super::{MAX_TRACKED, Replicator};
use crate::journal::{Position, ReadError, Record, Sequence};
use crate::relay::record::change::Change;
use crate::relay::record::write::WriteRecord;
use crate::relay::replicator::queue::lane::Queued;
use crate::relay::verdict::refusals::Refusals;

impl Replicator {
    /// A moment that has passed wakes nobody: what it was for is waiting for something else. Refusals for which there is no room
    /// are forgotten by themselves.
    pub(super) fn next_read(&self) -> Option<Instant> {
        let now = Instant::now();
        let full = self.pending_clients.refusals(Refusals::is_full);
        let again = self.read_not_before.filter(|moment| *moment > now);
        let again = again.into_iter().chain(self.barriers.reads_on_at(now));
        again
            .max()
            .or_else(|| full.then(|| now + self.pace.retry_max))
    }

    pub(super) fn may_read(&self) -> bool {
        let now = Instant::now();
        !self.blocked
            && self.barriers.may_read_past()
            && self.barriers.reads_on_at(now).is_none()
            && self.going_back.is_none()
            && self.read_not_before.is_none_or(|moment| moment <= now)
            && self.window.has_room()
            && self.doubts.has_room()
            && (!self.reader.is_before_a_longer() || self.window.longest() == usize::MAX)
            && self.tracker.len() < MAX_TRACKED
            && !self.pending_clients.refusals(Refusals::is_full)
    }

    pub(super) async fn read_ahead(&mut self) {
        while self.may_read() {
            // Seen before the read, so that a record that becomes durable meanwhile wakes the next wait.
            self.durable.mark_unchanged();
            self.reader.stop_before_longer(self.window.longest());
            match self.reader.read(self.pace.max_batch).await {
                Ok(records) if records.is_empty() => return,
                Ok(records) => {
                    self.read_not_before = None;
                    for record in records {
                        if self.blocked || !self.enqueue(record) {
                            break;
                        }
                    }
                    self.show_read();
                }
                Err(error) => {
                    self.cannot_read(error);
                    if self.read_not_before.is_some() || !self.replica.follows() {
                        return;
                    }
                }
            }
        }
    }

    /// The journal's records cannot be read: what is lost is passed over if no other replica may have it, a disk is tried again.
    pub(super) fn cannot_read(&mut self, error: ReadError) {
        let name = &self.replica.stats.name;
        match error {
            ReadError::Gap { from, to } => {
                let reason = format!("the journal has lost records {from} to {to}");
                if self.diverge_if_another_has_more(&reason) {
                    return;
                }
                let name = &self.replica.stats.name;
                error!(
                    "replica {name}: {reason}; no other replica has more, so it goes on without them"
                );
                self.replica.note_error(reason);
                self.pass_over_lost(to);
            }
            ReadError::Io(error) => {
                if self.read_not_before.is_none() {
                    error!("replica {name}: cannot read the journal: {error}");
                }
                self.replica
                    .note_error(format!("cannot read the journal: {error}"));
                self.read_not_before = Some(Instant::now() + self.pace.retry_max);
            }
        }
    }

    /// Moves the cursor behind lost records at the end of the journal. Behind others, the next record does that. The pending clients
    /// are not told, because another replica would take it for one that has these records.
    fn pass_over_lost(&mut self, newest: Sequence) {
        let durable = self.journal.durable();
        if newest == durable.sequence {
            self.tracker.pass_over(durable);
            self.show_read();
        }
    }

    /// Returns whether what is behind it may be read.
    fn enqueue(&mut self, record: Record) -> bool {
        let position = Position {
            sequence: record.sequence,
            offset: record.offset,
        };
        match Change::decode(record.kind, record.payload) {
            Ok(Change::Write(write)) => {
                self.tracker.read(position, record.unix_nanos);
                self.enqueue_write(record.sequence, write);
                true
            }
            Ok(Change::Statement(statement)) => {
                self.tracker.read(position, record.unix_nanos);
                self.stand_before(position, statement)
            }
            Err(error) => {
                self.block(&format!(
                    "record {} cannot be understood: {error}",
                    record.sequence
                ));
                false
            }
        }
    }

    fn enqueue_write(&mut self, sequence: Sequence, record: WriteRecord) {
        let Some(record) = self.not_held(sequence, record) else {
            return;
        };
        let name = &record.destination.database;
        if self.is_read_again(name) {
            // It comes once more, behind what is read again of its lane.
            self.lanes.began_elsewhere(name, sequence);
            return;
        }
        let (tracker, rewind) = (&self.tracker, &self.rewind);
        let before = || rewind.at(tracker.before(sequence).unwrap_or_default());
        self.is_doubt_changed |= self.doubts.read(name, sequence, before);
        self.enqueue_in_lane(sequence, record, false);
    }

    /// Gives back a record that need not wait for a statement.
    pub(super) fn not_held(
        &mut self,
        sequence: Sequence,
        record: WriteRecord,
    ) -> Option<WriteRecord> {
        // It has its verdict, so it waits for no statement.
        if self.attempts.is_set_aside(sequence) {
            self.pass_over(sequence);
            return None;
        }
        self.park(sequence, record)
    }

    pub(super) fn enqueue_in_lane(
        &mut self,
        sequence: Sequence,
        record: WriteRecord,
        is_again: bool,
    ) {
        let queued = Queued {
            sequence,
            record,
            since: Instant::now(),
            is_tried: self.attempts.is_tried(sequence),
            is_again,
        };
        self.window.add_queued(&queued);
        self.lanes.push(queued);
    }

    /// Nothing may overtake what cannot be sent: the replica stands still, and says so, until a person helps.
    fn block(&mut self, reason: &str) {
        self.blocked = true;
        error!(
            "replica {}: {reason}; nothing more is sent to it",
            self.replica.stats.name
        );
        self.replica.note_error(reason.to_owned());
    }
}
