//! A changing request that is no write: it becomes a record, and its client gets what the first replica answers that carries
//! it out (rules S4 to S6 of the design; S1 to S3 are the replicators').
//!
//! `async` is done by us, so that the statement has its place in the order: the client hears 204 once it is durable, or, as of one
//! InfluxDB, that it is refused before it begins, if a replica says so soon.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::oneshot;

use crate::influx::endpoint::answer_to_v2_method;
use crate::influx::influxql::{AnswerShape, Class, Request, Right};
use crate::influx::results::render;
use crate::influx::{Answer, Format, Refusal, refusal_of_replica, refusal_of_text, unix_nanos};
use crate::relay::intake::judge::{Question, Rejection};
use crate::relay::intake::parse_question::ParseQuestion;
use crate::relay::intake::relay::{COPIES, RETRY_AFTER_SECONDS, Relay, ack_name};
use crate::relay::intake::response_headers::Asker;
use crate::relay::intake::statement_request::{Taken, take_off};
use crate::relay::intake::streamed_answer::{Acknowledgement, Replicated, StreamedAnswer};
use crate::relay::record::statement::{STATEMENT, StatementRecord};
use crate::relay::record::touched::Touched;
use crate::relay::record::withdrawal::Withdrawal;
use crate::relay::trust::Scope;
use crate::relay::verdict::pending::{
    BegunAnswer, StatementAnswer, StatementOutcome, StatementPlace, StatementWait, Wanted,
};
use crate::source::Source;

/// A statement that may be journaled: a node lets its sender do it, and it has its place among those under way.
#[derive(Debug)]
pub struct AdmittedStatement {
    record: StatementRecord,
    shape: AnswerShape,
    asker: Asker,
    place: StatementPlace,
}

/// How long a client that asks for no answer waits for a refusal to begin its statement, which takes a replica a few milliseconds.
const REFUSED_SOON: Duration = Duration::from_millis(500);

/// What a statement came to.
enum CarriedOut {
    Whole(StatementAnswer, usize),
    Coming(
        BegunAnswer,
        oneshot::Receiver<StatementOutcome>,
        Acknowledgement,
    ),
}

impl Relay {
    /// Looks at a request that changes data or schema and is no write, and has it judged (rule N1). `class` is what the classifier
    /// says of it. Nothing is stored yet: dropping the future, or what it returns, undoes everything.
    ///
    /// # Errors
    /// The whole answer, for a request that is not taken.
    pub async fn admit_statement(
        &self,
        request: &Request<'_>,
        class: &Class,
        source: Source,
    ) -> Result<AdmittedStatement, Answer> {
        let asker = Asker::of(request.headers);
        if let Some(answer) = answer_to_v2_method(request.path, request.method) {
            return Err(self.dress(answer, &asker, None));
        }
        let now = unix_nanos(SystemTime::now());
        let refused = |refusal: Refusal, pretty| {
            let answer = refusal.answer(asker.accept.as_ref(), pretty);
            Err(self.dress(answer, &asker, None))
        };
        let taken = match take_off(request, class, now).await {
            Ok(taken) => taken,
            Err(refusal) => return refused(refusal, false),
        };
        let pretty = taken.shape.pretty;
        match self.place_for(&taken, source).await {
            Ok(place) => Ok(AdmittedStatement {
                record: taken.record,
                shape: taken.shape,
                asker,
                place,
            }),
            Err(refusal) => refused(refusal, pretty),
        }
    }

    /// Carries out a statement on all replicas, and answers it.
    pub async fn replicate(&self, statement: AdmittedStatement) -> Replicated {
        let AdmittedStatement {
            record,
            shape,
            asker,
            place,
        } = statement;
        let accept = asker.accept.as_ref();
        let wanted = match Format::accepted(accept) {
            Format::ApplicationCsv | Format::TextCsv | Format::MessagePack
                if !shape.asynchronous =>
            {
                Wanted::Whole
            }
            _ => Wanted::InPieces(self.settings.max_statement_answer_buffer),
        };
        let (answer, applied) = match self
            .carry_out(record, wanted, shape.asynchronous, place)
            .await
        {
            Ok(CarriedOut::Whole(said, applied)) => {
                let answer = pass_on(said, accept, &shape);
                (answer, Some(applied))
            }
            Ok(CarriedOut::Coming(begun, outcome, acknowledgement)) => {
                let head = Answer {
                    status: status(begun.status),
                    headers: begun
                        .content_type
                        .map(|content_type| (CONTENT_TYPE, content_type))
                        .into_iter()
                        .collect(),
                    body: Bytes::new(),
                };
                return Replicated::Streamed(StreamedAnswer {
                    head: self.dress(head, &asker, None),
                    pieces: begun.pieces,
                    outcome: Some(outcome),
                    acknowledgement,
                    patience: self.settings.statement_timeout,
                });
            }
            Err(Unanswered { refusal, applied }) => (refusal.answer(accept, shape.pretty), applied),
        };
        Replicated::Whole(self.dress(answer, &asker, applied))
    }

    /// A place among the statements under way, for who may do this.
    async fn place_for(&self, taken: &Taken, source: Source) -> Result<StatementPlace, Refusal> {
        let name = &self.settings.name;
        let unavailable = |reason| {
            self.stats.rejected.increment();
            Refusal::unavailable(reason, RETRY_AFTER_SECONDS)
        };
        if let Some(reason) = self.nobody_follows() {
            return Err(unavailable(format!("{reason}; nothing was done")));
        }
        if !self.pending_clients.admits_statement() {
            let ack = ack_name(self.settings.ack);
            return Err(unavailable(format!(
                "relay {name}: too few replicas answer to carry out a statement (ack = {ack}); nothing was done"
            )));
        }
        let Some(place) = self.statements.enter(source) else {
            self.stats.statements_overflows.increment();
            return Err(unavailable(format!(
                "relay {name}: too many statements are under way (max_statements, max_statements_per_source); nothing was done"
            )));
        };
        let place = StatementPlace::new(place, &self.stats.statements_open);
        let forbidden = self.forbidden(taken, source).await?;
        if let Some(query) = &taken.query
            && !taken.is_proven(forbidden.as_ref())
        {
            let question = ParseQuestion::of(query, &taken.record.credentials);
            match (self.judge.hear(&question, source).await, &forbidden) {
                (Ok(()), _) => {}
                // InfluxDB parses before it asks for rights.
                (Err(Rejection::Refused(refusal)), _) => return Err(refusal),
                (Err(_), Some(_)) => {}
                (Err(rejection), None) => {
                    return Err(self.rejection(rejection, "run such a statement"));
                }
            }
        }
        match forbidden {
            Some(refusal) => Err(refusal),
            None => Ok(place),
        }
    }

    /// What a node says to its sender in place of carrying it out, if it lets him not.
    ///
    /// # Errors
    /// Nobody can say.
    async fn forbidden(&self, taken: &Taken, source: Source) -> Result<Option<Refusal>, Refusal> {
        for needed in &taken.needed {
            let question = Question {
                credentials: &taken.record.credentials,
                scope: match &needed.right {
                    Right::Administer => Scope::Administer,
                    Right::Write(database) => Scope::Change(database),
                    Right::Read(database) => Scope::Read(database),
                    Right::Identify => Scope::Identify,
                },
            };
            match self.judge.judge(question, source).await {
                Ok(()) => {}
                Err(Rejection::Refused(refusal)) if taken.passes(&refusal) => return Ok(None),
                Err(Rejection::Refused(refusal)) => {
                    return Ok(Some(Refusal {
                        message: needed.refusal(&refusal.message),
                        ..refusal
                    }));
                }
                Err(rejection) => return Err(self.rejection(rejection, "run such a statement")),
            }
        }
        Ok(None)
    }

    async fn carry_out(
        &self,
        record: StatementRecord,
        wanted: Wanted,
        asynchronous: bool,
        place: StatementPlace,
    ) -> Result<CarriedOut, Unanswered> {
        let name = &self.settings.name;
        let rejected = |refusal| {
            self.stats.rejected.increment();
            Err(Unanswered::before(refusal))
        };
        let unavailable = |reason| Refusal::unavailable(reason, RETRY_AFTER_SECONDS);
        let mut held = self.inflight.begin(Some(place.source()));
        let bytes = record.body.len().saturating_mul(COPIES);
        if held.cover(bytes).await.is_err() {
            return rejected(self.too_many());
        }
        let head = match record.encode_head() {
            Ok(head) => head,
            Err(error) => return rejected(Refusal::bad_request(error.to_string())),
        };
        let (touched, withdrawal) = (Touched::of(&record), Withdrawal::of(&record));
        let append = || self.journal.append(STATEMENT, vec![head, record.body]);
        let timeout = self.settings.statement_timeout;
        let open = || {
            self.pending_clients
                .open_statement(timeout, place, wanted, append)
        };
        let wait = match self.gate.pass(open).await {
            Ok(opened) => opened,
            Err(error) if error.is_final() => return rejected(Refusal::too_large()),
            Err(error) => {
                return rejected(unavailable(format!(
                    "relay {name}: the journal takes no statements: {error}"
                )));
            }
        };
        self.stats.statements.increment();
        self.judge.withdraw(&withdrawal).await;
        let acknowledgement = Acknowledgement {
            touched,
            withdrawal,
            freshness: Arc::clone(&self.freshness),
            stats: Arc::clone(&self.stats),
            judge: Arc::clone(&self.judge),
        };
        let StatementWait { mut outcome, begun } = wait;
        if asynchronous {
            drop(begun);
            let (tell, told) = oneshot::channel();
            // A task of its own, because the client may go.
            tokio::spawn(async move {
                if let Some(refused) = acknowledgement.carried_out_unheard(outcome).await {
                    // The client has its answer otherwise.
                    let _ = tell.send(refused);
                }
            });
            let flushed = tokio::time::timeout(self.settings.timeout, self.journal.flush()).await;
            let Ok(Ok(())) = flushed else {
                return Err(self.unsettled(0));
            };
            return Ok(match tokio::time::timeout(REFUSED_SOON, told).await {
                Ok(Ok(refused)) => CarriedOut::Whole(refused, 0),
                Ok(Err(_)) | Err(_) => CarriedOut::Whole(StatementAnswer::accepted(), 0),
            });
        }
        let ended = tokio::select! {
            biased;
            // Without a sender it has ended without a long answer.
            Ok(begun) = begun => return Ok(CarriedOut::Coming(begun, outcome, acknowledgement)),
            ended = &mut outcome => ended,
        };
        match ended {
            Ok(StatementOutcome::Applied {
                applied,
                sequence,
                answer,
            }) => {
                acknowledgement.make(sequence, false);
                Ok(CarriedOut::Whole(answer, applied))
            }
            Ok(StatementOutcome::Refused { sequence, answer }) => {
                acknowledgement.make(sequence, true);
                Ok(CarriedOut::Whole(answer, 0))
            }
            Ok(StatementOutcome::Unmet { applied }) => Err(self.unsettled(applied)),
            Err(_) => Err(self.unsettled(0)),
        }
    }

    fn unsettled(&self, applied: usize) -> Unanswered {
        self.stats.timeouts.increment();
        let replicas = self.replicas.len();
        let refusal = Refusal::timed_out(format!(
            "journaled, applied by {applied} of {replicas} replicas; the others will carry it out too (statement_timeout)"
        ));
        Unanswered {
            refusal,
            applied: Some(applied),
        }
    }
}

#[cfg(test)]
impl AdmittedStatement {
    /// A statement of which only this is known, for a stand-in of the relay.
    pub(crate) fn shown_as(shown: String) -> AdmittedStatement {
        AdmittedStatement {
            record: StatementRecord {
                method: crate::relay::record::statement::StatementMethod::Post,
                target: "/query".to_owned(),
                content_type: String::new(),
                shown,
                databases: None,
                credentials: crate::influx::Credentials::None,
                body: Bytes::new(),
            },
            shape: AnswerShape::default(),
            asker: Asker::of(&http::HeaderMap::new()),
            place: crate::relay::verdict::pending::statement_place(),
        }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.record.shown
    }
}

/// What a client hears in place of a replica's answer.
struct Unanswered {
    refusal: Refusal,
    /// How many replicas carried it out, if it was journaled at all.
    applied: Option<usize>,
}

impl Unanswered {
    fn before(refusal: Refusal) -> Unanswered {
        Unanswered {
            refusal,
            applied: None,
        }
    }
}

impl StatementAnswer {
    /// What InfluxDB says to `async=true`.
    fn accepted() -> StatementAnswer {
        StatementAnswer {
            status: 204,
            content_type: Some(http::HeaderValue::from_static(Format::Json.content_type())),
            body: Bytes::new(),
            cut: false,
            refusal: None,
        }
    }
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// A replica's answer as the client's.
fn pass_on(
    said: StatementAnswer,
    accept: Option<&http::HeaderValue>,
    shape: &AnswerShape,
) -> Answer {
    let pretty = shape.pretty;
    // InfluxDB's errors have headers of their own, and the form that the client accepts.
    let is_json = said
        .content_type
        .as_ref()
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/json"));
    // Flux names the type of its results before it knows that there are none; its error has the form that was asked for all the same.
    let is_error_of_flux = !is_json && said.body.starts_with(b"{\"error\":");
    match said.refusal {
        Some(refusal) if said.status >= 400 && (is_json || is_error_of_flux) => {
            let mut answer = refusal_of_text(said.status, refusal.words()).answer(accept, pretty);
            if let Some(content_type) = said.content_type.filter(|_| is_error_of_flux) {
                answer.headers.retain(|(name, _)| *name != CONTENT_TYPE);
                answer.headers.push((CONTENT_TYPE, content_type));
            }
            return answer;
        }
        // More results than are held, one of them an error: the error is what the client must hear.
        Some(refusal) if said.cut && said.status < 400 => {
            return Refusal::bad_request(refusal.words()).answer(accept, pretty);
        }
        None if said.cut => {
            let refusal = Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the statements were carried out, but their answer is too large to be passed on in this form; in JSON it may have any length",
            );
            return refusal.answer(accept, pretty);
        }
        _ if said.status >= 400 && is_json => {
            return refusal_of_replica(said.status, &said.body).answer(accept, pretty);
        }
        _ => {}
    }
    let (mut content_type, mut body) = (said.content_type, said.body);
    let format = Format::accepted(accept);
    if is_json && format != Format::Json {
        // A replica was asked for JSON, for it tells most. With `async=true` nothing is told.
        let rendered = match body.is_empty() {
            true => Ok(Vec::new()),
            false => render(&body, format, shape.chunked, shape.epoch.as_deref()),
        };
        match rendered {
            Ok(rendered) => {
                content_type = Some(http::HeaderValue::from_static(format.content_type()));
                body = Bytes::from(rendered);
            }
            Err(error) => log::debug!("an answer stays JSON: {error}"),
        }
    }
    let headers = content_type.map(|content_type| (CONTENT_TYPE, content_type));
    Answer {
        status: status(said.status),
        headers: headers.into_iter().collect(),
        body,
    }
}
