//! Whether two nodes hold the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::http::Answer;
use super::influxd::Influxd;

/// More differences than this are counted, not told.
const TOLD: usize = 25;

/// A retention policy, a measurement, tags and a time.
type Place = (String, String, String, i64);

/// A point: its fields that are set, as JSON texts.
type Fields = BTreeMap<String, String>;

/// How `database` differs between two nodes, point by point, over all retention policies, measurements and series; types of
/// fields and the policies themselves included. Empty when they hold the same.
#[track_caller]
pub fn same_points(left: &Influxd, right: &Influxd, database: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for statement in ["SHOW RETENTION POLICIES", "SHOW FIELD KEYS", "SHOW SERIES"] {
        let of = |node: &Influxd| node.query(database, statement);
        let (on_left, on_right) = (of(left), of(right));
        if on_left != on_right {
            differences.push(format!(
                "{statement}: {on_left} on {}, {on_right} on {}",
                left.address(),
                right.address()
            ));
        }
    }
    let policies: BTreeSet<String> = policies(left, database)
        .into_iter()
        .chain(policies(right, database))
        .collect();
    for policy in policies {
        let on_left = everything(left, database, &policy);
        let on_right = everything(right, database, &policy);
        let before = differences.len();
        compare(left, right, &policy, &on_left, &on_right, &mut differences);
        // Two floats can be read from JSON as equal though they are not; their texts tell them apart.
        if differences.len() == before && on_left.body != on_right.body {
            differences.push(format!("{policy}: equal values, written differently"));
        }
    }
    if differences.len() > TOLD {
        let untold = differences.split_off(TOLD).len();
        differences.push(format!("and {untold} more"));
    }
    differences
}

/// The same, but for names of fields of which a node has no value any more, which it keeps.
#[track_caller]
pub fn same_values(left: &Influxd, right: &Influxd, database: &str) -> Vec<String> {
    let mut differences = same_points(left, right, database);
    differences.retain(|difference| {
        !difference.starts_with("SHOW FIELD KEYS") && !difference.ends_with("written differently")
    });
    differences
}

/// The names of a database's retention policies; none if the node does not have it.
fn policies(node: &Influxd, database: &str) -> Vec<String> {
    let answer = node.query(database, "SHOW RETENTION POLICIES");
    rows(&answer)
        .filter_map(|series| series["values"].as_array())
        .flatten()
        .filter_map(|row| row[0].as_str().map(str::to_owned))
        .collect()
}

/// All points of a retention policy.
fn everything(node: &Influxd, database: &str, policy: &str) -> Answer {
    let name = policy.replace('\\', "\\\\").replace('"', "\\\"");
    let answer = node.query_answer(
        database,
        &format!("SELECT * FROM \"{name}\"./.*/ GROUP BY *"),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn compare(
    left: &Influxd,
    right: &Influxd,
    policy: &str,
    on_left: &Answer,
    on_right: &Answer,
    differences: &mut Vec<String>,
) {
    let (on_left, on_right) = (points(policy, on_left), points(policy, on_right));
    let places: BTreeSet<&Place> = on_left.keys().chain(on_right.keys()).collect();
    for place in places {
        let (one, other) = (on_left.get(place), on_right.get(place));
        if one != other {
            let (policy, measurement, tags, time) = place;
            differences.push(format!(
                "{policy}.{measurement}{tags} at {time}: {} on {}, {} on {}",
                told(one),
                left.address(),
                told(other),
                right.address()
            ));
        }
    }
}

fn told(fields: Option<&Fields>) -> String {
    fields.map_or_else(|| "nothing".to_owned(), |fields| format!("{fields:?}"))
}

fn points(policy: &str, answer: &Answer) -> BTreeMap<Place, Fields> {
    let answer = answer.json();
    let failure = answer["results"][0].get("error");
    assert!(failure.is_none(), "{failure:?}");
    let mut points = BTreeMap::new();
    for series in rows(&answer) {
        let measurement = series["name"].as_str().unwrap_or_default();
        let tags = series["tags"].to_string();
        let columns = series["columns"].as_array().expect("columns");
        for row in series["values"].as_array().expect("values") {
            let time = row[0].as_i64().expect("a time in nanoseconds");
            let fields = columns
                .iter()
                .enumerate()
                .skip(1)
                .filter(|(position, _)| !row[*position].is_null())
                .map(|(position, column)| {
                    let column = column.as_str().unwrap_or_default().to_owned();
                    (column, row[position].to_string())
                })
                .collect();
            let place = (
                policy.to_owned(),
                measurement.to_owned(),
                tags.clone(),
                time,
            );
            points.insert(place, fields);
        }
    }
    points
}

fn rows(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["results"][0]["series"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
}

/// Bytes that cannot be packed smaller than three quarters.
pub fn noise(length: usize) -> String {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(letters[(state >> 58) as usize])
        })
        .collect()
}
