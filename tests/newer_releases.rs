//! What only newer releases of InfluxDB have: write limits (1.12) and Flux that writes (1.11). On an older one, as Debian's, these
//! tests end at once; `HAFLUX_TEST_INFLUXD` names a newer `influxd`.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use support::lab::relay_keys;
use support::programs::run;
use support::wait::SOON;
use support::{Lab, Options, http, influxd, status, wait_until, write_with};

/// Two nodes that have write limits; nothing if this release has none.
fn lab() -> Option<Lab> {
    // `InfluxDB v1.6.7 (git: …)`; newer ones leave the `v` out.
    let told = run(&influxd::program(), &["version"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let version = told.split(' ').nth(1).unwrap_or_default();
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok());
    if minor.is_none_or(|minor: u32| minor < 12) {
        println!("{told} has no write limits: nothing to test");
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
    wait_until("the difference to be told", SOON, || {
        lab.haflux.log().contains("the replicas differ")
    });
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
