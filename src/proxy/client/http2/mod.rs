//! HTTP/2 (RFC 9113): a connection whose requests come at once, each on a stream of its own.
//!
//! Each stream looks to everything behind this as a connection of HTTP/1.1 looks that carries one request: `stream` gives the
//! request's bytes as HTTP/1.1 has them (`request`), and makes frames out of the bytes of the answer. So there is one judge of
//! headers, one way of a request, and one place for each limit, whatever a client speaks.
//!
//! The frames, their compression and their flow control are the crate `h2`'s. Against floods it has bounds of its own, which
//! end a connection: of CONTINUATION frames, of settings and pings that are not taken, of empty and of small DATA frames, of
//! streams that are reset before anybody looks at them (20), and of streams that it resets itself because they are malformed
//! (1024). What it takes one by one, such as pings, is read in turns with other connections (`turns`).

mod request;
mod stream;
mod turns;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use h2::Reason;
use h2::server::{self, Builder};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{SocketDigest, Stream};

use crate::config::model::Frontend;

use self::turns::Turns;

pub(in crate::proxy) use stream::RequestStream;

/// What a client sends first, up to the end of its first line: no request of HTTP/1 begins so.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Most bytes of one answer that are held while the client takes none: as many as the kernel holds for a connection.
const MOST_UNSENT: usize = 64 << 10;

/// The part of a connection's window that one stream may fill, so that a request whose body waits does not hold the others up.
const STREAMS_PART: u32 = 4;

/// `h2` counts 32 bytes more for each line of a header, and refuses what is larger with a bare 431. Up to twice as much reaches the judge,
/// who answers and counts as for HTTP/1.
const HEADERS_PART: usize = 2;

/// A connection that speaks HTTP/2.
pub(in crate::proxy) struct Connection {
    inner: server::Connection<Turns<Stream>, Bytes>,
    facts: Facts,
}

/// What all streams of a connection have in common.
#[derive(Debug, Clone)]
struct Facts {
    digest: Option<Arc<SocketDigest>>,
    /// Whom the client's certificate is made out to.
    certified: Option<Arc<ProxyDigest>>,
    /// What is spoken inside TLS.
    spoken: Option<Arc<SslDigest>>,
}

/// What comes on a connection.
pub(in crate::proxy) enum Arrival {
    /// A request.
    Request(RequestStream),
    /// A request that is over already: its client has reset the stream, or has had it reset by breaking its rules.
    Reset,
}

impl Connection {
    /// Takes what the client sends first, on a connection to `frontend`.
    ///
    /// # Errors
    ///
    /// The client has left, or does not speak HTTP/2.
    pub(in crate::proxy) async fn open(
        stream: Stream,
        frontend: &Frontend,
    ) -> Result<Self, h2::Error> {
        let (settings, header) = (frontend.http2, frontend.max_header_size * HEADERS_PART);
        let facts = Facts {
            digest: stream.get_socket_digest(),
            certified: stream.get_proxy_digest(),
            spoken: stream.get_ssl_digest(),
        };
        let inner = Builder::new()
            .max_concurrent_streams(settings.max_streams)
            .max_header_list_size(u32::try_from(header).unwrap_or(u32::MAX))
            .initial_connection_window_size(settings.window)
            .initial_window_size(settings.window / STREAMS_PART)
            .max_send_buffer_size(MOST_UNSENT)
            .handshake(Turns(stream))
            .await?;
        Ok(Self { inner, facts })
    }

    /// The next request; nothing when the connection is over. Whoever waits for it keeps the streams that are there going; that alone is
    /// done if it `may_begin` none.
    ///
    /// # Errors
    ///
    /// The connection broke, or its client broke the protocol.
    pub(in crate::proxy) async fn next(
        &mut self,
        may_begin: bool,
    ) -> Result<Option<Arrival>, h2::Error> {
        let inner = &mut self.inner;
        let next = poll_fn(|context| match may_begin {
            true => inner.poll_accept(context),
            false => Poll::Ready(ready!(inner.poll_closed(context)).err().map(Err)),
        });
        let Some((request, mut answer)) = next.await.transpose()? else {
            return Ok(None);
        };
        let is_reset = poll_fn(|context| Poll::Ready(answer.poll_reset(context).is_ready())).await;
        Ok(Some(match is_reset {
            true => Arrival::Reset,
            false => Arrival::Request(RequestStream::new(request, answer, self.facts.clone())),
        }))
    }

    /// Tells the client to send no more requests here. What it has sent is answered, and then the connection ends.
    pub(in crate::proxy) fn close(&mut self) {
        self.inner.graceful_shutdown();
    }

    /// Ends the connection, and tells the client which requests nobody has looked at.
    pub(in crate::proxy) async fn end(mut self, reason: Reason) {
        self.inner.abrupt_shutdown(reason);
        // The client may have left.
        let _ = poll_fn(|context| self.inner.poll_closed(context)).await;
    }
}
