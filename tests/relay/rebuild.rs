//! A replica that is diverged is rebuilt by InfluxDB's own backup and restore, while clients write and haflux dies: the ways of
//! docs/operation.md, on real nodes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support;
use crate::support::lab::relay_keys;
use crate::support::programs::{run, succeeds};
use crate::support::wait::SOON;
use crate::support::{Lab, Options, beside, status, try_write_with, wait_until, wait_until_level};

const DATABASES: [&str; 2] = ["telegraf", "with space"];

/// The status that is answered to lines whose times are seconds.
fn write_seconds(url: &str, database: &str, lines: &str) -> u16 {
    try_write_with(url, &[("db", database), ("precision", "s")], lines)
}

fn influxd(arguments: &[&str]) {
    succeeds(&run(&support::influxd::program(), arguments));
}

/// Two nodes with data, of which the second missed more than its backlog may hold.
fn lab_with_a_diverged_replica() -> Lab {
    let keys = "rewind = \"1s\"\nmax_backlog = \"1MiB\"\nretry = { max = \"500ms\" }";
    let mut lab = Lab::start_with(Options::default(), relay_keys(keys));
    for database in DATABASES {
        let answer = lab.query("", &format!("CREATE DATABASE \"{database}\""));
        assert_eq!(answer.status, 200);
    }
    let url = lab.influx_url();
    for number in 0..100 {
        let line = format!("early,number={number} v={number} {number}");
        assert_eq!(write_seconds(&url, DATABASES[number % 2], &line), 204);
    }
    lab.node2.kill9();
    for number in 0..40 {
        let padding = "x".repeat(50_000);
        let line = format!("missed,number={number} v={number},padding=\"{padding}\" {number}");
        assert_eq!(write_seconds(&url, DATABASES[0], &line), 204);
    }
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&url, 1)["status"] == "diverged"
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
            if write_seconds(&url, database, &lines) == 204 {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    beside(1, write_on, || {
        lab.haflux
            .order(&["replica", "rebuild-begin", "influxlab2"]);
        let seen = acknowledged.load(Ordering::Relaxed);
        wait_until("writes between the beginning and the copy", SOON, || {
            acknowledged.load(Ordering::Relaxed) > seen + 20
        });
        copy(lab);
        let seen = acknowledged.load(Ordering::Relaxed);
        wait_until("writes between the copy and the end", SOON, || {
            acknowledged.load(Ordering::Relaxed) > seen + 20
        });
        lab.haflux.order(&["replica", "readmit", "influxlab2"]);
        wait_until("the replica to serve again", SOON, || {
            status::replica(&url, 1)["status"] == "fresh"
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
        lab.carry_out(
            DATABASES[0],
            "CREATE RETENTION POLICY late ON telegraf DURATION 520w REPLICATION 1",
        );
        assert_eq!(
            write_seconds(&lab.influx_url(), "telegraf", "dropped v=1 1"),
            204
        );
        lab.carry_out(DATABASES[0], "DROP MEASUREMENT dropped");
    });
}

#[test]
fn a_replica_to_which_nothing_was_copied_is_not_taken_back_and_a_rebuild_begins_once() {
    let mut lab = lab_with_a_diverged_replica();
    lab.node2.restart();
    let marker = "marker v=1 50";
    assert_eq!(write_seconds(&lab.influx_url(), DATABASES[0], marker), 204);
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
    lab.haflux
        .order(&["replica", "rebuild-begin", "influxlab2"]);
    let pinned = || {
        let inspected = lab.haflux.told(&["journal", "inspect"]).stdout;
        let inspected = String::from_utf8_lossy(&inspected).into_owned();
        let pin = inspected.lines().find(|line| line.contains("rebuild of"));
        pin.and_then(|line| line.split_whitespace().nth(3).map(str::to_owned))
    };
    let pin = pinned();
    assert!(pin.is_some());
    assert_eq!(
        write_seconds(&lab.influx_url(), DATABASES[0], "during v=1 1"),
        204
    );
    let why = lab
        .haflux
        .refuses(&["replica", "rebuild-begin", "influxlab2"]);
    assert!(
        why.contains("the rebuilding of influxlab2 is under way"),
        "{why}"
    );
    assert_eq!(pinned(), pin);

    let why = lab.haflux.refuses(&["replica", "readmit", "influxlab2"]);
    assert!(
        why.contains("influxlab2 does not hold what was to be copied to it: database \"telegraf\" has not the point of measurement \"marker\""),
        "{why}"
    );
    lab.node2.stop();
    lab.node2.wipe();
    lab.node2.restart();
    let why = lab.haflux.refuses(&["replica", "readmit", "influxlab2"]);
    assert!(why.contains("is not there"), "{why}");
    // All that it can be asked for, but one measurement.
    for database in DATABASES {
        lab.node2.create_database(database);
    }
    let answer = lab.node2.write(DATABASES[0], "marker v=1 50000000000");
    assert_eq!(answer.status, 204);
    let why = lab.haflux.refuses(&["replica", "readmit", "influxlab2"]);
    assert!(
        why.contains("has 1 measurements there, and at least 3"),
        "{why}"
    );
    lab.haflux
        .order(&["replica", "readmit", "influxlab2", "--as-it-is"]);
    wait_until("the replica to serve again", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "fresh"
    });
}

#[test]
fn the_whole_copy_brings_users_too_and_haflux_may_die_in_between() {
    let mut lab = lab_with_a_diverged_replica();
    lab.carry_out(DATABASES[0], "CREATE USER early WITH PASSWORD 'secret'");
    rebuild(&mut lab, |lab| {
        // They are in the copy, and come once more from the journal.
        lab.carry_out(DATABASES[0], "GRANT READ ON telegraf TO early");
        lab.carry_out(DATABASES[0], "DROP USER early");
        // The copy holds what the second of each leaves, and meets the first.
        for statement in [
            "CREATE RETENTION POLICY changed ON telegraf DURATION 520w REPLICATION 1",
            "ALTER RETENTION POLICY changed ON telegraf DURATION 500w",
            "CREATE RETENTION POLICY gone ON telegraf DURATION 520w REPLICATION 1",
            "ALTER RETENTION POLICY gone ON telegraf DURATION 500w",
            "DROP RETENTION POLICY gone ON telegraf",
            "CREATE CONTINUOUS QUERY idle ON telegraf BEGIN SELECT mean(v) INTO never FROM nothing GROUP BY time(1h) END",
            "DROP CONTINUOUS QUERY idle ON telegraf",
            "CREATE CONTINUOUS QUERY idle ON telegraf BEGIN SELECT max(v) INTO never FROM nothing GROUP BY time(1h) END",
        ] {
            lab.carry_out(DATABASES[0], statement);
        }
        lab.carry_out(DATABASES[0], "CREATE USER meanwhile WITH PASSWORD 'secret'");
        lab.carry_out(DATABASES[0], "GRANT READ ON telegraf TO meanwhile");
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
    for query in [
        "SHOW USERS",
        "SHOW GRANTS FOR meanwhile",
        "SHOW RETENTION POLICIES ON telegraf",
        "SHOW CONTINUOUS QUERIES",
    ] {
        let (source, target) = users(query);
        assert_eq!(source, target);
        assert!(query != "SHOW USERS" || source.to_string().contains("meanwhile"));
    }
}
