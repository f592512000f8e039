//! A backend, or the servers of a `listen`, as a pool.

use std::time::Duration;

use super::http_check::HttpCheck;
use super::ledger::Ledger;
use super::server::{self, Asked, Parameters, Server, WithoutCounterpart};
use super::statement::{Script, Statement, StatementId};
use super::value::{self, Toml};

/// A pool as it is written.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) balance: &'static str,
    pub(super) check: Check,
    pub(super) servers: Vec<Server>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) server_timeout: Option<Duration>,
    /// How long a silent tunnel stays, which haflux asks the frontend for; and the statement that says so.
    pub(super) tunnel: Option<(Duration, StatementId)>,
    pub(super) retries: Option<Toml>,
    /// `option forwardfor` of a backend.
    pub(super) forwarded_for: Option<StatementId>,
}

/// How the servers are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// The path; by TCP if there is none.
    pub(super) http: Option<Toml>,
    pub(super) host: Option<Toml>,
    /// Where it is asked, unless that is where requests go.
    pub(super) port: Option<u16>,
    pub(super) expect: Vec<Toml>,
    pub(super) timeout: Option<Duration>,
}

/// What to say of a time that cannot be written.
const NO_TIME: &str = "haflux takes 1ms to 30d here, as a number; its own default counts";

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
        http_check: HttpCheck::default(),
        pool: Pool {
            name: value::name(name),
            balance: "roundrobin",
            check: Check::default(),
            servers: Vec::new(),
            connect_timeout: None,
            server_timeout: None,
            tunnel: None,
            retries: None,
            forwarded_for: None,
        },
    };
    for id in statements {
        let statement = script.statement(*id);
        if !reader.http_check.read(script, statement) {
            reader.statement(statement);
        }
    }
    let timeout = reader.pool.check.timeout;
    let http_check = std::mem::take(&mut reader.http_check);
    reader.pool.check = Check {
        timeout,
        ..http_check.finish(script, reader.ledger)
    };
    reader.checks(script);
    reader.pool
}

struct Reader<'a> {
    ledger: &'a mut Ledger,
    port: Option<u16>,
    defaults: Parameters,
    http_check: HttpCheck,
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
                self.ledger.used(statement);
                self.rest(statement, &alone.without_counterpart);
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
                None => self.ledger.warn(statement, "haflux takes 0 to 100 here"),
            },
            ("timeout", "connect", time) | ("contimeout", time, _) => {
                self.pool.connect_timeout = self.time(statement, time)
            }
            ("timeout", "server", time) | ("srvtimeout", time, _) => {
                self.pool.server_timeout = self.time(statement, time)
            }
            ("timeout", "tunnel", time) => match value::duration(time) {
                Some(time) => self.pool.tunnel = Some((time, statement.id)),
                None => self.ledger.warn(statement, NO_TIME),
            },
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
            ("option", "tcp-check", _) => self.ledger.used(statement),
            ("tcp-check", "connect", "") => self.ledger.used(statement),
            ("tcp-check", "comment", _) => {
                self.ledger.note(statement, "haflux shows no words of checks");
            }
            ("tcp-check", ..) => self.ledger.warn(
                statement,
                "haflux makes a connection, and neither sends nor expects anything: whatever takes one counts as up",
            ),
            (
                "option",
                "external-check" | "ssl-hello-chk" | "smtpchk" | "mysql-check" | "pgsql-check"
                | "redis-check" | "ldap-check" | "spop-check",
                _,
            ) => self.ledger.warn(
                statement,
                "haflux checks by a connection or by HTTP: a connection is written, and whatever takes one counts as up",
            ),
            ("external-check", ..) => self
                .ledger
                .warn(statement, "haflux runs no programs for its checks"),
            ("http-check", "disable-on-404", _) => self.ledger.warn(
                statement,
                "to haflux a server that answers 404 is down, unless check.expect takes it",
            ),
            ("option", "forwardfor", _) => self.pool.forwarded_for = Some(statement.id),
            _ => {}
        }
    }

    fn time(&mut self, statement: &Statement, text: &str) -> Option<Duration> {
        let time = value::duration(text);
        match time {
            Some(_) => self.ledger.used(statement),
            None => self.ledger.warn(statement, NO_TIME),
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
            server::Read::Server {
                server,
                without_counterpart,
            } => {
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
                self.rest(statement, &without_counterpart);
                self.pool.servers.push(*server);
            }
        }
    }

    fn rest(&mut self, statement: &Statement, rest: &WithoutCounterpart) {
        if !rest.harmless.is_empty() {
            let note = format!("no counterpart: {}", rest.harmless.join(", "));
            self.ledger.note(statement, note);
        }
        if !rest.lost.is_empty() {
            let note = format!("not translated: {}", rest.lost.join(", "));
            self.ledger.warn(statement, note);
        }
    }

    /// From here on a connection is all that is asked for.
    fn by_connection(&mut self) {
        self.pool.check = Check {
            timeout: self.pool.check.timeout,
            ..Check::default()
        };
    }

    /// Sees to it that no server is asked what it is not there to answer.
    fn checks(&mut self, script: &Script) {
        let is_checked =
            |server: &&Server| server.check && !matches!(server.asked, Asked::Tracked(_));
        let checked: Vec<&Server> = self.pool.servers.iter().filter(is_checked).collect();
        let mut asked = checked.iter().map(|server| &server.asked);
        let first = asked.next().unwrap_or(&Asked::Itself);
        let is_same = asked.all(|other| other == first);
        match first {
            Asked::Itself if is_same => return,
            Asked::Port(port) if is_same => {
                self.pool.check.port = Some(*port);
                return;
            }
            _ => {}
        }
        for server in checked {
            let reason = match &server.asked {
                Asked::Itself | Asked::Tracked(_) => continue,
                Asked::Port(port) => {
                    format!(
                        "all servers of a pool are checked in one way, and not all at port {port}"
                    )
                }
                Asked::Elsewhere(reason) => reason.clone(),
            };
            if let Some(id) = server.statement {
                self.ledger.warn(
                    script.statement(id),
                    format!(
                        "{reason}; the servers of this pool are checked by a connection to where requests go, and count as up if they take it"
                    ),
                );
            }
        }
        self.by_connection();
    }
}
