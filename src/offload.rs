//! Work that takes too long for the threads that serve requests.

use std::num::NonZero;
use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

/// From this size on, in bytes, a body is worked on outside the threads that serve requests.
pub const LARGE: usize = 64 * 1024;

/// Half of the cores at once, so that what serves requests always finds one.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new((cores / 2).max(1)))
});

/// Does `work` on another thread; as much of it waits for its turn as requests do. Nothing if it panicked.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let turn = Arc::clone(&ROOM).acquire_owned().await.ok()?;
    let worked = tokio::task::spawn_blocking(move || {
        // Kept although the client may be gone: the work goes on without it.
        let _turn = turn;
        work()
    });
    worked.await.ok()
}
