//! Sending a dead letter's record to the replica that refused it, once more.

use std::net::SocketAddr;
use std::time::Duration;

use crate::influx::{Verdict, judge_write, refusal_of_replica};
use crate::relay::client::{ReplicaClient, SendError};
use crate::relay::record::WriteRecord;
use crate::relay::wire::{Pieces, write_head};

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
        /// What they mean.
        verdict: Verdict,
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
/// There was no answer within `timeout`.
pub async fn replay(
    record: &WriteRecord,
    address: SocketAddr,
    timeout: Duration,
) -> Result<Replayed, ReplayError> {
    let mut request = Pieces::default();
    request.push(write_head(&record.destination, address, record.body.len()));
    request.push(record.body.clone());
    let answer = ReplicaClient::new(timeout)
        .exchange(address, request)
        .await?;
    Ok(match judge_write(answer.status, &answer.body) {
        Verdict::Applied => Replayed::Applied,
        Verdict::Expired { dropped } => Replayed::Expired { dropped },
        verdict => Replayed::Refused {
            status: answer.status,
            reason: refusal_of_replica(answer.status, &answer.body).message,
            verdict,
        },
    })
}
