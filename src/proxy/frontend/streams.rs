//! Serves a connection of HTTP/2: each of its requests in a task of its own, as the one request of a connection of HTTP/1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use h2::Reason;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::Connections;
use super::slots::Slot;
use crate::per_source::Place;
use crate::proxy::client::http2::{Arrival, Connection, RequestStream};
use crate::proxy::client::{Client, Limits};
use crate::proxy::session::in_flight::InFlightGuard;
use crate::stats::FrontendStats;

/// How long a connection may last behind its last answer once haflux stops: its client has been told before.
const IDLE_AT_STOP: Duration = Duration::from_secs(1);

/// How long a client may take to hear that its connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// In which `max_resets` counts.
const RESETS_TIME: Duration = Duration::from_secs(60);

/// What a connection takes of its frontend's `maxconn` and `maxconn_per_source`. One of HTTP/2 takes as much for each of its requests, but
/// for one: who asks on one connection has what they would have on several.
pub(super) type Share = (Place, Slot);

/// A connection, when it comes to speak HTTP/2.
pub(super) struct Beginning {
    pub(super) stream: Stream,
    pub(super) client: SocketAddr,
    pub(super) share: Share,
    /// Dropped with the first request.
    pub(super) unheard: Option<InFlightGuard>,
}

/// What became of a request.
struct Answered {
    share: Option<Share>,
    was_reset: bool,
}

/// How often the client took requests back, or had them reset, in the running minute.
struct Resets {
    since: Instant,
    count: u32,
}

impl Resets {
    /// One more; true if there are more than `most` in a minute.
    fn are_too_many(&mut self, most: u32, now: Instant) -> bool {
        if now.duration_since(self.since) >= RESETS_TIME {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        self.count > most
    }
}

/// What happens next on a connection.
enum Event {
    Request(RequestStream),
    /// A request was reset before anybody looked at it.
    Reset,
    Answered(Answered),
    /// haflux stops.
    Stop,
    /// Nothing has happened for too long.
    Idle,
    /// The connection is over.
    Over,
    /// The connection broke.
    Broken(h2::Error),
}

impl Connections {
    /// Serves a connection of HTTP/2 to its end. Requests that are under way then go on by themselves.
    pub(super) async fn serve_streams(self: &Arc<Self>, begun: Beginning, stop: &ShutdownWatch) {
        let Beginning {
            stream,
            client,
            share,
            mut unheard,
        } = begun;
        let serving = self.serving.load_full();
        let stats = Arc::clone(&serving.stats);
        let (settings, patience) = (serving.config.http2, serving.config.request_header_timeout);
        let opening = Connection::open(stream, &serving.config);
        let mut connection = match timeout(patience, opening).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return self.broken(&stats, client, &error),
            Err(_) => return stats.request_errors.increment(),
        };
        drop(serving);
        stats.http2.connections.increment();
        let mut requests = JoinSet::new();
        let mut spare = Some(share);
        let mut resets = Resets {
            since: Instant::now(),
            count: 0,
        };
        let mut idle_at = Instant::now() + patience;
        let mut stop_signal = stop.clone();
        // From a stop on, answers are on their way until the connection is over.
        let mut stopping = None;
        let most = usize::try_from(settings.max_streams).unwrap_or(usize::MAX);
        loop {
            let may_begin = requests.len() < most;
            let is_idle = requests.is_empty();
            let event = tokio::select! {
                biased;
                _ = stop_signal.wait_for(|stop| *stop), if stopping.is_none() => Event::Stop,
                Some(answered) = requests.join_next() => Event::Answered(answered.unwrap_or(Answered {
                    share: None,
                    was_reset: false,
                })),
                next = connection.next(may_begin) => match next {
                    Ok(Some(Arrival::Request(request))) => Event::Request(request),
                    Ok(Some(Arrival::Reset)) => Event::Reset,
                    Ok(None) => Event::Over,
                    Err(error) => Event::Broken(error),
                },
                () = sleep_until(idle_at), if is_idle => Event::Idle,
            };
            let was_reset = match event {
                Event::Request(request) => {
                    drop(unheard.take());
                    let (connections, share) = (Arc::clone(self), spare.take());
                    let stop = stop.clone();
                    requests.spawn(async move {
                        connections
                            .serve_stream(request, client, share, &stop)
                            .await
                    });
                    false
                }
                Event::Reset => true,
                Event::Answered(Answered { share, was_reset }) => {
                    spare = spare.or(share);
                    if requests.is_empty() {
                        let idle = match stopping {
                            Some(_) => IDLE_AT_STOP,
                            None => self.serving.load().config.keep_alive_timeout,
                        };
                        idle_at = Instant::now() + idle;
                    }
                    was_reset
                }
                Event::Stop => {
                    stopping = Some(self.serving.load().shared.in_flight.enter());
                    connection.close();
                    idle_at = Instant::now() + IDLE_AT_STOP;
                    false
                }
                Event::Idle => {
                    farewell(connection, Reason::NO_ERROR).await;
                    break;
                }
                Event::Over => break,
                Event::Broken(error) => {
                    self.broken(&stats, client, &error);
                    break;
                }
            };
            if was_reset {
                stats.http2.resets.increment();
                if resets.are_too_many(settings.max_resets, Instant::now()) {
                    self.calm(&stats, client);
                    farewell(connection, Reason::ENHANCE_YOUR_CALM).await;
                    break;
                }
            }
        }
        requests.detach_all();
    }

    /// Serves one request. It has `share` of the limits, or gets one of its own.
    async fn serve_stream(
        &self,
        request: RequestStream,
        client: SocketAddr,
        share: Option<Share>,
        stop: &ShutdownWatch,
    ) -> Answered {
        let serving = self.serving.load_full();
        let stats = Arc::clone(&serving.stats);
        let _stream = stats.http2.streams.enter();
        let was_reset = request.resets();
        let share = match share {
            Some(share) => share,
            None => match self.share(&serving, client).await {
                Some(share) => share,
                None => {
                    stats.http2.refused.increment();
                    request.refuse();
                    return Answered {
                        share: None,
                        was_reset: false,
                    };
                }
            },
        };
        let limits = Limits::of(&serving.config);
        drop(serving);
        let client_side = Client::new(Box::new(request), limits);
        self.serve_requests(client_side, Some(client), &mut None, stop)
            .await;
        Answered {
            share: Some(share),
            was_reset: was_reset.load(Ordering::Relaxed),
        }
    }

    /// Counts a connection that broke, if that is its client's doing.
    fn broken(&self, stats: &FrontendStats, client: SocketAddr, error: &h2::Error) {
        // An end that comes with the word of the client, or without any, is no fault.
        if error.is_io() || error.is_remote() {
            return;
        }
        stats.http2.broken.increment();
        let serving = self.serving.load();
        if serving.admission.broken.is_due() {
            log::warn!(
                "frontend \"{}\": a connection from {} breaks the rules of HTTP/2 and is ended: {error}",
                serving.config.name,
                client.ip().to_canonical()
            );
        }
    }

    /// Counts a connection whose client takes too many requests back, or has too many reset.
    fn calm(&self, stats: &FrontendStats, client: SocketAddr) {
        stats.http2.calmed.increment();
        let serving = self.serving.load();
        if serving.admission.calmed.is_due() {
            log::warn!(
                "frontend \"{}\": {} takes back more requests of one connection in a minute than http2.max_resets; the connection is ended",
                serving.config.name,
                client.ip().to_canonical()
            );
        }
    }
}

/// Ends a connection, and tells its client why.
async fn farewell(connection: Connection, reason: Reason) {
    // A client that does not hear it has left.
    let _ = timeout(FAREWELL, connection.end(reason)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_count_in_a_minute() {
        let start = Instant::now();
        let mut resets = Resets {
            since: start,
            count: 0,
        };
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!resets.are_too_many(2, at(0)));
        assert!(!resets.are_too_many(2, at(59)));
        assert!(resets.are_too_many(2, at(59)));
        assert!(!resets.are_too_many(2, at(60)));
    }
}
