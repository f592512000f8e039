//! How a node stands to its relay's journal.

use std::time::Duration;

use crate::relay::membership::Divergence;
use crate::relay::{Membership, Relay};
use crate::stats::ReplicaStatus;

/// Between two looks at how a node stands.
pub(super) const LOOK_PACE: Duration = Duration::from_millis(200);

/// How a node stands to the journal.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) membership: Membership,
    status: ReplicaStatus,
    /// Every record up to this one has its verdict there.
    pub(super) cursor: u64,
    /// Records that it is yet to be sent.
    pub(super) behind: u64,
}

impl Standing {
    /// It follows the journal.
    pub(super) fn follows(&self) -> bool {
        matches!(self.membership, Membership::Following)
    }

    /// It follows, and has applied everything.
    pub(super) fn is_fresh(&self) -> bool {
        self.follows() && self.status == ReplicaStatus::Fresh
    }
}

/// How the node of this name stands; one that is unknown follows nothing.
pub(super) fn standing(relay: &Relay, name: &str) -> Standing {
    let memberships = relay.memberships().into_iter();
    let stats = relay.stats();
    let of_each = memberships.zip(&stats.replicas);
    let found = of_each.into_iter().find(|((known, _), _)| known == name);
    match found {
        Some(((_, membership), replica)) => {
            let cursor = replica.cursor.get();
            Standing {
                membership,
                status: replica.state.load().status,
                cursor,
                behind: stats.records_above(cursor),
            }
        }
        None => Standing {
            membership: Membership::Diverged(Divergence::now("there is no such node")),
            status: ReplicaStatus::Down,
            cursor: 0,
            behind: 0,
        },
    }
}
