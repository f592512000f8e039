//! Sessions, answers, bytes and times, of which frontends, backends and servers have the same.

use std::sync::Arc;
use std::time::Duration;

use super::{Counter, Gauge, GaugeGuard};
use crate::stats::rate::Rate;
use crate::stats::times::{Average, Histogram};

/// What passes a frontend, a backend or a server.
#[derive(Debug, Default, Clone)]
pub struct Traffic {
    /// Sessions: connections on a frontend, requests under way on a backend or server.
    pub sessions: Arc<Gauge>,
    /// Sessions since the start.
    pub sessions_total: Counter,
    /// Sessions a second.
    pub session_rate: Arc<Rate>,
    /// Requests since the start.
    pub requests: Counter,
    /// Requests a second.
    pub request_rate: Arc<Rate>,
    /// Bytes of request bodies.
    pub bytes_in: Counter,
    /// Bytes of response bodies.
    pub bytes_out: Counter,
    /// Responses by class.
    pub responses: Responses,
    /// Requests whose client left, or fell silent, before it had its answer.
    pub client_aborts: Counter,
    /// Requests whose server broke off, or fell silent, inside its answer.
    pub server_aborts: Counter,
    /// How long requests took.
    pub times: Arc<RequestTimes>,
}

impl Traffic {
    /// Counts a session, which lasts until the guard is dropped.
    pub fn open_session(&self) -> GaugeGuard {
        self.sessions_total.increment();
        self.session_rate.tick();
        self.sessions.enter()
    }

    /// Counts a request that has ended.
    pub fn count(&self, request: &Finished) {
        self.requests.increment();
        self.request_rate.tick();
        self.bytes_in.add(request.bytes_in);
        self.bytes_out.add(request.bytes_out);
        if let Some(status) = request.status {
            self.responses.count(status);
        }
        match request.abort {
            Some(Abort::Client) => self.client_aborts.increment(),
            Some(Abort::Server) => self.server_aborts.increment(),
            None => {}
        }
        self.times.add(&request.durations);
    }
}

/// Responses by the first digit of their status.
#[derive(Debug, Default, Clone)]
pub struct Responses([Counter; 6]);

impl Responses {
    /// Counts one response.
    pub fn count(&self, status: u16) {
        let class = match status / 100 {
            class @ 1..=5 => usize::from(class),
            _ => 0,
        };
        if let Some(counter) = self.0.get(class) {
            counter.increment();
        }
    }

    /// Responses of `class` 1–5; anything else asks for those with no such class.
    pub fn of_class(&self, class: usize) -> u64 {
        self.0.get(class).or(self.0.first()).map_or(0, Counter::get)
    }
}

/// How long requests took.
#[derive(Debug, Default)]
pub struct RequestTimes {
    /// Until a server was chosen.
    pub queue: Average,
    /// From then on until the server was connected.
    pub connect: Average,
    /// From then on until the header of the answer was there.
    pub response: Average,
    /// The whole request.
    pub total: Average,
    /// The whole requests, by length.
    pub histogram: Histogram,
}

impl RequestTimes {
    fn add(&self, durations: &Durations) {
        for (average, time) in [
            (&self.queue, durations.queue),
            (&self.connect, durations.connect),
            (&self.response, durations.response),
        ] {
            if let Some(time) = time {
                average.add(time);
            }
        }
        if let Some(total) = durations.total {
            self.total.add(total);
            self.histogram.add(total);
        }
    }
}

/// The parts of one request's time; nothing for what it did not come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Until a server was chosen.
    pub queue: Option<Duration>,
    /// From then on until the server was connected.
    pub connect: Option<Duration>,
    /// From then on until the header of the answer was there.
    pub response: Option<Duration>,
    /// The whole request.
    pub total: Option<Duration>,
}

/// What is counted of a request that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finished {
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The status of the answer; nothing if none was sent.
    pub status: Option<u16>,
    /// Who gave it up, if it did not end as it should.
    pub abort: Option<Abort>,
    /// How long it took.
    pub durations: Durations,
}

/// Who gave a request up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// The client left or fell silent.
    Client,
    /// The server broke off or fell silent inside its answer.
    Server,
}
