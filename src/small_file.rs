//! Small files that are read whole. No more of one is read than it may hold, whatever it is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

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

/// What the file holds, of at most so many bytes.
///
/// # Errors
/// It cannot be read, or holds more.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, SmallFileError> {
    let mut bytes = Vec::new();
    File::open(path)
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
    }
}
