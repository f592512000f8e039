//! The state of a server, in one word.

use serde::{Deserialize, Serialize};

use crate::stats::counters::{ReplicaStatus, ServerStatus};

/// A state of a server or a replica: the word that is shown, and how it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A server that is checked and well.
    Up,
    /// A server that is checked and not well, or a replica that cannot be reached.
    Down,
    /// A server that is not checked.
    NoCheck,
    /// A server that a person has taken out of service; what is under way is finished.
    Drain,
    /// A server, or a replica, to which nothing is sent because a person ordered so.
    Maint,
    /// A replica that has applied everything.
    Fresh,
    /// A replica that is applying what it missed.
    Lagging,
    /// Missed records for good, or is not the node it was.
    Diverged,
}

impl Status {
    /// Its word for a program, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Up => "up",
            Status::Down => "down",
            Status::NoCheck => "no_check",
            Status::Drain => "drain",
            Status::Maint => "maint",
            Status::Fresh => "fresh",
            Status::Lagging => "lagging",
            Status::Diverged => "diverged",
        }
    }

    /// The word for a person.
    pub fn word(self) -> &'static str {
        match self {
            Status::Up => "UP",
            Status::Down => "DOWN",
            Status::NoCheck => "no check",
            Status::Drain => "DRAIN",
            Status::Maint => "MAINT",
            Status::Fresh => "fresh",
            Status::Lagging => "lagging",
            Status::Diverged => "DIVERGED",
        }
    }

    /// Whether a server in this state takes new requests.
    pub fn takes_requests(self) -> bool {
        matches!(self, Status::Up | Status::NoCheck)
    }

    /// How it is meant: `good`, `warn`, `bad` or `idle`; the page's colours go by these names.
    pub fn mood(self) -> &'static str {
        match self {
            Status::Up | Status::Fresh => "good",
            Status::Lagging | Status::Drain | Status::Maint => "warn",
            Status::Down | Status::Diverged => "bad",
            Status::NoCheck => "idle",
        }
    }
}

impl From<ServerStatus> for Status {
    fn from(status: ServerStatus) -> Self {
        match status {
            ServerStatus::Up => Status::Up,
            ServerStatus::Down => Status::Down,
            ServerStatus::NoCheck => Status::NoCheck,
            ServerStatus::Drain => Status::Drain,
            ServerStatus::Maint => Status::Maint,
        }
    }
}

impl From<ReplicaStatus> for Status {
    fn from(status: ReplicaStatus) -> Self {
        match status {
            ReplicaStatus::Fresh => Status::Fresh,
            ReplicaStatus::Lagging => Status::Lagging,
            ReplicaStatus::Down => Status::Down,
            ReplicaStatus::Maint => Status::Maint,
            ReplicaStatus::Diverged => Status::Diverged,
        }
    }
}
