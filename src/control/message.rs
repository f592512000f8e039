//! What crosses a socket: a request and its answer, in whichever phrasing.

use serde::{Deserialize, Serialize};

use super::healing::{HealOrder, HealReport};
use super::replicas::{ControlError, ReplicaReport};
use super::servers::ServerReport;
use crate::config::model::Level;
use crate::stats::csv::StatQuery;
use crate::stats::{AdminState, QueriesView};

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
    /// [`Configuration::reload`](super::Configuration::reload).
    Reload {
        /// Say what it would do.
        #[serde(default)]
        dry_run: bool,
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
    /// [`Healing::heal`](super::Healing::heal).
    Heal {
        /// What.
        order: HealOrder,
        /// The relay; needed if there are several.
        #[serde(default)]
        relay: Option<String>,
    },
    /// [`Healing::lacking_users`](super::Healing::lacking_users).
    LackingUsers {
        /// The replica that is to be rebuilt.
        target: String,
        /// The one to copy from; none: one that is fresh.
        source: Option<String>,
        /// The relay; needed if there are several.
        #[serde(default)]
        relay: Option<String>,
    },
    /// How does every server stand?
    Servers {},
    /// [`Servers::set_state`](super::Servers::set_state).
    ServerState {
        /// Its backend.
        backend: String,
        /// The server.
        server: String,
        /// The state.
        state: AdminState,
    },
    /// [`Servers::set_weight`](super::Servers::set_weight).
    ServerWeight {
        /// Its backend.
        backend: String,
        /// The server.
        server: String,
        /// The weight, or a percentage of the configuration's.
        weight: String,
    },
    /// [`Servers::statistics`](super::Servers::statistics).
    Statistics(StatQuery),
    /// [`Servers::process`](super::Servers::process).
    Process {},
    /// [`Servers::snapshot`](super::Servers::snapshot).
    Snapshot {},
    /// [`Queries::queries`](super::Queries::queries).
    Queries {},
    /// [`Queries::kill`](super::Queries::kill).
    KillQuery {
        /// The query.
        id: u64,
    },
}

impl Request {
    /// Who may ask for it.
    pub(super) fn level(&self) -> Level {
        match self {
            Request::Statistics(_) | Request::Process {} | Request::Snapshot {} => Level::User,
            Request::Status {} | Request::Servers {} | Request::Queries {} => Level::Operator,
            Request::LogLevel { levels } if levels.is_empty() => Level::Operator,
            Request::Heal {
                order: HealOrder::Progress {},
                ..
            } => Level::Operator,
            Request::LogLevel { .. }
            | Request::Reload { .. }
            | Request::RebuildBegin { .. }
            | Request::Readmit { .. }
            | Request::Skip { .. }
            | Request::Heal { .. }
            | Request::LackingUsers { .. }
            | Request::ServerState { .. }
            | Request::ServerWeight { .. }
            | Request::KillQuery { .. } => Level::Admin,
        }
    }
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Status`].
    Replicas(Vec<ReplicaReport>),
    /// To [`Request::Heal`].
    Heal(Box<HealReport>),
    /// To [`Request::LackingUsers`].
    Users(Vec<String>),
    /// To [`Request::Servers`].
    Servers(Vec<ServerReport>),
    /// To [`Request::Statistics`].
    Statistics(String),
    /// To [`Request::Process`].
    Process(Vec<(String, String)>),
    /// To [`Request::Snapshot`]: a JSON document, as text, so that it is the same to the byte as what `;json` gives.
    Snapshot(String),
    /// To [`Request::Queries`].
    Queries(Box<QueriesView>),
    /// The order was carried out; what to do or expect next.
    Done(String),
    /// The order was not carried out.
    Refused(ControlError),
    /// The line was no request: why.
    Misunderstood(String),
}
