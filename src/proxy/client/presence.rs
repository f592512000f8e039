//! Whether a client that has closed its sending side is still there to hear its answer.
//!
//! The end of what a client sends looks the same whether it has left or only has nothing more to say (`nc -N`): TCP tells
//! the difference once something is sent to it. Every answer begins with the same bytes, so its first byte can be sent
//! early. A client that has left resets the connection, and its query is cancelled; one that listens has the beginning of
//! its answer. Further bytes of that beginning find a client that leaves later.
//!
//! Of a client that sends many requests without waiting for answers no more is read until they are answered, and so not the
//! end either. The state of its connection says that the end has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep};

/// What every answer begins with, whatever its version and status.
const BEGINNING: &[u8] = b"HTTP/1.";

/// When these bytes are sent, counted from the end of what the client sends.
const SENT_AT: [Duration; BEGINNING.len()] = [
    Duration::from_millis(150),
    Duration::from_millis(1200),
    Duration::from_secs(5),
    Duration::from_secs(20),
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(600),
];

/// How often the connection is looked at during the first second, and later.
const FIRST_LOOKS: Duration = Duration::from_millis(75);
const LATER_LOOKS: Duration = Duration::from_secs(1);
/// How often it is looked at before the end has come, where that is not read.
const UNREAD_LOOKS: Duration = Duration::from_millis(250);

/// The state of a connection that is reset: `TCP_CLOSE` of the kernel's `tcp_states.h`.
const TCP_CLOSE: u8 = 7;
/// The state of a connection whose other side sends no more: `TCP_CLOSE_WAIT`.
const TCP_CLOSE_WAIT: u8 = 8;

/// What is known of a client during one request.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// When the end of what the client sends was found.
    closed: Option<Instant>,
    /// The client's bytes were read up to that end.
    has_ended: bool,
    /// Bytes of the answer's beginning that were sent early.
    sent: usize,
    /// Of those, the ones that the answer itself has not come to.
    owed: usize,
    /// The answer has begun.
    answered: bool,
}

impl Presence {
    /// Forgets about the request before; the end of what the client sends stays.
    pub(super) fn begin(&mut self) {
        *self = Self {
            closed: self.closed,
            has_ended: self.has_ended,
            ..Self::default()
        };
    }

    /// The client has closed its sending side, and all that it has sent was read.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        self.closed.get_or_insert_with(Instant::now);
    }

    /// Whether all that the client has ever sent was read.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Looks after a client of which nothing is read; returns when it has left.
    pub(super) fn poll_left(
        &mut self,
        stream: &mut Stream,
        timer: &mut Pin<Box<Sleep>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Error> {
        loop {
            let since = self.closed.map(|closed| closed.elapsed());
            let due = SENT_AT.get(self.sent).filter(|_| !self.answered);
            if due.is_some_and(|due| since.is_some_and(|since| *due <= since))
                && let Err(error) = ready!(self.poll_send(stream, context))
            {
                return Poll::Ready(error);
            }
            match state(stream) {
                Some(TCP_CLOSE) => return Poll::Ready(io::ErrorKind::ConnectionReset.into()),
                Some(TCP_CLOSE_WAIT) if self.closed.is_none() => {
                    self.closed = Some(Instant::now());
                }
                _ => {}
            }
            let look = match since {
                None => UNREAD_LOOKS,
                Some(since) if since < Duration::from_secs(1) => FIRST_LOOKS,
                Some(_) => LATER_LOOKS,
            };
            timer.as_mut().reset(Instant::now() + look);
            ready!(timer.as_mut().poll(context));
        }
    }

    /// Sends one more byte of the beginning.
    fn poll_send(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(byte) = BEGINNING.get(self.sent..=self.sent) else {
            return Poll::Ready(Ok(()));
        };
        let written = ready!(Pin::new(&mut *stream).poll_write(context, byte))?;
        self.sent += written;
        self.owed += written;
        Pin::new(stream).poll_flush(context)
    }

    /// Notes what is written to the client: the beginning of the answer.
    pub(super) fn answers(&mut self) {
        self.answered = true;
    }

    /// Whether the answer has begun.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    /// How many bytes of `text`, which is written next, the client has already.
    pub(super) fn sent_early(&self, text: &[u8]) -> usize {
        self.owed.min(text.len())
    }

    /// So many of them were left out.
    pub(super) fn left_out(&mut self, bytes: usize) {
        self.owed = self.owed.saturating_sub(bytes);
    }
}

/// The state of the connection, by the kernel's `tcp_states.h`. Reading tells of the end only, which comes before a reset.
fn state(stream: &Stream) -> Option<u8> {
    let info = stream.get_socket_digest()?.tcp_info()?;
    Some(info.tcpi_state)
}
