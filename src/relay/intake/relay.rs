//! A relay: admits a write, makes it a record, appends it, and answers when the policy is met.

mod allowed;
mod body;

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::budget::{Budget, Reservation};
use crate::config::model::{self, Ack, AllowedMeasurements};
use crate::influx::{self, Answer, OtherMeasurement, Route, WriteRequest};
use crate::journal::{Journal, Sequence};
use crate::pieces::Pieces;
use crate::stats::RelayStats;

use self::allowed::NotStored;
use self::body::LastPiece;
use crate::per_source::PerSource;
use crate::relay::gate::Gate;
use crate::relay::intake::judge::{Judge, Question, Rejection};
use crate::relay::intake::response_headers::Asker;
use crate::relay::replica::handle::Replica;
use crate::relay::trust::Scope;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::verdict::pending::{Outcome, PendingClients};
use crate::source::Source;

/// How many replicas had applied the write when it was answered, e.g. `1/2`.
pub const APPLIED_HEADER: HeaderName = HeaderName::from_static("x-haflux-applied");

/// What a ping is told as long as no replica has named its version.
const UNKNOWN_VERSION: &str = "unknown";

/// Seconds that a client is told to wait before it tries a rejected write again.
pub(in crate::relay) const RETRY_AFTER_SECONDS: u32 = 1;

/// A body is in memory as it came, and as the journal's record: for as long as its client waits, both count.
pub(in crate::relay) const COPIES: usize = 2;

/// What becomes of a record that was appended.
type Wait = oneshot::Receiver<Outcome>;

/// A relay.
pub struct Relay {
    pub(in crate::relay) settings: model::Relay,
    pub(in crate::relay) journal: Journal,
    /// Every append passes it.
    pub(in crate::relay) gate: Gate,
    pub(in crate::relay) pending_clients: Arc<PendingClients>,
    pub(in crate::relay) freshness: Arc<Freshness>,
    pub(in crate::relay) replicas: Vec<Arc<Replica>>,
    pub(in crate::relay) inflight: Arc<Budget>,
    /// Changed by the large body that has its turn.
    pub(in crate::relay) last_piece: Mutex<LastPiece>,
    pub(in crate::relay) judge: Arc<Judge>,
    /// Statements under way or waiting.
    pub(in crate::relay) statements: Arc<PerSource>,
    pub(in crate::relay) stats: Arc<RelayStats>,
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
    /// The measurements that its lines may be of, if not all.
    measurements: Option<AllowedMeasurements>,
}

impl Admitted {
    /// Nothing of it is stored if a line is of another measurement, or of one that cannot be told.
    pub fn allow_only(&mut self, measurements: AllowedMeasurements) {
        self.measurements = Some(measurements);
    }
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
    /// `source` is the client's address, whose share of `max_inflight` the body takes.
    pub fn begin(
        &self,
        source: Source,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
    ) -> Begun {
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
        if let Err(refusal) = self.admit(&request.database) {
            self.stats.rejected.increment();
            return refuse(refusal, request.pretty);
        }
        Begun::Body(Box::new(Admitted {
            request,
            reservation: self.inflight.begin(Some(source)),
            asker,
            received: 0,
            measurements: None,
        }))
    }

    /// Rule W5: nothing is stored that the policy cannot be met for.
    fn admit(&self, database: &str) -> Result<(), influx::Refusal> {
        let name = &self.settings.name;
        let refuse = |reason| Err(influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS));
        if let Some(reason) = self.nobody_follows() {
            return refuse(reason);
        }
        if !self.pending_clients.admits(database) {
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
        Ok(())
    }

    /// Why nothing may be changed while no replica follows the journal: nobody would ever apply it.
    pub(in crate::relay) fn nobody_follows(&self) -> Option<String> {
        let mut diverged = Vec::with_capacity(self.replicas.len());
        for replica in &self.replicas {
            let place = replica.membership();
            let reason = &place.divergence()?.reason;
            diverged.push(format!("{} has diverged: {reason}", replica.stats.name));
        }
        (!diverged.is_empty()).then(|| format!(
            "relay {}: no replica follows the journal ({}); a person must say which one is right: haflux replica readmit NAME --as-it-is",
            self.settings.name,
            diverged.join("; ")
        ))
    }

    /// Rule N1: returns once a node has let these credentials write to this database, lately or now. Nothing of the request's body
    /// need be read before.
    ///
    /// # Errors
    /// The answer: a node's refusal, or 503 if no node can be asked. Nothing is stored then.
    pub async fn judge(&self, admitted: &Admitted, source: Source) -> Result<(), Answer> {
        let request = &admitted.request;
        let question = Question {
            credentials: &request.credentials,
            scope: Scope::Write(&request.database),
        };
        let Err(rejection) = self.judge.judge(question, source).await else {
            return Ok(());
        };
        let refusal = self.rejection(rejection, "written to this database");
        Err(self.refuse(admitted, &refusal))
    }

    /// What a client hears who may do nothing now; `what` they have not done lately.
    pub(in crate::relay) fn rejection(&self, rejection: Rejection, what: &str) -> influx::Refusal {
        let name = &self.settings.name;
        let reason = match rejection {
            Rejection::Refused(refusal) => return refusal,
            Rejection::NobodyToAsk => format!(
                "relay {name}: no replica can judge these credentials now, and they have not {what} lately; nothing was stored"
            ),
            Rejection::TooMany => format!(
                "relay {name}: too many requests wait for a replica to judge their credentials (judging.max_waiting)"
            ),
        };
        self.stats.rejected.increment();
        influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS)
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

    /// Returns once every replica has been asked for the first time or had its time to answer, or at once if that is long over.
    pub async fn ready(&self) {
        self.pending_clients.first_meeting().await;
    }

    /// Counts a piece of the body that has arrived.
    ///
    /// # Errors
    /// The answer, when the body is larger than it may be or there is no room for it now.
    pub async fn receive(&self, admitted: &mut Admitted, bytes: usize) -> Result<(), Answer> {
        admitted.received = admitted.received.saturating_add(bytes);
        if admitted.received > self.settings.max_body {
            return Err(self.refuse(admitted, &influx::Refusal::too_large()));
        }
        let held = admitted.received.saturating_mul(COPIES);
        if admitted.reservation.cover(held).await.is_err() {
            return Err(self.no_room(admitted));
        }
        Ok(())
    }

    /// Returns, with the answer, when the body must make room for another one.
    pub async fn revoked(&self, admitted: &Admitted) -> Answer {
        admitted.reservation.revoked().await;
        self.no_room(admitted)
    }

    pub(in crate::relay) fn no_room(&self, admitted: &Admitted) -> Answer {
        self.stats.rejected.increment();
        self.refuse(admitted, &self.too_many())
    }

    /// Takes the whole body: unpacks it, appends its records and waits until the write may be answered.
    ///
    /// # Errors
    /// A line that [`Admitted::allow_only`] does not allow; nothing is stored then.
    pub async fn finish(
        &self,
        mut admitted: Box<Admitted>,
        body: Pieces,
    ) -> Result<Answer, OtherMeasurement> {
        admitted.reservation.settle();
        let whole = Instant::now();
        match self.store(&mut admitted, body).await {
            Ok(waits) => Ok(self.conclude(&admitted, waits, whole).await),
            Err(NotStored::Answer(answer)) => Ok(answer),
            Err(NotStored::Other(other)) => Err(other),
        }
    }

    /// Waits until a write whose body was there at `whole` may be answered.
    async fn conclude(&self, admitted: &Admitted, waits: Vec<Wait>, whole: Instant) -> Answer {
        let (mut applied, mut newest) = (self.replicas.len(), Sequence::ZERO);
        for outcome in waits {
            // Without an outcome nobody knows whether the record is stored: the journal has ended.
            match outcome.await.unwrap_or(Outcome::Unmet { applied: 0 }) {
                Outcome::Acknowledged {
                    applied: by,
                    sequence,
                } => {
                    applied = applied.min(by);
                    newest = newest.max(sequence);
                }
                Outcome::Refused(refusal) => {
                    self.stats.refused.increment();
                    let refusal = influx::refusal_of_text(refusal.status, refusal.words());
                    return self.refuse(admitted, &refusal);
                }
                Outcome::Unmet { applied } => {
                    self.stats.timeouts.increment();
                    return self.unmet(admitted, applied);
                }
            }
        }
        // The records are of one database, and each replica judges them in order.
        self.freshness
            .acknowledge_write(&admitted.request.database, newest);
        self.stats.acknowledged.increment();
        self.stats.acknowledgement.add(whole.elapsed());
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

    fn unmet(&self, admitted: &Admitted, applied: usize) -> Answer {
        let replicas = self.replicas.len();
        let refusal = influx::Refusal::timed_out(format!(
            "journaled, applied by {applied} of {replicas} replicas; ack = {} was not met in time",
            ack_name(self.settings.ack)
        ));
        let answer = refusal.answer(admitted.asker.accept.as_ref(), admitted.request.pretty);
        self.dress(answer, &admitted.asker, Some(applied))
    }

    pub(in crate::relay) fn too_many(&self) -> influx::Refusal {
        influx::Refusal::unavailable(self.too_many_reason(), RETRY_AFTER_SECONDS)
    }

    fn too_many_reason(&self) -> String {
        let name = &self.settings.name;
        format!("relay {name}: too many writes in flight (max_inflight)")
    }

    pub(in crate::relay) fn refuse(
        &self,
        admitted: &Admitted,
        refusal: &influx::Refusal,
    ) -> Answer {
        let answer = refusal.answer(admitted.asker.accept.as_ref(), admitted.request.pretty);
        self.dress(answer, &admitted.asker, None)
    }
}

pub(in crate::relay) fn ack_name(ack: Ack) -> &'static str {
    match ack {
        Ack::Any => "any",
        Ack::Quorum => "quorum",
        Ack::All => "all",
        Ack::Journal => "journal",
    }
}

#[cfg(test)]
pub(in crate::relay) mod tests;
