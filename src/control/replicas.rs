//! What the control socket asks for, and of whom.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Where a replica stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaReport {
    /// The relay that writes to it.
    pub relay: String,
    /// The server's name in the pool.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// `fresh`, `lagging`, `down`, `diverged` or `rebuilding`.
    pub state: String,
    /// Since when it is in that state, in milliseconds since 1970.
    pub since: u64,
    /// Every record up to this sequence has a verdict there.
    pub cursor: u64,
    /// Records between its cursor and the head.
    pub lag_records: u64,
    /// Their bytes in the journal.
    pub lag_bytes: u64,
    /// How long the oldest of them has waited, in milliseconds; 0 if there is none.
    pub oldest_pending_ms: u64,
    /// Why it is in that state, for a person.
    pub reason: Option<String>,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlError {
    /// No replica has this name (in the relay that was named, if one was).
    #[error("there is no replica {name:?}; there are: {}", known.join(", "))]
    UnknownReplica {
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Replicas of several relays have this name, and no relay was named.
    #[error("several relays have a replica {name:?}: {}", relays.join(", "))]
    Ambiguous {
        /// The name that was given.
        name: String,
        /// The relays that have one.
        relays: Vec<String>,
    },
    /// No backend has this name.
    #[error("there is no backend {name:?}; there are: {}", known.join(", "))]
    UnknownBackend {
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The backend has no server of this name.
    #[error("backend {backend:?} has no server {name:?}; it has: {}", known.join(", "))]
    UnknownServer {
        /// The backend.
        backend: String,
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// What was asked for has a value that cannot be.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it, for a person.
        reason: String,
    },
    /// The socket's level does not allow it.
    #[error("this socket does not allow it: its level is {level}")]
    NotAllowed {
        /// The socket's level.
        level: String,
    },
    /// The replica's state, or that of the others, does not allow it.
    #[error("not now: {reason}")]
    NotNow {
        /// What stands against it, for a person.
        reason: String,
    },
    /// The configuration file cannot be taken; nothing was changed.
    #[error("{reason}")]
    Configuration {
        /// Everything that stands against it, for a person.
        reason: String,
    },
    /// It was tried, and failed.
    #[error("it failed: {reason}")]
    Failed {
        /// What went wrong, for a person.
        reason: String,
    },
}

/// Whoever keeps the replicas of all relays.
#[async_trait]
pub trait Replicas: Send + Sync {
    /// How every replica of every relay stands, in the order of the configuration.
    async fn status(&self) -> Vec<ReplicaReport>;

    /// Prepares for copying a healthy replica's data to the one that is named: keeps the journal from here on (rule R4).
    /// Returns what to do next, for a person.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn rebuild_begin(&self, relay: Option<&str>, name: &str) -> Result<String, ControlError>;

    /// Takes the replica back, now that its data was copied; `as_it_is`: whatever it lacks or cannot prove. Returns what
    /// happens next, for a person.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn readmit(
        &self,
        relay: Option<&str>,
        name: &str,
        as_it_is: bool,
    ) -> Result<String, ControlError>;

    /// Sets a record aside for a replica that has no verdict on it: a dead letter, and its lane goes on. Returns what became of it,
    /// for a person.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn skip(
        &self,
        relay: Option<&str>,
        name: &str,
        sequence: u64,
    ) -> Result<String, ControlError>;
}
