//! The headers that InfluxDB puts on every answer of its handlers, and haflux's own.

use http::header::{self, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::influx::endpoint::cross_origin_headers;
use crate::influx::{Answer, Format};
use crate::relay::intake::relay::{APPLIED_HEADER, Relay};

/// What of a request's headers shapes its answer.
#[derive(Debug)]
pub(in crate::relay) struct Asker {
    /// As InfluxDB: the client's `X-Request-Id`, else its `Request-Id`, else a new UUID.
    request_id: HeaderValue,
    /// A page of another site asks.
    origin: Option<HeaderValue>,
    pub(in crate::relay) accept: Option<HeaderValue>,
}

impl Asker {
    pub(in crate::relay) fn of(headers: &HeaderMap) -> Asker {
        let given = headers
            .get("x-request-id")
            .or_else(|| headers.get("request-id"));
        Asker {
            request_id: match given {
                Some(given) if !given.is_empty() => given.clone(),
                _ => new_request_id(),
            },
            origin: headers.get(header::ORIGIN).cloned(),
            accept: headers.get(header::ACCEPT).cloned(),
        }
    }
}

impl Relay {
    /// Adds them. `applied`: by how many replicas what was asked for was carried out, if it came to that.
    pub(in crate::relay) fn dress(
        &self,
        mut answer: Answer,
        asker: &Asker,
        applied: Option<usize>,
    ) -> Answer {
        let headers = &mut answer.headers;
        let version = self.version();
        if version.as_ref().is_some_and(has_one_csv) {
            let kinds = headers.iter_mut().filter(|(name, _)| *name == CONTENT_TYPE);
            for (_, kind) in
                kinds.filter(|(_, kind)| *kind == Format::ApplicationCsv.content_type())
            {
                *kind = HeaderValue::from_static(Format::TextCsv.content_type());
            }
        }
        let mut push = |name, value| headers.push((HeaderName::from_static(name), value));
        if let Some(version) = version {
            push("x-influxdb-version", version);
        }
        push("x-influxdb-build", HeaderValue::from_static("OSS"));
        push("request-id", asker.request_id.clone());
        push("x-request-id", asker.request_id.clone());
        let is_told = headers
            .iter()
            .any(|(name, _)| *name == ACCESS_CONTROL_ALLOW_ORIGIN);
        if !is_told {
            headers.extend(cross_origin_headers(asker.origin.as_ref()));
        }
        if let Some(applied) = applied
            && let Ok(value) = HeaderValue::try_from(format!("{applied}/{}", self.replicas.len()))
        {
            headers.push((APPLIED_HEADER, value));
        }
        answer
    }
}

/// Before 1.8 every CSV is `text/csv`, whatever was asked for.
fn has_one_csv(version: &HeaderValue) -> bool {
    let version = version.as_bytes();
    version.starts_with(b"1.6.") || version.starts_with(b"1.7.")
}

fn new_request_id() -> HeaderValue {
    let uuid = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    HeaderValue::from_str(uuid.hyphenated().encode_lower(&mut text))
        .unwrap_or(HeaderValue::from_static("0"))
}
