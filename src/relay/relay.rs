//! A relay: admits a write, makes it a record, appends it, and answers when the policy is met.

mod body;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use log::warn;
use tokio::sync::oneshot;

use crate::config::model::{self, Ack};
use crate::influx::{self, Answer, Route, WriteRequest};
use crate::journal::{self, AppendError, Journal};
use crate::stats::RelayStats;

use super::acknowledge::Sender;
use super::board::{Board, Outcome};
use super::dress::Asker;
use super::freshness::Freshness;
use super::inflight::{Inflight, Reservation};
use super::record::{WRITE, WriteRecord};
use super::replica::Replica;
use super::trust::{Tag, Trust};

/// How many replicas had applied the write when it was answered, e.g. `1/2`.
pub const APPLIED_HEADER: HeaderName = HeaderName::from_static("x-haflux-applied");

/// How long the first requests after a start wait for the replicas to be asked.
const FIRST_MEETING: Duration = Duration::from_secs(2);

/// What a ping is told as long as no replica has named its version.
const UNKNOWN_VERSION: &str = "unknown";

/// Seconds that a client is told to wait before it tries a rejected write again.
pub(super) const RETRY_AFTER_SECONDS: u32 = 1;

/// A record that was appended, and what becomes of it.
type Wait = (journal::Append, oneshot::Receiver<Outcome>);

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
        let sender = || self.trust.sender(self.tag(request), Instant::now());
        if !self.board.any_in_reach() && sender() == Sender::Stranger {
            return refuse(format!(
                "relay {name}: no replica is in reach, and these credentials have not written to this database lately"
            ));
        }
        Ok(())
    }

    fn tag(&self, request: &WriteRequest) -> Tag {
        self.trust.tag(&request.credentials, &request.database)
    }

    /// Shows how far the journal has come: at least to what is acknowledged next.
    pub(super) fn show_head(&self) {
        let durable = self.journal.durable();
        self.stats.show_head(durable.sequence.get(), durable.offset);
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
        let tag = self.tag(&admitted.request);
        let sender = self.trust.sender(tag, Instant::now());
        let waits = match self.append(&admitted, sender, ingested.records) {
            Ok(waits) => waits,
            Err(answer) => return answer,
        };
        self.stats.lines.add(ingested.lines as u64);
        self.stats.stamped_lines.add(ingested.stamped as u64);
        // The newest of them: they are of one database, and each replica judges them in order.
        let newest = waits.last().map(|(append, _)| append.sequence);
        let mut applied = self.replicas.len();
        for (append, outcome) in waits {
            match self.settled(append, outcome).await {
                Outcome::Acknowledged { applied: by } => applied = applied.min(by),
                Outcome::Refused(refusal) => {
                    self.stats.refused.increment();
                    let refusal = influx::refusal_of_text(refusal.status, refusal.words());
                    return self.refuse(&admitted, &refusal);
                }
                Outcome::Unmet { applied } => {
                    self.stats.timeouts.increment();
                    return self.unmet(&admitted, sender, applied);
                }
            }
        }
        if let Some(newest) = newest {
            self.freshness
                .acknowledge_write(&admitted.request.database, newest);
            self.show_head();
        }
        self.stats.acknowledged.increment();
        if applied > 0 {
            self.trust.accepted(tag, Instant::now());
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

    async fn settled(
        &self,
        append: journal::Append,
        outcome: oneshot::Receiver<Outcome>,
    ) -> Outcome {
        let outcome = outcome.await.unwrap_or(Outcome::Unmet { applied: 0 });
        if outcome != (Outcome::Acknowledged { applied: 0 }) {
            return outcome;
        }
        // No replica has it yet, so nothing but the journal vouches for it.
        match tokio::time::timeout(self.settings.timeout, append.durable()).await {
            Ok(Ok(())) => outcome,
            Ok(Err(_)) | Err(_) => Outcome::Unmet { applied: 0 },
        }
    }

    /// Appends all records of a request, or says what became of them.
    fn append(
        &self,
        admitted: &Admitted,
        sender: Sender,
        records: Vec<WriteRecord>,
    ) -> Result<Vec<Wait>, Answer> {
        let pieces = records.len();
        let mut waits = Vec::with_capacity(pieces);
        for record in records {
            // They have one destination: if it is too long, the first has no head already.
            let payload = match record.encode_head() {
                Ok(head) => vec![head, record.body],
                Err(error) => {
                    let refusal = influx::Refusal::bad_request(error.to_string());
                    return Err(self.refuse(admitted, &refusal));
                }
            };
            match self
                .board
                .open(sender, || self.journal.append(WRITE, payload))
            {
                Ok(wait) => waits.push(wait),
                Err(error) => return Err(self.not_appended(admitted, &error, waits.len(), pieces)),
            }
            self.stats.records.increment();
        }
        Ok(waits)
    }

    /// The journal had room for so many of the pieces. Only if for none is it true that nothing is stored.
    fn not_appended(
        &self,
        admitted: &Admitted,
        error: &AppendError,
        appended: usize,
        pieces: usize,
    ) -> Answer {
        if appended == 0 && error.is_final() {
            return self.refuse(admitted, &influx::Refusal::too_large());
        }
        let name = &self.settings.name;
        let reason = format!("relay {name}: the journal takes no writes: {error}");
        warn!("{reason}");
        if appended == 0 {
            self.stats.rejected.increment();
            let refusal = influx::Refusal::unavailable(reason, RETRY_AFTER_SECONDS);
            return self.refuse(admitted, &refusal);
        }
        self.stats.timeouts.increment();
        let reason = format!("{appended} of {pieces} parts of the body are journaled; {reason}");
        self.refuse(admitted, &influx::Refusal::timed_out(reason))
    }

    fn unmet(&self, admitted: &Admitted, sender: Sender, applied: usize) -> Answer {
        let replicas = self.replicas.len();
        let reason = match (sender, applied) {
            (Sender::Stranger, 0) => "these credentials have not written to this database lately, and no replica judged them in time".to_owned(),
            _ => format!("ack = {} was not met in time", ack_name(self.settings.ack)),
        };
        let refusal = influx::Refusal::timed_out(format!(
            "journaled, applied by {applied} of {replicas} replicas; {reason}"
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
