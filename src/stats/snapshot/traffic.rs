//! Sessions, answers, bytes and times, of which frontends, backends and servers have the same.

use serde::{Deserialize, Serialize};

use crate::stats::counters::{RequestTimes, Traffic};
use crate::stats::times::{Average, HistogramReading, Percentiles};
use crate::stats::units::{Bytes, Count, Span};

/// A number that goes up and down.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionsView {
    /// Now.
    pub current: Count,
    /// The most there have been at once.
    pub max: Count,
    /// Since the start.
    pub total: Count,
    /// New ones in the last second.
    pub rate: Count,
    /// The most new ones in a second.
    pub rate_max: Count,
    /// How long ago the newest one began, in whole seconds; nothing if there was none.
    pub last: Option<Span>,
}

/// Responses by the first digit of their status.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResponsesView {
    /// Informational.
    #[serde(rename = "1xx")]
    pub informational: Count,
    /// Successful.
    #[serde(rename = "2xx")]
    pub successful: Count,
    /// Redirections.
    #[serde(rename = "3xx")]
    pub redirections: Count,
    /// Client errors.
    #[serde(rename = "4xx")]
    pub client_errors: Count,
    /// Server errors.
    #[serde(rename = "5xx")]
    pub server_errors: Count,
    /// Any other status.
    pub other: Count,
}

/// What passed a frontend, a relay, a backend or a server.
#[derive(Debug, Serialize, Deserialize)]
pub struct TrafficView {
    /// Connections on a frontend, requests under way elsewhere.
    pub sessions: SessionsView,
    /// Requests since the start.
    pub requests: Count,
    /// Requests in the last second.
    pub requests_rate: Count,
    /// The most requests in a second.
    pub requests_rate_max: Count,
    /// Responses since the start.
    pub responses: ResponsesView,
    /// Bytes of request bodies.
    pub bytes_in: Bytes,
    /// Bytes of response bodies.
    pub bytes_out: Bytes,
    /// Requests that their clients gave up.
    pub client_aborts: Count,
    /// Requests that their servers gave up inside an answer.
    pub server_aborts: Count,
    /// How long requests took.
    pub times: TimesView,
}

/// How long requests took.
#[derive(Debug, Serialize, Deserialize)]
pub struct TimesView {
    /// Until a server was chosen.
    pub queue: TimeView,
    /// From then on until the server was connected.
    pub connect: TimeView,
    /// From then on until the header of the answer was there.
    pub response: TimeView,
    /// The whole request.
    pub total: TimeView,
    /// The whole requests, by length.
    pub histogram: HistogramReading,
}

/// One part of the time of requests.
#[derive(Debug, Serialize, Deserialize)]
pub struct TimeView {
    /// The average of the last 1024 requests.
    pub average: Span,
    /// The longest since the start.
    pub max: Span,
}

/// What the last 1024 times of a kind are like; seconds when serialised.
#[derive(Debug, Serialize, Deserialize)]
pub struct LastTimesView {
    /// How many there are: 1024, or fewer after a start.
    pub count: Count,
    /// The time that half of them do not exceed; nothing without a time.
    pub median: Option<Span>,
    /// The time that 99 of 100 do not exceed.
    pub p99: Option<Span>,
    /// The longest of them.
    pub max: Option<Span>,
}

pub(super) fn traffic_view(stats: &Traffic) -> TrafficView {
    let Traffic {
        sessions,
        sessions_total,
        session_rate,
        requests,
        request_rate,
        bytes_in,
        bytes_out,
        responses,
        client_aborts,
        server_aborts,
        times,
    } = stats;
    let class = |class| Count(responses.of_class(class));
    TrafficView {
        sessions: SessionsView {
            current: Count(sessions.get()),
            max: Count(sessions.highest()),
            total: Count(sessions_total.get()),
            rate: Count(session_rate.get()),
            rate_max: Count(session_rate.highest()),
            last: session_rate.last().map(Span),
        },
        requests: Count(requests.get()),
        requests_rate: Count(request_rate.get()),
        requests_rate_max: Count(request_rate.highest()),
        responses: ResponsesView {
            informational: class(1),
            successful: class(2),
            redirections: class(3),
            client_errors: class(4),
            server_errors: class(5),
            other: class(0),
        },
        bytes_in: Bytes(bytes_in.get()),
        bytes_out: Bytes(bytes_out.get()),
        client_aborts: Count(client_aborts.get()),
        server_aborts: Count(server_aborts.get()),
        times: times_view(times),
    }
}

fn times_view(stats: &RequestTimes) -> TimesView {
    let RequestTimes {
        queue,
        connect,
        response,
        total,
        histogram,
    } = stats;
    let time = |average: &Average| TimeView {
        average: Span(average.get()),
        max: Span(average.longest()),
    };
    TimesView {
        queue: time(queue),
        connect: time(connect),
        response: time(response),
        total: time(total),
        histogram: histogram.read(),
    }
}

pub(super) fn last_times(reading: Percentiles) -> LastTimesView {
    let Percentiles {
        count,
        median,
        p99,
        max,
    } = reading;
    LastTimesView {
        count: Count(count),
        median: median.map(Span),
        p99: p99.map(Span),
        max: max.map(Span),
    }
}
