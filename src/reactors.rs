//! The threads that serve connections. Each has a reactor of its own: a connection stays on the thread that it was given to, and
//! what is kept for its like, idle connections to servers above all, stays there too. So serving a request wakes no other
//! thread and shares no lock with one.
//!
//! Relays' tasks run on them as well: a machine with few cores has no better place, because a thread more is a switch more for each
//! batch of writes.
//!
//! Nothing is stolen from a thread that is busy: work that takes long must be done [elsewhere](crate::offload).

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// The number of the reactor whose thread this is, below their count. Any other thread passes for the first one.
pub fn here() -> usize {
    HERE.get()
}

/// Runs what it is given on a fixed number of threads, until it is dropped: then what still runs is dropped, too.
#[derive(Debug)]
pub struct Reactors(Vec<Reactor>);

#[derive(Debug)]
struct Reactor {
    handle: Handle,
    /// Tasks that it was given and that have not ended.
    tasks: Arc<AtomicUsize>,
    /// Dropped to end it.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Lowers a reactor's number of tasks when it is dropped.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reactors {
    /// Starts `count` of them, but one at least.
    ///
    /// # Errors
    ///
    /// A thread, or what it waits with, cannot be had.
    pub fn start(count: usize) -> io::Result<Self> {
        (0..count.max(1))
            .map(Reactor::start)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What tells whether all of them go on.
    pub fn pulse(&self) -> Pulse {
        Pulse(self.0.iter().map(|one| one.handle.clone()).collect())
    }

    /// Runs `task` on the one that has the fewest.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let least = |reactor: &&Reactor| reactor.tasks.load(Ordering::Relaxed);
        if let Some(reactor) = self.0.iter().min_by_key(least) {
            reactor.tasks.fetch_add(1, Ordering::Relaxed);
            let running = Running(Arc::clone(&reactor.tasks));
            reactor.handle.spawn(async move {
                task.await;
                drop(running);
            });
        }
    }
}

/// Tells whether all reactors go on.
#[derive(Debug, Clone)]
pub struct Pulse(Vec<Handle>);

impl Pulse {
    /// Returns once each of them has done what it was given now: not at all while one hangs.
    pub async fn beat(&self) {
        let beats = self.0.iter().map(|one| one.spawn(async {}));
        for beat in beats.collect::<Vec<_>>() {
            // One that has ended hangs no more.
            let _ = beat.await;
        }
    }
}

impl Reactor {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(format!("serves-{number}"))
            .spawn(move || {
                HERE.set(number);
                // It ends by being dropped.
                let _ = runtime.block_on(ended);
                // What another thread still does for it is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            tasks: Arc::default(),
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("a thread that serves connections has failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn tasks_are_spread_and_those_that_run_are_dropped_with_it() {
        let reactors = Reactors::start(3).unwrap();
        let (tell, told) = mpsc::channel();
        for _ in 0..6 {
            let tell = tell.clone();
            reactors.spawn(async move {
                tell.send(here()).unwrap();
                std::future::pending::<()>().await;
                drop(tell);
            });
        }
        let places: Vec<usize> = (0..6)
            .map(|_| told.recv_timeout(Duration::from_secs(10)).unwrap())
            .collect();
        assert_eq!(places.iter().collect::<HashSet<_>>().len(), 3, "{places:?}");
        drop(tell);
        drop(reactors);
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[test]
    fn one_that_has_less_to_do_gets_more() {
        let reactors = Reactors::start(2).unwrap();
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        reactors.spawn(async move {
            let _ = ended.await;
        });
        for _ in 0..4 {
            let tell = tell.clone();
            reactors.spawn(async move { tell.send(here()).unwrap() });
            let place = told.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(place, 1);
            // It is counted until it has ended, which is a moment later.
            while reactors.0[1].tasks.load(Ordering::Relaxed) > 0 {
                thread::yield_now();
            }
        }
        drop(end);
    }
}
