//! The relay's nodes, for whoever works on them past the journal.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::model;
use crate::dial::Dialer;
use crate::journal::Sequence;
use crate::relay::intake::relay::Relay;

/// A node of the relay.
#[derive(Debug, Clone)]
pub struct RelayNode {
    /// Its server's name.
    pub name: String,
    /// Where it may be sent something now; nowhere while its name is not resolved, or its server is in maint.
    pub address: Option<SocketAddr>,
    /// What makes connections to it.
    pub dialer: Arc<Dialer>,
    /// Whether it follows the journal: it is neither diverged nor being rebuilt.
    pub follows: bool,
}

impl Relay {
    /// Its nodes, in the order of the configuration.
    pub fn nodes(&self) -> Vec<RelayNode> {
        let nodes = self.replicas.iter();
        nodes
            .map(|replica| RelayNode {
                name: replica.stats.name.clone(),
                address: replica.address(),
                dialer: Arc::clone(replica.client.dialer()),
                follows: replica.follows(),
            })
            .collect()
    }

    /// A record at or behind every one that anybody was told is stored.
    pub fn head(&self) -> Sequence {
        self.journal.barrier().sequence
    }

    /// Closes the dead letters of these nodes, up to this record and of these databases (none: all): it is known that these nodes,
    /// who had a verdict on all up to there, hold the same. How many there were.
    pub async fn settle_dead_letters(
        &self,
        nodes: &[String],
        databases: &[String],
        up_to: Sequence,
    ) -> usize {
        let letters = self.freshness.letters();
        letters.settle_compared(nodes, databases, up_to.get()).await
    }

    /// How it was configured.
    pub fn settings(&self) -> &model::Relay {
        &self.settings
    }
}
