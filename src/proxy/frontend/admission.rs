//! How many connections a frontend takes: in all, waiting, and from one address. It outlives a reload, which may change the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rarely_said::RarelySaid;
use super::rates::Rates;
use crate::config::model;
use crate::proxy::client::Sources;

/// The connections of one frontend, counted.
#[derive(Debug)]
pub(in crate::proxy) struct Admission {
    slots: Arc<Semaphore>,
    size: Mutex<Size>,
    /// Connections that wait for a slot.
    waiting: AtomicUsize,
    /// Connections that wait for their PROXY header.
    introducing: AtomicUsize,
    sources: Sources,
    rates: Rates,
    /// That an address has as many connections as it may.
    pub(super) over_share: RarelySaid,
    /// That a client is not served.
    pub(super) kept_out: RarelySaid,
    /// That a PROXY header is missing.
    pub(super) unintroduced: RarelySaid,
}

#[derive(Debug)]
struct Size {
    /// How many slots there are to be, and how many connections may wait for one.
    most: usize,
    /// Slots that are to go once their connections have ended.
    excess: usize,
}

/// A connection's slot, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Slot {
    admission: Arc<Admission>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(in crate::proxy) fn new(config: &model::Frontend) -> Arc<Self> {
        let most = most(config);
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(most)),
            size: Mutex::new(Size { most, excess: 0 }),
            waiting: AtomicUsize::new(0),
            introducing: AtomicUsize::new(0),
            sources: Sources::new(config.max_connections_per_source),
            rates: Rates::new(config.rate_limit),
            over_share: RarelySaid::default(),
            kept_out: RarelySaid::default(),
            unintroduced: RarelySaid::default(),
        })
    }

    /// The limits of `config` from now on. Connections that are there stay, also where they are past them.
    pub(in crate::proxy) fn change(&self, config: &model::Frontend) {
        self.sources.change(config.max_connections_per_source);
        self.rates.change(config.rate_limit);
        let wanted = most(config);
        let mut size = self.size.lock();
        if let Some(fewer) = size.most.checked_sub(wanted) {
            size.excess += fewer - self.slots.forget_permits(fewer);
        } else {
            let more = wanted - size.most;
            let kept = more.min(size.excess);
            size.excess -= kept;
            self.slots.add_permits(more - kept);
        }
        size.most = wanted;
    }

    /// How many requests each address sends.
    pub(in crate::proxy) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Who has connections here.
    pub(in crate::proxy) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// A slot for a connection, waited for at most `wait`. `None` if it must be closed: too many wait, or it waited too long.
    pub(in crate::proxy) async fn slot(self: &Arc<Self>, wait: Duration) -> Option<Slot> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(self.occupied(permit));
        }
        let most = self.size.lock().most;
        let _waiting = Waiting::enter(&self.waiting, most)?;
        let permit = tokio::time::timeout(wait, Arc::clone(&self.slots).acquire_owned()).await;
        Some(self.occupied(permit.ok()?.ok()?))
    }

    /// A place for a connection while its PROXY header comes; nothing if as many as `maxconn` wait for theirs.
    pub(super) fn introduce(&self) -> Option<Waiting<'_>> {
        let most = self.size.lock().most;
        Waiting::enter(&self.introducing, most)
    }

    fn occupied(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        Slot {
            admission: Arc::clone(self),
            permit: Some(permit),
        }
    }
}

fn most(config: &model::Frontend) -> usize {
    config.max_connections.min(Semaphore::MAX_PERMITS)
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.admission.size.lock();
        if size.excess > 0
            && let Some(permit) = self.permit.take()
        {
            size.excess -= 1;
            permit.forget();
        }
    }
}

/// One that waits, until it is dropped.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        // Dropped at once, if there are too many: then it is not counted.
        let guard = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(guard)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::tests::harness::{self, BACKEND};

    fn of(most: usize) -> model::Frontend {
        model::Frontend {
            max_connections: most,
            ..harness::frontend(BACKEND)
        }
    }

    #[tokio::test]
    async fn fewer_slots_count_from_the_connections_that_end_and_more_at_once() {
        let admission = Admission::new(&of(3));
        let slot = || admission.slot(Duration::from_millis(1));
        let (one, two) = (slot().await.unwrap(), slot().await.unwrap());
        admission.change(&of(1));
        assert!(slot().await.is_none(), "two have what one may have");
        drop(one);
        assert!(slot().await.is_none(), "one is left, and no more may be");
        drop(two);
        let one = slot().await.expect("the one slot that there is");
        assert!(slot().await.is_none());
        admission.change(&of(2));
        let two = slot().await.expect("a second one at once");
        assert!(slot().await.is_none());
        // Down and up again while both are there leaves two.
        admission.change(&of(1));
        admission.change(&of(2));
        drop((one, two));
        let _both = (slot().await.expect("one"), slot().await.expect("two"));
        assert!(slot().await.is_none());
    }
}
