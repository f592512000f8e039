//! The figures of one part, with what each of them says: all that the [list](crate::stats::figures) has of it.

use std::time::Duration;

use serde_json::Value;

use crate::cli::tables::{Cell, Kind, Row};
use crate::stats::figures::{About, groups};
use crate::stats::snapshot::Snapshot;
use crate::stats::units::{Bytes, Count, Span};

/// A row for each figure of the part with these names; nothing if there is none.
pub(super) fn rows(kind: Kind, names: &[String], all: &Snapshot) -> Vec<Row> {
    let document = serde_json::to_value(all).unwrap_or_default();
    find(kind, names, &document).unwrap_or_default()
}

fn find(kind: Kind, names: &[String], document: &Value) -> Option<Vec<Row>> {
    let path = match kind {
        Kind::Frontends => "frontends[].",
        Kind::Backends => "backends[].",
        Kind::Servers => "backends[].servers[].",
        Kind::Relays => "relays[].",
        Kind::Replicas => "relays[].replicas[].",
        Kind::Problems | Kind::Lanes | Kind::Figures => return None,
    };
    let group = groups().iter().find(|group| group.part().path == path)?;
    let mut part = document;
    for (list, name) in path.split_terminator("[].").zip(names) {
        let list = part.get(list)?.as_array()?;
        part = list.iter().find(|item| item["name"] == **name)?;
    }
    let row = |about: &About| {
        let mut steps = about.path.split('.');
        let value = steps.try_fold(part, |value, step| value.get(step));
        Row {
            names: vec![about.path.to_owned()],
            cells: vec![
                about.path.into(),
                shown(about.unit, value.unwrap_or(&Value::Null)),
                about.description.into(),
            ],
            mood: "idle",
        }
    };
    Some(group.figures().into_iter().map(row).collect())
}

/// The value for a person.
fn shown(unit: &str, value: &Value) -> Cell {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match (unit, number.as_u64(), number.as_f64()) {
            ("bytes", Some(bytes), _) => Bytes(bytes).into(),
            ("seconds", _, Some(seconds)) => span(seconds).into(),
            (_, Some(count), _) => Count(count).into(),
            _ => number.to_string().into(),
        },
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            texts.join(", ").into()
        }
        Value::Object(histogram) => {
            let number = |name| histogram.get(name).and_then(Value::as_f64);
            let (count, sum) = (number("count"), number("sum"));
            match (count, sum) {
                (Some(count), Some(sum)) if count > 0.0 => {
                    format!("{count}, {} on average", span(sum / count)).into()
                }
                _ => "0".into(),
            }
        }
    }
}

fn span(seconds: f64) -> Span {
    Span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tests::{full, now};

    #[test]
    fn every_figure_of_a_part_is_shown_as_its_unit_has_it() {
        let all = Snapshot::take(&full(), now());
        let of = |kind, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            rows(kind, &names, &all)
        };
        let value = |rows: &[Row], figure: &str| {
            let row = rows.iter().find(|row| row.cells[0].text == figure);
            row.map(|row| row.cells[1].text.clone()).unwrap_or_default()
        };
        let replica = of(Kind::Replicas, &["influx_relay", "influxlab2"]);
        for (figure, expected) in [
            ("name", "influxlab2"),
            ("status", "down"),
            ("in_doubt", "no"),
            ("cursor", "59,200"),
            ("lag.bytes", "89.0 KiB"),
            ("lag.seconds", "2 min 12 s"),
            ("last_error.text", "it failed"),
            ("lanes.waiting", "21"),
        ] {
            assert_eq!(value(&replica, figure), expected, "{figure}");
        }
        let relay = of(Kind::Relays, &["influx_relay"]);
        assert_eq!(value(&relay, "acknowledgement"), "2, 20 s on average");
        let frontend = of(Kind::Frontends, &["influx_front"]);
        assert_eq!(value(&frontend, "bind"), "0.0.0.0:8086, [::]:8086");
        let server = of(Kind::Servers, &["influx_back", "influxlab"]);
        assert_eq!(value(&server, "address"), "10.0.2.2:8086");
        assert_eq!(value(&server, "traffic.responses.5xx"), "0");
        let other = of(Kind::Servers, &["grafana_back", "influxlab"]);
        assert_eq!(value(&other, "address"), "10.0.2.2:3000");
        assert!(of(Kind::Backends, &["nowhere"]).is_empty());
        assert!(of(Kind::Lanes, &["influx_relay"]).is_empty());
    }
}
