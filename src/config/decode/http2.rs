//! `http2` of a frontend.

use std::ops::RangeInclusive;

use crate::config::field::{Keys, Table};
use crate::config::model::Http2;

const KEYS: Keys = Keys::of(&["plain", "max_streams", "max_resets", "window"]);

/// A quarter of the smallest one is what RFC 9113 gives a stream by default, more or less. The largest is what a counter of the protocol
/// can hold, halved.
const WINDOWS: RangeInclusive<usize> = 256 * 1024..=1 << 30;

/// Reads the table, if `frontend` has it.
pub(super) fn decode(frontend: &Table<'_>) -> Http2 {
    let default = Http2::default();
    let table = frontend
        .get("http2")
        .and_then(|field| field.table(KEYS, "a table such as { plain = true }"));
    let Some(table) = table else {
        return default;
    };
    let window = table
        .get("window")
        .and_then(|field| field.size(WINDOWS))
        .and_then(|window| u32::try_from(window).ok());
    Http2 {
        plain: table.boolean("plain", default.plain),
        max_streams: table.whole("max_streams", 1..=10_000, default.max_streams),
        max_resets: table.whole("max_resets", 1..=1_000_000, default.max_resets),
        window: window.unwrap_or(default.window),
    }
}
