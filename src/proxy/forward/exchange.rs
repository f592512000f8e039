//! One request to one server, up to the point at which its answer has begun: so far the client has seen nothing of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{Method, StatusCode, Version};
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, Error, ErrorType};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::hop_by_hop;
use crate::proxy::pool::{Pool, Server};
use crate::proxy::session::error_kind::ErrorKind;
use crate::proxy::session::forwarded_for;

/// Informational answers that are skipped before a server counts as broken.
const MAX_INFORMATIONAL: usize = 8;

/// For how long a server that ends may still take connections after it broke one off.
const LAST_MOMENTS: Duration = Duration::from_millis(100);

/// An answer that has begun: its header and the first piece of its body.
pub(in crate::proxy) struct Started {
    pub(in crate::proxy) upstream: HttpSession,
    pub(in crate::proxy) address: SocketAddr,
    pub(in crate::proxy) header: ResponseHeader,
    /// `None`: the body is empty, or there is none.
    pub(in crate::proxy) first: Option<Bytes>,
    /// The request went out whole, so the connection may serve another one.
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

/// The header that goes to the server at `address`, with a body of `length` bytes.
pub(in crate::proxy) fn upstream_header(
    request: &RequestHeader,
    length: usize,
    forwarded_for: Option<IpAddr>,
    address: SocketAddr,
) -> pingora::Result<RequestHeader> {
    let mut header = request.clone();
    hop_by_hop::strip_request(&mut header);
    header.remove_header(&EXPECT);
    if length > 0 || header.headers.contains_key(CONTENT_LENGTH) || header.method == Method::POST {
        header.insert_header(CONTENT_LENGTH, length)?;
    }
    header.set_version(Version::HTTP_11);
    if !header.headers.contains_key(HOST) {
        header.insert_header(HOST, address.to_string())?;
    }
    if let Some(client) = forwarded_for {
        forwarded_for::apply(&mut header, client)?;
    }
    Ok(header)
}

/// A request for one server.
pub(in crate::proxy) struct Exchange<'a> {
    pub(in crate::proxy) connector: &'a TransportConnector,
    pub(in crate::proxy) pool: &'a Pool,
    pub(in crate::proxy) server: &'a Server,
    pub(in crate::proxy) address: SocketAddr,
    pub(in crate::proxy) header: &'a RequestHeader,
    pub(in crate::proxy) body: &'a Bytes,
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
            && let Some(stream) = self.server.idle.take(self.address)
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
        let timeout = self.pool.config().connect_timeout;
        self.server.stats.count_connection(false);
        let stream = connect(self.connector, self.address, timeout)
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
            Err(Failure::Broken(error)) => {
                let lives = lives(self.connector, self.address, timeout).await;
                Err(if lives {
                    Failure::Broken(error)
                } else {
                    Failure::Ended(error)
                })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Sends the request and reads the header of the answer and the first piece of its body.
    async fn begin(&self, stream: Stream) -> Result<Started, Failure> {
        let timeout = self.pool.config().server_timeout;
        let mut upstream = HttpSession::new(stream);
        upstream.read_timeout = Some(timeout);
        upstream.write_timeout = Some(timeout);
        let sent = send(&mut upstream, self.header, self.body).await;
        let reusable = sent.is_ok();
        if let Err(error) = sent
            && *error.etype() == ErrorType::WriteTimedout
        {
            return Err(Failure::Silent(error));
        }
        // A server may refuse a body before it has read it: then sending failed, but there is an answer.
        match read_start(&mut upstream).await {
            Ok((header, first)) => Ok(Started {
                upstream,
                address: self.address,
                header,
                first,
                reusable,
            }),
            Err(error) if *error.etype() == ErrorType::ReadTimedout => Err(Failure::Silent(error)),
            Err(error) => Err(Failure::Broken(error)),
        }
    }
}

async fn connect(
    connector: &TransportConnector,
    address: SocketAddr,
    timeout: Duration,
) -> pingora::Result<Stream> {
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(timeout);
    connector.new_stream(&peer).await
}

/// Whether a server that broke a connection off goes on. One that ends closes its connections and its port in any order, so a
/// new connection tells that only by lasting.
async fn lives(connector: &TransportConnector, address: SocketAddr, timeout: Duration) -> bool {
    match connect(connector, address, timeout).await {
        Ok(mut stream) => tokio::time::timeout(LAST_MOMENTS, stream.read_u8())
            .await
            .is_err(),
        Err(_) => false,
    }
}

async fn send(
    upstream: &mut HttpSession,
    header: &RequestHeader,
    body: &Bytes,
) -> pingora::Result<()> {
    upstream
        .write_request_header(Box::new(header.clone()))
        .await?;
    if !body.is_empty() {
        upstream.write_body(body).await?;
    }
    upstream.finish_body().await?;
    Ok(())
}

async fn read_start(
    upstream: &mut HttpSession,
) -> pingora::Result<(ResponseHeader, Option<Bytes>)> {
    let broken = || Error::explain(ErrorType::InvalidHTTPHeader, "no final answer");
    for _ in 0..MAX_INFORMATIONAL {
        upstream.read_response().await?;
        let header = upstream.resp_header().ok_or_else(broken)?;
        if header.status == StatusCode::SWITCHING_PROTOCOLS {
            if upstream.was_upgraded() {
                return Ok((header.clone(), None));
            }
            break;
        }
        if header.status.is_informational() {
            continue;
        }
        let header = header.clone();
        let first = loop {
            if upstream.is_body_done() {
                break None;
            }
            match upstream.read_body_bytes().await? {
                Some(piece) if piece.is_empty() => {}
                other => break other,
            }
        };
        return Ok((header, first));
    }
    Err(broken())
}
