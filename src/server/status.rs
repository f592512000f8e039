//! The status page behind a frontend's `stats_uri`.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::proxy::StatusPage;
use crate::stats::{self, Stats};

/// The page over these counters: HTML, or JSON for `;json`.
pub(super) struct Page(pub(super) Arc<Stats>);

impl StatusPage for Page {
    fn render(&self, options: &str) -> (&'static str, Bytes) {
        if options.split(';').any(|option| option == "json") {
            ("application/json", Bytes::from(stats::json::json(&self.0)))
        } else {
            (
                "text/html; charset=utf-8",
                Bytes::from(stats::page::html(&self.0, SystemTime::now())),
            )
        }
    }
}
