//! `stats socket`, `stats timeout` and `stats maxconn` of `global`: HAProxy's runtime socket.

use std::path::Path;
use std::time::Duration;

use super::ledger::Ledger;
use super::statement::{Script, Statement, StatementId};
use super::value::{self, Toml, duration_value, quoted};
use super::word::Word;

/// What the `stats` lines of `global` ask for.
#[derive(Debug, Default)]
pub(super) struct StatsSocket {
    socket: Option<Socket>,
    connections: Option<Toml>,
    timeout: Option<Duration>,
    /// `stats timeout` and `stats maxconn`, which need a socket.
    limits: Vec<StatementId>,
}

/// The one socket that haflux has.
#[derive(Debug)]
struct Socket {
    path: Toml,
    mode: Option<Toml>,
    group: Option<Toml>,
    level: Option<Toml>,
}

/// The longest path that haflux takes, in bytes.
const LONGEST_PATH: usize = 100;

/// The folder that haflux's service makes.
const OWN_FOLDER: &str = "/run/haflux";

impl StatsSocket {
    /// Reads a line.
    pub(super) fn read(&mut self, statement: &Statement, ledger: &mut Ledger) {
        match (statement.word(1), statement.words.get(2)) {
            ("socket", Some(place)) => self.socket(statement, place, ledger),
            ("timeout", Some(time)) => {
                self.timeout = value::duration(time.as_str());
                self.limit(statement, self.timeout.is_some(), "1ms to 30d", ledger);
            }
            ("maxconn", Some(count)) => {
                self.connections = value::whole(count, 1..=1000);
                self.limit(statement, self.connections.is_some(), "1 to 1000", ledger);
            }
            _ => {}
        }
    }

    fn limit(&mut self, statement: &Statement, is_taken: bool, range: &str, ledger: &mut Ledger) {
        if is_taken {
            ledger.used(statement);
            self.limits.push(statement.id);
        } else {
            ledger.note(statement, format!("haflux takes {range} here"));
        }
    }

    fn socket(&mut self, statement: &Statement, place: &Word, ledger: &mut Ledger) {
        if self.socket.is_some() {
            ledger.warn(
                statement,
                "haflux has one such socket: the first is written",
            );
            return;
        }
        let notation = place.notation();
        let path = notation.strip_prefix("unix@").unwrap_or(notation);
        let is_path =
            path.starts_with('/') && path.len() <= LONGEST_PATH && !path.contains(char::is_control);
        let is_path = is_path || place.is_variable();
        if !is_path {
            ledger.warn(
                statement,
                "haflux's socket is a Unix socket with an absolute path of up to 100 bytes",
            );
            return;
        }
        let mut socket = Socket {
            path: quoted(path),
            mode: None,
            group: None,
            level: None,
        };
        let rest = socket.parameters(statement.from(3));
        ledger.used(statement);
        if !rest.is_empty() {
            ledger.note(statement, format!("no counterpart: {}", rest.join(", ")));
        }
        if let Some(needs) = needs(path, socket.group.is_some()) {
            ledger.warn(statement, needs);
        }
        self.socket = Some(socket);
    }

    /// Quotes the limits of a socket that is not there.
    pub(super) fn finish(&self, script: &Script, ledger: &mut Ledger) {
        if self.socket.is_some() {
            return;
        }
        for id in &self.limits {
            let statement = script.statement(*id);
            ledger.left_out(statement);
            ledger.note(statement, "there is no socket that it could count for");
        }
    }

    /// The value of `server.stats_socket`.
    pub(super) fn toml(&self) -> Option<Toml> {
        let socket = self.socket.as_ref()?;
        let timeout = self.timeout.map(duration_value);
        let mut keys = vec![format!("path = {}", socket.path)];
        for (key, value, default) in [
            ("mode", &socket.mode, "\"600\""),
            ("group", &socket.group, ""),
            ("level", &socket.level, "\"operator\""),
            ("maxconn", &self.connections, "10"),
            ("timeout", &timeout, "\"10s\""),
        ] {
            if let Some(value) = value.as_ref().filter(|value| *value != default) {
                keys.push(format!("{key} = {value}"));
            }
        }
        Some(format!("{{ {} }}", keys.join(", ")))
    }
}

impl Socket {
    /// Takes what has a counterpart; gives back the rest, as it stands there.
    fn parameters(&mut self, words: &[Word]) -> Vec<String> {
        const WITH_VALUE: [&str; 12] = [
            "backlog",
            "expose-fd",
            "gid",
            "group",
            "id",
            "level",
            "maxconn",
            "mode",
            "name",
            "severity-output",
            "uid",
            "user",
        ];
        let mut rest = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let key = word.as_str();
            let value = WITH_VALUE.contains(&key).then(|| words.next()).flatten();
            let slot = match key {
                "mode" => Some((&mut self.mode, value.and_then(mode))),
                "group" => Some((&mut self.group, value.and_then(group))),
                "gid" => {
                    let number = value.and_then(|word| value::whole(word, 0..=u64::from(u32::MAX)));
                    Some((&mut self.group, number))
                }
                "level" => Some((&mut self.level, value.and_then(level))),
                _ => None,
            };
            match (slot, value) {
                (Some((slot, Some(taken))), _) => *slot = Some(taken),
                (_, Some(value)) => rest.push(format!("{key} {}", value.as_str())),
                (_, None) => rest.push(key.to_owned()),
            }
        }
        rest
    }
}

fn mode(word: &Word) -> Option<Toml> {
    let is_mode =
        word.is_variable() || u32::from_str_radix(word.as_str(), 8).is_ok_and(|mode| mode <= 0o777);
    is_mode.then(|| quoted(word.notation()))
}

fn group(word: &Word) -> Option<Toml> {
    let name = word.notation();
    (!name.is_empty() && !name.contains(':')).then(|| quoted(name))
}

fn level(word: &Word) -> Option<Toml> {
    let is_level = word.is_variable() || matches!(word.as_str(), "user" | "operator" | "admin");
    is_level.then(|| quoted(word.notation()))
}

/// What haflux's service needs before it can make the socket.
fn needs(path: &str, has_group: bool) -> Option<String> {
    let folder = Path::new(path).parent().and_then(Path::to_str)?;
    let mut lines = Vec::new();
    let below_run = ["/run/", "/var/run/"]
        .iter()
        .find_map(|run| folder.strip_prefix(run));
    match below_run {
        _ if folder == OWN_FOLDER => {}
        Some(name) => lines.push(format!("RuntimeDirectory={name}")),
        None => lines.push(format!("ReadWritePaths={folder}")),
    }
    if has_group {
        lines.push("SupplementaryGroups= with that group".to_owned());
    }
    (!lines.is_empty()).then(|| {
        format!(
            "haflux must be able to make it: under systemd its service needs {}",
            lines.join(" and ")
        )
    })
}
