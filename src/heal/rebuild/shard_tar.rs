//! The tar of a shard's files, on its way to another node: its files get the names that they have there.
//!
//! InfluxDB takes `<database>/<policy>/<shard>/<name>.tsm` and leaves all else of a tar unread: tombstones too, so what was deleted
//! would be there again (`tsdb/engine/tsm1/engine.go`, `readFileFromBackup`, in 1.6.7, 1.8.10 and 1.13.2). It installs files when the
//! tar is at its end, which is two blocks of zeros, and none if it breaks off before.

use std::fmt;
use std::io;

use tar::{Builder, EntryType, Header, PaxExtensions};

/// What a tar consists of.
const BLOCK: usize = 512;

/// The most bytes of a name that stands before its header.
const MAX_NAME: u64 = 64 * 1024;

/// The end of a tar.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Not what InfluxDB sends.
#[derive(Debug, thiserror::Error)]
pub(super) enum TarError {
    /// No header where one is due.
    #[error("the shard's files do not come as a tar")]
    NoTar,
    /// A header that cannot be read.
    #[error("the shard's files do not come as a tar: {0}")]
    Header(#[from] io::Error),
    /// A name that no file of a shard has.
    #[error("a file of the shard has an odd name")]
    Name,
    /// More bytes than any file has.
    #[error("a file of the shard is said to have {0} bytes")]
    Size(u64),
}

/// What becomes of bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// They are not sent on.
    Nothing,
    /// They are sent on.
    Same,
    /// These are sent instead.
    Instead(Vec<u8>),
    /// Some of what the files hold is deleted.
    Deleted,
    /// The tar is at its end, which is not sent on.
    End,
}

/// Files, and the bytes in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files of {} bytes", self.files, self.bytes)
    }
}

/// Reads a tar piece by piece.
pub(super) struct ShardTar<'a> {
    /// Where the files go: `<database>/<policy>/<shard>`.
    folder: &'a str,
    due: Due,
    /// That of the next file, if it stands before its header.
    name: Option<Vec<u8>>,
    /// The files that were sent on.
    sent: Held,
}

/// What comes next.
enum Due {
    /// So many bytes, of which some have come.
    Whole {
        what: Whole,
        length: usize,
        came: Vec<u8>,
    },
    /// What is in a file, and fills its last block.
    Content {
        is_sent: bool,
        left: u64,
    },
    Nothing,
}

/// What is looked at when all of it has come.
#[derive(Clone, Copy)]
enum Whole {
    Header,
    /// The second block of the end.
    LastBlock,
    /// A name in one of two forms.
    Name {
        is_pax: bool,
        length: usize,
    },
}

impl Due {
    fn header() -> Due {
        Due::Whole {
            what: Whole::Header,
            length: BLOCK,
            came: Vec::with_capacity(BLOCK),
        }
    }

    fn content(is_sent: bool, size: u64) -> Result<Due, TarError> {
        match size.checked_next_multiple_of(BLOCK as u64) {
            Some(0) => Ok(Due::header()),
            Some(left) => Ok(Due::Content { is_sent, left }),
            None => Err(TarError::Size(size)),
        }
    }
}

impl<'a> ShardTar<'a> {
    /// Files go to `folder`: `<database>/<policy>/<shard>`.
    pub(super) fn new(folder: &'a str) -> ShardTar<'a> {
        ShardTar {
            folder,
            due: Due::header(),
            name: None,
            sent: Held::default(),
        }
    }

    /// The files that were sent on.
    pub(super) fn sent(&self) -> Held {
        self.sent
    }

    /// Looks at what came; gives how much of it is done with, and what becomes of that.
    ///
    /// # Errors
    /// [`TarError`]
    pub(super) fn take(&mut self, came: &[u8]) -> Result<(usize, Step), TarError> {
        match &mut self.due {
            Due::Nothing => Ok((0, Step::End)),
            Due::Content { is_sent, left } => {
                let taken = usize::try_from(*left).map_or(came.len(), |left| left.min(came.len()));
                let step = if *is_sent { Step::Same } else { Step::Nothing };
                *left = left.saturating_sub(taken as u64);
                if *left == 0 {
                    self.due = Due::header();
                }
                Ok((taken, step))
            }
            Due::Whole {
                what,
                length,
                came: before,
            } => {
                let taken = length.saturating_sub(before.len()).min(came.len());
                before.extend(came.iter().take(taken));
                if before.len() < *length {
                    return Ok((taken, Step::Nothing));
                }
                let (what, whole) = (*what, std::mem::take(before));
                Ok((taken, self.whole(what, &whole)?))
            }
        }
    }

    fn whole(&mut self, what: Whole, bytes: &[u8]) -> Result<Step, TarError> {
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        match what {
            Whole::Header if is_zero => {
                self.due = Due::Whole {
                    what: Whole::LastBlock,
                    length: BLOCK,
                    came: Vec::with_capacity(BLOCK),
                };
                Ok(Step::Nothing)
            }
            Whole::Header => self.header(Header::from_byte_slice(bytes)),
            Whole::LastBlock if is_zero => {
                self.due = Due::Nothing;
                Ok(Step::End)
            }
            Whole::LastBlock => Err(TarError::NoTar),
            Whole::Name { is_pax, length } => {
                let bytes = bytes.get(..length).unwrap_or(bytes);
                self.due = Due::header();
                self.name = match is_pax {
                    true => path_of(bytes)?,
                    false => bytes.split(|byte| *byte == 0).next().map(<[u8]>::to_vec),
                };
                Ok(Step::Nothing)
            }
        }
    }

    fn header(&mut self, header: &Header) -> Result<Step, TarError> {
        if header.as_ustar().is_none() && header.as_gnu().is_none() {
            return Err(TarError::NoTar);
        }
        let size = header.entry_size()?;
        match header.entry_type() {
            kind @ (EntryType::XHeader | EntryType::GNULongName) => {
                let length = usize::try_from(size).map_err(|_| TarError::Name)?;
                if size == 0 || size > MAX_NAME {
                    return Err(TarError::Name);
                }
                self.due = Due::Whole {
                    what: Whole::Name {
                        is_pax: kind == EntryType::XHeader,
                        length,
                    },
                    length: length.next_multiple_of(BLOCK),
                    came: Vec::new(),
                };
                Ok(Step::Nothing)
            }
            EntryType::Regular => {
                let path = self.name.take();
                let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                self.file(&path, size)
            }
            _ => {
                self.name = None;
                self.due = Due::content(false, size)?;
                Ok(Step::Nothing)
            }
        }
    }

    fn file(&mut self, path: &[u8], size: u64) -> Result<Step, TarError> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        if name.ends_with(b".tombstone") {
            return Ok(Step::Deleted);
        }
        let is_sent = name.ends_with(b".tsm");
        self.due = Due::content(is_sent, size)?;
        if !is_sent {
            return Ok(Step::Nothing);
        }
        let name = std::str::from_utf8(name).map_err(|_| TarError::Name)?;
        self.sent.files += 1;
        self.sent.bytes = self.sent.bytes.saturating_add(size);
        Ok(Step::Instead(entry(self.folder, name, size)?))
    }
}

/// The path in the extended header of a file.
fn path_of(extensions: &[u8]) -> Result<Option<Vec<u8>>, TarError> {
    let mut path = None;
    for extension in PaxExtensions::new(extensions) {
        let extension = extension?;
        match extension.key_bytes() {
            b"path" => path = Some(extension.value_bytes().to_vec()),
            // Larger than any file of a shard.
            b"size" => return Err(TarError::Name),
            _ => {}
        }
    }
    Ok(path)
}

/// What stands before the content of a file.
fn entry(folder: &str, name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    let mut tar = Builder::new(Vec::new());
    tar.append_data(&mut header, format!("{folder}/{name}"), io::empty())?;
    let mut bytes = tar.into_inner()?;
    bytes.truncate(bytes.len().saturating_sub(END.len()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tar::Archive;

    use super::*;

    /// What is sent on of a tar that comes in pieces of such a length, and how it ends.
    fn through(tar: &[u8], folder: &str, length: usize) -> (Vec<u8>, Held, Result<Step, TarError>) {
        let mut reader = ShardTar::new(folder);
        let mut sent = Vec::new();
        let mut left = tar;
        loop {
            let piece = &left[..left.len().min(length)];
            let (taken, step) = match reader.take(piece) {
                Ok(taken) => taken,
                Err(error) => return (sent, reader.sent(), Err(error)),
            };
            match step {
                Step::Nothing => {}
                Step::Same => sent.extend_from_slice(&piece[..taken]),
                Step::Instead(bytes) => sent.extend_from_slice(&bytes),
                step @ (Step::Deleted | Step::End) => return (sent, reader.sent(), Ok(step)),
            }
            left = &left[taken..];
            if left.is_empty() {
                return (sent, reader.sent(), Ok(Step::Nothing));
            }
        }
    }

    /// Names and contents, read by another reader.
    fn read_back(mut tar: Vec<u8>) -> Vec<(String, Vec<u8>)> {
        tar.extend_from_slice(&END);
        let mut archive = Archive::new(tar.as_slice());
        let entries = archive.entries().unwrap();
        let entries = entries.map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        entries.collect()
    }

    fn tar_of(files: &[(&str, usize)]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (name, size) in files {
            let mut header = Header::new_ustar();
            header.set_size(*size as u64);
            tar.append_data(&mut header, name, vec![b'x'; *size].as_slice())
                .unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn files_get_their_new_names_however_the_tar_is_cut() {
        let long = "ü".repeat(120);
        let tar = tar_of(&[
            ("d/p/1/000000001-000000001.tsm", 700),
            ("d/p/1/index/0/L0-00000001.tsl", 40),
            ("d/p/1/fields.idx", 0),
            (&format!("{long}/p/1/000000002-000000001.tsm"), 1024),
            ("d/p/1/000000003-000000001.tsm", 0),
        ]);
        for folder in ["other/p q/17", &format!("{long}/p/2")] {
            let expected: Vec<(String, Vec<u8>)> = [(1, 700), (2, 1024), (3, 0)]
                .iter()
                .map(|(number, size)| {
                    let name = format!("{folder}/00000000{number}-000000001.tsm");
                    (name, vec![b'x'; *size])
                })
                .collect();
            for length in [1, 7, 511, 512, 513, 100_000] {
                let (sent, held, end) = through(&tar, folder, length);
                assert_eq!(end.unwrap(), Step::End);
                let all = Held {
                    files: 3,
                    bytes: 1724,
                };
                assert_eq!(held, all);
                assert_eq!(read_back(sent), expected, "{length}");
            }
        }
    }

    #[test]
    fn a_name_in_an_extended_header_is_the_files_name() {
        let mut tar = Builder::new(Vec::new());
        let path = "ünï/p/1/000000009-000000001.tsm";
        tar.append_pax_extensions([("path", path.as_bytes())])
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_size(3);
        tar.append_data(&mut header, "cut", &b"abc"[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        let (sent, _, end) = through(&tar, "d/p/5", 100);
        assert_eq!(end.unwrap(), Step::End);
        let expected = ("d/p/5/000000009-000000001.tsm".to_owned(), b"abc".to_vec());
        assert_eq!(read_back(sent), [expected]);
    }

    #[test]
    fn deletions_are_seen_and_a_tar_that_breaks_off_has_no_end() {
        let tar = tar_of(&[("d/p/1/a.tsm", 5), ("d/p/1/b.tombstone", 5)]);
        let (_, _, end) = through(&tar, "d/p/1", 100);
        assert_eq!(end.unwrap(), Step::Deleted);
        let tar = tar_of(&[("d/p/1/a.tsm", 5)]);
        for cut in [0, 100, 512, 600, 1024, 1535, 2047] {
            let (_, _, end) = through(&tar[..cut], "d/p/1", 100);
            assert_eq!(end.unwrap(), Step::Nothing, "{cut}");
        }
        let (_, _, end) = through(&[b'?'; 600], "d/p/1", 600);
        assert!(matches!(end, Err(TarError::NoTar)));
    }
}
