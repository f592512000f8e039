//! InfluxDB's own server tests, which speak HTTP only: through haflux they pass as on a node alone, plain, inside TLS and over HTTP/2.
//!
//! `scripts/suite RELEASE --build` makes the suite's program.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_SUITE` | the release whose tests they are, `1.6` if it is not set; the nodes are those of all tests |
//! | `HAFLUX_SUITE_SHORT` | unless `0`, what InfluxDB leaves out of a short run is left out |
//! | `HAFLUX_SUITE_ONLY` | only tests whose names match this regular expression of Go |

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::outcomes::{self, Outcome, Outcomes, compare};
use crate::support::authority::Authority;
use crate::support::lab::{also_secure, relay_keys};
use crate::support::long_run::plan::number;
use crate::support::{Influxd, Lab, Options, status};

/// Longer than any test of the suite takes on a slow machine.
const LIMIT: &str = "120s";

/// Lines of a failed test's output that are told.
const TOLD: usize = 6;

/// Whom the suite speaks to.
struct Server {
    url: String,
    /// The authority that has signed its certificate.
    authority: Option<String>,
    /// Whether quotes in targets must be sent escaped.
    escaped: bool,
}

impl Server {
    fn plain(url: String) -> Self {
        Self {
            url,
            authority: None,
            escaped: false,
        }
    }
}

/// The suite.
struct Suite {
    program: PathBuf,
    short: bool,
}

impl Suite {
    fn new() -> Self {
        let release = std::env::var("HAFLUX_SUITE").unwrap_or_else(|_| "1.6".to_owned());
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/influxdb-suite");
        let program = folder.join(&release).join("suite.test");
        assert!(
            program.exists(),
            "{} is missing: run scripts/suite {release} --build",
            program.display()
        );
        Suite {
            program,
            short: number("HAFLUX_SUITE_SHORT") != Some(0),
        }
    }

    /// Go takes HTTP/2 by itself where a server inside TLS offers it.
    fn command(&self, server: &Server, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("URL", &server.url)
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .env_remove("https_proxy")
            .env_remove("HTTPS_PROXY");
        if let Some(authority) = &server.authority {
            command.env("SSL_CERT_FILE", authority);
        }
        if server.escaped {
            command.env("ESCAPED", "1");
        }
        command
    }

    fn names(&self, server: &Server) -> Vec<String> {
        let only = std::env::var("HAFLUX_SUITE_ONLY").unwrap_or_else(|_| "^Test".to_owned());
        let output = self.command(server, &["-test.list", &only]).output();
        let output = output.expect("the suite's program can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter(|line| line.starts_with("Test"));
        names.map(str::to_owned).collect()
    }

    /// Runs one test in a process of its own, because many end their whole process when something is not as they expect.
    fn run(&self, server: &Server, name: &str) -> Outcome {
        let pattern = format!("^{name}$");
        let mut arguments = vec!["-test.run", &pattern, "-test.v", "-test.timeout", LIMIT];
        if self.short {
            arguments.push("-test.short");
        }
        let output = self.command(server, &arguments).output();
        let output = output.expect("the suite's program can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let says = |what: &str| text.contains(&format!("--- {what}: {name}"));
        if says("SKIP") {
            Outcome::Skipped
        } else if output.status.success() && says("PASS") {
            Outcome::Passed
        } else {
            let lines = text.lines().filter(|line| !line.starts_with("==="));
            let lines: Vec<&str> = lines.take(TOLD).collect();
            let mut told = lines.join("\n    ");
            told.truncate(told.floor_char_boundary(800));
            Outcome::Failed(told)
        }
    }

    fn run_all(&self, server: &Server) -> Outcomes {
        let names = self.names(server).into_iter();
        names
            .map(|name| {
                let outcome = self.run(server, &name);
                (name, outcome)
            })
            .collect()
    }
}

/// Older releases do not know the setting.
fn nodes() -> Options {
    Options::default().set("http", "flux-enabled", "true")
}

/// What comes of the suite on a node alone, for whichever comparison is the first to ask.
static ALONE: LazyLock<Outcomes> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Influxd::start_with(folder.path(), nodes());
    let alone = Suite::new().run_all(&Server::plain(node.url()));
    outcomes::tell_alone(&alone);
    alone
});

/// A node that is slow for the machine's sake is waited for, as the suite waits for a node alone.
fn start(change: impl FnOnce(String) -> String) -> Lab {
    let patient = relay_keys("near = { time = \"1m\" }\ntimeout = \"1m\"");
    Lab::start_with(nodes(), |text| patient(change(text)))
}

fn compare_with_a_node(way: &str, server: &Server) {
    let suite = Suite::new();
    let again = |name: &str| suite.run(server, name);
    compare(way, || &ALONE, || suite.run_all(server), Some(&again));
}

/// Compares inside TLS, by HTTP/2 or not. Returns how many connections were of TLS and of HTTP/2.
fn compare_inside_tls(way: &str, http2: bool) -> (u64, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("site.pem", "localhost", 90);
    let alpn = http2.then_some("alpn = [\"h2\", \"http/1.1\"]");
    let lab = start(also_secure(&certificate, alpn.as_slice()));
    let server = Server {
        url: format!("https://{}", lab.haflux.address("secure")),
        authority: Some(authority.certificate()),
        escaped: http2,
    };
    compare_with_a_node(way, &server);
    let front = status::frontend(&lab.influx_url(), "influx_front");
    let counted = |table: &str, counter: &str| front[table][counter].as_u64().unwrap_or(0);
    let secure = counted("tls", "handshakes");
    (secure, counted("http2", "connections"))
}

#[test]
fn what_passes_on_a_node_passes_through_haflux() {
    let lab = start(|text| text);
    let server = Server::plain(lab.influx_url());
    compare_with_a_node("plain", &server);
}

#[test]
fn what_passes_on_a_node_passes_inside_tls() {
    let (secure, http2) = compare_inside_tls("inside TLS", false);
    assert!(secure > 0 && http2 == 0, "{secure}, {http2} of HTTP/2");
}

#[test]
fn what_passes_on_a_node_passes_over_http_2() {
    let (secure, http2) = compare_inside_tls("over HTTP/2", true);
    // The `influx` command, which one of 1.13's tests uses, does not speak it.
    assert!(http2 > secure / 2, "{secure}, {http2} of HTTP/2");
}
