//! A frontend, and what it refuses, slows and lets in.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::tls::tls_view;
use super::traffic::traffic_view;
use super::{TlsView, TrafficView};
use crate::stats::counters::{FrontendStats, ThrottleStats};
use crate::stats::http2::Http2Stats;
use crate::stats::queries::QueryStats;
use crate::stats::units::{Count, Span};

/// One frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrontendView {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub bind: Vec<String>,
    /// Most connections at once.
    pub session_limit: Count,
    /// What passed it.
    pub traffic: TrafficView,
    /// Requests for the status page or the metrics.
    pub intercepted: Count,
    /// Requests refused as malformed, too large or too slow.
    pub request_errors: Count,
    /// Of those, the ones whose header is malformed.
    pub malformed_requests: Count,
    /// Of those, the ones whose header or body did not come in time.
    pub slow_requests: Count,
    /// Connections closed because their source had `maxconn_per_source` already.
    pub source_limit: Count,
    /// Connections closed because `allow` or `deny` keeps their source out.
    pub denied_connections: Count,
    /// Requests refused by a `deny` or `tarpit` of `http_request`, or because `allow` or `deny` keeps out the client that a trusted
    /// proxy names.
    pub denied_requests: Count,
    /// Of those, the ones that a `tarpit` had wait for their answer.
    pub tarpitted: Count,
    /// Those that a `tarpit` answered at once, because as many as `max_tarpitted` waited.
    pub tarpit_overflows: Count,
    /// Connections from `accept_proxy` closed because their PROXY header was missing, malformed or late.
    pub proxy_header_errors: Count,
    /// Requests answered 401 because they are of none of haflux's users.
    pub auth_refusals: Count,
    /// Requests answered 429 or 503 because `max_failures` or `max_waiting` of the users let no more passwords be checked.
    pub auth_limited: Count,
    /// Requests answered 403 because `rules` do not allow what they would do.
    pub rule_refusals: Count,
    /// Requests answered 429 because their source sent more than `rate_limit`.
    pub rate_limited: Count,
    /// What `bandwidth` slowed.
    pub throttled: ThrottledView,
    /// Its queries, if they are watched.
    pub queries: QueriesOfFrontend,
    /// TLS, where it is spoken.
    pub tls: TlsView,
    /// HTTP/2, where it is spoken.
    pub http2: Http2View,
}

/// HTTP/2 on one frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct Http2View {
    /// Connections that spoke it.
    pub connections: Count,
    /// Requests that have a stream now.
    pub streams: Count,
    /// Requests that were turned away unseen.
    pub refused: Count,
    /// Requests that their clients took back, or had reset.
    pub resets: Count,
    /// Connections ended because of too many of those.
    pub calmed: Count,
    /// Connections ended because their client broke the protocol.
    pub broken: Count,
}

/// What `bandwidth` slowed.
#[derive(Debug, Serialize, Deserialize)]
pub struct ThrottledView {
    /// Bodies of requests.
    pub bodies: Count,
    /// How long they waited, together.
    pub body_time: Span,
    /// Answers.
    pub answers: Count,
    /// How long they waited, together.
    pub answer_time: Span,
}

/// The queries of one frontend.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueriesOfFrontend {
    /// Queries that run.
    pub running: Count,
    /// The most that ran at once.
    pub running_max: Count,
    /// Refused because `queries.max_running` ran.
    pub refused_all: Count,
    /// Refused because `queries.max_running_per_user` of their user ran.
    pub refused_user: Count,
    /// Refused because they have no lower bound of time.
    pub refused_unbounded: Count,
    /// Ended because they ran for `queries.max_time`.
    pub ended_by_time: Count,
    /// Ended by `haflux queries kill`.
    pub ended_by_order: Count,
    /// Took `queries.slow` or longer.
    pub slow: Count,
}

impl QueriesOfFrontend {
    /// Refused, for whatever reason.
    pub fn refused(&self) -> Count {
        Count(self.refused_all.0 + self.refused_user.0 + self.refused_unbounded.0)
    }

    /// Ended, for whatever reason.
    pub fn ended(&self) -> Count {
        Count(self.ended_by_time.0 + self.ended_by_order.0)
    }
}

pub(super) fn read(stats: &FrontendStats, now: SystemTime) -> FrontendView {
    let FrontendStats {
        name,
        bind,
        session_limit,
        traffic,
        intercepted,
        request_errors,
        malformed_requests,
        slow_requests,
        source_limit,
        tls,
        http2,
        denied_connections,
        denied_requests,
        tarpitted,
        tarpit_overflows,
        proxy_header_errors,
        auth_refusals,
        auth_limited,
        rule_refusals,
        rate_limited,
        throttled,
        queries,
    } = stats;
    FrontendView {
        name: name.clone(),
        bind: bind.clone(),
        session_limit: Count(*session_limit),
        traffic: traffic_view(traffic),
        intercepted: Count(intercepted.get()),
        request_errors: Count(request_errors.get()),
        malformed_requests: Count(malformed_requests.get()),
        slow_requests: Count(slow_requests.get()),
        source_limit: Count(source_limit.get()),
        denied_connections: Count(denied_connections.get()),
        denied_requests: Count(denied_requests.get()),
        tarpitted: Count(tarpitted.get()),
        tarpit_overflows: Count(tarpit_overflows.get()),
        proxy_header_errors: Count(proxy_header_errors.get()),
        auth_refusals: Count(auth_refusals.get()),
        auth_limited: Count(auth_limited.get()),
        rule_refusals: Count(rule_refusals.get()),
        rate_limited: Count(rate_limited.get()),
        throttled: throttled_view(throttled),
        queries: queries_of_frontend(queries),
        tls: tls_view(tls, now),
        http2: http2_view(http2),
    }
}

fn http2_view(stats: &Http2Stats) -> Http2View {
    let Http2Stats {
        connections,
        streams,
        refused,
        resets,
        calmed,
        broken,
    } = stats;
    Http2View {
        connections: Count(connections.get()),
        streams: Count(streams.get()),
        refused: Count(refused.get()),
        resets: Count(resets.get()),
        calmed: Count(calmed.get()),
        broken: Count(broken.get()),
    }
}

fn throttled_view(stats: &ThrottleStats) -> ThrottledView {
    let ThrottleStats {
        bodies,
        body_micros,
        answers,
        answer_micros,
    } = stats;
    ThrottledView {
        bodies: Count(bodies.get()),
        body_time: Span(Duration::from_micros(body_micros.get())),
        answers: Count(answers.get()),
        answer_time: Span(Duration::from_micros(answer_micros.get())),
    }
}

fn queries_of_frontend(stats: &QueryStats) -> QueriesOfFrontend {
    let QueryStats {
        running,
        refused_all,
        refused_user,
        refused_unbounded,
        ended_by_time,
        ended_by_order,
        slow,
    } = stats;
    QueriesOfFrontend {
        running: Count(running.get()),
        running_max: Count(running.highest()),
        refused_all: Count(refused_all.get()),
        refused_user: Count(refused_user.get()),
        refused_unbounded: Count(refused_unbounded.get()),
        ended_by_time: Count(ended_by_time.get()),
        ended_by_order: Count(ended_by_order.get()),
        slow: Count(slow.get()),
    }
}
