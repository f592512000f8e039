//! What a node has besides points.

use super::node::{Node, NodeError};

/// All of it, but for InfluxDB's own database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Schema {
    /// In the order of their names.
    pub(super) databases: Vec<Database>,
    /// In the order of their names.
    pub(super) users: Vec<User>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) policies: Vec<Policy>,
    pub(super) queries: Vec<ContinuousQuery>,
}

/// A retention policy; times as InfluxDB writes them (`168h0m0s`; `0s` for no end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) duration: String,
    pub(super) shard_duration: String,
    pub(super) replication: u64,
    pub(super) is_default: bool,
    /// From 1.12 on; empty where there is none.
    pub(super) future_limit: String,
    /// From 1.12 on; empty where there is none.
    pub(super) past_limit: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContinuousQuery {
    pub(super) name: String,
    /// The whole `CREATE CONTINUOUS QUERY` statement.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) is_admin: bool,
    /// Database and privilege (`READ`, `WRITE`, `ALL PRIVILEGES`), in the order of their databases.
    pub(super) grants: Vec<(String, String)>,
}

/// The time of a shard group, in nanoseconds since 1970; `until` is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShardGroup {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Schema {
    /// Asks the node for all of it.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn of(node: &Node) -> Result<Schema, NodeError> {
        todo!()
    }
}

/// The node's shard groups, in their order, but for those of InfluxDB's own database.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn shard_groups(node: &Node) -> Result<Vec<ShardGroup>, NodeError> {
    todo!()
}

/// The names of a database's measurements, in their order.
///
/// # Errors
/// [`NodeError`]
pub(super) async fn measurements(node: &Node, database: &str) -> Result<Vec<String>, NodeError> {
    todo!()
}
