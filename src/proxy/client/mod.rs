//! The client's side of a connection: what is between its bytes and Pingora.
//!
//! - Every request's `header` is read here, within `max_header_size` and `timeout.http_request`, judged, and written anew in
//!   one form (its `target` too). Pingora, the rules, the classifier and the node all read that form, so none of them can
//!   understand another request than the one that was judged. What cannot be understood for certain is refused
//!   (`rejection`). What its `connection` alone concerns goes no further.
//! - `stream` gives Pingora the bytes of one request's body and no more, however many requests the client sends ahead;
//!   `framing` knows where a body ends, `pace` how fast it has to come, and `body_fault` says what is wrong with it.
//! - A client that closes its sending side gets its answer; `presence` finds out if it has left.
//! - `http2` makes each request of a connection that speaks HTTP/2 look like such a connection itself.
//! - `sources` counts the connections of each address; `bandwidth` its bytes a second, to which a `throttle` slows a request down.
//!
//! Pingora's own reading of headers is never reached by bytes of a client: it answers what it refuses with an empty 400
//! without a line in the log, cuts targets at `#`, and logs malformed requests whole at `debug`.

mod bandwidth;
mod body_fault;
mod connection;
mod framing;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod header;
pub(in crate::proxy) mod http2;
mod moments;
mod pace;
mod presence;
mod rejection;
mod sources;
mod stream;
mod target;
mod throttle;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::protocols::http::ServerSession;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{Ssl, Stream};
use pingora::proxy::Session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::model::Frontend;
use pace::Rate;
use rejection::Rejection;
use stream::ClientStream;

pub(in crate::proxy) use bandwidth::Bandwidth;
pub(in crate::proxy) use body_fault::BodyFault;
pub(in crate::proxy) use moments::Moments;
pub(in crate::proxy) use sources::Sources;
pub(in crate::proxy) use throttle::Throttle;

/// Bytes of a body that are waited for before Pingora begins with the request, whose state is many times as large.
const MOST_GATHERED: usize = 8 << 10;

/// How long a refused client may take to read its answer and to stop sending.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are read of what a refused client goes on sending.
const MOST_LINGERING: usize = 1 << 20;

/// What a frontend allows its clients.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Limits {
    header_size: usize,
    header_timeout: Duration,
    keep_alive: Duration,
    rate: Rate,
}

impl Limits {
    /// Those of the configuration.
    pub(in crate::proxy) fn of(frontend: &Frontend) -> Self {
        Self {
            header_size: frontend.max_header_size,
            header_timeout: frontend.request_header_timeout,
            keep_alive: frontend.keep_alive_timeout,
            rate: Rate {
                stock: frontend.request_body_timeout,
                least: frontend.min_body_rate,
                silence: frontend.client_timeout,
            },
        }
    }
}

/// A client's connection between two requests.
#[derive(Debug)]
pub(in crate::proxy) struct Client {
    stream: Box<ClientStream>,
    limits: Limits,
    /// It has sent a request, so it may be idle for longer.
    is_known: bool,
    /// It may speak HTTP/2 instead, without having said so.
    may_be_http2: bool,
}

/// What a client does next.
#[derive(Debug)]
pub(in crate::proxy) enum Next {
    /// It sends a request.
    Request(Incoming),
    /// It speaks HTTP/2.
    Http2,
    /// It sends what is refused.
    Refused(Refused),
    /// It sends nothing for too long.
    Silent,
    /// It leaves.
    Left,
}

/// A request whose header is there.
#[derive(Debug)]
pub(in crate::proxy) struct Incoming {
    /// Its header, and what has come of its body.
    text: BytesMut,
    /// How long `text` may become by waiting: no longer than the header, if the client sends the body only when it is told to.
    most: usize,
    is_asking: bool,
}

impl Incoming {
    /// Whether the client asked to be told to send the body.
    pub(in crate::proxy) fn is_asking(&self) -> bool {
        self.is_asking
    }
}

/// A request that is refused before anything is done with it.
#[derive(Debug)]
pub(in crate::proxy) struct Refused {
    rejection: Rejection,
    /// For the log: without secrets, `-` if it cannot be told.
    pub(in crate::proxy) method: Bytes,
    /// The same of its path.
    pub(in crate::proxy) path: Bytes,
}

impl Refused {
    /// The answer's status.
    pub(in crate::proxy) fn status(&self) -> u16 {
        self.rejection.status.as_u16()
    }

    /// Whether it came too slowly, and was not malformed.
    pub(in crate::proxy) fn is_slow(&self) -> bool {
        self.rejection == Rejection::TOO_SLOW
    }
}

impl Client {
    /// A client that has just connected.
    pub(in crate::proxy) fn new(stream: Stream, limits: Limits) -> Self {
        Self {
            stream: Box::new(ClientStream::new(stream, limits.rate)),
            limits,
            is_known: false,
            may_be_http2: false,
        }
    }

    /// The same, which may speak HTTP/2 instead, if `may_be`.
    pub(in crate::proxy) fn or_http2(mut self, may_be: bool) -> Self {
        self.may_be_http2 = may_be;
        self
    }

    /// The connection of a client that speaks HTTP/2, with what has come on it.
    pub(in crate::proxy) fn into_stream(self) -> Stream {
        self.stream.into_unread()
    }

    /// What its TLS is, if the connection has any.
    pub(in crate::proxy) fn tls(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    /// Waits for the client's next request.
    pub(in crate::proxy) async fn next(&mut self) -> Next {
        match self.read_header().await {
            Ok(next) => next,
            Err(rejection) => {
                let (method, path) = header::shown(self.stream.ahead());
                Next::Refused(Refused {
                    rejection,
                    method,
                    path,
                })
            }
        }
    }

    async fn read_header(&mut self) -> Result<Next, Rejection> {
        let mut is_looked_at = false;
        let is_idle = self.is_known && self.stream.ahead().is_empty();
        let wait = match is_idle {
            true => self.limits.keep_alive,
            false => self.limits.header_timeout,
        };
        let mut deadline = Instant::now() + wait;
        loop {
            if self.may_be_http2 && self.stream.ahead().starts_with(http2::PREFACE) {
                return Ok(Next::Http2);
            }
            if !is_looked_at && let Some(next) = self.understand()? {
                return Ok(next);
            }
            let before = self.stream.ahead().len();
            if before >= self.limits.header_size {
                return Err(Rejection::TOO_LARGE);
            }
            let more = self.stream.read_more(self.limits.header_size);
            match timeout_at(deadline, more).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false) | Err(_)) => return Ok(Next::Left),
                Err(_) if before == 0 => return Ok(Next::Silent),
                Err(_) => return Err(Rejection::TOO_SLOW),
            }
            let came = self.stream.ahead().get(before..).unwrap_or_default();
            // A header ends with a line.
            is_looked_at = before > 0 && !came.contains(&b'\n');
            if before == 0 && is_idle {
                deadline = Instant::now() + self.limits.header_timeout;
            }
        }
    }

    /// Begins the request whose header is there; nothing while it is not whole.
    fn understand(&mut self) -> Result<Option<Next>, Rejection> {
        let Some(mut header) = header::understand(self.stream.ahead())? else {
            return Ok(None);
        };
        if header.length > self.limits.header_size {
            return Err(Rejection::TOO_LARGE);
        }
        let gathered = if header.is_asking { 0 } else { MOST_GATHERED };
        let most = header.text.len() + gathered;
        self.stream.begin(
            header.length,
            header.framing,
            header.is_asking,
            &mut header.text,
        )?;
        self.is_known = true;
        Ok(Some(Next::Request(Incoming {
            text: header.text,
            most,
            is_asking: header.is_asking,
        })))
    }

    /// Whether the body of its request has come whole.
    pub(in crate::proxy) fn has_whole_body(&self) -> bool {
        self.stream.is_whole()
    }

    /// Waits for the body of a request, or for the beginning of a large one: a body that comes slowly costs no more memory
    /// than its bytes.
    pub(in crate::proxy) async fn gather(&mut self, incoming: &mut Incoming) {
        self.stream.gather(&mut incoming.text, incoming.most).await;
    }

    /// Pingora's session for the request.
    pub(in crate::proxy) fn into_session(self, incoming: Incoming) -> ServerSession {
        let mut session = ServerSession::new_http1(self.stream);
        session.set_pipelined_prefix(incoming.text);
        session
    }

    /// The same for a request that has come whole, as what answers it takes it.
    pub(in crate::proxy) fn into_whole_session(self, incoming: Incoming) -> Session {
        let mut session = Session::new_h1(self.stream);
        session.set_pipelined_prefix(incoming.text);
        session
    }

    /// The client again, when Pingora has given its stream back; `None` if its request is not over.
    pub(in crate::proxy) fn again(stream: Stream, limits: Limits) -> Option<Self> {
        let stream: Box<ClientStream> = stream.into_any().downcast().ok()?;
        stream.is_between_requests().then_some(Self {
            stream,
            limits,
            is_known: true,
            may_be_http2: false,
        })
    }

    /// Takes the connection of a session that has become a tunnel, and what has come on it.
    pub(in crate::proxy) fn take_stream(session: &ServerSession) -> Option<(Stream, BytesMut)> {
        Self::stream_of(session)?.take()
    }

    /// Whether the session's request came by HTTP/2.
    pub(in crate::proxy) fn speaks_http2(session: &ServerSession) -> bool {
        Self::stream_of(session).is_some_and(ClientStream::speaks_http2)
    }

    fn stream_of(session: &ServerSession) -> Option<&ClientStream> {
        match session {
            ServerSession::H1(session) => session.stream().as_any().downcast_ref(),
            _ => None,
        }
    }

    /// Has the session's request slowed down; says how long it is to wait for what has come of its body.
    pub(in crate::proxy) fn throttle(session: &mut Session, throttle: Throttle) -> Duration {
        // It does not tell a client that is slow from one that is slowed.
        if throttle.is_of_answers() {
            session.set_write_timeout(None);
        }
        let stream = Self::stream_of(session.as_downstream());
        stream.map_or(Duration::ZERO, |stream| stream.throttle(Box::new(throttle)))
    }

    /// Has the answer to the session's request wait for nothing but the client.
    pub(in crate::proxy) fn hurry(session: &Session) {
        if let Some(stream) = Self::stream_of(session.as_downstream()) {
            stream.hurry();
        }
    }

    /// When the header of the session's request had been read.
    pub(in crate::proxy) fn began(session: &ServerSession) -> Option<Instant> {
        Self::stream_of(session).map(ClientStream::began)
    }

    /// Lets the client have what has come of an answer that breaks off, for at most `longest`. The connection must end behind it.
    pub(in crate::proxy) async fn break_off(session: &mut ServerSession, longest: Duration) {
        let Some(stream) = Self::stream_of(session) else {
            return;
        };
        stream.break_off();
        // Who does not take it has less of the answer.
        let _ = timeout(longest, session.shutdown()).await;
    }

    /// What was wrong with the body of the session's request.
    pub(in crate::proxy) fn body_fault(session: &ServerSession) -> Option<BodyFault> {
        Self::stream_of(session)?.fault()
    }

    /// Answers a request that is refused, and ends the connection in such a way that the client sees the answer: closed with
    /// bytes unread, it would be reset.
    ///
    /// # Errors
    ///
    /// The client has left.
    pub(in crate::proxy) async fn refuse(mut self, refused: &Refused) -> io::Result<()> {
        let is_head = header::is_head(&refused.method);
        let answer = refused.rejection.answer(is_head);
        self.stream.forget_ahead();
        let stream = self.stream.inner()?;
        let telling = async {
            stream.write_all(&answer).await?;
            stream.flush().await?;
            AsyncWriteExt::shutdown(stream).await?;
            let mut space = [0; 1024];
            let mut read = 0;
            while read < MOST_LINGERING {
                match stream.read(&mut space).await? {
                    0 => break,
                    more => read += more,
                }
            }
            Ok(())
        };
        timeout(LINGER, telling).await.unwrap_or(Ok(()))
    }
}
