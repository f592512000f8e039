//! The journal on a simulated disk and on a real one.

mod acknowledged_before_sync;
mod damage;
mod model;
mod recovered;
mod simulated;
mod threaded;

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::shared::Shared;
use super::{Observer, Position, Ticket};

/// An observer that remembers what it was told, and looks whether a reader could know it already.
#[derive(Debug, Default)]
struct Told {
    journal: Weak<Shared>,
    committed: Mutex<Vec<(Ticket, Position)>>,
    closed: Mutex<bool>,
}

impl Told {
    fn observe(shared: &Arc<Shared>) -> Arc<Self> {
        let told = Arc::new(Self {
            journal: Arc::downgrade(shared),
            ..Self::default()
        });
        let observer = Arc::clone(&told) as Arc<dyn Observer>;
        assert!(shared.observer.set(observer).is_ok(), "there is one");
        told
    }

    /// What was told since the last call.
    fn take(&self) -> Vec<(Ticket, Position)> {
        std::mem::take(&mut self.committed.lock())
    }

    fn is_closed(&self) -> bool {
        *self.closed.lock()
    }
}

impl Observer for Told {
    fn committed(&self, committed: &[(Ticket, Position)]) {
        assert!(!self.is_closed(), "nothing is told behind the end");
        assert!(committed.is_sorted_by(|(_, one), (_, other)| {
            one.sequence < other.sequence && one.offset < other.offset
        }));
        let Some(shared) = self.journal.upgrade() else {
            return;
        };
        let (_, first) = committed[0];
        assert!(
            shared.durable.borrow().sequence < first.sequence,
            "the watch shows what the observer does not know"
        );
        let most = super::reader::Most {
            bytes: usize::MAX,
            longest: usize::MAX,
        };
        let cached = shared.cache.lock().read(first.sequence.previous(), most);
        assert!(
            cached.is_none_or(|batch| batch.records.is_empty()),
            "a reader is given what the observer does not know"
        );
        self.committed.lock().extend(committed);
    }

    fn closed(&self) {
        *self.closed.lock() = true;
    }
}
