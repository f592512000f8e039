//! The server tests of Python's `influxdb`, as its package has them: through haflux they pass as on a node alone, plain and inside TLS.
//!
//! `scripts/suite python` installs the package and what its tests need.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::outcomes::{self, Outcome, Outcomes, compare};
use crate::support::authority::Authority;
use crate::support::lab::also_secure;
use crate::support::ports::free_udp_port;
use crate::support::{Influxd, Lab, Options, status};

/// The database of what comes by UDP.
const DATABASE: &str = "db";

/// Whom the tests speak to.
struct Server {
    address: String,
    udp_port: u16,
    /// The authority that has signed its certificate, if it speaks TLS.
    authority: Option<String>,
}

impl Server {
    fn run_all(&self) -> Outcomes {
        let home = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = home.join("target/python-suite/bin/python");
        assert!(
            python.exists(),
            "{} is missing: run scripts/suite python --build",
            python.display()
        );
        let (_, port) = self.address.split_once(':').expect("host:port");
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        let mut command = Command::new(python);
        command
            .arg(home.join("tests/differential/python_suite/run.py"))
            .args([port, scheme, &self.udp_port.to_string()])
            .env("no_proxy", "*")
            .envs(
                self.authority
                    .iter()
                    .map(|file| ("REQUESTS_CA_BUNDLE", file)),
            );
        let output = command.output().expect("python can be started");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().map(outcome).collect()
    }
}

/// What a line of `run.py` tells.
fn outcome(line: &str) -> (String, Outcome) {
    let mut words = line.splitn(3, ' ');
    let (what, name) = (words.next(), words.next().unwrap_or_default());
    let outcome = match what {
        Some("PASSED") => Outcome::Passed,
        Some("SKIPPED") => Outcome::Skipped,
        _ => Outcome::Failed(words.next().unwrap_or_default().to_owned()),
    };
    (name.to_owned(), outcome)
}

/// What comes of the tests on a node alone, for whichever comparison is the first to ask.
static ALONE: LazyLock<Outcomes> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let udp_port = free_udp_port();
    let options = Options::default()
        .set("[udp]", "enabled", "true")
        .set(
            "[udp]",
            "bind-address",
            &format!("\"127.0.0.1:{udp_port}\""),
        )
        .set("[udp]", "database", &format!("{DATABASE:?}"))
        .set("[udp]", "batch-timeout", "\"100ms\"");
    let node = Influxd::start_with(folder.path(), options);
    let server = Server {
        address: node.address(),
        udp_port,
        authority: None,
    };
    let alone = server.run_all();
    outcomes::tell_alone(&alone);
    alone
});

fn start(change: impl FnOnce(String) -> String) -> Lab {
    let udp = format!(
        "\n[[udp]]\nbind = \"127.0.0.1:UDP(lines)\"\nrelay = \"influx_relay\"\ndb = {DATABASE:?}\n"
    );
    Lab::start_with(Options::default(), |text| change(text) + &udp)
}

#[test]
#[ignore = "needs packages from PyPI: scripts/suite python"]
fn what_passes_on_a_node_passes_through_haflux() {
    let lab = start(|text| text);
    let server = Server {
        address: lab.haflux.address("influx_front"),
        udp_port: lab.haflux.udp_port("lines"),
        authority: None,
    };
    compare("plain", || &ALONE, || server.run_all(), None);
}

#[test]
#[ignore = "needs packages from PyPI: scripts/suite python"]
fn what_passes_on_a_node_passes_inside_tls() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("site.pem", "localhost", 90);
    let lab = start(also_secure(&certificate, &[]));
    let server = Server {
        address: lab.haflux.address("secure"),
        udp_port: lab.haflux.udp_port("lines"),
        authority: Some(authority.certificate()),
    };
    compare("inside TLS", || &ALONE, || server.run_all(), None);
    let front = status::frontend(&lab.influx_url(), "influx_front");
    assert!(front["tls"]["handshakes"].as_u64() > Some(0), "{front}");
}
