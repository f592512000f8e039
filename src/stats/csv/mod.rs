//! HAProxy's statistics: its columns in its order and meaning (its management guide, section 9.1), as the `;csv` view, and as `show
//! stat` writes them on the runtime socket: CSV, `typed` or `json`.
//!
//! A relay is a backend whose servers are its replicas. A column is empty where haflux has no counterpart, as HAProxy leaves
//! it empty where a proxy has none: monitoring takes an empty one for "nothing", and a 0 for "none".
//!
//! - `columns`: the list of columns, and the three ways to write a row.
//! - `rows`: what haflux puts into them.
//! - [`typed`]: what the formats `typed` and `json` say of a value.

mod columns;
mod rows;
pub mod typed;

use serde::{Deserialize, Serialize};

use super::snapshot::{Snapshot, Status};
use columns::Row;

/// The content type, as HAProxy's.
pub const CONTENT_TYPE: &str = "text/plain";

/// How statistics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As HAProxy writes them unless told otherwise: CSV, or `Name: value` of the process.
    #[default]
    Plain,
    /// A line for each value, with its tags and type.
    Typed,
    /// JSON, with the same.
    Json,
}

/// Which rows are asked for, as in HAProxy's `show stat`, and how they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatQuery {
    /// The name or the number of a proxy; nothing for all.
    pub proxy: Option<String>,
    /// 1 for frontends, 2 for backends, 4 for servers, or a sum of these; nothing for all.
    pub kinds: Option<u32>,
    /// The number of a server, which leaves out other servers and no proxy; nothing for all.
    pub server: Option<u32>,
    /// Servers in maint are left out.
    pub no_maint: bool,
    /// Servers that are down or in maint are left out.
    pub up: bool,
    /// How they are written.
    pub format: Format,
}

impl StatQuery {
    /// Leaves the rows of the proxy that is asked for; false if there can be none such.
    fn keep_proxy(&self, rows: &mut Vec<Row>) -> bool {
        let Some(wanted) = &self.proxy else {
            return true;
        };
        if rows.iter().any(|row| row.pxname == *wanted) {
            rows.retain(|row| row.pxname == *wanted);
            return true;
        }
        rows.retain(|row| row.iid == *wanted);
        // HAProxy answers to any other number with no rows.
        wanted.parse().is_ok_and(|number: i32| number != 0)
    }

    fn admits(&self, row: &Row) -> bool {
        let kind: Option<u8> = row.kind.parse().ok();
        let bit = kind.and_then(|kind| 1_u32.checked_shl(kind.into()));
        let is_kind = self
            .kinds
            .is_none_or(|kinds| bit.is_some_and(|bit| kinds & bit != 0));
        is_kind && (kind != Some(rows::SERVER) || self.admits_server(row))
    }

    fn admits_server(&self, row: &Row) -> bool {
        let number = row.sid.parse().ok();
        let is_wanted = self.server.is_none_or(|wanted| number == Some(wanted));
        let is = |status: Status| row.status == rows::word(status);
        let is_left_out =
            (is(Status::Maint) && (self.no_maint || self.up)) || (is(Status::Down) && self.up);
        is_wanted && !is_left_out
    }
}

/// The header and a line for each frontend, server, backend, replica and relay.
pub fn csv(snapshot: &Snapshot) -> String {
    plain(&rows::rows(snapshot))
}

/// The answer to HAProxy's `show stat`; nothing if the query names a proxy that there is not.
pub fn show_stat(snapshot: &Snapshot, query: &StatQuery) -> Option<String> {
    let mut rows = rows::rows(snapshot);
    if !query.keep_proxy(&mut rows) {
        return None;
    }
    rows.retain(|row| query.admits(row));
    Some(match query.format {
        Format::Plain => plain(&rows),
        Format::Typed => {
            let mut text = String::new();
            rows.iter().for_each(|row| row.write_typed(&mut text));
            text
        }
        Format::Json => {
            let mut text = "[".to_owned();
            for (number, row) in rows.iter().enumerate() {
                if number > 0 {
                    text.push(',');
                }
                row.write_json(&mut text);
            }
            text + "]\n"
        }
    })
}

fn plain(rows: &[Row]) -> String {
    let mut text = columns::header();
    rows.iter().for_each(|row| row.write(&mut text));
    text
}
