//! One node, asked past the journal in the name of an administrator.
//!
//! Points are read in InfluxDB's MessagePack form, which alone keeps integers, floats and unsigned integers apart, in chunks, series
//! by series (`SELECT *::field … GROUP BY *`). A question stays within one shard's time, because a field has one type within a
//! shard and may have another in the next; across shards InfluxDB would cast, or leave out, what is not of the prevailing type.
//! Memory holds one chunk of each stream.

mod error;
mod lines;
mod points;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::influx::Credentials;
use crate::influx::query_answer::Row;

pub(super) use error::NodeError;
pub(super) use lines::append_lines;
pub(super) use points::{PointStream, Series, Value};

/// A node, and who asks.
#[derive(Clone)]
pub(super) struct Node {
    name: String,
    address: SocketAddr,
    credentials: Credentials,
    timeout: Duration,
}

/// Points of one measurement in one policy, within `from..until` (nanoseconds since 1970; `until` is left out). It lies within one
/// shard group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slice {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) measurement: String,
    pub(super) from: i64,
    pub(super) until: i64,
}

/// What became of lines that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// All are there.
    All,
    /// So many lie beyond what the policy keeps.
    Expired(u64),
}

impl Node {
    /// `timeout`: of the silence between two pieces of an answer.
    pub(super) fn new(
        name: String,
        address: SocketAddr,
        credentials: Credentials,
        timeout: Duration,
    ) -> Node {
        Node {
            name,
            address,
            credentials,
            timeout,
        }
    }

    /// The server's name in its pool.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Carries out one statement and gives its rows, of all series. A statement that changes something goes by `POST`.
    ///
    /// # Errors
    /// [`NodeError`]: it cannot be reached, refuses, or says an error.
    pub(super) async fn ask(&self, database: &str, statement: &str) -> Result<Vec<Row>, NodeError> {
        todo!()
    }

    /// The points of a slice, series by series, each series in the order of time.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn points(&self, slice: &Slice) -> Result<PointStream, NodeError> {
        todo!()
    }

    /// The answer to any `SELECT`.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn select(
        &self,
        database: &str,
        statement: &str,
    ) -> Result<PointStream, NodeError> {
        todo!()
    }

    /// Writes lines with times in nanoseconds.
    ///
    /// # Errors
    /// [`NodeError`]: not all of them may be there.
    pub(super) async fn write(
        &self,
        database: &str,
        policy: &str,
        lines: Bytes,
    ) -> Result<Written, NodeError> {
        todo!()
    }
}
