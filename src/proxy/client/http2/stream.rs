//! A stream of HTTP/2, as a connection of HTTP/1.1 that carries one request.
//!
//! Reading gives the request's header and body, and then nothing until the client resets the stream; once the answer is over, the end. What
//! is written is the answer. A stream that is dropped before its answer is whole is reset, so the client does not take a part for the
//! whole.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use memchr::memmem;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{ALPN, SslDigest};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Facts;
use super::request::{self, Body};
use crate::http_response::Head;
use crate::proxy::client::framing::Framing;

/// Most bytes of an answer's header.
const MOST_HEADER: usize = 1 << 20;

/// What ends a header.
const END: &[u8] = b"\r\n\r\n";

/// One request and its answer.
#[derive(Debug)]
pub(in crate::proxy) struct RequestStream {
    facts: Facts,
    /// The header, and then what frames the body, before `piece`.
    text: BytesMut,
    /// A part of the body.
    piece: Bytes,
    body: RecvStream,
    rest: Rest,
    sender: SendResponse<Bytes>,
    answer: Answer,
    is_head: bool,
    was_reset: Arc<AtomicBool>,
}

/// What is still to come of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Pieces of the body as they are.
    Pieces,
    /// The same as chunks.
    Chunks,
    /// Nothing but a reset.
    Nothing,
    /// Nothing more is read.
    Closed,
}

/// How far the answer is.
#[derive(Debug)]
enum Answer {
    /// So much of its header was written.
    Header(BytesMut),
    /// The header was sent. Without framing the body ends when the stream is shut down.
    Body(SendStream<Bytes>, Option<Framing>),
    /// All was sent.
    Over,
    /// The stream was reset.
    Reset,
}

impl RequestStream {
    pub(super) fn new(
        request: Request<RecvStream>,
        sender: SendResponse<Bytes>,
        facts: Facts,
    ) -> Self {
        let (request, body) = request.into_parts();
        let (text, framing) = request::write(&request, !body.is_end_stream());
        Self {
            facts,
            text,
            piece: Bytes::new(),
            body,
            rest: match framing {
                Body::None => Rest::Nothing,
                Body::Length => Rest::Pieces,
                Body::Chunks => Rest::Chunks,
            },
            sender,
            answer: Answer::Header(BytesMut::new()),
            is_head: request.method == Method::HEAD,
            was_reset: Arc::default(),
        }
    }

    /// What becomes true when the client resets the stream before its answer is whole, or has it reset, and somebody finds out.
    pub(in crate::proxy) fn resets(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.was_reset)
    }

    /// Tells the client that nobody has looked at its request, so that it may send it again.
    pub(in crate::proxy) fn refuse(mut self) {
        self.reset(Reason::REFUSED_STREAM);
    }

    fn reset(&mut self, reason: Reason) {
        match &mut self.answer {
            Answer::Header(_) => self.sender.send_reset(reason),
            Answer::Body(to, _) => to.send_reset(reason),
            Answer::Over | Answer::Reset => return,
        }
        self.answer = Answer::Reset;
    }

    /// Ready when the client has reset the stream, has had it reset or has left.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match &mut self.answer {
            Answer::Header(_) => ready!(self.sender.poll_reset(context)),
            Answer::Body(to, _) => ready!(to.poll_reset(context)),
            Answer::Over | Answer::Reset => return Poll::Ready(ErrorKind::ConnectionReset.into()),
        };
        if reset.is_ok() {
            self.was_reset.store(true, Ordering::Relaxed);
        }
        Poll::Ready(ErrorKind::ConnectionReset.into())
    }

    /// Why nothing can be sent.
    fn gone(&mut self, context: &mut Context<'_>) -> io::Error {
        match self.poll_gone(context) {
            Poll::Ready(error) => error,
            Poll::Pending => ErrorKind::BrokenPipe.into(),
        }
    }

    /// Gets the next piece of the body; false behind the last one.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match ready!(self.body.poll_data(context)) {
            Some(Ok(piece)) => {
                if self.rest == Rest::Chunks && !piece.is_empty() {
                    self.text = format!("{:x}\r\n", piece.len()).as_bytes().into();
                }
                self.piece = piece;
                Poll::Ready(Ok(true))
            }
            Some(Err(error)) => {
                // The client can have the stream reset on this side, too, by breaking its rules.
                if error.is_reset() && (error.is_remote() || error.is_library()) {
                    self.was_reset.store(true, Ordering::Relaxed);
                }
                Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionReset, error)))
            }
            None => {
                if self.rest == Rest::Chunks {
                    self.text = b"0\r\n\r\n"[..].into();
                }
                self.rest = Rest::Nothing;
                Poll::Ready(Ok(false))
            }
        }
    }

    /// Takes more of the answer's header; returns how many bytes of `text` belong to it.
    fn write_header(&mut self, text: &[u8], context: &mut Context<'_>) -> io::Result<usize> {
        let Answer::Header(held) = &mut self.answer else {
            return Ok(0);
        };
        let before = held.len();
        held.extend_from_slice(text);
        let looked_at = before.saturating_sub(END.len() - 1);
        let unseen = held.get(looked_at..).unwrap_or_default();
        let Some(end) = memmem::find(unseen, END) else {
            return match held.len() <= MOST_HEADER {
                true => Ok(text.len()),
                false => Err(ErrorKind::InvalidData.into()),
            };
        };
        let end = looked_at + end;
        let mut header = held.split();
        header.truncate(end);
        let head = Head::parse(header.freeze());
        let head = head.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        if self.begin(&head)?.is_err() {
            return Err(self.gone(context));
        }
        Ok(end + END.len() - before)
    }

    /// Sends the answer's header.
    fn begin(&mut self, head: &Head) -> io::Result<Result<(), h2::Error>> {
        let status = StatusCode::from_u16(head.status());
        let status = status.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let mut response = Response::new(());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in head.fields() {
            let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            else {
                continue;
            };
            if !is_of_the_connection(&name) {
                headers.append(name, value);
            }
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ErrorKind::Unsupported.into());
        }
        if status.is_informational() {
            return Ok(self.sender.send_informational(response));
        }
        let framing = match (self.is_head || head.is_bodiless(), head.length()) {
            (true, _) => Some(Framing::Ended),
            (false, _) if head.is_chunked() => Some(Framing::CHUNKED),
            (false, length) => length.map(Framing::of_length),
        };
        let is_all = framing == Some(Framing::Ended);
        Ok(self.sender.send_response(response, is_all).map(|to| {
            self.answer = match is_all {
                true => Answer::Over,
                false => Answer::Body(to, framing),
            };
        }))
    }

    /// Sends the next run of the answer's body, as far as the client takes it; returns how many bytes of `text` that are.
    fn poll_body(&mut self, text: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Answer::Body(to, framing) = &mut self.answer else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let malformed = |error| io::Error::new(ErrorKind::InvalidData, error);
        let is_data = framing.is_none_or(|framing| framing.is_at_data());
        let room = match is_data {
            false => text.len(),
            true => match ready!(poll_room(to, text.len(), context)) {
                Some(room) => room,
                None => return Poll::Ready(Err(self.gone(context))),
            },
        };
        let text = text.get(..room).unwrap_or(text);
        let taken = match framing {
            Some(framing) => framing.run(text).map_err(malformed)?,
            None => text.len(),
        };
        let is_last = *framing == Some(Framing::Ended);
        let data = if is_data { text.get(..taken) } else { None };
        let sent = match data {
            None if !is_last => Ok(()),
            data => to.send_data(Bytes::copy_from_slice(data.unwrap_or_default()), is_last),
        };
        if sent.is_err() {
            return Poll::Ready(Err(self.gone(context)));
        }
        if is_last {
            self.answer = Answer::Over;
        }
        Poll::Ready(Ok(taken))
    }
}

/// How many of `wanted` bytes may be sent now; nothing if the stream has ended.
fn poll_room(
    to: &mut SendStream<Bytes>,
    wanted: usize,
    context: &mut Context<'_>,
) -> Poll<Option<usize>> {
    to.reserve_capacity(wanted);
    loop {
        let room = to.capacity();
        if room > 0 {
            return Poll::Ready(Some(room));
        }
        match ready!(to.poll_capacity(context)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(None),
        }
    }
}

/// Whether a header says something of a connection of HTTP/1, which HTTP/2 forbids (RFC 9113, section 8.2.2).
fn is_of_the_connection(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

impl AsyncRead for RequestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.text.is_empty() {
                let bytes = self.text.len().min(buffer.remaining());
                buffer.put_slice(&self.text.split_to(bytes));
                return Poll::Ready(Ok(()));
            }
            if !self.piece.is_empty() {
                let bytes = self.piece.len().min(buffer.remaining());
                buffer.put_slice(&self.piece.split_to(bytes));
                // Only now may the client send as much more.
                let released = self.body.flow_control().release_capacity(bytes);
                released.map_err(io::Error::other)?;
                if self.piece.is_empty() && self.rest == Rest::Chunks {
                    self.text = b"\r\n"[..].into();
                }
                return Poll::Ready(Ok(()));
            }
            match (self.rest, &self.answer) {
                (Rest::Closed, _) | (Rest::Nothing, Answer::Over) => return Poll::Ready(Ok(())),
                (Rest::Nothing, _) => return self.poll_gone(context).map(Err),
                (Rest::Pieces | Rest::Chunks, _) => {
                    ready!(self.poll_piece(context))?;
                }
            }
        }
    }
}

impl AsyncWrite for RequestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        if text.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self.answer {
            Answer::Header(_) => Poll::Ready(self.write_header(text, context)),
            _ => self.poll_body(text, context),
        }
    }

    /// What was written is sent by who waits for the connection's next request.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.rest = Rest::Closed;
        if let Answer::Body(to, None) = &mut self.answer
            && to.send_data(Bytes::new(), true).is_ok()
        {
            self.answer = Answer::Over;
        }
        self.reset(Reason::INTERNAL_ERROR);
        Poll::Ready(Ok(()))
    }
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        self.reset(Reason::INTERNAL_ERROR);
    }
}

#[async_trait]
impl Shutdown for RequestStream {
    async fn shutdown(&mut self) {
        // The client may have left.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for RequestStream {
    /// Pingora tells pooled connections apart by it; these are in no pool.
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for RequestStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.facts.spoken.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(ALPN::H2)
    }
}

impl GetTimingDigest for RequestStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for RequestStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.facts.certified.clone()
    }
}

impl GetSocketDigest for RequestStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.facts.digest.clone()
    }
}

#[async_trait]
impl Peek for RequestStream {}
