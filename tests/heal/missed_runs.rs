//! Continuous queries that a node missed while it was away: made up for where that is configured, and left out where not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::lab::{brisk, relay_keys};
use crate::support::wait::SOON;
use crate::support::write::write_until_taken;
use crate::support::{Influxd, Lab, Options, status, wait_until};

const SECOND: i64 = 1_000_000_000;

/// One that asks for less than a run has, one that reads what it writes, one that comes oftener than its intervals end.
const QUERIES: [&str; 3] = [
    "CREATE CONTINUOUS QUERY sums ON d BEGIN SELECT sum(v) AS v INTO sums FROM m WHERE time > now() - 1ms AND host = 'a' GROUP BY time(1s), * END",
    "CREATE CONTINUOUS QUERY totals ON d BEGIN SELECT sum(v) AS v INTO totals FROM sums GROUP BY time(2s) END",
    "CREATE CONTINUOUS QUERY counts ON d RESAMPLE EVERY 1s FOR 4s BEGIN SELECT count(v) AS v INTO counts FROM m GROUP BY time(2s) fill(none) END",
];

fn lab(keys: &str) -> Lab {
    let options = Options::default().set("continuous_queries", "run-interval", "\"100ms\"");
    let lab = Lab::start_with(options, |text| relay_keys(keys)(brisk(text)));
    lab.create_database("d");
    for node in lab.nodes() {
        for query in QUERIES {
            node.query("d", query);
        }
    }
    lab
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("a time").as_nanos()).expect("a time")
}

fn write_now(lab: &Lab) -> i64 {
    let time = now();
    let line = format!("m,host=a v=1i {time}\nm,host=b v=5i {time}");
    write_until_taken(&lab.influx_url(), &[("db", "d")], line);
    time
}

/// What a measurement holds, by time.
fn held(node: &Influxd, measurement: &str) -> BTreeMap<i64, i64> {
    let answer = node.query("d", &format!("SELECT v FROM {measurement}"));
    let rows = answer["results"][0]["series"][0]["values"].as_array();
    let row = |row: &serde_json::Value| Some((row[0].as_i64()?, row[1].as_i64()?));
    rows.into_iter().flatten().filter_map(row).collect()
}

/// `each` for every one of these times, by intervals.
fn expected(times: &[i64], interval: i64, each: i64) -> BTreeMap<i64, i64> {
    let mut sums = BTreeMap::new();
    for time in times {
        *sums.entry(time - time % interval).or_default() += each;
    }
    sums
}

/// The second node is away while something is written, in four seconds at least, the last ones of which end a pair. `midway` comes
/// in between. Gives the times.
fn outage(lab: &mut Lab, midway: impl FnOnce(&mut Lab)) -> Vec<i64> {
    lab.node2.kill9();
    // What was written before it died is no part of this.
    sleep(Duration::from_millis(
        2_000 - (now() / 1_000_000 % 2_000) as u64,
    ));
    let mut times = vec![write_now(lab)];
    midway(lab);
    while times.len() < 4 || times[times.len() - 1] / SECOND % 2 == 0 {
        sleep(Duration::from_millis(
            1_100 - (now() / 1_000_000 % 1_000) as u64,
        ));
        times.push(write_now(lab));
    }
    let last = times[times.len() - 1];
    wait_until("the interval to end", SOON, || now() > last + 1_500_000_000);
    lab.node2.restart();
    times
}

fn notes(lab: &Lab) -> PathBuf {
    lab.haflux.folder().join("data/influx_relay/missed_runs")
}

#[test]
fn runs_that_a_node_missed_are_made_up_for_when_it_is_fresh_again() {
    // What haflux had under way when it was killed is in doubt for as long as `rewind`.
    let mut lab = lab("rewind = \"2s\"\nrerun_continuous_queries = \"1h\"");
    wait_until("both nodes to be noted", SOON, || {
        let noted = std::fs::read_to_string(notes(&lab)).unwrap_or_default();
        noted.matches("\"complete\":1").count() == 2
    });
    let times = outage(&mut lab, |lab| {
        wait_until("the outage to be noted", SOON, || {
            let noted = std::fs::read_to_string(notes(lab)).unwrap_or_default();
            noted.contains("\"missed\":1")
        });
        lab.haflux.kill9();
        lab.haflux.restart();
    });
    for (measurement, interval, each) in [
        ("sums", SECOND, 1),
        ("totals", 2 * SECOND, 1),
        ("counts", 2 * SECOND, 2),
    ] {
        let expected = expected(&times, interval, each);
        wait_until(
            &format!("{measurement} on the node that was away"),
            SOON,
            || held(&lab.node2, measurement) == expected,
        );
    }
    wait_until("the end to be noted", SOON, || {
        let noted = std::fs::read_to_string(notes(&lab)).unwrap_or_default();
        !noted.contains("\"missed\":1")
    });
    let runs = &status::relay(&lab.influx_url())["missed_runs"];
    assert!(
        runs["done"].as_u64() >= Some(4) && runs["failed"] == 0,
        "{runs}"
    );
}

#[test]
fn without_the_key_nothing_is_made_up_for() {
    let mut lab = lab("");
    write_now(&lab);
    let times = outage(&mut lab, |_| ());
    wait_until("the node to hold what was written", SOON, || {
        lab.node2.count("d", "m", "v") as usize == 2 * (times.len() + 1)
    });
    wait_until("a later run of the node's own", SOON, || {
        let later = write_now(&lab);
        sleep(Duration::from_millis(1_500));
        held(&lab.node2, "sums").contains_key(&(later - later % SECOND))
    });
    let first = times[0] - times[0] % SECOND;
    assert!(!held(&lab.node2, "sums").contains_key(&first));
    assert!(held(&lab.node1, "sums").contains_key(&first));
    assert!(!notes(&lab).exists());
}
