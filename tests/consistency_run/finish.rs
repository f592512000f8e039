//! In the end, everything up and quiet: each node is compared with what is known, and both with each other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::OWNERS;
use super::asks::Ask;
use super::book::Book;
use super::clients::{Client, Run};
use super::support::{Influxd, Lab, http, same_points};
use super::violations::Violations;

/// Waits until both replicas have applied everything, nothing is in doubt, and the nodes work on nothing any more. How long that may take depends
/// on how long there was `trouble`. False if they do not get there.
pub fn wait_until_level(lab: &Lab, trouble: Duration, violations: &Violations) -> bool {
    let limit = Instant::now() + Duration::from_secs(60) + trouble;
    let page = format!("{}/haproxy?stats;json", lab.influx_url());
    loop {
        let relay = http::get(&page).json()["relays"][0].clone();
        let replicas = relay["replicas"].as_array().cloned().unwrap_or_default();
        let level = replicas.len() == 2
            && replicas.iter().all(|replica| {
                replica["cursor"] == relay["head"]
                    && replica["lag"]["records"] == 0
                    && replica["in_doubt"] == false
            });
        if level && [&lab.node1, &lab.node2].into_iter().all(at_rest) {
            return true;
        }
        if Instant::now() > limit {
            violations.add("the nodes do not catch up", || {
                format!("the nodes do not catch up: {relay:#}")
            });
            return false;
        }
        // Between two looks at the page.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether a node has no request under way but the one that asks: one that haflux gave up may still be there.
fn at_rest(node: &Influxd) -> bool {
    let answer = node.query("", "SHOW STATS FOR 'httpd'");
    let series = &answer["results"][0]["series"][0];
    let column = series["columns"]
        .as_array()
        .and_then(|columns| columns.iter().position(|name| name == "reqActive"))
        .expect("InfluxDB counts requests under way");
    series["values"][0][column].as_u64() <= Some(1)
}

/// Reads everything at `address` once. False if something could not be read.
pub fn read_all(run: Run<'_>) -> bool {
    let mut client = Client::new(run, OWNERS, Rng::with_seed(0));
    // What cannot be read does not hide what can.
    let asks = Ask::all().into_iter();
    asks.filter(|ask| !client.read(&[*ask])).count() == 0
}

/// Checks both nodes on their own, and against each other.
pub fn check(nodes: [&Influxd; 2], run: Run<'_>) {
    for node in nodes {
        let address = node.address();
        let run = Run {
            address: &address,
            ..run
        };
        if !read_all(run) {
            run.violations.add("not readable in the end", || {
                format!("{address} does not answer all that it is asked")
            });
        }
    }
    same(nodes, run.book, run.violations);
}

/// Compares everything that the nodes hold.
pub fn same(nodes: [&Influxd; 2], book: &Book, violations: &Violations) {
    let differs = |what: String| {
        violations.add("the nodes differ", || {
            format!("{:10.4} {what}", book.elapsed().as_secs_f64())
        });
    };
    let [on_left, on_right] = nodes.map(databases);
    if on_left != on_right {
        differs(format!("databases: {on_left:?} and {on_right:?}"));
    }
    for database in on_left.intersection(&on_right) {
        for difference in same_points(nodes[0], nodes[1], database) {
            differs(format!("{database}: {difference}"));
        }
        let [left, right] = nodes.map(|node| node.query(database, "SHOW MEASUREMENTS"));
        if left != right {
            differs(format!("{database}: measurements: {left} and {right}"));
        }
    }
}

fn databases(node: &Influxd) -> BTreeSet<String> {
    let answer = node.query("", "SHOW DATABASES");
    let rows = answer["results"][0]["series"][0]["values"].as_array();
    rows.map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|row| row[0].as_str().map(str::to_owned))
        .collect()
}

/// What a run that proved something must have done.
pub fn did_something(run: Run<'_>) {
    for (what, result) in [("", "acknowledged"), ("read", "ok")] {
        assert!(run.tally.sum(what, result) > 0, "no {what} was {result}");
    }
}
