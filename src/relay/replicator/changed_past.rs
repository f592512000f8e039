//! What somebody changes on the node past the journal, as a mend does, stays so: like a statement, it is a place behind which
//! nothing is sent again, and what it may remove the node is not asked for.

use std::time::Instant;

use super::Replicator;
use crate::relay::record::removal::Removal;

impl Replicator {
    /// Notes, on disk, that points of databases are about to be changed, if that is so and nothing is to be sent again. Whoever
    /// changes them waits for it, while nothing comes to the journal, and takes back what is not noted in time.
    pub(super) async fn note_changed_past(&mut self) {
        let databases = self.replica.changed_past().borrow().clone();
        let is_behind_it = self.is_linked()
            && self.doubts.is_empty()
            && self.rereads.is_empty()
            && self.going_back.is_none()
            && self.tracker.cursor().sequence == self.journal.barrier().sequence;
        if databases.is_empty() || !is_behind_it {
            return;
        }
        self.forget(&Removal::Points(Some(databases.iter().cloned().collect())));
        match self.save_at(Instant::now(), self.tracker.cursor()).await {
            Ok(()) => self.replica.changed_past().send_modify(|waiting| {
                waiting.retain(|database| !databases.contains(database));
            }),
            Err(reason) => self
                .replica
                .note_error(format!("before a change past the journal: {reason}")),
        }
    }
}
