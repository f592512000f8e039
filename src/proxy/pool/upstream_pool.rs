//! The idle connections to one server.
//!
//! Pingora's own pool wakes a task for each connection it hands out; here a connection simply lies in a list, newest last,
//! and is looked at when it is taken. Each reactor has a list of its own, because a connection that another one waits for would wake
//! both. One task sweeps all lists for what has lain too long.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::dial::{Connection, Dialer};
use crate::proxy::pool::Pool;
use crate::reactors;

/// Between two sweeps.
const SWEEP: Duration = Duration::from_secs(5);

/// Idle connections to one server, newest last.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    longest: Duration,
    /// Most in a list.
    most: usize,
    /// One a reactor.
    lists: Vec<Mutex<VecDeque<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    address: SocketAddr,
    since: Instant,
}

impl IdleConnections {
    /// Keeps each for `longest`, and at most `most` in all. `reactors` is how many there are.
    pub(crate) fn new(longest: Duration, most: usize, reactors: usize) -> Self {
        Self {
            longest,
            most: most.div_ceil(reactors.max(1)),
            lists: (0..reactors.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The list of this thread's reactor.
    fn list(&self) -> Option<MutexGuard<'_, VecDeque<Idle>>> {
        self.lists.get(reactors::here()).map(Mutex::lock)
    }

    /// A connection to `address` that is still open, the most recently used first.
    /// One that was made as `dialer` makes them no longer is closed.
    pub(crate) fn take(&self, address: SocketAddr, dialer: &Dialer) -> Option<Connection> {
        loop {
            let mut idle = self.list()?.pop_back()?;
            if idle.address == address
                && idle.since.elapsed() < self.longest
                && dialer.is_current(&idle.connection)
                && idle.connection.is_quiet()
            {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub(crate) fn put(&self, connection: Connection, address: SocketAddr) {
        let Some(mut list) = self.list() else {
            return;
        };
        list.push_back(Idle {
            connection,
            address,
            since: Instant::now(),
        });
        let dropped = (list.len() > self.most).then(|| list.pop_front());
        drop(list);
        drop(dropped);
    }

    /// Closes what has lain too long or was closed by the server.
    pub(crate) fn sweep(&self) {
        for list in &self.lists {
            let all = std::mem::take(&mut *list.lock());
            let is_kept =
                |idle: &mut Idle| idle.since.elapsed() < self.longest && idle.connection.is_quiet();
            let kept = all
                .into_iter()
                .filter_map(|mut idle| is_kept(&mut idle).then_some(idle))
                .collect::<VecDeque<_>>();
            let mut list = list.lock();
            let newer = std::mem::replace(&mut *list, kept);
            list.extend(newer);
        }
    }

    /// Closes all of them.
    pub(crate) fn clear(&self) {
        for list in &self.lists {
            drop(std::mem::take(&mut *list.lock()));
        }
    }
}

/// Sweeps the idle connections to all servers now and then, until `stop` is true.
pub(crate) async fn sweep_all(
    pools: watch::Receiver<Vec<Arc<Pool>>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        let pools = pools.borrow().clone();
        for server in pools.iter().flat_map(|pool| pool.servers()) {
            server.idle.sweep();
        }
    }
}
