//! What callers, the writer and readers share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use super::cache::Cache;
use super::frame;
use super::segment::SegmentList;
use super::{
    AppendError, Cursor, Disk, Kind, Observer, Options, Position, Record, Sequence, Status, Ticket,
};

/// The most records that wait in the queue, and the most that are written and not synced. Together: the most sequences that a
/// crash can take back, and so the jump that the next life makes.
pub(super) const MAX_WAITING: usize = 1 << 16;
/// See [`MAX_WAITING`].
pub(super) const JUMP: u64 = 2 * MAX_WAITING as u64;

/// Everything shared.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) disk: Arc<dyn Disk>,
    /// The first sequence of this run: below it, nothing new will ever be.
    pub(super) first: Sequence,
    pub(super) admission: Mutex<Admission>,
    /// Wakes the writer.
    pub(super) wake: Condvar,
    pub(super) cache: Mutex<Cache>,
    pub(super) segments: Mutex<SegmentList>,
    pub(super) durable: watch::Sender<Position>,
    pub(super) observer: OnceLock<Arc<dyn Observer>>,
    pub(super) status: Mutex<Status>,
    /// Turns true when the writer has ended.
    pub(super) ended: watch::Sender<bool>,
}

impl Shared {
    /// Each two numbers between which no record lies; see [`Journal::jumps`](super::Journal::jumps).
    pub(super) fn jumps(&self) -> Vec<(Sequence, Sequence)> {
        let mut jumps: Vec<_> = self.segments.lock().jumps().collect();
        let admission = self.admission.lock();
        let (last, next) = (admission.head.sequence, admission.next);
        if last.next() < next {
            jumps.push((last, next));
        }
        jumps
    }
}

/// A record on its way to the disk.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) payload_checksum: u32,
    /// `None` if this run did not append it.
    pub(super) ticket: Option<Ticket>,
}

impl Pending {
    /// A record of a life before, that is to be written again.
    pub(super) fn again(record: Record) -> Self {
        Self {
            payload_checksum: crc32c::crc32c(&record.payload),
            record,
            ticket: None,
        }
    }

    /// Bytes in a segment.
    pub(super) fn size(&self) -> u64 {
        frame::size(self.record.payload.len())
    }
}

/// What is to become of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Records are taken.
    Open,
    /// What is queued is still written; then the writer ends.
    Closing,
    /// All handles are gone: one attempt at what is queued, then the writer ends.
    Abandoned,
    /// The writer has ended.
    Closed,
}

/// Where admitted records will go: what is left of the segment that the newest of them goes to, and whole segments after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Plan {
    pub(super) left: u64,
    pub(super) spares: usize,
}

/// Spares that no admission counts on; see the module page, "Room".
const RESERVE: usize = 1;

impl Plan {
    /// Counts a record of this size in. False: there is no room for it without the reserve.
    fn admit(&mut self, size: u64, capacity: u64) -> bool {
        if self.left < size && self.spares <= RESERVE {
            return false;
        }
        self.place(size, capacity)
    }

    /// Counts an admitted record in. False: even the reserve is not enough.
    pub(super) fn place(&mut self, size: u64, capacity: u64) -> bool {
        if let Some(left) = self.left.checked_sub(size) {
            self.left = left;
            return true;
        }
        match self.spares.checked_sub(1) {
            Some(spares) => {
                *self = Self {
                    left: capacity.saturating_sub(size),
                    spares,
                }
            }
            None => *self = Self::default(),
        }
        self.left > 0 || size == capacity
    }
}

/// Someone who waits until the cursors of this version are saved.
#[derive(Debug)]
pub(super) struct CursorWaiter {
    pub(super) version: u64,
    pub(super) tell: oneshot::Sender<()>,
}

/// What callers touch.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) phase: Phase,
    /// The next sequence to be given.
    pub(super) next: Sequence,
    /// The newest record.
    pub(super) head: Position,
    /// The newest record that anybody may have been told of, in this run or before.
    pub(super) committed: Position,
    pub(super) queue: VecDeque<Pending>,
    /// Payload bytes queued or in the writer's hands and not durable.
    pub(super) waiting_bytes: usize,
    pub(super) plan: Plan,
    /// `next` or a lower number, with nothing handed out in between, is on disk: no later life can hand out what this one does.
    pub(super) floor_saved: bool,
    /// The disk can take new records.
    pub(super) room: bool,
    /// The caller needs no record up to here.
    pub(super) trimmed: Sequence,
    pub(super) cursors: BTreeMap<String, Cursor>,
    /// Rises with each change of a cursor.
    pub(super) cursors_version: u64,
    pub(super) cursor_waiters: Vec<CursorWaiter>,
    /// The writer sleeps and wants to be woken.
    pub(super) asleep: bool,
    /// Something happened since the writer last looked.
    pub(super) news: bool,
}

impl Admission {
    /// Admits a record and gives its ticket, or says why not.
    pub(super) fn admit(
        &mut self,
        options: &Options,
        kind: Kind,
        unix_nanos: u64,
        payload: Bytes,
        payload_checksum: u32,
    ) -> Result<Ticket, AppendError> {
        let size = frame::size(payload.len());
        let waiting = self.waiting_bytes.saturating_add(payload.len());
        if self.phase != Phase::Open {
            return Err(AppendError::Closed);
        }
        if !self.room {
            return Err(AppendError::NoRoom);
        }
        if waiting > options.max_queued || self.queue.len() >= MAX_WAITING {
            return Err(AppendError::QueueFull);
        }
        if !self.plan.admit(size, options.capacity()) {
            return Err(AppendError::QueueFull);
        }
        let sequence = self.next;
        self.next = sequence.next();
        self.head = Position {
            sequence,
            offset: self.head.offset.saturating_add(size),
        };
        self.waiting_bytes = waiting;
        let record = Record {
            sequence,
            kind,
            unix_nanos,
            offset: self.head.offset,
            payload,
        };
        let ticket = Ticket::next();
        self.queue.push_back(Pending {
            record,
            payload_checksum,
            ticket: Some(ticket),
        });
        Ok(ticket)
    }

    /// Notes that there is something to do. True: the writer has to be woken.
    pub(super) fn call_writer(&mut self) -> bool {
        self.news = true;
        std::mem::take(&mut self.asleep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_keeps_one_spare_back() {
        let mut plan = Plan {
            left: 10,
            spares: 2,
        };
        assert!(plan.admit(10, 100));
        assert!(plan.admit(90, 100), "the next segment");
        assert_eq!(
            plan,
            Plan {
                left: 10,
                spares: 1
            }
        );
        assert!(!plan.admit(11, 100), "only the reserve is left");
        assert_eq!(
            plan,
            Plan {
                left: 10,
                spares: 1
            }
        );
        assert!(plan.admit(10, 100));
        assert!(
            plan.place(100, 100),
            "what was admitted may use the reserve"
        );
        assert!(!plan.place(1, 100));
        assert_eq!(plan, Plan::default());
    }
}
