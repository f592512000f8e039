//! The file that keeps the table over a restart: `trust` beside the journal, for its owner only.
//!
//! It is replaced as a whole ([`durable_file`]). A file whose checksum is wrong is not believed at all. All numbers are little-endian:
//!
//! ```text
//!   0  8  magic "HAFLUXT\n"
//!   8  4  format version, 3
//!  12  4  CRC32C of bytes 8..12 and of all from 16 on
//!  16 32  key of the hashes
//!  48  8  unix time of the save, in milliseconds
//!  56     for each: 16 bytes of hash, 8 of age in milliseconds, 8 of the database's hash; the highest bit of the age
//!         says that more than one request came
//! ```
//!
//! Versions 1 and 2 have no hash of the database, and version 1 never sets that bit.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{DatabaseTag, KEY_SIZE, Key, Who};
use crate::durable_file;

const FILE: &str = "trust";
const MAGIC: [u8; 8] = *b"HAFLUXT\n";
const VERSION: [u8; 4] = 3_u32.to_le_bytes();
const WITHOUT_DATABASES: [[u8; 4]; 2] = [1_u32.to_le_bytes(), 2_u32.to_le_bytes()];
const HEADER: usize = 16 + KEY_SIZE + 8;
const ENTRY: usize = 32;
const ENTRY_WITHOUT_DATABASE: usize = 24;
/// The bit of an age that says that more than one request came.
const AGAIN: u64 = 1 << 63;

/// Entries of the largest table that a configuration allows.
pub(crate) const LARGEST_TABLE: usize = 1 << 20;

/// What one save holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) key: Key,
    /// When it was saved.
    pub(super) moment: SystemTime,
    pub(super) entries: Vec<SavedEntry>,
}

/// One acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SavedEntry {
    pub(super) who: Who,
    /// None if an earlier version saved it: 0 in the file.
    pub(super) database: Option<DatabaseTag>,
    /// How long ago it was, at the moment of the save.
    pub(super) age: Duration,
    /// More than one request came.
    pub(super) again: bool,
}

/// Where it is.
#[derive(Debug)]
pub(super) struct TrustFile {
    folder: PathBuf,
    /// Entries that are read at most.
    most: usize,
}

impl TrustFile {
    /// The one in this folder.
    pub(super) fn new(folder: &Path, most: usize) -> TrustFile {
        TrustFile {
            folder: folder.to_owned(),
            most,
        }
    }

    /// Reads what was saved last, if anything was.
    ///
    /// # Errors
    /// The file cannot be read, or its checksum is wrong.
    pub(super) fn read(&self) -> io::Result<Option<Saved>> {
        let file = match File::open(self.folder.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        // A run before may have been allowed more; it is read as far as makes sense.
        let longest = HEADER + self.most.max(LARGEST_TABLE) * ENTRY;
        file.take(longest as u64 + 1).read_to_end(&mut bytes)?;
        let unsound = || io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged"));
        decode(&bytes).map(Some).ok_or_else(unsound)
    }

    /// Replaces what was saved before.
    ///
    /// # Errors
    /// The file could not be written; what was saved before is still there.
    pub(super) fn write(&self, saved: &Saved) -> io::Result<()> {
        durable_file::replace(&self.folder.join(FILE), &[&encode(saved)])
    }

    /// Removes what was saved.
    ///
    /// # Errors
    /// It may still be there after a crash.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => durable_file::sync_folder(&self.folder),
        }
    }
}

fn checksum(version: [u8; 4], body: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(&version), body).to_le_bytes()
}

/// In milliseconds, less than [`AGAIN`].
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(AGAIN - 1, |millis| millis.min(AGAIN - 1))
}

fn encode(saved: &Saved) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEADER + saved.entries.len() * ENTRY);
    body.extend_from_slice(&saved.key);
    let since_1970 = saved.moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    body.extend_from_slice(&millis(since_1970).to_le_bytes());
    for entry in &saved.entries {
        let again = if entry.again { AGAIN } else { 0 };
        body.extend_from_slice(&entry.who);
        body.extend_from_slice(&(millis(entry.age) | again).to_le_bytes());
        body.extend_from_slice(&entry.database.map_or(0, DatabaseTag::get).to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION);
    bytes.extend_from_slice(&checksum(VERSION, &body));
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Saved> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (expected, body) = rest.split_first_chunk::<4>()?;
    let size = match *version {
        VERSION => ENTRY,
        version if WITHOUT_DATABASES.contains(&version) => ENTRY_WITHOUT_DATABASE,
        _ => return None,
    };
    if (*magic, *expected) != (MAGIC, checksum(*version, body)) {
        return None;
    }
    let (key, rest) = body.split_first_chunk::<KEY_SIZE>()?;
    let (moment, rest) = rest.split_first_chunk::<8>()?;
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(*moment)))?;
    let entries = rest.chunks_exact(size);
    if !entries.remainder().is_empty() {
        return None;
    }
    let entries = entries.map(|entry| {
        let (who, rest) = entry.split_first_chunk::<16>()?;
        let (age, database) = rest.split_first_chunk::<8>()?;
        let age = u64::from_le_bytes(*age);
        let database = database.first_chunk().copied().map(u64::from_le_bytes);
        Some(SavedEntry {
            who: *who,
            database: database.and_then(DatabaseTag::new),
            age: Duration::from_millis(age & !AGAIN),
            again: age & AGAIN != 0,
        })
    });
    Some(Saved {
        key: *key,
        moment,
        entries: entries.collect::<Option<_>>()?,
    })
}
