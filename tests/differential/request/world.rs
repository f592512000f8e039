//! What nodes hold, told apart by the requests that changed it.

use std::collections::{BTreeMap, BTreeSet};

use super::requests::Request;
use crate::support::Influxd;

/// Times from here on are the machine's: no request bears one so late.
const NOW: i64 = 1_000_000_000_000_000_000;

/// What is there, by the number of a request; what bears no number is under none.
pub type World = BTreeMap<Option<usize>, BTreeSet<String>>;

/// What a node holds: its databases, and all points of `base`.
pub fn look(node: &Influxd, base: &str) -> World {
    let mut world = World::new();
    let mut add = |name: &str, told: String| {
        let number = Request::number_of(name);
        world.entry(number).or_default().insert(told);
    };
    let answer = node.query("", "SHOW DATABASES");
    for row in rows(&answer["results"][0]["series"][0]) {
        let name = row[0].as_str().unwrap_or_default();
        add(name, format!("database {name}"));
    }
    let statement = format!("SELECT * FROM \"{base}\".autogen./.*/ GROUP BY *");
    let answer = node.query(base, &statement);
    let series = answer["results"][0]["series"].as_array();
    for series in series.map_or(&[][..], Vec::as_slice) {
        let name = series["name"].as_str().unwrap_or_default();
        for row in rows(series) {
            let mut row = row.clone();
            if row[0].as_i64() >= Some(NOW) {
                row[0] = "now".into();
            }
            let columns = series["columns"].as_array();
            let columns = columns.map_or(&[][..], Vec::as_slice);
            // Fields of other measurements are columns here too.
            let fields = columns
                .iter()
                .zip(&row)
                .filter(|(_, value)| !value.is_null());
            let fields: Vec<String> = fields
                .map(|(column, value)| format!("{}={value}", column.as_str().unwrap_or_default()))
                .collect();
            add(
                name,
                format!("{name}{} {}", series["tags"], fields.join(" ")),
            );
        }
    }
    world
}

fn rows(series: &serde_json::Value) -> impl Iterator<Item = &Vec<serde_json::Value>> {
    let rows = series["values"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().filter_map(serde_json::Value::as_array)
}
