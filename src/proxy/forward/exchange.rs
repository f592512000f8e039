//! One request to one server, up to the point at which its answer has begun: so far the client has seen nothing of it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::{BError, Error, ErrorType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::hop_by_hop::HopByHop;
use super::request::Request;
use crate::dial::{Call, Connection};
use crate::http_response::{Head, ResponseError, ResponseReader};
use crate::proxy::pool::greeting::Greeting;
use crate::proxy::pool::pingora_dial::not_connected;
use crate::proxy::pool::{Pool, Server};
use crate::proxy::session::error_kind::ErrorKind;

/// For how long a server that ends may still take connections after it broke one off.
const LAST_MOMENTS: Duration = Duration::from_millis(100);

/// An answer that has begun: its header, and what has come of its body.
pub(in crate::proxy) struct Started {
    pub(in crate::proxy) upstream: Upstream,
    pub(in crate::proxy) address: SocketAddr,
    pub(in crate::proxy) header: ResponseHeader,
    /// The first piece of the body, if it was waited for and there is one.
    pub(in crate::proxy) first: Option<Bytes>,
    /// The request went out whole, so the connection, which is for no client alone, may serve another one.
    pub(in crate::proxy) reusable: bool,
}

/// Why no answer began.
pub(in crate::proxy) enum Failure {
    /// No connection: nothing was sent.
    Connect(BError),
    /// The connection broke after something was sent; the server takes new ones.
    Broken(BError),
    /// The connection broke after something was sent, and the server takes no new one: it ended.
    Ended(BError),
    /// The server was marked down before it answered, and another one could.
    Lost,
    /// Nothing came for too long.
    Silent(BError),
}

/// When what was reached; kept although the attempt may be abandoned.
#[derive(Default)]
pub(in crate::proxy) struct Progress {
    pub(in crate::proxy) connected: Option<Instant>,
    pub(in crate::proxy) answered: Option<Instant>,
}

/// The server's side of an exchange, from which the rest of the body is to be read.
pub(in crate::proxy) struct Upstream {
    reader: ResponseReader<Connection>,
    /// The longest that it may be silent.
    silence: Duration,
}

impl Upstream {
    /// The next piece of the body, never empty; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// The server was silent for too long, its connection broke, or its body is malformed.
    pub(in crate::proxy) async fn piece(&mut self) -> pingora::Result<Option<Bytes>> {
        in_time(self.silence, self.reader.piece()).await
    }

    /// Whether the body has been read to its end.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        self.reader.is_over()
    }

    /// The connection, if it may carry another request.
    pub(in crate::proxy) fn into_idle(self) -> Option<Connection> {
        let is_reusable = self.reader.is_reusable();
        is_reusable.then(|| self.reader.into_parts().0)
    }

    /// The connection, and what has come on it behind the answer's header.
    pub(in crate::proxy) fn into_tunnel(self) -> (Connection, bytes::BytesMut) {
        self.reader.into_parts()
    }

    /// Reads the answer's header, and the first piece of its body if it is to be `held` back until then.
    async fn begin(
        &mut self,
        request: &Request,
        held: bool,
    ) -> pingora::Result<(ResponseHeader, Option<Bytes>)> {
        let head = in_time(self.silence, self.reader.begin()).await?;
        if head.status() == StatusCode::SWITCHING_PROTOCOLS.as_u16() && !request.asks_for_upgrade()
        {
            return Err(Error::explain(
                ErrorType::InvalidHTTPHeader,
                "a change of protocol that nobody asked for",
            ));
        }
        if request.is_head() {
            self.reader.expect_no_body();
        }
        let first = match held && !self.is_over() {
            true => self.piece().await?,
            false => None,
        };
        Ok((header_of(&head)?, first))
    }
}

/// What `reading` gives, unless the server is silent for too long.
async fn in_time<T>(
    silence: Duration,
    reading: impl Future<Output = Result<T, ResponseError>>,
) -> pingora::Result<T> {
    match timeout(silence, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => {
            let kind = match &error {
                ResponseError::Io(_) => ErrorType::ReadError,
                ResponseError::Closed(_) => ErrorType::ConnectionClosed,
                ResponseError::Malformed(_) => ErrorType::InvalidHTTPHeader,
            };
            Err(Error::because(kind, "an answer", error))
        }
        Err(_) => Err(Error::new(ErrorType::ReadTimedout)),
    }
}

/// The head of an answer as it is passed on. A line that no header can hold is left out.
fn header_of(head: &Head) -> pingora::Result<ResponseHeader> {
    let mut all = HopByHop::default();
    let connection = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"connection");
    for (_, value) in head.fields().filter(connection) {
        all.note(value);
    }
    let is_tunnel = head.status() == StatusCode::SWITCHING_PROTOCOLS.as_u16();
    let is_kept =
        |name: &[u8]| !all.holds(name) || (is_tunnel && name.eq_ignore_ascii_case(b"upgrade"));
    // How a chunked body ends is told by its chunks alone.
    let is_chunked = head.is_chunked();
    let mut header = ResponseHeader::build(head.status(), Some(head.fields().count() + 3))?;
    for (name, value) in head.fields().filter(|(name, _)| is_kept(name)) {
        if is_chunked && name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        let Ok(value) = HeaderValue::from_maybe_shared(head.share(value)) else {
            continue;
        };
        // The name is none.
        let _ = header.append_header(head.share(name), value);
    }
    Ok(header)
}

/// A request for one server.
pub(in crate::proxy) struct Exchange<'a> {
    pub(in crate::proxy) pool: &'a Pool,
    pub(in crate::proxy) server: &'a Server,
    pub(in crate::proxy) address: SocketAddr,
    pub(in crate::proxy) request: &'a Request,
    /// What a connection begins with that is for this request's client.
    pub(in crate::proxy) greeting: Option<Greeting>,
    /// Whether the answer is held back until its body begins.
    pub(in crate::proxy) held: bool,
    /// Whether doing it twice does what doing it once does.
    pub(in crate::proxy) repeatable: bool,
}

impl Exchange<'_> {
    /// Sends the request and waits until its answer has begun.
    pub(in crate::proxy) async fn start(
        &self,
        progress: &mut Progress,
    ) -> Result<Started, Failure> {
        // What must not happen twice is sent on a fresh connection: an idle one may be closed under our hands, and then
        // nobody can tell whether the request arrived.
        let mut sent = false;
        if self.repeatable
            && self.greeting.is_none()
            && let Some(stream) = self.server.idle.take(self.address, &self.server.dialer)
        {
            progress.connected = Some(Instant::now());
            self.server.stats.count_connection(true);
            match self.begin(stream).await {
                Err(Failure::Broken(error)) => {
                    sent = true;
                    log::debug!("an idle connection was stale: {}", ErrorKind(&error));
                }
                other => {
                    progress.answered = other.is_ok().then(Instant::now);
                    return other;
                }
            }
        }
        self.server.stats.count_connection(false);
        // Boxed, as below: most exchanges need none of it.
        let stream = Box::pin(self.connect(self.greeting.as_ref()))
            .await
            .map_err(if sent {
                Failure::Ended
            } else {
                Failure::Connect
            })?;
        progress.connected = Some(Instant::now());
        match self.begin(stream).await {
            Ok(started) => {
                progress.answered = Some(Instant::now());
                Ok(started)
            }
            Err(Failure::Broken(error)) => Err(if Box::pin(self.lives()).await {
                Failure::Broken(error)
            } else {
                Failure::Ended(error)
            }),
            Err(failure) => Err(failure),
        }
    }

    async fn connect(&self, greeting: Option<&Greeting>) -> pingora::Result<Connection> {
        let call = Call {
            beginning: greeting.map_or(&[], Greeting::bytes),
            ..Call::within(self.pool.config().connect_timeout)
        };
        let dialled = self.server.dialer.dial(self.address, call).await;
        dialled.map_err(not_connected)
    }

    /// Whether a server that broke a connection off goes on. One that ends closes its connections and its port in any order, so a
    /// new connection tells that only by lasting.
    async fn lives(&self) -> bool {
        match self.connect(None).await {
            Ok(mut stream) => timeout(LAST_MOMENTS, stream.read_u8()).await.is_err(),
            Err(_) => false,
        }
    }

    /// Sends the request, and reads the beginning of its answer.
    async fn begin(&self, mut stream: Connection) -> Result<Started, Failure> {
        let silence = self.pool.config().server_timeout;
        let sent = send(&mut stream, self.request, silence).await;
        if let Err(error) = &sent
            && error.kind() == io::ErrorKind::TimedOut
        {
            return Err(Failure::Silent(Error::new(ErrorType::WriteTimedout)));
        }
        let mut upstream = Upstream {
            reader: ResponseReader::new(stream),
            silence,
        };
        // A server may refuse a body before it has read it: then sending failed, but there is an answer.
        match upstream.begin(self.request, self.held).await {
            Ok((header, first)) => Ok(Started {
                upstream,
                address: self.address,
                header,
                first,
                reusable: sent.is_ok() && self.greeting.is_none(),
            }),
            Err(error) if *error.etype() == ErrorType::ReadTimedout => Err(Failure::Silent(error)),
            Err(error) => Err(Failure::Broken(error)),
        }
    }
}

/// Sends the request. The server may take no byte of it for as long as `silence`.
async fn send(stream: &mut Connection, request: &Request, silence: Duration) -> io::Result<()> {
    for part in [request.head(), request.rest()] {
        let mut rest = part;
        while !rest.is_empty() {
            let written = timeout(silence, stream.write(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
    }
    timeout(silence, stream.flush()).await?
}
