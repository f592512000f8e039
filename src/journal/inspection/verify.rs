//! Reading everything.

use std::path::Path;

use super::super::frame;
use super::super::{Cursor, Gap, Position, Sequence};
use super::survey::{Found, Survey, read_tables};
use super::walk::{Step, Walker};
use super::{InspectionError, TableReport};

/// Records that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The records above `after` and below `before`. Not every number between them was a record.
    pub gap: Gap,
    /// Their bytes, if that can be told.
    pub bytes: Option<u64>,
    /// The segment in which they were, or in which it shows that they are missing.
    pub file: String,
    /// The cursors that have not passed them: to those the records are lost. Without any cursor, to whom is not known.
    pub behind: Vec<String>,
}

/// What was found in one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentCheck {
    /// The file.
    pub file: String,
    /// Sound records.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// The first and the last of them.
    pub range: Option<(Sequence, Sequence)>,
    /// Places at which something is not as it was written.
    pub holes: usize,
    /// Its header can be read. Damage there costs no record.
    pub header_is_sound: bool,
    /// The system's words, if the file cannot be read at all.
    pub unreadable: Option<String>,
    /// Nothing proves that any of it was ever synced, and its header is damaged: the next start goes on without it.
    pub discarded: bool,
    /// Its owner released it meanwhile: every cursor has passed it, and nothing is said of it.
    pub released: bool,
}

/// What was found in all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Segments, the oldest first.
    pub segments: Vec<SegmentCheck>,
    /// The cursor tables.
    pub tables: [TableReport; 2],
    /// The cursors as they were saved last.
    pub cursors: Vec<Cursor>,
    /// The newest sound record that counts.
    pub head: Position,
    /// What is gone, the oldest first.
    pub losses: Vec<Loss>,
    /// Bytes at the end that were being written when the owner ended, or are being written now: never acknowledged.
    pub unproven_bytes: u64,
    /// Records are there, and no sound table: who has had which of them is not known.
    pub cursors_are_lost: bool,
}

impl Verification {
    /// Whether a cursor can never have everything: its records are gone, or it is itself.
    pub fn has_losses(&self) -> bool {
        self.cursors_are_lost
            || self
                .losses
                .iter()
                .any(|loss| self.cursors.is_empty() || !loss.behind.is_empty())
    }
}

/// Reads every frame of every segment in the folder at `path`; `tell` is told of each segment when it is done.
///
/// # Errors
/// [`InspectionError`]. Damage is no error.
pub fn verify(
    path: &Path,
    tell: &mut dyn FnMut(&SegmentCheck),
) -> Result<Verification, InspectionError> {
    let survey = Survey::take(path)?;
    let mut check = Check {
        path,
        survey: &survey,
        last: None,
        begin: None,
        proven: survey.proven.sequence,
        found: Vec::new(),
        unproven_bytes: 0,
    };
    let mut segments = Vec::new();
    for (index, segment) in survey.live.iter().enumerate() {
        let done = check.segment(index, segment);
        tell(&done);
        segments.push(done);
    }
    check.end();
    // After everything else: what was released meanwhile, these cursors have passed.
    let (tables, newest) = read_tables(path)?;
    let cursors = newest.map(|table| table.cursors).unwrap_or_default();
    let head = check.last.unwrap_or(survey.proven);
    let any_record = segments.iter().any(|segment| segment.records > 0);
    check.missing_before(&segments, &cursors);
    let losses = check.found.into_iter().map(|found| Loss {
        behind: cursors
            .iter()
            .filter(|cursor| cursor.sequence < found.gap.before.previous())
            .map(|cursor| cursor.name.clone())
            .collect(),
        gap: found.gap,
        bytes: found.bytes,
        file: found.file,
    });
    Ok(Verification {
        losses: losses.collect(),
        segments,
        tables,
        cursors_are_lost: any_record
            && !tables
                .iter()
                .any(|table| matches!(table, TableReport::Sound { .. })),
        cursors,
        head,
        unproven_bytes: check.unproven_bytes,
    })
}

/// Records that are missing.
#[derive(Debug)]
struct Missing {
    gap: Gap,
    bytes: Option<u64>,
    file: String,
}

/// How things stood before a hole.
struct Doubt {
    last: Position,
    found: usize,
    bytes: u64,
}

/// A walk through all segments.
struct Check<'a> {
    path: &'a Path,
    survey: &'a Survey,
    /// The newest record so far; `None` before the first, and behind a released segment.
    last: Option<Position>,
    /// What lies before the first record that was found.
    begin: Option<Position>,
    /// The newest record that is proven to have been synced.
    proven: Sequence,
    found: Vec<Missing>,
    unproven_bytes: u64,
}

impl Check<'_> {
    fn segment(&mut self, index: usize, segment: &Found) -> SegmentCheck {
        let mut done = SegmentCheck {
            file: segment.name.clone(),
            records: 0,
            bytes: 0,
            range: None,
            holes: 0,
            header_is_sound: segment.header.is_some(),
            unreadable: None,
            discarded: false,
            released: false,
        };
        let before = (self.last, self.found.len(), self.unproven_bytes);
        if let Some(header) = segment.header {
            self.proven = self.proven.max(header.previous.sequence);
            self.go_to(header.previous, header.previous, &segment.name);
        }
        let walker = Walker::new(self.path, segment, self.survey.limit_of(index));
        let walked = walker.and_then(|mut walker| {
            let walked = self.walk(&mut walker, segment, index, &mut done);
            done.released = !walker.is_there();
            walked
        });
        if let Err(error) = walked {
            done.unreadable = Some(error.to_string());
            done.released |= error.kind() == std::io::ErrorKind::NotFound;
        }
        if done.released {
            self.found.truncate(before.1);
            self.unproven_bytes = before.2;
            self.last = None;
            self.begin = None;
        } else if done.discarded {
            (self.last, self.unproven_bytes) = (before.0, before.2 + done.bytes);
            self.found.truncate(before.1);
        }
        done
    }

    fn walk(
        &mut self,
        walker: &mut Walker,
        segment: &Found,
        index: usize,
        done: &mut SegmentCheck,
    ) -> std::io::Result<()> {
        let is_newest = index + 1 == self.survey.live.len();
        // Holes of the newest segment: what follows one may be a crash's remains.
        let mut doubts: Vec<Doubt> = Vec::new();
        let mut holed = false;
        loop {
            match walker.next()? {
                Step::Frame(frame) => {
                    let record = &frame.record;
                    let here = Position {
                        sequence: record.sequence,
                        offset: record.offset,
                    };
                    let size = frame::size(record.payload.len());
                    let previous = Position {
                        sequence: record.sequence.previous(),
                        offset: record.offset.saturating_sub(size),
                    };
                    // Without a record before, the segment's name says where it begins.
                    let last = *self.last.get_or_insert(Position {
                        sequence: segment.first.previous(),
                        offset: previous.offset,
                    });
                    self.begin.get_or_insert(previous);
                    self.proven = self.proven.max(frame.synced);
                    if is_newest && std::mem::take(&mut holed) {
                        doubts.push(Doubt {
                            last,
                            found: self.found.len(),
                            bytes: done.bytes,
                        });
                    }
                    self.go_to(previous, here, &segment.name);
                    done.records += 1;
                    done.bytes += size;
                    let first = done.range.map_or(record.sequence, |(first, _)| first);
                    done.range = Some((first, record.sequence));
                }
                Step::Hole => {
                    holed = true;
                    done.holes += 1;
                }
                Step::End { torn } => {
                    self.unproven_bytes += torn;
                    break;
                }
            }
        }
        if let Some(doubt) = doubts
            .into_iter()
            .find(|doubt| doubt.last.sequence >= self.proven)
        {
            self.found.truncate(doubt.found);
            self.last = Some(doubt.last);
            self.unproven_bytes += done.bytes - doubt.bytes;
        }
        done.discarded =
            is_newest && !done.header_is_sound && done.records > 0 && self.proven < segment.first;
        Ok(())
    }

    /// Goes on to `to`, before which `previous` must have been.
    fn go_to(&mut self, previous: Position, to: Position, file: &str) {
        if let Some(last) = self.last
            && last.offset != previous.offset
            && previous.sequence > last.sequence
        {
            self.found.push(Missing {
                gap: Gap {
                    after: last.sequence,
                    before: previous.sequence.next(),
                },
                bytes: previous.offset.checked_sub(last.offset),
                file: file.to_owned(),
            });
        }
        self.last = Some(to);
    }

    /// What is proven to have been synced, and is not there at the end.
    fn end(&mut self) {
        let last = self.last.unwrap_or_default();
        let Some(newest) = self.survey.live.last() else {
            return;
        };
        if self.last.is_some() && last.sequence < self.proven {
            let to = self.survey.proven;
            self.found.push(Missing {
                gap: Gap {
                    after: last.sequence,
                    before: self.proven.next(),
                },
                bytes: (to.sequence == self.proven)
                    .then(|| to.offset.checked_sub(last.offset))
                    .flatten(),
                file: newest.name.clone(),
            });
        }
    }

    /// What a cursor has not passed and no segment holds.
    fn missing_before(&mut self, segments: &[SegmentCheck], cursors: &[Cursor]) {
        let Some(lowest) = cursors.iter().min_by_key(|cursor| cursor.sequence) else {
            return;
        };
        let oldest = segments
            .iter()
            .position(|segment| !segment.released)
            .and_then(|index| self.survey.live.get(index));
        let (previous, file) = match oldest {
            None => (self.survey.proven.sequence, String::new()),
            Some(oldest) => {
                let previous = match (oldest.header, self.begin) {
                    (Some(header), _) => header.previous.sequence,
                    // Without the header, numbers that never were cannot be told from records; bytes can.
                    (None, Some(begin)) if begin.offset > lowest.offset => begin.sequence,
                    (None, _) => lowest.sequence,
                };
                (previous, oldest.name.clone())
            }
        };
        if lowest.sequence < previous {
            let missing = Missing {
                gap: Gap {
                    after: lowest.sequence,
                    before: previous.next(),
                },
                bytes: None,
                file,
            };
            self.found.insert(0, missing);
        }
    }
}
