//! The counters for programs: one JSON document with the fields of [`Snapshot`] by their names, and under `figures` what each of
//! them says. haflux's own commands read it back.

use std::time::SystemTime;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::counters::Stats;
use super::figures::{self, About};
use super::snapshot::Snapshot;

/// The document.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    snapshot: Snapshot,
    figures: Descriptions,
}

/// What is said of each figure, by its path; `[]` in a path stands for each item of a list.
struct Descriptions;

/// What is said of one figure.
#[derive(Serialize)]
struct Description {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    prometheus: String,
    description: &'static str,
}

impl Serialize for Descriptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for group in figures::groups() {
            let part = group.part();
            for about in group.figures() {
                let path = format!("{}{}", part.path, about.path);
                map.serialize_entry(&path, &description(part.prefix, about))?;
            }
        }
        map.end()
    }
}

fn description(prefix: &str, about: &About) -> Description {
    Description {
        kind: about.kind.word(),
        unit: about.unit,
        prometheus: match about.metric {
            "" => String::new(),
            metric => format!("{prefix}{metric}"),
        },
        description: about.description,
    }
}

/// Everything as JSON. Times are RFC 3339 in UTC, durations seconds, amounts of data bytes.
pub fn json(stats: &Stats) -> String {
    let document = Document {
        snapshot: Snapshot::take(stats, SystemTime::now()),
        figures: Descriptions,
    };
    // Serialising fails only for maps with keys that are not strings and for types that refuse; a snapshot has neither.
    serde_json::to_string(&document).unwrap_or_default()
}

/// Reads back what [`json`] wrote, without what each figure says. Ages are seen from now.
///
/// # Errors
/// It lacks a figure or has a state that this version does not know: it is of another version.
pub fn read(document: &str) -> Result<Snapshot, serde_json::Error> {
    serde_json::from_str(document)
}
