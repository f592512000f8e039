//! A connection to a server, plain or inside TLS.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::tls::Connector;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection(Transport);

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    /// Its state is a kilobyte: a plain connection need not be as large.
    Secure(Box<TlsStream<TcpStream>>, Arc<Connector>),
}

impl Connection {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self(Transport::Plain(stream))
    }

    pub(super) fn secure(stream: TlsStream<TcpStream>, by: Arc<Connector>) -> Self {
        Self(Transport::Secure(Box::new(stream), by))
    }

    /// What its handshake was made with; nothing of a plain one.
    pub(super) fn connector(&self) -> Option<&Arc<Connector>> {
        match &self.0 {
            Transport::Plain(_) => None,
            Transport::Secure(_, by) => Some(by),
        }
    }

    /// Whether it is open and nothing came in while it was idle: anything else belongs to no request. What is sent on one that the peer
    /// has closed already cannot be told from what was carried out.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        // Unconstrained, as a spent task budget would make a closed connection look open.
        tokio::task::unconstrained(self.read(&mut byte))
            .now_or_never()
            .is_none()
    }

    /// The same, asked of the system first, because tokio hears of it only when its thread has looked.
    pub(crate) fn is_surely_quiet(&mut self) -> bool {
        let unread = SockRef::from(self.socket()).peek(&mut [MaybeUninit::uninit()]);
        unread.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) && self.is_quiet()
    }

    fn socket(&self) -> &TcpStream {
        match &self.0 {
            Transport::Plain(stream) => stream,
            Transport::Secure(stream, _) => stream.get_ref().0,
        }
    }

    /// As Pingora has connections. One inside TLS has no descriptor there, by which Pingora's pool tells connections apart: it must not be
    /// kept in it.
    pub(crate) fn into_pingora(self) -> Stream {
        match self.0 {
            Transport::Plain(stream) => stream.into(),
            Transport::Secure(..) => VirtualSocketStream::new(Box::new(self)).into(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Secure(stream, _) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Secure(stream, _) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Secure(stream, _) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Secure(stream, _) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Secure(stream, _) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Secure(stream, _) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl VirtualSocket for Connection {
    /// Both options were set when it was made.
    fn set_socket_option(&self, _option: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}
