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
use crate::stats::UdpStats;

use super::ASK_PACE;

/// Asks for one listener.
pub(super) struct Rights {
    address: SocketAddr,
    destination: Destination,
    relay: Arc<Relay>,
    stats: Arc<UdpStats>,
}

impl Rights {
    pub(super) fn new(
        address: SocketAddr,
        destination: Destination,
        relay: Arc<Relay>,
        stats: Arc<UdpStats>,
    ) -> Rights {
        Rights {
            address,
            destination,
            relay,
            stats,
        }
    }

    /// Asks again and again. A node that does not answer counts as it did before.
    pub(super) async fn watch(self) -> Infallible {
        let mut refusing = BTreeSet::new();
        loop {
            for (node, refused) in self.relay.refusals_of(&self.destination).await {
                match refused {
                    None => {
                        refusing.remove(&node);
                    }
                    Some(status) => {
                        if !refusing.contains(&node) {
                            self.tell(&node, status);
                            refusing.insert(node);
                        }
                    }
                }
            }
            self.stats.refusing_nodes.set(refusing.len() as u64);
            tokio::time::sleep(ASK_PACE).await;
        }
    }

    fn tell(&self, node: &str, status: u16) {
        let advice = match self.destination.credentials {
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
