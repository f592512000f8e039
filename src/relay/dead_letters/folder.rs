//! The folder of letters, as the relay and the command line both work on it. Everything here blocks on the disk.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::header::{BadHeader, LetterHeader, MAX_HEADER};
use super::id::{FileName, LetterId};
use crate::durable_file::{self, sync_folder};
use crate::relay::record::change::Change;
use crate::relay::record::statement::STATEMENT;
use crate::relay::record::write::{RecordError, WRITE};

/// The folder of one relay's letters.
#[derive(Debug, Clone)]
pub struct LetterFolder {
    path: PathBuf,
}

/// A file of the folder that is a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLetter {
    /// Its name.
    pub id: LetterId,
    /// It was set aside.
    pub damaged: bool,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A whole letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it says of itself.
    pub header: LetterHeader,
    /// The record. It may hold credentials.
    pub record: Change,
}

/// Why a letter cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The file cannot be read.
    #[error("cannot read the letter: {0}")]
    Io(#[from] io::Error),
    /// The header is none.
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// The header is of another letter than the file's name says.
    #[error("the letter's header belongs to another letter")]
    Mistaken,
    /// The file is shorter or longer than its header says.
    #[error("the letter has {found} bytes of payload where its header says {expected}")]
    Size {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The payload is not what was written.
    #[error("the letter's payload is damaged")]
    Payload,
    /// The payload is sound, and not a record that this haflux knows.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl LetterError {
    /// Whether the file itself is bad, whenever and by whomever it is read.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            LetterError::Io(_)
            | LetterError::Header(BadHeader::Version(_))
            | LetterError::Record(_) => false,
            LetterError::Header(BadHeader::Unsound)
            | LetterError::Mistaken
            | LetterError::Size { .. }
            | LetterError::Payload => true,
        }
    }
}

/// Why a letter cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// There is none of that name: perhaps it has been settled meanwhile.
    #[error("there is no such letter")]
    Gone,
    /// Another process works on it.
    #[error("another process is working on it")]
    Busy,
    /// The file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A letter that nobody else works on until this is dropped.
#[derive(Debug)]
pub struct Claim {
    file: File,
    path: PathBuf,
    folder: LetterFolder,
    id: LetterId,
}

impl LetterFolder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: &Path) -> LetterFolder {
        LetterFolder {
            path: path.to_owned(),
        }
    }

    /// Makes the folder, for its owner alone, if it does not exist.
    pub(super) fn create(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }

    /// All letters, the oldest first. An empty list for a folder that was never made.
    ///
    /// # Errors
    /// The folder, or the one it is in, cannot be read.
    pub fn list(&self) -> io::Result<Vec<FoundLetter>> {
        match self.list_existing() {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.path.parent().is_some_and(Path::is_dir) =>
            {
                Ok(Vec::new())
            }
            listed => listed,
        }
    }

    /// The same; a folder that is not there is an error.
    pub(super) fn list_existing(&self) -> io::Result<Vec<FoundLetter>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let (id, damaged) = match name.to_str().and_then(FileName::parse) {
                Some(FileName::Letter(id)) => (id, false),
                Some(FileName::Damaged(id)) => (id, true),
                Some(FileName::New) | None => continue,
            };
            match entry.metadata() {
                Ok(metadata) => found.push(FoundLetter {
                    id,
                    damaged,
                    bytes: metadata.len(),
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|one, other| (&one.id, one.damaged).cmp(&(&other.id, other.damaged)));
        Ok(found)
    }

    /// Removes what a crash left half written.
    pub(super) fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_str().and_then(FileName::parse) == Some(FileName::New) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The header of a letter. The payload is not looked at, but for its size.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read_header(&self, id: &LetterId) -> Result<LetterHeader, LetterError> {
        let file = File::open(self.path.join(id.file_name()))?;
        let size = file.metadata()?.len();
        let mut bytes = Vec::new();
        // Most headers are short.
        for limit in [4096, MAX_HEADER + 4096] {
            let missing = limit.saturating_sub(bytes.len());
            (&file).take(missing as u64).read_to_end(&mut bytes)?;
            match LetterHeader::decode(&bytes) {
                Err(BadHeader::Unsound) if bytes.len() == limit => {}
                decoded => return checked(decoded?, id, size).map(|(header, _)| header),
            }
        }
        Err(BadHeader::Unsound.into())
    }

    /// A whole letter.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read(&self, id: &LetterId) -> Result<Letter, LetterError> {
        decode(fs::read(self.path.join(id.file_name()))?, id)
    }

    /// Writes a letter; durable when it returns.
    pub(super) fn write(&self, id: &LetterId, pieces: &[&[u8]]) -> io::Result<()> {
        durable_file::replace(&self.path.join(id.file_name()), pieces)
    }

    /// Moves a file that is not a valid letter aside, without destroying it.
    pub(super) fn set_aside(&self, id: &LetterId) -> io::Result<()> {
        fs::rename(
            self.path.join(id.file_name()),
            self.path.join(id.damaged_name()),
        )?;
        sync_folder(&self.path)
    }

    /// Removes a letter. One that is not there is removed.
    pub(super) fn remove(&self, id: &LetterId, damaged: bool) -> io::Result<()> {
        remove(&self.path.join(name(id, damaged)))?;
        sync_folder(&self.path)
    }

    /// Takes a letter to work on it.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn claim(&self, id: &LetterId, damaged: bool) -> Result<Claim, ClaimError> {
        let path = self.path.join(name(id, damaged));
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ClaimError::Gone,
            _ => ClaimError::Io(error),
        };
        let file = File::open(&path).map_err(gone)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ClaimError::Busy),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // Who had the lock before may have removed the file, and haflux may have put another in its place.
        let (locked, here) = (file.metadata()?, fs::metadata(&path).map_err(gone)?);
        if (locked.dev(), locked.ino()) != (here.dev(), here.ino()) {
            return Err(ClaimError::Gone);
        }
        Ok(Claim {
            file,
            path,
            folder: self.clone(),
            id: id.clone(),
        })
    }
}

impl Claim {
    /// The letter.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read(&self) -> Result<Letter, LetterError> {
        let mut bytes = Vec::new();
        (&self.file).read_to_end(&mut bytes)?;
        decode(bytes, &self.id)
    }

    /// Removes the letter for good; durable when it returns.
    ///
    /// # Errors
    /// The file or the folder cannot be written.
    pub fn settle(self) -> io::Result<()> {
        remove(&self.path)?;
        sync_folder(&self.folder.path)
    }
}

fn name(id: &LetterId, damaged: bool) -> String {
    if damaged {
        id.damaged_name()
    } else {
        id.file_name()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn decode(bytes: Vec<u8>, id: &LetterId) -> Result<Letter, LetterError> {
    let size = bytes.len() as u64;
    let (header, start) = checked(LetterHeader::decode(&bytes)?, id, size)?;
    let mut bytes = Bytes::from(bytes);
    let payload = bytes.split_off(start.min(bytes.len()));
    if crc32c::crc32c(&payload) != header.payload_crc32c {
        return Err(LetterError::Payload);
    }
    let kind = match header.statement {
        None => WRITE,
        Some(_) => STATEMENT,
    };
    let record = Change::decode(kind, payload)?;
    Ok(Letter { header, record })
}

/// The header and where the payload begins, if both fit the file.
fn checked(
    (header, start): (LetterHeader, usize),
    id: &LetterId,
    size: u64,
) -> Result<(LetterHeader, usize), LetterError> {
    if header.sequence != id.sequence || header.replica != id.replica {
        return Err(LetterError::Mistaken);
    }
    let found = size.saturating_sub(start as u64);
    if found != header.payload_bytes {
        return Err(LetterError::Size {
            expected: header.payload_bytes,
            found,
        });
    }
    Ok((header, start))
}
