//! Binding a socket: nobody else's, and nobody able to connect before its mode and group are set.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;

use crate::config::model::SocketSettings;
use crate::identity::{IdentityError, group_number};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlBindError {
    /// Another haflux answers on it.
    #[error("another haflux answers on {}: is it the same configuration?", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket has its name.
    #[error("{} is not a socket: haflux needs that name for one", path.display())]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The operating system does not allow it.
    #[error("the socket {} cannot be made: {reason}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The operating system's reason.
        reason: io::Error,
    },
    /// The group that is to have it cannot be found.
    #[error("the socket {} cannot be given to its group: {source}; the group's number does as well", path.display())]
    Group {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the group.
        source: IdentityError,
    },
}

/// A socket's place in the file system, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    fn of(path: PathBuf) -> io::Result<Place> {
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Place {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

/// Binds a socket as `settings` say.
pub(super) fn bind(settings: &SocketSettings) -> Result<(UnixListener, Place), ControlBindError> {
    let path = &settings.path;
    let failed = |reason| ControlBindError::Socket {
        path: path.clone(),
        reason,
    };
    let group = settings.group.as_deref().map(group_number).transpose();
    let group = group.map_err(|source| ControlBindError::Group {
        path: path.clone(),
        source,
    })?;
    make_way(path)?;
    listen(path, settings.mode, group).map_err(failed)
}

/// Finds out that nobody uses `path`. A socket that was left behind stays, to be replaced.
fn make_way(path: &Path) -> Result<(), ControlBindError> {
    let failed = |reason| ControlBindError::Socket {
        path: path.to_owned(),
        reason,
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ControlBindError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    match probe(path) {
        Ok(()) => Err(ControlBindError::InUse {
            path: path.to_owned(),
        }),
        // Refused: nobody listens on it any more. Not found: its owner has just removed it.
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(()),
            _ => Err(failed(error)),
        },
    }
}

/// Whether somebody listens on `path`.
///
/// A listener whose queue is full would keep a blocking connect waiting, so it is asked without waiting: a full queue is an
/// answer too.
fn probe(path: &Path) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => other,
    }
}

fn listen(path: &Path, mode: u32, group: Option<u32>) -> io::Result<(UnixListener, Place)> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(&new)?)?;
    // Nobody can connect until it listens.
    let made_ready = socket
        .set_nonblocking(true)
        .and_then(|()| match group {
            None => Ok(()),
            Some(group) => chown(&new, None, Some(group)),
        })
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| fs::rename(&new, path));
    if let Err(error) = made_ready {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    Ok((OwnedFd::from(socket).into(), Place::of(path.to_owned())?))
}

/// Connects to the socket at `path`; waits at most `limit` for a place in its queue.
pub(super) fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // For a Unix socket this is the limit of the connect too.
    socket.set_write_timeout(Some(limit))?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}
