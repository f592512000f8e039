//! `haflux mend` and `haflux compare` where a schema is odd, or an order names what is not there.

use crate::known::know_by_one;
use crate::support::lab::{brisk, relay_keys};
use crate::support::wait::SOON;
use crate::support::write::write_with;
use crate::support::{Lab, Options, wait_until, wait_until_level};

/// Two nodes with a point in the database `one`.
fn lab() -> Lab {
    let lab = Lab::start_of(2, Options::default(), brisk);
    know_by_one(&lab);
    lab
}

/// Exit status, standard output and standard error.
fn told(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String, String) {
    let told = lab.haflux.told(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (told.status.code(), text(&told.stdout), text(&told.stderr))
}

const MEND: [&str; 4] = ["mend", "--from", "influxlab", "--yes"];

/// InfluxDB lists such a duration as Go writes it, with a fraction that InfluxQL does not know.
#[test]
fn a_policy_whose_shards_last_for_a_part_of_a_second_is_mended() {
    let lab = lab();
    let policy =
        "CREATE RETENTION POLICY odd ON one DURATION INF REPLICATION 1 SHARD DURATION 3601500ms";
    lab.node1.query("", policy);
    lab.node1.query(
        "",
        "CREATE DATABASE other WITH SHARD DURATION 3600001ms NAME odd",
    );
    let answer = write_with(&lab.node1.url(), &[("db", "one"), ("rp", "odd")], "m v=1 1");
    assert_eq!(answer.status, 204);
    let (status, said, _) = told(&lab, &MEND);
    assert_eq!(status, Some(0), "{said}");
    lab.assert_same("one");
    for database in ["one", "other"] {
        let policies = format!("SHOW RETENTION POLICIES ON {database}");
        let [one, two] = [&lab.node1, &lab.node2].map(|node| node.query("", &policies));
        assert_eq!(one, two);
    }
}

/// InfluxDB makes a policy with a database that it is not told one of.
#[test]
fn a_database_without_a_default_policy_gets_none() {
    let lab = lab();
    for statement in [
        "CREATE DATABASE bare",
        "CREATE DATABASE named",
        "CREATE RETENTION POLICY odd ON named DURATION 30d REPLICATION 1",
        "DROP RETENTION POLICY autogen ON bare",
        "DROP RETENTION POLICY autogen ON named",
        "CREATE DATABASE whole",
        "CREATE DATABASE both",
    ] {
        lab.node1.query("", statement);
    }
    // The default of the first node is dropped, and its autogen is none then; the second one has its own.
    for database in ["whole", "both"] {
        for statement in [
            "CREATE RETENTION POLICY p ON {} DURATION INF REPLICATION 1 DEFAULT",
            "DROP RETENTION POLICY p ON {}",
        ] {
            lab.node1.query("", &statement.replace("{}", database));
        }
    }
    lab.node2.create_database("both");
    let (status, said, _) = told(&lab, &MEND);
    assert_eq!(status, Some(0), "{said}");
    for database in ["bare", "named", "whole", "both"] {
        let policies = format!("SHOW RETENTION POLICIES ON {database}");
        let [one, two] = [&lab.node1, &lab.node2].map(|node| node.query("", &policies));
        assert_eq!(one, two);
    }
}

/// A comparison says nothing of passwords, so the nodes may differ in them still.
#[test]
fn the_dead_letter_of_a_password_stays_open() {
    let lab = lab();
    lab.carry_out("", "CREATE USER pw WITH PASSWORD 'first'");
    wait_until_level(&lab, SOON).expect("both know the user");
    lab.node2.query("", "DROP USER pw");
    lab.carry_out("", "SET PASSWORD FOR pw = 'new'");
    let letters = || lab.haflux.order(&["dead-letters", "list"]);
    wait_until("a dead letter", SOON, || letters().contains("influxlab2"));
    lab.node2.query("", "CREATE USER pw WITH PASSWORD 'old'");
    let (status, said, _) = told(&lab, &MEND);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("a comparison does not see"), "{said}");
    assert!(!said.contains("are closed"), "{said}");
    assert!(letters().contains("influxlab2"), "{}", letters());
}

#[test]
fn what_is_not_there_is_neither_compared_nor_mended() {
    let lab = lab();
    for order in [
        &["compare", "--db", "one", "--db", "nope"][..],
        &["mend", "--union", "--db", "nope", "--yes"],
    ] {
        let (status, said, _) = told(&lab, order);
        assert_eq!(status, Some(2), "{order:?}: {said}");
        assert!(said.contains("no node has a database nope"), "{said}");
    }
    for order in [
        &["compare", "--from", "2024-01-02", "--to", "2024-01-01"][..],
        &[
            "mend",
            "--union",
            "--since",
            "2024-01-02",
            "--until",
            "2024-01-02",
        ],
    ] {
        let (status, said, error) = told(&lab, order);
        let said = said + &error;
        assert_eq!(status, Some(2), "{order:?}: {said}");
        assert!(said.contains("ends before it begins"), "{said}");
    }
    let (status, said, _) = told(&lab, &["mend", "--from", "influxlb"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("there is no node influxlb; did you mean influxlab?"),
        "{said}"
    );
    // One that only one node has is there.
    lab.node1.create_database("two");
    let (status, said, _) = told(&lab, &["compare", "--db", "two"]);
    assert_eq!(status, Some(1), "{said}");
}

/// What the node refused is not counted as written.
#[test]
fn points_that_were_refused_are_not_counted_as_written() {
    let lab = lab();
    let write = |node: &crate::support::Influxd, lines: &str| {
        assert_eq!(node.write("one", lines).status, 204);
    };
    // The fields have types that differ, and a union drops no measurement.
    write(&lab.node1, "m v=1i 1\nn v=1 1\n");
    write(&lab.node2, "m v=1 2");
    let (_, said, _) = told(&lab, &["mend", "--union", "--yes"]);
    assert!(said.contains("m in one is not mended"), "{said}");
    let counted = "influxlab2, database one: 1 points written";
    assert!(said.contains(counted), "{said}");
    assert!(!said.contains("influxlab, database one"), "{said}");
}

#[test]
fn nodes_that_know_users_are_not_asked_without_an_administrator() {
    let options = Options::default().auth();
    let mut lab = Lab::start_with(options, relay_keys("retry = { max = \"500ms\" }"));
    let create = "CREATE USER root WITH PASSWORD 'all' WITH ALL PRIVILEGES";
    lab.node1.query_answer("", create);
    lab.node2.query_answer("", create);
    lab.node1.log_in("root", "all");
    lab.node2.log_in("root", "all");
    let (status, said, _) = told(&lab, &["compare"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("heal.username"), "{said}");
    assert!(!said.contains("\"\""), "{said}");
}
