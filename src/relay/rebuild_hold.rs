//! Who alone may begin and end the rebuilding of a replica: haflux, from the first step of a rebuild of its own to the last, or a
//! person's order while it is carried out. Otherwise a person could take back a node that is half filled.

use std::sync::Arc;

use crate::relay::control::ReplicaError;
use crate::relay::intake::relay::Relay;
use crate::relay::replica::handle::Replica;

/// In whose hand a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// A rebuild by haflux, which copies to it.
    Rebuild,
    /// A person's order.
    Order,
}

/// The right to begin and to end the rebuilding of one replica, which nobody else has for as long as this lives.
pub struct RebuildHold {
    replica: Arc<Replica>,
}

impl Relay {
    /// Takes a replica in hand.
    ///
    /// # Errors
    /// [`ReplicaError`]: there is no replica of that name, or it is in another hand.
    pub fn hold_for_rebuild(&self, name: &str, by: HeldBy) -> Result<RebuildHold, ReplicaError> {
        let replica = Arc::clone(self.replica(name)?);
        let mut held = replica.held.lock();
        match *held {
            Some(HeldBy::Rebuild) => return Err(ReplicaError::Copies(name.to_owned())),
            Some(HeldBy::Order) => return Err(ReplicaError::Ordered(name.to_owned())),
            None => *held = Some(by),
        }
        drop(held);
        Ok(RebuildHold { replica })
    }
}

impl RebuildHold {
    pub(in crate::relay) fn replica(&self) -> &Replica {
        &self.replica
    }
}

impl Drop for RebuildHold {
    fn drop(&mut self) {
        *self.replica.held.lock() = None;
    }
}
