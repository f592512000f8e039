//! A changing request that is no write, as a record.
//!
//! The record is the whole request. What depends on the clock is pinned to the moment at which it is taken, and what would be
//! done differently by each node is refused.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

use crate::influx::influxql::flux_now;
use crate::influx::influxql::request::flux_body;
use crate::influx::influxql::time::{Pinned, Unpinnable, pin_now};
use crate::influx::influxql::{
    AnswerShape, Canonical, Class, Databases, Endpoint, Needed, Request, Right,
    creates_administrator, redact,
};
use crate::influx::{Credentials, Parameters, Refusal, database_of_bucket};
use crate::offload::{LARGE, offload};
use crate::relay::intake::relay::RETRY_AFTER_SECONDS;
use crate::relay::intake::sent_query::Sent;
use crate::relay::record::statement::{CUT, StatementMethod, StatementRecord};

/// Most bytes of a statement that are shown.
const MOST_SHOWN: usize = 2048;

/// A request as a record, and what its client wants of the answer.
#[derive(Debug)]
pub(in crate::relay) struct Taken {
    pub(in crate::relay) record: StatementRecord,
    pub(in crate::relay) shape: AnswerShape,
    /// What its sender must be allowed to do, at least one thing.
    pub(in crate::relay) needed: Vec<Needed>,
    /// Everybody may run it while a node has no user.
    pub(in crate::relay) creates_administrator: bool,
    /// What a node would parse, of a request to `/query`.
    pub(in crate::relay) query: Option<Canonical>,
}

impl Taken {
    /// Whether a node lets the statement pass although it refused the question.
    pub(in crate::relay) fn passes(&self, refusal: &Refusal) -> bool {
        self.creates_administrator && refusal.message.contains("create admin user first")
    }

    /// Whether nothing speaks against its being a statement: its sender has a right to change something with it, or is not known at
    /// all.
    pub(in crate::relay) fn is_proven(&self, forbidden: Option<&Refusal>) -> bool {
        match forbidden {
            Some(refusal) => refusal.status == StatusCode::UNAUTHORIZED,
            None => self.needed.iter().any(|needed| needed.right.changes()),
        }
    }
}

/// As [`take`]; a large body is worked on outside the threads that serve requests.
pub(in crate::relay) async fn take_off(
    request: &Request<'_>,
    class: &Class,
    now: i64,
) -> Result<Taken, Refusal> {
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
        Some(Endpoint::FluxQuery) => {
            let mut taken = take_as_it_is(request, class, databases)?;
            pin_flux(&mut taken.record, request, now)?;
            Ok(taken)
        }
        _ => take_as_it_is(request, class, databases),
    }
}

/// Writes the moment of acceptance into the body of a Flux query.
fn pin_flux(record: &mut StatementRecord, request: &Request<'_>, now: i64) -> Result<(), Refusal> {
    // Without a `Content-Type` InfluxDB refuses it whatever it says.
    let Some(encoding) = flux_body(request.headers) else {
        return Ok(());
    };
    let pinned = flux_now::pin(request.body, encoding, now);
    if let Some(body) = pinned.map_err(|error| Refusal::bad_request(error.to_string()))? {
        record.body = Bytes::from(body);
        record.content_type = flux_now::JSON.to_owned();
    }
    Ok(())
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
    let Sent {
        method,
        target,
        content_type,
        body,
    } = Sent::of(&canonical);
    let needed = Needed::of(&canonical.query, canonical.database.as_deref());
    let creates_administrator = creates_administrator(&canonical.query);
    let record = StatementRecord {
        method,
        target,
        content_type,
        shown: shorten(redact(&canonical.query)),
        databases,
        credentials,
        body,
    };
    Ok(Taken {
        record,
        shape: canonical.answer.clone(),
        needed,
        creates_administrator,
        query: Some(canonical),
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
    let path = target.split('?').next().unwrap_or_default();
    let named = format!("{} {path}", method.name());
    let needed = match right(request, &parameters) {
        Some(right) => Needed::of_request(right, named.clone()),
        None => Needed::nothing(),
    };
    Ok(Taken {
        record: StatementRecord {
            method,
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            shown: format!("{} ({named})", class.names.first().copied().unwrap_or("?")),
            target,
            databases,
            credentials,
            body: Bytes::copy_from_slice(request.body),
        },
        shape: AnswerShape::default(),
        needed: vec![needed],
        creates_administrator: false,
        query: None,
    })
}

/// The right that InfluxDB asks for (httpd handler.go `serveDeleteV2`, meta's `QueryAuthorizer`). None for Flux, which may write
/// anywhere. A bucket that it cannot read is refused whoever asks, so an administrator may ask.
fn right(request: &Request<'_>, parameters: &Parameters<'_>) -> Option<Right> {
    match Endpoint::of(request.path)? {
        Endpoint::Delete => {
            let database = database_of_bucket(parameters.first_bytes("bucket").unwrap_or_default());
            Some(database.map_or(Right::Administer, Right::Write))
        }
        Endpoint::Buckets => Some(Right::Administer),
        Endpoint::FluxQuery | Endpoint::Query => None,
    }
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
    use crate::influx::FORM;
    use crate::influx::influxql::classify_request;
    use crate::relay::intake::sent_query::LONGEST_TARGET;
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
    fn a_form_goes_as_a_form() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(FORM));
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static("Basic x"));
        let body = "q=DROP+USER+u&epoch=ns";
        let taken = taken(Method::POST, "/query", "", &headers, body);
        let record = taken.expect("taken").record;
        assert_eq!(record.target, "/query?epoch=ns");
        assert_eq!(record.content_type, FORM);
        let authorization = Credentials::Authorization(b"Basic x".to_vec());
        assert_eq!(record.credentials, authorization);
        assert_eq!(record.body, "q=DROP%20USER%20u");
    }

    #[test]
    fn a_password_goes_as_a_file_and_is_not_shown() {
        let query = "q=CREATE+USER+u+WITH+PASSWORD+%27hidden%27";
        let mut form = HeaderMap::new();
        form.insert(CONTENT_TYPE, http::HeaderValue::from_static(FORM));
        let none = HeaderMap::new();
        for (method, in_url, headers, in_form) in [
            (Method::GET, query, &none, ""),
            (Method::POST, query, &none, ""),
            (Method::POST, "", &form, query),
        ] {
            let url = format!("epoch=ns&db=a+b&{in_url}");
            let taken = taken(method.clone(), "/query", &url, headers, in_form);
            let record = taken.expect("taken").record;
            assert_eq!(record.method.name(), method.as_str());
            assert_eq!(record.target, "/query?db=a%20b&epoch=ns");
            assert!(!record.shown.contains("hidden"), "{}", record.shown);
            let text = String::from_utf8_lossy(&record.body);
            assert!(
                text.contains("\r\n\r\nCREATE USER u WITH PASSWORD 'hidden'\r\n--"),
                "{text}"
            );
            // haflux itself reads in it what it has put there.
            let mut headers = HeaderMap::new();
            let content_type = http::HeaderValue::from_str(&record.content_type);
            headers.insert(CONTENT_TYPE, content_type.expect("a header"));
            let request = Request {
                method: &method,
                path: b"/query",
                query_string: b"db=a+b",
                headers: &headers,
                body: &record.body,
            };
            let read = Canonical::of(&request).expect("a request");
            assert_eq!(read.query, b"CREATE USER u WITH PASSWORD 'hidden'");
        }
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
    fn flux_that_writes_is_pinned() {
        let query = "from(bucket: \"a\") |> range(start: -5s) |> to(bucket: \"b\")";
        let json = serde_json::json!({ "query": query, "type": "flux" }).to_string();
        for (content_type, body) in [("application/vnd.flux", query), ("application/json", &json)] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
            let taken = taken(Method::POST, "/api/v2/query", "org=x", &headers, body);
            let record = taken.expect("taken").record;
            assert_eq!(record.target, "/api/v2/query?org=x");
            assert_eq!(record.content_type, "application/json");
            let body: serde_json::Value = serde_json::from_slice(&record.body).expect("JSON");
            assert_eq!(body["query"], query);
            assert_eq!(body["now"], "2023-11-14T22:13:20Z");
        }
        let untold = taken(Method::POST, "/api/v2/query", "", &HeaderMap::new(), query);
        assert_eq!(untold.expect("taken").record.body, query);
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static("application/json"),
        );
        let broken = taken(Method::POST, "/api/v2/query", "", &headers, "to()");
        assert_eq!(broken.expect_err("refused").status, 400);
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
