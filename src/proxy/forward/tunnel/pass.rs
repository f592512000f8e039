//! Bytes between two streams, both ways.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::proxy::session::context::Passed;

/// Bytes that are read at once.
const PIECE: usize = 8 << 10;

/// How long the second side may be silent once the first has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Which side broke.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client's.
    Client(io::Error),
    /// The server's.
    Server(io::Error),
}

/// A tunnel.
#[derive(Debug)]
pub(super) struct Tunnel<Server> {
    client: Stream,
    server: Server,
    upwards: Way,
    downwards: Way,
    silence: Duration,
    /// When something last happened.
    busy: Instant,
    timer: Pin<Box<Sleep>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Read, and not written.
    held: BytesMut,
    /// Written, and perhaps not flushed.
    is_dirty: bool,
    stage: Stage,
    passed: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The source has ended, the sink has not been told.
    Ending,
    Ended,
}

enum Fault {
    Source(io::Error),
    Sink(io::Error),
}

impl<Server: AsyncRead + AsyncWrite + Unpin> Tunnel<Server> {
    /// A tunnel between a client and a server, each with what has come from it already.
    pub(super) fn new(
        (client, sent): (Stream, BytesMut),
        (server, received): (Server, BytesMut),
        silence: Duration,
    ) -> Self {
        let busy = Instant::now();
        Self {
            client,
            server,
            upwards: Way::holding(sent),
            downwards: Way::holding(received),
            silence,
            busy,
            timer: Box::pin(tokio::time::sleep_until(busy + silence)),
        }
    }

    /// How many bytes have passed.
    pub(super) fn passed(&self) -> Passed {
        Passed {
            sent: self.upwards.passed,
            received: self.downwards.passed,
        }
    }

    /// Passes what there is. Ready when both sides have ended, or were silent for too long.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let before = (self.passed(), self.has_ended());
        let up = self
            .upwards
            .poll(&mut self.client, &mut self.server, context);
        let up = up.map_err(|fault| match fault {
            Fault::Source(error) => Broken::Client(error),
            Fault::Sink(error) => Broken::Server(error),
        });
        let down = self
            .downwards
            .poll(&mut self.server, &mut self.client, context);
        let down = down.map_err(|fault| match fault {
            Fault::Source(error) => Broken::Server(error),
            Fault::Sink(error) => Broken::Client(error),
        });
        if up?.is_ready() & down?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if before != (self.passed(), self.has_ended()) {
            self.busy = Instant::now();
        }
        if !before.1 && self.has_ended() {
            let until = self.busy + self.silence();
            self.timer.as_mut().reset(until);
        }
        self.poll_silence(context).map(Ok)
    }

    fn has_ended(&self) -> bool {
        self.upwards.stage == Stage::Ended || self.downwards.stage == Stage::Ended
    }

    /// How long nothing may happen.
    fn silence(&self) -> Duration {
        match self.has_ended() {
            true => self.silence.min(LAST_WORDS),
            false => self.silence,
        }
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let until = self.busy + self.silence();
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
    }
}

impl Way {
    fn holding(held: BytesMut) -> Self {
        Self {
            held,
            ..Self::default()
        }
    }

    /// Ready when the source has ended and the sink was told.
    fn poll(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Result<Poll<()>, Fault> {
        loop {
            match self.poll_step(source, sink, context) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(result) => result?,
            }
            if self.stage == Stage::Ended {
                return Ok(Poll::Ready(()));
            }
        }
    }

    fn poll_step(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        let mut sink = Pin::new(sink);
        if self.stage == Stage::Ended {
            return Poll::Ready(Ok(()));
        }
        if !self.held.is_empty() {
            let written = ready!(sink.as_mut().poll_write(context, &self.held));
            let written = written.map_err(Fault::Sink)?;
            if written == 0 {
                let error = io::ErrorKind::WriteZero.into();
                return Poll::Ready(Err(Fault::Sink(error)));
            }
            self.held.advance(written);
            self.passed += written;
            self.is_dirty = true;
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.is_dirty {
            ready!(sink.as_mut().poll_flush(context)).map_err(Fault::Sink)?;
            self.is_dirty = false;
        }
        if self.stage == Stage::Ending {
            ready!(sink.as_mut().poll_shutdown(context)).map_err(Fault::Sink)?;
            self.stage = Stage::Ended;
            return Poll::Ready(Ok(()));
        }
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(source).poll_read(context, &mut piece));
        read.map_err(Fault::Source)?;
        match piece.filled() {
            [] => self.stage = Stage::Ending,
            bytes => self.held.extend_from_slice(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn tunnel(early: &[u8]) -> (DuplexStream, DuplexStream, Tunnel<DuplexStream>) {
        let (client, client_end) = duplex(64);
        let (server, server_end) = duplex(64);
        let silence = Duration::from_secs(60);
        let tunnel = Tunnel::new(
            (Box::new(client_end), BytesMut::new()),
            (server_end, BytesMut::from(early)),
            silence,
        );
        (client, server, tunnel)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_at_once_and_each_side_ends_for_itself() {
        let (client, server, mut tunnel) = tunnel(b"early ");
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_server, mut to_server) = tokio::io::split(server);
        let much = vec![b'x'; 100_000];
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let everything = async {
            tokio::join!(
                async {
                    to_client.write_all(&much).await.unwrap();
                    to_client.shutdown().await.unwrap();
                },
                async {
                    to_server.write_all(&much).await.unwrap();
                    from_server.read_to_end(&mut up).await.unwrap();
                    // The other way is still open.
                    to_server.write_all(b"last").await.unwrap();
                    to_server.shutdown().await.unwrap();
                },
                async { from_client.read_to_end(&mut down).await.unwrap() },
                async { poll_fn(|context| tunnel.poll(context)).await.unwrap() },
            );
        };
        everything.await;
        assert_eq!(up, much);
        assert_eq!(down, [&b"early "[..], &much, b"last"].concat());
        let passed = Passed {
            sent: 100_000,
            received: 100_010,
        };
        assert_eq!(tunnel.passed(), passed);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_traffic_does_not() {
        let (mut client, mut server, mut tunnel) = tunnel(b"");
        let start = Instant::now();
        let talk = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                client.write_all(b"x").await.unwrap();
                server.read_u8().await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = talk => {}
            ended = poll_fn(|context| tunnel.poll(context)) => ended.unwrap(),
        }
        assert_eq!(start.elapsed().as_secs(), 310);
    }

    #[tokio::test(start_paused = true)]
    async fn one_side_does_not_stay_for_ever() {
        let (client, _server, mut tunnel) = tunnel(b"");
        let start = Instant::now();
        drop(client);
        poll_fn(|context| tunnel.poll(context)).await.unwrap();
        assert_eq!(start.elapsed(), LAST_WORDS);
    }
}
