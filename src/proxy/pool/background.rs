//! One service for what goes on beside requests: the checks and the names of all pools.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use tokio::sync::watch;

use crate::proxy::pool::Pool;
use crate::proxy::pool::health::PoolChecks;
use crate::proxy::pool::resolve;

/// How long the first questions for names may hold back what depends on this service.
const FIRST_RESOLVE: Duration = Duration::from_secs(5);

/// Checks the servers of all pools and follows their names.
pub struct PoolService {
    pools: Vec<Arc<Pool>>,
    stop: watch::Receiver<bool>,
}

impl PoolService {
    pub(crate) fn new(pools: Vec<Arc<Pool>>, stop: watch::Receiver<bool>) -> Self {
        Self { pools, stop }
    }

    /// Runs until the stop watch is true. `ready` is called when each name has been asked for once.
    pub async fn run(&self, ready: impl FnOnce() + Send) {
        let named = self.pools.iter().filter(|pool| resolve::is_needed(pool));
        let first = join_all(named.map(resolve::refresh));
        // What is late comes with the next question.
        let _ = tokio::time::timeout(FIRST_RESOLVE, first).await;
        ready();
        join_all(self.pools.iter().map(|pool| self.watch(pool))).await;
    }

    async fn watch(&self, pool: &Arc<Pool>) {
        let checks = PoolChecks::new(pool);
        if let Some(checks) = &checks {
            checks.update().await;
        }
        let check = async {
            match &checks {
                Some(checks) => checks.run(self.stop.clone()).await,
                None => self.stopped().await,
            }
        };
        let follow = async {
            if !resolve::is_needed(pool) {
                return;
            }
            loop {
                tokio::select! {
                    () = self.stopped() => return,
                    () = tokio::time::sleep(resolve::INTERVAL) => {}
                }
                if resolve::refresh(pool).await
                    && let Some(checks) = &checks
                {
                    checks.update().await;
                }
            }
        };
        tokio::join!(check, follow);
    }

    async fn stopped(&self) {
        // A sender that is gone can no longer say stop: that is one.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }
}

#[async_trait]
impl ServiceWithDependents for PoolService {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        self.run(|| ready.notify_ready()).await;
    }

    fn name(&self) -> &str {
        "pools"
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
