//! The counters for programs: one JSON document, the fields of [`Snapshot`] by their names.

use std::time::SystemTime;

use super::counters::Stats;
use super::snapshot::Snapshot;

/// Everything as JSON. Times are RFC 3339 in UTC, durations seconds, amounts of data bytes.
pub fn json(stats: &Stats) -> String {
    // Serialising fails only for maps with keys that are not strings and for types that refuse; a snapshot has neither.
    serde_json::to_string(&Snapshot::take(stats, SystemTime::now())).unwrap_or_default()
}
