//! Requests to a node, and their answers as they come.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use socket2::TcpKeepalive;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use super::{Node, NodeError, Process};
use crate::dial::{Call, Connection, Dialer, SocketOptions};
use crate::http_response::ResponseReader;
use crate::influx::{StatementVerdict, judge_statement, may_be_half_done};

/// Idle connections kept for one node.
const MAX_IDLE: usize = 4;

/// Bytes that are written at once: the node must take so many within the timeout.
const PIECE: usize = 256 * 1024;

/// How long a node may compute before the first byte of an answer's body. InfluxDB sends its head at once, then nothing while it
/// works, which takes minutes for a large `DROP`.
pub(super) const MAX_COMPUTING: Duration = Duration::from_secs(10 * 60);

/// Between two looks whether the relay knows a process.
const HANDSHAKE_PACE: Duration = Duration::from_millis(20);

/// How a dead node is told from one that computes: asked after 30 s of silence, given up about a minute later.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10))
    .with_retries(6);

/// Connections that may carry another request.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Vec<Connection>>>);

impl Idle {
    fn take(&self, dialer: &Dialer) -> Option<Connection> {
        let mut idle = self.0.lock();
        while let Some(mut connection) = idle.pop() {
            if dialer.is_current(&connection) && connection.is_surely_quiet() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.0.lock();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }
}

/// A request by `POST`.
pub(super) struct Request<'request> {
    /// `/query` or `/write`.
    pub(super) path: &'static str,
    pub(super) parameters: &'request [(&'static str, &'request str)],
    pub(super) accept: &'static str,
    pub(super) content_type: &'request str,
    pub(super) body: Bytes,
}

/// Names and values as a URL or a form has them; those without a value are left out.
pub(super) fn encoded(parameters: &[(&'static str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    text
}

/// An answer whose head has come.
pub(super) struct Answer {
    node: Node,
    status: u16,
    /// None behind the body.
    reader: Option<ResponseReader<Connection>>,
    has_begun: bool,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// The next piece of the body; `None` behind the last one.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, NodeError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let patience = if self.has_begun {
            self.node.timeout
        } else {
            MAX_COMPUTING
        };
        self.has_begun = true;
        let began = Instant::now();
        let piece = self.node.within(patience, reader.piece()).await?;
        self.node.pace.waited_since(began).await;
        if piece.is_none()
            && let Some(reader) = self.reader.take()
            && reader.is_reusable()
        {
            self.node.idle.keep(reader.into_parts().0);
        }
        Ok(piece)
    }

    /// The whole body, of at most `most` bytes.
    pub(super) async fn body(&mut self, most: usize) -> Result<Vec<u8>, NodeError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > most {
                return Err(self
                    .node
                    .unreadable(format!("it has more than {most} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

impl Node {
    /// Sends a request once and waits for its answer's head.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Answer, NodeError> {
        let began = Instant::now();
        let mut connection = self.connection().await?;
        let parameters = encoded(request.parameters);
        let mut head = format!(
            "POST {}?{parameters} HTTP/1.1\r\nHost: {}\r\nUser-Agent: haflux\r\nAccept: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            request.path,
            self.address,
            request.accept,
            request.content_type,
            request.body.len(),
        )
        .into_bytes();
        if let Some(asker) = &self.asker {
            head.extend_from_slice(format!("Authorization: {}\r\n", asker.header()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let pieces = std::iter::once(head.as_slice()).chain(request.body.chunks(PIECE));
        for piece in pieces {
            let writing = async {
                connection.write_all(piece).await?;
                connection.flush().await
            };
            let written = self.within(self.timeout, writing).await;
            // A node that refuses early closes its end; its answer says why.
            if written.is_err() {
                break;
            }
        }
        let mut reader = ResponseReader::new(connection);
        let status = self.within(self.timeout, reader.begin()).await?.status();
        self.pace.waited_since(began).await;
        Ok(Answer {
            node: self.clone(),
            status,
            reader: Some(reader),
            has_begun: false,
        })
    }

    /// Has a connection for the next request, so that nobody waits for one then.
    ///
    /// # Errors
    /// [`NodeError`]
    pub(in crate::heal) async fn make_ready(&self) -> Result<(), NodeError> {
        self.idle.keep(self.connection().await?);
        Ok(())
    }

    async fn connection(&self) -> Result<Connection, NodeError> {
        self.is_itself()?;
        match self.idle.take(&self.dialer) {
            Some(connection) => Ok(connection),
            None => self.connect_to_itself().await,
        }
    }

    /// Whether it is, as far as the relay knows.
    ///
    /// # Errors
    /// [`NodeError::Ended`]: it is not the node that it was.
    pub(in crate::heal) fn is_itself(&self) -> Result<(), NodeError> {
        match &self.tenure {
            Some(tenure) => Ok(tenure.lasts()?),
            None => Ok(()),
        }
    }

    /// A new connection to the process that has proven to the relay that it is the node that it was. The relay's handshake with one
    /// that has just begun is waited for.
    async fn connect_to_itself(&self) -> Result<Connection, NodeError> {
        let Some(tenure) = &self.tenure else {
            return self.connect(&self.dialer, self.address).await;
        };
        let asked = self.during(None);
        let Process { started, .. } = asked.process().await?;
        let connection = asked.idle.take(&self.dialer);
        let connection = connection.ok_or_else(|| self.unreachable("it closed its connection"))?;
        let end = Instant::now() + self.timeout;
        while !tenure.is_held_by(&started) {
            tenure.lasts()?;
            if Instant::now() >= end {
                return Err(self.unreachable("it has not proven yet that it is the node it was"));
            }
            sleep(HANDSHAKE_PACE).await;
        }
        // Who proved to be another one has proven nothing.
        tenure.lasts()?;
        Ok(connection)
    }

    /// A new connection.
    pub(super) async fn connect(
        &self,
        dialer: &Dialer,
        address: SocketAddr,
    ) -> Result<Connection, NodeError> {
        let call = Call {
            socket: SocketOptions {
                keep_alive: Some(KEEPALIVE),
                drops_unsent_after: None,
            },
            ..Call::within(self.timeout)
        };
        let dialled = dialer.dial(address, call).await;
        dialled.map_err(|error| self.unreachable(error))
    }

    pub(super) async fn within<T, E: fmt::Display>(
        &self,
        patience: Duration,
        doing: impl Future<Output = Result<T, E>>,
    ) -> Result<T, NodeError> {
        match timeout(patience, doing).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.unreachable(error)),
            Err(_) => Err(self.unreachable(format_args!("it was silent for {patience:?}"))),
        }
    }

    pub(super) fn unreachable(&self, reason: impl fmt::Display) -> NodeError {
        NodeError::Unreachable {
            node: self.name.clone(),
            reason: reason.to_string(),
        }
    }

    pub(in crate::heal) fn unreadable(&self, reason: impl fmt::Display) -> NodeError {
        NodeError::Unreadable {
            node: self.name.clone(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn unaskable(&self, reason: impl fmt::Display) -> NodeError {
        NodeError::Unaskable {
            node: self.name.clone(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> NodeError {
        NodeError::Refused {
            node: self.name.clone(),
            reason: reason.into(),
        }
    }

    pub(super) fn busy(&self, status: u16, reason: impl Into<String>) -> NodeError {
        NodeError::Busy {
            node: self.name.clone(),
            status,
            reason: reason.into(),
        }
    }

    pub(super) fn unauthorized(&self, status: u16, reason: impl Into<String>) -> NodeError {
        NodeError::Unauthorized {
            node: self.name.clone(),
            status,
            user: self.asker().map(|(user, _)| user.to_owned()),
            reason: reason.into(),
        }
    }

    /// What an error of a statement means. It stands in an answer of status 200, too.
    pub(super) fn fault(&self, status: u16, text: impl Into<String>) -> NodeError {
        let text = text.into();
        let body = json!({ "error": text }).to_string();
        match judge_statement(true, status, body.as_bytes()) {
            StatementVerdict::Unauthorized => self.unauthorized(status, text),
            // What is asked here may be asked again.
            StatementVerdict::Refused { .. } if may_be_half_done(&text) => self.busy(status, text),
            StatementVerdict::TryAgain
            | StatementVerdict::Ill
            | StatementVerdict::TimedOut
            | StatementVerdict::Unanswered => self.busy(status, text),
            StatementVerdict::Refused { .. } => self.refused(text),
            StatementVerdict::Applied | StatementVerdict::Unexpected => {
                self.unreadable(format_args!("status {status}: {text}"))
            }
        }
    }
}
