//! Whether a node still is the one that it was when a work began, which copies from it, or changes what it holds, past the journal.
//!
//! A replica's *incarnation* is the moment at which it was found last not to be the node that it was: it diverged, its rebuilding began or
//! ended, or it had lost its data and went on with what it has, because no other one follows. It is kept with the replica's cursor before
//! the node is trusted again, so that a restart of haflux does not hide the change.
//!
//! The relay learns of a node that has begun anew a moment later than whoever connects to it first. So a work also asks on each
//! connection when the process at its other end started, and uses the connection only if that process has proven in a handshake who it
//! is ([`Tenure::is_held_by`]): a connection leads to one process for as long as it lasts.

use std::sync::Arc;

use crate::influx::Started;
use crate::relay::intake::relay::Relay;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::membership::Membership;

/// One node, for as long as it follows the journal and is the one that it was.
#[derive(Clone)]
pub struct Tenure {
    replica: Arc<Replica>,
    incarnation: u64,
}

/// A node is not the one any more that it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not what it was when this began: {reason}")]
pub struct TenureEnded {
    /// The node's name.
    pub name: String,
    /// What has become of it, for a person.
    pub reason: String,
}

impl Relay {
    /// The node of this name as it is from now on; none if it does not follow the journal.
    pub fn tenure(&self, name: &str) -> Option<Tenure> {
        Tenure::of(self.replica(name).ok()?).ok()
    }

    /// The node of this name as it was in this [incarnation](Tenure::incarnation).
    ///
    /// # Errors
    /// [`TenureEnded`]: it is another one by now.
    pub fn tenure_since(&self, name: &str, incarnation: u64) -> Result<Tenure, TenureEnded> {
        let replica = self.replica(name).map_err(|_| TenureEnded {
            name: name.to_owned(),
            reason: "it is no replica any more".to_owned(),
        })?;
        Tenure::since(replica, incarnation)
    }
}

impl Tenure {
    /// A replica as it is from now on.
    ///
    /// # Errors
    /// [`TenureEnded`]: it does not follow the journal.
    pub(in crate::relay) fn of(replica: &Arc<Replica>) -> Result<Tenure, TenureEnded> {
        Tenure::since(replica, replica.incarnation())
    }

    fn since(replica: &Arc<Replica>, incarnation: u64) -> Result<Tenure, TenureEnded> {
        let tenure = Tenure {
            replica: Arc::clone(replica),
            incarnation,
        };
        tenure.lasts().map(|()| tenure)
    }

    /// Which of the nodes it is that were found at this replica's address, one after the other: when it was found, in Unix time in
    /// nanoseconds, or 0 for the first one.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether it is, as far as the relay knows.
    ///
    /// # Errors
    /// [`TenureEnded`]: it is not.
    pub fn lasts(&self) -> Result<(), TenureEnded> {
        let reason = match self.replica.membership() {
            Membership::Following if self.replica.incarnation() == self.incarnation => {
                return Ok(());
            }
            Membership::Following => {
                "it has begun anew, and has not proven that it holds what it held".to_owned()
            }
            Membership::Diverged(divergence) => format!("it is diverged: {}", divergence.reason),
            Membership::Rebuilding { .. } => "it is being rebuilt".to_owned(),
        };
        Err(TenureEnded {
            name: self.replica.stats.name.clone(),
            reason,
        })
    }

    /// Whether the process that started then is the one that has proven last who it is. Where the relay was not told when that one
    /// started: whether the way to it was not interrupted since.
    pub fn is_held_by(&self, started: &Started) -> bool {
        match self.replica.process() {
            Some(proven) => *proven == *started,
            None => self.replica.is_trusted(),
        }
    }
}
