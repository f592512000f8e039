//! Names, values and times that InfluxDB takes and that are hard to ask for: they are compared, mended and copied like all others, and
//! where that cannot be, it is said, and everything else is done.

use crate::support::lab::{brisk, relay_keys};
use crate::support::wait::SOON;
use crate::support::write::{write, write_with};
use crate::support::{Influxd, Lab, Options, status, wait_until, wait_until_level};
use serde_json::Value;

const TIME: &str = "1700000000000000000";

fn lab_with(change: impl FnOnce(String) -> String) -> Lab {
    let lab = Lab::start_of(2, Options::default(), change);
    lab.create_database("one");
    lab
}

/// Writes one line after another through haflux, until both nodes have applied them.
fn write_each(lab: &Lab, database: &str, lines: &[&[u8]]) {
    for line in lines {
        let line = [line, b" ".as_slice(), TIME.as_bytes()].concat();
        wait_until("a line to be taken", SOON, || {
            write(&lab.influx_url(), database, &line).status == 204
        });
    }
    wait_until_level(lab, SOON).expect("both have every line");
}

fn told(lab: &Lab, arguments: &[&str]) -> (i32, Value) {
    let said = lab.haflux.told(arguments);
    let report = serde_json::from_slice(&said.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.status.code().unwrap_or(-1), report)
}

fn compared(lab: &Lab, arguments: &[&str]) -> (i32, Value) {
    told(lab, &[&["compare", "--json"], arguments].concat())
}

fn differing(report: &Value) -> usize {
    report["differences"].as_array().map_or(0, Vec::len)
}

#[track_caller]
fn assert_same(lab: &Lab) {
    for arguments in [&[][..], &["--full"]] {
        let (status, report) = compared(lab, arguments);
        assert_eq!((status, differing(&report)), (0, 0), "{report}");
    }
}

/// The second node loses everything in the database, and gets it back from the first one.
#[track_caller]
fn lost_and_mended(lab: &Lab, database: &str, series: usize) {
    assert_same(lab);
    lab.node2.query(database, "DROP SERIES FROM /.*/");
    for arguments in [&[][..], &["--full"]] {
        let (status, report) = compared(lab, arguments);
        assert_eq!((status, differing(&report)), (1, series), "{report}");
    }
    let mend = ["mend", "--json", "--from", "influxlab", "--yes"];
    let (status, report) = told(lab, &mend);
    assert_eq!((status, differing(&report)), (0, 0), "{report}");
    assert_same(lab);
}

#[test]
fn a_tag_that_a_condition_mistakes_hides_no_difference() {
    let lab = lab_with(brisk);
    let lines: [&[u8]; 4] = [
        b"m,_name=a v=1",
        b"m,_name=a,host=b v=1",
        b"m,_tagKey=x v=1",
        b"m,_measurement=x s=\"t\"",
    ];
    write_each(&lab, "one", &lines);
    lost_and_mended(&lab, "one", lines.len());
}

#[test]
fn names_and_values_of_any_bytes_are_compared_and_mended() {
    let lab = lab_with(brisk);
    let lines: [&[u8]; 9] = [
        b"_name f=1",
        b"_tags,a=b f=1",
        b"_measurements f=\"t\"",
        b"logs v=\"caf\xe9\"",
        b"tagged,k\xe9=v\xe9 v=1",
        b"tagged,host=\xff v=1",
        b"n\0l v=1",
        b"field f\0g=1,t\0g=\"t\"",
        b"r\rn,a=b\rc v=1",
    ];
    write_each(&lab, "one", &lines);
    lost_and_mended(&lab, "one", lines.len());
}

/// InfluxDB answers 500 to the first such line of a measurement, and takes the next one.
#[test]
fn a_measurement_whose_name_is_not_utf_8_is_compared_and_mended() {
    let lab = lab_with(brisk);
    write_each(&lab, "one", &[b"m\xe9t v=1", b"f v\xe9=1,t\xe9=\"t\""]);
    lost_and_mended(&lab, "one", 2);
}

#[test]
fn what_no_question_reads_is_named_and_all_else_is_done() {
    let mut lab = lab_with(|text| {
        let keys = "compare = \"1s\"\nrewind = \"1s\"";
        relay_keys(keys)(brisk(text))
    });
    write_each(&lab, "one", &[b"_series f=1", b"m v=1", b"n v=1"]);
    let problem = || {
        let said = lab.haflux.told(&["status"]);
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    wait_until("the comparison to be among the problems", SOON, || {
        let text = problem();
        text.contains("were not compared to the end") && text.contains("one.autogen._series")
    });
    lab.node2.query("one", "DROP MEASUREMENT m");
    let (status, report) = compared(&lab, &[]);
    assert_eq!((status, differing(&report)), (2, 1), "{report}");
    assert!(
        report.to_string().contains("one.autogen._series"),
        "{report}"
    );
    let mend = ["mend", "--json", "--from", "influxlab", "--yes"];
    let (status, report) = told(&lab, &mend);
    assert_eq!((status, differing(&report)), (2, 0), "{report}");
    assert_eq!(lab.node2.count("one", "m", "v"), 1);

    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    let said = lab
        .haflux
        .told(&["replica", "rebuild", "influxlab2", "--yes"]);
    assert!(!said.status.success(), "{said:?}");
    let said = format!("{said:?}");
    assert!(
        said.contains("heal.rpc_port") && said.contains("one.autogen._series"),
        "{said}"
    );
    assert_eq!(status::replica(&lab.influx_url(), 1)["status"], "fresh");
    for measurement in ["m", "n"] {
        assert_eq!(lab.node2.count("one", measurement, "v"), 1);
    }
}

fn write_at(node: &Influxd, policy: &str, lines: &str) {
    let answer = write_with(&node.url(), &[("db", "one"), ("rp", policy)], lines);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[test]
fn points_at_the_ends_of_time_and_of_a_second_are_compared_and_mended() {
    let mut lab = lab_with(brisk);
    let policy =
        "CREATE RETENTION POLICY odd ON one DURATION INF REPLICATION 1 SHARD DURATION 3601500ms";
    for node in lab.nodes() {
        node.query("", policy);
    }
    // The last nanosecond of a shard group, which ends within a second.
    let shard: i64 = 3_601_500_000_000;
    // Groups are counted from the year 1 on.
    let year_1 = -62_135_596_800_i128 * 1_000_000_000;
    let groups = (1_700_000_000_000_000_000 - year_1) / i128::from(shard) + 1;
    let groups = groups | 1;
    let end = i64::try_from(groups * i128::from(shard) + year_1).expect("a time");
    assert_eq!(end % 1_000_000_000, 500_000_000);
    let last = format!("m v=1 {}\n", end - 1);
    let ends =
        "m v=1i -9223372036854775806\nm v=2i -9223372036854775805\nm v=3i 9223372036854775806\n";
    write_at(&lab.node1, "odd", &last);
    write_at(&lab.node1, "autogen", ends);
    // Both have the shards.
    write_at(&lab.node2, "odd", &last.replace("m ", "other "));
    write_at(&lab.node2, "autogen", &ends.replace("m ", "other "));
    write_at(&lab.node1, "odd", &last.replace("m ", "other "));
    write_at(&lab.node1, "autogen", &ends.replace("m ", "other "));
    lab.node1.restart();
    wait_until_level(&lab, SOON).expect("both have everything");
    for arguments in [&["--full"][..], &[]] {
        let (status, report) = compared(&lab, arguments);
        let said = report.to_string();
        for time in [
            jiff::Timestamp::from_nanosecond((end - 1).into())
                .expect("a time")
                .to_string(),
            "1677-09-21T00:12:43.145224194Z".to_owned(),
            "2262-04-11T23:47:16.854775806Z".to_owned(),
        ] {
            assert!(said.contains(&time), "{time} {arguments:?} {said}");
        }
        assert_eq!(status, 1, "{report}");
    }
    let mend = ["mend", "--json", "--from", "influxlab", "--yes"];
    let (status, report) = told(&lab, &mend);
    assert_eq!((status, differing(&report)), (0, 0), "{report}");
    lab.node2.restart();
    assert_eq!(lab.node2.count("one", "m", "v"), 3);
    assert_same(&lab);
}
