//! `option httpchk` and `http-check`: what a pool's servers are asked by HTTP.
//!
//! As in HAProxy, the lines of a section replace all that it inherits as soon as it has one of its own, they count only where
//! `option httpchk` makes the check one by HTTP, and what `http-check send` says counts before what `option httpchk` says.

use super::ledger::Ledger;
use super::pool::Check;
use super::statement::{Kind, Script, Statement, StatementId};
use super::value::{self, Toml, quoted};

/// The lines that count, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct HttpCheck {
    /// Whether servers are checked by HTTP.
    is_on: bool,
    lines: Vec<StatementId>,
    /// The section that they stand in, by its position.
    section: Option<usize>,
}

impl HttpCheck {
    /// Takes a line into account; whether nobody else needs to read it.
    pub(super) fn read(&mut self, script: &Script, statement: &Statement) -> bool {
        match (statement.word(0), statement.word(1)) {
            ("option", "httpchk") => self.is_on = true,
            (
                "option",
                "tcp-check" | "external-check" | "ssl-hello-chk" | "smtpchk" | "mysql-check"
                | "pgsql-check" | "redis-check" | "ldap-check" | "spop-check",
            ) => {
                self.is_on = false;
                return false;
            }
            // Of these HAProxy takes the inherited ones beside a section's own.
            ("http-check", "disable-on-404" | "send-state") => return false,
            ("http-check", _) => {}
            _ => return false,
        }
        let section = script.section_of(statement.id);
        if self.section != section {
            self.section = section;
            self.lines.clear();
        }
        self.lines.push(statement.id);
        matches!(
            (statement.word(0), statement.word(1)),
            ("option", _) | ("http-check", "connect" | "send" | "expect")
        )
    }

    /// The check that these lines ask for; one by a connection if they ask for none that haflux can make.
    pub(super) fn finish(self, script: &Script, ledger: &mut Ledger) -> Check {
        let lines = self.lines.iter().map(|id| script.statement(*id));
        if !self.is_on {
            let section = self.section.and_then(|at| script.sections.get(at));
            // What is inherited may count in another section.
            let is_own = section.is_some_and(|section| section.kind != Kind::Defaults);
            for line in lines.filter(|_| is_own) {
                ledger.note(line, NOT_BY_HTTP);
            }
            return Check::default();
        }
        let (options, rules): (Vec<&Statement>, Vec<&Statement>) =
            lines.partition(|line| line.word(0) == "option");
        let mut request = Request {
            ledger,
            check: Check {
                http: Some(quoted("/")),
                ..Check::default()
            },
            method: None,
            is_reachable: true,
        };
        for option in options {
            request.option(option);
        }
        for rule in rules.iter().copied() {
            match rule.word(1) {
                "connect" => request.connect(rule),
                "send" => request.send(rule),
                "expect" => request.expect(rule),
                _ => {}
            }
        }
        request.finish(rules.first().copied())
    }
}

const NOT_BY_HTTP: &str =
    "without option httpchk, or behind another kind of check, HAProxy does not ask this";

struct Request<'a> {
    ledger: &'a mut Ledger,
    check: Check,
    /// The method, and the line that says it.
    method: Option<(String, &'a Statement)>,
    /// haflux makes the connection that the request is sent by.
    is_reachable: bool,
}

impl<'a> Request<'a> {
    /// `option httpchk [[METHOD] URI [VERSION]]`; an old form puts headers into the version.
    fn option(&mut self, statement: &'a Statement) {
        let words = statement.from(2);
        let (method, path) = match words {
            [] => ("OPTIONS", "/".to_owned()),
            [path] => ("OPTIONS", path.notation().to_owned()),
            [method, path, ..] => (method.as_str(), path.notation().to_owned()),
        };
        self.ledger.used(statement);
        self.asks_by(statement, method);
        self.asks_for(statement, &path);
        let Some(version) = words.get(2) else { return };
        let headers = version.notation().split("\r\n").skip(1);
        for (name, value) in headers.filter_map(|line| line.split_once(':')) {
            let host = name
                .eq_ignore_ascii_case("host")
                .then(|| host_of(value.trim()))
                .flatten();
            match host {
                Some(host) => self.check.host = Some(host),
                None => self.without_header(statement, name),
            }
        }
    }

    fn asks_by(&mut self, statement: &'a Statement, method: &str) {
        let before = self.method.replace((method.to_owned(), statement));
        if let Some((other, line)) = before
            && other != "GET"
        {
            let note = format!("another line says the method in place of {other}");
            self.ledger.note(line, note);
        }
    }

    fn asks_for(&mut self, statement: &Statement, path: &str) {
        self.check.http = value::path(path);
        if self.check.http.is_none() {
            self.ledger
                .warn(statement, "haflux cannot ask for that path: TCP is checked");
        }
    }

    fn without_header(&mut self, statement: &Statement, name: &str) {
        let note = format!(
            "haflux sends no header {name} with checks: a server that asks for it is down, unless check.expect takes its answer"
        );
        self.ledger.warn(statement, note);
    }

    /// `http-check connect`.
    fn connect(&mut self, statement: &Statement) {
        let port = match statement.from(2) {
            [] => None,
            [key] if key.as_str() == "default" => None,
            [key, port] if key.as_str() == "port" && port.as_str().parse::<u16>().is_ok() => {
                port.as_str().parse().ok()
            }
            _ => {
                self.is_reachable = false;
                self.ledger.warn(
                    statement,
                    "haflux checks a server as requests reach it, at any port: a connection is written in its place",
                );
                return;
            }
        };
        self.check.port = port.or(self.check.port);
        self.ledger.used(statement);
    }

    /// `http-check send [meth M] [uri U] [ver V] [hdr N V]…`.
    fn send(&mut self, statement: &'a Statement) {
        self.ledger.used(statement);
        let mut words = statement.from(2).iter();
        let mut lost = Vec::new();
        while let Some(word) = words.next() {
            let value = words.next();
            match (word.as_str(), value) {
                ("meth", Some(value)) => self.asks_by(statement, value.as_str()),
                ("uri", Some(value)) => self.asks_for(statement, value.notation()),
                ("ver", Some(_)) => {}
                ("hdr", Some(name)) => {
                    let content = words.next();
                    let host = content
                        .filter(|_| name.as_str().eq_ignore_ascii_case("host"))
                        .and_then(|content| host_of(content.notation()));
                    match host {
                        Some(host) => self.check.host = Some(host),
                        None => self.without_header(statement, name.as_str()),
                    }
                }
                (other, _) => lost.push(other.to_owned()),
            }
        }
        if !lost.is_empty() {
            let note = format!("not translated: {}", lost.join(", "));
            self.ledger.warn(statement, note);
        }
    }

    /// `http-check expect status 204`, `200,204` or `200-399`.
    fn expect(&mut self, statement: &Statement) {
        let words = statement.from(2);
        let statuses = match words {
            [kind, list] if kind.as_str() == "status" => statuses(list.as_str()),
            [kind, list] if kind.as_str() == "rstatus" => matching_statuses(list.as_str()),
            _ => None,
        };
        match statuses {
            Some(statuses) => {
                self.check.expect = statuses;
                self.ledger.used(statement);
            }
            None => self.ledger.warn(
                statement,
                "haflux looks at the status only: 200-399 is healthy unless another line says so",
            ),
        }
    }

    /// `first` is the first line of `http-check`, which says the method if no other line does.
    fn finish(self, first: Option<&'a Statement>) -> Check {
        let by_default = first.map(|line| ("OPTIONS".to_owned(), line));
        if let Some((method, line)) = self.method.or(by_default)
            && self.check.http.is_some()
        {
            let note = format!("haflux checks with GET, not {method}");
            match method.as_str() {
                "GET" => {}
                // Who answers one answers the other by the same status.
                "HEAD" => self.ledger.note(line, note),
                _ => self.ledger.warn(
                    line,
                    format!("{note}: a server that answers GET otherwise is down"),
                ),
            }
        }
        match self.is_reachable {
            true => self.check,
            false => Check::default(),
        }
    }
}

fn host_of(notation: &str) -> Option<Toml> {
    let sound = notation.contains("${")
        || (notation.parse::<http::uri::Authority>().is_ok() && !notation.contains('@'));
    sound.then(|| quoted(notation))
}

fn statuses(list: &str) -> Option<Vec<Toml>> {
    let status = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|status| (100..=599).contains(status))
    };
    list.split(',')
        .map(|item| match item.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (status(first)?, status(last)?);
                (first <= last).then(|| format!("\"{first}-{last}\""))
            }
            None => status(item).map(|status| status.to_string()),
        })
        .collect()
}

/// `^2` and `^[23]` ask for classes of statuses.
fn matching_statuses(regex: &str) -> Option<Vec<Toml>> {
    let classes: &str = regex
        .strip_prefix('^')?
        .trim_end_matches("[0-9][0-9]")
        .trim_end_matches("..")
        .trim_end_matches("\\d\\d");
    let digits = classes
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(classes);
    let sound = !digits.is_empty()
        && (digits.len() == 1 || digits.len() + 2 == classes.len())
        && digits.bytes().all(|digit| (b'1'..=b'5').contains(&digit));
    sound.then(|| {
        digits
            .chars()
            .map(|digit| format!("\"{digit}00-{digit}99\""))
            .collect()
    })
}
