//! The HTTP client of one replica: connections kept between requests, one deadline around a whole exchange.
//!
//! Connections are Pingora's; the request is written as it is and its answer is read by [`response`](super::response), which
//! says why. One call sends a request once: whether it is sent again is for the caller to say, who counts. A statement must not go out twice, and may take minutes: it has a connection of its own, and no deadline as
//! long as that lives (rule S3).

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderValue;
use pingora::connectors::TransportConnector;
use pingora::protocols::{Stream, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::response::{self, MAX_BODY, ResponseError};
use super::wire::Pieces;

/// Idle connections kept for one replica.
const MAX_IDLE: usize = 16;

/// An idle connection older than this is not trusted any more.
const IDLE_LIFETIME: Duration = Duration::from_secs(60);

/// Most bytes that are kept of the answer to a statement.
const MAX_STATEMENT_ANSWER: usize = 4 << 20;

/// How a dead peer is told from a slow one while a statement runs: asked after 30 s of silence, given up about a minute later.
const STATEMENT_KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    count: 6,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::from_secs(90),
};

/// What a replica answered.
#[derive(Debug, Clone)]
pub(super) struct ReplicaAnswer {
    pub(super) status: u16,
    /// `X-Influxdb-Version`.
    pub(super) version: Option<HeaderValue>,
    /// `Content-Type`.
    pub(super) content_type: Option<HeaderValue>,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: Option<Duration>,
    /// Its body, cut at 256 KiB, of a statement at 4 MiB.
    pub(super) body: Bytes,
    /// The body was longer.
    pub(super) cut: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// Nothing was sent.
    #[error("cannot connect to {address}: {reason}")]
    Connect { address: SocketAddr, reason: String },
    /// The request went out, at least in part: it may or may not have been carried out.
    #[error("{address} gave no answer: {reason}")]
    NoAnswer { address: SocketAddr, reason: String },
    /// As [`SendError::NoAnswer`], because a person wants the record to be passed over.
    #[error("its request was given up by a person")]
    GivenUp,
    /// As [`SendError::NoAnswer`], for lack of time.
    #[error("{address} gave no answer within {timeout:?}")]
    Timeout {
        address: SocketAddr,
        timeout: Duration,
    },
}

/// A client of one replica.
pub(super) struct ReplicaClient {
    connector: TransportConnector,
    idle: Mutex<Vec<Idle>>,
    timeout: Duration,
}

struct Idle {
    stream: Stream,
    address: SocketAddr,
    since: Instant,
}

impl ReplicaClient {
    pub(super) fn new(timeout: Duration) -> ReplicaClient {
        ReplicaClient {
            connector: TransportConnector::new(None),
            idle: Mutex::new(Vec::new()),
            timeout,
        }
    }

    /// The deadline of one exchange.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends one request and reads its answer.
    pub(super) async fn exchange(
        &self,
        address: SocketAddr,
        request: Pieces,
    ) -> Result<ReplicaAnswer, SendError> {
        match tokio::time::timeout(
            self.timeout,
            self.exchange_without_deadline(address, request),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err(SendError::Timeout {
                address,
                timeout: self.timeout,
            }),
        }
    }

    /// Sends a statement and reads its answer, however long it takes.
    pub(super) async fn exchange_once(
        &self,
        address: SocketAddr,
        request: Pieces,
    ) -> Result<ReplicaAnswer, SendError> {
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.connection_timeout = Some(self.timeout);
        peer.options.tcp_keepalive = Some(STATEMENT_KEEPALIVE);
        let connected = self.connector.new_stream(&peer).await;
        let stream = connected.map_err(|error| SendError::Connect {
            address,
            reason: reason(&error),
        })?;
        self.converse(stream, address, request, MAX_STATEMENT_ANSWER)
            .await
    }

    /// Forgets all idle connections: the replica went away, or is another one now.
    pub(super) fn drop_idle(&self) {
        self.idle().clear();
    }

    async fn exchange_without_deadline(
        &self,
        address: SocketAddr,
        request: Pieces,
    ) -> Result<ReplicaAnswer, SendError> {
        if let Some(stream) = self.take_idle(address) {
            return self.converse(stream, address, request, MAX_BODY).await;
        }
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.connection_timeout = Some(self.timeout);
        let stream =
            self.connector
                .new_stream(&peer)
                .await
                .map_err(|error| SendError::Connect {
                    address,
                    reason: reason(&error),
                })?;
        self.converse(stream, address, request, MAX_BODY).await
    }

    async fn converse(
        &self,
        mut stream: Stream,
        address: SocketAddr,
        mut request: Pieces,
        max_body: usize,
    ) -> Result<ReplicaAnswer, SendError> {
        // A replica may refuse a large body before it has read it all (413, 401): then writing fails, yet there is an answer.
        let mut sent = stream.write_all_buf(&mut request).await;
        if sent.is_ok() {
            sent = stream.flush().await;
        }
        let response = match response::read(&mut stream, max_body).await {
            Ok(response) => response,
            Err(error) => {
                let reason = match (&sent, error) {
                    (Err(error), ResponseError::Io(_) | ResponseError::Closed(_)) => {
                        error.to_string()
                    }
                    (_, error) => error.to_string(),
                };
                return Err(SendError::NoAnswer { address, reason });
            }
        };
        if response.reusable && sent.is_ok() {
            self.keep(stream, address);
        }
        Ok(ReplicaAnswer {
            status: response.status,
            version: response.version,
            content_type: response.content_type,
            retry_after: response.retry_after,
            body: Bytes::from(response.body),
            cut: response.cut,
        })
    }

    fn take_idle(&self, address: SocketAddr) -> Option<Stream> {
        let mut idle = self.idle();
        while let Some(mut candidate) = idle.pop() {
            if candidate.address == address
                && candidate.since.elapsed() < IDLE_LIFETIME
                && is_quiet(&mut candidate.stream)
            {
                return Some(candidate.stream);
            }
        }
        None
    }

    fn keep(&self, stream: Stream, address: SocketAddr) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                stream,
                address,
                since: Instant::now(),
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an idle connection is open and nothing came in: anything else belongs to no request. What is sent on one that the
/// peer has closed already cannot be told from what was carried out.
pub(crate) fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    // Unconstrained, as a spent task budget would make a closed connection look open.
    tokio::task::unconstrained(stream.read(&mut byte))
        .now_or_never()
        .is_none()
}

/// Pingora's error for a person: its kind and context, without its backtrace-like chain.
fn reason(error: &pingora::Error) -> String {
    let cause = error.root_cause();
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => io.to_string(),
        None => error.etype().as_str().to_owned(),
    }
}
