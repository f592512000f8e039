//! Why a work did not come to its end.

use std::path::PathBuf;

use super::node::NodeError;
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

    /// What cannot be done, and why each of these nodes is left out.
    pub(super) fn without(what: impl Into<String>, left_out: &[String]) -> WorkError {
        let what = what.into();
        WorkError::Impossible(match left_out {
            [] => what,
            left_out => format!("{what}: {}", left_out.join("; ")),
        })
    }
}
