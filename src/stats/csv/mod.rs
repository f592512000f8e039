//! The `;csv` view: HAProxy's columns in HAProxy's order and meaning (its management guide, section 9.1).
//!
//! A relay is a backend whose servers are its replicas. A column is empty where haflux has no counterpart, as HAProxy leaves
//! it empty where a proxy has none: monitoring takes an empty one for "nothing", and a 0 for "none".

mod columns;
mod rows;

use super::snapshot::Snapshot;

/// The content type, as HAProxy's.
pub const CONTENT_TYPE: &str = "text/plain";

/// The header and a line for each frontend, server, backend, replica and relay.
pub fn csv(snapshot: &Snapshot) -> String {
    let mut text = columns::header();
    for row in rows::rows(snapshot) {
        row.write(&mut text);
    }
    text
}
