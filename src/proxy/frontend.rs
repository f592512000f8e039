//! A frontend's connections: how many there are, how long a header may take, and how they end at a stop.
//!
//! Pingora gives each new connection to [`Frontend::process_new`], which covers all of its requests.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream, l4};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::sync::{Semaphore, watch};

use super::app::App;
use super::header_deadline::HeaderClock;
use crate::config::model;
use crate::stats::FrontendStats;

/// After the stop, requests that are already on their way on kept connections are still answered for so long, and
/// connections that the kernel had taken may still send theirs.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that are taken from a socket's queue at a stop: more than it holds.
const MOST_QUEUED: usize = 4096;

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
    stats: Arc<FrontendStats>,
    header_timeout: Duration,
    slots: Semaphore,
    /// Connections that wait for a slot, and how many may.
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Frontend {
    /// The frontend of `config`, which listens on `sockets` and whose requests `proxy` answers.
    pub(crate) fn new(
        config: &model::Frontend,
        stats: Arc<FrontendStats>,
        proxy: HttpProxy<App>,
        stop: watch::Receiver<bool>,
        sockets: Vec<std::net::TcpListener>,
    ) -> Self {
        let connections = config.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            connections: Arc::new(Connections {
                proxy: Arc::new(proxy),
                stats,
                header_timeout: config.request_header_timeout,
                slots: Semaphore::new(connections),
                waiting: AtomicUsize::new(0),
                most_waiting: connections,
            }),
            stop,
            sockets: Mutex::new(sockets),
        }
    }

    /// Serves what the kernel has taken on `socket` already, and lets go of it: what comes later is refused, not cut off.
    fn empty(&self, socket: std::net::TcpListener) {
        for stream in std::iter::from_fn(|| accept(&socket)).take(MOST_QUEUED) {
            let (connections, stop) = (Arc::clone(&self.connections), self.stop.clone());
            tokio::spawn(async move { connections.serve(Box::new(stream), &stop).await });
        }
    }
}

/// A connection that waits in the socket's queue. The kernel is asked itself: tokio would wait to be told, and the socket
/// is to be closed at the moment when its queue is empty.
fn accept(socket: &std::net::TcpListener) -> Option<l4::stream::Stream> {
    loop {
        let (connection, client) = match socket.accept() {
            Ok(accepted) => accepted,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => continue,
                ErrorKind::WouldBlock => return None,
                _ => {
                    log::warn!("a socket's queue cannot be emptied: {error}");
                    return None;
                }
            },
        };
        if connection.set_nonblocking(true).is_err() {
            continue;
        }
        let Ok(connection) = tokio::net::TcpStream::from_std(connection) else {
            continue;
        };
        let mut stream = l4::stream::Stream::from(connection);
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // It is new, so nobody has set it.
        let _ = digest.peer_addr.set(Some(client.into()));
        stream.set_socket_digest(digest);
        if let Err(error) = stream.set_nodelay() {
            log::debug!("a connection was gone before it was accepted: {error}");
            continue;
        }
        return Some(stream);
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

    /// Serves one connection to its end.
    async fn serve(&self, stream: Stream, stop: &ShutdownWatch) -> Option<Stream> {
        let _slot = self.slot().await?;
        let _session = self.stats.traffic.sessions.enter();
        self.stats.traffic.sessions_total.increment();

        let clock = Arc::new(HeaderClock::armed(self.header_timeout));
        let requests = Arc::clone(&clock).scope(self.proxy.process_new(stream, stop));
        tokio::select! {
            biased;
            stream = requests => stream,
            () = clock.expired() => {
                self.stats.request_errors.increment();
                None
            }
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let guard = (count.fetch_add(1, Ordering::Relaxed) < most).then_some(Self(count));
        if guard.is_none() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        guard
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
        self.connections.serve(stream, shutdown).await
    }

    async fn cleanup(&self) {
        let sockets =
            std::mem::take(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in sockets {
            self.empty(socket);
        }
        tokio::time::sleep(LINGER).await;
        self.connections.proxy.cleanup().await;
    }
}
