//! A client's connection as Pingora sees it during one request.
//!
//! Pingora is handed the header that was judged, and from here the bytes of this request's body and no more: what follows
//! belongs to the next request and is kept for it. Behind the body there is nothing to read until the client has left.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{ALPN, SslDigest};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::body_fault::BodyFault;
use super::framing::Framing;
use super::pace::{Pace, Rate};
use super::presence::Presence;
use super::rejection::Rejection;
use super::throttle::Throttle;

/// Bytes that one read of a header takes: most writes arrive whole with it.
const READ: usize = 16 << 10;
/// An answer of up to this size leaves in one piece with its header.
const MOST_HELD: usize = 16 << 10;
/// Bytes of following requests that are read while one is answered.
const MOST_AHEAD: usize = 4 << 10;

/// A client's connection.
#[derive(Debug)]
pub(super) struct ClientStream {
    /// Nothing once a tunnel has taken it. The mutex is never contended: only the tunnel comes by a shared reference.
    inner: Mutex<Option<Stream>>,
    digest: Option<Arc<SocketDigest>>,
    /// What is spoken inside TLS.
    spoken: Option<Arc<SslDigest>>,
    /// Whom its certificate is made out to.
    certified: Option<Arc<ProxyDigest>>,
    /// It is one request of a connection that speaks HTTP/2.
    speaks_http2: bool,
    /// What came and belongs to no request yet.
    ahead: BytesMut,
    /// What is written and waits for the rest of its answer; it has a buffer only meanwhile.
    held: BytesMut,
    stage: Stage,
    pace: Pace,
    presence: Presence,
    /// The client asked whether to send its body, and was not told to.
    waits_for_word: bool,
    /// What was wrong with the body of the current request.
    fault: Option<BodyFault>,
    /// Made when something is first waited for with a limit.
    timer: Option<Pin<Box<Sleep>>>,
    /// When the header of the current request had been read.
    began: Instant,
    /// Bytes that have come of the body of the current request.
    came: usize,
    /// The answer to the current request ends before its end.
    is_broken: AtomicBool,
    /// What slows the current request down. The mutex is never contended: who sets it has a shared reference only.
    throttle: Mutex<Option<Box<Throttle>>>,
}

/// What is read next.
#[derive(Debug)]
enum Stage {
    /// A request's body; when that has ended, only the client's leaving.
    Request(Framing),
    /// Whatever comes: the connection speaks another protocol.
    Tunnel,
}

impl ClientStream {
    /// A connection on which nothing was read.
    pub(super) fn new(inner: Stream, rate: Rate) -> Self {
        Self {
            digest: inner.get_socket_digest(),
            spoken: inner.get_ssl_digest(),
            certified: inner.get_proxy_digest(),
            speaks_http2: inner.selected_alpn_proto() == Some(ALPN::H2),
            inner: Mutex::new(Some(inner)),
            ahead: BytesMut::new(),
            held: BytesMut::new(),
            stage: Stage::Request(Framing::Ended),
            pace: Pace::new(rate),
            presence: Presence::default(),
            waits_for_word: false,
            fault: None,
            timer: None,
            began: Instant::now(),
            came: 0,
            is_broken: AtomicBool::new(false),
            throttle: Mutex::new(None),
        }
    }

    /// What came and belongs to no request yet.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Reads more of a header, which may have `most` bytes in all; false at the end of what the client sends.
    pub(super) async fn read_more(&mut self, most: usize) -> io::Result<bool> {
        if self.presence.has_ended() {
            return Ok(false);
        }
        let most = most.saturating_sub(self.ahead.len()).max(1);
        let read = poll_fn(|context| self.poll_ahead::<READ>(most, context)).await?;
        Ok(read > 0)
    }

    /// Begins a request: its header took `length` bytes, and what has come of its body is appended to `text`. One that is asking
    /// may keep its body to itself until it is told `100 Continue`.
    ///
    /// # Errors
    ///
    /// The beginning of the body is malformed.
    pub(super) fn begin(
        &mut self,
        length: usize,
        mut framing: Framing,
        is_asking: bool,
        text: &mut BytesMut,
    ) -> Result<(), Rejection> {
        self.waits_for_word = is_asking && framing != Framing::Ended;
        self.ahead.advance(length.min(self.ahead.len()));
        let body = framing.advance(&self.ahead)?;
        text.extend_from_slice(self.ahead.get(..body).unwrap_or_default());
        self.ahead.advance(body);
        if self.ahead.is_empty() {
            // An idle connection holds no buffer.
            self.ahead = BytesMut::new();
        }
        self.stage = Stage::Request(framing);
        self.pace.begin();
        self.presence.begin();
        self.fault = None;
        self.began = Instant::now();
        self.came = body;
        *self.throttle.get_mut() = None;
        Ok(())
    }

    /// Appends more of the request's body to `text`, until the body has ended or `text` has `most` bytes. What is wrong with
    /// the body is found again by who reads on.
    pub(super) async fn gather(&mut self, text: &mut BytesMut, most: usize) {
        while text.len() < most && poll_fn(|context| self.poll_gather(text, most, context)).await {}
    }

    /// Ready with false if there is nothing more to gather.
    fn poll_gather(
        &mut self,
        text: &mut BytesMut,
        most: usize,
        context: &mut Context<'_>,
    ) -> Poll<bool> {
        let Stage::Request(framing) = self.stage else {
            return Poll::Ready(false);
        };
        if framing == Framing::Ended {
            return Poll::Ready(false);
        }
        let mut space = [MaybeUninit::uninit(); READ];
        let room = most.saturating_sub(text.len()).min(READ);
        let mut read = ReadBuf::uninit(space.get_mut(..room).unwrap_or_default());
        let gathered = ready!(self.poll_body(framing, context, &mut read));
        text.extend_from_slice(read.filled());
        Poll::Ready(gathered.is_ok())
    }

    /// When the header of the current request had been read.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// The answer to the current request ends before its end: nothing may say that it is whole.
    pub(super) fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// What was wrong with the body of the current request.
    pub(super) fn fault(&self) -> Option<BodyFault> {
        self.fault
    }

    /// Has the current request slowed down; says how long it is to wait for what has come of its body.
    pub(super) fn throttle(&self, mut throttle: Box<Throttle>) -> Duration {
        let wait = throttle.came_before(self.came);
        *self.throttle.lock() = Some(throttle);
        wait
    }

    /// Has the answer to the current request wait for nothing but the client.
    pub(super) fn hurry(&self) {
        if let Some(throttle) = &mut *self.throttle.lock() {
            throttle.hurry();
        }
    }

    fn failed(&mut self, fault: BodyFault) -> io::Error {
        self.fault = Some(fault);
        fault.into()
    }

    /// Whether the request has come whole.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Request(Framing::Ended))
    }

    /// Whether the request is over, so that another one may begin. It never is behind a client that was not told to send its body:
    /// nothing says whether what it sends is that body or its next request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.is_whole() && !self.waits_for_word
    }

    /// The connection itself.
    ///
    /// # Errors
    ///
    /// A tunnel has taken it.
    pub(super) fn inner(&mut self) -> io::Result<&mut Stream> {
        open(&mut self.inner)
    }

    /// Whether it is a request that came by HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.speaks_http2
    }

    /// The connection as one on which nothing was read.
    pub(super) fn into_unread(mut self: Box<Self>) -> Stream {
        self.stage = Stage::Tunnel;
        self
    }

    /// Forgets what came.
    pub(super) fn forget_ahead(&mut self) {
        self.ahead = BytesMut::new();
    }

    /// Takes the connection of a tunnel, and what has come on it; nothing if it is no tunnel, or was taken.
    pub(super) fn take(&self) -> Option<(Stream, BytesMut)> {
        if !matches!(self.stage, Stage::Tunnel) {
            return None;
        }
        let mut inner = self.inner.lock();
        Some((inner.take()?, self.ahead.clone()))
    }

    /// Reads up to `N` bytes, and no more than `most`, behind those that are there.
    fn poll_ahead<const N: usize>(
        &mut self,
        most: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); N];
        let space = space.get_mut(..most.min(N)).unwrap_or_default();
        let mut read = ReadBuf::uninit(space);
        let inner = open(&mut self.inner)?;
        ready!(Pin::new(inner).poll_read(context, &mut read))?;
        self.ahead.extend_from_slice(read.filled());
        if read.filled().is_empty() {
            self.presence.end();
        }
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Reads a piece of the body.
    fn poll_body(
        &mut self,
        mut framing: Framing,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(fault.into()));
        }
        let most = match self.throttle.get_mut() {
            None => usize::MAX,
            Some(throttle) => match throttle.poll_body(context) {
                Poll::Ready(most) => most,
                Poll::Pending => {
                    self.pace.pause(Instant::now());
                    return Poll::Pending;
                }
            },
        };
        let before = buffer.filled().len();
        match poll_some(open(&mut self.inner)?, most, context, buffer) {
            Poll::Ready(read) => read?,
            Poll::Pending => return self.poll_slow(context).map(Err),
        }
        let came = buffer.filled().get(before..).unwrap_or_default();
        if came.is_empty() {
            self.presence.end();
            return Poll::Ready(Err(self.failed(BodyFault::Ended)));
        }
        self.pace.came(came.len(), Instant::now);
        self.came = self.came.saturating_add(came.len());
        if let Some(throttle) = self.throttle.get_mut() {
            throttle.came(came.len());
        }
        let body = match framing.advance(came) {
            Ok(body) => body,
            Err(_) => return Poll::Ready(Err(self.failed(BodyFault::Malformed))),
        };
        self.ahead
            .extend_from_slice(came.get(body..).unwrap_or_default());
        buffer.set_filled(before + body);
        self.stage = Stage::Request(framing);
        Poll::Ready(Ok(()))
    }

    /// Returns when the body has been waited for too long.
    fn poll_slow(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let deadline = self.pace.wait(Instant::now());
        let timer = timer(&mut self.timer);
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(context));
        Poll::Ready(self.failed(BodyFault::Slow))
    }

    /// Returns when the client has left.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        // Of a client that sends without waiting for answers no more is read until it has them.
        while !self.presence.has_ended() && self.ahead.len() < MOST_AHEAD {
            if let Err(error) = ready!(self.poll_ahead::<1024>(MOST_AHEAD, context)) {
                return Poll::Ready(error);
            }
        }
        let timer = timer(&mut self.timer);
        match open(&mut self.inner) {
            Ok(inner) => self.presence.poll_left(inner, timer, context),
            Err(error) => Poll::Ready(error),
        }
    }

    /// Writes what is held.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let inner = open(&mut self.inner)?;
            let throttle = self.throttle.get_mut();
            match ready!(poll_out(inner, throttle, &self.held, context))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        self.held = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Looks at what is written first: an informational answer is none yet, but 101 makes a tunnel.
    fn note_answer(&mut self, text: &[u8]) {
        if self.presence.is_answered() || text.is_empty() {
            return;
        }
        match text.strip_prefix(b"HTTP/1.1 1") {
            Some([b'0', b'1', ..]) => self.stage = Stage::Tunnel,
            Some(informed) => {
                self.waits_for_word &= !informed.starts_with(b"00");
                return;
            }
            None => {}
        }
        self.presence.answers();
    }
}

/// The connection, unless a tunnel has taken it.
fn open(inner: &mut Mutex<Option<Stream>>) -> io::Result<&mut Stream> {
    let inner = inner.get_mut();
    inner
        .as_mut()
        .ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// Reads at most `most` bytes into `buffer`.
fn poll_some(
    stream: &mut Stream,
    most: usize,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if most >= buffer.remaining() {
        return Pin::new(stream).poll_read(context, buffer);
    }
    let mut space = [MaybeUninit::uninit(); READ];
    let mut read = ReadBuf::uninit(space.get_mut(..most.min(READ)).unwrap_or_default());
    ready!(Pin::new(stream).poll_read(context, &mut read))?;
    buffer.put_slice(read.filled());
    Poll::Ready(Ok(()))
}

/// Writes some of `text`, no faster than the request's throttle lets it.
fn poll_out(
    stream: &mut Stream,
    throttle: &mut Option<Box<Throttle>>,
    text: &[u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    match throttle {
        None => Pin::new(stream).poll_write(context, text),
        Some(throttle) => throttle.poll_write(stream, text, context),
    }
}

fn timer(timer: &mut Option<Pin<Box<Sleep>>>) -> &mut Pin<Box<Sleep>> {
    timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now())))
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.stage {
            Stage::Request(Framing::Ended) => self.poll_left(context).map(Err),
            Stage::Request(framing) => self.poll_body(framing, context, buffer),
            Stage::Tunnel if self.ahead.is_empty() => {
                Pin::new(open(&mut self.inner)?).poll_read(context, buffer)
            }
            Stage::Tunnel => {
                let bytes = self.ahead.len().min(buffer.remaining());
                buffer.put_slice(&self.ahead.split_to(bytes));
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.note_answer(text);
        let early = self.presence.sent_early(text);
        let (_, rest) = text.split_at_checked(early).unwrap_or((text, &[]));
        if self.held.len() + rest.len() > MOST_HELD {
            ready!(self.poll_held(context))?;
        }
        let written = match rest.len() {
            0 => 0,
            MOST_HELD.. => {
                let this = &mut *self;
                let inner = open(&mut this.inner)?;
                ready!(poll_out(inner, this.throttle.get_mut(), rest, context))?
            }
            length => {
                self.held.extend_from_slice(rest);
                length
            }
        };
        self.presence.left_out(early);
        Poll::Ready(Ok(early + written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(context))?;
        match open(&mut self.inner) {
            Ok(inner) => Pin::new(inner).poll_flush(context),
            Err(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(context))?;
        match open(&mut self.inner) {
            Ok(inner) => Pin::new(inner).poll_shutdown(context),
            Err(_) => Poll::Ready(Ok(())),
        }
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // The client may have left.
        let _ = match self.is_broken.load(Ordering::Relaxed) {
            true => AsyncWriteExt::flush(self).await,
            false => AsyncWriteExt::shutdown(self).await,
        };
    }
}

impl UniqueID for ClientStream {
    /// Pingora tells pooled connections apart by it; these are in no pool.
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for ClientStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.spoken.clone()
    }
}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.certified.clone()
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.digest.clone()
    }
}

#[async_trait]
impl Peek for ClientStream {}
