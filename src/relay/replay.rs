//! Sending a dead letter's record to the replica that refused it, once more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::dial::Dialer;
use crate::influx::{StatementVerdict, Verdict, pack_gzip};
use crate::relay::record::change::Change;
use crate::relay::record::statement::StatementRecord;
use crate::relay::record::write::{Form, WriteRecord};
use crate::relay::replica::client::{ReplicaClient, SendError};
use crate::relay::replica::request::{Pieces, statement_head, write_request_header};
use crate::relay::replicator::queue::split::Parts;
use crate::relay::verdict::pending::Report;

/// What the replica said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It has the record now.
    Applied,
    /// It has what was not older than its retention policy.
    Expired {
        /// How many points were too old, if it said so.
        dropped: Option<u64>,
    },
    /// It does not have it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        reason: String,
    },
}

/// Why the replica said nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Nothing was sent.
    #[error("{reason}")]
    Unreachable {
        /// Address and cause.
        reason: String,
    },
    /// It may or may not have the record now.
    #[error("{reason}; it may have been stored all the same")]
    NoAnswer {
        /// Address and cause.
        reason: String,
    },
}

impl From<SendError> for ReplayError {
    fn from(error: SendError) -> ReplayError {
        let reason = error.to_string();
        match error {
            SendError::Connect { .. } => ReplayError::Unreachable { reason },
            SendError::NoAnswer { .. } | SendError::GivenUp | SendError::Timeout { .. } => {
                ReplayError::NoAnswer { reason }
            }
        }
    }
}

/// Sends the record in the name of who wrote it, over connections of `dialer`. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// There was no answer within `timeout`, of a statement within ten times that.
pub async fn replay(
    record: &Change,
    address: SocketAddr,
    dialer: &Arc<Dialer>,
    timeout: Duration,
) -> Result<Replayed, ReplayError> {
    let client = |timeout| ReplicaClient::new(Arc::clone(dialer), timeout);
    match record {
        Change::Write(write) => replay_write(write, address, &client(timeout)).await,
        Change::Statement(statement) => {
            let client = client(timeout.saturating_mul(10));
            replay_statement(statement, address, &client).await
        }
    }
}

/// In pieces if it is too large for the replica, and a single line in gzip. Ends at the first piece that is refused.
async fn replay_write(
    record: &WriteRecord,
    address: SocketAddr,
    client: &ReplicaClient,
) -> Result<Replayed, ReplayError> {
    let mut parts: Option<Parts> = None;
    let mut packed: Option<Bytes> = None;
    let mut sum = Replayed::Applied;
    loop {
        let plain = match &parts {
            Some(parts) => parts.next(),
            None => record.body.clone(),
        };
        let size = plain.len();
        let is_packed = packed.is_some();
        let body = packed.take().unwrap_or_else(|| plain.clone());
        let mut request = Pieces::default();
        request.push(write_request_header(
            &record.destination,
            client.recipient(address),
            body.len(),
            is_packed,
        ));
        request.push(body);
        let answer = client.exchange(address, request).await?;
        match answer.judge_write() {
            Verdict::Applied => {}
            Verdict::Expired { dropped } => sum = sum.and_expired(dropped),
            Verdict::TooLarge if !is_packed && cut(&mut parts, record, size / 2) => continue,
            verdict => {
                if verdict == Verdict::TooLarge
                    && !is_packed
                    && record.destination.form == Form::LineProtocol
                {
                    packed = pack_gzip(&plain).map(Bytes::from);
                    if packed.is_some() {
                        continue;
                    }
                }
                return Ok(Replayed::Refused {
                    status: answer.status,
                    reason: answer.words(),
                });
            }
        }
        if parts
            .as_mut()
            .is_none_or(|parts| parts.judged(Report::Applied).is_some())
        {
            return Ok(sum);
        }
    }
}

async fn replay_statement(
    statement: &StatementRecord,
    address: SocketAddr,
    client: &ReplicaClient,
) -> Result<Replayed, ReplayError> {
    let mut request = Pieces::default();
    request.push(statement_head(statement, client.recipient(address)));
    request.push(statement.body.clone());
    let answer = client.exchange(address, request).await?;
    Ok(match answer.judge_statement(statement.is_query()) {
        StatementVerdict::Applied => Replayed::Applied,
        _ => Replayed::Refused {
            status: answer.status,
            reason: answer.words(),
        },
    })
}

/// Whether what was sent goes again in pieces of at most `most` bytes.
fn cut(parts: &mut Option<Parts>, record: &WriteRecord, most: usize) -> bool {
    if let Some(parts) = parts {
        return parts.cut(most);
    }
    *parts = Parts::of(record, most);
    parts.is_some()
}

impl Replayed {
    fn and_expired(self, dropped: Option<u64>) -> Replayed {
        match self {
            Replayed::Expired { dropped: before } => Replayed::Expired {
                dropped: before
                    .zip(dropped)
                    .map(|(before, more)| before.saturating_add(more)),
            },
            Replayed::Applied | Replayed::Refused { .. } => Replayed::Expired { dropped },
        }
    }
}
