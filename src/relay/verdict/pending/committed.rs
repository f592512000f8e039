//! What the journal says of records for which clients wait.

use std::fmt;

use super::PendingClients;
use crate::journal::{Observer, Position, Ticket};
use crate::relay::verdict::policy::Decision;

impl Observer for PendingClients {
    /// The records' rows move from their tickets to their sequences; a client that waits for no replica has its outcome.
    fn committed(&self, committed: &[(Ticket, Position)]) {
        if let Some((_, newest)) = committed.last() {
            // Before any of these clients hears of its record.
            self.stats.show_head(newest.sequence.get(), newest.offset);
        }
        let mut guard = self.rows();
        let rows = &mut *guard;
        for (ticket, Position { sequence, .. }) in committed {
            if let Some(waiting) = rows.uncommitted.remove(ticket) {
                match rows.decide(self.policy, &waiting) {
                    Decision::Wait => {
                        rows.waiting.insert(*sequence, waiting);
                    }
                    decision => waiting.finish(*sequence, decision),
                }
            } else if let Some(waiting) = rows.uncommitted_statements.remove(ticket) {
                rows.statements.insert(*sequence, waiting);
            }
        }
    }

    /// The waits end without an outcome.
    fn closed(&self) {
        let mut rows = self.rows();
        rows.uncommitted.clear();
        rows.uncommitted_statements.clear();
    }
}

impl fmt::Debug for PendingClients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PendingClients")
            .finish_non_exhaustive()
    }
}
