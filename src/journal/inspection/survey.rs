//! Which files there are, and what their names, headers and the cursor tables say.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::cursors::{BadTable, CursorTable, MAX_TABLE};
use super::super::recovery::TABLES;
use super::super::segment::{BadHeader, FileName, HEADER_BYTES, SegmentHeader};
use super::super::{Cursor, Position, Sequence};
use super::{InspectionError, SegmentReport, SegmentState, TableReport};

/// A table that the owner is just writing is read again so often.
const TABLE_ATTEMPTS: usize = 3;

/// A segment file that counts.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) first: Sequence,
    pub(super) serial: u64,
    pub(super) size: u64,
    pub(super) header: Option<SegmentHeader>,
    pub(super) journal: [u8; 16],
}

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    path: PathBuf,
    pub(super) journal: Option<[u8; 16]>,
    pub(super) tables: [TableReport; 2],
    newest_table: Option<CursorTable>,
    pub(super) clean: bool,
    /// The newest record that the cursor table proves to have been synced.
    pub(super) proven: Position,
    /// The segments that count, the oldest first.
    pub(super) live: Vec<Found>,
    /// Those that do not.
    pub(super) aside: Vec<SegmentReport>,
    pub(super) spares: usize,
    pub(super) spare_bytes: u64,
}

impl Survey {
    pub(super) fn take(path: &Path) -> Result<Survey, InspectionError> {
        // Before the list: what it proves is then in the files that are listed.
        let (tables, newest_table) = read_tables(path)?;
        let mut survey = Survey {
            path: path.to_owned(),
            journal: newest_table.as_ref().map(|table| table.journal),
            tables,
            clean: newest_table.as_ref().is_some_and(|table| table.clean)
                && !tables.contains(&TableReport::Damaged),
            proven: newest_table
                .as_ref()
                .map_or(Position::default(), |table| table.synced),
            newest_table,
            live: Vec::new(),
            aside: Vec::new(),
            spares: 0,
            spare_bytes: 0,
        };
        survey.list()?;
        Ok(survey)
    }

    fn list(&mut self) -> Result<(), InspectionError> {
        let path = self.path.clone();
        let failed = |source| InspectionError::Io {
            file: path.display().to_string(),
            source,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            match FileName::parse(&name) {
                None => {}
                Some(FileName::Spare { .. }) => {
                    self.spares += 1;
                    self.spare_bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                }
                Some(FileName::Segment { first, serial }) => {
                    let (header, size) = read_header(&path, &name)?;
                    found.push(Found {
                        name,
                        first,
                        serial,
                        size,
                        header,
                        journal: [0; 16],
                    });
                }
            }
        }
        found.sort_by_key(|segment| segment.serial);
        let newest = found.iter().rev().find_map(|segment| segment.header);
        self.journal = self.journal.or(newest.map(|header| header.journal));
        let ours = self.journal.unwrap_or_default();
        let (mut live, foreign): (Vec<Found>, Vec<Found>) = found
            .into_iter()
            .partition(|segment| segment.header.is_none_or(|header| header.journal == ours));
        for segment in &mut live {
            segment.journal = ours;
            // As in recovery: the name is what counts.
            segment.header = segment
                .header
                .filter(|header| header.serial == segment.serial && header.first == segment.first);
        }
        self.set_aside(&foreign, SegmentState::Foreign);
        let mut later: Option<SegmentHeader> = None;
        let mut superseded = Vec::new();
        for segment in live.into_iter().rev() {
            if later.is_some_and(|later| later.previous_serial < segment.serial) {
                superseded.push(segment);
            } else {
                later = segment.header;
                self.live.push(segment);
            }
        }
        self.set_aside(&superseded, SegmentState::Superseded);
        self.live.reverse();
        Ok(())
    }

    fn set_aside(&mut self, segments: &[Found], state: SegmentState) {
        let reports = segments.iter().map(|segment| SegmentReport {
            file: segment.name.clone(),
            bytes: segment.size,
            first: segment.first,
            last: None,
            from: None,
            to: None,
            state,
            header_is_sound: segment.header.is_some(),
        });
        self.aside.extend(reports);
    }

    /// The newest record of a segment, if the next one says it.
    pub(super) fn end_of(&self, index: usize) -> Option<Sequence> {
        let (segment, next) = (self.live.get(index)?, self.live.get(index + 1)?);
        let header = next.header?;
        (header.previous_serial == segment.serial).then_some(header.previous.sequence)
    }

    /// The highest sequence that counts in a segment.
    pub(super) fn limit_of(&self, index: usize) -> Sequence {
        let next = self.live.get(index + 1).map(|next| next.first.previous());
        self.end_of(index)
            .or(next)
            .unwrap_or(Sequence::new(u64::MAX))
    }

    pub(super) fn cursors(&self) -> &[Cursor] {
        self.newest_table
            .as_ref()
            .map_or(&[], |table| table.cursors.as_slice())
    }

    /// Whether no file that was listed has been released since.
    pub(super) fn is_all_there(&self) -> bool {
        self.live
            .iter()
            .all(|segment| self.path.join(&segment.name).exists())
    }
}

type Tables = ([TableReport; 2], Option<CursorTable>);

/// Reads both tables; the one that counts is given too.
pub(super) fn read_tables(path: &Path) -> Result<Tables, InspectionError> {
    let mut reports = [TableReport::Missing; 2];
    let mut newest: Option<CursorTable> = None;
    for (name, report) in TABLES.into_iter().zip(&mut reports) {
        for _ in 0..TABLE_ATTEMPTS {
            let bytes = match read_up_to(&path.join(name), MAX_TABLE) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => {
                    return Err(InspectionError::Io {
                        file: path.join(name).display().to_string(),
                        source,
                    });
                }
            };
            match CursorTable::decode(&bytes) {
                Ok(table) => {
                    *report = TableReport::Sound {
                        generation: table.generation,
                    };
                    if newest
                        .as_ref()
                        .is_none_or(|newest| newest.generation < table.generation)
                    {
                        newest = Some(table);
                    }
                    break;
                }
                Err(BadTable::Unsound) => *report = TableReport::Damaged,
                Err(BadTable::Newer(version)) => {
                    return Err(InspectionError::Version {
                        file: name.to_owned(),
                        version,
                    });
                }
            }
        }
    }
    Ok((reports, newest))
}

/// An unreadable header is a damaged one.
fn read_header(path: &Path, name: &str) -> Result<(Option<SegmentHeader>, u64), InspectionError> {
    let Ok(mut file) = File::open(path.join(name)) else {
        return Ok((None, 0));
    };
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_exact(&mut bytes);
    match read.map_or(Err(BadHeader::Unsound), |()| SegmentHeader::decode(&bytes)) {
        Ok(header) => Ok((Some(header), size)),
        Err(BadHeader::Unsound) => Ok((None, size)),
        Err(BadHeader::Newer(version)) => Err(InspectionError::Version {
            file: name.to_owned(),
            version,
        }),
    }
}

fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
