//! What only newer releases of InfluxDB have: write limits (1.12) and Flux that writes (1.11). On an older one, as Debian's, these
//! tests end at once; `HAFLUX_TEST_INFLUXD` names a newer `influxd`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support;
use crate::support::lab::relay_keys;
use crate::support::programs::influxdb_release;
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Lab, Options, http, status, wait_until, write_with};
use serde_json::Value;

/// Two nodes that have write limits; nothing if this release has none.
fn lab() -> Option<Lab> {
    let release = influxdb_release();
    if release < 12 {
        println!("1.{release} has no write limits: nothing to test");
        return None;
    }
    let options = Options::default().set("http", "flux-enabled", "true");
    let keys = relay_keys("retry = { max = \"500ms\" }");
    Some(Lab::start_with(options, keys))
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time after 1970").as_secs()
}

/// Writes lines with times in seconds.
#[track_caller]
fn write_at(lab: &Lab, database: &str, lines: &str) {
    let parameters = [("db", database), ("precision", "s")];
    let answer = write_with(&lab.influx_url(), &parameters, lines);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// How many records a node found expired, and refused.
fn counts(lab: &Lab) -> (u64, u64) {
    let replica = status::replica(&lab.influx_url(), 1);
    let count = |name: &str| replica[name].as_u64().expect("a count");
    (count("expired"), count("refused"))
}

#[test]
fn what_waited_past_a_limit_is_a_dead_letter_and_what_waited_past_its_retention_is_not() {
    let Some(mut lab) = lab() else { return };
    for (database, settings) in [("limited", "100d PAST LIMIT 5s"), ("short", "1h")] {
        let create = format!("CREATE DATABASE {database} WITH DURATION {settings} NAME r");
        assert_eq!(lab.query("", &create).status, 200);
    }
    let url = lab.influx_url();
    wait_until("both to have the databases", SOON, || {
        (0..2).all(|number| status::replica(&url, number)["lag"]["records"] == 0)
    });
    lab.node2.kill9();
    let begun = seconds();
    write_at(&lab, "limited", "m v=1");
    write_at(&lab, "short", &format!("m v=1 {}", begun - 3600 + 10));
    wait_until("both to be too late for the other node", SOON, || {
        seconds() > begun + 11
    });
    lab.node2.restart();
    wait_until("a verdict on both", SOON, || counts(&lab) == (1, 1));
    assert_eq!(lab.node1.count("limited", "m", "v"), 1);
    assert_eq!(lab.node2.count("limited", "m", "v"), 0);
    let letters = lab.haflux.order(&["dead-letters", "list"]);
    assert!(
        letters.contains("limited") && !letters.contains("short"),
        "{letters}"
    );
}

#[test]
fn what_came_before_its_time_is_a_dead_letter_of_the_node_that_refused_it() {
    let Some(mut lab) = lab() else { return };
    let create = "CREATE DATABASE early WITH DURATION 100d FUTURE LIMIT 20s NAME r";
    assert_eq!(lab.query("", create).status, 200);
    let url = lab.influx_url();
    wait_until("both to have the database", SOON, || {
        (0..2).all(|number| status::replica(&url, number)["lag"]["records"] == 0)
    });
    lab.node2.kill9();
    let begun = seconds();
    let line = format!("m v=1 {}", begun + 30);
    let parameters = [("db", "early"), ("precision", "s")];
    assert_eq!(write_with(&url, &parameters, &line).status, 400);
    wait_until("its time to come", SOON, || seconds() > begun + 11);
    lab.node2.restart();
    lab.haflux.says("the replicas differ");
    assert_eq!(lab.node2.count("early", "m", "v"), 1);
}

#[test]
fn a_range_of_flux_that_writes_ends_at_its_acceptance_on_every_node() {
    let Some(mut lab) = lab() else { return };
    lab.create_database("from");
    lab.create_database("into");
    let url = lab.influx_url();
    lab.node2.kill9();
    let begun = seconds();
    write_at(&lab, "from", &format!("m v=1 {begun}"));
    let flux =
        r#"from(bucket: "from/autogen") |> range(start: -10s) |> to(bucket: "into/autogen")"#;
    let json =
        serde_json::json!({ "query": flux.replace("-10s", "-11s"), "type": "flux" }).to_string();
    for (content_type, body) in [("application/vnd.flux", flux), ("application/json", &json)] {
        let headers = [("Content-Type", content_type)];
        let answer = http::request(
            "POST",
            &format!("{url}/api/v2/query"),
            &headers,
            body.as_bytes(),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(lab.node1.count("into", "m", "v"), 1);
    wait_until("the point to be out of a range from now on", SOON, || {
        seconds() > begun + 12
    });
    lab.node2.restart();
    lab.both_hold("into", "m", 1);
}

#[test]
fn flux_that_acts_elsewhere_is_refused_and_a_refusal_has_the_form_that_it_has_on_a_node() {
    let Some(lab) = lab() else { return };
    let ask = |url: &str, accept: &str, body: &str| {
        let headers = [("Content-Type", "application/vnd.flux"), ("Accept", accept)];
        http::request(
            "POST",
            &format!("{url}/api/v2/query"),
            &headers,
            body.as_bytes(),
        )
    };
    let post = "import \"http\"\nhttp.post(url: \"http://127.0.0.1:9/\")";
    let answer = ask(&lab.influx_url(), "application/json", post);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().contains("this Flux query is not replicated"),
        "{}",
        answer.text()
    );
    let nowhere = "from(bucket: \"no\") |> range(start: -1h) |> to(bucket: \"no\")";
    for accept in ["text/csv", "application/csv", "application/json", "*/*"] {
        let [one, both] = [lab.node1.url(), lab.influx_url()].map(|url| {
            let answer = ask(&url, accept, nowhere);
            let header = answer.header("content-type").map(str::to_owned);
            (answer.status, header, answer.text())
        });
        assert_eq!(both, one, "{accept}");
    }
}

/// What `haflux` says as JSON, and its exit status.
#[track_caller]
fn told(lab: &Lab, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = lab.haflux.told(arguments);
    let report = serde_json::from_slice(&said.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.status.code(), report)
}

/// Where a comparison found differences.
fn places(report: &Value) -> Vec<String> {
    let differences = report["differences"].as_array().expect("differences");
    let mut places: Vec<String> = differences
        .iter()
        .map(|difference| format!("{} {}", difference["kind"], difference["place"]))
        .map(|place| place.replace('"', ""))
        .collect();
    places.sort();
    places
}

/// Points that are older than a `PAST LIMIT` allows: a mend and a rebuild write them all the same, and leave the limit as it was.
#[test]
fn limits_are_compared_and_stand_in_the_way_of_no_mend_and_no_rebuild() {
    let Some(mut lab) = lab() else { return };
    for statement in [
        "CREATE DATABASE d WITH DURATION 9999d NAME a",
        "CREATE RETENTION POLICY other ON d DURATION 9999d REPLICATION 1",
    ] {
        lab.carry_out("", statement);
    }
    let write = |node: &Influxd, policy: &str, line: &str| {
        let answer = write_with(&node.url(), &[("db", "d"), ("rp", policy)], line);
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    for node in lab.nodes() {
        for policy in ["a", "other"] {
            write(node, policy, "m v=1 1700000000000000000");
        }
    }
    write(&lab.node1, "a", "lacking v=1 1700000000000000000");
    // Its deletion takes the point of the other policy, which is to be written again.
    write(&lab.node2, "a", "m more=1 1700000000000000000");
    for policy in ["a", "other"] {
        let statement =
            format!("ALTER RETENTION POLICY {policy} ON d FUTURE LIMIT 2h PAST LIMIT 1h");
        lab.carry_out("", &statement);
    }
    support::wait_until_level(&lab, SOON).expect("both have it");
    let alter = "ALTER RETENTION POLICY a ON d FUTURE LIMIT 3h";
    lab.node2.query("", alter);
    let (status, report) = told(&lab, &["compare", "--json"]);
    let planted = [
        "point d.a.lacking 2023-11-14T22:13:20Z",
        "point d.a.m 2023-11-14T22:13:20Z",
        "policy d.a future limit",
    ];
    assert_eq!(
        (status, places(&report)),
        (Some(1), planted.map(str::to_owned).into()),
        "{report}"
    );
    let (status, report) = told(&lab, &["mend", "--json", "--from", "influxlab", "--yes"]);
    assert_eq!(status, Some(0), "{report}");
    let policies = |node: &Influxd| node.query("d", "SHOW RETENTION POLICIES").to_string();
    assert_eq!(policies(&lab.node2), policies(&lab.node1));
    assert!(
        policies(&lab.node2).contains("1h0m0s"),
        "{}",
        policies(&lab.node2)
    );
    assert_eq!(lab.node2.count("d", "lacking", "v"), 1);
    let other = lab.node2.query("d", "SELECT v FROM other.m");
    assert_eq!(other, lab.node1.query("d", "SELECT v FROM other.m"));

    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    let rebuild = ["replica", "rebuild", "influxlab2", "--yes"];
    lab.haflux.order(&rebuild);
    assert_eq!(policies(&lab.node2), policies(&lab.node1));
    lab.assert_same("d");
    let (status, report) = told(&lab, &["compare", "--json", "--full"]);
    assert_eq!(status, Some(0), "{report}");
}

/// Of one policy of the database `d`: what a node says of it.
fn policy(node: &Influxd, name: &str) -> String {
    let listed = node.query("d", "SHOW RETENTION POLICIES");
    let listed = listed["results"][0]["series"][0]["values"].clone();
    let mut rows = listed.as_array().into_iter().flatten();
    let row = rows.find(|row| row[0] == name);
    row.map(Value::to_string).unwrap_or_default()
}

#[test]
fn a_default_policy_with_limits_is_made_on_a_node_that_lacks_it() {
    let Some(lab) = lab() else { return };
    lab.create_database("d");
    let create = "CREATE RETENTION POLICY limited ON d DURATION 30d REPLICATION 1 DEFAULT FUTURE LIMIT 2h PAST LIMIT 1h";
    lab.carry_out("", create);
    support::wait_until_level(&lab, SOON).expect("both have it");
    lab.node2.query("", "DROP RETENTION POLICY limited ON d");
    let (status, report) = told(&lab, &["mend", "--json", "--from", "influxlab", "--yes"]);
    assert_eq!(status, Some(0), "{report}");
    let limited = policy(&lab.node1, "limited");
    assert!(
        limited.contains("true") && limited.contains("2h0m0s"),
        "{limited}"
    );
    assert_eq!(policy(&lab.node2, "limited"), limited);
}

/// Kills haflux while a mend has lifted the limits of the policy `a` on the second node.
fn kill_with_limits_lifted(lab: &mut Lab) {
    let file = lab.haflux.file().display().to_string();
    let mend = ["mend", "--union", "--yes", "--config", &file];
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let command = scope.spawn(|| Haflux::command(&mend));
            wait_until("the limits to be lifted", SOON, || {
                !policy(&lab.node2, "a").contains("1h0m0s") || command.is_finished()
            });
            lab.haflux.kill9();
            command.join().expect("it ends");
        });
        if !policy(&lab.node2, "a").contains("1h0m0s") {
            return;
        }
        // They were set again just before the kill.
        lab.haflux.restart();
        let url = lab.influx_url();
        wait_until("both to be fresh", SOON, || {
            (0..2).all(|number| status::replica(&url, number)["status"] == "fresh")
        });
    }
    panic!("the limits were never seen lifted");
}

#[test]
fn limits_that_a_mend_had_lifted_when_it_was_killed_are_set_again_by_the_next_one() {
    const POINTS: u64 = 20_000;
    let Some(mut lab) = lab() else { return };
    lab.carry_out("", "CREATE DATABASE d WITH DURATION 9999d NAME a");
    support::wait_until_level(&lab, SOON).expect("both have it");
    let lines: String = (0..POINTS)
        .map(|number| format!("m v=1 {}\n", 1_700_000_000_000_000_000 + number))
        .collect();
    assert_eq!(lab.node1.write("d", &lines).status, 204);
    lab.carry_out(
        "",
        "ALTER RETENTION POLICY a ON d FUTURE LIMIT 2h PAST LIMIT 1h",
    );
    support::wait_until_level(&lab, SOON).expect("both have it");
    let limited = policy(&lab.node1, "a");
    kill_with_limits_lifted(&mut lab);
    lab.haflux.restart();
    lab.haflux.says("PAST LIMIT 1h0m0s");
    let url = lab.influx_url();
    wait_until("both to be fresh", SOON, || {
        (0..2).all(|number| status::replica(&url, number)["status"] == "fresh")
    });
    let (_, report) = told(&lab, &["mend", "--json", "--union"]);
    assert!(
        report["notes"].to_string().contains("PAST LIMIT 1h0m0s"),
        "{report}"
    );
    assert_ne!(policy(&lab.node2, "a"), limited);
    let (status, report) = told(&lab, &["mend", "--json", "--union", "--yes"]);
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(policy(&lab.node2, "a"), limited);
    assert_eq!(lab.node2.count("d", "m", "v"), POINTS);
    // By now a person may lift them.
    lab.carry_out(
        "",
        "ALTER RETENTION POLICY a ON d FUTURE LIMIT 0s PAST LIMIT 0s",
    );
    support::wait_until_level(&lab, SOON).expect("both have it");
    let (status, report) = told(&lab, &["mend", "--json", "--union", "--yes"]);
    assert_eq!(status, Some(0), "{report}");
    assert!(!policy(&lab.node2, "a").contains("1h0m0s"));
}

/// Flux writes unsigned numbers into nodes that take none as lines: such points are compared, and no mend and no rebuild can write
/// them, which ends neither.
#[test]
fn unsigned_numbers_that_only_flux_can_write_are_named() {
    let Some(mut lab) = lab() else { return };
    lab.create_database("d");
    let url = lab.influx_url();
    for line in [
        "m v=7i 1700000000000000000",
        "m v=8i 1700000000000000001",
        "other v=1 1",
    ] {
        assert_eq!(write_with(&url, &[("db", "d")], line).status, 204);
    }
    let flux = r#"from(bucket: "d/autogen") |> range(start: 2020-01-01T00:00:00Z)
        |> map(fn: (r) => ({r with _measurement: "unsigned", _value: uint(v: r._value)})) |> to(bucket: "d/autogen")"#;
    let headers = [("Content-Type", "application/vnd.flux")];
    let answer = http::request(
        "POST",
        &format!("{url}/api/v2/query"),
        &headers,
        flux.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    lab.both_hold("d", "unsigned", 2);
    let types = lab
        .node1
        .query("d", "SHOW FIELD KEYS FROM unsigned")
        .to_string();
    assert!(types.contains("[\"v\",\"unsigned\"]"), "{types}");
    let refusal = lab.node1.write("d", "unsigned v=1u");
    assert!(
        refusal.status == 400 && refusal.text().contains("invalid number"),
        "{}",
        refusal.text()
    );
    // So that haflux does not compare by itself, as it does with new nodes.
    lab.haflux.restart();
    wait_until("both to be fresh", SOON, || {
        (0..2).all(|number| status::replica(&url, number)["status"] == "fresh")
    });
    let (status, report) = told(&lab, &["compare", "--json"]);
    assert_eq!(status, Some(0), "{report}");

    lab.node2
        .query("d", "DELETE FROM unsigned WHERE time = 1700000000000000001");
    let (status, report) = told(&lab, &["mend", "--json", "--from", "influxlab", "--yes"]);
    assert_eq!((status, places(&report).len()), (Some(1), 1), "{report}");
    assert!(
        report["notes"].to_string().contains("invalid number"),
        "{report}"
    );

    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    let why = lab
        .haflux
        .refuses(&["replica", "rebuild", "influxlab2", "--yes"]);
    assert!(
        why.contains("serves, and differs from influxlab in 2 points"),
        "{why}"
    );
    assert_eq!(lab.node2.count("d", "other", "v"), 1);
    assert_eq!(status::replica(&url, 1)["status"], "fresh");
}
