//! The graceful stop, in its order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{error, info, warn};
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::{Mutex, mpsc, watch};

use super::signals::Asked;
use crate::proxy::Proxy;
use crate::relay::Relay;

/// How long replicators and journals may take to end once nothing is served any more.
const RELAYS_END: Duration = Duration::from_secs(15);

/// Waits for a signal, then ends everything; Pingora is told only when all is done.
pub(super) struct Stop {
    asked: Asked,
    serving: watch::Sender<bool>,
    replicating: watch::Sender<bool>,
    proxy: Arc<Proxy>,
    /// Closed when the last of the relays' tasks has ended.
    tasks_ended: Mutex<mpsc::Receiver<()>>,
    relays: Vec<Arc<Relay>>,
}

impl Stop {
    pub(super) fn new(
        asked: Asked,
        serving: watch::Sender<bool>,
        replicating: watch::Sender<bool>,
        proxy: Arc<Proxy>,
        tasks_ended: mpsc::Receiver<()>,
        relays: Vec<Arc<Relay>>,
    ) -> Stop {
        Stop {
            asked,
            serving,
            replicating,
            proxy,
            tasks_ended: Mutex::new(tasks_ended),
            relays,
        }
    }

    async fn end(&self) {
        self.serving.send_replace(true);
        let timeout = self.proxy.config().server.stop_timeout;
        if tokio::time::timeout(timeout, self.proxy.served())
            .await
            .is_err()
        {
            let cut_off = self.proxy.in_flight().count();
            // The sockets may have been open for longer than that.
            if cut_off > 0 {
                warn!("{cut_off} requests were still in flight after {timeout:?} and are cut off");
            }
        }
        self.replicating.send_replace(true);
        let mut tasks_ended = self.tasks_ended.lock().await;
        if tokio::time::timeout(RELAYS_END, tasks_ended.recv())
            .await
            .is_err()
        {
            warn!(
                "a replicator did not end within {RELAYS_END:?}; what it had under way is sent again after the next start"
            );
        }
        for relay in &self.relays {
            if tokio::time::timeout(RELAYS_END, relay.close())
                .await
                .is_err()
            {
                error!(
                    "relay {}: the journal could not be closed within {RELAYS_END:?}",
                    relay.stats().name
                );
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let mut asked = self.asked.clone();
        let name = match asked.wait_for(Option::is_some).await {
            Ok(name) => name.unwrap_or("a signal"),
            Err(_) => "the loss of its signals",
        };
        info!("stopping on {name}");
        self.end().await;
        ShutdownSignal::FastShutdown
    }
}
