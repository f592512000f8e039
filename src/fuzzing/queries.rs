//! What clients ask, and how they say it.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use super::choice;
use crate::influx::influxql::flux::{self, Encoding};
use crate::influx::influxql::time::{Pinned, pin_now};
use crate::influx::influxql::{
    Canonical, ContinuousQuery, Kind, Limits, Request, candidates, classify, classify_request,
    fingerprint, flux_now, is_unbounded, redact, uses,
};
use crate::influx::prometheus_read;
use crate::proxy_header;

/// The moment to which statements are pinned, in nanoseconds since 1970.
const NOW: i64 = 1_700_000_000_123_456_789;

/// The longest read of Prometheus that is unpacked, in bytes.
const LONGEST_READ: usize = 16 * 1024;

/// InfluxQL is judged, pinned to a moment and shown without its secrets.
pub(super) fn influxql(query: &[u8]) {
    let class = classify(query);
    redact(query);
    fingerprint(query);
    is_unbounded(query);
    if let Pinned::Rewritten(text) = pin_now(query, NOW) {
        assert_eq!(
            classify(&text).kind,
            class.kind,
            "a pinned statement is of the same kind"
        );
        if let Pinned::Rewritten(again) = pin_now(&text, NOW + 1_000_000_000) {
            assert_eq!(again, text, "what is pinned stays as it is");
        }
    }
    let mut changing = query.to_vec();
    changing.extend_from_slice(b"\n;DROP DATABASE d");
    let kind = classify(&changing).kind;
    assert!(
        matches!(kind, Kind::Change | Kind::Refused(_)),
        "a change behind a semicolon is seen"
    );
}

/// Flux is judged, and pinned to a moment.
pub(super) fn flux(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let encoding = match first & 1 {
        0 => Encoding::Plain,
        _ => Encoding::Json,
    };
    flux::effect(body, encoding);
    if let Ok(Some(pinned)) = flux_now::pin(body, encoding, NOW) {
        // Go's decoder takes what is no UTF-8 for replacement characters.
        let text = String::from_utf8_lossy(&pinned);
        assert!(
            serde_json::from_str::<serde_json::Value>(&text).is_ok(),
            "what is pinned is a JSON object"
        );
    }
}

const CONTENT_TYPES: [&str; 5] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json",
    "application/vnd.flux",
    "multipart/form-data; boundary=\"x\"; charset=\"",
];

/// A request to a query endpoint, in URL, form and multipart form. A line's end stands between the URL's query string and the body.
pub(super) fn request(bytes: &[u8]) {
    let (first, rest) = choice(bytes);
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let (query_string, body) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    let body = body.get(1..).unwrap_or_default();
    let mut headers = HeaderMap::new();
    if let Some(value) = CONTENT_TYPES.get(usize::from(first >> 4)) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
    }
    let method = match first & 3 {
        0 => Method::GET,
        1 => Method::PUT,
        _ => Method::POST,
    };
    let path: &[u8] = match (first >> 2) & 3 {
        0 | 1 => b"/query",
        2 => b"/api/v2/query",
        _ => b"/api/v2/delete",
    };
    let request = Request {
        method: &method,
        path,
        query_string,
        headers: &headers,
        body,
    };
    uses(&request, &Limits::NONE);
    let class = classify_request(&request, &Limits::NONE).expect("it is an endpoint");
    // InfluxDB runs queries for these two alone.
    if path != b"/query" || !matches!(method, Method::GET | Method::POST) {
        return;
    }
    if let Ok(canonical) = Canonical::of(&request) {
        let form = canonical.form();
        let again = Request {
            method: &Method::POST,
            path,
            query_string: form.as_bytes(),
            headers: &HeaderMap::new(),
            body: &[],
        };
        let journaled = classify_request(&again, &Limits::NONE).expect("it is an endpoint");
        // What is refused is not sent.
        let may_change = matches!(class.kind, Kind::Change | Kind::Refused(_));
        assert!(
            may_change || !matches!(journaled.kind, Kind::Change),
            "what nodes are sent changes no more than what came"
        );
    }
    let _ = candidates(&request, &Limits::NONE);
}

/// A continuous query, as a node lists it.
pub(super) fn continuous_query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(query) = ContinuousQuery::parse(&text) {
        assert!(query.interval > 0 && query.offset.abs() < query.interval);
        classify(query.between(NOW, NOW + 1).as_bytes());
    }
}

/// A read of Prometheus is known without its times.
pub(super) fn prometheus_read(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    // Bytes that are packed here reach further.
    let packed = match first & 1 {
        0 => body.to_vec(),
        _ => snap::raw::Encoder::new()
            .compress_vec(body)
            .unwrap_or_default(),
    };
    if let Some(known) = prometheus_read::without_times(&packed, LONGEST_READ) {
        // Of each key and length up to eight bytes more.
        assert!(known.len() <= 16 * LONGEST_READ);
    }
}

/// What a proxy says of the client before its request.
pub(super) fn proxy_header(bytes: &[u8]) {
    let _ = proxy_header::of_line(bytes);
    let Some((fixed, rest)) = bytes.split_first_chunk() else {
        return;
    };
    if let Ok(announced) = proxy_header::announced(fixed) {
        let _ = announced.client(rest.get(..announced.length).unwrap_or(rest));
    }
}
