//! One node, asked past the journal in the name of an administrator.
//!
//! Points are read in InfluxDB's MessagePack form, which alone keeps integers, floats and unsigned integers apart, in chunks, series
//! by series (`SELECT *::field … GROUP BY *`). A question stays within one shard's time, because a field has one type within a
//! shard and may have another in the next; across shards InfluxDB would cast, or leave out, what is not of the prevailing type.
//! Memory holds one chunk of each stream.

mod document;
mod error;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lines;
mod points;
mod rpc;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::document::{Fault, read_document};
use self::exchange::{Answer, Idle, Request, encoded};
use self::points::CHUNK_POINTS;
use super::pace::Pace;
use crate::dial::Dialer;
use crate::influx::influxql::{identifier, string};
use crate::influx::query_answer::{NamedRows, Row, read_chunked_answer};
use crate::influx::{Credentials, Verdict, judge_write, scan_answer, words_of};

/// A series' tags: keys and values, ordered by key.
type Tags = Vec<(String, String)>;

const JSON: &str = "application/json";
const MESSAGE_PACK: &str = "application/x-msgpack";

/// The most bytes of an answer that is not read as a stream: 500,000 names of measurements of 100 bytes.
const MAX_ANSWER: usize = 64 << 20;

/// The most bytes of a refusal.
const MAX_REFUSAL: usize = 1 << 20;

pub(super) use error::NodeError;
pub(super) use lines::append_lines;
pub(super) use points::{PointStream, Series, Value};

/// A node, and who asks.
#[derive(Clone)]
pub(super) struct Node {
    name: String,
    address: SocketAddr,
    dialer: Arc<Dialer>,
    rpc_port: Option<u16>,
    credentials: Credentials,
    timeout: Duration,
    idle: Idle,
    pace: Arc<Pace>,
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
    /// `timeout`: of the silence between two pieces of an answer. Before the first one a node may compute for longer.
    pub(super) fn new(
        name: String,
        address: SocketAddr,
        dialer: Arc<Dialer>,
        credentials: Credentials,
        timeout: Duration,
    ) -> Node {
        Node {
            name,
            address,
            dialer,
            rpc_port: None,
            credentials,
            timeout,
            idle: Idle::default(),
            pace: Arc::new(Pace::new(None)),
        }
    }

    /// Points are read at no more than `rate` bytes a second, of all questions together.
    pub(super) fn paced(self, rate: Option<u64>) -> Node {
        Node {
            pace: Arc::new(Pace::new(rate)),
            ..self
        }
    }

    /// The server's name in its pool.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name and password of who asks; none if it asks in nobody's name.
    pub(super) fn asker(&self) -> Option<(&str, &str)> {
        match &self.credentials {
            Credentials::Parameters { user, password } => Some((
                std::str::from_utf8(user).ok()?,
                std::str::from_utf8(password).ok()?,
            )),
            Credentials::None | Credentials::Authorization(_) => None,
        }
    }

    /// Carries out one statement and gives its rows, of all series.
    ///
    /// # Errors
    /// [`NodeError`]: it cannot be reached, refuses, or says an error.
    pub(super) async fn ask(&self, database: &str, statement: &str) -> Result<Vec<Row>, NodeError> {
        let series = self.ask_by_series(database, statement).await?;
        Ok(series.into_iter().flat_map(|(_, rows)| rows).collect())
    }

    /// Carries out one statement and gives its rows, series by series. A long series comes in several parts.
    ///
    /// # Errors
    /// [`NodeError`]: it cannot be reached, refuses, or says an error.
    pub(super) async fn ask_by_series(
        &self,
        database: &str,
        statement: &str,
    ) -> Result<Vec<NamedRows>, NodeError> {
        // In chunks, because a node's `max-row-limit` cuts other answers.
        let mut answer = self.query(database, statement, "", JSON).await?;
        let body = answer.body(MAX_ANSWER).await?;
        match answer.status() {
            200 => match read_chunked_answer(&body) {
                Some(Ok(series)) => Ok(series),
                Some(Err(error)) => Err(self.fault(200, error)),
                None => Err(self.unreadable("it is not InfluxDB's")),
            },
            status => Err(self.fault(status, words_of(&body, scan_answer(&body)))),
        }
    }

    /// The points of a slice, series by series, each series in the order of time.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn points(&self, slice: &Slice) -> Result<PointStream, NodeError> {
        let Slice {
            database,
            policy,
            measurement,
            from,
            until,
        } = slice;
        let measurement = format!("{}.{}", identifier(policy), identifier(measurement));
        let unsigned = self.unsigned_fields(database, &measurement).await?;
        let statement = format!(
            "SELECT *::field FROM {}.{measurement} WHERE time >= {from} AND time < {until} GROUP BY *",
            identifier(database)
        );
        self.stream(database, &statement, unsigned).await
    }

    /// The points of some series of a slice, each in some times of which both ends are meant, whatever the slice's time is.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn points_of(
        &self,
        slice: &Slice,
        wanted: &[(&Tags, &[(i64, i64)])],
    ) -> Result<Vec<Series>, NodeError> {
        let Slice {
            database,
            policy,
            measurement,
            ..
        } = slice;
        let measurement = format!("{}.{}", identifier(policy), identifier(measurement));
        let unsigned = self.unsigned_fields(database, &measurement).await?;
        let mut statements = String::new();
        for (tags, spans) in wanted {
            let tagged: String = tags
                .iter()
                .map(|(key, value)| format!(" AND {}::tag = {}", identifier(key), string(value)))
                .collect();
            for (from, until) in *spans {
                statements.push_str(&format!(
                    "SELECT *::field FROM {}.{measurement} WHERE time >= {from} AND time <= {until}{tagged} GROUP BY *;",
                    identifier(database)
                ));
            }
        }
        let mut stream = self.stream(database, &statements, unsigned).await?;
        let wanted: HashSet<&Tags> = wanted.iter().map(|(tags, _)| *tags).collect();
        let mut points = Vec::new();
        while let Some(series) = stream.next().await? {
            // A series that has these tags and others matches too.
            if wanted.contains(&series.tags) {
                points.push(series);
            }
        }
        Ok(points)
    }

    /// The rows of a `SELECT` with their types, as [`Node::points`] gives them. An unsigned number up to 127 is given as an integer.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn select(
        &self,
        database: &str,
        statement: &str,
    ) -> Result<PointStream, NodeError> {
        self.stream(database, statement, HashSet::new()).await
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
        let request = Request {
            path: "/write",
            parameters: &[("db", database), ("rp", policy), ("precision", "ns")],
            accept: JSON,
            content_type: "text/plain; charset=utf-8",
            body: lines,
        };
        let mut answer = self.send(request).await?;
        let status = answer.status();
        let body = answer.body(MAX_REFUSAL).await?;
        let words = || words_of(&body, scan_answer(&body));
        match judge_write(status, &body) {
            Verdict::Applied => Ok(Written::All),
            // InfluxDB always says how many.
            Verdict::Expired { dropped } => Ok(Written::Expired(dropped.unwrap_or(1))),
            // A shard that failed to open stays so until the node starts again.
            Verdict::TryAgain(_) | Verdict::ShardFailed => Err(self.busy(status, words())),
            Verdict::Unauthorized => Err(self.unauthorized(status, words())),
            Verdict::Refused
            | Verdict::DatabaseNotFound
            | Verdict::RetentionPolicyNotFound
            | Verdict::TooLarge => Err(self.refused(words())),
            Verdict::Unexpected => {
                Err(self.unreadable(format_args!("status {status}: {}", words())))
            }
        }
    }

    /// The fields whose numbers are unsigned wherever they are whole. One that is unsigned in some shards and an integer in others is
    /// not among them: InfluxDB refuses such a number where it does not belong.
    async fn unsigned_fields(
        &self,
        database: &str,
        measurement: &str,
    ) -> Result<HashSet<String>, NodeError> {
        let statement = format!(
            "SHOW FIELD KEYS ON {} FROM {measurement}",
            identifier(database)
        );
        let rows = self.ask(database, &statement).await?;
        let of_type = |wanted: &str| -> HashSet<String> {
            let named = rows.iter().filter(|row| text(row, "fieldType") == wanted);
            named.map(|row| text(row, "fieldKey").to_owned()).collect()
        };
        let (unsigned, integers) = (of_type("unsigned"), of_type("integer"));
        Ok(unsigned.difference(&integers).cloned().collect())
    }

    async fn stream(
        &self,
        database: &str,
        statement: &str,
        unsigned: HashSet<String>,
    ) -> Result<PointStream, NodeError> {
        let mut answer = self
            .query(database, statement, CHUNK_POINTS, MESSAGE_PACK)
            .await?;
        match answer.status() {
            200 => Ok(PointStream::new(answer, unsigned)),
            status => {
                let body = answer.body(MAX_REFUSAL).await?;
                let words = match read_document(&body, &unsigned) {
                    Err(Fault::Said(error)) => error,
                    Ok(_) | Err(Fault::Malformed(_)) => words_of(&body, scan_answer(&body)),
                };
                Err(self.fault(status, words))
            }
        }
    }

    async fn query(
        &self,
        database: &str,
        statement: &str,
        chunk_size: &str,
        accept: &'static str,
    ) -> Result<Answer, NodeError> {
        let form = encoded(&[
            ("q", statement),
            ("epoch", "ns"),
            ("chunked", "true"),
            ("chunk_size", chunk_size),
        ]);
        self.send(Request {
            path: "/query",
            parameters: &[("db", database)],
            accept,
            content_type: "application/x-www-form-urlencoded",
            body: form.into(),
        })
        .await
    }
}

/// A column's text, empty if there is none.
pub(super) fn text<'row>(row: &'row Row, column: &str) -> &'row str {
    let found = row.iter().find(|(name, _)| name == column);
    found
        .and_then(|(_, value)| value.as_str())
        .unwrap_or_default()
}
