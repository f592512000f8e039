//! Waiting for a condition instead of sleeping and hoping.

use std::time::{Duration, Instant};

/// How long something may take that takes milliseconds on an idle machine: starting a process, catching up with a few records.
pub const SOON: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(10);

/// Returns once `condition` holds; panics naming `what` if it does not within `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// Returns what `attempt` finds; panics naming `what` if it finds nothing within `limit`.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(
            begun.elapsed() < limit,
            "waited {:.1?} in vain: {what}",
            begun.elapsed()
        );
        std::thread::sleep(POLL);
    }
}
