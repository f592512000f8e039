//! A relay's long-lived tasks, none of which may end in silence: a replica that nobody sends to any more would look like one
//! that is slow.
//!
//! A task that panics is told of in the log, counted, and made anew after a wait that grows while it goes on to panic. Whoever makes it
//! sees to it that the new one takes nothing for granted that the old one had in memory.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use log::error;
use tokio::sync::watch;

use crate::relay::replica::backoff::Backoff;
use crate::stats::RelayStats;

/// A task that has lived for longer than this is made anew without a long wait.
const SOUND_LIFE: Duration = Duration::from_secs(60);

/// First and longest wait before a task is made anew.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Runs the task called `name` until it ends by itself, or `stop` is true: `make` makes it, the first time and after each panic.
/// `stats` counts those.
pub(super) async fn supervise(
    name: String,
    mut stop: watch::Receiver<bool>,
    stats: Arc<RelayStats>,
    mut make: impl FnMut() -> BoxFuture<'static, ()>,
) {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let begun = Instant::now();
        // Making it may panic, too.
        let task = AssertUnwindSafe(async { make().await });
        let Err(panic) = task.catch_unwind().await else {
            return;
        };
        stats.failed_tasks.increment();
        if begun.elapsed() >= SOUND_LIFE {
            backoff.reset();
        }
        let wait = backoff.next();
        error!(
            "{name} failed ({}); it begins again in {wait:?}",
            words_of(panic.as_ref())
        );
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // Without a sender nobody wants it any more.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// What a panic said.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_again_until_it_ends_by_itself() {
        let stop = watch::Sender::new(false);
        let (made, failures) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(RelayStats::default()),
        );
        let count = Arc::clone(&made);
        let make = move || -> BoxFuture<'static, ()> {
            let number = count.fetch_add(1, Ordering::Relaxed);
            assert!(number != 1, "it cannot even be made");
            Box::pin(async move {
                tokio::task::yield_now().await;
                assert!(number >= 3, "task {number} fails");
            })
        };
        let counted = Arc::clone(&failures);
        supervise("a task".to_owned(), stop.subscribe(), counted, make).await;
        assert_eq!(made.load(Ordering::Relaxed), 4);
        assert_eq!(failures.failed_tasks.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_wait_for_a_task_that_fails() {
        let stop = watch::Sender::new(true);
        let make = || -> BoxFuture<'static, ()> { Box::pin(async { panic!("again") }) };
        let stats = Arc::default();
        supervise("a task".to_owned(), stop.subscribe(), stats, make).await;
    }

    #[test]
    fn a_panic_is_told_in_its_words() {
        let caught = std::panic::catch_unwind(|| panic!("number {}", 7));
        assert_eq!(
            caught.map_err(|panic| words_of(panic.as_ref()).to_owned()),
            Err("number 7".to_owned())
        );
        let caught = std::panic::catch_unwind(|| panic!("plain"));
        assert_eq!(
            caught.map_err(|panic| words_of(panic.as_ref()).to_owned()),
            Err("plain".to_owned())
        );
    }
}
