//! The views of what is counted behind a frontend's `stats_uri` and `metrics_uri`.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;

use crate::proxy::{Rendered, StatusPage};
use crate::stats::snapshot::Snapshot;
use crate::stats::{self, Stats};

/// The answer to options that ask for a view that there is not.
///
/// HAProxy answers them with its page and 200, so that a program which asks for a view that its HAProxy lacks reads HTML.
const UNKNOWN: &str = "There is no such view. Behind stats_uri haflux has: nothing or ;norefresh (the page), ;csv, ;json.\n";

/// HAProxy's options of its page, which are right here too: `;up` and `;no-maint` leave servers out there, `;st` and `;scope` come
/// from its forms.
const PAGE_OPTIONS: [&str; 4] = ["", "norefresh", "up", "no-maint"];
const PAGE_OPTIONS_WITH_VALUE: [&str; 2] = ["st=", "scope="];

/// The views over these counters.
pub(super) struct Page(pub(super) Arc<Stats>);

impl StatusPage for Page {
    /// Options may follow each other; the first that names a view decides, as in HAProxy.
    fn render(&self, options: &str) -> Rendered {
        for option in options.split(';') {
            match option {
                "csv" => {
                    let text = stats::csv::csv(&self.snapshot());
                    return rendered(StatusCode::OK, stats::csv::CONTENT_TYPE, text);
                }
                "json" => {
                    let text = stats::json::json(&self.0);
                    return rendered(StatusCode::OK, "application/json", text);
                }
                other if is_of_the_page(other) => {}
                _ => return rendered(StatusCode::NOT_FOUND, "text/plain", UNKNOWN),
            }
        }
        let page = stats::page::html(&self.0, SystemTime::now());
        rendered(StatusCode::OK, "text/html; charset=utf-8", page)
    }

    fn metrics(&self) -> Rendered {
        let text = stats::prometheus::text(&self.snapshot());
        rendered(StatusCode::OK, stats::prometheus::CONTENT_TYPE, text)
    }
}

impl Page {
    fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.0, SystemTime::now())
    }
}

fn is_of_the_page(option: &str) -> bool {
    let mut with_value = PAGE_OPTIONS_WITH_VALUE.iter();
    PAGE_OPTIONS.contains(&option) || with_value.any(|name| option.starts_with(name))
}

fn rendered(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Rendered {
    Rendered {
        status,
        content_type,
        body: body.into(),
    }
}
