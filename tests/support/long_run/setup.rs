//! The lab of a long run. It loses its patience soon, so that much happens in little time.

use std::time::Duration;

use super::network::Network;
use crate::support::influxd::Options;
use crate::support::lab::{self, Lab};

/// haflux's patience with a replica: short, so that a paused node is given up within the run.
pub const RELAY_TIMEOUT: Duration = Duration::from_secs(2);

/// What differs from run to run.
pub struct Setup<'a> {
    /// What nodes are told.
    pub nodes: Options,
    /// Databases that are there from the beginning.
    pub databases: &'a [&'a str],
    /// How far a node that was away is sent again what it had.
    pub rewind: Duration,
    /// More keys of the relay.
    pub relay: &'a str,
    /// More keys of the pool.
    pub pool: &'a str,
    /// Between two checks of a node.
    pub check: Duration,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Whether there is a network before each node that can deliver late.
    pub late: bool,
}

impl Setup<'_> {
    /// Starts it. The networks are those before the nodes.
    pub fn start(self) -> (Lab, Vec<Network>) {
        let relay = format!(
            "timeout = \"{}s\"\nretry = {{ min = \"50ms\", max = \"1s\" }}\nrewind = \"{}s\"\n{}",
            RELAY_TIMEOUT.as_secs(),
            self.rewind.as_secs(),
            self.relay
        );
        let log = format!("access_log = {}\nstop_timeout = \"5s\"\n#", self.access_log);
        let check = format!("interval = \"{}ms\"", self.check.as_millis());
        let mut networks = Vec::new();
        let lab = Lab::start_with(self.nodes, |mut text| {
            if self.late {
                let nodes = ["influxlab", "influxlab2"];
                networks.extend(nodes.map(|name| Network::before(name, &mut text)));
            }
            let text = lab::relay_keys(&relay)(lab::pool_keys(self.pool)(text));
            lab::replace(
                text,
                &[("# access_log = true", &log), ("interval = \"2s\"", &check)],
            )
        });
        for database in self.databases {
            lab.create_database(database);
        }
        (lab, networks)
    }
}
