//! Which requests are writes, and what InfluxDB answers to those that never reach a handler.
//!
//! InfluxDB's router compares the escaped path **byte for byte**: `/write/`, `//write`, `/%77rite` and `/WRITE` are all 404. So
//! does [`route`]; a comparison that normalised anything would let requests walk around it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

pub use super::answer::Answer;
use super::answer::content_type;
use super::format::Format;
use super::go_text::json_string;
use super::parameters::Parameters;

/// An endpoint that takes points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteEndpoint {
    /// Line protocol.
    V1,
    /// Line protocol, other parameters; since 1.8.
    V2,
    /// Prometheus remote write: snappy and protobuf.
    Prometheus,
}

impl WriteEndpoint {
    /// The endpoint's path.
    pub fn path(self) -> &'static str {
        match self {
            Self::V1 => "/write",
            Self::V2 => "/api/v2/write",
            Self::Prometheus => "/api/v1/prom/write",
        }
    }

    /// What InfluxDB answers to a method that is not a write: 200 to OPTIONS where the router knows it (as in 1.11), else
    /// 405. `None` for POST. `origin` is the request's `Origin`.
    pub fn answer_to_method(self, method: &Method, origin: Option<&HeaderValue>) -> Option<Answer> {
        let options = self != Self::Prometheus;
        match *method {
            Method::POST => None,
            Method::OPTIONS if options => {
                let headers = cross_origin_headers(origin);
                Some(Answer {
                    status: StatusCode::OK,
                    headers,
                    body: Bytes::new(),
                })
            }
            _ => Some(method_not_allowed(if options {
                "OPTIONS, POST"
            } else {
                "POST"
            })),
        }
    }
}

/// What InfluxDB answers to a method that its endpoints of version 2, other than writes, do not know.
pub fn answer_to_v2_method(path: &[u8], method: &Method) -> Option<Answer> {
    let allowed = match path {
        b"/api/v2/delete" => "POST",
        b"/api/v2/query" => "OPTIONS, POST",
        b"/api/v2/buckets" => "GET, POST",
        _ => match path.strip_prefix(b"/api/v2/buckets/") {
            Some(bucket) if !bucket.contains(&b'/') => "DELETE, GET, PATCH",
            _ => return None,
        },
    };
    let is_known = allowed.split(", ").any(|known| known == method.as_str());
    (!is_known).then(|| method_not_allowed(allowed))
}

/// Where a request goes, by its path alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A write.
    Write(WriteEndpoint),
    /// `/ping`
    Ping,
    /// `/query`
    Query,
    /// Everything else.
    Other,
}

/// Finds the route of a path as it stands in the request, without the query string.
pub fn route(path: &str) -> Route {
    match path {
        "/write" => Route::Write(WriteEndpoint::V1),
        "/api/v2/write" => Route::Write(WriteEndpoint::V2),
        "/api/v1/prom/write" => Route::Write(WriteEndpoint::Prometheus),
        "/ping" => Route::Ping,
        "/query" => Route::Query,
        _ => Route::Other,
    }
}

/// What InfluxDB answers where its router knows no such path.
pub fn answer_to_unknown_path() -> Answer {
    Answer::plain_text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// What InfluxDB of a version answers on `/ping`: 204, or the version if `verbose` asks for it (since 1.7), or 405.
pub fn answer_to_ping(
    method: &Method,
    query: &str,
    accept: Option<&HeaderValue>,
    version: &str,
) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return method_not_allowed("GET, HEAD");
    }
    let parameters = Parameters::parse(query);
    let verbose = parameters
        .first("verbose")
        .is_some_and(|value| !matches!(value.as_ref(), "" | "0" | "false"));
    let headers = vec![content_type(Format::accepted(accept))];
    if !verbose || is_before_1_7(version) {
        return Answer {
            status: StatusCode::NO_CONTENT,
            headers,
            body: Bytes::new(),
        };
    }
    let body = if *method == Method::HEAD {
        String::new()
    } else {
        format!("{{\"version\":{}}}", json_string(version))
    };
    Answer {
        status: StatusCode::OK,
        headers,
        body: body.into(),
    }
}

/// Whether a version is known to be older than 1.7; names that are no numbers are not.
fn is_before_1_7(version: &str) -> bool {
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (1, 7),
        _ => false,
    }
}

/// The headers that InfluxDB adds to all its answers if the request has an `Origin` (1.11's, which hold those of older ones).
pub fn cross_origin_headers(origin: Option<&HeaderValue>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(origin) = origin.filter(|origin| !origin.is_empty()) else {
        return Vec::new();
    };
    const METHODS: &str = "DELETE, GET, OPTIONS, POST, PUT, PATCH";
    const HEADERS: &str = "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, User-Agent, X-CSRF-Token, \
                           X-HTTP-Method-Override";
    const EXPOSED: &str = "Date, X-InfluxDB-Version, X-InfluxDB-Build";
    vec![
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(HEADERS),
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        ),
    ]
}

fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = Answer::plain_text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    answer
        .headers
        .push((header::ALLOW, HeaderValue::from_static(allowed)));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(answer: &Answer, name: HeaderName, value: &str) -> bool {
        answer
            .headers
            .iter()
            .any(|(found, held)| *found == name && held.as_bytes() == value.as_bytes())
    }

    #[test]
    fn methods_that_an_endpoint_of_version_2_does_not_know_are_named() {
        let answer = |path: &str, method| answer_to_v2_method(path.as_bytes(), &method);
        for (path, method, allowed) in [
            ("/api/v2/delete", Method::PUT, "POST"),
            ("/api/v2/delete", Method::DELETE, "POST"),
            ("/api/v2/buckets", Method::PATCH, "GET, POST"),
            ("/api/v2/buckets/d%2Fr", Method::PUT, "DELETE, GET, PATCH"),
            ("/api/v2/query", Method::PUT, "OPTIONS, POST"),
        ] {
            let answer = answer(path, method).expect("405");
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert!(has(&answer, header::ALLOW, allowed), "{path}");
        }
        for (path, method) in [
            ("/api/v2/delete", Method::POST),
            ("/api/v2/buckets/d%2Fr", Method::DELETE),
            ("/api/v2/buckets/d%2Fr/labels", Method::PUT),
            ("/query", Method::PUT),
        ] {
            assert_eq!(answer(path, method), None, "{path}");
        }
    }

    #[test]
    fn paths_match_byte_for_byte() {
        for endpoint in [
            WriteEndpoint::V1,
            WriteEndpoint::V2,
            WriteEndpoint::Prometheus,
        ] {
            assert_eq!(route(endpoint.path()), Route::Write(endpoint));
        }
        assert_eq!(
            (route("/ping"), route("/query")),
            (Route::Ping, Route::Query)
        );
        for path in [
            "/write/",
            "//write",
            "/%77rite",
            "/./write",
            "/WRITE",
            "/query/",
            "write",
            "",
            "/api/v2/write/",
            "/ping/",
        ] {
            assert_eq!(route(path), Route::Other, "{path}");
        }
    }

    #[test]
    fn options_and_wrong_methods() {
        let origin = HeaderValue::from_static("http://grafana");
        let write = WriteEndpoint::V1;
        assert_eq!(write.answer_to_method(&Method::POST, None), None);
        let answer = write
            .answer_to_method(&Method::OPTIONS, None)
            .expect("an answer");
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.headers.len(),
                answer.body.len()
            ),
            (200, 0, 0)
        );
        let answer = write
            .answer_to_method(&Method::OPTIONS, Some(&origin))
            .expect("an answer");
        assert!(has(
            &answer,
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            "http://grafana"
        ));
        let answer = write
            .answer_to_method(&Method::GET, Some(&origin))
            .expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_ref()),
            (405, &b"Method Not Allowed\n"[..])
        );
        assert!(has(&answer, header::ALLOW, "OPTIONS, POST"));
        assert!(has(
            &answer,
            header::CONTENT_TYPE,
            "text/plain; charset=utf-8"
        ));
        let answer = WriteEndpoint::Prometheus
            .answer_to_method(&Method::OPTIONS, None)
            .expect("an answer");
        assert!(answer.status == 405 && has(&answer, header::ALLOW, "POST"));
    }

    #[test]
    fn ping_tells_its_version_when_asked() {
        let table = [
            ("", "1.8.10", 204),
            ("verbose=true", "1.8.10", 200),
            ("verbose=1", "1.7.0", 200),
            ("verbose=false", "1.8.10", 204),
            ("verbose=0", "1.8.10", 204),
            ("verbose=", "1.8.10", 204),
            ("verbose=true", "1.6.7", 204),
            ("verbose=true", "1.6.7~rc0", 204),
            ("verbose=true", "1.12.1", 200),
            ("verbose=true", "unknown", 200),
        ];
        for (query, version, status) in table {
            let answer = answer_to_ping(&Method::GET, query, None, version);
            assert_eq!(answer.status, status, "{query} {version}");
            assert!(has(&answer, header::CONTENT_TYPE, "application/json"));
        }
        let answer = answer_to_ping(&Method::GET, "verbose=true", None, "1.8.10");
        assert_eq!(answer.body, &b"{\"version\":\"1.8.10\"}"[..]);
        assert!(
            answer_to_ping(&Method::HEAD, "verbose=true", None, "1.8.10")
                .body
                .is_empty()
        );
        let answer = answer_to_ping(&Method::POST, "", None, "1.8.10");
        assert!(answer.status == 405 && has(&answer, header::ALLOW, "GET, HEAD"));
    }
}
