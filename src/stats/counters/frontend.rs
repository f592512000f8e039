//! A frontend, and what it refuses and slows.

use super::{Counter, Traffic};
use crate::stats::http2::Http2Stats;
use crate::stats::queries::QueryStats;
use crate::stats::tls::TlsStats;

/// One frontend.
#[derive(Debug, Clone)]
pub struct FrontendStats {
    /// Its name.
    pub name: String,
    /// Its addresses, as text.
    pub bind: Vec<String>,
    /// Most connections at once (`maxconn`).
    pub session_limit: u64,
    /// What passed it.
    pub traffic: Traffic,
    /// Requests for the status page or the metrics.
    pub intercepted: Counter,
    /// Requests refused as malformed, too large or too slow.
    pub request_errors: Counter,
    /// Of those, the ones whose header is malformed.
    pub malformed_requests: Counter,
    /// Of those, the ones whose header or body did not come in time.
    pub slow_requests: Counter,
    /// Connections closed because their source had `maxconn_per_source` already.
    pub source_limit: Counter,
    /// TLS, where it is spoken.
    pub tls: TlsStats,
    /// HTTP/2, where it is spoken.
    pub http2: Http2Stats,
    /// Connections closed because `allow` or `deny` keeps their source out.
    pub denied_connections: Counter,
    /// Requests refused by a `deny` or `tarpit` of `http_request`, or because `allow` or `deny` keeps out the client that a trusted
    /// proxy names.
    pub denied_requests: Counter,
    /// Of those, the ones that a `tarpit` had wait for their answer.
    pub tarpitted: Counter,
    /// Those that a `tarpit` answered at once, because as many as `max_tarpitted` waited.
    pub tarpit_overflows: Counter,
    /// Connections from `accept_proxy` closed because their PROXY header was missing, malformed or late.
    pub proxy_header_errors: Counter,
    /// Requests answered 401 because they are of none of haflux's users.
    pub auth_refusals: Counter,
    /// Requests answered 429 or 503 because `max_failures` or `max_waiting` of the users let no more passwords be checked.
    pub auth_limited: Counter,
    /// Requests answered 403 because `rules` do not allow what they would do.
    pub rule_refusals: Counter,
    /// Requests answered 429 because their source sent more than `rate_limit`.
    pub rate_limited: Counter,
    /// What `bandwidth` slowed.
    pub throttled: ThrottleStats,
    /// Its queries.
    pub queries: QueryStats,
}

/// What `bandwidth` slowed.
#[derive(Debug, Default, Clone)]
pub struct ThrottleStats {
    /// Bodies of requests.
    pub bodies: Counter,
    /// How long they waited, in microseconds.
    pub body_micros: Counter,
    /// Answers.
    pub answers: Counter,
    /// How long they waited, in microseconds.
    pub answer_micros: Counter,
}
