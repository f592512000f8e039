//! The log of pending refusals: which replica refused which record, as long as another one may still take it. Everything here
//! blocks on the disk.
//!
//! # Files
//!
//! `pending/` in the folder of dead letters, mode 0700; one file, mode 0600, or two for a moment:
//!
//! ```text
//! <number, 20 digits>.refusals       lines; of several files the higher number is the newer one
//! <number, 20 digits>.refusals.new   being written; removed at the next start
//! ```
//!
//! ```text
//! haflux refusals 1\n     format version
//! XXXXXXXX {"record":…}\n  CRC32C of the JSON, 8 hexadecimal digits, and a Line as JSON; no secrets
//! ```
//!
//! # Invariants
//!
//! - What [`PendingLog::append`] and [`PendingLog::rewrite`] return from is durable.
//! - A file is only appended to where it ends as it was left. One that is shorter or gone is written anew, one that is longer
//!   holds the rest of an append that failed, and is cut.
//! - Each line stands for itself: one that is torn or damaged costs no other. The last line of an append that a crash cut off
//!   is no loss, because no cursor has passed its record.
//! - A record and a replica may stand in several lines, and the last one counts.

mod line;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::durable_file::{self, sync_folder};
use line::MAGIC;
pub(in crate::relay) use line::{Found, Line, Said};

/// The folder's name, in the folder of dead letters.
pub(in crate::relay) const PENDING: &str = "pending";

const SUFFIX: &str = ".refusals";
const NEW: &str = ".refusals.new";
const DIGITS: usize = 20;

/// A file with more lines than this is written anew when most of them count no longer.
const MIN_REWRITE: usize = 4096;

/// The log of one relay.
#[derive(Debug)]
pub(in crate::relay) struct PendingLog {
    folder: PathBuf,
    /// The file that is appended to; none until one is written.
    current: Option<Current>,
    /// Files that are of no use any more.
    old: Vec<PathBuf>,
    next: u64,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    length: u64,
    lines: usize,
}

impl PendingLog {
    /// Opens the log in this folder, which is made if it is not there; its parent must be. What is found stays where it is until
    /// [`PendingLog::rewrite`].
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub(in crate::relay) fn open(folder: &Path) -> io::Result<(PendingLog, Found)> {
        if !folder.is_dir() {
            DirBuilder::new().mode(0o700).create(folder)?;
            if let Some(parent) = folder.parent() {
                sync_folder(parent)?;
            }
        }
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.unwrap_or_default();
            if name.ends_with(NEW) {
                fs::remove_file(&path)?;
            } else if let Some(number) = number(name) {
                files.insert(number, path);
            }
        }
        let mut found = Found::default();
        for path in files.values() {
            found.read(&fs::read(path)?);
        }
        let next = files.last_key_value().map_or(0, |(number, _)| number + 1);
        let log = PendingLog {
            folder: folder.to_owned(),
            current: None,
            old: files.into_values().collect(),
            next,
        };
        Ok((log, found))
    }

    /// Whether the log is to be written anew before anything can be added: it has no file, or `counting` lines and most of what
    /// it has counts no longer.
    pub(in crate::relay) fn wants_rewrite(&self, counting: usize) -> bool {
        self.current
            .as_ref()
            .is_none_or(|current| current.lines > MIN_REWRITE.max(2 * counting))
    }

    /// Whether there are files.
    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.current.is_none() && self.old.is_empty()
    }

    /// Adds lines.
    ///
    /// # Errors
    /// They could not be written, or the file is not as it was left: then the log is to be written anew.
    pub(in crate::relay) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut bytes = Vec::new();
        for line in lines {
            line.encode(&mut bytes)?;
        }
        match current.append(&bytes) {
            Ok(()) => {
                current.length += bytes.len() as u64;
                current.lines += lines.len();
                Ok(())
            }
            Err(error) => {
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                ) {
                    self.current = None;
                }
                Err(error)
            }
        }
    }

    /// Writes a new file of these lines, which come in pieces, and removes all others.
    ///
    /// # Errors
    /// It could not be written; what was there stays.
    pub(in crate::relay) fn rewrite(
        &mut self,
        pieces: impl Iterator<Item = Vec<Line>>,
    ) -> io::Result<()> {
        let stem = format!("{:0DIGITS$}", self.next);
        let new = self.folder.join(format!("{stem}{NEW}"));
        let path = self.folder.join(format!("{stem}{SUFFIX}"));
        let written = write_new(&new, pieces).and_then(|(length, lines)| {
            fs::rename(&new, &path)?;
            sync_folder(&self.folder)?;
            Ok(Current {
                path,
                length,
                lines,
            })
        });
        match written {
            Ok(current) => {
                self.next += 1;
                let before = self.current.replace(current);
                self.old.extend(before.map(|before| before.path));
                self.remove_old();
                Ok(())
            }
            Err(error) => {
                drop(fs::remove_file(&new));
                Err(error)
            }
        }
    }

    /// Removes all files: no line counts any more. One that cannot be removed is harmless, and is removed later.
    pub(in crate::relay) fn clear(&mut self) {
        self.old
            .extend(self.current.take().map(|current| current.path));
        self.remove_old();
    }

    fn remove_old(&mut self) {
        self.old.retain(|path| {
            let removed = fs::remove_file(path);
            removed.is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        });
    }
}

impl Current {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let length = file.metadata()?.len();
        if length < self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length > self.length {
            file.set_len(self.length)?;
        }
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(bytes)?;
        file.sync_data()
    }
}

fn write_new(path: &Path, pieces: impl Iterator<Item = Vec<Line>>) -> io::Result<(u64, usize)> {
    let mut file = durable_file::create(path)?;
    file.write_all(MAGIC)?;
    let (mut length, mut count) = (MAGIC.len() as u64, 0);
    let mut bytes = Vec::new();
    for lines in pieces {
        bytes.clear();
        for line in &lines {
            line.encode(&mut bytes)?;
        }
        file.write_all(&bytes)?;
        length += bytes.len() as u64;
        count += lines.len();
    }
    file.sync_all()?;
    Ok((length, count))
}

/// The number in a file's name; nothing for files that are none of ours.
/// What [`crate::fuzzing`] tries: a file that may be damaged anywhere.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(bytes: &[u8]) {
    let mut found = Found::default();
    found.read(bytes);
    found.read(&[line::MAGIC, bytes].concat());
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == DIGITS)
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
