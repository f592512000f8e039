//! Whether a listener's database has to be made.
//!
//! InfluxDB's listener makes its database before its first batch, and never again. What haflux puts into the journal for that may be
//! refused by every node, while the listener's user is not there yet or may not; so it is done again until a node has said
//! that the database is there. What a person drops after that stays dropped.

use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of it.
#[derive(Debug)]
pub(super) struct Database {
    was_there: AtomicBool,
    must_be_made: AtomicBool,
}

impl Database {
    pub(super) fn new() -> Database {
        Database {
            was_there: AtomicBool::new(false),
            must_be_made: AtomicBool::new(true),
        }
    }

    /// Nodes say that it is there.
    pub(super) fn found(&self) {
        self.was_there.store(true, Ordering::Relaxed);
        self.must_be_made.store(false, Ordering::Relaxed);
    }

    /// Nodes say that it is not there. Returns whether it was dropped.
    pub(super) fn missed(&self) -> bool {
        let was_there = self.was_there();
        self.must_be_made.store(!was_there, Ordering::Relaxed);
        was_there
    }

    pub(super) fn was_there(&self) -> bool {
        self.was_there.load(Ordering::Relaxed)
    }

    /// Whether to make it now, for one who then does or [has not](Database::is_not_made).
    pub(super) fn is_to_be_made(&self) -> bool {
        self.must_be_made.swap(false, Ordering::Relaxed)
    }

    pub(super) fn is_not_made(&self) {
        self.must_be_made.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_until_it_was_there_and_not_after_that() {
        let database = Database::new();
        assert!(database.is_to_be_made() && !database.is_to_be_made());
        assert!(!database.missed() && database.is_to_be_made());
        database.is_not_made();
        assert!(database.is_to_be_made());
        database.found();
        assert!(!database.is_to_be_made());
        assert!(database.missed() && !database.is_to_be_made());
    }
}
