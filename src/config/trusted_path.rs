//! Who, besides root and haflux itself, could put something else at a path.
//!
//! Every folder on the way counts, because whoever may write in one can rename what is in it; and every symbolic link, because its
//! owner can make another one. A sticky folder such as `/tmp` is not in the way: there only the owner renames.
//!
//! The look is taken once, at the start. It finds what is set up wrongly, not somebody who is at work at that moment: they
//! would need the very rights that are found here.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use super::access_list;
use crate::identity::{Identity, name_of_group, name_of_user, unmapped_user};

/// Links that are followed, as Linux follows them (path_resolution(7)).
const MOST_LINKS: usize = 40;

const ROOT: u32 = 0;
const STICKY: u32 = 0o1000;
const WRITABLE_FOR_GROUP: u32 = 0o020;
const WRITABLE_FOR_ALL: u32 = 0o002;

/// Somebody else could change what stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UntrustedPath {
    /// A folder is somebody else's.
    #[error(
        "{} belongs to {owner}, who could replace what haflux keeps there, and haflux runs as {user}: run haflux as {owner}, or \"chown {chown} {}\"",
        path.display(), path.display()
    )]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who haflux is, or will be.
        user: String,
        /// What `chown` takes.
        chown: String,
    },
    /// Somebody else made a link that is on the way.
    #[error(
        "{} is a symbolic link of {owner}, who could let it lead elsewhere: remove it, or make it anew as root",
        path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// Whose it is.
        owner: String,
    },
    /// A folder can be written by others.
    #[error(
        "{} can be written by {whom}, who could replace what haflux keeps there: \"chmod {chmod} {}\"",
        path.display(), path.display()
    )]
    Writable {
        /// The folder.
        path: PathBuf,
        /// By whom.
        whom: String,
        /// What `chmod` takes.
        chmod: &'static str,
    },
    /// The way has no end.
    #[error("{} leads through more than {MOST_LINKS} symbolic links", path.display())]
    TooManyLinks {
        /// Where it begins.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("{} cannot be looked at: {reason}", path.display())]
    Hidden {
        /// What.
        path: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
}

/// Looks at the folder at `path` and at all above it, for a haflux that runs as `identity`. What does not exist is not looked at.
///
/// # Errors
/// The first place, from the top, that somebody else could change.
pub(super) fn check(path: &Path, identity: &Identity) -> Result<(), UntrustedPath> {
    let unmapped = unmapped_user();
    let is_ours = |owner| owner == ROOT || owner == identity.user() || Some(owner) == unmapped;
    let mut ahead: VecDeque<OsString> = names(path).collect();
    let mut here = PathBuf::from("/");
    let mut links = 0;
    loop {
        let found = match fs::symlink_metadata(&here) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => {
                return Err(UntrustedPath::Hidden {
                    path: here,
                    reason: error.to_string(),
                });
            }
        };
        if found.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                let path = path.to_owned();
                return Err(UntrustedPath::TooManyLinks { path });
            }
            if !is_ours(found.uid()) {
                return Err(UntrustedPath::Link {
                    owner: name_of_user(found.uid()),
                    path: here,
                });
            }
            let target = fs::read_link(&here).map_err(|error| UntrustedPath::Hidden {
                path: here.clone(),
                reason: error.to_string(),
            })?;
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(name);
            }
            match target.is_absolute() {
                true => here = PathBuf::from("/"),
                false => drop(here.pop()),
            }
        } else {
            if !is_ours(found.uid()) {
                let (user, group) = (identity.user(), identity.group());
                return Err(UntrustedPath::Owner {
                    owner: name_of_user(found.uid()),
                    user: name_of_user(user),
                    chown: format!("{user}:{group}"),
                    path: here,
                });
            }
            if let Some((whom, chmod)) = who_else_writes(&here, &found, identity, ahead.is_empty())
            {
                return Err(UntrustedPath::Writable {
                    path: here,
                    whom,
                    chmod,
                });
            }
        }
        match ahead.pop_front() {
            None if found.is_symlink() => {}
            None => return Ok(()),
            // The folder above was looked at on the way here.
            Some(name) if name == ".." => drop(here.pop()),
            Some(name) => here.push(name),
        }
    }
}

/// Who else may write in the folder, and what takes that away.
fn who_else_writes(
    path: &Path,
    folder: &Metadata,
    identity: &Identity,
    is_last: bool,
) -> Option<(String, &'static str)> {
    let mode = folder.mode();
    // There only owners of files rename them; but what haflux makes itself can be forestalled.
    if mode & STICKY != 0 && !is_last {
        return None;
    }
    if mode & WRITABLE_FOR_ALL != 0 {
        return Some(("everybody".to_owned(), "go-w"));
    }
    // Of a folder with an access control list this bit is the mask, which bounds what all in the list may do.
    if mode & WRITABLE_FOR_GROUP == 0 {
        return None;
    }
    let group = folder.gid();
    let whom = match group == ROOT || identity.is_in(group) {
        true => access_list::other_writer(path, identity)?,
        false => format!("the group {}", name_of_group(group)),
    };
    Some((whom, "g-w"))
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
