//! What goes on beside the steps of a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Lets so many threads `work` until `steps` have ended. Each is told its number, and what says that it is over.
pub fn beside<T>(
    threads: usize,
    work: impl Fn(usize, &AtomicBool) + Sync,
    steps: impl FnOnce() -> T,
) -> T {
    let (over, work) = (AtomicBool::new(false), &work);
    std::thread::scope(|scope| {
        // Also when they panic, so that the work ends and the panic is seen.
        let over = SetWhenDropped(&over);
        for number in 0..threads {
            let over = over.0;
            scope.spawn(move || work(number, over));
        }
        steps()
    })
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
