//! A frontend's connections: how many there are, what becomes of each of their requests, and how they end at a stop.
//!
//! Pingora's service gives each new connection to [`Frontend::process_new`], which covers all of its requests: each one's
//! header is read and judged by the [client's side](crate::proxy::client) and then answered by Pingora's `HttpProxy`.

mod last_connections;
pub(super) mod listener;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::join_all;
use parking_lot::Mutex;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::Stream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::sync::{Semaphore, watch};

use crate::config::model;
use crate::logging;
use crate::per_source::Place;
use crate::proxy::app::App;
use crate::proxy::client::{Client, Limits, Next, Refused, Sources};
use crate::proxy::session::access_log::{Line, Termination, Times};
use crate::proxy::session::in_flight::InFlight;
use crate::stats::{Finished, FrontendStats, Stats};

/// After the stop, requests that are already on their way on kept connections are still answered for so long, and
/// connections that the kernel had taken may still send theirs.
const LINGER: Duration = Duration::from_secs(1);

/// One frontend, as Pingora's listening service runs it.
pub(crate) struct Frontend {
    connections: Arc<Connections>,
    stop: watch::Receiver<bool>,
    /// The same sockets as the service's, to empty their queues when it has let go of them.
    sockets: Mutex<Vec<std::net::TcpListener>>,
}

/// A frontend's connections.
struct Connections {
    proxy: Arc<HttpProxy<App>>,
    name: String,
    stats: Arc<FrontendStats>,
    /// Those of all frontends.
    all_stats: Arc<Stats>,
    in_flight: InFlight,
    limits: Limits,
    header_timeout: Duration,
    sources: Sources,
    slots: Semaphore,
    /// Connections that wait for a slot, and how many may.
    waiting: AtomicUsize,
    most_waiting: usize,
    /// Becomes true when connections that are between two requests are to end.
    is_over: watch::Sender<bool>,
}

impl Frontend {
    /// The frontend of `config`, which listens on `sockets` and whose requests `proxy` answers.
    pub(crate) fn new(
        config: &model::Frontend,
        stats: Arc<FrontendStats>,
        all_stats: Arc<Stats>,
        in_flight: InFlight,
        proxy: HttpProxy<App>,
        stop: watch::Receiver<bool>,
        sockets: Vec<std::net::TcpListener>,
    ) -> Self {
        let connections = config.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            connections: Arc::new(Connections {
                proxy: Arc::new(proxy),
                name: config.name.clone(),
                stats,
                all_stats,
                in_flight,
                limits: Limits::of(config),
                header_timeout: config.request_header_timeout,
                sources: Sources::new(config.max_connections_per_source),
                slots: Semaphore::new(connections),
                waiting: AtomicUsize::new(0),
                most_waiting: connections,
                is_over: watch::Sender::new(false),
            }),
            stop,
            sockets: Mutex::new(sockets),
        }
    }

    /// Serves what the kernel has taken on the sockets already, and lets go of them: what comes later is refused, not cut off.
    async fn let_go(&self) {
        let sockets = std::mem::take(&mut *self.sockets.lock());
        let serve = |stream| {
            let (connections, stop) = (Arc::clone(&self.connections), self.stop.clone());
            tokio::spawn(async move { connections.serve(Box::new(stream), &stop).await });
        };
        join_all(
            sockets
                .into_iter()
                .map(|socket| last_connections::take(socket, serve)),
        )
        .await;
    }
}

impl Connections {
    /// A slot for a connection. `None` if it must be closed: too many wait, or it waited too long.
    async fn slot(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Some(slot);
        }
        let _waiting = Waiting::enter(&self.waiting, self.most_waiting)?;
        let slot = tokio::time::timeout(self.header_timeout, self.slots.acquire()).await;
        slot.ok()?.ok()
    }

    /// The place of a connection from `client` among those of its address. `None` if it must be closed.
    fn source(&self, client: Option<SocketAddr>) -> Option<Place> {
        // A socket without an address is a client that has left already.
        let address = client?.ip();
        let slot = self.sources.enter(address);
        if slot.is_none() {
            self.stats.source_limit.increment();
            if self.sources.is_to_be_said() {
                log::warn!(
                    "frontend \"{}\": {} has as many connections as one address may (maxconn_per_source); more are closed",
                    self.name,
                    address.to_canonical()
                );
            }
        }
        slot
    }

    /// Serves one connection to its end.
    async fn serve(&self, stream: Stream, stop: &ShutdownWatch) {
        let digest = stream.get_socket_digest();
        let address = digest.as_ref().and_then(|digest| digest.peer_addr());
        let client = address.and_then(|address| address.as_inet().copied());
        let Some(_source) = self.source(client) else {
            return;
        };
        let Some(_slot) = self.slot().await else {
            return;
        };
        let _session = self.stats.traffic.open_session();
        let mut is_over = self.is_over.subscribe();
        let mut next = Some(Client::new(stream, self.limits));
        while let Some(mut connection) = next.take() {
            let started = tokio::select! {
                // What has come already is answered.
                biased;
                started = connection.next() => started,
                _ = is_over.wait_for(|is_over| *is_over) => return,
            };
            match started {
                Next::Request(mut incoming) => {
                    let in_flight = match connection.has_whole_body() {
                        true => None,
                        false => {
                            let in_flight = self.in_flight.enter();
                            connection.gather(&mut incoming).await;
                            Some(in_flight)
                        }
                    };
                    let mut session = connection.into_session(incoming);
                    // It is dropped when the request has a context, which counts it then.
                    session
                        .set_connection_user_context(in_flight.map(|guard| Box::new(guard) as _));
                    let reused = self.proxy.process_new_http(session, stop).await;
                    next = reused.and_then(|reused| Client::again(reused.consume().0, self.limits));
                }
                Next::Refused(refused) => self.refuse(connection, &refused, client).await,
                Next::Silent => self.stats.request_errors.increment(),
                Next::Left => {}
            }
        }
    }

    /// Answers a request that nothing is done with, counts it and logs it.
    async fn refuse(&self, connection: Client, refused: &Refused, client: Option<SocketAddr>) {
        self.stats.request_errors.increment();
        let (counter, termination) = match refused.is_slow() {
            true => (&self.stats.slow_requests, Termination::ClientSilent),
            false => (&self.stats.malformed_requests, Termination::Refused),
        };
        counter.increment();
        self.stats.traffic.count(&Finished {
            status: Some(refused.status()),
            ..Finished::default()
        });
        if logging::has_access_log() {
            let frontends = &self.all_stats.frontends;
            let line = Line {
                at: SystemTime::now(),
                client,
                frontend: &self.name,
                backend: None,
                server: None,
                times: Times::default(),
                status: Some(refused.status()),
                bytes: 0,
                received: 0,
                termination,
                sessions: [
                    frontends.iter().map(|one| one.traffic.sessions.get()).sum(),
                    self.stats.traffic.sessions.get(),
                    0,
                    0,
                ],
                retries: 0,
                method: &refused.method,
                target: &refused.path,
                version: None,
            };
            logging::access(&line);
        }
        if let Err(error) = connection.refuse(refused).await {
            log::debug!(
                "{}: a client left before its refusal: {}",
                self.name,
                error.kind()
            );
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        // Dropped at once, if there are too many: then it is not counted.
        let guard = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(guard)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ServerApp for Frontend {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        self.connections.serve(stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.let_go().await;
        tokio::time::sleep(LINGER).await;
        self.connections.is_over.send_replace(true);
        self.connections.proxy.http_cleanup().await;
    }
}
