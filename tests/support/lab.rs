//! The lab: two real nodes, and haflux in front of them as `conf/haflux.toml` says, on ports of its own.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::haflux::Haflux;
use super::influxd::{Influxd, Options};
use super::points::same_points;
use super::stand_in::{Behaviour, StandIn};
use super::wait::{SOON, wait_until};
use super::write::write;

/// The lab. Its frontends are `http_front` and `influx_front`.
pub struct Lab {
    /// The program.
    pub haflux: Haflux,
    /// `influxlab`.
    pub node1: Influxd,
    /// `influxlab2`.
    pub node2: Influxd,
    /// `influxlab3` and so on, where a test wants more than two.
    pub further: Vec<Influxd>,
    /// Stands in for Grafana.
    pub grafana: StandIn,
    // Dropped last: the others keep their files in it.
    folder: TempDir,
}

impl Lab {
    /// Starts all of it.
    pub fn start() -> Self {
        Self::start_with(Options::default(), |configuration| configuration)
    }

    /// Starts all of it with checks that come often and nodes that are tried again soon, and makes the database `telegraf` on the nodes.
    pub fn start_brisk() -> Self {
        let lab = Self::start_with(Options::default(), brisk);
        lab.create_database("telegraf");
        lab
    }

    /// Starts all of it, nodes with `options` and haflux with a configuration that `change` has had its way with.
    pub fn start_with(options: Options, change: impl FnOnce(String) -> String) -> Self {
        Self::start_of(2, options, change)
    }

    /// The same with so many nodes, two at least.
    pub fn start_of(nodes: usize, options: Options, change: impl FnOnce(String) -> String) -> Self {
        let (first, second) = (options.clone(), options.clone());
        let further = (3..=nodes).map(|_| options.clone()).collect();
        Self::start_each(first, second, further, change)
    }

    /// The same, each node with options of its own.
    pub fn start_each(
        first: Options,
        second: Options,
        further: Vec<Options>,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let further = (3..).zip(further).map(|(number, options)| {
            let folder = folder.path().join(format!("influxlab{number}"));
            Influxd::start_with(&folder, options)
        });
        let further: Vec<Influxd> = further.collect();
        let node1 = Influxd::start_with(&folder.path().join("influxlab"), first);
        let node2 = Influxd::start_with(&folder.path().join("influxlab2"), second);
        let grafana = StandIn::start(|_| Behaviour::status(200, "Grafana"));
        let mut configuration = change(configuration(&node1, &node2, &further, &grafana));
        if !configuration.contains("\nmax_backlog =") {
            // The default is more than a small machine has free, and it would be told so at the top of every view.
            let limit = "replicate_to = \"influx_back\"\nmax_backlog = \"1GiB\"";
            configuration = configuration.replace("replicate_to = \"influx_back\"", limit);
        }
        Lab {
            haflux: Haflux::start(&folder.path().join("haflux"), &configuration),
            node1,
            node2,
            further,
            grafana,
            folder,
        }
    }

    /// All nodes, in their order.
    pub fn nodes(&self) -> Vec<&Influxd> {
        [&self.node1, &self.node2]
            .into_iter()
            .chain(&self.further)
            .collect()
    }

    /// Makes a database on all nodes.
    pub fn create_database(&self, name: &str) {
        for node in self.nodes() {
            node.create_database(name);
        }
    }

    /// Writes these points of `m` into `telegraf`, each by a request that must be acknowledged.
    #[track_caller]
    pub fn write_points(&self, points: Range<u64>) {
        for point in points {
            let line = format!("m v={point} {point}");
            let answer = write(&self.influx_url(), "telegraf", line);
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    }

    /// Waits until both nodes have so many points of `measurement`, each with a field `v`; then they must hold the same.
    #[track_caller]
    pub fn both_hold(&self, database: &str, measurement: &str, points: u64) {
        for node in [&self.node1, &self.node2] {
            wait_until(
                &format!("{points} points of {measurement} on {}", node.address()),
                SOON,
                || node.count(database, measurement, "v") == points,
            );
        }
        self.assert_same(database);
    }

    /// Both nodes must hold the same in `database`.
    #[track_caller]
    pub fn assert_same(&self, database: &str) {
        assert_eq!(same_points(&self.node1, &self.node2, database), [""; 0]);
    }

    /// Where clients of InfluxDB go.
    pub fn influx_url(&self) -> String {
        self.haflux.url("influx_front")
    }

    /// Where Grafana's users go.
    pub fn grafana_url(&self) -> String {
        self.haflux.url("http_front")
    }

    /// The folder that holds everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves that folder on the disk for a person to look at.
    pub fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

/// The file that the project ships, with nothing changed but addresses and the folder.
fn configuration(
    node1: &Influxd,
    node2: &Influxd,
    further: &[Influxd],
    grafana: &StandIn,
) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf/haflux.toml");
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut last = "address = \"10.0.2.3:8086\" },\n".to_owned();
    for (number, node) in (3..).zip(further) {
        let address = node.address();
        last += &format!("  {{ name = \"influxlab{number}\", address = \"{address}\" }},\n");
    }
    replace(
        text,
        &[
            ("address = \"10.0.2.3:8086\" },\n", &last),
            ("/var/lib/haflux", "FOLDER/data"),
            ("0.0.0.0:8086", "127.0.0.1:PORT(influx_front)"),
            ("0.0.0.0:80", "127.0.0.1:PORT(http_front)"),
            ("10.0.2.2:8086", &node1.address()),
            ("10.0.2.3:8086", &node2.address()),
            ("10.0.2.2:3000", &grafana.address()),
        ],
    )
}

/// A change to the configuration: checks that come often, and nodes that are tried again soon.
pub fn brisk(text: String) -> String {
    let text = replace(text, &[("interval = \"2s\"", "interval = \"100ms\"")]);
    relay_keys("retry = { max = \"500ms\" }")(text)
}

/// A change to the configuration: more keys of the relay.
pub fn relay_keys(keys: &str) -> impl FnOnce(String) -> String + use<> {
    more_keys("replicate_to = \"influx_back\"", keys)
}

/// A change to the configuration: more keys of the nodes' pool.
pub fn pool_keys(keys: &str) -> impl FnOnce(String) -> String + use<> {
    more_keys("balance = \"roundrobin\"", keys)
}

/// A change to the configuration: the frontend of InfluxDB's clients has a second address, `secure`, inside TLS with this file of certificate
/// and key, and `keys` in its table `tls`.
pub fn also_secure(certificate: &str, keys: &[&str]) -> impl FnOnce(String) -> String + use<> {
    let certificate = format!("certificate = {certificate:?}");
    let table = ["addresses = \"127.0.0.1:PORT(secure)\"", &certificate];
    let table = [&table, keys].concat().join(", ");
    let bind = "bind = \"127.0.0.1:PORT(influx_front)\"";
    let both = "bind = [\"127.0.0.1:PORT(influx_front)\", \"127.0.0.1:PORT(secure)\"]";
    let both = format!("{both}\ntls = {{ {table} }}");
    move |text| replace(text, &[(bind, &both)])
}

fn more_keys(behind: &'static str, keys: &str) -> impl FnOnce(String) -> String + use<> {
    let all = format!("{behind}\n{keys}\n");
    move |text| replace(text, &[(behind, &all)])
}

/// Replaces what the shipped configuration says by what is here.
#[track_caller]
pub fn replace(mut text: String, changes: &[(&str, &str)]) -> String {
    for (shipped, here) in changes {
        assert!(
            text.contains(shipped),
            "the configuration has no {shipped} any more"
        );
        text = text.replace(shipped, here);
    }
    text
}
