//! Looking at a journal's folder without being its owner: for a person with a broken machine.
//!
//! # Invariants
//!
//! - Nothing is written, made, locked or renamed, not even for a moment: an owner that starts meanwhile never finds the lock
//!   taken. (Who holds the lock is read from the system's list of locks.)
//! - It works while the owner writes. What looks like damage and may be a write seen half is looked at again; a segment that
//!   was released meanwhile is left out, not judged.
//! - It judges as recovery does: what the next start would make of the same files. It says more, because it reads every frame
//!   where recovery trusts a segment that the next one vouches for.
//! - No record is held longer than it is looked at; memory does not grow with the journal.
//!
//! # How damage is told from what never was
//!
//! - A record's offset counts the bytes of all records up to it. Two neighbours whose offsets fit have nothing missing between
//!   them, however far apart their sequences are. If they do not fit, the records between are gone.
//! - In the newest segment, frames behind a torn one that nothing proves to have been synced are the remains of a crash: never
//!   acknowledged, and cut by the next start. The same holds for a torn frame at the very end.
//! - Records are proven to have been synced by a later frame, a later segment's header, or the cursor table.
//!
//! Order matters while the owner works: the cursor table that proves is read before the files are listed, the cursors that
//! are behind or past a loss are read after everything else.

mod owner;
mod survey;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

pub use owner::Owner;
pub use verify::{Loss, SegmentCheck, Verification, verify};

use super::{Cursor, Gap, Position, Record, Sequence};
use survey::Survey;
use walk::{Step, Walker};

/// How often the files are looked at again because one of them was released meanwhile.
const ATTEMPTS: usize = 5;

/// Why a folder cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    /// The folder, or a file in it, cannot be read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// Folder or file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Files of a newer haflux.
    #[error("{file} has format version {version}, which is newer than this haflux")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
    /// The owner released segments faster than they could be looked at.
    #[error("the journal's files change too fast; try again")]
    Restless,
}

/// What a segment is to the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentState {
    /// The newest one.
    Newest,
    /// A later one follows.
    Closed,
    /// A later life went on without it: nothing of it counts.
    Superseded,
    /// Of another journal: left alone.
    Foreign,
}

/// A segment file, as far as that is known without reading all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The sequence in its name.
    pub first: Sequence,
    /// Its newest record, by its own frames for the newest segment and by the next one's header for others.
    pub last: Option<Sequence>,
    /// When its first record was appended, in nanoseconds since 1970.
    pub from: Option<u64>,
    /// When its newest record was appended; of a closed segment, when the next one was begun.
    pub to: Option<u64>,
    /// What becomes of it.
    pub state: SegmentState,
    /// Its header can be read.
    pub header_is_sound: bool,
}

/// One of the two cursor tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableReport {
    /// It counts, or the other one is newer.
    Sound {
        /// Of two tables the higher counts.
        generation: u64,
    },
    /// Never written.
    Missing,
    /// Torn or damaged.
    Damaged,
}

/// A saved cursor, and what lies between it and the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorReport {
    /// The cursor.
    pub cursor: Cursor,
    /// Sequences up to the head: at most so many records.
    pub records: u64,
    /// Bytes of records up to the head.
    pub bytes: u64,
    /// When the oldest record above it was appended, in nanoseconds since 1970.
    pub oldest: Option<u64>,
}

/// The newest record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Where it is.
    pub position: Position,
    /// When it was appended, in nanoseconds since 1970; `None` if the record itself is not there any more.
    pub unix_nanos: Option<u64>,
}

/// What a journal's folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The journal's id; `None` for a folder without one.
    pub journal: Option<[u8; 16]>,
    /// Who owns it.
    pub owner: Owner,
    /// `cursors.0` and `cursors.1`.
    pub tables: [TableReport; 2],
    /// It was closed, not cut off, and not opened since.
    pub clean: bool,
    /// The saved cursors.
    pub cursors: Vec<CursorReport>,
    /// Segment files, the oldest first.
    pub segments: Vec<SegmentReport>,
    /// Spare files.
    pub spares: usize,
    /// Their bytes.
    pub spare_bytes: u64,
    /// The newest record; `None` if there never was one.
    pub head: Option<Head>,
}

/// What lies at a place of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A sound record.
    Record(Record),
    /// Frames between these two cannot be read.
    Unreadable(Gap),
}

/// Looks at the folder at `path`.
///
/// # Errors
/// [`InspectionError`]. Damage is no error.
pub fn inspect(path: &Path) -> Result<Inspection, InspectionError> {
    for _ in 0..ATTEMPTS {
        let survey = Survey::take(path)?;
        let inspection = inspection_of(path, &survey)?;
        if survey.is_all_there() {
            return Ok(inspection);
        }
    }
    Err(InspectionError::Restless)
}

/// The names of the cursors that the journal in the folder at `path` has saved; `None` if there is no journal.
///
/// # Errors
/// [`InspectionError`]. Damage is no error.
pub fn saved_cursors(path: &Path) -> Result<Option<Vec<String>>, InspectionError> {
    let survey = Survey::take(path)?;
    let cursors = survey.cursors().iter();
    let names = cursors.map(|cursor| cursor.name.clone()).collect();
    let is_there = survey.tables != [TableReport::Missing; 2]
        || !survey.live.is_empty()
        || !survey.aside.is_empty();
    Ok(is_there.then_some(names))
}

/// Gives the records from `from` to `to`, both included, to `visit`, until it breaks off.
///
/// # Errors
/// [`InspectionError`].
pub fn records(
    path: &Path,
    from: Sequence,
    to: Sequence,
    visit: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), InspectionError> {
    let survey = Survey::take(path)?;
    for (index, segment) in survey.live.iter().enumerate() {
        if segment.first > to || survey.end_of(index).is_some_and(|last| last < from) {
            continue;
        }
        let limit = survey.limit_of(index).min(to);
        let mut walker = match Walker::new(path, segment, limit) {
            Ok(walker) => walker,
            // Released: who asks for records asks for those that are kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => {
                return Err(InspectionError::Io {
                    file: segment.name.clone(),
                    source,
                });
            }
        };
        let mut holed = false;
        let mut last = segment.first.previous();
        loop {
            let step = walker.next().map_err(|source| InspectionError::Io {
                file: segment.name.clone(),
                source,
            })?;
            match step {
                Step::Frame(frame) => {
                    let record = frame.record;
                    let gap = Gap {
                        after: last,
                        before: record.sequence,
                    };
                    last = record.sequence;
                    if std::mem::take(&mut holed)
                        && record.sequence > from
                        && visit(Item::Unreadable(gap)).is_break()
                    {
                        return Ok(());
                    }
                    if record.sequence >= from && visit(Item::Record(record)).is_break() {
                        return Ok(());
                    }
                }
                // A segment that was released meanwhile holds whatever its owner made of it.
                Step::Hole if !walker.is_there() => break,
                Step::Hole => holed = true,
                Step::End { .. } => break,
            }
        }
    }
    Ok(())
}

fn inspection_of(path: &Path, survey: &Survey) -> Result<Inspection, InspectionError> {
    let mut segments: Vec<SegmentReport> = survey.aside.clone();
    let mut head: Option<Head> = None;
    for (index, segment) in survey.live.iter().enumerate() {
        let next = survey.live.get(index + 1);
        let mut report = SegmentReport {
            file: segment.name.clone(),
            bytes: segment.size,
            first: segment.first,
            last: survey.end_of(index),
            from: None,
            to: next.and_then(|next| Some(next.header?.unix_nanos)),
            state: if next.is_some() {
                SegmentState::Closed
            } else {
                SegmentState::Newest
            },
            header_is_sound: segment.header.is_some(),
        };
        if let Some(header) = segment.header
            && header.previous.sequence > head.as_ref().map_or(Sequence::ZERO, at)
        {
            head = Some(Head {
                position: header.previous,
                unix_nanos: None,
            });
        }
        if let Ok(mut walker) = Walker::new(path, segment, survey.limit_of(index)) {
            while let Ok(step) = walker.next() {
                match step {
                    Step::Frame(frame) => {
                        report.from.get_or_insert(frame.record.unix_nanos);
                        if next.is_some() {
                            break;
                        }
                        report.to = Some(frame.record.unix_nanos);
                        report.last = Some(frame.record.sequence);
                        head = Some(Head {
                            position: Position {
                                sequence: frame.record.sequence,
                                offset: frame.record.offset,
                            },
                            unix_nanos: Some(frame.record.unix_nanos),
                        });
                    }
                    Step::Hole => {}
                    Step::End { .. } => break,
                }
            }
        }
        segments.push(report);
    }
    segments.sort_by(|one, other| one.file.cmp(&other.file));
    let position = head.as_ref().map_or(survey.proven, |head| head.position);
    let mut cursors = Vec::new();
    for cursor in survey.cursors() {
        let oldest = (cursor.sequence < position.sequence)
            .then(|| time_of_next(path, cursor.sequence))
            .transpose()?
            .flatten();
        cursors.push(CursorReport {
            records: position
                .sequence
                .get()
                .saturating_sub(cursor.sequence.get()),
            bytes: position.offset.saturating_sub(cursor.offset),
            oldest,
            cursor: cursor.clone(),
        });
    }
    Ok(Inspection {
        journal: survey.journal,
        owner: owner::read(path),
        tables: survey.tables,
        clean: survey.clean,
        cursors,
        segments,
        spares: survey.spares,
        spare_bytes: survey.spare_bytes,
        head,
    })
}

fn at(head: &Head) -> Sequence {
    head.position.sequence
}

/// When the first record above `after` was appended.
fn time_of_next(path: &Path, after: Sequence) -> Result<Option<u64>, InspectionError> {
    let mut found = None;
    records(path, after.next(), Sequence::new(u64::MAX), &mut |item| {
        if let Item::Record(record) = item {
            found = Some(record.unix_nanos);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
