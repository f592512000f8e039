//! Whole sessions of the clients that people use, and requests that no client makes: through haflux they show what a node alone
//! shows.
//!
//! Each session runs twice: against a fresh node, and through haflux before two fresh nodes. What it shows step by step must be
//! the same. What differs by design stands in one table, with its reason ([`differences`]); an entry that is not needed is an
//! error too.

mod differences;
mod influx;
mod requests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use crate::support::programs::{self, run, succeeds};
use crate::support::{Influxd, Lab, Options};
use regex::Regex;
use tempfile::TempDir;

/// The user that everything is done as, where there are users.
const CREDENTIALS: (&str, &str) = ("root", "root");

/// One thing that a session did.
pub struct Step {
    pub name: String,
    /// What came of it.
    pub shown: String,
}

/// Where a session is led.
pub enum Way {
    Node {
        node: Box<Influxd>,
        _folder: TempDir,
    },
    Haflux(Box<Lab>),
}

impl Way {
    fn to_node(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Way::Node {
            node: Box::new(Influxd::start_with(folder.path(), options)),
            _folder: folder,
        }
    }

    fn through_haflux(options: Options) -> Self {
        Way::Haflux(Box::new(Lab::start_with(options, |text| text)))
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        match self {
            Way::Node { node, .. } => node.address(),
            Way::Haflux(lab) => lab.haflux.address("influx_front"),
        }
    }

    /// A text without what must differ: where it was asked, and when; numbers of shards.
    pub fn without_what_must_differ(&self, text: &str) -> String {
        static MOMENT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)?").expect("a sound expression")
        });
        static SHARD: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\bshard \d+:").expect("a sound expression"));
        let text = text.replace(&self.address(), "ADDRESS");
        let text = MOMENT.replace_all(&text, "MOMENT");
        SHARD.replace_all(&text, "shard N:").into_owned()
    }
}

/// Runs a session both ways, and compares.
fn compare(session: &str, auth: bool, run: impl Fn(&Way) -> Vec<Step>) {
    let options = || {
        if auth {
            Options::default().auth()
        } else {
            Options::default()
        }
    };
    let alone = run(&Way::to_node(options()));
    let through = run(&Way::through_haflux(options()));
    let names =
        |steps: &[Step]| -> Vec<String> { steps.iter().map(|step| step.name.clone()).collect() };
    assert_eq!(names(&alone), names(&through), "both ways the same steps");
    assert!(!alone.is_empty(), "the session did something");
    let (mut known, mut wrong) = (BTreeSet::new(), Vec::new());
    for (alone, through) in alone.iter().zip(&through) {
        if alone.shown == through.shown {
            continue;
        }
        match differences::entry(session, auth, &alone.name) {
            Some(entry) => {
                known.insert(entry);
            }
            None => wrong.push(told(alone, through)),
        }
    }
    let entries = differences::entries(session, auth);
    let needless = entries.difference(&known);
    wrong.extend(needless.map(|name| format!("{name}: no difference, though it is in the table")));
    assert!(
        wrong.is_empty(),
        "{session}, auth {auth}: {} of {} steps differ\n{}",
        wrong.len(),
        alone.len(),
        wrong.join("\n")
    );
}

/// A step's lines that only a node shows (`-`), or only haflux (`+`).
fn told(alone: &Step, through: &Step) -> String {
    let lines = |shown: &str| -> Vec<String> { shown.lines().map(str::to_owned).collect() };
    let (on_node, on_haflux) = (lines(&alone.shown), lines(&through.shown));
    let only = |these: &[String], others: &[String], sign: &str| -> String {
        let these = these.iter().filter(|line| !others.contains(line));
        these
            .map(|line| format!("\n  {sign} {}", line.trim_start()))
            .collect()
    };
    format!(
        "{}{}{}",
        alone.name,
        only(&on_node, &on_haflux, "-"),
        only(&on_haflux, &on_node, "+")
    )
}

/// A session of Python's `influxdb`.
fn python(way: &Way, auth: bool) -> Vec<Step> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/queries/client_sessions/session.py");
    let script = script.to_str().expect("a plain name");
    let address = way.address();
    let (host, port) = address.split_once(':').expect("host:port");
    let users = if auth { "auth" } else { "open" };
    let said = succeeds(&run(programs::python(), &[script, host, port, users]));
    let said = way.without_what_must_differ(&said);
    said.lines()
        .map(|line| {
            let (name, shown) = line.split_once(" => ").unwrap_or((line, ""));
            Step {
                name: name.to_owned(),
                shown: shown.to_owned(),
            }
        })
        .collect()
}

#[test]
fn python_sees_a_node() {
    compare("python", false, |way| python(way, false));
}

#[test]
fn python_sees_a_node_that_asks_for_credentials() {
    compare("python", true, |way| python(way, true));
}

#[test]
fn the_influx_command_sees_a_node() {
    compare("influx", false, |way| influx::session(way, false));
}

#[test]
fn the_influx_command_sees_a_node_that_asks_for_credentials() {
    compare("influx", true, |way| influx::session(way, true));
}

#[test]
fn requests_see_a_node() {
    compare("requests", false, |way| requests::session(way, false));
}

#[test]
fn requests_see_a_node_that_asks_for_credentials() {
    compare("requests", true, |way| requests::session(way, true));
}
