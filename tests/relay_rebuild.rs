//! A replica that is diverged is rebuilt by InfluxDB's own backup and restore, while clients write and haflux dies: the ways of
//! docs/operation.md, on real nodes.

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use support::http;
use support::wait::SOON;
use support::{Haflux, Lab, Options, same_points, wait_until};

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
    http::get(&format!("{url}/haproxy?stats;json")).json()["relays"][0]["replicas"][1].clone()
}

/// `haflux replica …`, which must do what it is told.
fn order(haflux: &Haflux, arguments: &[&str]) {
    let file = haflux.file().display().to_string();
    let output = Haflux::command(&[&["replica"], arguments, &["--config", &file]].concat());
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn influxd(arguments: &[&str]) {
    let output = Command::new("influxd")
        .args(arguments)
        .output()
        .expect("influxd can be started");
    assert!(
        output.status.success(),
        "influxd {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Two nodes with data, of which the second missed more than its backlog may hold.
fn lab_with_a_diverged_replica() -> Lab {
    let mut lab = Lab::start_with(Options::default(), |text| {
        text.replace(
            "replicate_to = \"influx_back\"",
            "replicate_to = \"influx_back\"\nrewind = \"1s\"\nmax_backlog = \"1MiB\"\nretry = { max = \"500ms\" }\n",
        )
    });
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
    let (over, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
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
        });
        let _over = SetWhenDropped(&over);
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
    wait_until("it to have everything", SOON, || {
        let page = http::get(&format!("{url}/haproxy?stats;json")).json();
        let relay = &page["relays"][0];
        relay["replicas"].as_array().is_some_and(|replicas| {
            replicas
                .iter()
                .all(|replica| replica["cursor"] == relay["head"] && replica["in_doubt"] == false)
        })
    });
    for database in DATABASES {
        assert_eq!(
            same_points(&lab.node1, &lab.node2, database),
            Vec::<String>::new()
        );
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
    let page = http::get(&format!("{url}/haproxy?stats;json")).json();
    assert_eq!(page["relays"][0]["dead_letters"], 0, "{page:#}");
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
