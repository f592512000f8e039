//! How a changing request to `/query` goes to the nodes.
//!
//! A password goes as an uploaded file, because nodes log URLs and forms. Everything else goes as it came, by GET or as a form.

use bytes::Bytes;

use crate::influx::influxql::{Canonical, may_hold_secret};
use crate::influx::{FORM, Uploaded};
use crate::relay::record::statement::StatementMethod;

/// Longest target of a request that goes out as GET; a longer one goes as POST, where its length does not matter.
pub(super) const LONGEST_TARGET: usize = 16 * 1024;

/// A request to `/query` as it goes to the nodes.
pub(super) struct Sent {
    pub(super) method: StatementMethod,
    pub(super) target: String,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl Sent {
    pub(super) fn of(canonical: &Canonical) -> Self {
        let method = match canonical.answer.get {
            true => StatementMethod::Get,
            false => StatementMethod::Post,
        };
        let shape = canonical.answer.query_string();
        let has_room = |text: &str| text.len() + shape.len() < LONGEST_TARGET;
        let others = canonical.form_without_query();
        if may_hold_secret(&canonical.query) && has_room(&others) {
            let Uploaded { content_type, body } = Uploaded::new(&canonical.query);
            return Self {
                method,
                target: query_target(&[&others, &shape]),
                content_type,
                body: body.into(),
            };
        }
        let form = canonical.form();
        if method == StatementMethod::Get && has_room(&form) {
            return Self {
                method,
                target: query_target(&[&form, &shape]),
                content_type: String::new(),
                body: Bytes::new(),
            };
        }
        Self {
            method: StatementMethod::Post,
            target: query_target(&[&shape]),
            content_type: FORM.to_owned(),
            body: form.into(),
        }
    }
}

/// `/query` with these parameters, of which some may be empty.
fn query_target(parameters: &[&str]) -> String {
    let mut target = "/query".to_owned();
    let there = parameters.iter().filter(|text| !text.is_empty());
    for (place, text) in there.enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        target.push_str(text);
    }
    target
}
