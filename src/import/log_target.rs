//! `log`: where HAProxy's lines go, as `[[log]]`.
//!
//! What goes to `/dev/log`, or to standard output or error, goes to haflux's standard error, because systemd or the container
//! keeps that; without any other target this is haflux's default, and no table is written. A receiver of syslog gets a table. Then
//! standard error gets one too, because HAProxy writes its messages there beside every `log`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ledger::Ledger;
use super::statement::{Statement, StatementId};
use super::value::{Toml, quoted};
use super::word::Word;

/// All targets.
#[derive(Debug, Default)]
pub(super) struct LogTargets {
    receivers: Vec<Receiver>,
    /// Whether the access log goes to standard error.
    has_local_access: bool,
    read: BTreeSet<StatementId>,
}

/// A receiver of syslog.
#[derive(Debug, PartialEq, Eq)]
struct Receiver {
    to: Toml,
    facility: Toml,
    form: Option<Toml>,
    has_access: bool,
}

/// Where a `log` line leads.
enum Place {
    /// Standard error, with a note.
    Local(&'static str),
    Path(String),
    Address(SocketAddr),
}

/// The most receivers: one of haflux's targets is standard error.
const MOST_RECEIVERS: usize = 15;

/// The port of syslog.
const PORT: u16 = 514;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// HAProxy's levels above that of a request.
const ABOVE_REQUESTS: [&str; 6] = ["emerg", "alert", "crit", "err", "warning", "notice"];

impl LogTargets {
    /// Reads a line, once for all sections that inherit it. `of_one` tells that it stands in a single proxy's section.
    pub(super) fn read(&mut self, statement: &Statement, of_one: bool, ledger: &mut Ledger) {
        if statement.word(1) == "global" {
            ledger.used(statement);
            return;
        }
        let Some((target, words)) = statement.from(1).split_first() else {
            return;
        };
        if !self.read.insert(statement.id) {
            return;
        }
        let place = match place(target) {
            Ok(place) => place,
            Err(reason) => {
                ledger.warn(statement, reason);
                return;
            }
        };
        let line = parameters(words);
        if of_one {
            ledger.note(statement, "haflux's log has the lines of every frontend");
        }
        if line.is_graver {
            ledger.note(
                statement,
                "haflux's levels count for all targets: server.log_level",
            );
        }
        if !line.rest.is_empty() {
            ledger.note(
                statement,
                format!("no counterpart: {}", line.rest.join(" ")),
            );
        }
        let (to, default_form) = match place {
            Place::Local(note) => {
                ledger.used(statement);
                ledger.note(statement, note);
                self.has_local_access |= line.has_access;
                return;
            }
            // haflux's default on a Unix socket, and not over UDP; HAProxy's on both.
            Place::Path(path) => (path, "rfc3164"),
            Place::Address(address) => (address.to_string(), "rfc5424"),
        };
        let receiver = Receiver {
            to: quoted(&format!("syslog:{to}")),
            facility: quoted(line.facility),
            form: Some(line.form)
                .filter(|form| *form != default_form)
                .map(quoted),
            has_access: line.has_access,
        };
        if self.receivers.len() == MOST_RECEIVERS {
            ledger.warn(statement, "left out, because haflux's log has 16 targets");
            return;
        }
        ledger.used(statement);
        if !self.receivers.contains(&receiver) {
            self.receivers.push(receiver);
        }
    }

    /// The tables, each as lines of keys.
    pub(super) fn tables(&self) -> Vec<Vec<String>> {
        if self.receivers.is_empty() {
            return Vec::new();
        }
        let lines = |has_access: bool| (!has_access).then(|| "lines = \"messages\"".to_owned());
        let mut standard_error = vec!["to = \"stderr\"".to_owned()];
        standard_error.extend(lines(self.has_local_access));
        let receivers = self.receivers.iter().map(|receiver| {
            let mut keys = vec![format!("to = {}", receiver.to)];
            if receiver.facility != "\"local0\"" {
                keys.push(format!("facility = {}", receiver.facility));
            }
            keys.extend(receiver.form.iter().map(|form| format!("syslog = {form}")));
            keys.extend(lines(receiver.has_access));
            keys
        });
        receivers.chain([standard_error]).collect()
    }
}

fn place(target: &Word) -> Result<Place, String> {
    const LOCAL: &str = "haflux logs to standard error, and systemd keeps it";
    const STANDARD: &str = "haflux logs to standard error";
    if target.is_variable() {
        return Err("where a variable leads is not known here: see [[log]]".to_owned());
    }
    let text = target.as_str();
    match text {
        "stdout" | "stderr" | "fd@1" | "fd@2" => return Ok(Place::Local(STANDARD)),
        "/dev/log" => return Ok(Place::Local(LOCAL)),
        _ => {}
    }
    let plain = ["unix@", "ipv4@", "ipv6@", "udp@", "udp4@", "udp6@"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    if plain.starts_with('/') && !plain.contains(char::is_control) {
        return Ok(Place::Path(plain.to_owned()));
    }
    let address = plain.strip_prefix("localhost").map_or_else(
        || plain.to_owned(),
        |port| format!("{}{port}", Ipv4Addr::LOCALHOST),
    );
    let with_port = address.parse::<SocketAddr>().ok();
    let without_port = || {
        let host = address.trim_start_matches('[').trim_end_matches(']');
        let host = host.parse::<IpAddr>().ok()?;
        Some(SocketAddr::from((host, PORT)))
    };
    with_port
        .or_else(without_port)
        .filter(|address| !address.ip().is_unspecified() && address.port() != 0)
        .map(Place::Address)
        .ok_or_else(|| format!("haflux cannot log to {text}: see [[log]]"))
}

/// What stands behind the target: `[len L] [format F] [sample S] FACILITY [LEVEL [MINIMUM]]`.
struct Parameters<'a> {
    facility: &'a str,
    form: &'static str,
    /// Whether requests are among the lines.
    has_access: bool,
    /// The level keeps back some of what haflux calls messages.
    is_graver: bool,
    rest: Vec<&'a str>,
}

fn parameters(words: &[Word]) -> Parameters<'_> {
    let mut line = Parameters {
        facility: "local0",
        form: "rfc3164",
        has_access: true,
        is_graver: false,
        rest: Vec::new(),
    };
    let mut words = words.iter().map(Word::as_str);
    while let Some(word) = words.next() {
        match word {
            "format" => match words.next() {
                Some("rfc5424") => line.form = "rfc5424",
                Some("rfc3164" | "local") | None => {}
                Some(other) => line.rest.extend(["format", other]),
            },
            "len" | "sample" | "profile" => {
                line.rest.push(word);
                line.rest.extend(words.next());
            }
            facility if FACILITIES.contains(&facility) => {
                line.facility = facility;
                if let Some(level) = words.next() {
                    line.has_access = !ABOVE_REQUESTS.contains(&level);
                    line.is_graver = !line.has_access && level != "notice";
                }
                line.rest.extend(words.by_ref());
            }
            other => line.rest.push(other),
        }
    }
    line
}
