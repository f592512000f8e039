//! Why a work did not come to its end.

use std::path::PathBuf;

use super::node::{NodeError, Unsayable};
use crate::config::nearest;
use crate::relay::{Relay, ReplicaError};

/// Why a work did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    /// A person ended it.
    #[error("it was cancelled")]
    Cancelled,
    /// A node did not give or take what it was asked.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The relay refuses.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// A file of its own cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A password that no node can be given.
    #[error(transparent)]
    Unsayable(#[from] Unsayable),
    /// Some of it could not be read, and all else is done.
    #[error("{0}")]
    Unread(String),
    /// Something stands against it that a person must change.
    #[error("{0}")]
    Impossible(String),
}

impl WorkError {
    /// That there are not two nodes. `done`: what is done to nodes.
    pub(super) fn no_two(relay: &Relay, done: &str, left_out: &[String]) -> WorkError {
        match relay.nodes().as_slice() {
            [only] => WorkError::Impossible(format!(
                "relay {} has one node, {}: there is no other one to hold the same",
                relay.settings().name,
                only.name
            )),
            _ => WorkError::without(format!("there are no two nodes to {done}"), left_out),
        }
    }

    /// The same, in the words of a work that copies from this node, if that is the one that is not what it was.
    pub(super) fn of_source(self, source: Option<&str>) -> WorkError {
        match self {
            WorkError::Node(NodeError::Ended(ended)) if source == Some(&ended.name) => {
                WorkError::Impossible(format!(
                    "{} cannot be copied from any more: {}",
                    ended.name, ended.reason
                ))
            }
            error => error,
        }
    }

    /// That something of that name is not there. `what`: that there is none, up to its name.
    pub(super) fn unknown<'name>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'name str>,
    ) -> WorkError {
        let known: Vec<&str> = known.into_iter().collect();
        WorkError::Impossible(match nearest(name, known.iter().copied()) {
            Some(nearest) => format!("{what} {name}; did you mean {nearest}?"),
            None if known.is_empty() => format!("{what} {name}"),
            None => format!("{what} {name}; there are: {}", known.join(", ")),
        })
    }

    /// What cannot be done, and why each of these nodes is left out.
    pub(super) fn without(what: impl Into<String>, left_out: &[String]) -> WorkError {
        WorkError::Impossible(with_reasons(what.into(), left_out))
    }

    /// What was not done, and which places could not be read and why.
    pub(super) fn unread(what: &str, places: &[String]) -> WorkError {
        WorkError::Unread(with_reasons(what.to_owned(), places))
    }
}

fn with_reasons(what: String, reasons: &[String]) -> String {
    match reasons {
        [] => what,
        reasons => format!("{what}: {}", reasons.join("; ")),
    }
}
