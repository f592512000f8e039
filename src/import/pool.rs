//! A backend, or the servers of a `listen`, as a pool.

use std::time::Duration;

use super::ledger::Ledger;
use super::server::{self, Parameters, Server};
use super::statement::{Script, Statement, StatementId};
use super::value::{self, Toml, quoted};

/// A pool as it is written.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) balance: &'static str,
    pub(super) check: Check,
    pub(super) servers: Vec<Server>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) server_timeout: Option<Duration>,
    pub(super) retries: Option<Toml>,
}

/// How the servers are checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Check {
    /// The path; by TCP if there is none.
    pub(super) http: Option<Toml>,
    pub(super) host: Option<Toml>,
    pub(super) expect: Vec<Toml>,
    pub(super) timeout: Option<Duration>,
}

/// Reads what the statements say of a pool. `port` is what servers without one get.
pub(super) fn read(
    script: &Script,
    statements: &[StatementId],
    ledger: &mut Ledger,
    name: &str,
    port: Option<u16>,
) -> Pool {
    let mut reader = Reader {
        ledger,
        port,
        defaults: Parameters::default(),
        pool: Pool {
            name: value::name(name),
            balance: "roundrobin",
            check: Check::default(),
            servers: Vec::new(),
            connect_timeout: None,
            server_timeout: None,
            retries: None,
        },
    };
    for id in statements {
        reader.statement(script.statement(*id));
    }
    reader.pool
}

struct Reader<'a> {
    ledger: &'a mut Ledger,
    port: Option<u16>,
    defaults: Parameters,
    pool: Pool,
}

impl Reader<'_> {
    fn statement(&mut self, statement: &Statement) {
        match (statement.word(0), statement.word(1), statement.word(2)) {
            ("balance", ..) => self.balance(statement),
            ("server", ..) => self.server(statement),
            ("default-server", ..) => {
                let mut alone = Parameters::default();
                alone.read(statement.from(1));
                self.defaults.read(statement.from(1));
                self.rest(statement, alone.rest());
            }
            ("retries", ..) => match statement
                .words
                .get(1)
                .and_then(|word| value::whole(word, 0..=100))
            {
                Some(retries) => {
                    self.pool.retries = Some(retries);
                    self.ledger.used(statement);
                }
                None => self.ledger.note(statement, "haflux takes 0 to 100 here"),
            },
            ("timeout", "connect", time) | ("contimeout", time, _) => {
                self.pool.connect_timeout = self.time(statement, time)
            }
            ("timeout", "server", time) | ("srvtimeout", time, _) => {
                self.pool.server_timeout = self.time(statement, time)
            }
            ("timeout", "check", time) => self.pool.check.timeout = self.time(statement, time),
            ("timeout", "queue", _) => self.ledger.note(
                statement,
                "haflux has no queue: a request goes to a server at once",
            ),
            ("option", "redispatch", _) => self.ledger.used(statement),
            ("no", "option", "redispatch") => self.ledger.note(
                statement,
                "haflux always tries another server; retries = 0 tries none",
            ),
            ("option", "httpchk", _) => self.httpchk(statement),
            ("option", "tcp-check", _) | ("tcp-check", "connect", "") => {
                self.pool.check.http = None;
                self.ledger.used(statement);
            }
            ("http-check", "send", _) => self.send(statement),
            ("http-check", "expect", _) => self.expect(statement),
            _ => {}
        }
    }

    fn time(&mut self, statement: &Statement, text: &str) -> Option<Duration> {
        let time = value::duration(text);
        match time {
            Some(_) => self.ledger.used(statement),
            None => self.ledger.note(
                statement,
                "haflux takes 1ms to 30d here, as a number; its own default counts",
            ),
        }
        time
    }

    fn balance(&mut self, statement: &Statement) {
        let algorithm = statement.word(1);
        let plain = algorithm.split('(').next().unwrap_or(algorithm);
        self.pool.balance = match plain {
            "roundrobin" | "static-rr" => "roundrobin",
            "leastconn" => "leastconn",
            "random" => "random",
            "source" => "source",
            _ => {
                self.ledger.warn(
                    statement,
                    format!("haflux does not balance by {plain}: roundrobin is written"),
                );
                "roundrobin"
            }
        };
        if self.pool.balance == plain || plain == "static-rr" {
            self.ledger.used(statement);
        }
    }

    fn server(&mut self, statement: &Statement) {
        match server::read(statement, &self.defaults, self.port) {
            server::Read::LeftOut(reason) => {
                self.ledger.warn(statement, reason);
            }
            server::Read::Server { server, rest } => {
                let same_name = |known: &Server| known.name == server.name;
                let same_node = |known: &Server| known.node.is_some() && known.node == server.node;
                if self.pool.servers.iter().any(same_name) {
                    self.ledger
                        .warn(statement, "left out, because another server has its name");
                    return;
                }
                if self.pool.servers.iter().any(same_node) {
                    self.ledger.warn(
                        statement,
                        "left out, because another server has its address",
                    );
                    return;
                }
                self.ledger.used(statement);
                self.rest(statement, &rest);
                self.pool.servers.push(*server);
            }
        }
    }

    fn rest(&mut self, statement: &Statement, rest: &[String]) {
        if statement.word(0) == "default-server" {
            self.ledger.used(statement);
        }
        if !rest.is_empty() {
            self.ledger
                .note(statement, format!("no counterpart: {}", rest.join(", ")));
        }
    }

    /// `option httpchk [[METHOD] URI [VERSION]]`; an old form puts headers into the version.
    fn httpchk(&mut self, statement: &Statement) {
        let words = statement.from(2);
        let (method, path) = match words {
            [] => ("OPTIONS", "/".to_owned()),
            [path] => ("OPTIONS", path.notation().to_owned()),
            [method, path, ..] => (method.as_str(), path.notation().to_owned()),
        };
        self.pool.check.http = value::path(&path);
        if let Some(version) = words.get(2)
            && let Some(host) = header_in(version.notation(), "host")
        {
            self.pool.check.host = host_of(&host);
        }
        self.checked_by(statement, method);
    }

    fn checked_by(&mut self, statement: &Statement, method: &str) {
        if self.pool.check.http.is_none() {
            self.ledger
                .warn(statement, "haflux cannot ask for that path: TCP is checked");
            return;
        }
        self.ledger.used(statement);
        if method != "GET" {
            self.ledger
                .note(statement, format!("haflux checks with GET, not {method}"));
        }
    }

    /// `http-check send [meth M] [uri U] [ver V] [hdr N V]…`.
    fn send(&mut self, statement: &Statement) {
        let mut words = statement.from(2).iter();
        let mut method = "GET";
        let mut rest = Vec::new();
        if self.pool.check.http.is_none() {
            self.pool.check.http = Some(quoted("/"));
        }
        while let Some(word) = words.next() {
            let value = words.next();
            match (word.as_str(), value) {
                ("meth", Some(value)) => method = value.as_str(),
                ("uri", Some(value)) => self.pool.check.http = value::path(value.notation()),
                ("ver", Some(_)) => {}
                ("hdr", Some(name)) => {
                    let content = words.next();
                    match content {
                        Some(content) if name.as_str().eq_ignore_ascii_case("host") => {
                            self.pool.check.host = host_of(content.notation());
                        }
                        _ => rest.push(format!("header {}", name.as_str())),
                    }
                }
                (other, _) => rest.push(other.to_owned()),
            }
        }
        self.checked_by(statement, method);
        self.rest(statement, &rest);
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
                self.pool.check.expect = statuses;
                self.ledger.used(statement);
            }
            None => self.ledger.warn(
                statement,
                "haflux looks at the status only: 200-399 is healthy unless another line says so",
            ),
        }
    }
}

fn host_of(notation: &str) -> Option<Toml> {
    let sound = notation.contains("${")
        || (notation.parse::<http::uri::Authority>().is_ok() && !notation.contains('@'));
    sound.then(|| quoted(notation))
}

/// The value of a header in `HTTP/1.1\r\nHost: x`.
fn header_in(version: &str, name: &str) -> Option<String> {
    version.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
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
