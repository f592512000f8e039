//! The folder of the journals: can it be made, can it be written, and by nobody else?
//!
//! The journal holds data and the credentials of those who wrote it, so a new folder is its owner's alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::trusted_path::{self, UntrustedPath};
use crate::durable_file;
use crate::identity::{Identity, name_of_user};

/// Why `data_dir` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DataDirError {
    /// It does not exist and cannot be made.
    #[error("the folder {} cannot be made: {reason}", path.display())]
    Create {
        /// The folder that could not be made: `data_dir` or one above it.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// Something else has its name.
    #[error("{} is not a folder", path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// Somebody else could put another one in its place.
    #[error(transparent)]
    Untrusted(#[from] UntrustedPath),
    /// It is root's, and haflux will be somebody else.
    #[error("the folder {} belongs to {owner}, and haflux becomes {user}: \"chown -R {chown} {}\"", path.display(), path.display())]
    NotOf {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who haflux will be.
        user: String,
        /// What `chown` takes.
        chown: String,
    },
    /// It is there, but files cannot be made in it.
    #[error("the folder {} cannot be written: {reason}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
}

/// Makes the folder and those above it that are missing, for `identity` alone.
///
/// # Errors
/// The first folder that could not be made, or given to `identity`.
pub fn create(path: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let created = create_missing(path)?;
    if identity.is_taken_on() {
        return Ok(());
    }
    for folder in created {
        let (user, group) = (identity.user(), identity.group());
        chown(&folder, Some(user), Some(group)).map_err(|error| DataDirError::Create {
            path: folder,
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

/// Finds out whether nobody but root and `identity` can change what is found there.
pub(super) fn check_trust(path: &Path, identity: &Identity) -> Result<(), DataDirError> {
    Ok(trusted_path::check(path, identity)?)
}

/// Finds out whether `identity` can use the folder, and leaves everything as it was.
pub(super) fn probe(path: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let created = create_missing(path)?;
    if !identity.is_taken_on() {
        let owner = std::fs::metadata(path).map(|found| found.uid());
        let is_new = !created.is_empty();
        remove(&created);
        return match owner {
            Ok(owner) if !is_new && owner != identity.user() => Err(DataDirError::NotOf {
                path: path.to_owned(),
                owner: name_of_user(owner),
                user: name_of_user(identity.user()),
                chown: format!("{}:{}", identity.user(), identity.group()),
            }),
            _ => Ok(()),
        };
    }
    let outcome = write_probe(path).map_err(|error| DataDirError::Write {
        path: path.to_owned(),
        reason: error.to_string(),
    });
    remove(&created);
    outcome
}

/// Makes what is missing; returns what was made, the outermost first.
fn create_missing(path: &Path) -> Result<Vec<PathBuf>, DataDirError> {
    let mut missing: Vec<&Path> = Vec::new();
    for folder in path.ancestors() {
        match std::fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) => {
                return Err(DataDirError::NotAFolder {
                    path: folder.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(folder),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(error) => {
                return Err(DataDirError::Write {
                    path: folder.to_owned(),
                    reason: error.to_string(),
                });
            }
        }
    }
    let mut created = Vec::new();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => created.push(folder.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                remove(&created);
                return Err(DataDirError::Create {
                    path: folder.to_owned(),
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(created)
}

/// Removes folders that were made for the probe. One that somebody has used since stays.
fn remove(created: &[PathBuf]) {
    for folder in created.iter().rev() {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// Finds out whether files may be made in the folder. A lack of room is no reason against it: the journal turns writes away while
/// that lasts, and reads go on.
fn write_probe(folder: &Path) -> io::Result<()> {
    let file = folder.join(format!(".haflux-probe-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&file);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if durable_file::lacks_room(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => std::fs::remove_file(&file),
    }
}
