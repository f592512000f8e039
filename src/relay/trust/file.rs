//! The file that keeps who wrote lately over a restart: `trust` beside the journal, for its owner only.
//!
//! It is written whole under another name, synced, and renamed, so it is there or not, but never in half. Whatever else became
//! of it, it is then not believed at all. All numbers are little-endian:
//!
//! ```text
//!   0  8  magic "HAFLUXT\n"
//!   8  4  format version, 1
//!  12  4  CRC32C of bytes 8..12 and of all from 16 on
//!  16 32  key of the hashes
//!  48  8  unix time of the save, in milliseconds
//!  56     for each: 16 bytes of hash, 8 of age in milliseconds
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{KEY_SIZE, Key, MAX_KNOWN, Tag};

const FILE: &str = "trust";
const MAGIC: [u8; 8] = *b"HAFLUXT\n";
const VERSION: [u8; 4] = 1_u32.to_le_bytes();
const HEADER: usize = 16 + KEY_SIZE + 8;
const ENTRY: usize = 24;

/// What one save holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) key: Key,
    /// When it was saved.
    pub(super) moment: SystemTime,
    /// How long ago each was accepted, at that moment.
    pub(super) ages: Vec<(Tag, Duration)>,
}

/// Where it is.
#[derive(Debug)]
pub(super) struct TrustFile {
    folder: PathBuf,
}

impl TrustFile {
    /// The one in this folder.
    pub(super) fn new(folder: &Path) -> TrustFile {
        TrustFile {
            folder: folder.to_owned(),
        }
    }

    /// What was saved last, if anything was.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub(super) fn read(&self) -> io::Result<Option<Saved>> {
        let file = match File::open(self.folder.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let longest = HEADER + MAX_KNOWN * ENTRY;
        file.take(longest as u64 + 1).read_to_end(&mut bytes)?;
        let unsound = || io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged"));
        decode(&bytes).map(Some).ok_or_else(unsound)
    }

    /// Puts this in the place of what was saved before.
    ///
    /// # Errors
    /// It could not be written; what was saved before is still there.
    pub(super) fn write(&self, saved: &Saved) -> io::Result<()> {
        let written = self.folder.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&written)?;
        file.write_all(&encode(saved))?;
        file.sync_all()?;
        fs::rename(&written, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn checksum(body: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(&VERSION), body).to_le_bytes()
}

fn millis(duration: Duration) -> [u8; 8] {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .to_le_bytes()
}

fn encode(saved: &Saved) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEADER + saved.ages.len() * ENTRY);
    body.extend_from_slice(&saved.key);
    let since_1970 = saved.moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    body.extend_from_slice(&millis(since_1970));
    for (tag, age) in &saved.ages {
        body.extend_from_slice(tag);
        body.extend_from_slice(&millis(*age));
    }
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION);
    bytes.extend_from_slice(&checksum(&body));
    bytes.extend_from_slice(&body);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Saved> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (expected, body) = rest.split_first_chunk::<4>()?;
    if (*magic, *version, *expected) != (MAGIC, VERSION, checksum(body)) {
        return None;
    }
    let (key, rest) = body.split_first_chunk::<KEY_SIZE>()?;
    let (moment, rest) = rest.split_first_chunk::<8>()?;
    let moment = UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(*moment)))?;
    let entries = rest.chunks_exact(ENTRY);
    if !entries.remainder().is_empty() {
        return None;
    }
    let ages = entries.map(|entry| {
        let (tag, age) = entry.split_first_chunk::<16>()?;
        let age = u64::from_le_bytes(*age.first_chunk::<8>()?);
        Some((*tag, Duration::from_millis(age)))
    });
    Some(Saved {
        key: *key,
        moment,
        ages: ages.collect::<Option<_>>()?,
    })
}
