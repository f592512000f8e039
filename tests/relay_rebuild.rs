//! A replica that is diverged is rebuilt by InfluxDB's own backup and restore, while clients write and haflux dies: the ways of
//! docs/operation.md, on real nodes.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use support::lab::relay_keys;
use support::programs::{run, succeeds};
use support::wait::SOON;
use support::{Haflux, Lab, Options, beside, http, status, wait_until, wait_until_level};

const DATABASES: [&str; 2] = ["telegraf", "with space"];

fn write(url: &str, database: &str, lines: &str) -> u16 {
    let parameters = http::query_string(&[("db", database), ("precision", "s")]);
    let answer = http::try_request(
        "POST",
        &format!("{url}/write?{parameters}"),
        &[],
        lines.as_bytes(),
    );
    answer.map_or(0, |answer| answer.status)
}

fn replica(url: &str) -> Value {
    status::relay(url)["replicas"][1].take()
}

/// `haflux replica …`, which must do what it is told.
fn order(haflux: &Haflux, arguments: &[&str]) {
    let file = haflux.file().display().to_string();
    succeeds(&Haflux::command(
        &[&["replica"], arguments, &["--config", &file]].concat(),
    ));
}

fn influxd(arguments: &[&str]) {
    succeeds(&run("influxd", arguments));
}

/// Two nodes with data, of which the second missed more than its backlog may hold.
fn lab_with_a_diverged_replica() -> Lab {
    let keys = "rewind = \"1s\"\nmax_backlog = \"1MiB\"\nretry = { max = \"500ms\" }";
    let mut lab = Lab::start_with(Options::default(), relay_keys(keys));
    for database in DATABASES {
        let statement = http::query_string(&[("q", &format!("CREATE DATABASE \"{database}\""))]);
        let answer = http::post(&format!("{}/query?{statement}", lab.influx_url()), "");
        assert_eq!(answer.status, 200);
    }
    let url = lab.influx_url();
    for number in 0..100 {
        let line = format!("early,number={number} v={number} {number}");
        assert_eq!(write(&url, DATABASES[number % 2], &line), 204);
    }
    lab.node2.kill9();
    for number in 0..40 {
        let padding = "x".repeat(50_000);
        let line = format!("missed,number={number} v={number},padding=\"{padding}\" {number}");
        assert_eq!(write(&url, DATABASES[0], &line), 204);
    }
    wait_until("the second replica to be diverged", SOON, || {
        replica(&url)["status"] == "diverged"
    });
    lab
}

/// Takes it back after `copy`, and looks whether both nodes hold the same. Clients write all the time.
fn rebuild(lab: &mut Lab, copy: impl FnOnce(&mut Lab)) {
    let url = lab.influx_url();
    let acknowledged = AtomicU64::new(0);
    let write_on = |_, over: &AtomicBool| {
        for number in 1_u64.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let lines = format!(
                "during v={number} {number}\nrising,place={} v={number} 1",
                number % 8
            );
            let database = DATABASES[usize::from(number % 3 == 0)];
            if write(&url, database, &lines) == 204 {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    beside(1, write_on, || {
        order(&lab.haflux, &["rebuild-begin", "influxlab2"]);
        let seen = acknowledged.load(Ordering::Relaxed);
        wait_until("writes between the beginning and the copy", SOON, || {
            acknowledged.load(Ordering::Relaxed) > seen + 20
        });
        copy(lab);
        let seen = acknowledged.load(Ordering::Relaxed);
        wait_until("writes between the copy and the end", SOON, || {
            acknowledged.load(Ordering::Relaxed) > seen + 20
        });
        order(&lab.haflux, &["readmit", "influxlab2"]);
        wait_until("the replica to serve again", SOON, || {
            replica(&url)["status"] == "fresh"
        });
    });
    wait_until_level(lab, SOON).expect("it has everything");
    for database in DATABASES {
        lab.assert_same(database);
    }
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    for node in [&lab.node1, &lab.node2] {
        let counted: u64 = DATABASES
            .iter()
            .map(|database| node.count(database, "during", "v"))
            .sum();
        assert!(counted >= acknowledged, "{counted} of {acknowledged}");
        assert_eq!(node.count(DATABASES[0], "missed", "v"), 40);
    }
    let relay = status::relay(&url);
    assert_eq!(relay["dead_letters"], 0, "{relay:#}");
}

/// A statement through haflux that must pass.
fn state(lab: &Lab, statement: &str) {
    let parameters = http::query_string(&[("db", DATABASES[0]), ("q", statement)]);
    let answer = http::post(&format!("{}/query?{parameters}", lab.influx_url()), "");
    assert_eq!(answer.status, 200, "{statement}: {}", answer.text());
    assert!(!answer.text().contains("error"), "{}", answer.text());
}

#[test]
fn the_portable_copy_and_what_was_written_meanwhile_make_both_alike() {
    let mut lab = lab_with_a_diverged_replica();
    rebuild(&mut lab, |lab| {
        let copy = lab.folder().join("copy").display().to_string();
        let source = lab.node1.rpc_address();
        influxd(&["backup", "-portable", "-host", &source, &copy]);
        lab.node2.stop();
        lab.node2.wipe();
        lab.node2.restart();
        let target = lab.node2.rpc_address();
        influxd(&["restore", "-portable", "-host", &target, &copy]);
        state(
            lab,
            "CREATE RETENTION POLICY late ON telegraf DURATION 520w REPLICATION 1",
        );
        assert_eq!(write(&lab.influx_url(), "telegraf", "dropped v=1 1"), 204);
        state(lab, "DROP MEASUREMENT dropped");
    });
}

/// `haflux replica …`, which must not do what it is told; why.
fn refused(haflux: &Haflux, arguments: &[&str]) -> String {
    let file = haflux.file().display().to_string();
    let output = Haflux::command(&[&["replica"], arguments, &["--config", &file]].concat());
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_replica_to_which_nothing_was_copied_is_not_taken_back_and_a_rebuild_begins_once() {
    let mut lab = lab_with_a_diverged_replica();
    lab.node2.restart();
    let marker = "marker v=1 50";
    assert_eq!(write(&lab.influx_url(), DATABASES[0], marker), 204);
    wait_until(
        "the newest point to be what the source proves itself by",
        SOON,
        || {
            let data = lab.haflux.folder().join("data/influx_relay");
            ["cursors.0", "cursors.1"].iter().any(|table| {
                let table = std::fs::read(data.join(table)).unwrap_or_default();
                String::from_utf8_lossy(&table).contains("\"measurement\":\"marker\"")
            })
        },
    );
    order(&lab.haflux, &["rebuild-begin", "influxlab2"]);
    let pinned = || {
        let file = lab.haflux.file().display().to_string();
        let inspected = Haflux::command(&["journal", "inspect", "--config", &file]).stdout;
        let inspected = String::from_utf8_lossy(&inspected).into_owned();
        let pin = inspected.lines().find(|line| line.contains("rebuild of"));
        pin.and_then(|line| line.split_whitespace().nth(3).map(str::to_owned))
    };
    let pin = pinned();
    assert!(pin.is_some());
    assert_eq!(write(&lab.influx_url(), DATABASES[0], "during v=1 1"), 204);
    let why = refused(&lab.haflux, &["rebuild-begin", "influxlab2"]);
    assert!(
        why.contains("the rebuilding of influxlab2 is under way"),
        "{why}"
    );
    assert_eq!(pinned(), pin);

    let why = refused(&lab.haflux, &["readmit", "influxlab2"]);
    assert!(
        why.contains("influxlab2 does not hold what was to be copied to it: database \"telegraf\" has not the point of measurement \"marker\""),
        "{why}"
    );
    lab.node2.stop();
    lab.node2.wipe();
    lab.node2.restart();
    let why = refused(&lab.haflux, &["readmit", "influxlab2"]);
    assert!(why.contains("is not there"), "{why}");
    // All that it can be asked for, but one measurement.
    for database in DATABASES {
        lab.node2.create_database(database);
    }
    let answer = lab.node2.write(DATABASES[0], "marker v=1 50000000000");
    assert_eq!(answer.status, 204);
    let why = refused(&lab.haflux, &["readmit", "influxlab2"]);
    assert!(
        why.contains("has 1 measurements there, and at least 3"),
        "{why}"
    );
    order(&lab.haflux, &["readmit", "influxlab2", "--as-it-is"]);
    wait_until("the replica to serve again", SOON, || {
        replica(&lab.influx_url())["status"] == "fresh"
    });
}

#[test]
fn the_whole_copy_brings_users_too_and_haflux_may_die_in_between() {
    let mut lab = lab_with_a_diverged_replica();
    state(&lab, "CREATE USER early WITH PASSWORD 'secret'");
    rebuild(&mut lab, |lab| {
        // They are in the copy, and come once more from the journal.
        state(lab, "DROP USER early");
        state(lab, "CREATE USER meanwhile WITH PASSWORD 'secret'");
        state(lab, "GRANT READ ON telegraf TO meanwhile");
        let copy = lab.folder().join("copy").display().to_string();
        let source = lab.node1.rpc_address();
        for database in DATABASES {
            influxd(&["backup", "-host", &source, "-db", database, &copy]);
        }
        lab.haflux.kill9();
        lab.haflux.restart();
        influxd(&["backup", "-host", &source, &copy]);
        lab.node2.stop();
        lab.node2.wipe();
        let part = |name| lab.node2.folder().join(name).display().to_string();
        let (meta, data) = (part("meta"), part("data"));
        for database in DATABASES {
            influxd(&[
                "restore", "-metadir", &meta, "-datadir", &data, "-db", database, &copy,
            ]);
        }
        lab.node2.restart();
    });
    let users = |query: &str| (lab.node1.query("", query), lab.node2.query("", query));
    for query in ["SHOW USERS", "SHOW GRANTS FOR meanwhile"] {
        let (source, target) = users(query);
        assert_eq!(source, target);
        assert!(query != "SHOW USERS" || source.to_string().contains("meanwhile"));
    }
}
