//! haflux's sides of TLS, towards clients and towards servers: built at the start and at each reload; and which certificates end soon,
//! said every day in the log.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::config::Config;
use crate::dial::ServerLink;
use crate::proxy::{Connectors, Pool, Proxy};
use crate::tls::{Acceptor, Connector, TlsError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a frontend cannot speak TLS, or none can be spoken to a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {source}")]
pub struct TlsSideError {
    /// The frontend or the server, as messages name it.
    pub place: String,
    /// Why.
    pub source: TlsError,
}

/// The acceptor of each frontend of `config`, in their order; nothing for one that speaks plain HTTP alone.
///
/// # Errors
///
/// The first file that cannot be used, with its frontend.
pub(super) fn build_acceptors(config: &Config) -> Result<Vec<Option<Arc<Acceptor>>>, TlsSideError> {
    let each = config.frontends.iter().map(|frontend| {
        let built = frontend.tls.as_ref().map(Acceptor::build).transpose();
        let named = built.map_err(|source| TlsSideError {
            place: format!("frontend \"{}\"", frontend.name),
            source,
        });
        named.map(|acceptor| acceptor.map(Arc::new))
    });
    each.collect()
}

/// What TLS is spoken with to the servers of each backend of `config`, in their order; nothing for one that is spoken to in plain HTTP.
///
/// # Errors
///
/// The first file that cannot be used, with its server.
pub(super) fn build_connectors(config: &Config) -> Result<Connectors, TlsSideError> {
    let each = config.backends.iter().map(|backend| {
        let servers = backend.servers.iter().map(|server| {
            let built = server.tls.as_ref().map(Connector::build).transpose();
            let named = built.map_err(|source| TlsSideError {
                place: server_place(&backend.name, &server.name),
                source,
            });
            named.map(|connector| connector.map(Arc::new))
        });
        servers.collect()
    });
    each.collect()
}

/// A server as messages name it.
pub(super) fn server_place(backend: &str, server: &str) -> String {
    format!("backend \"{backend}\", server \"{server}\"")
}

/// Says it each day until `stop` is true. At the start the warnings of the configuration say it.
pub(super) async fn watch(proxy: Arc<Proxy>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(DAY) => {}
        }
        for (frontend, acceptor) in proxy.acceptors() {
            acceptor.warn_of_ends(&frontend, SystemTime::now());
        }
        for pool in proxy.pools() {
            for link in pool.links() {
                warn_of_end(&pool, &link);
            }
        }
    }
}

/// Says in the log whether the certificate that a server is shown ends soon, or has ended.
fn warn_of_end(pool: &Pool, link: &ServerLink) {
    let connector = link.dialer.connector();
    let Some(certificate) = connector.as_ref().and_then(|one| one.certificate()) else {
        return;
    };
    let place = server_place(pool.name(), link.state.name());
    let file = certificate.file().display();
    match certificate.ends_soon(SystemTime::now()) {
        None => {}
        Some(left) if left.is_zero() => log::error!(
            "{place}: the certificate in {file} has expired: servers that ask for one turn haflux away"
        ),
        Some(left) => log::warn!(
            "{place}: the certificate in {file} expires in {} days",
            left.as_secs() / (24 * 60 * 60)
        ),
    }
}
