//! `http_request`, `http_response`, `rate_limit` and `bandwidth`: what becomes of a frontend's requests and answers by rules about HTTP.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use super::Condition;

/// One entry of `http_request`.
#[derive(Debug, Clone)]
pub struct RequestRule {
    /// What is done.
    pub action: RequestAction,
    /// `if` / `unless`: with which requests; with all without it.
    pub condition: Option<Condition>,
}

/// What an entry of `http_request` does.
#[derive(Debug, Clone)]
pub enum RequestAction {
    /// `deny`: the request is answered with this status.
    Deny(StatusCode),
    /// `tarpit`: the same after `timeout.tarpit`.
    Tarpit(StatusCode),
    /// `redirect`: the client is sent elsewhere.
    Redirect(Redirect),
    /// `set_header` or `del_header`: the request goes on with other headers.
    Edit(Vec<HeaderEdit>),
}

/// `redirect`.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// To where.
    pub to: RedirectTo,
    /// `code`: 301, 302, 303, 307 or 308. Default 302.
    pub status: StatusCode,
}

/// Where a client is sent.
#[derive(Debug, Clone)]
pub enum RedirectTo {
    /// `scheme`: the same host, path and query by another scheme.
    Scheme(String),
    /// `prefix`: this, with path and query behind it.
    Prefix(String),
    /// `location`: there.
    Location(String),
}

/// One entry of `http_response`.
#[derive(Debug, Clone)]
pub struct ResponseRule {
    /// What becomes of the answer's headers.
    pub edits: Vec<HeaderEdit>,
    /// `if` / `unless`: of the answers to which requests; to all without it.
    pub condition: Option<Condition>,
}

/// A change of one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// It is there once, with this value.
    Set(HeaderName, HeaderValue),
    /// It is not there.
    Remove(HeaderName),
}

/// `rate_limit`: the most requests of one address, as a bucket that fills steadily.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// `requests`: how many in `per`.
    pub requests: u32,
    /// `per`. Default 1 s.
    pub per: Duration,
    /// `burst`: how many at once after a pause. Default `requests`.
    pub burst: u32,
    /// `max_sources`: addresses that are counted each for itself; those beyond share one bucket. Default 100000.
    pub max_sources: usize,
}

/// `bandwidth`: the most bytes a second. Nothing is no limit; one is set at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// `in_per_source`: of the bodies of one address' requests together.
    pub in_per_source: Option<u64>,
    /// `out_per_source`: of the answers to one address together.
    pub out_per_source: Option<u64>,
    /// `in_per_request`: of the body of one request.
    pub in_per_request: Option<u64>,
    /// `out_per_request`: of the answer to one request.
    pub out_per_request: Option<u64>,
    /// `max_sources`: addresses that are counted each for itself; those beyond share one bucket. Default 100000.
    pub max_sources: usize,
}

/// Whether a rule may change a header of this name. Those by which the two sides of a connection understand each other stay, because
/// requests would break apart.
pub fn may_be_changed(name: &HeaderName) -> bool {
    const OF_CONNECTIONS: [&str; 11] = [
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    !OF_CONNECTIONS.contains(&name.as_str())
}
