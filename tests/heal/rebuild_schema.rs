//! `haflux replica rebuild` where databases, policies or continuous queries of the nodes are odd: none of them stands against it.

use std::fs;

use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::write::write_with;
use crate::support::{Lab, Options, status, wait_until, wait_until_level};

const REBUILD: [&str; 4] = ["replica", "rebuild", "influxlab2", "--yes"];

fn lab() -> Lab {
    let keys = "rewind = \"1s\"\nretry = { max = \"500ms\" }";
    let lab = Lab::start_with(Options::default(), relay_keys(keys));
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "m v=1 1").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lab
}

/// The second node comes back without anything.
fn lose_the_disk(lab: &mut Lab) {
    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
}

#[track_caller]
fn assert_equal(lab: &Lab) {
    wait_until_level(lab, SOON).expect("both have everything");
    lab.assert_same("telegraf");
    let policies = "SHOW RETENTION POLICIES ON telegraf";
    for statement in ["SHOW DATABASES", policies] {
        let [one, two] = [&lab.node1, &lab.node2].map(|node| node.query("", statement));
        assert_eq!(one, two);
    }
}

/// What the node had before its data was copied is not asked for when it is taken back.
#[test]
fn a_database_that_was_dropped_while_a_node_was_away_stops_no_rebuild() {
    let mut lab = lab();
    lab.carry_out("", "CREATE DATABASE dropped");
    assert_eq!(lab.write("dropped", "m v=1 1").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lose_the_disk(&mut lab);
    lab.carry_out("", "DROP DATABASE dropped");
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert_equal(&lab);
    // It is known by its new data when it comes back.
    assert_eq!(lab.write("telegraf", "m v=2 2").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lab.node2.kill9();
    lab.node2.restart();
    assert_eq!(lab.write("telegraf", "m v=3 3").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    assert_equal(&lab);
}

/// InfluxDB lists such a duration as Go writes it, with a fraction that InfluxQL does not know.
#[test]
fn a_policy_whose_shards_last_for_a_part_of_a_second_is_copied() {
    let mut lab = lab();
    lab.carry_out(
        "",
        "CREATE RETENTION POLICY odd ON telegraf DURATION 7203000001u REPLICATION 1 SHARD DURATION 3601500ms",
    );
    let now = jiff::Timestamp::now().as_nanosecond();
    let lines = format!("m v=1 {now}");
    let parameters = [("db", "telegraf"), ("rp", "odd")];
    assert_eq!(
        write_with(&lab.influx_url(), &parameters, lines).status,
        204
    );
    wait_until_level(&lab, SOON).expect("both have it");
    lose_the_disk(&mut lab);
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert_equal(&lab);
}

/// InfluxDB has no default policy where that was dropped, and makes one with a database.
#[test]
fn a_database_without_a_default_policy_gets_none() {
    let mut lab = lab();
    for statement in [
        "CREATE DATABASE whole",
        "CREATE RETENTION POLICY p ON whole DURATION INF REPLICATION 1 DEFAULT",
        "DROP RETENTION POLICY p ON whole",
    ] {
        lab.carry_out("", statement);
    }
    wait_until_level(&lab, SOON).expect("both have it");
    lose_the_disk(&mut lab);
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert_equal(&lab);
    let policies = "SHOW RETENTION POLICIES ON whole";
    let [one, two] = [&lab.node1, &lab.node2].map(|node| node.query("", policies));
    assert_eq!(one, two);
}

/// InfluxDB keeps a continuous query whose policy is dropped, and refuses to create it.
#[test]
fn a_continuous_query_that_the_node_refuses_is_a_note() {
    let mut lab = lab();
    for statement in [
        "CREATE RETENTION POLICY gone ON telegraf DURATION INF REPLICATION 1",
        "CREATE CONTINUOUS QUERY idle ON telegraf BEGIN SELECT mean(v) AS v INTO telegraf.gone.never FROM nothing GROUP BY time(1h) END",
        "DROP RETENTION POLICY gone ON telegraf",
    ] {
        lab.carry_out("", statement);
    }
    wait_until_level(&lab, SOON).expect("both have it");
    lose_the_disk(&mut lab);
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert!(
        said.contains("The continuous query \"idle\" of telegraf is not on influxlab2"),
        "{said}"
    );
    assert_equal(&lab);
    let folder = lab.haflux.folder().join("data/influx_relay");
    let unfinished = fs::exists(folder.join("rebuild.json"));
    assert!(!unfinished.expect("the folder can be read"));
}
