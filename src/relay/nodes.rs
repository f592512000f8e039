//! The relay's nodes, for whoever works on them past the journal.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::model;
use crate::dial::Dialer;
use crate::journal::Sequence;
use crate::relay::dead_letters::Settled;
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

    /// Whether the node of this name follows the journal, has a verdict on every record up to this one, and nothing may still change
    /// its data for an older one.
    pub fn holds(&self, name: &str, record: Sequence) -> bool {
        let mut replicas = self.replicas.iter();
        let replica = replicas.find(|replica| replica.stats.name == name);
        replica.is_some_and(|replica| {
            replica.follows() && self.freshness.is_settled(replica.index, record)
        })
    }

    /// A record at or behind every one that anybody was told is stored.
    pub fn head(&self) -> Sequence {
        self.journal.barrier().sequence
    }

    /// Closes the dead letters of these nodes, up to this record and of these databases (none: all): it is known that these nodes,
    /// who had a verdict on all up to there, hold the same.
    pub async fn settle_dead_letters(
        &self,
        nodes: &[String],
        databases: &[String],
        up_to: Sequence,
    ) -> Settled {
        let letters = self.freshness.letters();
        // Who compares some databases compares no users.
        let users = databases.is_empty();
        letters
            .settle_compared(nodes, databases, users, up_to.get())
            .await
    }

    /// Closes the dead letters of a node up to this record, on which it had a verdict, because it is known to hold what `source` holds,
    /// with `users` the same users, too.
    /// Where that one has open letters itself, nothing is closed.
    pub async fn settle_letters_of_copy(
        &self,
        source: &str,
        copy: &str,
        users: bool,
        up_to: u64,
    ) -> Settled {
        let letters = self.freshness.letters();
        if letters.any_open(source) {
            return Settled::default();
        }
        letters
            .settle_compared(&[copy.to_owned()], &[], users, up_to)
            .await
    }

    /// Dead letters that nobody has settled.
    pub fn open_dead_letters(&self) -> usize {
        self.freshness.letters().count()
    }

    /// How it was configured.
    pub fn settings(&self) -> &model::Relay {
        &self.settings
    }
}
