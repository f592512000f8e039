//! What a node says of the queries that it runs (`SHOW QUERIES`), and the order to end one (`KILL QUERY`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::config::PasswordFileError;
use crate::config::model::Login;
use crate::dial::{Call, DialError, Dialer};
use crate::http_response::{ResponseError, ResponseReader};
use crate::influx::influxql::fingerprint;
use crate::influx::influxql::time::duration;
use crate::influx::query_answer::{QueryAnswer, Row, read_query_answer};

/// The longest that one question may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The most bytes of an answer: it holds the texts of all queries.
const MAX_ANSWER: usize = 16 << 20;

/// A node, and who asks.
pub(super) struct AskedNode {
    pub(super) address: SocketAddr,
    pub(super) dialer: Arc<Dialer>,
    /// An administrator; none asks in nobody's name.
    pub(super) login: Option<Login>,
}

/// A query as a node lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: u64,
    pub(super) fingerprint: Option<String>,
    pub(super) database: String,
    /// How long it has run, rounded down to seconds; to milliseconds if it is less than one.
    pub(super) age: Duration,
    /// It is to end, and has not.
    pub(super) is_killed: bool,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum NodeError {
    #[error(transparent)]
    Password(#[from] PasswordFileError),
    #[error("there is no connection: {0}")]
    Dial(#[from] DialError),
    #[error("it cannot be asked: {0}")]
    Sending(#[from] std::io::Error),
    #[error(transparent)]
    Answer(#[from] ResponseError),
    #[error("there was no answer within {} s", LONGEST.as_secs())]
    Slow,
    #[error("it answered {0}")]
    Status(u16),
    #[error("it said: {0}")]
    Refused(String),
    #[error("its answer is none of InfluxDB's")]
    Unreadable,
}

impl Listed {
    /// Whether it may be this old: between `youngest` and `oldest`.
    pub(super) fn may_be_of(&self, youngest: Duration, oldest: Duration) -> bool {
        let left_out = match self.age.as_secs() {
            0 => Duration::from_millis(1),
            _ => Duration::from_secs(1),
        };
        self.age <= oldest && self.age + left_out >= youngest
    }
}

impl AskedNode {
    /// What it runs.
    pub(super) async fn queries(&self) -> Result<Vec<Listed>, NodeError> {
        let rows = self.ask("SHOW QUERIES").await?;
        Ok(rows.iter().filter_map(listed).collect())
    }

    /// Ends one.
    pub(super) async fn kill(&self, id: u64) -> Result<(), NodeError> {
        self.ask(&format!("KILL QUERY {id}")).await.map(|_| ())
    }

    async fn ask(&self, statement: &str) -> Result<Vec<Row>, NodeError> {
        let asked = timeout(LONGEST, self.ask_without_deadline(statement)).await;
        asked.map_err(|_| NodeError::Slow)?
    }

    async fn ask_without_deadline(&self, statement: &str) -> Result<Vec<Row>, NodeError> {
        let statement = utf8_percent_encode(statement, NON_ALPHANUMERIC);
        let mut head = format!(
            "POST /query?q={statement} HTTP/1.1\r\nHost: {}\r\nUser-Agent: haflux\r\nAccept: application/json\r\nContent-Length: 0\r\nConnection: close\r\n",
            self.address
        );
        if let Some(login) = &self.login {
            let account = self.dialer.account(login.account()?);
            head.push_str(&format!("Authorization: {}\r\n", account.header()));
        }
        head.push_str("\r\n");
        let mut connection = self
            .dialer
            .dial(self.address, Call::within(LONGEST))
            .await?;
        connection.write_all(head.as_bytes()).await?;
        connection.flush().await?;
        let mut reader = ResponseReader::new(connection);
        let status = reader.begin().await?.status();
        if status != 200 {
            return Err(NodeError::Status(status));
        }
        let mut body = Vec::new();
        while let Some(piece) = reader.piece().await? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER {
                return Err(NodeError::Unreadable);
            }
        }
        match read_query_answer(&body).ok_or(NodeError::Unreadable)? {
            QueryAnswer::Rows(rows) => Ok(rows),
            QueryAnswer::Failed(reason) => Err(NodeError::Refused(reason)),
        }
    }
}

/// A row of `SHOW QUERIES`: `qid`, `query`, `database`, `duration` as Go writes it, `status`.
fn listed(row: &Row) -> Option<Listed> {
    let value = |name: &str| {
        let (_, value) = row.iter().find(|(column, _)| column == name)?;
        Some(value)
    };
    let text = |name: &str| value(name)?.as_str();
    let nanoseconds = duration(text("duration")?.as_bytes()).unwrap_or_default();
    Some(Listed {
        id: value("qid")?.as_u64()?,
        fingerprint: fingerprint(text("query")?.as_bytes()),
        database: text("database")?.to_owned(),
        age: Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default()),
        is_killed: text("status") == Some("killed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_queries_is_read() {
        let answer = br#"{"results":[{"statement_id":0,"series":[{"columns":["qid","query","database","duration","status"],"values":[
            [7,"SELECT mean(v) FROM m WHERE time > now() - 1h","d","1m3s","running"],
            [8,"SELECT v FROM \"a b\"","","250ms","killed"],[9,"SHOW QUERIES","","11\u00b5s","running"]]}]}]}"#;
        let Some(QueryAnswer::Rows(rows)) = read_query_answer(answer) else {
            panic!("it is no answer")
        };
        let listed: Vec<Listed> = rows.iter().filter_map(listed).collect();
        let one = |id, fingerprint: &str, database: &str, millis, is_killed| Listed {
            id,
            fingerprint: Some(fingerprint.to_owned()),
            database: database.to_owned(),
            age: Duration::from_millis(millis),
            is_killed,
        };
        let mean = "SELECT mean(v) FROM m WHERE time > now() - ?";
        let expected = [
            one(7, mean, "d", 63_000, false),
            one(8, "SELECT v FROM \"a b\"", "", 250, true),
            one(9, "SHOW QUERIES", "", 0, false),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn an_age_is_what_it_was_before_it_was_rounded() {
        let listed = |millis| Listed {
            id: 1,
            fingerprint: None,
            database: String::new(),
            age: Duration::from_millis(millis),
            is_killed: false,
        };
        for (said, youngest, oldest, expected) in [
            (5000, 5300, 5800, true),
            (5000, 4400, 4900, false),
            (5000, 6100, 6600, false),
            (4000, 4600, 5100, true),
            (250, 200, 700, true),
            (250, 300, 700, false),
            (70, 130, 434, false),
            (0, 0, 1, true),
        ] {
            let (youngest, oldest) = (
                Duration::from_millis(youngest),
                Duration::from_millis(oldest),
            );
            let may_be = listed(said).may_be_of(youngest, oldest);
            assert_eq!(may_be, expected, "{said} in {youngest:?}..{oldest:?}");
        }
    }
}
