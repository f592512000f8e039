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
mod process;
mod question;
mod rpc;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bstr::{BString, ByteSlice};
use bytes::Bytes;

use self::document::{Fault, read_document, read_names};
use self::exchange::{Answer, Idle, Request, encoded};
use self::points::ChunkSizes;
use self::question::{Wanted, source_in_database, time_between};
use super::pace::Pace;
use crate::dial::Dialer;
use crate::influx::influxql::{identifier, may_hold_secret};
use crate::influx::message_pack::Extent;
use crate::influx::query_answer::{NamedRows, Row, read_chunked_answer};
use crate::influx::{Account, FORM, Uploaded, Verdict, judge_write, scan_answer, words_of};
use crate::relay::Tenure;

/// A series' tags: keys and values, ordered by key.
type Tags = Vec<(BString, BString)>;

const JSON: &str = "application/json";
const MESSAGE_PACK: &str = "application/x-msgpack";

/// The most bytes of an answer that is not read as a stream: 500,000 names of measurements of 100 bytes.
const MAX_ANSWER: usize = 64 << 20;

/// The most bytes of a refusal.
const MAX_REFUSAL: usize = 1 << 20;

pub(super) use error::NodeError;
pub(super) use lines::{append_lines, push_value};
pub(super) use points::{PointStream, Series, Value};
pub(super) use process::Process;
pub(super) use question::{
    Question, SPECIAL_KEYS, is_of_first_years, is_sayable, of_series, source, time_of,
};
pub(super) use secret::{PasswordStatement, Unsayable};

/// A node, and who asks.
#[derive(Clone)]
pub(super) struct Node {
    name: String,
    address: SocketAddr,
    dialer: Arc<Dialer>,
    /// What it has to be, on each connection; none: whatever is there.
    tenure: Option<Tenure>,
    rpc_port: Option<u16>,
    /// Who asks.
    asker: Option<Account>,
    timeout: Duration,
    idle: Idle,
    pace: Arc<Pace>,
    chunk_sizes: Arc<ChunkSizes>,
}

/// Points of one measurement in one policy, within `from..until` (nanoseconds since 1970; `until` is left out). It lies within one
/// shard group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slice {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) measurement: BString,
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
    /// `asker` is who asks, by the account that it has on this node. `timeout`: of the silence between two pieces of an answer. Before the first one a node may compute for longer.
    pub(super) fn new(
        name: String,
        address: SocketAddr,
        dialer: Arc<Dialer>,
        asker: Option<Account>,
        timeout: Duration,
    ) -> Node {
        Node {
            name,
            address,
            dialer,
            tenure: None,
            rpc_port: None,
            asker,
            timeout,
            idle: Idle::default(),
            pace: Arc::new(Pace::new(None, None)),
            chunk_sizes: Arc::default(),
        }
    }

    /// Points are read at no more than `rate` bytes a second, and the node works for all questions together for no more than `load`
    /// hundredths of the time.
    pub(super) fn paced(self, rate: Option<u64>, load: Option<u32>) -> Node {
        Node {
            pace: Arc::new(Pace::new(rate, load)),
            ..self
        }
    }

    /// The same node, of which nothing is heard, and to which nothing is sent, but for as long as it is the one that it was; without a
    /// tenure, whatever is at its address.
    pub(super) fn during(&self, tenure: Option<Tenure>) -> Node {
        Node {
            tenure,
            // Of the others nobody has asked who is at their end.
            idle: Idle::default(),
            ..self.clone()
        }
    }

    /// Whether it follows the journal and is the node that it was.
    pub(super) fn lasts(&self) -> bool {
        let tenure = self.tenure.as_ref();
        tenure.is_some_and(|tenure| tenure.lasts().is_ok())
    }

    /// The same node without such limits: for what clients wait for, and for a node that serves none.
    pub(super) fn at_once(&self) -> Node {
        self.clone().paced(None, None)
    }

    /// The server's name in its pool.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Name and password of who asks; none if it asks in nobody's name.
    pub(super) fn asker(&self) -> Option<(&str, &str)> {
        let asker = self.asker.as_ref()?;
        Some((
            asker.username(),
            std::str::from_utf8(asker.password()).ok()?,
        ))
    }

    /// The accounts that it has of its own, by the names of those of the pool in whose place they are.
    pub(super) fn own_accounts(&self) -> BTreeMap<String, Account> {
        self.dialer.own_accounts()
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

    /// Carries out a `SHOW` statement and gives the first column of its rows, names of any bytes.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn names(
        &self,
        database: &str,
        statement: &str,
    ) -> Result<Vec<BString>, NodeError> {
        let mut answer = self.query(database, statement, "", MESSAGE_PACK).await?;
        if answer.status() != 200 {
            return Err(self.refusal(&mut answer).await);
        }
        let body = answer.body(MAX_ANSWER).await?;
        let mut rest = body.as_slice();
        let mut names = Vec::new();
        while !rest.is_empty() {
            let whole = Extent::new().whole(rest);
            let whole = whole.map_err(|error| self.unreadable(error))?;
            let document = whole.and_then(|length| rest.split_at_checked(length));
            let Some((document, behind)) = document else {
                return Err(self.unreachable("its answer ends early"));
            };
            names.extend(read_names(document).map_err(|fault| match fault {
                Fault::Said(error) => self.fault(200, error),
                Fault::Malformed(error) => self.unreadable(error),
            })?);
            rest = behind;
        }
        Ok(names)
    }

    /// The points of a slice, series by series, each series in the order of time.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn points(&self, slice: &Slice) -> Result<PointStream, NodeError> {
        let wanted = Wanted {
            until: is_of_first_years(slice).then_some(slice.until),
            ..self.all_of(slice).await?
        };
        let statement = format!(
            "SELECT *::field FROM {} WHERE {} GROUP BY *",
            source(slice),
            time_of(slice)
        );
        self.stream(&statement, wanted).await
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
        let mut statements = String::new();
        let mut times: HashMap<&Tags, Vec<(i64, i64)>> = HashMap::new();
        for (tags, spans) in wanted {
            times.entry(tags).or_default().extend(*spans);
            let tagged = of_series(tags);
            for (from, until) in *spans {
                statements.push_str(&format!(
                    "SELECT *::field FROM {} WHERE {}{tagged} GROUP BY *;",
                    source(slice),
                    time_between(*from, *until)
                ));
            }
        }
        let mut stream = self.stream(&statements, self.all_of(slice).await?).await?;
        let mut points = Vec::new();
        while let Some(mut series) = stream.next().await? {
            // A series that has these tags and others matches too.
            let Some(spans) = times.get(&series.tags) else {
                continue;
            };
            series.rows.retain(|(time, _)| {
                let mut spans = spans.iter();
                spans.any(|(from, until)| from <= time && time <= until)
            });
            points.push(series);
        }
        Ok(points)
    }

    /// The rows of a `SELECT` with their types, as [`Node::points`] gives them. An unsigned number up to 127 is given as an integer.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(super) async fn select(&self, question: &Question<'_>) -> Result<PointStream, NodeError> {
        let slice = question.slice;
        self.can_read(slice.measurement.as_bstr())?;
        let wanted = Wanted {
            database: slice.database.clone(),
            measurement: slice.measurement.clone(),
            tags: question.tags.cloned(),
            until: is_of_first_years(slice).then_some(slice.until),
            unsigned: HashSet::new(),
        };
        self.stream(&question.statement, wanted).await
    }

    /// All points of a slice's measurement, whatever their time and policy are.
    async fn all_of(&self, slice: &Slice) -> Result<Wanted, NodeError> {
        self.can_read(slice.measurement.as_bstr())?;
        Ok(Wanted {
            database: slice.database.clone(),
            measurement: slice.measurement.clone(),
            tags: None,
            until: None,
            unsigned: self.unsigned_fields(slice).await?,
        })
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
    async fn unsigned_fields(&self, slice: &Slice) -> Result<HashSet<String>, NodeError> {
        let database = &slice.database;
        let statement = format!(
            "SHOW FIELD KEYS ON {} FROM {}",
            identifier(database),
            source_in_database(slice)
        );
        let rows = self.ask(database, &statement).await?;
        let of_type = |wanted: &str| -> HashSet<String> {
            let named = rows.iter().filter(|row| text(row, "fieldType") == wanted);
            named.map(|row| text(row, "fieldKey").to_owned()).collect()
        };
        let (unsigned, integers) = (of_type("unsigned"), of_type("integer"));
        Ok(unsigned.difference(&integers).cloned().collect())
    }

    async fn stream(&self, statement: &str, wanted: Wanted) -> Result<PointStream, NodeError> {
        let Wanted {
            database,
            measurement,
            ..
        } = &wanted;
        let chunk = self.chunk_sizes.of(database, measurement.as_bstr());
        let points = chunk.to_string();
        let mut answer = self
            .query(database, statement, &points, MESSAGE_PACK)
            .await?;
        match answer.status() {
            200 => Ok(PointStream::new(answer, wanted, chunk)),
            _ => Err(self.refusal(&mut answer).await),
        }
    }

    /// What an answer in MessagePack of another status than 200 says.
    async fn refusal(&self, answer: &mut Answer) -> NodeError {
        let status = answer.status();
        let body = match answer.body(MAX_REFUSAL).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        let words = match read_document(&body, &HashSet::new()) {
            Err(Fault::Said(error)) => error,
            Ok(_) | Err(Fault::Malformed(_)) => words_of(&body, scan_answer(&body)),
        };
        self.fault(status, words)
    }

    async fn query(
        &self,
        database: &str,
        statement: &str,
        chunk_size: &str,
        accept: &'static str,
    ) -> Result<Answer, NodeError> {
        let shape = [
            ("epoch", "ns"),
            ("chunked", "true"),
            ("chunk_size", chunk_size),
        ];
        let mut parameters = vec![("db", database)];
        let (content_type, body) = if may_hold_secret(statement.as_bytes()) {
            parameters.extend(shape);
            let Uploaded { content_type, body } = Uploaded::new(statement.as_bytes());
            (content_type, body.into())
        } else {
            let form = encoded(&[&[("q", statement)][..], &shape].concat());
            (FORM.to_owned(), form.into())
        };
        self.send(Request {
            path: "/query",
            parameters: &parameters,
            accept,
            content_type: &content_type,
            body,
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
