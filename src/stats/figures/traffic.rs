//! The figures of what passes a frontend, a backend, a server or a relay.

use super::figure::{About, Figure, Kind, Readable, Reading};
use crate::stats::snapshot::{
    BackendView, FrontendView, RelayView, ResponsesView, ServerView, TrafficView,
};
use crate::stats::units::Count;

/// A part that traffic passes.
pub(super) trait HasTraffic: 'static {
    fn traffic(&self) -> &TrafficView;
}

impl HasTraffic for FrontendView {
    fn traffic(&self) -> &TrafficView {
        &self.traffic
    }
}

impl HasTraffic for BackendView {
    fn traffic(&self) -> &TrafficView {
        &self.traffic
    }
}

impl HasTraffic for ServerView {
    fn traffic(&self) -> &TrafficView {
        &self.traffic
    }
}

impl HasTraffic for RelayView {
    fn traffic(&self) -> &TrafficView {
        &self.traffic
    }
}

macro_rules! traffic {
    ($kind:ident, $first:ident $(. $rest:ident)*, $metric:literal, $unit:literal, $description:literal) => {
        Figure {
            about: About {
                path: concat!("traffic.", stringify!($first) $(, ".", stringify!($rest))*),
                kind: Kind::$kind,
                metric: $metric,
                label: None,
                unit: $unit,
                description: $description,
            },
            read: |part: &T| Readable::reading(&part.traffic().$first $(.$rest)*),
        }
    };
}

macro_rules! responses {
    ($class:literal, $field:ident) => {
        Figure {
            about: About {
                path: concat!("traffic.responses.", $class),
                kind: Kind::Counter,
                metric: "responses_total",
                label: Some(("code", $class)),
                unit: "responses",
                description: "Responses by the class of their status code.",
            },
            read: |part: &T| response(&part.traffic().responses, |all| all.$field),
        }
    };
}

fn response(all: &ResponsesView, of: fn(&ResponsesView) -> Count) -> Reading {
    of(all).reading()
}

/// They are the same for every kind of part.
pub(super) fn figures<T: HasTraffic>() -> Vec<Figure<T>> {
    vec![
        traffic!(
            Gauge,
            sessions.current,
            "sessions",
            "sessions",
            "Sessions now: connections on a frontend, requests under way elsewhere."
        ),
        traffic!(
            Gauge,
            sessions.max,
            "sessions_max",
            "sessions",
            "The most sessions at once."
        ),
        traffic!(
            Counter,
            sessions.total,
            "sessions_total",
            "sessions",
            "Sessions since the start."
        ),
        traffic!(
            Gauge,
            sessions.rate,
            "session_rate",
            "sessions per second",
            "New sessions in the last second."
        ),
        traffic!(
            Gauge,
            sessions.rate_max,
            "session_rate_max",
            "sessions per second",
            "The most new sessions in a second."
        ),
        traffic!(
            Gauge,
            sessions.last,
            "last_session_age_seconds",
            "seconds",
            "How long ago the newest session began; nothing if there was none."
        ),
        traffic!(
            Counter,
            requests,
            "requests_total",
            "requests",
            "Requests since the start."
        ),
        traffic!(
            Gauge,
            requests_rate,
            "request_rate",
            "requests per second",
            "Requests that ended in the last second."
        ),
        traffic!(
            Gauge,
            requests_rate_max,
            "request_rate_max",
            "requests per second",
            "The most requests that ended in a second."
        ),
        responses!("1xx", informational),
        responses!("2xx", successful),
        responses!("3xx", redirections),
        responses!("4xx", client_errors),
        responses!("5xx", server_errors),
        responses!("other", other),
        traffic!(
            Counter,
            bytes_in,
            "received_bytes_total",
            "bytes",
            "Bodies of requests."
        ),
        traffic!(
            Counter,
            bytes_out,
            "sent_bytes_total",
            "bytes",
            "Bodies of responses."
        ),
        traffic!(
            Counter,
            client_aborts,
            "client_aborts_total",
            "requests",
            "Requests whose client left or fell silent before it had the whole answer."
        ),
        traffic!(
            Counter,
            server_aborts,
            "server_aborts_total",
            "requests",
            "Requests whose server broke off or fell silent inside its answer."
        ),
        traffic!(
            Gauge,
            times.queue.average,
            "queue_time_average_seconds",
            "seconds",
            "Time until a server was chosen, on average of the last 1024 requests; a wait for a fresh replica is in it."
        ),
        traffic!(
            Gauge,
            times.queue.max,
            "queue_time_max_seconds",
            "seconds",
            "The longest time until a server was chosen."
        ),
        traffic!(
            Gauge,
            times.connect.average,
            "connect_time_average_seconds",
            "seconds",
            "Time from the choice of a server until it was connected, on average of the last 1024 requests."
        ),
        traffic!(
            Gauge,
            times.connect.max,
            "connect_time_max_seconds",
            "seconds",
            "The longest time from the choice of a server until it was connected."
        ),
        traffic!(
            Gauge,
            times.response.average,
            "response_time_average_seconds",
            "seconds",
            "Time from the connection until the header of the answer, on average of the last 1024 requests."
        ),
        traffic!(
            Gauge,
            times.response.max,
            "response_time_max_seconds",
            "seconds",
            "The longest time from the connection until the header of the answer."
        ),
        traffic!(
            Gauge,
            times.total.average,
            "total_time_average_seconds",
            "seconds",
            "Time of a whole request, on average of the last 1024."
        ),
        traffic!(
            Gauge,
            times.total.max,
            "total_time_max_seconds",
            "seconds",
            "The longest time of a whole request."
        ),
        traffic!(
            Histogram,
            times.histogram,
            "request_duration_seconds",
            "seconds",
            "Time of whole requests, from the end of their header to the end of the answer."
        ),
    ]
}
