//! What a connection to a server begins with where the pool has `send_proxy`: a PROXY header that names the client.
//!
//! Such a connection is its client's: it carries one request, and is kept for nobody.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket;
use pingora::protocols::l4::stream::Stream;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::model::Backend;
use crate::proxy_header::Version;

/// Makes connections that begin with a PROXY header.
#[derive(Debug)]
pub(in crate::proxy) struct Greeting {
    header: Cow<'static, [u8]>,
    /// How long a connection may take to be made.
    longest: Duration,
}

impl Greeting {
    /// For a request of `client` on `session`; nothing if the pool's servers are not told.
    pub(in crate::proxy) fn of_client(
        config: &Backend,
        session: &Session,
        client: Option<SocketAddr>,
    ) -> Option<Arc<Self>> {
        let version = config.send_proxy?;
        let local = session.server_addr().and_then(|address| address.as_inet());
        let header = match (client, local) {
            (Some(client), Some(local)) => version.header(client, *local).into(),
            _ => version.for_itself().into(),
        };
        Some(Arc::new(Self {
            header,
            longest: config.connect_timeout,
        }))
    }

    /// For a check, which has no client.
    pub(super) fn of_check(version: Version, longest: Duration) -> Arc<Self> {
        Arc::new(Self {
            header: version.for_itself().into(),
            longest,
        })
    }
}

#[async_trait]
impl L4Connect for Greeting {
    async fn connect(&self, address: &socket::SocketAddr) -> pingora::Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Err(Error::new(ErrorType::SocketError));
        };
        let connecting = async {
            let mut connection = TcpStream::connect(address).await?;
            connection.write_all(&self.header).await?;
            Ok(Stream::from(connection))
        };
        match timeout(self.longest, connecting).await {
            Ok(connected) => connected.map_err(|error: io::Error| {
                let kind = match error.kind() {
                    ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                    ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                        ErrorType::ConnectNoRoute
                    }
                    _ => ErrorType::ConnectError,
                };
                Error::because(kind, "a connection with a PROXY header", error)
            }),
            Err(_) => Err(Error::new(ErrorType::ConnectTimedout)),
        }
    }
}
