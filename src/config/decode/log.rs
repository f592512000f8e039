//! `[[log]]`, and the keys of `[server]` that begin with `log_`.

use std::path::PathBuf;

use log::LevelFilter;

use super::server::LEVELS;
use crate::config::address::parse_bind;
use crate::config::field::{Field, Keys, Table};
use crate::config::log_parts::{MOST_PARTS, known};
use crate::config::model::{LogFormat, LogLines, LogSettings, LogTarget, LogTo, SyslogForm};

const KEYS: Keys = Keys::of(&["to", "lines", "format", "facility", "syslog", "queue"]);

pub(in crate::config) const LINES: [(&str, LogLines); 3] = [
    ("all", LogLines::All),
    ("access", LogLines::Access),
    ("messages", LogLines::Messages),
];

pub(in crate::config) const FORMATS: [(&str, LogFormat); 2] =
    [("text", LogFormat::Text), ("json", LogFormat::Json)];

const FORMS: [SyslogForm; 2] = [SyslogForm::Rfc3164, SyslogForm::Rfc5424];

/// As HAProxy names them, in the order of their numbers.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// `local0`.
const DEFAULT_FACILITY: u8 = 16;

/// The most targets.
const MOST_TARGETS: usize = 16;

/// Less holds no line of the greatest length.
const SMALLEST_QUEUE: usize = 64 << 10;
const LARGEST_QUEUE: usize = 1 << 30;

/// The name of a facility, of which the number is known.
pub(in crate::config) fn facility_name(number: u8) -> &'static str {
    let name = FACILITIES.get(usize::from(number));
    name.copied().unwrap_or_default()
}

/// What `syslog` says for this form.
pub(in crate::config) fn form_name(form: SyslogForm) -> &'static str {
    match form {
        SyslogForm::Rfc3164 => "rfc3164",
        SyslogForm::Rfc5424 => "rfc5424",
    }
}

/// The keys of `[server]`.
pub(super) fn of_server(table: &Table<'_>) -> LogSettings {
    let default = LogSettings::default();
    LogSettings {
        levels: levels(table).unwrap_or_default(),
        repeats: table.whole("log_repeats", 1..=1_000_000, default.repeats),
        repeat_time: table.duration("log_repeat_time", default.repeat_time),
        repeat_messages: table.whole("log_repeat_messages", 1..=100_000, default.repeat_messages),
        targets: default.targets,
    }
}

fn levels(table: &Table<'_>) -> Option<Vec<(String, LevelFilter)>> {
    let entries = table
        .get("log_levels")?
        .entries("a table of parts and levels")?;
    if entries.len() > MOST_PARTS {
        table
            .get("log_levels")?
            .expected(format!("at most {MOST_PARTS} parts"));
    }
    let entries = entries.into_iter();
    let levels = entries.filter_map(|(part, field)| match known(part) {
        Ok(part) => Some((part, field.choice(&LEVELS)?)),
        Err(error) => {
            field.expected(format!("a level of a part: {error}"));
            None
        }
    });
    Some(levels.collect())
}

/// The tables. Without any, standard error.
pub(super) fn targets(top: &Table<'_>) -> Vec<LogTarget> {
    const EXPECTED: &str = "a list of tables";
    let Some(field) = top.get("log") else {
        return vec![LogTarget::default()];
    };
    let fields = field.some_items(EXPECTED).unwrap_or_default();
    if fields.len() > MOST_TARGETS {
        field.expected(format!("at most {MOST_TARGETS} tables"));
    }
    fields.iter().filter_map(target).collect()
}

fn target(field: &Field<'_>) -> Option<LogTarget> {
    let default = LogTarget::default();
    let table = field.table(KEYS, "a table")?;
    Some(LogTarget {
        to: to(&table)?,
        lines: table.choice("lines", &LINES, default.lines),
        format: table.choice("format", &FORMATS, default.format),
        queue: table
            .get("queue")
            .and_then(|field| field.size(SMALLEST_QUEUE..=LARGEST_QUEUE))
            .unwrap_or(default.queue),
    })
}

fn to(table: &Table<'_>) -> Option<LogTo> {
    const EXPECTED: &str =
        "\"stderr\", an absolute path of a file, \"syslog:/dev/log\" or \"syslog:127.0.0.1:514\"";
    let field = table.require("to", EXPECTED)?;
    let text = field.text(EXPECTED)?.value.as_str();
    let facility = table.get("facility").map(|field| facility(&field));
    let form = table
        .get("syslog")
        .map(|field| field.choice(&FORMS.map(|form| (form_name(form), form))));
    let to = match text.strip_prefix("syslog:") {
        Some(receiver) => {
            let facility = facility.flatten().unwrap_or(DEFAULT_FACILITY);
            let form = form.flatten();
            match (path(receiver), parse_bind(receiver)) {
                (Some(path), _) => Some(LogTo::Unix {
                    path,
                    facility,
                    form: form.unwrap_or(SyslogForm::Rfc3164),
                }),
                (None, Ok(address)) if !address.ip().is_unspecified() => Some(LogTo::Udp {
                    address,
                    facility,
                    form: form.unwrap_or(SyslogForm::Rfc5424),
                }),
                (None, _) => None,
            }
        }
        None => {
            for key in ["facility", "syslog"] {
                if let Some(field) = table.get(key) {
                    field.expected("\"to\" to begin with \"syslog:\" when this key is given");
                }
            }
            match text {
                "stderr" => Some(LogTo::Stderr),
                _ => path(text).map(LogTo::File),
            }
        }
    };
    if to.is_none() {
        field.expected(EXPECTED);
    }
    to
}

fn path(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    (path.is_absolute() && !text.contains('\0')).then_some(path)
}

fn facility(field: &Field<'_>) -> Option<u8> {
    let numbered: Vec<(&str, u8)> = FACILITIES.into_iter().zip(0..).collect();
    field.choice(&numbered)
}
