//! What a connection to a server begins with where the pool has `send_proxy`: a PROXY header that names the client.
//!
//! Such a connection is its client's: it carries one request, and is kept for nobody.

use std::borrow::Cow;
use std::net::SocketAddr;

use pingora::proxy::Session;

use crate::config::model::Backend;
use crate::proxy_header::Version;

/// A PROXY header, as bytes.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Greeting(Cow<'static, [u8]>);

impl Greeting {
    /// For a request of `client` on `session`; nothing if the pool's servers are not told.
    pub(in crate::proxy) fn of_client(
        config: &Backend,
        session: &Session,
        client: Option<SocketAddr>,
    ) -> Option<Self> {
        let version = config.send_proxy?;
        let local = session.server_addr().and_then(|address| address.as_inet());
        Some(Self(match (client, local) {
            (Some(client), Some(local)) => version.header(client, *local).into(),
            _ => version.for_itself().into(),
        }))
    }

    /// For a check, which has no client.
    pub(super) fn of_check(version: Version) -> Self {
        Self(version.for_itself().into())
    }

    /// What is sent.
    pub(in crate::proxy) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
