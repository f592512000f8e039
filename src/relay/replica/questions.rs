//! What a node is asked about what it holds, in the name of who wrote it; nothing that is asked changes anything.
//!
//! | the node says to the question for a point | it means |
//! | --- | --- |
//! | here is the point | it is there |
//! | no such point, or the database is not there | it is missing |
//! | no such point, but its retention policy no longer keeps points so old | it cannot be asked for |
//! | the retention policy is not there | it cannot be asked for: a statement may have removed it |
//! | 401, 403, or what is no answer to a query | it cannot be asked for |
//! | 429, 5xx, nothing | to be asked again |
//!
//! Whether a database is there is asked by a write without a line: who may only write may ask it too.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::influx::query_answer::Row;
use crate::influx::{
    Credentials, QueryAnswer, RetentionPolicy, Verdict, read_query_answer, retention_policies,
};
use crate::relay::record::write::Destination;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::client::{ReplicaClient, SendError};
use crate::relay::replica::identity_point::IdentityPoint;
use crate::relay::replica::request::{Pieces, query_request, write_request_header};
use crate::shown;

/// By how much the node's clock may differ from ours.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

/// Policies that are searched for a point of which it is not known in which one it was stored.
const MAX_POLICIES: usize = 64;

/// A node that is asked.
#[derive(Clone, Copy)]
pub(in crate::relay) struct Asked<'a> {
    pub(in crate::relay) client: &'a ReplicaClient,
    pub(in crate::relay) address: SocketAddr,
}

/// Whether a point is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum PointAnswer {
    There,
    /// It is not, and what exactly.
    Missing(String),
    /// It cannot be asked for, and why.
    NotAsked(String),
}

/// Whether a database is there, for somebody who wrote to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum DatabaseAnswer {
    There,
    Missing,
    /// The credentials are not good for it: 401 or 403.
    Refused(u16),
}

/// There is no answer that says anything.
pub(in crate::relay) enum Unanswered {
    /// No connection, or no answer.
    Broken(SendError),
    /// It answers that it cannot, for now.
    Busy {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl From<SendError> for Unanswered {
    fn from(error: SendError) -> Unanswered {
        Unanswered::Broken(error)
    }
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unanswered::Broken(error) => error.fmt(f),
            Unanswered::Busy { reason, .. } => f.write_str(reason),
        }
    }
}

impl Asked<'_> {
    /// Sends a whole request without a body.
    pub(in crate::relay) async fn ask(&self, request: Bytes) -> Result<ReplicaAnswer, SendError> {
        let mut pieces = Pieces::default();
        pieces.push(request);
        self.client.exchange(self.address, pieces).await
    }

    /// Whether it has this point.
    pub(in crate::relay) async fn point(
        &self,
        identity_point: &IdentityPoint,
    ) -> Result<PointAnswer, Unanswered> {
        match self
            .query(identity_point, &identity_point.question())
            .await?
        {
            Reply::Rows(rows) if !rows.is_empty() => Ok(PointAnswer::There),
            Reply::Rows(_) => self.point_elsewhere(identity_point).await,
            Reply::NoDatabase => Ok(without_database(identity_point)),
            Reply::NotAsked(why) => Ok(PointAnswer::NotAsked(why)),
        }
    }

    /// The point is not where it was asked for first: it may be in another policy, or have been kept as long as was agreed.
    async fn point_elsewhere(
        &self,
        identity_point: &IdentityPoint,
    ) -> Result<PointAnswer, Unanswered> {
        let policies = match self
            .query(identity_point, &identity_point.question_for_policies())
            .await?
        {
            Reply::Rows(rows) => retention_policies(&rows),
            Reply::NoDatabase => return Ok(without_database(identity_point)),
            Reply::NotAsked(why) => return Ok(PointAnswer::NotAsked(why)),
        };
        let mut candidates = policies;
        if !identity_point.retention_policy.is_empty() {
            candidates.retain(|policy| policy.name == identity_point.retention_policy);
        }
        if candidates
            .iter()
            .any(|policy| may_be_past(policy, identity_point))
        {
            let why = "its retention policy does not keep points so old".to_owned();
            return Ok(PointAnswer::NotAsked(why));
        }
        // The default policy may be another one than it was.
        if identity_point.retention_policy.is_empty() {
            candidates.truncate(MAX_POLICIES);
            let names: Vec<&str> = candidates
                .iter()
                .map(|policy| policy.name.as_str())
                .collect();
            match self
                .query(identity_point, &identity_point.question_in(&names))
                .await?
            {
                Reply::Rows(rows) if !rows.is_empty() => return Ok(PointAnswer::There),
                Reply::Rows(_) | Reply::NoDatabase => {}
                Reply::NotAsked(why) => return Ok(PointAnswer::NotAsked(why)),
            }
        }
        Ok(PointAnswer::Missing(format!(
            "database {:?} has not the point of measurement {:?} at {} ns that it had accepted",
            shown::name(&identity_point.database),
            shown::name(&identity_point.point.measurement),
            identity_point.point.time
        )))
    }

    /// Whether it has this database.
    pub(in crate::relay) async fn database(
        &self,
        destination: &Destination,
    ) -> Result<DatabaseAnswer, Unanswered> {
        let to = self.client.recipient(self.address);
        let answer = self
            .ask(write_request_header(destination, to, 0, false))
            .await?;
        match answer.judge_write() {
            Verdict::DatabaseNotFound => Ok(DatabaseAnswer::Missing),
            Verdict::Unauthorized => Ok(DatabaseAnswer::Refused(answer.status)),
            Verdict::TryAgain(_) => Err(busy("a write without a line", &answer)),
            _ => Ok(DatabaseAnswer::There),
        }
    }

    /// The rows of a statement's answer; nothing where these credentials may not ask, or what answers is no InfluxDB.
    pub(in crate::relay) async fn rows(
        &self,
        statement: &str,
        database: &str,
        credentials: &Credentials,
    ) -> Result<Option<Vec<Row>>, Unanswered> {
        let request = query_request(
            statement,
            database,
            credentials,
            self.client.recipient(self.address),
        );
        let answer = self.ask(request).await?;
        if answer.status == 429 || answer.status >= 500 {
            return Err(busy("a query", &answer));
        }
        Ok(match read_query_answer(&answer.body) {
            Some(QueryAnswer::Rows(rows)) if answer.status == 200 => Some(rows),
            _ => None,
        })
    }

    async fn query(
        &self,
        identity_point: &IdentityPoint,
        statement: &str,
    ) -> Result<Reply, Unanswered> {
        let request = query_request(
            statement,
            &identity_point.database,
            &identity_point.credentials,
            self.client.recipient(self.address),
        );
        let answer = self.ask(request).await?;
        let status = answer.status;
        if status == 429 || status >= 500 {
            return Err(busy("a query", &answer));
        }
        if status != 200 {
            let said = answer.words();
            return Ok(Reply::NotAsked(format!("it answers {status} {said:?}")));
        }
        match read_query_answer(&answer.body) {
            Some(QueryAnswer::Rows(rows)) => Ok(Reply::Rows(rows)),
            Some(QueryAnswer::Failed(error)) if error.starts_with("database not found") => {
                Ok(Reply::NoDatabase)
            }
            Some(QueryAnswer::Failed(error))
                if error.starts_with("retention policy not found")
                    || error.starts_with("max-select-") =>
            {
                Ok(Reply::NotAsked(format!("it answers {error:?}")))
            }
            Some(QueryAnswer::Failed(_)) | None => Err(busy("a query", &answer)),
        }
    }
}

/// What a node made of a statement.
enum Reply {
    Rows(Vec<Row>),
    NoDatabase,
    /// It cannot be asked that, and why.
    NotAsked(String),
}

fn without_database(identity_point: &IdentityPoint) -> PointAnswer {
    PointAnswer::Missing(format!(
        "database {:?} is not there, in which it had accepted a point of measurement {:?}",
        shown::name(&identity_point.database),
        shown::name(&identity_point.point.measurement)
    ))
}

/// Whether the policy may have let go of the point.
fn may_be_past(policy: &RetentionPolicy, identity_point: &IdentityPoint) -> bool {
    let Some(duration) = policy.duration else {
        return false;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let kept_since = now.as_nanos().cast_signed() + MAX_CLOCK_DIFFERENCE.as_nanos().cast_signed()
        - duration.as_nanos().cast_signed();
    i128::from(identity_point.point.time) < kept_since
}

pub(in crate::relay) fn busy(to_what: &str, answer: &ReplicaAnswer) -> Unanswered {
    /// How much of a strange answer is shown.
    const SHOWN: usize = 200;
    let text = answer.body.get(..SHOWN).unwrap_or(&answer.body);
    Unanswered::Busy {
        reason: format!(
            "it answers {} to {to_what}: {}",
            answer.status,
            String::from_utf8_lossy(text).trim()
        ),
        retry_after: answer.retry_after,
    }
}
