//! Two nodes of which the first refuses what the second takes, and what haflux keeps of that.

use std::path::PathBuf;

use serde_json::Value;

use super::influxd::Options;
use super::lab::{Lab, relay_keys};
use super::status;
use super::wait::{SOON, wait_until};

const KEYS: &str = "rewind = \"100ms\"\nretry = { min = \"20ms\", max = \"200ms\" }";

/// Two nodes with a database `db`, both known. `keys` are added to the relay's.
pub fn lab(keys: &str) -> Lab {
    let keys = format!("{KEYS}\n{keys}");
    let lab = Lab::start_with(Options::default(), relay_keys(&keys));
    lab.create_database("db");
    wait_until("both nodes to be known", SOON, || {
        lab.write("db", "known v=1 1").header("x-haflux-applied") == Some("2/2")
            || lab.node2.count("db", "known", "v") == 1
    });
    lab
}

/// The same; the field `v` of the measurement `m` is text on the first one, so that it refuses numbers there.
pub fn lab_that_differs(keys: &str) -> Lab {
    let lab = lab(keys);
    let answer = lab.node1.write("db", "m v=\"text\" 1");
    assert_eq!(answer.status, 204, "{}", answer.text());
    lab
}

/// The second node goes away, and haflux knows it.
pub fn take_away(lab: &mut Lab) {
    lab.node2.kill9();
    wait_until("its absence to be known", SOON, || {
        lab.write("db", "alone v=1 1").header("x-haflux-applied") == Some("1/2")
    });
}

/// What the relay says of itself.
pub fn relay(lab: &Lab) -> Value {
    status::relay(&lab.grafana_url())
}

/// The dead letters of the first node; the second one has none.
pub fn dead_letters(lab: &Lab) -> usize {
    let text = lab.haflux.order(&["dead-letters", "list"]);
    assert!(!text.contains("influxlab2"), "{text}");
    let names = text.split_whitespace();
    names.filter(|word| word.ends_with("-influxlab")).count()
}

/// Whether both nodes have judged everything.
pub fn both_are_through(lab: &Lab) -> bool {
    let relay = relay(lab);
    (0..2).all(|replica| relay["replicas"][replica]["lag"]["records"] == 0)
}

/// Where dead letters and pending refusals are.
pub fn letters_folder(lab: &Lab) -> PathBuf {
    lab.haflux.folder().join("data/influx_relay/dead-letters")
}
