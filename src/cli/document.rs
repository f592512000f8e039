//! What a running haflux says of itself over the control socket, the JSON document of its status page: how commands get it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::names::OneLine;
use super::running;
use crate::control::{Answer, AskError, ControlError, Request, ask};
use crate::stats::json;
use crate::stats::snapshot::Snapshot;

/// Exit status if haflux could not be asked: what it would have said is not known.
pub(super) const UNASKED: u8 = 2;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    /// There was no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There was no answer, and perhaps haflux runs without this socket.
    #[error(
        "{0}. Without a relay haflux listens there only if {1} was there when it started: make this folder, for the user that haflux runs as, and restart it; \
         or read <stats_uri>;json of a frontend"
    )]
    NoRelay(AskError, String),
    /// It was refused.
    #[error("{}", OneLine(&.0.to_string()))]
    Refused(ControlError),
    /// It answered something else than was asked, or a document that lacks what this version reads.
    #[error("the answer is not understood; is the haflux that runs of another version? ({})", OneLine(.0))]
    OtherVersion(String),
}

/// Where to ask.
pub(super) struct Source {
    data_dir: PathBuf,
    has_relay: bool,
}

impl Source {
    /// For the haflux that runs on this configuration; its errors are on standard error, and the exit status says so.
    pub(super) fn of(file: &Path) -> Result<Source, ExitCode> {
        let config = running::configuration(file).map_err(|_| ExitCode::from(UNASKED))?;
        Ok(Source {
            has_relay: !config.relays.is_empty(),
            data_dir: config.server.data_dir,
        })
    }

    /// The document as it comes.
    pub(super) fn text(&self) -> Result<String, DocumentError> {
        match ask(&self.data_dir, &Request::Snapshot {}, running::LIMIT) {
            Ok(Answer::Snapshot(text)) => Ok(text),
            Ok(Answer::Refused(error)) => Err(DocumentError::Refused(error)),
            Ok(Answer::Misunderstood(why)) => Err(DocumentError::OtherVersion(why)),
            Ok(_) => Err(DocumentError::OtherVersion("another answer".to_owned())),
            Err(error @ AskError::NotRunning { .. }) if !self.has_relay => Err(
                DocumentError::NoRelay(error, self.data_dir.display().to_string()),
            ),
            Err(error) => Err(error.into()),
        }
    }

    /// The document, read.
    pub(super) fn snapshot(&self) -> Result<Snapshot, DocumentError> {
        json::read(&self.text()?).map_err(|error| DocumentError::OtherVersion(error.to_string()))
    }
}
