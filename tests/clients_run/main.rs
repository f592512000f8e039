//! The run of clients: what people write and read InfluxDB with, unchanged, before one node alone and before haflux with two nodes
//! that die.
//!
//! Each client is led through the same phases twice ([`ways`]): at a node that nothing happens to, and through haflux, where
//! each node is killed with `kill -9` in the midst of one phase, stays away for the next and comes back in the third. Credentials
//! are asked for. Then:
//!
//! - what the client saw, answers and complaints, is the same both ways, step by step;
//! - both nodes hold what the node alone holds, point by point;
//! - haflux has no dead letter, and both replicas are fresh.
//!
//! The clients that `scripts/test` installs are run by it. `scripts/soak --run clients` installs the others, and runs all of them
//! on Debian's InfluxDB and on a newer one.

#[path = "../support/mod.rs"]
mod support;

mod collectd;
mod influx_command;
mod place;
mod prometheus;
mod spoken;
mod telegraf;
mod ways;

use support::long_run::CATCH_UP;
use support::{programs, wait_until_level};

use collectd::Collectd;
use influx_command::InfluxCommand;
use place::{installed, script};
use prometheus::Prometheus;
use spoken::Spoken;
use telegraf::{Output, Statistics, Telegraf};
use ways::{assert_whole, compare, go_through, place_of, start_lab};

/// The databases of the `influx` command.
const SHELL: [&str; 2] = ["shell", "imported"];

#[test]
fn pythons_influxdb() {
    let script = script("v1.py");
    compare(&["python", "odd"], |place| {
        Spoken::start(programs::python(), &script, &[], place)
    });
}

#[test]
#[ignore = "its sessions are compared by client_sessions: scripts/soak --run clients"]
fn the_influx_command() {
    compare(&SHELL, |place| InfluxCommand::new("influx", place));
}

#[test]
fn prometheus_writes_and_reads() {
    let begin = prometheus::begin();
    compare(&["prom"], |place| Prometheus::start(begin, place));
}

#[test]
#[ignore = "datagrams have tests of their own: scripts/soak --run clients"]
fn collectd_by_udp() {
    compare(&["udp"], Collectd::start);
}

#[test]
#[ignore = "needs the influx command of 1.13: scripts/soak --run clients"]
fn the_influx_command_of_1_13() {
    let program = installed("influx-1.13.2");
    compare(&SHELL, |place| InfluxCommand::new(&program, place));
}

#[test]
#[ignore = "needs node-influx: scripts/soak --run clients"]
fn node_influx() {
    let modules = installed("node/node_modules");
    let script = script("v1.js");
    compare(&["javascript"], |place| {
        Spoken::start("node", &script, &[("NODE_PATH", &modules)], place)
    });
}

#[test]
#[ignore = "needs Telegraf: scripts/soak --run clients"]
fn telegraf_to_v1() {
    compare(&["telegraf"], |place| Telegraf::start(Output::V1, place));
}

#[test]
#[ignore = "needs Telegraf: scripts/soak --run clients"]
fn telegraf_by_udp() {
    compare(&["udp"], |place| Telegraf::start(Output::Udp, place));
}

#[test]
#[ignore = "needs Telegraf, and InfluxDB 1.8 or newer: scripts/soak --run clients"]
fn v2_telegraf() {
    compare(&["telegraf"], |place| Telegraf::start(Output::V2, place));
}

#[test]
#[ignore = "needs influxdb-client, and InfluxDB 1.8 or newer: scripts/soak --run clients"]
fn v2_pythons_influxdb_client() {
    let python = installed("python/bin/python");
    let script = script("v2.py");
    compare(&["python"], |place| {
        // No release lets it make its first database by /api/v2.
        place.create_database("python");
        Spoken::start(&python, &script, &[], place)
    });
}

/// A node has no such statistics, so there is nothing to compare with but the other node.
#[test]
#[ignore = "needs Telegraf: scripts/soak --run clients"]
fn telegraf_reads_haproxys_statistics() {
    let mut lab = start_lab();
    let mut telegraf = Statistics::start(&place_of(&lab));
    let complaints = go_through(&mut lab, |_| telegraf.phase());
    telegraf.stop();
    wait_until_level(&lab, CATCH_UP).expect("both nodes catch up");
    assert_eq!(complaints.concat(), [""; 0]);
    assert_whole(&lab);
    lab.assert_same("telegraf");
    for server in ["influxlab", "influxlab2"] {
        for status in ["UP", "DOWN"] {
            let statement = format!(
                "SELECT count(status) FROM haproxy WHERE sv = '{server}' AND status = '{status}'"
            );
            let answer = lab.node1.query("telegraf", &statement);
            assert!(
                answer["results"][0]["series"].is_array(),
                "{server} {status}: {answer}"
            );
        }
    }
}
