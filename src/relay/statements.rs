//! A changing request that is no write: it becomes a record, and its client gets what the first replica answers that carries
//! it out (rules S4 to S6 of the design; S1 to S3 are the replicators').
//!
//! The record is the whole request. What depends on the clock is pinned to the moment at which it is taken; `async` is done
//! by us, so that the statement has its place in the order: the client hears 204 once it is durable.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use tokio::sync::oneshot;

use super::board::{
    BegunAnswer, StatementAnswer, StatementOutcome, StatementPlace, StatementWait, Wanted,
};
use super::dress::Asker;
use super::ingest::unix_nanos;
use super::judge::{Question, Rejection};
use super::relay::{COPIES, RETRY_AFTER_SECONDS, Relay, ack_name};
use super::statement_record::{CUT, STATEMENT, StatementMethod, StatementRecord};
use super::streamed_answer::{Acknowledgement, Replicated, StreamedAnswer};
use super::trust::Scope;
use crate::influx::influxql::time::{Pinned, Unpinnable, pin_now};
use crate::influx::influxql::{
    AnswerShape, Canonical, Class, Databases, Endpoint, Needed, Request, Right,
    creates_administrator, redact,
};
use crate::influx::results::render;
use crate::influx::{
    Answer, Credentials, Format, Parameters, Refusal, refusal_of_replica, refusal_of_text,
};
use crate::offload::{LARGE, offload};

/// Longest target of a request that goes out as GET; a longer one goes as POST, where its length does not matter.
const LONGEST_TARGET: usize = 16 * 1024;

/// Most bytes of a statement that are shown.
const MOST_SHOWN: usize = 2048;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request as a record, and what its client wants of the answer.
#[derive(Debug)]
struct Taken {
    record: StatementRecord,
    shape: AnswerShape,
    /// What its sender must be allowed to do.
    needed: Needed,
    /// The default database.
    database: String,
    /// Everybody may run it while a node has no user.
    creates_administrator: bool,
}

/// A statement that may be journaled: a node lets its sender do it, and it has its place among those under way.
#[derive(Debug)]
pub struct AdmittedStatement {
    record: StatementRecord,
    shape: AnswerShape,
    asker: Asker,
    place: StatementPlace,
}

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
        source: IpAddr,
    ) -> Result<AdmittedStatement, Answer> {
        let asker = Asker::of(request.headers);
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
                let answer = pass_on(said, accept, &shape, self.version().as_ref());
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
    async fn place_for(&self, taken: &Taken, source: IpAddr) -> Result<StatementPlace, Refusal> {
        let name = &self.settings.name;
        let unavailable = |reason| {
            self.stats.rejected.increment();
            Refusal::unavailable(reason, RETRY_AFTER_SECONDS)
        };
        if !self.board.admits_statement() {
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
        let question = Question {
            credentials: &taken.record.credentials,
            scope: match &taken.needed.right {
                Right::Administer => Scope::Administer,
                Right::Write(database) => Scope::Write(database),
                Right::Identify => Scope::Identify,
            },
        };
        match self.judge.judge(question, source).await {
            Ok(()) => Ok(place),
            Err(Rejection::Refused(refusal)) if taken.passes(&refusal) => Ok(place),
            Err(Rejection::Refused(refusal)) => {
                let needed = &taken.needed;
                let refusal = match needed.reads_before.as_str() {
                    "" => refusal,
                    reads => {
                        let first = self.judge.first_refusal(question, reads, &taken.database);
                        first.await.unwrap_or(refusal)
                    }
                };
                Err(Refusal {
                    message: needed.refusal(&refusal.message),
                    ..refusal
                })
            }
            Err(rejection) => Err(self.rejection(rejection, "run such a statement")),
        }
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
        let append = || self.journal.append(STATEMENT, vec![head, record.body]);
        let timeout = self.settings.statement_timeout;
        let (append, wait) = match self.board.open_statement(timeout, place, wanted, append) {
            Ok(opened) => opened,
            Err(error) if error.is_final() => return rejected(Refusal::too_large()),
            Err(error) => {
                return rejected(unavailable(format!(
                    "relay {name}: the journal takes no statements: {error}"
                )));
            }
        };
        self.stats.statements.increment();
        let acknowledgement = Acknowledgement {
            sequence: append.sequence,
            freshness: Arc::clone(&self.freshness),
            stats: Arc::clone(&self.stats),
            journal: self.journal.clone(),
            judge: Arc::clone(&self.judge),
        };
        if asynchronous {
            return match tokio::time::timeout(self.settings.timeout, append.durable()).await {
                Ok(Ok(())) => Ok(CarriedOut::Whole(StatementAnswer::accepted(), 0)),
                Ok(Err(_)) | Err(_) => Err(self.unsettled(0)),
            };
        }
        let StatementWait { mut outcome, begun } = wait;
        let ended = tokio::select! {
            biased;
            // Without a sender it has ended without a long answer.
            Ok(begun) = begun => return Ok(CarriedOut::Coming(begun, outcome, acknowledgement)),
            ended = &mut outcome => ended,
        };
        match ended {
            Ok(StatementOutcome::Applied { applied, answer }) => {
                acknowledgement.make(false);
                Ok(CarriedOut::Whole(answer, applied))
            }
            Ok(StatementOutcome::Refused(answer)) => {
                acknowledgement.make(true);
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

impl Taken {
    /// Whether a node lets the statement pass although it refused the question: a missing database is the statement's own affair.
    fn passes(&self, refusal: &Refusal) -> bool {
        refusal.status == StatusCode::NOT_FOUND
            || (self.creates_administrator && refusal.message.contains("create admin user first"))
    }
}

#[cfg(test)]
impl AdmittedStatement {
    /// A statement of which only this is known, for a stand-in of the relay.
    pub(crate) fn shown_as(shown: String) -> AdmittedStatement {
        AdmittedStatement {
            record: StatementRecord {
                method: StatementMethod::Post,
                target: "/query".to_owned(),
                content_type: String::new(),
                shown,
                databases: None,
                credentials: Credentials::None,
                body: Bytes::new(),
            },
            shape: AnswerShape::default(),
            asker: Asker::of(&http::HeaderMap::new()),
            place: super::board::statement_place(),
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
            content_type: None,
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
    version: Option<&http::HeaderValue>,
) -> Answer {
    let pretty = shape.pretty;
    // InfluxDB's errors have headers of their own, and the form that the client accepts.
    let is_json = said
        .content_type
        .as_ref()
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/json"));
    match said.refusal {
        Some(refusal) if said.status >= 400 && is_json => {
            return refusal_of_text(said.status, refusal.words()).answer(accept, pretty);
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
        // A replica was asked for JSON, for it tells most.
        match render(&body, format, shape.chunked, shape.epoch.as_deref()) {
            Ok(rendered) => {
                content_type = Some(http::HeaderValue::from_static(name_of(format, version)));
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

/// The `Content-Type` of an answer in this form. Before 1.8 every CSV is `text/csv`, whatever was asked for.
fn name_of(format: Format, version: Option<&http::HeaderValue>) -> &'static str {
    let is_old = version.is_some_and(|version| {
        let version = version.as_bytes();
        version.starts_with(b"1.6.") || version.starts_with(b"1.7.")
    });
    match format {
        Format::ApplicationCsv if is_old => Format::TextCsv.content_type(),
        format => format.content_type(),
    }
}

/// As [`take`]; a large body is worked on outside the threads that serve requests.
async fn take_off(request: &Request<'_>, class: &Class, now: i64) -> Result<Taken, Refusal> {
    if request.body.len() < LARGE {
        return take(request, class, now);
    }
    let (method, headers) = (request.method.clone(), request.headers.clone());
    let (path, query_string) = (request.path.to_vec(), request.query_string.to_vec());
    let (body, class) = (request.body.to_vec(), class.clone());
    let taken = offload(move || {
        let request = Request {
            method: &method,
            path: &path,
            query_string: &query_string,
            headers: &headers,
            body: &body,
        };
        take(&request, &class, now)
    });
    let failed = || {
        let reason = "the request could not be worked on".to_owned();
        Err(Refusal::unavailable(reason, RETRY_AFTER_SECONDS))
    };
    taken.await.unwrap_or_else(failed)
}

/// Makes a record of the request, accepted `now` (Unix time in nanoseconds).
///
/// # Errors
/// It leaves open what every node would do with it.
fn take(request: &Request<'_>, class: &Class, now: i64) -> Result<Taken, Refusal> {
    let databases = match &class.databases {
        Databases::Unknown => None,
        Databases::Named { names, .. } => Some(names.iter().cloned().collect()),
    };
    match Endpoint::of(request.path) {
        Some(Endpoint::Query) => take_query(request, class, databases, now),
        _ => take_as_it_is(request, class, databases),
    }
}

fn take_query(
    request: &Request<'_>,
    class: &Class,
    databases: Option<Vec<String>>,
    now: i64,
) -> Result<Taken, Refusal> {
    let mut canonical =
        Canonical::of(request).map_err(|error| Refusal::bad_request(error.to_string()))?;
    if class.depends_on_time {
        match pin_now(&canonical.query, now) {
            // What InfluxDB cannot read either is its to refuse.
            Pinned::Unchanged | Pinned::Impossible(Unpinnable::Unreadable) => {}
            Pinned::Rewritten(query) => canonical.query = query,
            Pinned::Impossible(reason) => {
                return Err(Refusal::bad_request(format!(
                    "this statement cannot be replicated, as its meaning depends on when each node carries it out: {reason}"
                )));
            }
        }
    }
    let credentials = Credentials::read(
        &Parameters::parse(std::str::from_utf8(request.query_string).unwrap_or_default()),
        request.headers,
    );
    let get = canonical.answer.get;
    let form = canonical.form();
    let shape = canonical.answer.query_string();
    let in_target = get && form.len() + shape.len() < LONGEST_TARGET;
    let parameters: Vec<&str> = if in_target {
        vec![form.as_str(), shape.as_str()]
    } else {
        vec![shape.as_str()]
    };
    let parameters: Vec<&str> = parameters
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    let mut target = "/query".to_owned();
    for (place, text) in parameters.into_iter().enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        target.push_str(text);
    }
    let needed = Needed::of(&canonical.query, canonical.database.as_deref());
    let database = canonical.database.as_deref().unwrap_or_default();
    let database = String::from_utf8_lossy(database).into_owned();
    let creates_administrator = creates_administrator(&canonical.query);
    let shown = shorten(redact(&canonical.query));
    let record = StatementRecord {
        method: if in_target {
            StatementMethod::Get
        } else {
            StatementMethod::Post
        },
        target,
        content_type: if in_target {
            String::new()
        } else {
            FORM.to_owned()
        },
        shown,
        databases,
        credentials,
        body: if in_target {
            Bytes::new()
        } else {
            Bytes::from(form)
        },
    };
    Ok(Taken {
        record,
        shape: canonical.answer,
        needed,
        database,
        creates_administrator,
    })
}

/// A request of another endpoint goes as it came, but for its credentials.
fn take_as_it_is(
    request: &Request<'_>,
    class: &Class,
    databases: Option<Vec<String>>,
) -> Result<Taken, Refusal> {
    let method = match *request.method {
        Method::POST => StatementMethod::Post,
        Method::PATCH => StatementMethod::Patch,
        Method::DELETE => StatementMethod::Delete,
        _ => {
            return Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Method Not Allowed",
            ));
        }
    };
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Refusal::bad_request("the request's target is not UTF-8"))
    };
    let query_string = text(request.query_string)?;
    let parameters = Parameters::parse(&query_string);
    let credentials = Credentials::read(&parameters, request.headers);
    let mut target = text(request.path)?;
    let kept = query_string.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && !matches!(name, "u" | "p")
    });
    for (place, pair) in kept.enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        target.push_str(pair);
    }
    let content_type = request.headers.get(CONTENT_TYPE);
    Ok(Taken {
        record: StatementRecord {
            method,
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            shown: format!(
                "{} ({} {})",
                class.names.first().copied().unwrap_or("?"),
                method.name(),
                target.split('?').next().unwrap_or_default()
            ),
            target,
            databases,
            credentials,
            body: Bytes::copy_from_slice(request.body),
        },
        shape: AnswerShape::default(),
        needed: Needed::of(b"", None),
        database: String::new(),
        creates_administrator: false,
    })
}

fn shorten(mut text: String) -> String {
    if text.len() <= MOST_SHOWN {
        return text;
    }
    let mut end = MOST_SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push(CUT);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influx::influxql::classify_request;
    use http::HeaderMap;
    use http::header::AUTHORIZATION;

    const NOW: i64 = 1_700_000_000_000_000_000;

    fn taken(
        method: Method,
        path: &str,
        query_string: &str,
        headers: &HeaderMap,
        body: &str,
    ) -> Result<Taken, Refusal> {
        let request = Request {
            method: &method,
            path: path.as_bytes(),
            query_string: query_string.as_bytes(),
            headers,
            body: body.as_bytes(),
        };
        let class = classify_request(&request, &Default::default()).expect("an endpoint");
        take(&request, &class, NOW)
    }

    fn get(query_string: &str) -> Result<Taken, Refusal> {
        taken(Method::GET, "/query", query_string, &HeaderMap::new(), "")
    }

    #[test]
    fn a_get_stays_one_and_loses_only_what_is_not_the_statements() {
        let taken = get("q=CREATE+DATABASE+%22a+b%22&u=me&p=secret&pretty=true&async=true&db=x");
        let taken = taken.expect("taken");
        assert_eq!(
            taken.record.target,
            "/query?q=CREATE%20DATABASE%20%22a%20b%22&db=x&pretty=true"
        );
        assert!(taken.shape.asynchronous && taken.shape.pretty);
        assert_eq!(taken.record.method, StatementMethod::Get);
        assert_eq!(taken.record.databases, Some(vec!["a b".to_owned()]));
        let user = Credentials::Parameters {
            user: b"me".to_vec(),
            password: b"secret".to_vec(),
        };
        assert_eq!(taken.record.credentials, user);
    }

    #[test]
    fn a_form_goes_as_a_form_and_passwords_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(FORM));
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static("Basic x"));
        let body = "q=CREATE+USER+u+WITH+PASSWORD+%27hidden%27&epoch=ns";
        let taken = taken(Method::POST, "/query", "", &headers, body);
        let record = taken.expect("taken").record;
        assert_eq!(record.target, "/query?epoch=ns");
        assert_eq!(record.content_type, FORM);
        assert!(!record.shown.contains("hidden"), "{}", record.shown);
        let authorization = Credentials::Authorization(b"Basic x".to_vec());
        assert_eq!(record.credentials, authorization);
        assert!(record.body.starts_with(b"q=CREATE%20USER"));
    }

    #[test]
    fn time_is_pinned_or_the_statement_is_refused() {
        let record = get("db=d&q=DELETE+FROM+m+WHERE+time+%3C+now()");
        let target = record.expect("taken").record.target;
        assert!(target.contains("1700000000000000000"), "{target}");
        let refusal = get("db=d&q=SELECT+mean(v)+INTO+x+FROM+m+GROUP+BY+time($i)");
        let refusal = refusal.expect_err("refused");
        assert_eq!(refusal.status, 400);
        // What InfluxDB refuses itself goes to it.
        assert!(get("db=d&q=DELETE+FROM+m+WHERE+time+%3C+%27").is_ok());
    }

    #[test]
    fn a_long_get_goes_as_a_form() {
        let long = format!("q=DROP+MEASUREMENT+%22{}%22", "m".repeat(LONGEST_TARGET));
        let record = get(&long).expect("taken").record;
        assert!(record.is_shown_cut() && record.shown.len() < MOST_SHOWN + 4);
        assert_eq!(record.method, StatementMethod::Post);
        assert!(record.body.len() > LONGEST_TARGET && record.target == "/query");
    }

    #[test]
    fn other_endpoints_go_as_they_are() {
        let query = "bucket=db%2Frp&u=me&p=secret&org=x";
        let headers = HeaderMap::new();
        let taken = taken(Method::POST, "/api/v2/delete", query, &headers, "{}");
        let record = taken.expect("taken").record;
        assert_eq!(record.target, "/api/v2/delete?bucket=db%2Frp&org=x");
        assert_eq!(record.body, "{}");
        assert!(!record.is_query());
    }
}
