//! TLS between a client's socket and what serves it: the handshake, and the connection that it makes.
//!
//! A connection that begins otherwise than a handshake does is closed without a word, as HAProxy does: an alert of TLS would be no answer
//! to a client that speaks plain HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::FutureExt;
use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{ALPN, SslDigest};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use rustls::{
    CipherSuite, Error, HandshakeKind, InvalidMessage, ProtocolVersion, ServerConnection,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::admission::Admission;
use crate::stats::{HandshakeFailure, TlsStats};
use crate::tls::{Acceptor, ClientNames};

/// The first byte of every handshake: the kind of its record.
const HANDSHAKE: u8 = 22;

/// How often what has come of a plain request is read, 4 KiB at a time.
const MOST_READS: usize = 16;

/// Makes a connection of TLS out of `stream` until `deadline`, and counts what comes of it. Nothing if the connection must be closed.
pub(super) async fn secure(
    stream: Stream,
    acceptor: &Acceptor,
    admission: &Admission,
    stats: &TlsStats,
    deadline: Instant,
) -> Option<Stream> {
    let _under_way = stats.under_way.enter();
    let made = match admission.handshake(deadline).await {
        Some(_slot) => timeout_at(deadline, shake_hands(stream, acceptor))
            .await
            .unwrap_or(Err(HandshakeFailure::Slow)),
        None => Err(HandshakeFailure::Busy),
    };
    match made {
        Ok(stream) => {
            stats.handshakes.increment();
            if stream.is_resumed() {
                stats.resumed.increment();
            }
            Some(Box::new(stream))
        }
        Err(failure) => {
            stats.count_failure(failure);
            None
        }
    }
}

async fn shake_hands(
    mut stream: Stream,
    acceptor: &Acceptor,
) -> Result<SecureStream, HandshakeFailure> {
    let mut first = [0];
    let is_seen = stream.try_peek(&mut first).await;
    if is_seen.map_err(|_| HandshakeFailure::Left)? && first != [HANDSHAKE] {
        take_the_rest(&mut stream);
        return Err(HandshakeFailure::Plain);
    }
    let digest = stream.get_socket_digest();
    let acceptor = TlsAcceptor::from(Arc::clone(acceptor.config()));
    let inner = acceptor.accept(stream).await.map_err(|error| {
        log::debug!("a handshake failed: {error}");
        failure_of(&error)
    })?;
    let (_, connection) = inner.get_ref();
    let (spoken, certified) = (Arc::new(spoken(connection)), certified(connection));
    let speaks_http2 = connection.alpn_protocol() == Some(b"h2");
    Ok(SecureStream {
        inner,
        digest,
        spoken,
        certified,
        speaks_http2,
    })
}

/// Reads what has come, because a connection that is closed with bytes unread is reset.
fn take_the_rest(stream: &mut Stream) {
    let mut space = [0; 4096];
    for _ in 0..MOST_READS {
        match stream.read(&mut space).now_or_never() {
            Some(Ok(1..)) => {}
            _ => return,
        }
    }
}

fn failure_of(error: &io::Error) -> HandshakeFailure {
    let source = error.get_ref();
    match source.and_then(|source| source.downcast_ref::<Error>()) {
        None => HandshakeFailure::Left,
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => HandshakeFailure::Plain,
        Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => {
            HandshakeFailure::Incompatible
        }
        Some(
            Error::NoCertificatesPresented
            | Error::InvalidCertificate(_)
            | Error::InvalidCertRevocationList(_),
        ) => HandshakeFailure::ClientCertificate,
        Some(Error::AlertReceived(_)) => HandshakeFailure::TurnedDown,
        Some(_) => HandshakeFailure::Malformed,
    }
}

/// Version and cipher, by the names that OpenSSL and so HAProxy have for them.
fn spoken(connection: &ServerConnection) -> SslDigest {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "-",
    };
    let suite = connection.negotiated_cipher_suite();
    let cipher = match suite.map(|suite| suite.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) => {
            "ECDHE-ECDSA-AES128-GCM-SHA256"
        }
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384) => {
            "ECDHE-ECDSA-AES256-GCM-SHA384"
        }
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256) => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) => "ECDHE-RSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) => "ECDHE-RSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256) => {
            "ECDHE-RSA-CHACHA20-POLY1305"
        }
        _ => "-",
    };
    SslDigest::new(cipher, version, None, None, Vec::new())
}

/// Whom the client's certificate is made out to, if it has shown one; in the one place from which Pingora passes on to a request what a
/// connection's maker knows.
fn certified(connection: &ServerConnection) -> Option<Arc<ProxyDigest>> {
    let certificate = connection.peer_certificates()?.first()?;
    let names = Box::new(ClientNames::of(certificate));
    let unused = ResponseHeader::build(StatusCode::OK, None).ok()?;
    Some(Arc::new(ProxyDigest::new(Box::new(unused), Some(names))))
}

/// A client's connection inside TLS.
#[derive(Debug)]
struct SecureStream {
    inner: TlsStream<Stream>,
    digest: Option<Arc<SocketDigest>>,
    spoken: Arc<SslDigest>,
    certified: Option<Arc<ProxyDigest>>,
    speaks_http2: bool,
}

impl SecureStream {
    fn is_resumed(&self) -> bool {
        let (_, connection) = self.inner.get_ref();
        connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl AsyncRead for SecureStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for SecureStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        text: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, text)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for SecureStream {
    async fn shutdown(&mut self) {
        // The client may have left.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for SecureStream {
    /// Pingora tells pooled connections apart by it; these are in no pool.
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl Ssl for SecureStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(Arc::clone(&self.spoken))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.speaks_http2.then_some(ALPN::H2)
    }
}

impl GetTimingDigest for SecureStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for SecureStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.certified.clone()
    }
}

impl GetSocketDigest for SecureStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.digest.clone()
    }
}

#[async_trait]
impl Peek for SecureStream {}
