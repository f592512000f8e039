//! The other end of the socket, for the commands.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::SOCKET_NAME;
use super::bind;
use super::message::{Answer, Request};

/// The longest answer that is read, in bytes: thousands of replicas.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no socket, or nobody listens on it.
    #[error("haflux does not run here: {} {}", path.display(), if *left_behind { "was left by one that was killed" } else { "is not there" })]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// Whether there is a socket on which nobody listens.
        left_behind: bool,
    },
    /// This user may not talk to it.
    #[error("{} is for the user that haflux runs as, and root", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// The time was over.
    #[error("no answer within {} s: see the log of haflux for what became of it", limit.as_secs())]
    Timeout {
        /// How long was waited.
        limit: Duration,
    },
    /// The connection ended before the answer did.
    #[error("haflux ended the connection without an answer; it may be stopping")]
    NoAnswer,
    /// The answer is none that this version knows.
    #[error("the answer is not understood; is the haflux that runs of another version? ({0})")]
    NotUnderstood(serde_json::Error),
    /// The answer is too long to be one.
    #[error("the answer is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
    /// The operating system's reason.
    #[error("{}: {reason}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What it said.
        reason: io::Error,
    },
}

/// Puts `request` to the haflux that runs on `data_dir`, and waits at most `limit` for what it says.
///
/// # Errors
/// [`AskError`]. After [`AskError::Timeout`] and [`AskError::NoAnswer`] an order may have been carried out all the same.
pub fn ask(data_dir: &Path, request: &Request, limit: Duration) -> Result<Answer, AskError> {
    let deadline = Instant::now() + limit;
    let path = data_dir.join(SOCKET_NAME);
    let explain = |error: io::Error| explain(error, &path, limit);
    let mut connection = bind::connect(&path, limit).map_err(explain)?;
    let mut line = serde_json::to_vec(request).map_err(|error| explain(error.into()))?;
    line.push(b'\n');
    connection.write_all(&line).map_err(explain)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    while !answer.ends_with(b"\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Timeout { limit });
        }
        connection.set_read_timeout(Some(left)).map_err(explain)?;
        match connection.read(&mut buffer) {
            Ok(0) => return Err(AskError::NoAnswer),
            Ok(read) if answer.len() + read > LONGEST_ANSWER => return Err(AskError::TooLong),
            Ok(read) => answer.extend(buffer.iter().take(read)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(explain(error)),
        }
    }
    serde_json::from_slice(&answer).map_err(AskError::NotUnderstood)
}

fn explain(error: io::Error, path: &Path, limit: Duration) -> AskError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => AskError::NotRunning {
            path,
            left_behind: false,
        },
        io::ErrorKind::ConnectionRefused => AskError::NotRunning {
            path,
            left_behind: true,
        },
        io::ErrorKind::PermissionDenied => AskError::NotAllowed { path },
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => AskError::Timeout { limit },
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => AskError::NoAnswer,
        _ => AskError::Socket {
            path,
            reason: error,
        },
    }
}
