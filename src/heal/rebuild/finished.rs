//! The slices that are copied, one line each, in the file `rebuild.slices` beside the journal.
//!
//! A line is written when the target has acknowledged all of a slice's points. Lines are not synced: after a loss of power slices
//! are copied again, which leaves the same points. A line that is torn is no line.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::heal::error::WorkError;
use crate::heal::node::Slice;

const FILE: &str = "rebuild.slices";

/// A measurement's name: a text where it is one, and else its bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Bytes(Vec<u8>),
}

/// Which slices are copied.
#[derive(Debug)]
pub(super) struct Finished {
    path: PathBuf,
    before: HashSet<Slice>,
    file: Mutex<File>,
}

impl Finished {
    /// Reads what was noted before.
    ///
    /// # Errors
    /// The disk does not give the file, or does not take it.
    pub(super) fn open(folder: &Path) -> Result<Finished, WorkError> {
        let path = folder.join(FILE);
        let opened = open(&path);
        let (before, file) = opened.map_err(|source| fault(&path, source))?;
        Ok(Finished {
            path,
            before,
            file: Mutex::new(file),
        })
    }

    /// Nothing is copied.
    ///
    /// # Errors
    /// The file is still there.
    pub(super) fn forget(folder: &Path) -> Result<(), WorkError> {
        let path = folder.join(FILE);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(fault(&path, error)),
        }
    }

    /// Whether a run before this one has copied it.
    pub(super) fn has(&self, slice: &Slice) -> bool {
        self.before.contains(slice)
    }

    /// Notes one that is copied.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn note(&self, slice: &Slice) -> Result<(), WorkError> {
        let written = line(slice).and_then(|line| self.file.lock().write_all(&line));
        written.map_err(|source| fault(&self.path, source))
    }
}

fn fault(path: &Path, source: io::Error) -> WorkError {
    WorkError::File {
        path: path.to_owned(),
        source,
    }
}

fn open(path: &Path) -> io::Result<(HashSet<Slice>, File)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut before = HashSet::new();
    let mut is_torn = false;
    for line in BufReader::new(&file).split(b'\n') {
        let slice = parse(&line?);
        is_torn = slice.is_none();
        before.extend(slice);
    }
    if is_torn {
        file.write_all(b"\n")?;
    }
    Ok((before, file))
}

fn line(slice: &Slice) -> io::Result<Vec<u8>> {
    let measurement = match slice.measurement.to_str() {
        Ok(text) => Name::Text(text.to_owned()),
        Err(_) => Name::Bytes(slice.measurement.to_vec()),
    };
    let fields = (
        &slice.database,
        &slice.policy,
        measurement,
        slice.from,
        slice.until,
    );
    let mut line = serde_json::to_vec(&fields).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

fn parse(line: &[u8]) -> Option<Slice> {
    let (database, policy, measurement, from, until) = serde_json::from_slice(line).ok()?;
    Some(Slice {
        database,
        policy,
        measurement: match measurement {
            Name::Text(text) => text.into(),
            Name::Bytes(bytes) => BString::new(bytes),
        },
        from,
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(measurement: impl Into<BString>) -> Slice {
        Slice {
            database: "d".to_owned(),
            policy: "p".to_owned(),
            measurement: measurement.into(),
            from: i64::MIN,
            until: 9,
        }
    }

    #[test]
    fn whole_lines_are_read_back_and_a_torn_one_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let odd = slice("odd\n\"\u{1}ü");
        Finished::open(folder.path()).unwrap().note(&odd).unwrap();
        let bytes = slice(b"m\xe9t".as_slice());
        Finished::open(folder.path()).unwrap().note(&bytes).unwrap();
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"[\"d\",\"p\",\"to").unwrap();
        let finished = Finished::open(folder.path()).unwrap();
        assert!(finished.has(&odd) && finished.has(&bytes) && !finished.has(&slice("to")));
        finished.note(&slice("next")).unwrap();
        let finished = Finished::open(folder.path()).unwrap();
        assert!(finished.has(&odd) && finished.has(&slice("next")));
        Finished::forget(folder.path()).unwrap();
        Finished::forget(folder.path()).unwrap();
        assert!(!Finished::open(folder.path()).unwrap().has(&odd));
    }
}
