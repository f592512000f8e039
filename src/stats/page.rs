//! The status page: what HAProxy's users expect to read at a glance, and the relays.
//!
//! It needs no script and no other file, refreshes itself every five seconds, and says every state in words as well as in
//! colour. The template is compiled in; every value in it is escaped by its engine.

use std::time::SystemTime;

use askama::Template;

use super::counters::Stats;
use super::snapshot::Snapshot;

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    all: Snapshot,
}

/// The page as seen at `now`.
pub fn html(stats: &Stats, now: SystemTime) -> String {
    let page = Page {
        all: Snapshot::take(stats, now),
    };
    // Writing to a `String` does not fail, and no value of the page refuses to be written.
    page.render().unwrap_or_default()
}
