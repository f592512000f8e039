//! Files that are there whole or not at all, whatever fails while one is written.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by `pieces`, one behind the other, readable for its owner only.
///
/// The pieces go to a file beside it, named `….new`, which is synced and takes its place. The file is durable when this returns.
///
/// # Errors
/// The file could not be written. What was there before is there still, unless only the last sync, the folder's, has failed:
/// then either may be there after a loss of power.
pub(crate) fn replace(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let new = name_of_new(path);
    let written = write_new(&new, pieces).and_then(|()| {
        fs::rename(&new, path)?;
        sync_folder(path.parent().unwrap_or(Path::new("")))
    });
    if written.is_err() {
        // What was renamed already is not there under this name.
        drop(fs::remove_file(&new));
    }
    written
}

/// Makes the names in a folder durable; the empty path is the folder that this process works in.
///
/// # Errors
/// The folder cannot be opened or synced.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

/// Whether the reason is that there is no room on the disk, for this user at least.
pub(crate) fn lacks_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn name_of_new(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

/// Opens an empty file at `path`, in the place of what is there, readable for its owner only.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn write_new(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut file = create(path)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        replace(&path, &[b"a long first ", b"text"]).unwrap();
        replace(&path, &[b"second"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        fs::create_dir(&path).unwrap();
        replace(&path, &[b"text"]).unwrap_err();
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
