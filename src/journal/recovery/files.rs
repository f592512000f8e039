//! The segment files, put together to one log.

use super::super::disk::Disk;
use super::super::frame::{self, Identity};
use super::super::scan::{self, Scanner};
use super::super::segment::{
    BadHeader, FileName, HEADER_BYTES, HEADER_SIZE, Segment, SegmentHeader,
};
use super::super::writer::Spare;
use super::super::{Cursor, Gap, OpenError, Options, Position, Record, Sequence};
use super::WINDOW;
use super::walk::scan_segment;

/// A segment file, and its header if that is sound.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) first: Sequence,
    pub(super) serial: u64,
    pub(super) size: u64,
    pub(super) header: Option<SegmentHeader>,
}

/// The files of the folder.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) journal: [u8; 16],
    pub(super) segments: Vec<Found>,
    pub(super) spares: Vec<String>,
    /// Segments that do not count: to be removed.
    pub(super) leftovers: Vec<String>,
    pub(super) foreign: usize,
    pub(super) next_serial: u64,
}

/// What the segments hold.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) segments: Vec<Segment>,
    /// The newest sound record.
    pub(super) head: Position,
    /// The newest record that is known to have been: above `head` if the end was lost.
    pub(super) known: Position,
    /// The newest record that is known to have been synced, or to have been lost after it was.
    pub(super) proven: Position,
    /// The records above it: they may be nowhere but in the memory of the system. The segments end before them.
    pub(super) unproven: Vec<Record>,
    /// Segments that hold nothing but such records. They are to stay until these are elsewhere.
    pub(super) sources: Vec<String>,
    pub(super) gaps: Vec<Gap>,
    pub(super) torn: u64,
}

impl Records {
    /// Takes what nothing proves to have been synced out of the segments.
    fn end_segments_before_unproven(&mut self) {
        let proven = self.proven.sequence;
        self.unproven.retain(|record| record.sequence > proven);
        let Some(first) = self.unproven.first() else {
            self.proven = self.known;
            return;
        };
        let size = frame::size(first.payload.len());
        self.proven.offset = first.offset.saturating_sub(size);
        let sources = &mut self.sources;
        self.segments.retain_mut(|segment| {
            segment.last = segment.last.map(|last| last.min(proven));
            if segment.first > proven {
                sources.push(segment.name());
            }
            segment.first <= proven
        });
    }
}

impl Files {
    pub(super) fn read(
        disk: &dyn Disk,
        names: &[String],
        journal: Option<[u8; 16]>,
    ) -> Result<Self, OpenError> {
        let mut files = Self {
            journal: [0; 16],
            segments: Vec::new(),
            spares: Vec::new(),
            leftovers: Vec::new(),
            foreign: 0,
            next_serial: 1,
        };
        for name in names {
            let Some(parsed) = FileName::parse(name) else {
                continue;
            };
            files.next_serial = files.next_serial.max(parsed.serial().saturating_add(1));
            match parsed {
                FileName::Spare { .. } => files.spares.push(name.clone()),
                FileName::Segment { first, serial } => {
                    let (header, size) = read_header(disk, name)?;
                    files.segments.push(Found {
                        name: name.clone(),
                        first,
                        serial,
                        size,
                        header,
                    });
                }
            }
        }
        files.segments.sort_by_key(|segment| segment.serial);
        let newest = files
            .segments
            .iter()
            .rev()
            .find_map(|segment| segment.header);
        files.journal = journal
            .or(newest.map(|header| header.journal))
            .unwrap_or_else(|| {
                let mut random = [0; 16];
                fastrand::fill(&mut random);
                random
            });
        let ours = |found: &Found| {
            found
                .header
                .is_none_or(|header| header.journal == files.journal)
        };
        let before = files.segments.len();
        files.segments.retain(ours);
        files.foreign = before - files.segments.len();
        for found in &mut files.segments {
            // The name is what counts; a header that says something else was never meant for this file.
            found.header = found
                .header
                .filter(|header| header.serial == found.serial && header.first == found.first);
        }
        Ok(files)
    }

    /// Lets go of the segments that a later one's header passes over: a life went on without them. They come first, for only
    /// without them does each segment stand beside the one that vouches for it.
    fn drop_passed_over(&mut self) {
        let mut counts = Vec::with_capacity(self.segments.len());
        let mut previous = u64::MAX;
        for found in std::mem::take(&mut self.segments).into_iter().rev() {
            if found.serial > previous {
                self.leftovers.push(found.name);
                continue;
            }
            previous = found
                .header
                .map_or(previous, |header| header.previous_serial);
            counts.push(found);
        }
        counts.reverse();
        self.segments = counts;
    }

    /// Lets go of the last segments that were begun and never synced. There may be several: each crash can leave one.
    fn drop_unproven_end(&mut self, disk: &dyn Disk, proven: Sequence, torn: &mut u64) {
        while let Some(found) = self.segments.pop_if(|last| last.header.is_none()) {
            let identity = Identity::new(self.journal, found.serial);
            let scanned = scan_segment(disk, &found, identity, Position::default(), None, proven);
            if !scanned.is_junk {
                self.segments.push(found);
                return;
            }
            *torn += scanned.torn;
            self.leftovers.push(found.name);
        }
    }

    /// Follows the segments to the end.
    pub(super) fn recover(
        &mut self,
        disk: &dyn Disk,
        proven: Position,
        cursors: &[Cursor],
    ) -> Records {
        let mut records = Records {
            segments: Vec::new(),
            head: Position::default(),
            known: proven,
            proven,
            unproven: Vec::new(),
            sources: Vec::new(),
            gaps: Vec::new(),
            torn: 0,
        };
        let mut kept: Vec<Found> = Vec::new();
        self.drop_passed_over();
        self.drop_unproven_end(disk, proven.sequence, &mut records.torn);
        let lowest = cursors.iter().min_by_key(|cursor| cursor.sequence);
        let mut queue = std::mem::take(&mut self.segments).into_iter().peekable();
        while let Some(found) = queue.next() {
            let next = queue.peek().and_then(|next| next.header);
            let identity = Identity::new(self.journal, found.serial);
            let previous = match found.header {
                Some(header) => header.previous,
                None => guess_previous(disk, &found, identity, records.head, lowest),
            };
            let vouched = next.filter(|next| next.previous_serial == found.serial);
            // A segment gets its header, and its first record, only when everything before it is synced.
            let mut synced = previous.sequence;
            let mut inside = Vec::new();
            let last = match vouched {
                Some(next) => next.previous,
                None => {
                    let limit = queue.peek().map(|next| next.first);
                    let scanned =
                        scan_segment(disk, &found, identity, previous, limit, proven.sequence);
                    inside = scanned.gaps;
                    records.torn += scanned.torn;
                    records.unproven.extend(scanned.unproven);
                    synced = synced.max(scanned.proven);
                    scanned.last
                }
            };
            // What is missing below every cursor was released, or nobody needs it.
            let last_before = records.segments.last().and_then(|segment| segment.last);
            let held = last_before.max(lowest.map(|cursor| cursor.sequence));
            if let Some(held) = held.filter(|held| *held < previous.sequence) {
                records.gaps.push(Gap {
                    after: held,
                    before: previous.sequence.next(),
                });
            }
            records.gaps.append(&mut inside);
            if last.sequence > records.head.sequence {
                records.head = last;
            }
            records.proven.sequence = records.proven.sequence.max(synced);
            let segment = Segment {
                serial: found.serial,
                first: found.first,
                previous_last: previous.sequence,
                last: Some(last.sequence),
                identity,
                bytes: found.size,
            };
            records.segments.push(segment);
            kept.push(found);
        }
        if records.head.sequence >= records.known.sequence {
            records.known = records.head;
        } else {
            records.gaps.push(Gap {
                after: records.head.sequence,
                before: records.known.sequence.next(),
            });
            if let Some(newest) = records.segments.last_mut() {
                newest.last = Some(records.known.sequence);
            }
        }
        self.segments = kept;
        records.end_segments_before_unproven();
        records
    }

    /// Makes what can be used again into spares, and removes the rest.
    pub(super) fn spares(&mut self, disk: &dyn Disk, options: &Options) -> Vec<Spare> {
        let mut spares = Vec::new();
        for name in std::mem::take(&mut self.spares) {
            let usable = disk.open(&name).and_then(|file| Ok((file.size()?, file)));
            let Ok((size, file)) = usable else { continue };
            if spares.len() < options.spare_segments && size == options.segment_size {
                spares.push(Spare { name, file, size });
            } else if let Err(error) = disk.remove(&name) {
                log::warn!("journal: cannot remove {name}: {error}");
            }
        }
        spares
    }
}

/// The newest record before a segment whose header is damaged: `head`, or where the lowest cursor stands, unless the offset of
/// its first record shows that something is missing between them.
fn guess_previous(
    disk: &dyn Disk,
    found: &Found,
    identity: Identity,
    head: Position,
    lowest: Option<&Cursor>,
) -> Position {
    let scanner = disk
        .open(&found.name)
        .and_then(|file| Scanner::new(file, identity, WINDOW));
    let frame =
        scanner.and_then(|mut scanner| scanner.frame_at(HEADER_SIZE, found.first.previous()));
    let Ok(Some(frame)) = frame else { return head };
    let before = frame
        .record
        .offset
        .saturating_sub(frame.end.saturating_sub(HEADER_SIZE));
    if before == head.offset {
        return head;
    }
    // What is before the first segment was released: then the lowest cursor is not before its end.
    let released_up_to = lowest.filter(|cursor| {
        head.sequence == Sequence::ZERO && cursor.offset == before && cursor.sequence < found.first
    });
    Position {
        sequence: released_up_to.map_or(found.first.previous(), |cursor| cursor.sequence),
        offset: before,
    }
}

pub(super) fn read_header(
    disk: &dyn Disk,
    name: &str,
) -> Result<(Option<SegmentHeader>, u64), OpenError> {
    let mut bytes = [0; HEADER_BYTES];
    let read = disk.open(name).and_then(|file| {
        scan::read(&*file, &mut bytes, 0)?;
        file.size()
    });
    let Ok(size) = read else { return Ok((None, 0)) };
    match SegmentHeader::decode(&bytes) {
        Ok(header) => Ok((Some(header), size)),
        Err(BadHeader::Unsound) => Ok((None, size)),
        Err(BadHeader::Newer(version)) => Err(OpenError::Version {
            file: name.into(),
            version,
        }),
    }
}
