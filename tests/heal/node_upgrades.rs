//! Nodes are upgraded one by one, on their data, while clients write, read and change schemas: no request fails, nothing is lost,
//! and the nodes hold the same, also while their releases differ.
//!
//! `HAFLUX_TEST_INFLUXD_NEXT` names the `influxd` of each next release, with colons between them; without it each node is started
//! again as it is. For a longer run:
//!
//! ```text
//! HAFLUX_TEST_INFLUXD_NEXT=influxd-1.8.10:influxd-1.13.2 HAFLUX_NODE_UPGRADES_REQUESTS=100000 \
//!     cargo test --release --test heal node_upgrades:: -- --nocapture
//! ```

use std::time::{Duration, Instant};

use crate::support;
use crate::support::lab::{brisk, relay_keys};
use crate::support::{Crowd, Lab, Length, Options, influxd, status, wait_until, write_with};

/// What a node may take to come back and to get what it missed: a long run leaves it much.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first release, and those that follow.
fn programs() -> Vec<String> {
    let next = std::env::var("HAFLUX_TEST_INFLUXD_NEXT");
    let next = next.unwrap_or_else(|_| influxd::program());
    let mut programs = vec![influxd::program()];
    programs.extend(next.split(':').map(str::to_owned));
    programs
}

/// Points of every type, in three shards.
fn fill(lab: &Lab) {
    for statement in [
        "CREATE DATABASE typed",
        "CREATE RETENTION POLICY \"long p\" ON typed DURATION 9999d REPLICATION 1 SHARD DURATION 1d",
        "CREATE USER ada WITH PASSWORD 'secret'",
        "GRANT READ ON typed TO ada",
        "CREATE CONTINUOUS QUERY idle ON typed BEGIN SELECT mean(f) AS f INTO never FROM nothing GROUP BY time(1h) END",
    ] {
        lab.carry_out("", statement);
    }
    let lines = (0..3000_i64).map(|number| {
        let time = (1_700_000_000 + number * 60) * 1_000_000_000;
        format!(
            "m,host=h{} f={:?},i={number}i,s=\"text {number}\",b={} {time}\n",
            number % 7,
            number as f64 * 0.1,
            number % 2 == 0
        )
    });
    let lines = lines.collect::<String>();
    for parameters in [&[("db", "typed")][..], &[("db", "typed"), ("rp", "long p")]] {
        let answer = write_with(&lab.influx_url(), parameters, &lines);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

/// What the page names of replicas that run different releases.
fn differing(url: &str) -> Vec<String> {
    let page = status::page(url);
    let problems = page["problems"].as_array().expect("problems");
    let texts = problems
        .iter()
        .filter(|problem| problem["what"].to_string().contains("different releases"))
        .map(|problem| problem["why"].to_string());
    texts.collect()
}

fn version(url: &str, number: usize) -> String {
    let replica = status::replica(url, number);
    replica["version"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn assert_compared(lab: &Lab, arguments: &[&str]) {
    let said = lab.haflux.told(&[&["compare"], arguments].concat());
    assert_eq!(said.status.code(), Some(0), "{said:?}");
}

#[test]
fn nodes_are_upgraded_one_by_one_and_nobody_notices() {
    let programs = programs();
    let options = Options::default().program(&programs[0]);
    let mut lab = Lab::start_with(options, brisk);
    let url = lab.influx_url();
    lab.create_database("telegraf");
    fill(&lab);
    // So that it does not compare the nodes by itself, as it does with new ones.
    lab.haflux.restart();
    let length = Length::from_environment("HAFLUX_NODE_UPGRADES_REQUESTS", 0);
    let upgrades = programs.len() - 1;
    let begun = Instant::now();
    let mut releases = Vec::new();
    let crowd = Crowd::work_beside(&url, &length, |crowd| {
        for (number, program) in programs.iter().enumerate().skip(1) {
            let share = length.requests * number as u64 / upgrades as u64;
            for node in 0..2 {
                let before = version(&url, node);
                let one = if node == 0 {
                    &mut lab.node1
                } else {
                    &mut lab.node2
                };
                one.stop();
                // So that it has missed something.
                let missed = crowd.acknowledged() + 50;
                wait_until("more to be acknowledged", PATIENCE, || {
                    crowd.acknowledged() > missed
                });
                one.upgrade(program);
                wait_until("it to be fresh again", PATIENCE, || {
                    status::replica(&url, node)["status"] == "fresh"
                });
                let statement = format!("CREATE DATABASE \"after {number}.{node}\"");
                support::carry_out(&url, &[("q", &statement)]);
                let after = version(&url, node);
                releases.push(format!("{before} to {after}"));
                // The first of a pair differs from the second one, if this is another release.
                let is_other = before != after && node == 0;
                assert_eq!(
                    differing(&url).len(),
                    usize::from(is_other),
                    "{before} {after}"
                );
                assert_compared(&lab, &["--db", "typed", "--full"]);
                assert_compared(&lab, &["--db", "telegraf"]);
            }
            wait_until("the run's share", PATIENCE * 10, || {
                crowd.answered() >= share
            });
        }
    });
    println!(
        "{} requests over {releases:?} in {:?}, none failed; the longest took {:?}, {} took over a second",
        crowd.answered(),
        begun.elapsed(),
        crowd.longest(),
        crowd.over_a_second()
    );
    support::wait_until_level(&lab, PATIENCE).expect("both have everything");
    for node in lab.nodes() {
        assert_eq!(node.count("telegraf", "m", "v"), crowd.acknowledged());
    }
    for database in ["telegraf", "typed"] {
        lab.assert_same(database);
    }
    assert_compared(&lab, &[]);
    assert_compared(&lab, &["--full"]);
    assert_eq!(status::relay(&url)["dead_letters"], 0);
    let said = lab.haflux.log().matches("run different releases").count();
    let differ = releases.iter().any(|release| {
        let (before, after) = release.split_once(" to ").expect("two releases");
        before != after
    });
    assert_eq!(said > 0, differ, "{releases:?}");
}

/// Whichever of two nodes is newer can be mended and rebuilt from the other one.
#[test]
fn nodes_of_different_releases_are_mended_and_rebuilt_from_each_other() {
    let programs = programs();
    let (first, last) = (&programs[0], &programs[programs.len() - 1]);
    if first == last {
        println!("HAFLUX_TEST_INFLUXD_NEXT names no other release: nothing to test");
        return;
    }
    let options = Options::default().program(first);
    let keys = relay_keys("rewind = \"1s\"\nretry = { max = \"500ms\" }");
    let mut lab = Lab::start_with(options, keys);
    let url = lab.influx_url();
    lab.node2.upgrade(last);
    fill(&lab);
    // So that it does not compare the nodes by itself, as it does with new ones.
    lab.haflux.restart();
    support::wait_until_level(&lab, PATIENCE).expect("both have everything");
    assert_ne!(version(&url, 0), version(&url, 1));
    assert_compared(&lab, &["--full"]);
    for (from, to, right, wrong) in [
        ("influxlab", "influxlab2", &lab.node1, &lab.node2),
        ("influxlab2", "influxlab", &lab.node2, &lab.node1),
    ] {
        wrong.query("typed", "DROP SERIES FROM m WHERE host = 'h3'");
        let name = format!("only {from}");
        right.create_database(&name);
        right.write(&name, "m v=1 1");
        let said = lab.haflux.order(&["mend", "--from", from, "--yes"]);
        assert_eq!(wrong.count(&name, "m", "v"), 1, "{to}: {said}");
        assert_compared(&lab, &["--full"]);
    }
    for (name, number) in [("influxlab2", 1), ("influxlab", 0)] {
        let node = if number == 0 {
            &mut lab.node1
        } else {
            &mut lab.node2
        };
        node.kill9();
        node.wipe();
        node.restart();
        wait_until("it to be found out", PATIENCE, || {
            status::replica(&url, number)["status"] == "diverged"
        });
        lab.haflux.order(&["replica", "rebuild", name, "--yes"]);
        assert_compared(&lab, &["--full", "--db", "typed"]);
    }
}
