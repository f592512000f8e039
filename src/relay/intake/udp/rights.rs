//! Whether the nodes let a listener's lines in. Nobody waits for a record of UDP, so nobody hears that it is refused: the nodes are
//! asked, and what they say stands in the log, on the page and in a count.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use log::error;

use crate::influx::Credentials;
use crate::relay::Relay;
use crate::relay::record::write::Destination;
use crate::relay::replica::questions::DatabaseAnswer;
use crate::stats::UdpStats;

use super::database::Database;
use super::{ASK_PACE, WATCH_PACE};

/// What a node that has no such database answers to a write.
const NOT_FOUND: u16 = 404;

/// Asks for one listener.
pub(super) struct Rights {
    address: SocketAddr,
    destination: Destination,
    relay: Arc<Relay>,
    stats: Arc<UdpStats>,
    database: Arc<Database>,
}

impl Rights {
    pub(super) fn new(
        address: SocketAddr,
        destination: Destination,
        relay: Arc<Relay>,
        stats: Arc<UdpStats>,
        database: Arc<Database>,
    ) -> Rights {
        Rights {
            address,
            destination,
            relay,
            stats,
            database,
        }
    }

    /// Asks again and again. A node that does not answer counts as it did before.
    pub(super) async fn watch(self) -> Infallible {
        let mut refusing = BTreeSet::new();
        loop {
            let answers = self.relay.answers_to(&self.destination).await;
            let is_dropped = self.learn(&answers);
            for (node, answer) in answers {
                let status = match answer {
                    DatabaseAnswer::Refused(status) => status,
                    DatabaseAnswer::Missing if is_dropped => NOT_FOUND,
                    DatabaseAnswer::There | DatabaseAnswer::Missing => {
                        refusing.remove(&node);
                        continue;
                    }
                };
                if !refusing.contains(&node) {
                    self.tell(&node, status);
                    refusing.insert(node);
                }
            }
            self.stats.refusing_nodes.set(refusing.len() as u64);
            let pace = match self.database.was_there() {
                true => ASK_PACE,
                false => WATCH_PACE,
            };
            tokio::time::sleep(pace).await;
        }
    }

    /// Learns from the answers whether the database is there; returns whether it was dropped. One node alone may be behind.
    fn learn(&self, answers: &[(String, DatabaseAnswer)]) -> bool {
        let are =
            |wanted: &DatabaseAnswer| answers.iter().filter(|(_, said)| said == wanted).count();
        match (are(&DatabaseAnswer::There), are(&DatabaseAnswer::Missing)) {
            (1.., 0) => {
                self.database.found();
                false
            }
            (0, 1..) => self.database.missed(),
            _ => false,
        }
    }

    fn tell(&self, node: &str, status: u16) {
        let advice = match self.destination.credentials {
            _ if status == NOT_FOUND => "the database was dropped: make it again",
            Credentials::None => {
                "it asks for credentials: give this listener username and password_file"
            }
            _ => "look at the listener's user, its password, and its right to write there",
        };
        error!(
            "udp {}: {node} refuses its lines to database {:?} with {status}, and they are lost there; {advice}",
            self.address, self.destination.database
        );
    }
}
