//! What a caller of [`Journal::append`](super::Journal::append) holds until the record is committed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Position;

/// Stands for an appended record until the journal tells its [`Observer`] where the record is. No two appends of this process
/// get the same ticket, and a later append gets a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// A ticket that nobody has.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A ticket that no journal gave, for tests of those who hold tickets.
    #[cfg(test)]
    pub(crate) fn of_no_journal() -> Self {
        Self::next()
    }
}

/// Hears what becomes of appended records. The journal's thread calls it, and goes on only when it returns: it must be quick and
/// must not wait for the journal.
pub trait Observer: fmt::Debug + Send + Sync {
    /// These records are durable by the sync policy, in this order. No reader and no watch of the journal shows any of them
    /// before this returns. Each ticket is told once at most.
    fn committed(&self, committed: &[(Ticket, Position)]);

    /// The journal has ended. Nobody will say of any other ticket whether its record is stored.
    fn closed(&self);
}
