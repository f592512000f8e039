//! A password or another secret in a file of its own, so that the configuration may be shown.

use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::small_file;

/// The longest password, in bytes. InfluxDB's hash looks at the first 72.
const LONGEST: usize = 1024;

/// The longest secret that a value of the configuration takes from a file, in bytes: as long as a header of a request may be.
const LONGEST_SECRET: usize = 64 << 10;

/// Why there is no password or secret. What the file holds is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PasswordFileError {
    /// The operating system does not give it.
    #[error("the file {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// It holds something else.
    #[error("the file {} must hold one line of text, of 1 to {longest} bytes", path.display())]
    NotALine {
        /// The file.
        path: PathBuf,
        /// The longest line, in bytes.
        longest: usize,
    },
}

/// The password that the file holds: its one line, without the line's end.
///
/// # Errors
/// It cannot be read, or holds no such line.
pub fn read(path: &Path) -> Result<Vec<u8>, PasswordFileError> {
    read_line(path, LONGEST)
}

/// The secret that the file holds: its one line, without the line's end.
///
/// # Errors
/// It cannot be read, or holds no such line, or none that is UTF-8.
pub(super) fn read_secret(path: &Path) -> Result<String, PasswordFileError> {
    String::from_utf8(read_line(path, LONGEST_SECRET)?).map_err(|_| PasswordFileError::NotALine {
        path: path.to_owned(),
        longest: LONGEST_SECRET,
    })
}

fn read_line(path: &Path, longest: usize) -> Result<Vec<u8>, PasswordFileError> {
    let most = longest + "\r\n".len();
    let mut password = Vec::new();
    small_file::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut password))
        .map_err(|error| PasswordFileError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    for end in [b'\n', b'\r'] {
        if password.last() == Some(&end) {
            password.pop();
        }
    }
    let is_line = (1..=longest).contains(&password.len()) && !password.contains(&b'\n');
    if is_line {
        Ok(password)
    } else {
        Err(PasswordFileError::NotALine {
            path: path.to_owned(),
            longest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_a_password_and_no_error_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (text, password) in [
            ("open sesame\n", Some("open sesame")),
            ("sesame", Some("sesame")),
            ("sesame\r\n", Some("sesame")),
            ("", None),
            ("\n", None),
            ("sesame\nagain\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            let read = read(&path);
            assert_eq!(
                read.as_deref().ok(),
                password.map(str::as_bytes),
                "{text:?}"
            );
            if let Err(error) = read {
                assert!(!error.to_string().contains("sesame"), "{error}");
            }
        }
        std::fs::write(&path, "x".repeat(LONGEST + 1)).unwrap();
        assert!(read(&path).is_err());
        let missing = read(Path::new("/nowhere/password")).unwrap_err();
        assert!(
            missing.to_string().contains("/nowhere/password"),
            "{missing}"
        );
    }
}
