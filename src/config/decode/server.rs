//! `[server]`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::sizes::{LARGEST_BODY, LARGEST_INFLIGHT, at_least, or_default, size};
use crate::config::error::{Origin, Sink};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::Server;

const KEYS: Keys = Keys::of(&[
    "data_dir",
    "threads",
    "log_level",
    "access_log",
    "stop_timeout",
    "max_query_body",
    "max_query_inflight",
]);

const LEVELS: [(&str, LevelFilter); 5] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
];

/// What counts where the file says nothing.
pub(super) fn default() -> Server {
    Server {
        data_dir: PathBuf::from("/var/lib/haflux"),
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        log_level: LevelFilter::Info,
        access_log: true,
        stop_timeout: Duration::from_secs(30),
        max_query_body: 16 << 20,
        max_query_inflight: 64 << 20,
    }
}

/// Reads the table, and says where `data_dir` is set, or would be; nowhere if it is set wrongly.
pub(super) fn decode(top: &Table<'_>, sink: &Sink) -> (Server, Option<Origin>) {
    let default = default();
    let unset = sink.origin(None, "server.data_dir".to_owned());
    let Some(table) = top
        .get("server")
        .and_then(|field| field.table(KEYS, "a table"))
    else {
        return (default, Some(unset));
    };
    let (max_query_body, max_query_inflight) = query_sizes(&table, &default);
    let (data_dir, origin) = match table.get("data_dir") {
        None => (default.data_dir, Some(unset)),
        Some(field) => match absolute_path(&field) {
            Some(path) => (path, Some(field.origin())),
            None => (default.data_dir, None),
        },
    };
    let server = Server {
        data_dir,
        threads: table.whole("threads", 1..=1024, default.threads),
        log_level: table.choice("log_level", &LEVELS, default.log_level),
        access_log: table.boolean("access_log", default.access_log),
        stop_timeout: table.duration("stop_timeout", default.stop_timeout),
        max_query_body,
        max_query_inflight,
    };
    (server, origin)
}

/// `max_query_body` and `max_query_inflight`: what is not given follows what is.
fn query_sizes(table: &Table<'_>, default: &Server) -> (usize, usize) {
    let given = size(table, "max_query_body", LARGEST_BODY);
    let (body, shown) = or_default(&given, default.max_query_body);
    let given = size(table, "max_query_inflight", LARGEST_INFLIGHT);
    at_least(&given, "max_query_body", body, &shown);
    let (inflight, _) = or_default(&given, default.max_query_inflight.max(body));
    (body, inflight)
}

/// Relative paths would depend on where haflux was started.
fn absolute_path(field: &Field<'_>) -> Option<PathBuf> {
    const EXPECTED: &str = "an absolute path of a folder";
    let text = field.text(EXPECTED)?;
    let path = PathBuf::from(&text.value);
    if !path.is_absolute() || text.value.contains('\0') {
        field.expected(EXPECTED);
        return None;
    }
    Some(path)
}
