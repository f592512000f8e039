//! `haflux mend` on real nodes: differences are planted on the nodes, past haflux; a mend ends them while clients write.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::lab::{brisk, relay_keys};
use crate::support::points::{same_points, same_values};
use crate::support::status;
use crate::support::wait::SOON;
use crate::support::write::write_with;
use crate::support::{Influxd, Lab, Options, wait_until};
use serde_json::Value;

/// The beginning of an hour, in seconds.
const HOUR: i64 = 1_700_002_800;

fn lab() -> Lab {
    lab_with(brisk)
}

fn lab_with(change: impl FnOnce(String) -> String) -> Lab {
    let lab = Lab::start_of(2, Options::default(), change);
    lab.create_database("one");
    for node in lab.nodes() {
        node.query(
            "",
            "CREATE RETENTION POLICY \"year p\" ON one DURATION 9999d REPLICATION 1",
        );
    }
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("one", "known v=1 1").status == 204
            && [0, 1]
                .map(|number| status::replica(&lab.influx_url(), number)["lag"]["records"] == 0)
                == [true; 2]
    });
    lab
}

/// What `haflux mend --json` says, and its exit status.
#[track_caller]
fn mend(lab: &Lab, arguments: &[&str]) -> (i32, Value) {
    let said = lab.haflux.told(&[&["mend", "--json"], arguments].concat());
    let report = serde_json::from_slice(&said.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.status.code().unwrap_or(-1), report)
}

#[track_caller]
fn write(node: &Influxd, policy: &str, lines: &str) {
    let answer = write_with(&node.url(), &[("db", "one"), ("rp", policy)], lines);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

fn line(series: &str, fields: &str, seconds: i64) -> String {
    format!("{series} {fields} {}000000000\n", HOUR + seconds)
}

/// What a mend has kept, by the files' names.
fn kept(lab: &Lab) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut folders = vec![lab.haflux.folder().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path: PathBuf = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.unwrap_or_default().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with("mend-") {
                let mode = std::fs::metadata(&path).expect("a file").permissions();
                assert_eq!(mode.mode() & 0o777, 0o600);
                kept.insert(name, std::fs::read_to_string(&path).expect("a file"));
            }
        }
    }
    kept
}

/// Points that both nodes hold, and differences of each kind on the second one.
fn sow(lab: &Lab) {
    let [one, two] = [&lab.node1, &lab.node2];
    for policy in ["autogen", "year p"] {
        let mut lines = String::new();
        for series in ["m,host=a", "m,host=a,rack=r", "m", "n"] {
            for number in 0..200 {
                let fields = format!("f={number}.5,i={number}i,s=\"text {number}\"");
                lines += &line(series, &fields, number * 10);
            }
        }
        for node in [one, two] {
            write(node, policy, &lines);
        }
    }
    // Missing: one point, and a whole series.
    two.query(
        "one",
        &format!(
            "DELETE FROM m WHERE host = 'a' AND rack = 'r' AND time = {}s",
            HOUR + 30
        ),
    );
    two.query("one", "DROP SERIES FROM n");
    // Too many: beside others, far from others, a series, and with fewer tags than others have.
    write(two, "autogen", &line("m,host=a", "f=1", 35));
    write(two, "autogen", &line("m,host=a", "f=1", 36));
    write(two, "autogen", &line("m,host=a", "f=1", 30 * 86_400));
    write(two, "autogen", &line("m,host=b", "f=1", 30));
    write(two, "autogen", &line("m", "f=1", 33));
    // Changed, also where the other policy has the same series and time.
    write(two, "autogen", &line("m,host=a", "i=-1i", 50));
    write(two, "year p", &line("m,host=a", "f=-2", 60));
    // Other fields.
    write(two, "autogen", &line("m,host=a", "more=true", 70));
    write(one, "year p", &line("m,host=a", "less=true", 80));
}

#[test]
fn the_others_hold_what_a_node_holds() {
    let lab = lab();
    sow(&lab);
    let differ = same_points(&lab.node1, &lab.node2, "one");
    assert!(!differ.is_empty());
    // A dry run says what it would do and changes nothing.
    let (status, report) = mend(&lab, &["--from", "influxlab"]);
    assert_eq!(
        (status, &report["state"]),
        (1, &Value::from("done")),
        "{report}"
    );
    assert!(report["differing"].as_u64() > Some(5), "{report}");
    let notes = report["notes"].to_string();
    assert!(notes.contains("would be written"), "{notes}");
    assert_eq!(same_points(&lab.node1, &lab.node2, "one"), differ);
    assert_eq!(kept(&lab), BTreeMap::new());

    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(
        (status, &report["differing"]),
        (0, &Value::from(0)),
        "{report}"
    );
    assert_eq!(same_values(&lab.node1, &lab.node2, "one"), [""; 0]);
    assert_eq!(lab.node2.count("one", "n", "f"), 200);
    // What was overwritten or deleted is kept, of the node that was changed only.
    let kept = kept(&lab);
    let files: Vec<&String> = kept.keys().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].ends_with("-influxlab2.lp"), "{files:?}");
    let text = kept.values().next().expect("a file");
    for line in [
        line("m,host=a", "f=1.0", 35),
        line("m,host=b", "f=1.0", 30),
        line("m,host=a", "i=-1i", 50),
        line("m,host=a", "f=-2.0", 60),
        line("m", "f=1.0", 33),
    ] {
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(text.contains("more=true"), "{text}");
    assert!(
        text.contains("# node influxlab2 database one policy year%20p\n"),
        "{text}"
    );
    // Nothing is left to be done.
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
}

#[test]
fn what_is_kept_can_be_written_again_whatever_the_names_are() {
    let lab = lab();
    let place = [("db", "a=b"), ("rp", "p=\"1")];
    for (node, value) in [(&lab.node1, 1), (&lab.node2, 2)] {
        node.query("", "CREATE DATABASE \"a=b\"");
        let policy = "CREATE RETENTION POLICY \"p=\\\"1\" ON \"a=b\" DURATION 9999d REPLICATION 1";
        node.query("", policy);
        for host in ["a", "b", "c"] {
            let line = line(&format!("m,host={host}"), &format!("v={value}i"), 1);
            let answer = write_with(&node.url(), &place, line);
            assert_eq!(answer.status, 204, "{}", answer.text());
        }
    }
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
    let kept = kept(&lab);
    let text = kept.values().next().expect("a file");
    assert!(
        text.contains("# node influxlab2 database a%3Db policy p%3D%221\n"),
        "{text}"
    );
    assert_eq!(text.matches("v=2i").count(), 3, "{text}");
    let answer = write_with(&lab.node2.url(), &place, text);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let sum = "SELECT sum(v) FROM \"p=\\\"1\".m";
    let sum = lab.node2.query("a=b", sum).to_string();
    assert!(sum.contains(",6]"), "{sum}");
}

#[test]
fn a_union_gives_each_node_what_the_others_have() {
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    let points = |from: i64, until: i64| {
        let lines = (from..until).map(|second| line("m,host=a", &format!("v={second}i"), second));
        lines.collect::<String>()
    };
    write(one, "autogen", &points(0, 60));
    write(two, "autogen", &points(40, 100));
    write(one, "autogen", &line("m,host=a", "left=1", 50));
    write(two, "year p", &line("m,host=a", "right=1", 50));
    let (status, report) = mend(&lab, &["--union", "--yes"]);
    assert_eq!(status, 0, "{report}");
    lab.assert_same("one");
    assert_eq!(one.count("one", "m", "v"), 100);
    assert_eq!(kept(&lab), BTreeMap::new());
    // What contradicts is left and named.
    write(one, "autogen", &line("m,host=a", "v=-1i", 10));
    write(two, "autogen", &line("m,host=a", "new=1i", 10));
    let (status, report) = mend(&lab, &["--union", "--yes"]);
    assert_eq!(
        (status, &report["differing"]),
        (1, &Value::from(1)),
        "{report}"
    );
    let place = report["differences"][0]["place"].as_str().expect("a place");
    assert!(place.starts_with("one.autogen.m,host=a "), "{place}");
    let notes = report["notes"].to_string();
    assert!(notes.contains("1 points have several values"), "{notes}");
    assert_eq!(one.count("one", "m", "new"), 1);
}

/// What is found while a batch is mended waits, and is mended together: the same series in many shard groups, too.
#[test]
fn a_series_is_mended_in_each_of_its_shard_groups() {
    const WEEK: i64 = 7 * 86_400;
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    let weekly = |fields: &str, weeks: std::ops::Range<i64>| {
        let lines = weeks.map(|week| line("m,host=a", fields, -week * WEEK));
        lines.collect::<String>()
    };
    write(one, "year p", &weekly("v=1", 0..40));
    let (status, report) = mend(&lab, &["--union", "--yes"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(same_points(one, two, "one"), [""; 0]);
    // And what is too much, or has another value, on the way back.
    write(two, "year p", &weekly("v=2", 10..30));
    write(two, "year p", &weekly("more=true", 20..40));
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(same_values(one, two, "one"), [""; 0]);
}

/// What a batch has no time left to delete waits for the next try, whenever in the batch that is.
#[test]
fn a_gate_that_is_open_for_a_part_of_a_batch_only_leaves_nothing() {
    let lab = lab_with(|text| relay_keys("heal = { gate = \"100ms\" }")(brisk(text)));
    let [one, two] = [&lab.node1, &lab.node2];
    for series in [50, 100] {
        let points = |fields: &str| {
            let lines = (0..series).map(|number| line(&format!("m,host=h{number}"), fields, 0));
            lines.collect::<String>()
        };
        write(one, "year p", &points("v=1"));
        write(two, "year p", &points("v=1,more=true"));
        let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
        assert_eq!(status, 0, "{series} series: {report}");
    }
    assert_eq!(same_values(one, two, "one"), [""; 0]);
}

/// Writers overwrite the very points that are mended, and none of their writes fails or is undone.
#[test]
fn no_newer_write_is_overwritten() {
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    let series = 40;
    let planted = |value: i64| {
        let lines = (0..series * 50).map(|number| {
            let host = format!("m,host={}", number % series);
            line(&host, &format!("v={value}i"), number / series)
        });
        lines.collect::<String>()
    };
    write(one, "autogen", &planted(-1));
    write(two, "autogen", &planted(-2));
    let over = AtomicBool::new(false);
    let newest = std::thread::scope(|scope| {
        let writers = [0, 1].map(|writer: i64| {
            let (lab, over) = (&lab, &over);
            scope.spawn(move || {
                let mut newest = BTreeMap::new();
                let mut number = writer;
                while !over.load(Ordering::Relaxed) {
                    let place = (number % series, (number / series * 7) % 50);
                    let (host, second) = place;
                    let text = line(&format!("m,host={host}"), &format!("v={number}i"), second);
                    let answer = lab.write("one", &text);
                    assert_eq!(answer.status, 204, "{}", answer.text());
                    newest.insert(place, number);
                    number += 2;
                }
                newest
            })
        });
        let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
        over.store(true, Ordering::Relaxed);
        assert_eq!(status, 0, "{report}");
        let newest = writers.map(|writer| writer.join().expect("a writer ends well"));
        newest.into_iter().flatten().collect::<BTreeMap<_, _>>()
    });
    assert!(newest.len() > 20, "{}", newest.len());
    wait_until("both nodes to have applied all", SOON, || {
        same_points(one, two, "one").is_empty()
    });
    let answer = two.query("one", "SELECT v FROM m GROUP BY host");
    for series in answer["results"][0]["series"].as_array().expect("series") {
        let host: i64 = series["tags"]["host"].as_str().unwrap().parse().unwrap();
        for row in series["values"].as_array().expect("rows") {
            let second = row[0].as_i64().expect("a time") / 1_000_000_000 - HOUR;
            let wanted = newest.get(&(host, second)).copied().unwrap_or(-1);
            assert_eq!(row[1].as_i64(), Some(wanted), "{host} {second}");
        }
    }
}

#[test]
fn schemas_are_mended_and_what_is_more_is_named() {
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    for (node, statement) in [
        (
            one,
            "CREATE DATABASE \"a new\" WITH DURATION 20d REPLICATION 1 SHARD DURATION 1d NAME short",
        ),
        (
            one,
            "CREATE RETENTION POLICY \"long p\" ON \"a new\" DURATION 9999d REPLICATION 1",
        ),
        (
            one,
            "CREATE CONTINUOUS QUERY q ON \"a new\" BEGIN SELECT mean(v) INTO a FROM b GROUP BY time(1h) END",
        ),
        (
            two,
            "ALTER RETENTION POLICY \"year p\" ON one DURATION 60d SHARD DURATION 2d DEFAULT",
        ),
        (
            two,
            "CREATE RETENTION POLICY more ON one DURATION 30d REPLICATION 1",
        ),
        (two, "CREATE USER more WITH PASSWORD 'p'"),
    ] {
        node.query("", statement);
    }
    let parameters = [("db", "a new"), ("rp", "long p")];
    assert_eq!(
        write_with(&one.url(), &parameters, line("m", "v=1", 0)).status,
        204
    );
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    let notes = report["notes"].to_string();
    assert_eq!(
        (status, &report["differing"]),
        (1, &Value::from(2)),
        "{report}"
    );
    for statement in [
        "DROP RETENTION POLICY \\\"more\\\" ON \\\"one\\\"",
        "DROP USER \\\"more\\\"",
    ] {
        assert!(notes.contains(statement), "{notes}");
    }
    two.query("", "DROP RETENTION POLICY more ON one");
    two.query("", "DROP USER more");
    for database in ["one", "a new"] {
        lab.assert_same(database);
    }
    let compared = lab.haflux.told(&["compare"]);
    assert_eq!(compared.status.code(), Some(0), "{compared:?}");
}

/// A field's type is fixed within a shard: a measurement in which it differs is copied whole.
#[test]
fn another_type_is_mended() {
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    for policy in ["autogen", "year p"] {
        for node in [one, two] {
            write(node, policy, &line("m,host=a", "v=1,x=1i", 0));
            write(node, policy, &line("other", "v=1,x=1i", 0));
        }
    }
    write(one, "autogen", &line("m,host=a", "y=1i", 0));
    write(one, "autogen", &line("m,host=a", "y=2i", 10));
    write(two, "autogen", &line("m,host=a", "y=1", 0));
    write(two, "autogen", &line("m,host=b", "y=1", 14 * 86_400));
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
    lab.assert_same("one");
    let kept = kept(&lab);
    let text = kept.values().next().expect("a file");
    assert!(
        text.contains(&line("m,host=a", "v=1.0,x=1i,y=1.0", 0)),
        "{text}"
    );
}

/// A node that restarts is asked for a point that it had, and is sent again what came last. Neither undoes a mend.
#[test]
fn a_node_that_restarts_holds_what_a_mend_gave_it() {
    let mut lab = lab();
    assert_eq!(lab.write("one", "m v=1 1").status, 204);
    // What a node that restarts would be asked for: the newest.
    assert_eq!(lab.write("one", "gone v=1 1").status, 204);
    lab.both_hold("one", "gone", 1);
    write(&lab.node1, "autogen", "m v=2 1");
    lab.node1.query("one", "DELETE FROM gone");
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
    for number in [0, 1] {
        let node = match number {
            0 => &mut lab.node1,
            _ => &mut lab.node2,
        };
        node.kill9();
        let standing = || status::replica(&lab.influx_url(), number)["status"].clone();
        wait_until("its end to be noticed", SOON, || standing() == "down");
        let node = match number {
            0 => &mut lab.node1,
            _ => &mut lab.node2,
        };
        node.restart();
        let standing = || status::replica(&lab.influx_url(), number)["status"].clone();
        wait_until("it to be known again", SOON, || {
            ["fresh", "diverged"].contains(&standing().as_str().unwrap_or_default())
        });
        assert_eq!(standing(), "fresh");
    }
    for node in lab.nodes() {
        let answer = node.query("one", "SELECT v FROM m");
        assert_eq!(answer["results"][0]["series"][0]["values"][0][1], 2);
        assert_eq!(node.count("one", "gone", "v"), 0);
    }
}

#[test]
fn a_mend_closes_dead_letters() {
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    write(one, "autogen", &line("m,host=a", "x=1i", 0));
    write(two, "autogen", &line("m,host=a", "x=1", 0));
    // The second node refuses what the first one takes.
    assert_eq!(lab.write("one", line("m,host=a", "x=2i", 10)).status, 204);
    let letters = || lab.haflux.order(&["dead-letters", "list"]);
    wait_until("a dead letter", SOON, || letters().contains("influxlab2"));
    // A part of the time says nothing of a letter.
    let since = (HOUR + 20).to_string() + "000000000";
    let (status, report) = mend(&lab, &["--from", "influxlab", "--since", &since, "--yes"]);
    assert_eq!(status, 0, "{report}");
    assert!(letters().contains("influxlab2"), "{}", letters());
    let compared = lab.haflux.told(&["compare"]);
    let text = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(
        text.contains("note: open dead letters: 1 (haflux dead-letters list); they may be why"),
        "{text}"
    );
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
    assert!(
        report["notes"]
            .to_string()
            .contains("dead letters are closed"),
        "{report}"
    );
    assert!(!letters().contains("influxlab2"), "{}", letters());
    lab.assert_same("one");
}

#[test]
fn a_node_that_nothing_is_sent_to_is_named() {
    let lab = lab();
    lab.haflux
        .order(&["server", "maint", "influx_back/influxlab2"]);
    for command in ["compare", "mend"] {
        let arguments: &[&str] = match command {
            "mend" => &["mend", "--json", "--union", "--yes"],
            _ => &["compare", "--json"],
        };
        let said = lab.haflux.told(arguments);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
        let report: Value = serde_json::from_slice(&said.stdout).expect("a report");
        let reason = report["state"]["failed"].as_str().unwrap_or_default();
        assert!(
            reason.contains("influxlab2 has no address now"),
            "{command}: {reason}"
        );
    }
}

/// A `DELETE` knows no policy, so what it takes from the other ones is read before, in the shard groups of each.
#[test]
fn a_removal_leaves_what_other_policies_hold_in_all_of_their_shard_groups() {
    let lab = lab();
    let [one, two] = [&lab.node1, &lab.node2];
    let half_minutes = |fields: &dyn Fn(i64) -> String, seconds: std::ops::Range<i64>| {
        let seconds = seconds.step_by(30);
        let lines = seconds.map(|second| line("m,h=x", &fields(second), second));
        lines.collect::<String>()
    };
    // An integer in the first hour, and of another type in the second.
    for (policy, later) in [("fine", "\"text\""), ("other", "true")] {
        let fields = |second| match second < 3_600 {
            true => format!("v={second}i"),
            false => format!("v={later}"),
        };
        for node in [one, two] {
            let create = format!(
                "CREATE RETENTION POLICY {policy} ON one DURATION INF REPLICATION 1 SHARD DURATION 1h"
            );
            node.query("", &create);
            write(node, policy, &half_minutes(&fields, 0..7_200));
        }
    }
    let too_much = |second| format!("q={second}");
    write(two, "autogen", &half_minutes(&too_much, 1_800..5_400));
    let (status, report) = mend(&lab, &["--db", "one", "--from", "influxlab", "--yes"]);
    assert_eq!(same_values(one, two, "one"), [""; 0]);
    assert_eq!(status, 0, "{report}");
    let kept = kept(&lab);
    let text = kept.values().next().expect("a file");
    for point in ["v=1800i", "v=3570i", "v=\"text\"", "v=true"] {
        assert!(text.contains(point), "{point}: {text}");
    }
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("users and rights were not compared"),
        "{notes}"
    );
}

/// What a mend finds when it compares everything again is what is known of the nodes.
#[test]
fn a_mend_of_everything_ends_the_problem_that_the_nodes_differ() {
    let lab = lab();
    let differences = || status::relay(&lab.influx_url())["compared"]["differences"].clone();
    write(&lab.node2, "autogen", &line("m,host=a", "v=1", 0));
    let compared = lab.haflux.told(&["compare"]);
    assert_eq!(compared.status.code(), Some(1), "{compared:?}");
    assert_eq!(differences(), 1);
    let one_database = ["--from", "influxlab", "--db", "one", "--yes"];
    let (status, report) = mend(&lab, &one_database);
    assert_eq!(status, 0, "{report}");
    assert_eq!(differences(), 1, "of a part nothing is told of the whole");
    let (status, report) = mend(&lab, &["--from", "influxlab", "--yes"]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(differences(), 0);
    let page = status::page(&lab.influx_url());
    assert!(!page["problems"].to_string().contains("differ"), "{page:#}");
}
