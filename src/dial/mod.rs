//! Connections to servers: the one place where they are made.
//!
//! Reads, replicators, checks, the judging of credentials and haflux's own questions to nodes all dial through the [`Dialer`] of a server,
//! which knows whether TLS is spoken to it and by what. A reload gives the dialer something else to speak; connections that were made
//! before stay as they are, and are not taken for another request ([`Dialer::is_current`]). A server keeps its dialer over reloads.
//!
//! It knows, too, who has an account of its own on its server ([`OwnAccounts`]): whoever writes a request asks it last for whose it is
//! there. So everything before that, the journal among it, knows the accounts of the pool alone.
//!
//! A dial has one deadline: for the TCP connection, for what it begins with, and for the handshake.

mod accounts;
mod connection;
mod error;
mod socket;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::influx::{Account, Credentials};
use crate::stats::{CertificateStats, ServerHandle, ServerTlsStats};
use crate::tls::{Connector, HandshakeError};

pub use accounts::OwnAccounts;
pub(crate) use connection::Connection;
pub use error::DialError;
pub(crate) use socket::SocketOptions;

/// A server for whoever sends to it: where it is and how it does, and what makes connections to it.
#[derive(Debug, Clone)]
pub struct ServerLink {
    /// Where it is, and how it does.
    pub state: Arc<ServerHandle>,
    /// What makes connections to it.
    pub dialer: Arc<Dialer>,
}

/// Makes connections to one server. The default one speaks no TLS.
#[derive(Debug, Default)]
pub struct Dialer {
    connector: ArcSwapOption<Connector>,
    /// Nothing if there are none.
    accounts: ArcSwapOption<OwnAccounts>,
    stats: ServerTlsStats,
}

/// A connection that is to be made.
#[derive(Debug)]
pub(crate) struct Call<'call> {
    /// The longest that all of it may take.
    pub(crate) longest: Duration,
    /// What is sent before anything else, a handshake included.
    pub(crate) beginning: &'call [u8],
    pub(crate) socket: SocketOptions,
}

impl Call<'_> {
    /// One that may take so long, and begins with nothing.
    pub(crate) fn within(longest: Duration) -> Self {
        Self {
            longest,
            beginning: b"",
            socket: SocketOptions::default(),
        }
    }
}

impl Dialer {
    /// One that counts here, and speaks no TLS until it is told to.
    pub fn new(stats: ServerTlsStats) -> Self {
        Self {
            connector: ArcSwapOption::empty(),
            accounts: ArcSwapOption::empty(),
            stats,
        }
    }

    /// From now on connections are inside TLS as `connector` says; plain without one. One that is the same as before changes nothing, so
    /// that its sessions are not forgotten.
    pub fn speak(&self, connector: Option<Arc<Connector>>) {
        let before = self.connector.load();
        let is_same = match (before.as_deref(), connector.as_deref()) {
            (Some(before), Some(after)) => before.is_same(after),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        let certificate = connector.as_ref().and_then(|one| one.certificate());
        let shown = certificate.map(|certificate| CertificateStats {
            file: certificate.file().display().to_string(),
            names: certificate.names().to_vec(),
            not_after: certificate.not_after(),
        });
        self.stats.certificate.store(shown.map(Arc::new));
        let is_spoken = connector.is_some();
        self.stats.is_spoken.store(is_spoken, Ordering::Relaxed);
        self.connector.store(connector);
    }

    /// From now on these have accounts of their own on its server.
    pub fn know(&self, accounts: Arc<OwnAccounts>) {
        self.accounts
            .store(Some(accounts).filter(|accounts| !accounts.is_empty()));
    }

    /// Whether its server has these accounts of its own now.
    pub fn has_same_accounts(&self, accounts: &OwnAccounts) -> bool {
        match self.accounts.load().as_deref() {
            Some(now) => now.are_same(accounts),
            None => accounts.is_empty(),
        }
    }

    /// What a request to its server offers in the place of `credentials`, which those to its pool have.
    pub(crate) fn credentials<'a>(&self, credentials: &'a Credentials) -> Cow<'a, Credentials> {
        match self.accounts.load().as_deref() {
            Some(accounts) => accounts.credentials(credentials),
            None => Cow::Borrowed(credentials),
        }
    }

    /// The `Authorization` for its server in the place of that among these headers; nothing if it is the same.
    pub(crate) fn authorization(&self, of_pool: &HeaderMap) -> Option<HeaderValue> {
        let accounts = self.accounts.load();
        let accounts = accounts.as_deref()?;
        accounts.authorization(of_pool.get(AUTHORIZATION)?.as_bytes())
    }

    /// The account on its server in the place of this one of its pool.
    pub(crate) fn account(&self, of_pool: Account) -> Account {
        let accounts = self.accounts.load();
        let own = accounts
            .as_deref()
            .and_then(|accounts| accounts.account(&of_pool));
        own.unwrap_or(of_pool)
    }

    /// The accounts that its server has of its own, by the names of those of the pool in whose place they are.
    pub(crate) fn own_accounts(&self) -> BTreeMap<String, Account> {
        let accounts = self.accounts.load();
        accounts
            .as_deref()
            .map(OwnAccounts::by_names)
            .unwrap_or_default()
    }

    /// What handshakes are made with now, if TLS is spoken.
    pub fn connector(&self) -> Option<Arc<Connector>> {
        self.connector.load_full()
    }

    /// Whether connections are inside TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.connector.load().is_some()
    }

    /// Whether `connection` was made as new ones are made now.
    pub(crate) fn is_current(&self, connection: &Connection) -> bool {
        let now = self.connector.load();
        match (now.as_ref(), connection.connector()) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, None) => true,
            _ => false,
        }
    }

    /// Makes a connection to `address`.
    ///
    /// # Errors
    ///
    /// Why there is none. Of a request nothing was sent.
    pub(crate) async fn dial(
        &self,
        address: SocketAddr,
        call: Call<'_>,
    ) -> Result<Connection, DialError> {
        let Call {
            longest,
            beginning,
            socket,
        } = call;
        let deadline = Instant::now() + longest;
        let connecting = async {
            let mut stream = socket.open(address)?.connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(beginning).await?;
            Ok(stream)
        };
        let stream = match timeout_at(deadline, connecting).await {
            Ok(connected) => connected.map_err(DialError::Tcp)?,
            Err(_) => return Err(DialError::Slow(longest)),
        };
        let Some(connector) = self.connector.load_full() else {
            return Ok(Connection::plain(stream));
        };
        let shaken = match timeout_at(deadline, shake_hands(stream, &connector)).await {
            Ok(shaken) => shaken,
            Err(_) => Err(HandshakeError::Slow(longest)),
        };
        match shaken {
            Ok(stream) => {
                self.stats.handshakes.increment();
                if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                    self.stats.resumed.increment();
                }
                Ok(Connection::secure(stream, connector))
            }
            Err(error) => {
                self.stats.count_failure(error.failure());
                Err(DialError::Handshake(error))
            }
        }
    }
}

async fn shake_hands(
    stream: TcpStream,
    connector: &Connector,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let shaking = TlsConnector::from(Arc::clone(connector.config()));
    let shaken = shaking.connect(connector.name().clone(), stream).await;
    let stream = shaken.map_err(HandshakeError::of)?;
    let judged = connector.judge_resumed(stream.get_ref().1);
    judged.map_err(HandshakeError::of_library)?;
    Ok(stream)
}
