//! A relay: admits a write, makes it a record, appends it, and answers when the policy is met.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use log::warn;

use crate::config::model::{self, Ack};
use crate::influx::{self, Answer, Route, UnpackError, WriteRequest, unpack_gzip};
use crate::journal::{self, AppendError, Journal};
use crate::stats::RelayStats;

use super::board::{Board, Outcome};
use super::dress::Asker;
use super::freshness::Freshness;
use super::inflight::{Inflight, Reservation};
use super::ingest::{Ingested, ingest};
use super::record::WRITE;
use super::replica::Replica;
use super::trust::Trust;

/// How many replicas had applied the write when it was answered, e.g. `1/2`.
pub const APPLIED_HEADER: HeaderName = HeaderName::from_static("x-haflux-applied");

/// How long the first requests after a start wait for the replicas to be asked.
const FIRST_MEETING: Duration = Duration::from_secs(2);

/// What a ping is told as long as no replica has named its version.
const UNKNOWN_VERSION: &str = "unknown";

/// Seconds that a client is told to wait before it tries a rejected write again.
pub(super) const RETRY_AFTER_SECONDS: u32 = 1;

/// A body from this size on is worked on outside the threads that serve requests.
const LARGE_BODY: usize = 1024 * 1024;

/// First guess of what a gzip body unfolds to, in times its size; and what a wrong guess is multiplied with.
const UNPACK_RATIO: usize = 16;

/// A relay.
pub struct Relay {
    pub(super) settings: model::Relay,
    pub(super) journal: Journal,
    pub(super) board: Arc<Board>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) replicas: Vec<Arc<Replica>>,
    pub(super) inflight: Arc<Inflight>,
    pub(super) trust: Arc<Trust>,
    pub(super) stats: Arc<RelayStats>,
}

/// How a request to a relay begins.
#[derive(Debug)]
pub enum Begun {
    /// It is answered without its body.
    Answered(Answer),
    /// Its body is wanted.
    Body(Box<Admitted>),
}

/// A write that was admitted; its body is still to come.
#[derive(Debug)]
pub struct Admitted {
    request: WriteRequest,
    reservation: Reservation,
    asker: Asker,
    received: usize,
}

impl Relay {
    /// Who may answer a read.
    pub fn freshness(&self) -> &Arc<Freshness> {
        &self.freshness
    }

    /// What the relay counts.
    pub fn stats(&self) -> &Arc<RelayStats> {
        &self.stats
    }

    /// Looks at a request's line and headers: answers what needs no body, refuses what cannot be taken, admits a write.
    pub fn begin(&self, method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Begun {
        let asker = Asker::of(headers);
        let answer = |answer: Answer| Begun::Answered(self.dress(answer, &asker, None));
        let endpoint = match influx::route(path) {
            Route::Write(endpoint) => endpoint,
            Route::Ping => {
                let version = self.version();
                let version = version
                    .as_ref()
                    .and_then(|version| version.to_str().ok())
                    .unwrap_or(UNKNOWN_VERSION);
                return answer(influx::answer_to_ping(
                    method,
                    query,
                    headers.get(header::ACCEPT),
                    version,
                ));
            }
            Route::Query | Route::Other => return answer(influx::answer_to_unknown_path()),
        };
        if let Some(other) = endpoint.answer_to_method(method, headers.get(header::ORIGIN)) {
            return answer(other);
        }
        let refuse = |refusal: influx::Refusal, pretty: bool| {
            answer(refusal.answer(asker.accept.as_ref(), pretty))
        };
        let request = match WriteRequest::parse(endpoint, query, headers) {
            Ok(request) => request,
            Err(refusal) => {
                return refuse(
                    refusal,
                    influx::wants_pretty(&influx::Parameters::parse(query)),
                );
            }
        };
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.settings.max_body) {
            return refuse(influx::Refusal::too_large(), request.pretty);
        }
        if let Err(refusal) = self.admit(&request) {
            self.stats.rejected.increment();
            return refuse(refusal, request.pretty);
        }
        let Some(reservation) = self.inflight.reserve(announced.unwrap_or(0)) else {
            self.stats.rejected.increment();
            return refuse(self.too_many(), request.pretty);
        };
        Begun::Body(Box::new(Admitted {
            request,
            reservation,
            asker,
            received: 0,
        }))
    }

    /// Rules W5 and W6: nothing is stored that the policy cannot be met for, or that a stranger sends while nobody can be asked.
    fn admit(&self, request: &WriteRequest) -> Result<(), influx::Refusal> {
        let name = &self.settings.name;
        let refuse = |reason| Err(influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS));
        if !self.board.admits() {
            let ack = ack_name(self.settings.ack);
            return refuse(format!(
                "relay {name}: too few replicas are in reach to meet ack = {ack}"
            ));
        }
        if let Some(bytes) = self.smallest_backlog()
            && bytes > self.settings.max_backlog as u64
        {
            return refuse(format!(
                "relay {name}: every replica is behind by more than max_backlog"
            ));
        }
        let trusted = || {
            self.trust
                .holds(&request.credentials, &request.database, Instant::now())
        };
        if !self.board.any_answers() && !trusted() {
            return refuse(format!(
                "relay {name}: no replicas answer, and these credentials have not written to this database lately"
            ));
        }
        Ok(())
    }

    /// Bytes that the most advanced replica has still to apply (rule R3: its backlog is never let go).
    fn smallest_backlog(&self) -> Option<u64> {
        let head = self.journal.durable().offset;
        let behind =
            |replica: &Arc<Replica>| head.saturating_sub(replica.stats.cursor_offset.get());
        self.replicas
            .iter()
            .filter(|replica| replica.follows())
            .map(behind)
            .min()
    }

    /// Returns once every replica has been asked for the first time, or at once if that is long over.
    pub async fn ready(&self) {
        if !self.board.all_met() {
            let _ = tokio::time::timeout(FIRST_MEETING, self.board.wait_until_all_met()).await;
        }
    }

    /// Counts a piece of the body that has arrived.
    ///
    /// # Errors
    /// The answer, when the body is larger than it may be or there is no room for it now.
    pub fn receive(&self, admitted: &mut Admitted, bytes: usize) -> Result<(), Answer> {
        admitted.received = admitted.received.saturating_add(bytes);
        if admitted.received > self.settings.max_body {
            return Err(self.refuse(admitted, &influx::Refusal::too_large()));
        }
        if !admitted.reservation.cover(admitted.received) {
            self.stats.rejected.increment();
            return Err(self.refuse(admitted, &self.too_many()));
        }
        Ok(())
    }

    /// Takes the whole body: unpacks it, appends its records and waits until the write may be answered.
    pub async fn finish(&self, mut admitted: Box<Admitted>, body: Bytes) -> Answer {
        let body = match self.unpack(&mut admitted, body).await {
            Ok(body) => body,
            Err(refusal) => return self.refuse(&admitted, &refusal),
        };
        let ingested = match self.ingest(&admitted.request, body).await {
            Ok(ingested) => ingested,
            Err(refusal) => return self.refuse(&admitted, &refusal),
        };
        let mut waits = Vec::with_capacity(ingested.records.len());
        for record in ingested.records {
            let head = match record.encode_head() {
                Ok(head) => head,
                Err(error) => {
                    return self
                        .refuse(&admitted, &influx::Refusal::bad_request(error.to_string()));
                }
            };
            match self
                .board
                .open(|| self.journal.append(WRITE, vec![head, record.body]))
            {
                Ok(wait) => waits.push(wait),
                Err(error) => return self.not_appended(&admitted, &error),
            }
        }
        // The newest of them: they are of one database, and each replica judges them in order.
        let newest = waits.last().map(|(append, _)| append.sequence);
        self.stats.records.add(waits.len() as u64);
        self.stats.lines.add(ingested.lines as u64);
        self.stats.stamped_lines.add(ingested.stamped as u64);
        let mut applied = self.replicas.len();
        for (append, outcome) in waits {
            match self.settled(append, outcome).await {
                Outcome::Acknowledged { applied: by } => applied = applied.min(by),
                Outcome::Refused(refusal) => {
                    self.stats.refused.increment();
                    let refusal = influx::refusal_of_replica(refusal.status, &refusal.body);
                    return self.refuse(&admitted, &refusal);
                }
                Outcome::Unmet { applied } => {
                    self.stats.timeouts.increment();
                    return self.unmet(&admitted, applied);
                }
            }
        }
        if let Some(newest) = newest {
            self.freshness
                .acknowledge_write(&admitted.request.database, newest);
        }
        self.stats.acknowledged.increment();
        if applied > 0 {
            let WriteRequest {
                credentials,
                database,
                ..
            } = &admitted.request;
            self.trust.accepted(credentials, database, Instant::now());
        }
        self.dress(
            Answer::stored(admitted.asker.accept.as_ref()),
            &admitted.asker,
            Some(applied),
        )
    }

    /// Closes the journal, once the tasks have ended.
    pub async fn close(&self) {
        self.journal.close().await;
    }

    /// The version that a live replica named.
    pub fn version(&self) -> Option<HeaderValue> {
        self.replicas.iter().find_map(|replica| replica.version())
    }

    async fn unpack(&self, admitted: &mut Admitted, body: Bytes) -> Result<Bytes, influx::Refusal> {
        if !admitted.request.gzip {
            return Ok(body);
        }
        let most = self.settings.max_unpacked_body;
        let mut limit = body
            .len()
            .saturating_mul(UNPACK_RATIO)
            .max(64 * 1024)
            .min(most);
        loop {
            if !admitted.reservation.cover(body.len().saturating_add(limit)) {
                self.stats.rejected.increment();
                return Err(self.too_many());
            }
            let unpacked = if limit > LARGE_BODY {
                let packed = body.clone();
                tokio::task::spawn_blocking(move || unpack_gzip(&packed, limit)).await
            } else {
                Ok(unpack_gzip(&body, limit))
            };
            match unpacked {
                Ok(Ok(plain)) => return Ok(Bytes::from(plain)),
                Ok(Err(UnpackError::TooLarge)) if limit < most => {
                    limit = limit.saturating_mul(UNPACK_RATIO).min(most);
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    return Err(influx::Refusal::unavailable(
                        "the body could not be unpacked".to_owned(),
                        RETRY_AFTER_SECONDS,
                    ));
                }
            }
        }
    }

    async fn ingest(
        &self,
        request: &WriteRequest,
        body: Bytes,
    ) -> Result<Ingested, influx::Refusal> {
        let now = unix_nanos(SystemTime::now());
        let max_request = self.settings.max_body;
        if body.len() < LARGE_BODY {
            return Ok(ingest(request, body, max_request, now));
        }
        let request = request.clone();
        tokio::task::spawn_blocking(move || ingest(&request, body, max_request, now))
            .await
            .map_err(|_| {
                influx::Refusal::unavailable(
                    "the body could not be worked on".to_owned(),
                    RETRY_AFTER_SECONDS,
                )
            })
    }

    async fn settled(
        &self,
        append: journal::Append,
        outcome: tokio::sync::oneshot::Receiver<Outcome>,
    ) -> Outcome {
        let outcome = match self.settings.ack {
            Ack::Journal => Outcome::Acknowledged { applied: 0 },
            Ack::Any | Ack::Quorum | Ack::All => {
                outcome.await.unwrap_or(Outcome::Unmet { applied: 0 })
            }
        };
        if outcome != (Outcome::Acknowledged { applied: 0 }) {
            return outcome;
        }
        // No replica has it yet, so nothing but the journal vouches for it.
        match tokio::time::timeout(self.settings.timeout, append.durable()).await {
            Ok(Ok(())) => outcome,
            Ok(Err(_)) | Err(_) => Outcome::Unmet { applied: 0 },
        }
    }

    fn not_appended(&self, admitted: &Admitted, error: &AppendError) -> Answer {
        self.stats.rejected.increment();
        let reason = format!(
            "relay {}: the journal takes no writes: {error}",
            self.settings.name
        );
        warn!("{reason}");
        self.refuse(
            admitted,
            &influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS),
        )
    }

    fn unmet(&self, admitted: &Admitted, applied: usize) -> Answer {
        let replicas = self.replicas.len();
        let refusal = influx::Refusal::timed_out(format!(
            "journaled, applied by {applied} of {replicas} replicas; ack = {} was not met in time",
            ack_name(self.settings.ack)
        ));
        let answer = refusal.answer(admitted.asker.accept.as_ref(), admitted.request.pretty);
        self.dress(answer, &admitted.asker, Some(applied))
    }

    pub(super) fn too_many(&self) -> influx::Refusal {
        influx::Refusal::unavailable(
            format!(
                "relay {}: too many writes in flight (max_inflight)",
                self.settings.name
            ),
            RETRY_AFTER_SECONDS,
        )
    }

    fn refuse(&self, admitted: &Admitted, refusal: &influx::Refusal) -> Answer {
        let answer = refusal.answer(admitted.asker.accept.as_ref(), admitted.request.pretty);
        self.dress(answer, &admitted.asker, None)
    }
}

/// Unix time in nanoseconds; 0 for a clock before 1970 or after 2262.
pub(super) fn unix_nanos(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}

pub(super) fn ack_name(ack: Ack) -> &'static str {
    match ack {
        Ack::Any => "any",
        Ack::Quorum => "quorum",
        Ack::All => "all",
        Ack::Journal => "journal",
    }
}

#[cfg(test)]
pub(super) mod tests;
