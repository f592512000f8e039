//! `haflux compare` on real nodes: differences are planted on the nodes, past haflux, and each is named, and nothing else.

use std::collections::BTreeSet;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support;
use crate::support::lab::{brisk, relay_keys, replace};
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Lab, Options, status, wait_until};
use serde_json::Value;

/// The beginning of an hour, in seconds.
const HOUR: i64 = 1_700_002_800;

/// Two policies, and two shard groups of one: database, policy, and the time of the first point in seconds.
const PLACES: [(&str, &str, i64); 4] = [
    ("one", "autogen", HOUR),
    ("one", "autogen", HOUR + 14 * 86_400),
    ("one", "year p", HOUR + 5),
    ("two", "autogen", HOUR),
];

/// Points of each series, ten seconds apart.
const POINTS: i64 = 20;

fn lab(nodes: usize) -> Lab {
    let lab = Lab::start_of(nodes, Options::default(), brisk);
    for database in ["one", "two", "schema"] {
        lab.create_database(database);
    }
    for node in lab.nodes() {
        node.query(
            "",
            "CREATE RETENTION POLICY \"year p\" ON one DURATION 9999d REPLICATION 1",
        );
    }
    wait_until("all nodes to be known", SOON, || {
        let taken = lab.write("two", "known v=1 1").status == 204;
        taken
            && lab
                .nodes()
                .iter()
                .all(|node| node.count("two", "known", "v") == 1)
    });
    lab
}

/// What `haflux compare --json` says, and its exit status.
fn compare(haflux: &Haflux, arguments: &[&str]) -> (i32, Value) {
    let said = haflux.told(&[&["compare", "--json"], arguments].concat());
    let status = said.status.code().unwrap_or(-1);
    (status, document(&said))
}

#[track_caller]
fn document(said: &Output) -> Value {
    serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Kinds and places of the differences.
fn found(report: &Value) -> BTreeSet<String> {
    let differences = report["differences"].as_array().expect("differences");
    let named = differences.iter().map(|difference| {
        let text = |key: &str| difference[key].as_str().expect("a text").to_owned();
        format!("{} {}", text("kind"), text("place"))
    });
    let found: BTreeSet<String> = named.collect();
    assert_eq!(found.len(), differences.len(), "{report}");
    found
}

#[track_caller]
fn assert_same(haflux: &Haflux, arguments: &[&str]) {
    let (status, report) = compare(haflux, arguments);
    assert_eq!(found(&report), BTreeSet::new(), "{report}");
    assert_eq!(
        (status, &report["state"]),
        (0, &Value::from("done")),
        "{report}"
    );
}

/// RFC 3339, as a difference names it.
fn moment(seconds: i64, nanoseconds: i32) -> String {
    let time = jiff::Timestamp::new(seconds, nanoseconds).expect("a time");
    time.to_string()
}

fn line(measurement: &str, host: &str, fields: &str, seconds: i64) -> String {
    format!("{measurement},host={host} {fields} {seconds}000000000\n")
}

/// The fields of a point that all nodes hold.
fn fields(number: i64) -> String {
    let float = number as f64 * 0.1 + 1.0;
    format!(
        "f={float:?},i={number}i,s=\"text {number}\",b={}",
        number % 2 == 0
    )
}

#[track_caller]
fn write(node: &Influxd, database: &str, policy: &str, lines: &str) {
    use crate::support::write::write_with;
    let answer = write_with(&node.url(), &[("db", database), ("rp", policy)], lines);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A node, and where something is planted on it.
struct Plant<'lab> {
    nodes: [&'lab Influxd; 2],
    database: &'static str,
    policy: &'static str,
    measurement: String,
    start: i64,
}

impl Plant<'_> {
    fn write(&self, node: usize, host: &str, fields: &str, seconds: i64) {
        let measurement = self.measurement.replace(' ', "\\ ");
        let lines = line(&measurement, host, fields, self.start + seconds);
        write(self.nodes[node], self.database, self.policy, &lines);
    }

    fn delete(&self, node: usize, host: &str, seconds: i64) {
        let time = self.start + seconds;
        let delete = format!(
            "DELETE FROM \"{}\" WHERE host = '{host}' AND time = {time}s",
            self.measurement
        );
        self.nodes[node].query(self.database, &delete);
    }

    fn series(&self, kind: &str, host: &str) -> String {
        let Plant {
            database,
            policy,
            measurement,
            ..
        } = self;
        format!("{kind} {database}.{policy}.{measurement},host={host}")
    }

    fn point(&self, host: &str, seconds: i64) -> String {
        let time = moment(self.start + seconds, 0);
        format!("{} {time}", self.series("point", host))
    }
}

/// Something that makes nodes differ, and the differences that it makes.
type Planting = fn(&Plant) -> Vec<String>;

const PLANTINGS: [(&str, Planting); 12] = [
    ("missing", |plant| {
        plant.delete(1, "a", 30);
        vec![plant.point("a", 30)]
    }),
    ("extra", |plant| {
        plant.write(1, "a", "f=1", 35);
        vec![plant.point("a", 35)]
    }),
    ("integer", |plant| {
        plant.write(1, "a", "i=4i", 30);
        vec![plant.point("a", 30)]
    }),
    ("float", |plant| {
        plant.write(1, "a", "f=1.3000001", 30);
        vec![plant.point("a", 30)]
    }),
    ("last bit", |plant| {
        // Two values of an hour of their own.
        plant.write(0, "lonely", "f=0.3", 2 * 3600);
        plant.write(1, "lonely", "f=0.30000000000000004", 2 * 3600);
        vec![plant.point("lonely", 2 * 3600)]
    }),
    ("text", |plant| {
        plant.write(1, "a", "s=\"TEXT 3\"", 30);
        vec![plant.point("a", 30)]
    }),
    ("boolean", |plant| {
        plant.write(1, "a", "b=true", 30);
        vec![plant.point("a", 30)]
    }),
    ("other fields", |plant| {
        plant.delete(1, "a", 30);
        plant.write(1, "a", "f=1.3,s=\"text 3\",b=false", 30);
        vec![plant.point("a", 30)]
    }),
    ("series", |plant| {
        let drop = format!(
            "DROP SERIES FROM \"{}\" WHERE host = 'b'",
            plant.measurement
        );
        plant.nodes[1].query(plant.database, &drop);
        let [first, last] = [0, (POINTS - 1) * 10].map(|at| moment(plant.start + at, 0));
        vec![format!("{} {first} to {last}", plant.series("points", "b"))]
    }),
    ("type", |plant| {
        for seconds in [10, 20] {
            plant.write(0, "a", "x=1i", seconds);
            plant.write(1, "a", "x=1", seconds);
        }
        let Plant {
            database,
            policy,
            measurement,
            start,
            ..
        } = plant;
        let week = 7 * 86_400;
        // InfluxDB's weeks begin on Mondays.
        let from = start - (start - 4 * 86_400).rem_euclid(week);
        // It may go on for a fraction of a second behind those that InfluxDB shows.
        let [from, until] = [from, from + week + 1].map(|seconds| moment(seconds, 0));
        vec![format!(
            "type {database}.{policy}.{measurement} x from {from} to {until}"
        )]
    }),
    ("swapped deletes", |plant| {
        plant.delete(0, "a", 30);
        plant.delete(1, "a", 40);
        vec![plant.point("a", 30), plant.point("a", 40)]
    }),
    ("moved", |plant| {
        // The newest point, with the same values a second later.
        let seconds = (POINTS - 1) * 10;
        plant.delete(1, "a", seconds);
        plant.write(1, "a", &fields(POINTS - 1), seconds + 1);
        vec![plant.point("a", seconds), plant.point("a", seconds + 1)]
    }),
];

/// The same points on all nodes, for every planting and place.
fn sow(lab: &Lab) {
    for (at, (database, policy, start)) in PLACES.into_iter().enumerate() {
        let mut lines = String::new();
        for (name, _) in PLANTINGS {
            let measurement = format!("{name}{at}").replace(' ', "\\ ");
            for host in ["a", "b"] {
                for number in 0..POINTS {
                    lines += &line(&measurement, host, &fields(number), start + number * 10);
                }
            }
        }
        for node in lab.nodes() {
            write(node, database, policy, &lines);
        }
    }
}

/// Plants differences of schemas, and says what they make.
fn plant_schemas(lab: &Lab) -> Vec<String> {
    let [one, two] = [&lab.node1, &lab.node2];
    let both = [
        "CREATE RETENTION POLICY changed ON schema DURATION 30d REPLICATION 1 SHARD DURATION 1d",
        "CREATE RETENTION POLICY other ON schema DURATION 30d REPLICATION 1 SHARD DURATION 1d",
        "CREATE CONTINUOUS QUERY changed ON schema BEGIN SELECT mean(v) INTO a FROM b GROUP BY time(1h) END",
        "CREATE USER rights WITH PASSWORD 'p'",
        "CREATE USER rank WITH PASSWORD 'p'",
        "GRANT READ ON schema TO rights",
    ];
    for statement in both {
        for node in [one, two] {
            node.query("", statement);
        }
    }
    assert_same(&lab.haflux, &["--db", "schema"]);
    for (node, statement) in [
        (one, "CREATE DATABASE \"only one\""),
        (two, "CREATE DATABASE \"only two\""),
        (
            one,
            "CREATE RETENTION POLICY lacking ON schema DURATION 30d REPLICATION 1",
        ),
        (
            two,
            "ALTER RETENTION POLICY changed ON schema DURATION 60d SHARD DURATION 2d",
        ),
        (two, "ALTER RETENTION POLICY other ON schema DEFAULT"),
        (
            one,
            "CREATE CONTINUOUS QUERY lacking ON schema BEGIN SELECT mean(v) INTO a FROM b GROUP BY time(1h) END",
        ),
        (two, "DROP CONTINUOUS QUERY changed ON schema"),
        (
            two,
            "CREATE CONTINUOUS QUERY changed ON schema BEGIN SELECT max(v) INTO a FROM b GROUP BY time(1h) END",
        ),
        (two, "CREATE USER lacking WITH PASSWORD 'p'"),
        (two, "GRANT ALL PRIVILEGES TO rank"),
        (two, "GRANT ALL ON schema TO rights"),
        (one, "GRANT WRITE ON one TO rights"),
    ] {
        node.query("", statement);
    }
    let made = [
        "database only one",
        "database only two",
        "policy schema.lacking",
        "policy schema.changed duration",
        "policy schema.changed shard duration",
        "policy schema.other default",
        "policy schema.autogen default",
        "query schema.lacking",
        "query schema.changed",
        "user lacking",
        "user rank administrator",
        "user rights on schema",
        "user rights on one",
    ];
    made.map(str::to_owned).into()
}

#[test]
fn each_planted_difference_is_named_and_nothing_else() {
    let lab = lab(2);
    sow(&lab);
    assert_same(&lab.haflux, &[]);
    assert_same(&lab.haflux, &["--full"]);
    let mut planted = BTreeSet::new();
    for (at, (database, policy, start)) in PLACES.into_iter().enumerate() {
        // Half of them on the first node.
        let nodes = match at % 2 {
            0 => [&lab.node1, &lab.node2],
            _ => [&lab.node2, &lab.node1],
        };
        for (name, planting) in PLANTINGS {
            planted.extend(planting(&Plant {
                nodes,
                database,
                policy,
                measurement: format!("{name}{at}"),
                start,
            }));
        }
    }
    planted.extend(plant_schemas(&lab));
    assert!(planted.len() > 50);
    for arguments in [&[][..], &["--full"]] {
        let (status, report) = compare(&lab.haflux, arguments);
        let found = found(&report);
        let lacking: Vec<_> = planted.difference(&found).collect();
        let more: Vec<_> = found.difference(&planted).collect();
        assert!(
            lacking.is_empty() && more.is_empty(),
            "lacks {lacking:#?}, has {more:#?}, {report}"
        );
        assert_eq!(status, 1, "{report}");
        assert_eq!(report["differing"], planted.len());
    }
    // Places that are left out are not compared.
    let (status, report) = compare(
        &lab.haflux,
        &[
            "--db",
            "two",
            "--from",
            &moment(HOUR + 35, 0),
            "--to",
            &moment(HOUR + 36, 0),
        ],
    );
    let only = BTreeSet::from([format!(
        "point two.autogen.extra3,host=a {}",
        moment(HOUR + 35, 0)
    )]);
    assert_eq!((status, found(&report)), (1, only), "{report}");
}

/// What sums cannot see in the middle of an hour, reading everything does.
#[test]
fn full_sees_what_sums_cannot() {
    let lab = lab(2);
    let points = |change: &dyn Fn(i64) -> (i64, i64, f64)| {
        let lines = (0..100).map(|number| {
            let (second, integer, float) = change(number);
            format!("m i={integer}i,f={float:?} {}000000000\n", HOUR + second)
        });
        lines.collect::<String>()
    };
    write(
        &lab.node1,
        "one",
        "autogen",
        &points(&|number| (number * 10, number, 1000.5)),
    );
    write(
        &lab.node2,
        "one",
        "autogen",
        &points(&|number| match number {
            // Two values changed places, one moved in time, one differs in its last bit.
            20 => (200, 21, 1000.5),
            21 => (210, 20, 1000.5),
            30 => (301, 30, 1000.5),
            40 => (400, 40, 1000.5_f64.next_up()),
            _ => (number * 10, number, 1000.5),
        }),
    );
    assert_same(&lab.haflux, &[]);
    let (status, report) = compare(&lab.haflux, &["--full"]);
    let place = format!(
        "points one.autogen.m {} to {}",
        moment(HOUR + 200, 0),
        moment(HOUR + 400, 0)
    );
    assert_eq!(
        (status, found(&report)),
        (1, BTreeSet::from([place])),
        "{report}"
    );
    assert_eq!(
        report["differences"][0]["holds"][0][1],
        "4 of 5 points that differ"
    );
}

/// Says that it is over, also when a test fails.
struct Ends<'over>(&'over AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One node stands still again and again, so it lacks what the other has, or holds what stood there before.
#[test]
fn what_is_on_its_way_is_no_difference() {
    let mut lab = lab(2);
    let url = lab.influx_url();
    let over = AtomicBool::new(false);
    let Lab { haflux, node2, .. } = &mut lab;
    let haflux = &*haflux;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0_i64;
            while !over.load(Ordering::Relaxed) {
                // New points, and one that is overwritten all the time.
                let now = jiff::Timestamp::now().as_nanosecond();
                let lines = format!("m,host=a v={number}i {now}\nm,host=b v={number}i 1\n");
                assert_eq!(support::write::write(&url, "one", &lines).status, 204);
                number += 1;
            }
            number
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (of, is_still) in [(300, true), (15, false)] {
                    match is_still {
                        true => node2.pause(),
                        false => node2.resume(),
                    }
                    std::thread::sleep(Duration::from_millis(of));
                }
            }
        });
        let ends = Ends(&over);
        let until = Instant::now() + Duration::from_secs(6);
        while Instant::now() < until {
            for arguments in [&[][..], &["--full"]] {
                assert_same(haflux, arguments);
            }
        }
        drop(ends);
        assert!(writer.join().expect("the writer ends well") > 10);
    });
    wait_until("nothing to be on its way", SOON, || {
        let relay = status::relay(&url);
        let replicas = relay["replicas"].as_array().expect("replicas");
        replicas.iter().all(|replica| {
            replica["status"] == "fresh"
                && replica["in_doubt"] == false
                && replica["lag"]["records"] == 0
        })
    });
    // One that stays is found all the same.
    lab.node2.write("one", "m,host=b v=-1i 1");
    let (status, report) = compare(&lab.haflux, &[]);
    let place = "point one.autogen.m,host=b 1970-01-01T00:00:00.000000001Z";
    assert_eq!(
        (status, found(&report)),
        (1, BTreeSet::from([place.to_owned()]))
    );
}

/// One field of a point is another one on one node, and stays so, while the others are written all the time.
#[test]
fn a_field_that_differs_is_found_in_a_point_that_moves() {
    let lab = lab(2);
    let url = lab.influx_url();
    write(&lab.node1, "one", "autogen", "m,host=a x=1i 1");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let lines = format!("m,host=a v={number}i 1");
                assert_eq!(support::try_write(&url, "one", &lines), 204);
            }
        });
        let ends = Ends(&over);
        for arguments in [&[][..], &["--full"]] {
            let (status, report) = compare(&lab.haflux, arguments);
            let place = "point one.autogen.m,host=a 1970-01-01T00:00:00.000000001Z";
            let place = BTreeSet::from([place.to_owned()]);
            assert_eq!((status, found(&report)), (1, place), "{report}");
            let holds = &report["differences"][0]["holds"];
            assert_eq!(
                holds,
                &serde_json::json!([["influxlab", "x=1i"], ["influxlab2", "x=-"]])
            );
        }
        drop(ends);
    });
}

/// Clients make the same database, and the same point, and remove them: looked at node by node, they differ now and then, and always
/// by the same.
#[test]
fn what_comes_and_goes_is_no_difference() {
    let lab = lab(2);
    let url = lab.influx_url();
    let over = AtomicBool::new(false);
    let turns = AtomicU64::new(0);
    let until_over = |turn: &dyn Fn()| {
        while !over.load(Ordering::Relaxed) {
            turn();
            turns.fetch_add(1, Ordering::Relaxed);
        }
    };
    let state = |database: &str, statement: &str| {
        support::carry_out(&url, &[("db", database), ("q", statement)]);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until_over(&|| {
                state("", "CREATE DATABASE comes");
                state("", "DROP DATABASE comes");
            });
        });
        scope.spawn(|| {
            until_over(&|| {
                assert_eq!(support::try_write(&url, "one", "m,host=a v=1i 1"), 204);
                state("one", "DELETE FROM m WHERE time = 1");
            });
        });
        let ends = Ends(&over);
        for _ in 0..20 {
            assert_same(&lab.haflux, &["--db", "one", "--db", "comes"]);
        }
        drop(ends);
    });
    assert!(turns.load(Ordering::Relaxed) > 50);
}

#[test]
fn a_node_that_is_away_is_named_and_the_others_are_compared() {
    let mut lab = lab(3);
    for node in lab.nodes() {
        write(node, "one", "autogen", "m v=1 1");
    }
    write(&lab.further[0], "one", "autogen", "m v=2 1");
    let (status, report) = compare(&lab.haflux, &[]);
    let place = BTreeSet::from(["point one.autogen.m 1970-01-01T00:00:00.000000001Z".to_owned()]);
    assert_eq!((status, found(&report)), (1, place.clone()), "{report}");
    let holds = serde_json::json!([
        ["influxlab", "v=1.0"],
        ["influxlab2", "v=1.0"],
        ["influxlab3", "v=2.0"]
    ]);
    assert_eq!(report["differences"][0]["holds"], holds);

    lab.node2.kill9();
    let (status, report) = compare(&lab.haflux, &[]);
    assert_eq!((status, found(&report)), (2, place), "{report}");
    let why = report["state"]["failed"].as_str().expect("why");
    assert!(why.contains("influxlab2"), "{why}");

    lab.further[0].kill9();
    let said = lab.haflux.told(&["compare"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert!(
        text.contains("influxlab2") && text.contains("influxlab3"),
        "{text}"
    );
}

#[test]
fn nodes_are_compared_as_often_as_is_said_and_the_result_is_on_the_page() {
    let lab = Lab::start_with(Options::default(), |text| {
        relay_keys("compare = \"1s\"")(brisk(text))
    });
    lab.create_database("one");
    let differences = || status::relay(&lab.influx_url())["compared"]["differences"].clone();
    wait_until("the first comparison", SOON, || differences() == 0);
    write(&lab.node1, "one", "autogen", "m v=1 1");
    wait_until("the difference to be found", SOON, || differences() == 1);
    let said = lab.haflux.told(&["status"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        text.contains("The nodes of relay influx_relay differ"),
        "{text}"
    );
    lab.haflux.says("the nodes differ: 1 differences");
    write(&lab.node2, "one", "autogen", "m v=1 1");
    wait_until("the difference to be over", SOON, || differences() == 0);
}

#[test]
fn a_comparison_that_haflux_began_by_itself_gives_way_to_a_person_and_is_done_afterwards() {
    let lab = Lab::start_with(Options::default(), |text| {
        let keys = "compare = \"24h\"\nheal = { max_rate = \"64KiB\" }";
        relay_keys(keys)(brisk(text))
    });
    // The sums of some thousand series are several times what may be read in a second, and nothing of them is read for another database.
    for node in lab.nodes() {
        node.create_database("one");
        node.create_database("two");
        let series = (0..1_500).map(|number| format!("m,host=h{number} v={number} {number}\n"));
        assert_eq!(node.write("one", &series.collect::<String>()).status, 204);
    }
    let work = || status::relay(&lab.influx_url())["work"].take();
    wait_until("it to be under way", SOON, || work()["running"] == true);
    assert_same(&lab.haflux, &["--db", "two"]);
    wait_until("it to be under way again", SOON, || {
        work()["running"] == true
    });
    let said = lab.haflux.order(&["compare", "--cancel"]);
    assert!(said.contains("ends"), "{said}");
}

/// Whoever comes from another relay may have nodes that differ already.
#[test]
fn nodes_that_are_new_are_compared_by_themselves_once() {
    let mut lab = Lab::start_with(Options::default(), brisk);
    lab.create_database("one");
    write(&lab.node1, "one", "autogen", "m v=1 1");
    let loud = "THE NODES DIFFER, from before haflux: 1 differences";
    wait_until("the log to say so", 3 * SOON, || {
        lab.haflux.log().contains(loud)
    });
    lab.haflux.terminate();
    lab.haflux.restart();
    let compared = status::relay(&lab.influx_url())["compared"].take();
    assert_eq!(
        (&compared["differences"], &compared["running"]),
        (&1.into(), &false.into())
    );
}

/// Nodes with a journal were seen before: what differs there is not from before haflux.
#[test]
fn nodes_with_a_journal_are_not_new_after_a_restart() {
    let mut lab = Lab::start_with(Options::default(), brisk);
    lab.create_database("one");
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("one", "m v=1 1").status == 204
    });
    lab.haflux.kill9();
    lab.haflux.restart();
    // Nodes that are new are compared fifteen seconds after the start.
    std::thread::sleep(Duration::from_secs(17));
    let compared = status::relay(&lab.influx_url())["compared"].take();
    assert!(compared["differences"].is_null(), "{compared}");
    assert!(!lab.haflux.log().contains("compare begins"));
}

#[test]
fn one_that_is_under_way_keeps_to_its_rate_refuses_another_and_is_cancelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "all\n").expect("a file");
    let keys = format!(
        "heal = {{ username = \"admin\", password_file = \"{}\", max_rate = \"64KiB\" }}",
        password.display()
    );
    let mut lab = Lab::start_with(Options::default().auth(), |text| {
        let metrics = "name = \"influx_front\"\nmetrics_uri = \"/haflux/metrics\"\n";
        let text = replace(text, &[("name = \"influx_front\"\n", metrics)]);
        relay_keys(&keys)(brisk(text))
    });
    lab.node1.log_in("admin", "all");
    lab.node2.log_in("admin", "all");
    for node in lab.nodes() {
        let create = "CREATE USER admin WITH PASSWORD 'all' WITH ALL PRIVILEGES";
        assert_eq!(
            support::http::post(
                &format!(
                    "{}/query?{}",
                    node.url(),
                    support::http::query_string(&[("q", create)])
                ),
                ""
            )
            .status,
            200
        );
        node.create_database("one");
        let points = (0..50_000).map(|number| format!("m v={number} {number}\n"));
        assert_eq!(node.write("one", &points.collect::<String>()).status, 204);
    }
    // Sums are few bytes.
    assert_same(&lab.haflux, &[]);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| lab.haflux.told(&["compare", "--full"]));
        wait_until("the comparison to be under way", SOON, || {
            status::relay(&lab.influx_url())["compared"]["running"] == true
        });
        wait_until("rows to be counted", SOON, || {
            status::relay(&lab.influx_url())["work"]["points"] != 0
        });
        let work = status::relay(&lab.influx_url())["work"].take();
        assert_eq!(
            (&work["name"], &work["running"], &work["slices"]),
            (&"compare".into(), &true.into(), &1.into()),
            "{work:#}"
        );
        let told = lab.haflux.told(&["status"]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(
            text.contains("UNDER WAY: compare of relay influx_relay, for ")
                && text.contains(": comparing points: 0 %, 0 of 1 slices, "),
            "{text}"
        );
        let page = support::http::get(&format!("{}/haproxy?stats", lab.influx_url())).text();
        assert!(page.contains("Under way: compare"), "{page}");
        let metrics = support::http::get(&format!("{}/haflux/metrics", lab.influx_url())).text();
        for figure in ["running", "slices"] {
            let line = format!("haflux_heal_{figure}{{relay=\"influx_relay\",work=\"compare\"}} 1");
            assert!(metrics.contains(&line), "no {line} in {metrics}");
        }
        let follows = scope.spawn(|| lab.haflux.told(&["compare", "--follow"]));
        let refused = lab.haflux.told(&["compare"]);
        assert_eq!(refused.status.code(), Some(2));
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            why.contains("a comparison is under way: haflux compare --cancel ends it"),
            "{why}"
        );
        let said = lab.haflux.order(&["compare", "--cancel"]);
        assert!(said.contains("ends"), "{said}");
        let slow = slow.join().expect("it ends");
        let text = String::from_utf8_lossy(&slow.stdout).into_owned();
        assert_eq!(slow.status.code(), Some(2), "{slow:?}");
        assert!(text.contains("it was cancelled"), "{text}");
        let follows = follows.join().expect("it ends");
        assert_eq!(follows.status.code(), Some(2), "{follows:?}");
        assert_eq!(status::relay(&lab.influx_url())["work"]["running"], false);
    });
    for order in [
        &["compare", "--cancel"][..],
        &["mend", "--cancel"],
        &["replica", "rebuild", "--cancel"],
    ] {
        let told = lab.haflux.told(order);
        assert_eq!(told.status.code(), Some(1), "{order:?}: {told:?}");
    }
}
