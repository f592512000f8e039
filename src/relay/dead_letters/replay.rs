//! Sending a dead letter's record to the replica that refused it, once more.

use std::net::SocketAddr;
use std::time::Duration;

use crate::influx::{
    StatementVerdict, Verdict, judge_statement, judge_write, refusal_of_replica, statement_error,
};
use crate::relay::change::Change;
use crate::relay::client::{ReplicaAnswer, ReplicaClient, SendError};
use crate::relay::statement_record::StatementRecord;
use crate::relay::wire::{Pieces, statement_head, write_head};

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
            SendError::NoAnswer { .. } | SendError::Timeout { .. } => {
                ReplayError::NoAnswer { reason }
            }
        }
    }
}

/// Sends the record in the name of who wrote it. Needs a tokio runtime with I/O and time.
///
/// # Errors
/// There was no answer within `timeout`, of a statement within ten times that.
pub async fn replay(
    record: &Change,
    address: SocketAddr,
    timeout: Duration,
) -> Result<Replayed, ReplayError> {
    let (head, timeout) = match record {
        Change::Write(write) => {
            let head = write_head(&write.destination, address, write.body.len());
            (head, timeout)
        }
        Change::Statement(statement) => (
            statement_head(statement, address),
            timeout.saturating_mul(10),
        ),
    };
    let mut request = Pieces::default();
    request.push(head);
    request.push(record.body().clone());
    let answer = ReplicaClient::new(timeout)
        .exchange(address, request)
        .await?;
    Ok(match record {
        Change::Write(_) => judge_replayed_write(&answer),
        Change::Statement(statement) => judge_replayed_statement(statement, &answer),
    })
}

fn judge_replayed_write(answer: &ReplicaAnswer) -> Replayed {
    match judge_write(answer.status, &answer.body) {
        Verdict::Applied => Replayed::Applied,
        Verdict::Expired { dropped } => Replayed::Expired { dropped },
        _ => Replayed::Refused {
            status: answer.status,
            reason: refusal_of_replica(answer.status, &answer.body).message,
        },
    }
}

fn judge_replayed_statement(statement: &StatementRecord, answer: &ReplicaAnswer) -> Replayed {
    match judge_statement(statement.is_query(), answer.status, &answer.body) {
        StatementVerdict::Applied => Replayed::Applied,
        _ => Replayed::Refused {
            status: answer.status,
            reason: statement_error(&answer.body)
                .unwrap_or_else(|| refusal_of_replica(answer.status, &answer.body).message),
        },
    }
}
