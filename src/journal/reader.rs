//! Following the journal.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::scan::Scanner;
use super::segment::{HEADER_SIZE, Segment};
use super::shared::{Shared, lock};
use super::{ReadError, Record, Sequence};

const SMALLEST_WINDOW: usize = 64 << 10;
const LARGEST_WINDOW: usize = 1 << 20;

/// Reads durable records in order. Dropping a read half way loses nothing.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    place: Place,
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
        }
    }

    /// The newest record that was given, or passed over.
    pub fn position(&self) -> Sequence {
        self.place.after
    }

    /// All durable records there are now above the last one given, up to `max_bytes` of payload, but at least one; none if
    /// there is none. Recent ones come from memory, others from the disk on a blocking thread.
    pub async fn read(&mut self, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        if let Some(records) = self.place.read_cached(&self.shared, max_bytes) {
            return Ok(records);
        }
        let (mut place, shared) = (self.place, Arc::clone(&self.shared));
        let reading =
            tokio::task::spawn_blocking(move || (place.read_files(&shared, max_bytes), place));
        let (result, place) = reading.await.map_err(io::Error::other)?;
        self.place = place;
        result
    }

    /// [`Reader::read`] without a runtime.
    #[cfg(test)]
    pub(super) fn read_blocking(
        &mut self,
        max_bytes: usize,
        cached: bool,
    ) -> Result<Vec<Record>, ReadError> {
        let records = cached
            .then(|| self.place.read_cached(&self.shared, max_bytes))
            .flatten();
        records.map_or_else(|| self.place.read_files(&self.shared, max_bytes), Ok)
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
struct Batch {
    records: Vec<Record>,
    bytes: usize,
    max_bytes: usize,
}

impl Batch {
    /// Adds the record, or gives it up when there is enough.
    ///
    /// A payload that is small beside the window it was read with is copied out of it: it may be held for long, alone, and
    /// would hold the whole window.
    fn take(&mut self, mut record: Record, window: usize) -> bool {
        self.bytes = self.bytes.saturating_add(record.payload.len().max(1));
        let fits = self.records.is_empty() || self.bytes <= self.max_bytes;
        if fits {
            if record.payload.len() < window / 2 {
                record.payload = Bytes::copy_from_slice(&record.payload);
            }
            self.records.push(record);
        }
        fits
    }
}

impl Place {
    fn read_cached(&mut self, shared: &Shared, max_bytes: usize) -> Option<Vec<Record>> {
        let records = lock(&shared.cache).read(self.after, max_bytes)?;
        if let Some(last) = records.last() {
            self.after = last.sequence;
        }
        Some(records)
    }

    /// What is wrong behind some sound records is said by the next call, which gets there again.
    fn read_files(&mut self, shared: &Shared, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let durable = shared.durable.borrow().sequence;
        let mut batch = Batch {
            records: Vec::new(),
            bytes: 0,
            max_bytes,
        };
        while self.after < durable {
            let segment = lock(&shared.segments).with_record_above(self.after);
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
                    let segments = lock(&shared.segments);
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
        Ok(batch.records)
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
        let window = batch.max_bytes.clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        let mut scanner = Scanner::new(file, segment.identity, window)?;
        let (mut position, mut last) = match self.found {
            Some((serial, position, last)) if serial == segment.serial && last <= self.after => {
                (position, last)
            }
            _ => (HEADER_SIZE, segment.first.previous()),
        };
        while last < until {
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
            if sequence > self.after && !batch.take(frame.record, window) {
                return Ok(Outcome::Enough);
            }
            (position, last) = (frame.end, sequence);
            self.after = self.after.max(last);
            self.found = Some((segment.serial, position, last));
        }
        Ok(Outcome::Passed)
    }
}
