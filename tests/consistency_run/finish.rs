//! In the end, everything up and quiet: each node is compared with what is known, and both with each other.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::OWNERS;
use super::asks::Ask;
use super::book::Book;
use super::clients::{Client, Run};
use super::support::long_run::Violations;
use super::support::long_run::events;
use super::support::{Influxd, same_points};

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
        violations.add("the nodes differ", || events::line(book.elapsed(), what));
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
