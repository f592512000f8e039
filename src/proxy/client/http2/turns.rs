//! A client's bytes, a little at a time.
//!
//! A frame of nine bytes is work, and what is read at once holds thousands of them. `h2` reads on as long as there are bytes, so who
//! sends frames faster than they are worked on would have its thread for itself until the runtime's budget of 128 reads is used up, and
//! every other connection of that thread would wait. Here a read takes more of that budget.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;

/// What a read takes of the budget of 128 that a task has in each of its turns.
const PRICE: usize = 16;

/// A connection that is read in turns with others.
#[derive(Debug)]
pub(super) struct Turns<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Turns<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_read(context, buffer))?;
        // What has come is handed on in any case; the next read waits for the next turn when nothing is left.
        for _ in 1..PRICE {
            match poll_proceed(context) {
                Poll::Ready(taken) => taken.made_progress(),
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Turns<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, text)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        texts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, texts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_flood_is_read_in_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (client, mut stream) = (client.unwrap(), Turns(accepted.unwrap().0));
        let sent = vec![0; 256 << 10];
        let (_reader, mut writer) = client.into_split();
        let flood = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, &sent)
                .await
                .unwrap();
            writer
        });
        let (mut read, mut most) = (0, 0);
        while read < 256 << 10 {
            let in_this_turn = poll_fn(|context| {
                let mut reads = 0;
                loop {
                    let mut space = [0; 64];
                    let mut space = ReadBuf::new(&mut space);
                    match Pin::new(&mut stream).poll_read(context, &mut space) {
                        Poll::Ready(result) => {
                            result.unwrap();
                            read += space.filled().len();
                            reads += 1;
                        }
                        Poll::Pending if reads > 0 => return Poll::Ready(reads),
                        Poll::Pending => return Poll::Pending,
                    }
                    if read == 256 << 10 {
                        return Poll::Ready(reads);
                    }
                }
            });
            most = most.max(in_this_turn.await);
            tokio::task::yield_now().await;
        }
        flood.await.unwrap();
        assert!((2..=128 / PRICE).contains(&most), "{most} reads at once");
    }
}
