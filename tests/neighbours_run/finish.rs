//! What must hold in the end, with everything started and nobody about.

use std::collections::{BTreeMap, BTreeSet};

use super::good::Good;
use super::house::GOOD;
use super::support::{Haflux, Influxd, Lab, lock, same_points};

/// Violations of a kind that are told in words; the others are counted.
const TOLD: usize = 8;

/// What did not hold, by kind.
#[derive(Debug, Default)]
pub struct Violations(BTreeMap<&'static str, Vec<String>>);

impl Violations {
    pub fn add(&mut self, kind: &'static str, told: String) {
        self.0.entry(kind).or_default().push(told);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, Vec::len)
    }
}

impl std::fmt::Display for Violations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, told) in &self.0 {
            writeln!(f, "VIOLATED {} times: {kind}", told.len())?;
            for told in told.iter().take(TOLD) {
                writeln!(f, "    {told}")?;
            }
        }
        Ok(())
    }
}

/// The kinds that a look at the nodes finds.
pub const LOST: &str = "acknowledged to the good client, and not on a node";
pub const DIFFERING: &str = "the nodes differ";
pub const STALE: &str = "a read of the good client went back in time";
pub const LETTERS: &str = "a dead letter that nobody deserved";
pub const STRANGE: &str = "on a node, and never sent by the good client";

/// Checks everything that stays.
pub fn check(lab: &Lab, good: &Good, violations: &mut Violations) {
    let nodes = [&lab.node1, &lab.node2];
    check_reads(good, violations);
    for node in nodes {
        check_pulse(node, good, violations);
    }
    let letters = letters(&lab.haflux);
    for (database, letters) in &letters {
        println!("dead letters of {database:?}: {}", letters.len());
        for letter in letters.iter().take(TOLD) {
            println!("    {letter}");
        }
        if database == GOOD {
            for letter in letters {
                violations.add(LETTERS, letter.clone());
            }
        }
    }
    let found = nodes.map(databases);
    if found[0] != found[1] {
        violations.add(DIFFERING, format!("databases: {found:?}"));
    }
    for statement in [
        "SHOW USERS",
        "SHOW GRANTS FOR good",
        "SHOW CONTINUOUS QUERIES",
    ] {
        let [one, other] = nodes.map(|node| sorted(node, statement));
        if one != other {
            violations.add(DIFFERING, format!("{statement}: {one:?} and {other:?}"));
        }
    }
    for database in found[0].intersection(&found[1]) {
        let differences = same_points(&lab.node1, &lab.node2, database);
        if letters.contains_key(database) && database != GOOD {
            // A record that one node was spared is a difference, and its letter says so.
            println!(
                "{database:?} differs in {} places, as its letters say",
                differences.len()
            );
            continue;
        }
        for difference in differences {
            let mut told = format!("{database}: {difference}");
            told.truncate(told.floor_char_boundary(600));
            violations.add(DIFFERING, told);
        }
    }
}

/// Whether a read went back in time.
pub fn check_reads(good: &Good, violations: &mut Violations) {
    for stale in &lock(&good.known).stale {
        violations.add(STALE, stale.clone());
    }
}

fn check_pulse(node: &Influxd, good: &Good, violations: &mut Violations) {
    let answer = node.query(GOOD, "SELECT v FROM pulse");
    let rows = answer["results"][0]["series"][0]["values"].as_array();
    let found: BTreeMap<i64, i64> = rows
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|row| Some((row[0].as_i64()?, row[1].as_i64()?)))
        .collect();
    let known = lock(&good.known);
    let mut number = 0;
    for acknowledged in &known.acknowledged {
        let there = found.get(&(number * 1_000_000_000)) == Some(&number);
        if *acknowledged && !there {
            violations.add(LOST, format!("number {number} on {}", node.address()));
        }
        number += 1;
    }
    for (time, value) in found {
        if value < 0 || value >= number || time != value * 1_000_000_000 {
            violations.add(STRANGE, format!("{value} at {time} on {}", node.address()));
        }
    }
}

fn databases(node: &Influxd) -> BTreeSet<String> {
    sorted(node, "SHOW DATABASES")
        .into_iter()
        .filter_map(|row| row[0].as_str().map(str::to_owned))
        .collect()
}

/// The rows of an answer, in an order of their own.
fn sorted(node: &Influxd, statement: &str) -> Vec<serde_json::Value> {
    let answer = node.query("", statement);
    let mut rows = answer["results"][0]["series"][0]["values"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    rows.sort_by_key(ToString::to_string);
    rows
}

/// The dead letters by database.
fn letters(haflux: &Haflux) -> BTreeMap<String, Vec<String>> {
    let config = haflux.file().to_str().expect("a plain name");
    let output = Haflux::command(&["dead-letters", "list", "--config", config]);
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut letters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // ID, REPLICA, TIME, DATABASE, …
    for line in list.lines().skip(1).filter(|line| line.contains('-')) {
        let database = line.split_whitespace().nth(3).unwrap_or_default();
        letters
            .entry(database.to_owned())
            .or_default()
            .push(line.to_owned());
    }
    letters
}
