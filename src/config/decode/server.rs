//! `[server]`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::frontend::{self, FrontendDraft};
use super::sizes::{LARGEST_BODY, LARGEST_INFLIGHT, at_least, or_default, size};
use super::stats_socket;
use crate::config::error::{Origin, Problem, Sink};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{LogSettings, RunAs, Server};
use crate::influx::influxql::Limits;

const KEYS: Keys = Keys::of(&[
    "data_dir",
    "user",
    "group",
    "landlock",
    "threads",
    "log_level",
    "access_log",
    "log_levels",
    "log_repeats",
    "log_repeat_time",
    "log_repeat_messages",
    "stats_socket",
    "stop_timeout",
    "metrics_bind",
    "metrics_maxconn",
    "max_query_body",
    "max_query_inflight",
    "max_query_share",
    "body_wait",
    "max_query_parameters",
    "max_query_length",
    "max_query_statements",
    "max_query_terms",
    "max_query_depth",
    "max_query_fingerprints",
]);

pub(in crate::config) const LEVELS: [(&str, LevelFilter); 5] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
];

/// Most connections at once to `metrics_bind`: a few scrapers, each with its retry.
const METRICS_CONNECTIONS: usize = 20;

/// The most that a limit on what a query repeats can be.
const MOST_REPEATED: i128 = 10_000_000;

/// What counts where the file says nothing.
pub(super) fn default() -> Server {
    Server {
        data_dir: PathBuf::from("/var/lib/haflux"),
        run_as: None,
        landlock: false,
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
        log_level: LevelFilter::Info,
        access_log: true,
        log: LogSettings::default(),
        stats_socket: None,
        stop_timeout: Duration::from_secs(30),
        max_query_body: 16 << 20,
        max_query_inflight: 16 << 20,
        max_query_share: 8 << 20,
        body_wait: Duration::from_secs(5),
        query_limits: Limits::default(),
        max_query_fingerprints: None,
    }
}

/// What stands in the table.
pub(super) struct Decoded<'a> {
    pub(super) server: Server,
    /// Where `data_dir` is set, or would be; nowhere if it is set wrongly.
    pub(super) data_dir: Option<Origin>,
    /// Where `user` is set.
    pub(super) run_as: Option<Origin>,
    /// The frontend of `metrics_bind`.
    pub(super) metrics: Option<FrontendDraft<'a>>,
}

/// Reads the table.
pub(super) fn decode<'a>(top: &Table<'a>, sink: &Sink) -> Decoded<'a> {
    let default = default();
    let unset = sink.origin(None, "server.data_dir".to_owned());
    let Some(table) = top
        .get("server")
        .and_then(|field| field.table(KEYS, "a table"))
    else {
        return Decoded {
            server: default,
            data_dir: Some(unset),
            run_as: None,
            metrics: None,
        };
    };
    let (max_query_body, max_query_inflight) = query_sizes(&table, &default);
    let given = size(&table, "max_query_share", LARGEST_INFLIGHT);
    let (max_query_share, _) = or_default(&given, max_query_inflight / 2);
    let (data_dir, origin) = match table.get("data_dir") {
        None => (default.data_dir, Some(unset)),
        Some(field) => match absolute_path(&field, "an absolute path of a folder") {
            Some(path) => (path, Some(field.origin())),
            None => (default.data_dir, None),
        },
    };
    let server = Server {
        data_dir,
        run_as: run_as(&table),
        landlock: table.boolean("landlock", default.landlock),
        threads: table.whole("threads", 1..=1024, default.threads),
        log_level: table.choice("log_level", &LEVELS, default.log_level),
        access_log: table.boolean("access_log", default.access_log),
        log: super::log::of_server(&table),
        stats_socket: table
            .get("stats_socket")
            .and_then(|field| stats_socket::decode(&field)),
        stop_timeout: table.duration("stop_timeout", default.stop_timeout),
        max_query_body,
        max_query_inflight,
        max_query_share,
        body_wait: table.duration("body_wait", default.body_wait),
        query_limits: query_limits(&table),
        max_query_fingerprints: table
            .get("max_query_fingerprints")
            .and_then(|field| field.whole(0..=1000)),
    };
    Decoded {
        server,
        data_dir: origin,
        run_as: table.get("user").map(|field| field.origin()),
        metrics: metrics(&table),
    }
}

/// `user` and `group`.
fn run_as(table: &Table<'_>) -> Option<RunAs> {
    let group = table.get("group");
    let Some(user) = table.get("user") else {
        if let Some(group) = group {
            group.report(Problem::Needs { other: "user" });
        }
        return None;
    };
    Some(RunAs {
        user: who(&user, "the name or the number of a user")?,
        group: match group {
            Some(field) => Some(who(&field, "the name or the number of a group")?),
            None => None,
        },
    })
}

/// The name or the number of a user or a group.
pub(super) fn who(field: &Field<'_>, expected: &str) -> Option<String> {
    let number = field.as_whole();
    if let Some(number) = number.filter(|number| u32::try_from(*number).is_ok()) {
        return Some(number.to_string());
    }
    let text = field.text(expected)?;
    if text.value.contains([':', '\0']) {
        field.expected(expected);
        return None;
    }
    Some(text.value.clone())
}

/// `metrics_bind` and `metrics_maxconn`.
fn metrics<'a>(table: &Table<'a>) -> Option<FrontendDraft<'a>> {
    let max_connections = table.whole("metrics_maxconn", 1..=1_000_000, METRICS_CONNECTIONS);
    let field = table.get("metrics_bind")?;
    let address = frontend::bind(&field)?;
    Some(frontend::of_metrics(address, field, max_connections))
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

/// The limits of what a query holds.
fn query_limits(table: &Table<'_>) -> Limits {
    let default = Limits::default();
    let given = size(table, "max_query_length", LARGEST_BODY);
    let (length, _) = or_default(&given, default.length);
    let most = |key, default| table.whole(key, 1..=MOST_REPEATED, default);
    Limits {
        parameters: most("max_query_parameters", default.parameters),
        length,
        statements: most("max_query_statements", default.statements),
        terms: most("max_query_terms", default.terms),
        depth: most("max_query_depth", default.depth),
    }
}

/// The path of a file that commands which only look need not have.
pub(super) fn file_path(field: &Field<'_>, expected: &str) -> Option<PathBuf> {
    field
        .withheld_path()
        .or_else(|| absolute_path(field, expected))
}

/// Relative paths would depend on where haflux was started.
pub(super) fn absolute_path(field: &Field<'_>, expected: &str) -> Option<PathBuf> {
    let text = field.text(expected)?;
    let path = PathBuf::from(&text.value);
    if !path.is_absolute() || text.value.contains('\0') {
        field.expected(expected);
        return None;
    }
    Some(path)
}
