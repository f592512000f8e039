//! Says every day in the log which certificates of frontends end soon.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::proxy::Proxy;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
