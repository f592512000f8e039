//! The two documents that cross the socket.

use serde::{Deserialize, Serialize};

use super::replicas::{ControlError, ReplicaReport};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How does every replica stand?
    Status {},
    /// Changes the levels of the log while haflux runs, and says which count then: [`crate::logging::change_levels`].
    LogLevel {
        /// `LEVEL` or `PART=LEVEL`, separated by commas; empty to change nothing.
        levels: String,
    },
    /// [`Replicas::rebuild_begin`](super::Replicas::rebuild_begin).
    RebuildBegin {
        /// The replica.
        name: String,
        /// Its relay; needed if several have a replica of that name.
        #[serde(default)]
        relay: Option<String>,
    },
    /// [`Replicas::readmit`](super::Replicas::readmit).
    Readmit {
        /// The replica.
        name: String,
        /// Its relay; needed if several have a replica of that name.
        #[serde(default)]
        relay: Option<String>,
        /// Whatever it lacks or cannot prove.
        #[serde(default)]
        as_it_is: bool,
    },
    /// [`Replicas::skip`](super::Replicas::skip).
    Skip {
        /// The replica.
        name: String,
        /// The record.
        sequence: u64,
        /// Its relay; needed if several have a replica of that name.
        #[serde(default)]
        relay: Option<String>,
    },
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Status`].
    Replicas(Vec<ReplicaReport>),
    /// The order was carried out; what to do or expect next.
    Done(String),
    /// The order was not carried out.
    Refused(ControlError),
    /// The line was no request: why.
    Misunderstood(String),
}
