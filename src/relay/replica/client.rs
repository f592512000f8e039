//! The HTTP client of one replica: connections kept between requests, one deadline around a whole exchange.
//!
//! Connections are made by the server's [`Dialer`]; the request is written as it is and its answer is read by [`response`], which
//! says why. One call sends a request once: whether it is sent again is for the caller to say, who counts. A statement must not go out twice, and may take minutes: it has a connection of its own, and no deadline as
//! long as that lives (rule S3).
//!
//! **A request's connection does not outlive it.** What has not reached the node when a connection is closed is dropped with
//! it, and the node is told so (`SO_LINGER` 0): the kernel would else go on sending it for minutes, and the node would take a
//! write long after newer ones. So what may still land behind a request without an answer is what the node's system had
//! received by then, which lands as soon as the node works.
//!
//! **Answers have any length.** Of a body the beginning is kept; the rest is [scanned](crate::influx::AnswerScan) as it passes
//! and counts against the deadline. The body of a refusal has half of the deadline, so that a client hears the verdict in time.
//! A refusal whose status and beginning say enough is a verdict even if its end never comes: the record would meet the same
//! refusal again. What says that something was done must be whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use socket2::TcpKeepalive;
use tokio::io::AsyncWriteExt;

use crate::dial::{Call, Connection, DialError, Dialer, SocketOptions};
use crate::http_response::ResponseError;
use crate::relay::replica::answer::{
    MAX_KEPT, MAX_WHOLE_STATEMENT, Received, ReplicaAnswer, StatementBody, receive,
    receive_statement,
};
use crate::relay::replica::request::{Pieces, Recipient};
use crate::relay::replica::response;

/// Idle connections kept for one replica.
const MAX_IDLE: usize = 16;

/// An idle connection older than this is not trusted any more.
const IDLE_LIFETIME: Duration = Duration::from_secs(60);

/// How a dead peer is told from a slow one while a statement runs: asked after 30 s of silence, given up about a minute later.
const STATEMENT_KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// The longest that nothing of a statement is acknowledged, or of the probes while it runs.
const STATEMENT_SILENCE: Duration = Duration::from_secs(90);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::relay) enum SendError {
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
pub(in crate::relay) struct ReplicaClient {
    dialer: Arc<Dialer>,
    idle: Mutex<Vec<Idle>>,
    timeout: Duration,
}

struct Idle {
    connection: Connection,
    address: SocketAddr,
    since: Instant,
}

impl ReplicaClient {
    pub(in crate::relay) fn new(dialer: Arc<Dialer>, timeout: Duration) -> ReplicaClient {
        ReplicaClient {
            dialer,
            idle: Mutex::new(Vec::new()),
            timeout,
        }
    }

    /// The deadline of one exchange.
    pub(in crate::relay) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What makes connections to it.
    pub(in crate::relay) fn dialer(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    /// The node at this address as the one that a request is written for.
    pub(in crate::relay) fn recipient(&self, address: SocketAddr) -> Recipient<'_> {
        Recipient {
            address,
            dialer: &self.dialer,
        }
    }

    /// Sends one request and reads its answer.
    pub(in crate::relay) async fn exchange(
        &self,
        address: SocketAddr,
        request: Pieces,
    ) -> Result<ReplicaAnswer, SendError> {
        let mut received = Received::new();
        let exchange = self.exchange_without_deadline(address, request, &mut received);
        let error = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(SendError::Timeout {
                address,
                timeout: self.timeout,
            }),
        };
        let answer = match &error {
            None => received.into_answer(true),
            Some(_) => received.refused_write(),
        };
        answer.ok_or_else(|| error.unwrap_or_else(|| SendError::empty(address)))
    }

    /// Sends a statement and reads its answer, however long it takes and is. What follows a status that refuses has the
    /// half the deadline of other exchanges.
    pub(in crate::relay) async fn exchange_once(
        &self,
        address: SocketAddr,
        request: Pieces,
        body: StatementBody,
    ) -> Result<ReplicaAnswer, SendError> {
        let mut connection = self
            .connect(address, Some(STATEMENT_KEEPALIVE), STATEMENT_SILENCE)
            .await?;
        let sent = send(&mut connection, request).await;
        let no_answer = |error| SendError::no_answer(address, &sent, error);
        let (head, mut reader) = response::begin(&mut connection).await.map_err(no_answer)?;
        let refuses = head.status >= 400;
        let mut received = Received::new();
        received.head = Some(head);
        if refuses {
            let rest = receive(&mut reader, &mut received, MAX_WHOLE_STATEMENT);
            let error = match tokio::time::timeout(self.timeout / 2, rest).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(no_answer(error)),
                Err(_) => Some(SendError::Timeout {
                    address,
                    timeout: self.timeout / 2,
                }),
            };
            let answer = match &error {
                None => received.into_answer(true),
                Some(_) => received.refused_statement(),
            };
            return answer.ok_or_else(|| error.unwrap_or_else(|| SendError::empty(address)));
        }
        let last_piece = receive_statement(&mut reader, &mut received, body)
            .await
            .map_err(no_answer)?;
        let answer = received.into_answer(true);
        let answer = answer.ok_or_else(|| SendError::empty(address))?;
        Ok(ReplicaAnswer {
            last_piece,
            ..answer
        })
    }

    /// A new connection, which ends with its request. It is closed when nothing of what is sent is acknowledged for `silence`.
    async fn connect(
        &self,
        address: SocketAddr,
        keep_alive: Option<TcpKeepalive>,
        silence: Duration,
    ) -> Result<Connection, SendError> {
        let call = Call {
            socket: SocketOptions {
                keep_alive,
                drops_unsent_after: Some(silence),
            },
            ..Call::within(self.timeout)
        };
        let dialled = self.dialer.dial(address, call).await;
        dialled.map_err(|error| SendError::not_connected(address, &error))
    }

    /// Forgets all idle connections: the replica went away, or is another one now.
    pub(in crate::relay) fn drop_idle(&self) {
        self.idle().clear();
    }

    async fn exchange_without_deadline(
        &self,
        address: SocketAddr,
        request: Pieces,
        received: &mut Received,
    ) -> Result<(), SendError> {
        let connection = match self.take_idle(address) {
            Some(idle) => idle,
            None => self.connect(address, None, self.timeout).await?,
        };
        self.converse(connection, address, request, received).await
    }

    async fn converse(
        &self,
        mut connection: Connection,
        address: SocketAddr,
        request: Pieces,
        received: &mut Received,
    ) -> Result<(), SendError> {
        let sent = send(&mut connection, request).await;
        let no_answer = |error| SendError::no_answer(address, &sent, error);
        let (head, mut reader) = response::begin(&mut connection).await.map_err(no_answer)?;
        let refuses = head.status >= 400;
        received.head = Some(head);
        let body = receive(&mut reader, received, MAX_KEPT);
        if refuses {
            // A client waits for the verdict, which the end of the body does not change.
            tokio::time::timeout(self.timeout / 2, body)
                .await
                .map_err(|_| SendError::Timeout {
                    address,
                    timeout: self.timeout / 2,
                })?
                .map_err(no_answer)?;
        } else {
            body.await.map_err(no_answer)?;
        }
        if reader.is_reusable() && sent.is_ok() {
            self.keep(connection, address);
        }
        Ok(())
    }

    fn take_idle(&self, address: SocketAddr) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(mut candidate) = idle.pop() {
            if candidate.address == address
                && candidate.since.elapsed() < IDLE_LIFETIME
                && self.dialer.is_current(&candidate.connection)
                && candidate.connection.is_quiet()
            {
                return Some(candidate.connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection, address: SocketAddr) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(Idle {
                connection,
                address,
                since: Instant::now(),
            });
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock()
    }
}

/// A replica may refuse a large body before it has read it all (413, 401): then this fails, yet there is an answer.
async fn send(connection: &mut Connection, mut request: Pieces) -> std::io::Result<()> {
    connection.write_all_buf(&mut request).await?;
    connection.flush().await
}

impl SendError {
    /// There is no connection.
    pub(in crate::relay) fn not_connected(address: SocketAddr, error: &DialError) -> SendError {
        SendError::Connect {
            address,
            reason: error.to_string(),
        }
    }

    /// There is no whole answer; if sending failed too, that is why.
    fn no_answer(
        address: SocketAddr,
        sent: &std::io::Result<()>,
        error: ResponseError,
    ) -> SendError {
        let reason = match (sent, error) {
            (Err(error), ResponseError::Io(_) | ResponseError::Closed(_)) => error.to_string(),
            (_, error) => error.to_string(),
        };
        SendError::NoAnswer { address, reason }
    }

    fn empty(address: SocketAddr) -> SendError {
        SendError::NoAnswer {
            address,
            reason: "there is no answer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use socket2::{Domain, Socket, Type};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A node that stands still: its system takes connections and a few kB of each, and it reads nothing.
    fn standing_still() -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.listen(1)?;
        TcpListener::from_std(socket.into())
    }

    #[tokio::test]
    async fn what_is_not_delivered_when_a_request_ends_is_delivered_never() {
        let node = standing_still().expect("a port");
        let address = node.local_addr().expect("an address");
        let body = Bytes::from(vec![b'x'; 256 * 1024]);
        let mut request = Pieces::default();
        request.push(body.clone());
        let client = ReplicaClient::new(Arc::default(), Duration::from_millis(300));
        let ended = client.exchange(address, request).await;
        assert!(matches!(ended, Err(SendError::Timeout { .. })), "{ended:?}");
        // Now it goes on, and reads what its system still gets.
        let (mut stream, _) = node.accept().await.expect("a connection");
        let mut read = Vec::new();
        let rest = stream.read_to_end(&mut read);
        let rest = tokio::time::timeout(Duration::from_secs(20), rest).await;
        let rest = rest.expect("the connection has ended");
        assert!(read.len() < body.len(), "all of it came late");
        let kind = rest.map_err(|error| error.kind());
        assert_eq!(kind, Err(std::io::ErrorKind::ConnectionReset));
    }
}
