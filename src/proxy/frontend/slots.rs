//! A number of slots that may be waited for, and that a reload may change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Slots, of which so many are occupied.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
    /// Those that wait for a slot.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Size {
    /// How many slots there are to be, and how many may wait for one.
    most: usize,
    /// Slots that are to go once they are free.
    excess: usize,
}

/// An occupied slot, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Slot {
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = most.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(most)),
            size: Mutex::new(Size { most, excess: 0 }),
            waiting: AtomicUsize::new(0),
        })
    }

    /// So many from now on. What is occupied stays so, also where that is past the limit.
    pub(super) fn change(&self, most: usize) {
        let wanted = most.min(Semaphore::MAX_PERMITS);
        let mut size = self.size.lock();
        if let Some(fewer) = size.most.checked_sub(wanted) {
            size.excess += fewer - self.free.forget_permits(fewer);
        } else {
            let more = wanted - size.most;
            let kept = more.min(size.excess);
            size.excess -= kept;
            self.free.add_permits(more - kept);
        }
        size.most = wanted;
    }

    /// How many there are to be.
    pub(super) fn most(&self) -> usize {
        self.size.lock().most
    }

    /// A slot, waited for until `deadline`. `None` if there is none: too many wait, or it did not come.
    pub(super) async fn occupy(self: &Arc<Self>, deadline: Instant) -> Option<Slot> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(self.occupied(permit));
        }
        let _waiting = Waiting::enter(&self.waiting, self.most())?;
        let permit = timeout_at(deadline, Arc::clone(&self.free).acquire_owned()).await;
        Some(self.occupied(permit.ok()?.ok()?))
    }

    fn occupied(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        Slot {
            slots: Arc::clone(self),
            permit: Some(permit),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.slots.size.lock();
        if size.excess > 0
            && let Some(permit) = self.permit.take()
        {
            size.excess -= 1;
            permit.forget();
        }
    }
}

/// One that waits, until it is dropped.
pub(in crate::proxy) struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    pub(super) fn enter(count: &'a AtomicUsize, most: usize) -> Option<Self> {
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
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn fewer_slots_count_from_the_ones_that_become_free_and_more_at_once() {
        let slots = Slots::new(3);
        let slot = || slots.occupy(Instant::now() + Duration::from_millis(1));
        let (one, two) = (slot().await.unwrap(), slot().await.unwrap());
        slots.change(1);
        assert!(slot().await.is_none(), "two have what one may have");
        drop(one);
        assert!(slot().await.is_none(), "one is left, and no more may be");
        drop(two);
        let one = slot().await.expect("the one slot that there is");
        assert!(slot().await.is_none());
        slots.change(2);
        let two = slot().await.expect("a second one at once");
        assert!(slot().await.is_none());
        // Down and up again while both are there leaves two.
        slots.change(1);
        slots.change(2);
        drop((one, two));
        let _both = (slot().await.expect("one"), slot().await.expect("two"));
        assert!(slot().await.is_none());
    }
}
