//! The frontends' sides of TLS: built at the start and at each reload; and which certificates end soon, said every day in the log.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::config::Config;
use crate::proxy::Proxy;
use crate::tls::{Acceptor, TlsError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a frontend cannot speak TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("frontend \"{frontend}\": {source}")]
pub struct AcceptorError {
    /// The frontend's name.
    pub frontend: String,
    /// Why.
    pub source: TlsError,
}

/// The acceptor of each frontend of `config`, in their order; nothing for one that speaks plain HTTP alone.
///
/// # Errors
///
/// The first file that cannot be used, with its frontend.
pub(super) fn build_acceptors(
    config: &Config,
) -> Result<Vec<Option<Arc<Acceptor>>>, AcceptorError> {
    let each = config.frontends.iter().map(|frontend| {
        let built = frontend.tls.as_ref().map(Acceptor::build).transpose();
        let named = built.map_err(|source| AcceptorError {
            frontend: frontend.name.clone(),
            source,
        });
        named.map(|acceptor| acceptor.map(Arc::new))
    });
    each.collect()
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
    }
}
