use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::page::{RENEW, markdown};
use super::{Kind, groups};
use crate::stats::prometheus;
use crate::stats::snapshot::Snapshot;
use crate::stats::tests::{full, now};

/// The paths of everything in `value` that is no object; the items of a list share one.
fn leaves(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if fields.contains_key("up_to") => {
            into.insert(path.to_owned());
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(field, &format!("{path}{dot}{name}"), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                leaves(item, &format!("{path}[]"), into);
            }
        }
        _ => {
            into.insert(path.to_owned());
        }
    }
}

#[test]
fn every_field_of_the_snapshot_is_in_the_list() {
    let snapshot = serde_json::to_value(Snapshot::take(&full(), now())).unwrap();
    let mut found = BTreeSet::new();
    leaves(&snapshot, "", &mut found);
    let mut listed = BTreeSet::new();
    for group in groups() {
        for about in group.figures() {
            let path = format!("{}{}", group.part().path, about.path);
            assert!(listed.insert(path.clone()), "{path} is listed twice");
        }
    }
    assert_eq!(found, listed);
}

#[test]
fn names_follow_the_conventions() {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for group in groups() {
        for about in group.figures() {
            assert!(about.description.ends_with('.'), "{}", about.path);
            let is_number = matches!(about.kind, Kind::Counter | Kind::Gauge | Kind::Histogram);
            assert_eq!(is_number, !about.unit.is_empty(), "{}", about.path);
            if about.metric.is_empty() {
                continue;
            }
            let name = format!("{}{}", group.part().prefix, about.metric);
            assert_eq!(
                about.kind == Kind::Counter,
                name.ends_with("_total"),
                "{name}"
            );
            for unit in ["bytes", "seconds"] {
                let stem = name.trim_end_matches("_total");
                assert_eq!(
                    about.unit == unit,
                    stem.ends_with(unit) && about.kind != Kind::Moment,
                    "{name}"
                );
            }
            let known = kinds.insert(name.clone(), about.kind);
            assert!(known.is_none() || about.label.is_some(), "{name} twice");
        }
    }
}

#[test]
fn the_documentation_is_what_the_list_renders() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("HAFLUX_RENEW").is_some() {
        std::fs::write(&file, markdown()).unwrap();
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        stands == markdown(),
        "docs/metrics.md is not what the list of figures renders; renew it: {RENEW}"
    );
}

#[test]
fn prometheus_gets_every_figure_with_a_name() {
    let text = prometheus::text(&Snapshot::take(&full(), now()));
    for group in groups() {
        for about in group.figures() {
            let name = format!("{}{}", group.part().prefix, about.metric);
            if about.metric.is_empty() {
                continue;
            }
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }
    for line in [
        "haflux_server_state{backend=\"influx_back\",server=\"influxlab2\",state=\"down\"} 1",
        "haflux_server_state{backend=\"influx_back\",server=\"influxlab2\",state=\"up\"} 0",
        "haflux_replica_lag_records{relay=\"influx_relay\",replica=\"influxlab2\"} 304",
        "haflux_frontend_responses_total{frontend=\"influx_front\",code=\"2xx\"} 1200",
        "haflux_relay_head_sequence{relay=\"influx_relay\"} 59504",
        "haflux_relay_journal_takes_records{relay=\"influx_relay\"} 0",
        "haflux_relay_acknowledgement_duration_seconds_bucket{relay=\"influx_relay\",le=\"0.005\"} 1",
        "haflux_relay_acknowledgement_duration_seconds_bucket{relay=\"influx_relay\",le=\"+Inf\"} 2",
        "haflux_start_time_seconds 1767131816.25",
        "haflux_heal_running{relay=\"influx_relay\",work=\"rebuild\"} 1",
        "haflux_heal_slices_done{relay=\"influx_relay\",work=\"rebuild\"} 1",
        "haflux_heal_slices{relay=\"influx_relay\",work=\"rebuild\"} 4",
        "haflux_heal_percent{relay=\"influx_relay\",work=\"rebuild\"} 25",
    ] {
        assert!(text.contains(line), "no {line} in:\n{text}");
    }
}

/// The names of haflux' metrics in a file, without what Prometheus adds to a histogram's.
fn names_in(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_of_name(character));
    words
        .filter(|word| word.starts_with("haflux_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn what_is_deployed_names_only_metrics_that_there_are() {
    let mut known = BTreeSet::new();
    for group in groups() {
        let named = group
            .figures()
            .into_iter()
            .filter(|about| !about.metric.is_empty());
        known.extend(named.map(|about| format!("{}{}", group.part().prefix, about.metric)));
    }
    for (file, at_least) in [
        ("deploy/prometheus/rules.yaml", 14),
        ("deploy/prometheus/rules_test.yaml", 8),
        ("deploy/grafana/dashboards/haflux.json", 25),
    ] {
        let used = names_in(file);
        assert!(used.len() >= at_least, "{file} names only {used:?}");
        let unknown: Vec<&String> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}
