//! Writing and syncing records.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::super::disk::DiskFile;
use super::super::frame::{FrameHeader, Identity};
use super::super::segment::{HEADER_SIZE, Segment, SegmentHeader};
use super::super::shared::{MAX_WAITING, Pending};
use super::super::{Position, Sequence, Sync};
use super::{Active, CHECK_INTERVAL, Trouble, Writer};

/// Payloads up to this size are copied beside their headers; larger ones are written from where they are.
const COPY_UP_TO: usize = 4096;
const PADDING: [u8; 8] = [0; 8];

/// A part of a gathered write.
enum Piece {
    /// Of the scratch buffer.
    Scratch(Range<usize>),
    /// The payload of the pending record with this index.
    Payload(usize),
}

/// A segment that has no header yet.
pub(super) struct Begun {
    file: Arc<dyn DiskFile>,
    header: SegmentHeader,
}

impl Begun {
    pub(super) fn write_header(&self) -> io::Result<()> {
        let bytes = self.header.encode();
        self.file.write_at(&mut [IoSlice::new(&bytes)], 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Writer {
    /// Writes what is pending and syncs it if that is due.
    pub(super) fn write(&mut self, now: Instant, ending: bool) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self
            .checked
            .is_none_or(|checked| now >= checked + CHECK_INTERVAL)
        {
            self.shared.disk.verify()?;
            self.checked = Some(now);
        }
        self.carry(now)?;
        while let Some(next) = self.pending.get(self.written) {
            let size = next.size();
            let fits = self
                .active
                .as_ref()
                .is_some_and(|active| active.position + size <= active.size);
            if !fits {
                self.sync()?;
                let segment = self.begin_segment(0)?;
                segment.write_header()?;
            }
            self.write_batch(now, self.pending.len())?;
            if self.shared.options.sync != Sync::Always {
                self.publish();
            }
        }
        let due =
            self.sync_due().is_some_and(|due| due <= now) || self.pending.len() >= MAX_WAITING;
        // Only a sync shows that an ill disk is well again.
        if due || ending || self.trouble.in_a_row > 0 {
            self.sync()
        } else {
            Ok(())
        }
    }

    /// When a sync of what is written is due by the policy.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        let since = self.unsynced_since?;
        match self.shared.options.sync {
            Sync::Always => Some(since),
            Sync::Interval(interval) => Some(since + interval),
            Sync::Never => None,
        }
    }

    /// Begins the next segment, with room for at least `size` bytes of frames; everything before is synced. Its header is for
    /// the caller to write.
    pub(super) fn begin_segment(&mut self, size: u64) -> io::Result<Begun> {
        let first = self.pending.front().map(|pending| pending.record.sequence);
        let first = first.unwrap_or(self.synced.sequence.next());
        self.active = None;
        let (previous_serial, identity) = {
            let mut segments = self.shared.segments.lock();
            segments.end_newest(self.synced.sequence);
            (
                segments.newest().map_or(0, |segment| segment.serial),
                Identity::new(self.journal, self.next_serial),
            )
        };
        let serial = self.next_serial;
        let segment = Segment {
            serial,
            first,
            previous_last: self.synced.sequence,
            last: None,
            identity,
            bytes: 0,
        };
        let spare = self.take_spare(&segment.name(), HEADER_SIZE + size)?;
        self.shared.segments.lock().push(Segment {
            bytes: spare.size,
            ..segment
        });
        let file = Arc::clone(&spare.file);
        self.active = Some(Active {
            file: spare.file,
            serial,
            identity,
            first,
            position: HEADER_SIZE,
            size: spare.size,
        });
        self.replan();
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let header = SegmentHeader {
            journal: self.journal,
            serial,
            first,
            previous_serial,
            previous: self.synced,
            unix_nanos: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        };
        Ok(Begun { file, header })
    }

    /// Writes as many of the first `upto` pending records as the active segment has room for, with one call.
    pub(super) fn write_batch(&mut self, now: Instant, upto: usize) -> io::Result<()> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let scratch = &mut self.scratch;
        scratch.clear();
        let mut pieces = Vec::new();
        let (mut start, mut end, mut count) = (0, active.position, 0_usize);
        let unwritten = self.pending.iter().enumerate().take(upto);
        for (index, pending) in unwritten.skip(self.written) {
            if end + pending.size() > active.size {
                break;
            }
            let record = &pending.record;
            let header = FrameHeader {
                payload_checksum: pending.payload_checksum,
                length: u32::try_from(record.payload.len()).unwrap_or(u32::MAX),
                kind: record.kind,
                sequence: record.sequence,
                offset: record.offset,
                unix_nanos: record.unix_nanos,
                synced: self.synced.sequence,
            };
            scratch.extend_from_slice(&header.encode(active.identity));
            if record.payload.len() <= COPY_UP_TO {
                scratch.extend_from_slice(&record.payload);
            } else {
                pieces.push(Piece::Scratch(start..scratch.len()));
                pieces.push(Piece::Payload(index));
                start = scratch.len();
            }
            let padding =
                record.payload.len().next_multiple_of(PADDING.len()) - record.payload.len();
            scratch.extend_from_slice(PADDING.get(..padding).unwrap_or_default());
            end += pending.size();
            count += 1;
        }
        pieces.push(Piece::Scratch(start..scratch.len()));
        let slices = pieces.iter().map(|piece| match piece {
            Piece::Scratch(range) => scratch.get(range.clone()).unwrap_or_default(),
            Piece::Payload(index) => self
                .pending
                .get(*index)
                .map_or(&[][..], |pending| &pending.record.payload),
        });
        let mut slices: Vec<IoSlice<'_>> = slices.map(IoSlice::new).collect();
        self.unsynced_since.get_or_insert(now);
        active.file.write_at(&mut slices, active.position)?;
        active.position = end;
        self.written += count;
        Ok(())
    }

    /// Syncs what is written, and publishes it.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_ref().filter(|_| self.written > 0) else {
            return Ok(());
        };
        active.file.sync()?;
        self.trouble = Trouble::default();
        if let Some(last) = self
            .written
            .checked_sub(1)
            .and_then(|last| self.pending.get(last))
        {
            self.synced = Position {
                sequence: last.record.sequence,
                offset: last.record.offset,
            };
        }
        self.shared.segments.lock().set_synced(self.synced.sequence);
        self.publish();
        self.pending.drain(..self.written);
        self.published = self.published.saturating_sub(self.written);
        self.written = 0;
        self.unsynced_since = None;
        Ok(())
    }

    /// Lets everyone know what is durable by the policy now: the observer first, so that it knows each record before a reader
    /// can be given it.
    fn publish(&mut self) {
        let unpublished = self.published.min(self.written)..self.written;
        let (mut bytes, mut newest) = (0, None);
        self.committed.clear();
        for Pending { record, ticket, .. } in self.pending.range(unpublished.clone()) {
            bytes += record.payload.len();
            let position = Position {
                sequence: record.sequence,
                offset: record.offset,
            };
            newest = Some(position);
            self.committed
                .extend(ticket.map(|ticket| (ticket, position)));
        }
        self.published = self.published.max(self.written);
        let Some(newest) = newest else { return };
        {
            let mut admission = self.shared.admission.lock();
            admission.waiting_bytes = admission.waiting_bytes.saturating_sub(bytes);
            if newest.sequence > admission.committed.sequence {
                admission.committed = newest;
            }
        }
        if let Some(observer) = self.shared.observer.get()
            && !self.committed.is_empty()
        {
            observer.committed(&self.committed);
        }
        let mut cache = self.shared.cache.lock();
        for pending in self.pending.range(unpublished) {
            cache.push(pending.record.clone());
        }
        drop(cache);
        self.shared.durable.send_replace(newest);
    }

    /// Gives the active segment up after a failure: what is not synced will be written again, elsewhere.
    pub(super) fn poison(&mut self, now: Instant, action: &str, error: &io::Error) {
        self.failed(action, error);
        self.trouble.again(now);
        self.checked = None;
        self.written = 0;
        self.unsynced_since = None;
        if let Some(active) = self.active.take() {
            self.drop_or_end(&active);
        }
        self.replan();
    }

    fn drop_or_end(&mut self, active: &Active) {
        let mut segments = self.shared.segments.lock();
        if active.first <= self.synced.sequence {
            segments.end_newest(self.synced.sequence);
            return;
        }
        let name = segments
            .newest()
            .filter(|newest| newest.serial == active.serial)
            .map(|newest| newest.name());
        segments.remove(active.serial);
        drop(segments);
        self.leftovers.extend(name);
        if let Err(error) = self.remove_leftovers() {
            self.failed("remove a failed segment", &error);
        }
    }

    /// Whether a record with this sequence will never be taken back, or never be.
    pub(super) fn is_lasting(&self, sequence: Sequence) -> bool {
        let of_the_past = self.carried == 0 && sequence < self.shared.first;
        of_the_past || sequence <= self.synced.sequence
    }
}
