//! In the end, everything up and quiet: each node is compared with what is known, and all with each other, by means that share
//! nothing with haflux's.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::asks::Ask;
use super::changes::{COUNTED_IN, COUNTED_STEP};
use super::clients::{Client, Run};
use super::support::long_run::numbers::Series;
use super::support::points::same_values;
use super::support::{Influxd, lock};
use super::{OWNERS, support::long_run::events};

/// Checks all nodes on their own, and against each other.
pub fn check(nodes: &[&Influxd], run: Run<'_>) {
    for node in nodes {
        let address = node.address();
        let run = Run {
            address: &address,
            ..run
        };
        read_all(run);
        for owner in 0..OWNERS {
            let series = lock(&run.book.counted[owner]);
            check_counted(node, owner, &series, run);
        }
    }
    for pair in nodes.windows(2) {
        same(pair[0], pair[1], run);
    }
}

/// Reads everything at its address once.
pub fn read_all(run: Run<'_>) {
    let mut client = Client::new(run, OWNERS, Rng::with_seed(0));
    for ask in Ask::all(run.book) {
        if !client.read(&ask) {
            run.violations.add("not readable in the end", || {
                format!("{} does not answer {ask:?}", run.address)
            });
        }
    }
}

fn check_counted(node: &Influxd, owner: usize, series: &Series, run: Run<'_>) {
    let text = format!("SELECT v FROM counted WHERE client = '{owner}'");
    let answer = node.query(COUNTED_IN, &text);
    let rows = answer["results"][0]["series"][0]["values"].as_array();
    let found: BTreeMap<u64, u64> = rows
        .into_iter()
        .flatten()
        .filter_map(|row| Some((row[1].as_u64()?, row[0].as_u64()?)))
        .collect();
    for number in series.acknowledged(0..series.sent) {
        if !found.contains_key(&number) {
            run.violations.add("an acknowledged point is missing", || {
                format!("counted,client={owner} {number} on {}", node.address())
            });
        }
    }
    for (number, time) in found {
        if number >= series.sent || time != number * COUNTED_STEP {
            run.violations.add("a point was never sent", || {
                format!(
                    "counted,client={owner} {number} at {time} on {}",
                    node.address()
                )
            });
        }
    }
}

/// Compares everything that two nodes hold.
pub fn same(left: &Influxd, right: &Influxd, run: Run<'_>) {
    let differs = |what: String| {
        run.violations.add("the nodes differ", || {
            events::line(run.book.elapsed(), what)
        });
    };
    let [on_left, on_right] = [left, right].map(databases);
    if on_left != on_right {
        differs(format!("databases: {on_left:?} and {on_right:?}"));
    }
    for database in on_left.intersection(&on_right) {
        for difference in same_values(left, right, database) {
            differs(format!("{database}: {difference}"));
        }
        // A node keeps the name of a field of which no value is left.
        let [left, right] = [left, right].map(|node| types(node, database));
        for (field, of_left) in &left {
            if let Some(of_right) = right.get(field).filter(|of_right| *of_right != of_left) {
                differs(format!(
                    "{database}: {field:?}: {of_left:?} and {of_right:?}"
                ));
            }
        }
    }
}

fn databases(node: &Influxd) -> BTreeSet<String> {
    let answer = node.query("", "SHOW DATABASES");
    let rows = answer["results"][0]["series"][0]["values"].as_array();
    let names = rows.into_iter().flatten();
    names
        .filter_map(|row| row[0].as_str().map(str::to_owned))
        .collect()
}

/// The types of each field of each measurement.
fn types(node: &Influxd, database: &str) -> BTreeMap<(String, String), BTreeSet<String>> {
    let answer = node.query(database, "SHOW FIELD KEYS");
    let mut types: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for series in answer["results"][0]["series"]
        .as_array()
        .into_iter()
        .flatten()
    {
        for row in series["values"].as_array().into_iter().flatten() {
            let [measurement, field, of] = [&series["name"], &row[0], &row[1]]
                .map(|text| text.as_str().unwrap_or_default().to_owned());
            types.entry((measurement, field)).or_default().insert(of);
        }
    }
    types
}

/// What a run that proved something must have done.
pub fn did_something(run: Run<'_>) {
    for (what, result) in [("", "acknowledged"), ("read", "ok")] {
        assert!(run.tally.sum(what, result) > 0, "no {what} was {result}");
    }
}
