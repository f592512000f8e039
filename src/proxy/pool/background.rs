//! One service for what goes on beside requests: the checks and the names of all pools.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::proxy::pool::Pool;
use crate::proxy::pool::{health, resolve};

/// How long the first questions for names may hold back what depends on their answers.
const FIRST_RESOLVE: Duration = Duration::from_secs(5);

/// Checks the servers of all pools and follows their names.
pub struct PoolService {
    /// Changed by a reload.
    pools: watch::Receiver<Vec<Arc<Pool>>>,
    stop: watch::Receiver<bool>,
}

/// A pool that is looked after, until this is dropped.
struct Watched {
    pool: Arc<Pool>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PoolService {
    pub(crate) fn new(pools: watch::Receiver<Vec<Arc<Pool>>>, stop: watch::Receiver<bool>) -> Self {
        Self { pools, stop }
    }

    /// Runs until the stop watch is true. `ready` is called when each name has been asked for once.
    pub async fn run(&self, ready: impl FnOnce() + Send) {
        let mut changes = self.pools.clone();
        let mut pools = changes.borrow_and_update().clone();
        resolve_all(&pools).await;
        ready();
        let mut tasks = JoinSet::new();
        let mut watched: Vec<Watched> = Vec::new();
        loop {
            watched.retain(|one| pools.iter().any(|pool| Arc::ptr_eq(pool, &one.pool)));
            for pool in pools {
                if watched.iter().all(|one| !Arc::ptr_eq(&pool, &one.pool)) {
                    let task = tasks.spawn(watch(Arc::clone(&pool)));
                    watched.push(Watched { pool, task });
                }
            }
            pools = loop {
                tokio::select! {
                    () = self.stopped() => return,
                    Ok(()) = changes.changed() => break changes.borrow_and_update().clone(),
                    Some(ended) = tasks.join_next() => {
                        if let Err(error) = ended && error.is_panic() {
                            log::error!("the checks of a pool failed: {error}");
                        }
                    }
                    else => self.stopped().await,
                }
            };
        }
    }

    async fn stopped(&self) {
        // A sender that is gone can no longer say stop: that is one.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }
}

/// Asks once for each name of `pools`, and returns when all have been answered, or have had their time: what is late comes with the next
/// question.
async fn resolve_all(pools: &[Arc<Pool>]) {
    let named = pools.iter().filter(|pool| resolve::is_needed(pool));
    let _ = tokio::time::timeout(FIRST_RESOLVE, join_all(named.map(resolve::refresh))).await;
}

/// Checks the servers of `pool` and follows their names, until it is dropped.
async fn watch(pool: Arc<Pool>) {
    let follow = async {
        while resolve::is_needed(&pool) {
            tokio::time::sleep(resolve::INTERVAL).await;
            resolve::refresh(&pool).await;
        }
    };
    tokio::join!(health::check(&pool), follow);
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
