//! What the control socket asks of whoever compares, mends and rebuilds nodes.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::replicas::ControlError;
use crate::stats::WorkFigures;

/// What is to be done for a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case", deny_unknown_fields)]
pub enum HealOrder {
    /// Find where its nodes differ.
    Compare(Compared),
    /// End the differences.
    Mend {
        /// Where.
        #[serde(flatten)]
        places: Compared,
        /// The node that is right; none: every point that any node has.
        source: Option<String>,
        /// Say what would be done, and do nothing.
        dry_run: bool,
    },
    /// Fill a node with what another holds.
    Rebuild {
        /// The node to fill; what it holds is dropped.
        target: String,
        /// The one to copy from; none: one that is fresh.
        source: Option<String>,
        /// Passwords of users, which cannot be read out of a node.
        users: Passwords,
    },
    /// How does what was begun last stand?
    Progress {},
    /// End what is under way.
    Cancel {},
}

/// Users and their passwords; no view of them shows a password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Passwords(pub Vec<(String, String)>);

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|user| &user.0))
            .finish()
    }
}

/// What is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// These databases; empty: all.
    pub databases: Vec<String>,
    /// From this time on, in nanoseconds since 1970.
    pub from: Option<i64>,
    /// Up to this time, which is left out.
    pub until: Option<i64>,
    /// Read every point instead of sums.
    pub full: bool,
}

/// How a work stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealState {
    /// It is under way.
    Running,
    /// It is over.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It could not be done, and why.
    Failed(String),
}

/// What became of a work, or becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealReport {
    /// The relay.
    pub relay: String,
    /// `compare`, `mend` or `rebuild`.
    pub work: String,
    /// How it stands.
    pub state: HealState,
    /// What it is at, for a person.
    pub step: String,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended: Option<u64>,
    /// How far it is, and how fast.
    #[serde(flatten)]
    pub figures: WorkFigures,
    /// What differs, the first of them.
    pub differences: Vec<Difference>,
    /// How many differences there are in all.
    pub differing: u64,
    /// What a person should know, one line each.
    pub notes: Vec<String>,
    /// Whether the same work, begun again, goes on where this one is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
}

/// Where nodes differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `database`, `policy`, `query`, `user`, `type` of a field, `point`, `points` of one series.
    pub kind: String,
    /// Which one, for a person: `telegraf.autogen.cpu host=a 2026-11-29T09:00:00Z usage`.
    pub place: String,
    /// What each node holds there, by its name; `-` for nothing.
    pub holds: Vec<(String, String)>,
}

/// Whoever compares, mends and rebuilds.
#[async_trait]
pub trait Healing: Send + Sync {
    /// Begins what is ordered, or says how it stands. `relay` is needed if there are several.
    ///
    /// # Errors
    /// Why it is not done.
    async fn heal(
        &self,
        relay: Option<&str>,
        order: HealOrder,
    ) -> Result<Box<HealReport>, ControlError>;

    /// Names the users that `target` would lack after a rebuild, because their passwords cannot be read out of `source` (none: a node
    /// that is fresh). `relay` is needed if there are several.
    ///
    /// # Errors
    /// Why that cannot be said, as: a node does not answer.
    async fn lacking_users(
        &self,
        relay: Option<&str>,
        target: &str,
        source: Option<&str>,
    ) -> Result<Vec<String>, ControlError>;
}
