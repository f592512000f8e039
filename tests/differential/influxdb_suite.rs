//! InfluxDB 1.6's own server tests, which speak HTTP only: through haflux they pass as on a node alone.
//!
//! `scripts/suite-1.6 --build` makes the suite's program of Debian's source. A test that InfluxDB skips where the server is
//! elsewhere, or that fails on a node alone, proves nothing here and is only told.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_SUITE_SHORT` | unless `0`, what InfluxDB leaves out of a short run is left out |
//! | `HAFLUX_SUITE_ONLY` | only tests whose names match this regular expression of Go |

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use crate::support::long_run::plan::number;
use crate::support::{Influxd, Lab};

/// Longer than any test of the suite takes on a slow machine.
const LIMIT: &str = "120s";

/// Lines of a failed test's output that are told.
const TOLD: usize = 6;

/// What came of one of the suite's tests.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Skipped,
    Failed(String),
}

/// The suite.
struct Suite {
    program: PathBuf,
    short: bool,
}

impl Suite {
    fn new() -> Self {
        let program =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/influxdb-suite/suite.test");
        assert!(
            program.exists(),
            "{} is missing: run scripts/suite-1.6 --build",
            program.display()
        );
        Suite {
            program,
            short: number("HAFLUX_SUITE_SHORT") != Some(0),
        }
    }

    fn command(&self, server: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("URL", server)
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY");
        command
    }

    fn names(&self, server: &str) -> Vec<String> {
        let only = std::env::var("HAFLUX_SUITE_ONLY").unwrap_or_else(|_| "^Test".to_owned());
        let output = self.command(server, &["-test.list", &only]).output();
        let output = output.expect("the suite's program can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter(|line| line.starts_with("Test"));
        names.map(str::to_owned).collect()
    }

    /// Runs one test in a process of its own, because many end their whole process when something is not as they expect.
    fn run(&self, server: &str, name: &str) -> Outcome {
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

    fn run_all(&self, server: &str, names: &[String]) -> BTreeMap<String, Outcome> {
        let outcomes = names
            .iter()
            .map(|name| (name.clone(), self.run(server, name)));
        outcomes.collect()
    }
}

fn count(outcomes: &BTreeMap<String, Outcome>, wanted: impl Fn(&Outcome) -> bool) -> usize {
    outcomes.values().filter(|outcome| wanted(outcome)).count()
}

#[test]
fn what_passes_on_a_node_passes_through_haflux() {
    let suite = Suite::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Influxd::start(folder.path());
    let lab = Lab::start();
    let names = suite.names(&node.url());
    let (alone, through) = std::thread::scope(|scope| {
        let alone = scope.spawn(|| suite.run_all(&node.url(), &names));
        let through = suite.run_all(&lab.influx_url(), &names);
        (alone.join().expect("the other half of the run"), through)
    });
    for (place, outcomes) in [("a node alone", &alone), ("through haflux", &through)] {
        println!(
            "{place}: {} of {} passed, {} failed, {} skipped",
            count(outcomes, |outcome| *outcome == Outcome::Passed),
            outcomes.len(),
            count(outcomes, |outcome| matches!(outcome, Outcome::Failed(_))),
            count(outcomes, |outcome| *outcome == Outcome::Skipped),
        );
    }
    let mut worse = Vec::new();
    for (name, outcome) in &through {
        match (&alone[name], outcome) {
            (Outcome::Passed, Outcome::Passed) => {}
            (Outcome::Passed, other) => worse.push(format!("{name}: {other:?}")),
            (Outcome::Failed(why), other) => {
                println!("fails on a node alone: {name} (through haflux: {other:?}): {why}");
            }
            (Outcome::Skipped, _) => {}
        }
    }
    assert!(
        count(&alone, |outcome| *outcome == Outcome::Passed) > 0,
        "nothing passed on a node alone, so nothing was proven"
    );
    assert!(
        worse.is_empty(),
        "{} tests pass on a node alone and not through haflux:\n{}",
        worse.len(),
        worse.join("\n").replace("\\n", "\n")
    );
}
