//! `check` of a backend.

use std::time::Duration;

use super::path_and_query;
use crate::config::error::Problem;
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{Check, Probe};
use crate::shown;

const KEYS: Keys = Keys::with_secret(&[
    "http", "tcp", "expect", "host", "port", "interval", "timeout", "rise", "fall",
]);

const STATUS: &str = "a status such as 204, a range such as \"200-399\", or a list of them";

/// Statuses from 200 to 399, as in HAProxy.
const HEALTHY: (u16, u16) = (200, 399);

/// InfluxDB's path for this question. With `ping-auth-enabled` a node that lives answers it by 401.
const PING: &str = "/ping";
const PING_WANTS_CREDENTIALS: (u16, u16) = (401, 401);

/// What counts where the file says nothing.
pub(super) fn default() -> Check {
    Check {
        probe: Probe::Tcp,
        port: None,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
    }
}

pub(super) fn decode(field: &Field<'_>) -> Check {
    let default = default();
    match field.as_boolean() {
        Some(true) => return default,
        Some(false) => {
            return Check {
                probe: Probe::None,
                ..default
            };
        }
        None => {}
    }
    let Some(table) = field.table(
        KEYS,
        "a check such as { http = \"/ping\" } or { tcp = true }, or false",
    ) else {
        return default;
    };
    Check {
        probe: probe(&table),
        port: table
            .get("port")
            .and_then(|field| field.whole(1..=i128::from(u16::MAX))),
        interval: table.duration("interval", default.interval),
        timeout: table.duration("timeout", default.timeout),
        rise: table.whole("rise", 1..=1000, default.rise),
        fall: table.whole("fall", 1..=1000, default.fall),
    }
}

fn probe(table: &Table<'_>) -> Probe {
    let tcp = table.get("tcp");
    if let Some(tcp) = &tcp
        && tcp.boolean() == Some(false)
    {
        tcp.expected("true; a backend without checks has check = false");
    }
    let Some(http) = table.get("http") else {
        for key in ["expect", "host"] {
            if let Some(field) = table.get(key) {
                field.report(Problem::HttpOnly);
            }
        }
        return Probe::Tcp;
    };
    if tcp.is_some() {
        table.report(Problem::HttpAndTcp);
    }
    let path = path_and_query(&http).unwrap_or_default();
    if shown::holds_secret(path.as_bytes()) {
        http.note_secret();
    }
    let healthy = match path.split('?').next() {
        Some(PING) => vec![HEALTHY, PING_WANTS_CREDENTIALS],
        _ => vec![HEALTHY],
    };
    Probe::Http {
        path,
        expect: table
            .get("expect")
            .map_or(healthy, |field| statuses(&field)),
        host: table.get("host").and_then(|field| host(&field)),
    }
}

fn statuses(field: &Field<'_>) -> Vec<(u16, u16)> {
    let items = field.one_or_more(STATUS).unwrap_or_default();
    items.iter().filter_map(status).collect()
}

fn status(field: &Field<'_>) -> Option<(u16, u16)> {
    let range = match field.as_whole() {
        Some(number) => u16::try_from(number).ok().map(|status| (status, status)),
        None => field.as_text().and_then(|text| status_range(&text.value)),
    };
    let range =
        range.filter(|(first, last)| (100..=599).contains(first) && (*first..=599).contains(last));
    if range.is_none() {
        field.of_number().expected(STATUS);
    }
    range
}

fn status_range(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match text.split_once('-') {
        Some((first, last)) => Some((status(first)?, status(last)?)),
        None => status(text).map(|status| (status, status)),
    }
}

fn host(field: &Field<'_>) -> Option<String> {
    const EXPECTED: &str = "a Host header such as \"influx.example.org\"";
    let text = field.text(EXPECTED)?;
    if text.value.parse::<http::uri::Authority>().is_err() || text.value.contains('@') {
        field.expected(EXPECTED);
        return None;
    }
    Some(text.value.clone())
}
