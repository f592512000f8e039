//! The relay's nodes, for whoever works on them past the journal.

use std::net::SocketAddr;

use crate::config::model;
use crate::relay::intake::relay::Relay;

/// A node of the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayNode {
    /// Its server's name.
    pub name: String,
    /// Where it may be sent something now; nowhere while its name is not resolved, or its server is in maint.
    pub address: Option<SocketAddr>,
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
                follows: replica.follows(),
            })
            .collect()
    }

    /// How it was configured.
    pub fn settings(&self) -> &model::Relay {
        &self.settings
    }
}
