//! Small files that are read whole. No more of one is read than it may hold, whatever it is.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

/// Why a file is not there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SmallFileError {
    /// The operating system does not give it.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// It holds more than such files do.
    #[error("{} is larger than {most} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest file that is read, in bytes.
        most: u64,
    },
}

/// Opens a file to read it; a pipe or a device, which could keep whoever reads it waiting, is none.
///
/// # Errors
/// It is no file, or the operating system does not give it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // The opening of a pipe would wait for whoever writes to it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = File::options();
    let file = options.read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// What the file holds, of at most so many bytes.
///
/// # Errors
/// It cannot be read, or holds more.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, SmallFileError> {
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| SmallFileError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    if bytes.len() as u64 > most {
        return Err(SmallFileError::TooLarge {
            path: path.to_owned(),
            most,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_it_is_said_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let said = |read: Result<Vec<u8>, SmallFileError>| read.unwrap_err().to_string();
        assert!(said(read(&path, 4)).contains("file cannot be read: "));
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).as_deref(), Ok(&b"four"[..]));
        assert!(said(read(&path, 3)).ends_with("file is larger than 3 bytes"));
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for none in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert!(said(read(none, 4)).ends_with(" cannot be read: it is no file"));
        }
    }
}
