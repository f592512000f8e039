//! Following the journal.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::scan::Scanner;
use super::segment::{HEADER_SIZE, Segment};
use super::shared::Shared;
use super::{ReadError, Record, Sequence};

const SMALLEST_WINDOW: usize = 64 << 10;
const LARGEST_WINDOW: usize = 1 << 20;

/// Reads durable records in order. Dropping a read half way loses nothing.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    place: Place,
    longest: usize,
    is_before_a_longer: bool,
}

/// How much is read at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Bytes of payload, unless the first record alone has more.
    pub(super) bytes: usize,
    /// Bytes of one record's payload: it is read up to the first that has more, and no further.
    pub(super) longest: usize,
}

/// Where a reader is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The newest record that was given, or passed over as a gap.
    after: Sequence,
    /// Where the next one is looked for: the serial of a segment, a byte of it, and the newest record before that byte.
    found: Option<(u64, u64, Sequence)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, after: Sequence) -> Self {
        Self {
            shared,
            place: Place { after, found: None },
            longest: usize::MAX,
            is_before_a_longer: false,
        }
    }

    /// The newest record that was given, or passed over.
    pub fn position(&self) -> Sequence {
        self.place.after
    }

    /// From now on a record with a longer payload is not read into memory, and nothing behind it is.
    pub fn stop_before_longer(&mut self, longest: usize) {
        self.longest = longest;
    }

    /// Whether that is why the last read gave nothing.
    pub fn is_before_a_longer(&self) -> bool {
        self.is_before_a_longer
    }

    /// All durable records there are now above the last one given, up to `max_bytes` of payload, but at least one; none if
    /// there is none. Recent ones come from memory, others from the disk on a blocking thread.
    pub async fn read(&mut self, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let most = Most {
            bytes: max_bytes,
            longest: self.longest,
        };
        let batch = match self.place.read_cached(&self.shared, most) {
            Some(batch) => batch,
            None => {
                let (mut place, shared) = (self.place, Arc::clone(&self.shared));
                let reading =
                    tokio::task::spawn_blocking(move || (place.read_files(&shared, most), place));
                let (result, place) = reading.await.map_err(io::Error::other)?;
                self.place = place;
                result?
            }
        };
        self.is_before_a_longer = batch.is_before_a_longer;
        Ok(batch.records)
    }

    /// [`Reader::read`] without a runtime.
    #[cfg(test)]
    pub(super) fn read_blocking(
        &mut self,
        max_bytes: usize,
        cached: bool,
    ) -> Result<Vec<Record>, ReadError> {
        let most = Most {
            bytes: max_bytes,
            longest: self.longest,
        };
        let batch = cached
            .then(|| self.place.read_cached(&self.shared, most))
            .flatten();
        let batch = batch.map_or_else(|| self.place.read_files(&self.shared, most), Ok)?;
        self.is_before_a_longer = batch.is_before_a_longer;
        Ok(batch.records)
    }
}

/// What a scan of one segment came to.
enum Outcome {
    /// Enough for now.
    Enough,
    /// The segment's records were passed, as far as they are wanted.
    Passed,
    /// The records up to this one are not there.
    Missing(Sequence),
    /// The disk did not answer.
    Failed(io::Error),
}

/// The records of one read.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    bytes: usize,
    most: Most,
    /// It has nothing, because the first record is longer than it may be.
    is_before_a_longer: bool,
}

impl Batch {
    pub(super) fn new(most: Most) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            most,
            is_before_a_longer: false,
        }
    }

    /// Whether the next record, with a payload of so many bytes, belongs to it.
    pub(super) fn has_room(&mut self, length: usize) -> bool {
        let is_first = self.records.is_empty();
        if length > self.most.longest {
            self.is_before_a_longer = is_first;
            return false;
        }
        is_first || self.bytes.saturating_add(length.max(1)) <= self.most.bytes
    }

    /// Adds the next record.
    pub(super) fn take(&mut self, record: Record) {
        self.bytes = self.bytes.saturating_add(record.payload.len().max(1));
        self.records.push(record);
    }

    /// Adds a record that was read with a window of so many bytes.
    ///
    /// A payload that is small beside the window is copied out of it: it may be held for long, alone, and would hold the whole
    /// window.
    fn take_from(&mut self, mut record: Record, window: usize) {
        if record.payload.len() < window / 2 {
            record.payload = Bytes::copy_from_slice(&record.payload);
        }
        self.take(record);
    }
}

impl Place {
    fn read_cached(&mut self, shared: &Shared, most: Most) -> Option<Batch> {
        let batch = shared.cache.lock().read(self.after, most)?;
        if let Some(last) = batch.records.last() {
            self.after = last.sequence;
        }
        Some(batch)
    }

    /// What is wrong behind some sound records is said by the next call, which gets there again.
    fn read_files(&mut self, shared: &Shared, most: Most) -> Result<Batch, ReadError> {
        let durable = shared.durable.borrow().sequence;
        let mut batch = Batch::new(most);
        while self.after < durable {
            let segment = shared.segments.lock().with_record_above(self.after);
            let until = segment
                .and_then(|segment| segment.last)
                .map_or(durable, |last| last.min(durable));
            let outcome = match segment {
                None => Outcome::Missing(until),
                Some(segment) if segment.previous_last.min(durable) > self.after => {
                    Outcome::Missing(segment.previous_last.min(durable))
                }
                Some(segment) => self.scan(shared, segment, until, &mut batch),
            };
            match outcome {
                Outcome::Passed if self.after >= until => {}
                Outcome::Enough => break,
                Outcome::Passed | Outcome::Missing(_) | Outcome::Failed(_)
                    if !batch.records.is_empty() =>
                {
                    break;
                }
                Outcome::Failed(error) => return Err(error.into()),
                Outcome::Missing(_) | Outcome::Passed => {
                    let to = if let Outcome::Missing(to) = outcome {
                        to
                    } else {
                        until
                    };
                    // Released or poisoned meanwhile: look again. Not synced yet: the writer may be about to find the same
                    // damage and to write these records once more.
                    let segments = shared.segments.lock();
                    if segments.with_record_above(self.after) != segment {
                        continue;
                    }
                    let to = to.min(segments.synced());
                    if to <= self.after {
                        break;
                    }
                    let from = self.after.next();
                    self.after = to;
                    return Err(ReadError::Gap { from, to });
                }
            }
        }
        Ok(batch)
    }

    /// Adds the segment's records up to `until` to the batch.
    fn scan(
        &mut self,
        shared: &Shared,
        segment: Segment,
        until: Sequence,
        batch: &mut Batch,
    ) -> Outcome {
        self.try_scan(shared, segment, until, batch)
            .unwrap_or_else(Outcome::Failed)
    }

    fn try_scan(
        &mut self,
        shared: &Shared,
        segment: Segment,
        until: Sequence,
        batch: &mut Batch,
    ) -> io::Result<Outcome> {
        let file = match shared.disk.open(&segment.name()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                shared.disk.verify()?;
                return Ok(Outcome::Passed);
            }
            opened => opened?,
        };
        let window = batch.most.bytes.clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        let mut scanner = Scanner::new(file, segment.identity, window)?;
        let (mut position, mut last) = match self.found {
            Some((serial, position, last)) if serial == segment.serial && last <= self.after => {
                (position, last)
            }
            _ => (HEADER_SIZE, segment.first.previous()),
        };
        while last < until {
            // Looked at before its payload is read: it may be long.
            let next = scanner.peek(position, self.after.max(last))?;
            if next.is_some_and(|length| !batch.has_room(length)) {
                return Ok(Outcome::Enough);
            }
            let mut frame = scanner.frame_at(position, last)?;
            if frame.is_none() {
                let Some(further) = scanner.search(position, last)? else {
                    break;
                };
                frame = scanner.frame_at(further, last)?;
                let missing = frame
                    .as_ref()
                    .map_or(until, |frame| frame.record.sequence.previous().min(until));
                if missing > self.after {
                    return Ok(Outcome::Missing(missing));
                }
            }
            let Some(frame) = frame else { break };
            let sequence = frame.record.sequence;
            if sequence > until {
                break;
            }
            if sequence > self.after {
                if !batch.has_room(frame.record.payload.len()) {
                    return Ok(Outcome::Enough);
                }
                batch.take_from(frame.record, window);
            }
            (position, last) = (frame.end, sequence);
            self.after = self.after.max(last);
            self.found = Some((segment.serial, position, last));
        }
        Ok(Outcome::Passed)
    }
}
