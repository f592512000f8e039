//! What each thread counts for itself, so that two that count the same thing do not wait for each other's caches. Who reads it adds it up.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads beyond as many share.
const SHARDS: usize = 8;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
}

/// One `T` for each thread.
#[derive(Debug, Default)]
pub(super) struct Sharded<T>([Shard<T>; SHARDS]);

/// In cache lines of its own. Processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

impl<T> Sharded<T> {
    /// This thread's.
    pub(super) fn here(&self) -> &T {
        let [first, ..] = &self.0;
        let shard = self.0.get(SHARD.get()).unwrap_or(first);
        &shard.0
    }

    /// Everybody's.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|shard| &shard.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let counts = Sharded::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counts.here().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let sum: u64 = counts.all().map(|one| one.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 2000 * SHARDS as u64);
        let used = counts.all().filter(|one| one.load(Ordering::Relaxed) > 0);
        assert!(used.count() > 1);
    }
}
