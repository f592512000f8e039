//! The lab of a long run. It loses its patience soon, so that much happens in little time.

use std::time::Duration;

use super::network::Network;
use crate::support::influxd::{Influxd, Options};
use crate::support::lab::{self, Lab};

/// haflux's patience with a replica: short, so that a paused node is given up within the run.
pub const RELAY_TIMEOUT: Duration = Duration::from_secs(2);

/// What differs from run to run.
pub struct Setup<'a> {
    /// How many nodes.
    pub count: usize,
    /// What nodes are told.
    pub nodes: Options,
    /// Databases that are there from the beginning.
    pub databases: &'a [&'a str],
    /// haflux's patience with a replica, mostly [`RELAY_TIMEOUT`].
    pub timeout: Duration,
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
    /// The address of the pool that is no InfluxDB, if the lab's own stand-in for Grafana is not meant.
    pub grafana: Option<&'a str>,
    /// The file of certificate and key with which the frontend of InfluxDB's clients speaks TLS too, by HTTP/1.1 and HTTP/2.
    pub certificate: Option<&'a str>,
    /// Called once the first two nodes run, before there are databases.
    pub nodes_run: &'a dyn Fn([&Influxd; 2]),
}

impl Setup<'_> {
    /// Starts it. The networks are those before the nodes.
    pub fn start(self) -> (Lab, Vec<Network>) {
        let relay = format!(
            "timeout = \"{}s\"\nretry = {{ min = \"50ms\", max = \"1s\" }}\nrewind = \"{}s\"\n{}",
            self.timeout.as_secs(),
            self.rewind.as_secs(),
            self.relay
        );
        let log = format!("access_log = {}\nstop_timeout = \"5s\"\n#", self.access_log);
        let check = format!("interval = \"{}ms\"", self.check.as_millis());
        let mut networks = Vec::new();
        let lab = Lab::start_of(self.count, self.nodes, |mut text| {
            if self.late {
                networks.push(Network::before("influxlab", &mut text));
                let further = (2..=self.count).map(|number| format!("influxlab{number}"));
                networks.extend(further.map(|name| Network::before(&name, &mut text)));
            }
            if let Some(address) = self.grafana {
                let (before, shipped) = text.rsplit_once("address = \"").expect("a server");
                let (_, after) = shipped.split_once('"').expect("an address");
                text = format!("{before}address = \"{address}\"{after}");
            }
            if let Some(certificate) = self.certificate {
                let alpn = ["alpn = [\"h2\", \"http/1.1\"]"];
                text = lab::also_secure(certificate, &alpn)(text);
            }
            let text = lab::relay_keys(&relay)(lab::pool_keys(self.pool)(text));
            lab::replace(
                text,
                &[("# access_log = true", &log), ("interval = \"2s\"", &check)],
            )
        });
        (self.nodes_run)([&lab.node1, &lab.node2]);
        for database in self.databases {
            lab.create_database(database);
        }
        (lab, networks)
    }
}
