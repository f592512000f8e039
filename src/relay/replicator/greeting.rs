//! The greeting: what a node is asked before anything is sent to it (rules R1 and R2).
//!
//! 1. A [`Sentinel`] connection is opened, unless one is still open: should the process end from here on, that is noticed.
//! 2. `GET /ping`: it answers, and says its version.
//! 3. Unless the way to it was never interrupted: when did its process start? If it is the one that was trusted, it lost nothing.
//! 4. Otherwise it is asked for the [`Proof`].
//!
//! | the node says | it is |
//! | --- | --- |
//! | here is the point | the one it was |
//! | no such point, or the database is not there | another one, or an older copy |
//! | no such point, but its retention policy no longer keeps points so old | not known by the point |
//! | the retention policy is not there | not known by the point: a statement may have removed it |
//! | 401, 403, or what is no answer to a query | not known by the point |
//! | 429, 5xx, nothing | to be asked again |
//!
//! What is not known by the point is asked whether the proof's database is there, by a write without a line: that stores
//! nothing, and who may only write may ask it too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::super::client::SendError;
use super::super::proof::Proof;
use super::super::replica::Replica;
use super::super::replica_answer::ReplicaAnswer;
use super::super::sentinel::Sentinel;
use super::super::wire::{Pieces, get_request, query_request, write_head};
use crate::influx::{
    QueryAnswer, RetentionPolicy, Started, Verdict, read_query_answer, read_started,
    retention_policies,
};

/// How long the start of the process is waited for: a node that does not say it is taken for one that started anew. Less than
/// the first requests after a start wait for the greetings.
const MAX_WAIT_FOR_START: Duration = Duration::from_secs(1);

/// By how much the node's clock may differ from ours.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

/// Policies that are searched for a point of which it is not known in which one it was stored.
const MAX_POLICIES: usize = 64;

/// What is known of a node before it is greeted.
pub(super) struct Greeting {
    pub(super) replica: Arc<Replica>,
    pub(super) address: SocketAddr,
    /// Whether a new sentinel may be opened.
    pub(super) may_open: bool,
    pub(super) sentinel: Option<Sentinel>,
    /// The process that was trusted last.
    pub(super) started: Option<Started>,
    /// Of the place that it would be set back to.
    pub(super) proof: Option<Arc<Proof>>,
}

/// How a greeting ended.
pub(super) struct Greeted {
    pub(super) sentinel: Option<Sentinel>,
    pub(super) outcome: Result<Welcome, Unwelcome>,
}

/// The node answers.
pub(super) struct Welcome {
    /// Its answer to the ping.
    pub(super) ping: ReplicaAnswer,
    pub(super) started: Option<Started>,
    pub(super) identity: Identity,
}

/// Who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// The same process as before.
    Same,
    /// It has the point.
    Proven,
    /// It cannot be asked for a point, and why; nothing else speaks against it.
    Unproven(String),
    /// It is not the node it was, and why.
    Another(String),
}

/// It is to be greeted again later.
pub(super) enum Unwelcome {
    /// No connection, or no answer.
    Broken(SendError),
    /// It answers that it cannot, for now.
    Busy {
        reason: String,
        retry_after: Option<Duration>,
    },
}

impl From<SendError> for Unwelcome {
    fn from(error: SendError) -> Unwelcome {
        Unwelcome::Broken(error)
    }
}

impl Greeting {
    pub(super) async fn run(mut self) -> Greeted {
        let outcome = self.greet().await;
        Greeted {
            sentinel: self.sentinel,
            outcome,
        }
    }

    async fn greet(&mut self) -> Result<Welcome, Unwelcome> {
        let was_never_interrupted = self.sentinel.is_some() && self.replica.is_trusted();
        if self.sentinel.is_none() && self.may_open {
            let timeout = self.replica.client.timeout();
            self.sentinel = Some(Sentinel::open(self.address, timeout).await?);
        }
        let ping = self.ask(get_request("/ping", self.address)).await?;
        if ping.status >= 500 {
            return Err(busy("a ping", &ping));
        }
        if was_never_interrupted {
            return Ok(Welcome {
                ping,
                started: self.started.take(),
                identity: Identity::Same,
            });
        }
        let started = self.ask_for_start().await;
        let identity = if started.is_some() && started == self.started {
            Identity::Same
        } else {
            match self.proof.clone() {
                Some(proof) => self.identify(&proof).await?,
                None => Identity::Unproven("no write is known yet that it must have".to_owned()),
            }
        };
        Ok(Welcome {
            ping,
            started,
            identity,
        })
    }

    async fn ask(&self, request: Bytes) -> Result<ReplicaAnswer, SendError> {
        let mut pieces = Pieces::default();
        pieces.push(request);
        self.replica.client.exchange(self.address, pieces).await
    }

    async fn ask_for_start(&self) -> Option<Started> {
        let asked = self.ask(get_request("/debug/vars", self.address));
        let answer = tokio::time::timeout(MAX_WAIT_FOR_START, asked).await;
        let answer = answer.ok()?.ok()?;
        (answer.status == 200).then(|| read_started(&answer.body))?
    }

    async fn identify(&self, proof: &Proof) -> Result<Identity, Unwelcome> {
        let not_known = match self.query(proof, &proof.question()).await? {
            Reply::Rows(rows) if !rows.is_empty() => return Ok(Identity::Proven),
            Reply::Rows(_) => return self.identify_elsewhere(proof).await,
            Reply::NoDatabase => return Ok(without_database(proof)),
            Reply::NotAsked(why) => why,
        };
        self.identify_database(proof, not_known).await
    }

    /// The point is not where it was asked for first: it may be in another policy, or have been kept as long as was agreed.
    async fn identify_elsewhere(&self, proof: &Proof) -> Result<Identity, Unwelcome> {
        let policies = match self.query(proof, &proof.question_for_policies()).await? {
            Reply::Rows(rows) => retention_policies(&rows),
            Reply::NoDatabase => return Ok(without_database(proof)),
            Reply::NotAsked(why) => return self.identify_database(proof, why).await,
        };
        let mut candidates = policies;
        if !proof.retention_policy.is_empty() {
            candidates.retain(|policy| policy.name == proof.retention_policy);
        }
        if candidates.iter().any(|policy| may_be_past(policy, proof)) {
            let why = "its retention policy does not keep points so old".to_owned();
            return self.identify_database(proof, why).await;
        }
        // The default policy may be another one than it was.
        if proof.retention_policy.is_empty() {
            candidates.truncate(MAX_POLICIES);
            let names: Vec<&str> = candidates
                .iter()
                .map(|policy| policy.name.as_str())
                .collect();
            match self.query(proof, &proof.question_in(&names)).await? {
                Reply::Rows(rows) if !rows.is_empty() => return Ok(Identity::Proven),
                Reply::Rows(_) | Reply::NoDatabase => {}
                Reply::NotAsked(why) => return self.identify_database(proof, why).await,
            }
        }
        Ok(Identity::Another(format!(
            "database {:?} has not the point of measurement {:?} at {} ns that it had accepted",
            proof.database, proof.point.measurement, proof.point.time
        )))
    }

    /// The point cannot be asked for: is at least the database there?
    async fn identify_database(&self, proof: &Proof, why: String) -> Result<Identity, Unwelcome> {
        let answer = self
            .ask(write_head(&proof.destination(), self.address, 0, false))
            .await?;
        Ok(match answer.judge_write() {
            Verdict::DatabaseNotFound => without_database(proof),
            Verdict::TryAgain(_) => return Err(busy("a write without a line", &answer)),
            _ => Identity::Unproven(why),
        })
    }

    async fn query(&self, proof: &Proof, statement: &str) -> Result<Reply, Unwelcome> {
        let request = query_request(statement, &proof.database, &proof.credentials, self.address);
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
    Rows(Vec<crate::influx::query_answer::Row>),
    NoDatabase,
    /// It cannot be asked that, and why.
    NotAsked(String),
}

fn without_database(proof: &Proof) -> Identity {
    Identity::Another(format!(
        "database {:?} is not there, in which it had accepted a point of measurement {:?}",
        proof.database, proof.point.measurement
    ))
}

/// Whether the policy may have let go of the point.
fn may_be_past(policy: &RetentionPolicy, proof: &Proof) -> bool {
    let Some(duration) = policy.duration else {
        return false;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let kept_since = now.as_nanos().cast_signed() + MAX_CLOCK_DIFFERENCE.as_nanos().cast_signed()
        - duration.as_nanos().cast_signed();
    i128::from(proof.point.time) < kept_since
}

fn busy(to_what: &str, answer: &ReplicaAnswer) -> Unwelcome {
    /// How much of a strange answer is shown.
    const SHOWN: usize = 200;
    let text = answer.body.get(..SHOWN).unwrap_or(&answer.body);
    Unwelcome::Busy {
        reason: format!(
            "it answers {} to {to_what}: {}",
            answer.status,
            String::from_utf8_lossy(text).trim()
        ),
        retry_after: answer.retry_after,
    }
}
