//! A frontend, or the front half of a `listen`.

use std::net::SocketAddr;
use std::time::Duration;

use super::bandwidth::Limits;
use super::bind::{self, Bind};
use super::criterion::ReadFile;
use super::ledger::Ledger;
use super::page::Page;
use super::statement::{Script, Statement, StatementId};
use super::tls::Tls;
use super::value::{self, Toml};

/// A frontend as it was read; its rules are still statements.
#[derive(Debug, Clone, Default)]
pub(super) struct Front {
    pub(super) name: String,
    pub(super) binds: Vec<Bind>,
    /// How it speaks TLS, and at which of its addresses, as they are written.
    pub(super) tls: Option<(Tls, Vec<Toml>)>,
    /// Where it should speak TLS and cannot, and the statement that says so.
    pub(super) without_tls: Vec<(StatementId, SocketAddr)>,
    pub(super) page: Page,
    pub(super) forwarded_for: bool,
    pub(super) max_connections: Option<Toml>,
    /// What is in `bandwidth`.
    pub(super) bandwidth: Vec<String>,
    /// Key and value, in the order in which they are written.
    pub(super) timeouts: Vec<(&'static str, Duration)>,
    pub(super) acls: Vec<StatementId>,
    /// `use_backend`.
    pub(super) rules: Vec<StatementId>,
    /// Every one of its addresses takes PROXY headers.
    pub(super) accept_proxy: bool,
    /// One of its addresses takes HTTP/2 without TLS.
    pub(super) plain_http2: bool,
    /// `tcp-request connection`.
    pub(super) connections: Vec<StatementId>,
    /// `http-request` and `http-response`.
    pub(super) http: Vec<StatementId>,
    /// `redirect`, which HAProxy asks behind all of `http-request` and behind the page, wherever it stands.
    pub(super) redirects: Vec<StatementId>,
    /// `http-request use-service prometheus-exporter`.
    pub(super) metrics: Vec<StatementId>,
    pub(super) default: Option<(StatementId, String)>,
}

impl Front {
    /// How long requests wait for the answer of a tarpit, if that is said.
    pub(super) fn tarpit(&self) -> Option<Duration> {
        let found = self.timeouts.iter().find(|(key, _)| *key == "tarpit");
        found.map(|(_, time)| *time)
    }

    fn tarpits(&self, script: &Script) -> bool {
        let mut rules = self.http.iter().map(|id| script.statement(*id));
        rules.any(|rule| rule.word(1) == "tarpit")
    }
}

/// Reads what the statements say of a frontend.
pub(super) fn read(
    script: &Script,
    statements: &[StatementId],
    files: ReadFile<'_>,
    ledger: &mut Ledger,
    name: &str,
) -> Front {
    let mut reader = Reader {
        files,
        ledger,
        front: Front {
            name: value::name(name),
            ..Front::default()
        },
        proxied: Vec::new(),
        connect: None,
        overridden: Vec::new(),
        limits: Limits::default(),
    };
    for id in statements {
        reader.statement(script.statement(*id));
    }
    let Reader {
        files: _,
        ledger,
        mut front,
        proxied,
        connect,
        overridden,
        limits,
    } = reader;
    for id in overridden {
        ledger.note(script.statement(id), "a line behind it counts in its place");
    }
    front.bandwidth = limits.pairs(script, ledger);
    if front.tarpit().is_none()
        && let Some(time) = connect
        && front.tarpits(script)
    {
        front.timeouts.push(("tarpit", time));
    }
    front.accept_proxy = !proxied.is_empty() && proxied.len() == front.binds.len();
    for id in proxied.iter().filter(|_| !front.accept_proxy) {
        ledger.warn(
            script.statement(*id),
            "not translated: in haflux a frontend takes PROXY headers from networks (accept_proxy), at all of its addresses",
        );
    }
    if front.accept_proxy
        && let Some(id) = proxied.first()
    {
        ledger.warn(
            script.statement(*id),
            "accept_proxy names every network, as HAProxy believes everybody here; name the proxies alone",
        );
    }
    front.page.finish(script, ledger);
    front
}

/// `option forwardfor`, where `forwarded_for = true` is written for it.
pub(super) fn forwarded_for(statement: &Statement, ledger: &mut Ledger) {
    ledger.used(statement);
    let words = statement.from(2);
    let mut names = words
        .windows(2)
        .filter(|pair| matches!(pair, [key, _] if key.as_str() == "header"));
    let is_other = names.any(
        |pair| matches!(pair, [_, name] if !name.as_str().eq_ignore_ascii_case("x-forwarded-for")),
    );
    let note = "haflux adds X-Forwarded-For to every request, under that name";
    // `if-none` and `except` keep HAProxy from adding it.
    if is_other
        || words
            .iter()
            .any(|word| matches!(word.as_str(), "if-none" | "except"))
    {
        ledger.warn(statement, note);
    } else if !words.is_empty() {
        ledger.note(statement, note);
    }
}

struct Reader<'a> {
    files: ReadFile<'a>,
    ledger: &'a mut Ledger,
    front: Front,
    /// For each address that takes PROXY headers, the line that says so.
    proxied: Vec<StatementId>,
    /// `timeout connect`.
    connect: Option<Duration>,
    /// Each says what a line behind it says otherwise.
    overridden: Vec<StatementId>,
    limits: Limits,
}

impl Reader<'_> {
    fn statement(&mut self, statement: &Statement) {
        let (first, second, third) = (statement.word(0), statement.word(1), statement.word(2));
        if matches!(first, "frontend" | "listen") {
            self.front.page.begin_section();
        }
        if self.limits.read(statement) {
            return;
        }
        match (first, second, third) {
            ("bind", ..) => self.bind(statement, 1),
            // Old files put the address beside the name.
            ("frontend" | "listen", _, address) if !matches!(address, "" | "from") => {
                self.bind(statement, 2);
            }
            ("stats", ..) => self.front.page.read(statement, self.ledger),
            ("option", "forwardfor", _) => {
                self.front.forwarded_for = true;
                forwarded_for(statement, self.ledger);
            }
            ("option", "httplog", "") => self.ledger.used(statement),
            ("acl", ..) => self.front.acls.push(statement.id),
            ("use_backend", ..) => self.front.rules.push(statement.id),
            ("default_backend", name, _) => {
                if let Some((before, _)) =
                    self.front.default.replace((statement.id, name.to_owned()))
                {
                    self.overridden.push(before);
                }
            }
            ("maxconn", ..) => {
                let count = statement.words.get(1);
                self.front.max_connections =
                    count.and_then(|word| value::whole(word, 1..=1_000_000));
                match self.front.max_connections {
                    Some(_) => self.ledger.used(statement),
                    None => self
                        .ledger
                        .warn(statement, "haflux takes 1 to 1000000 here"),
                }
            }
            ("timeout", "client", time) | ("clitimeout", time, _) => {
                self.time(statement, "client", time)
            }
            ("timeout", "http-request", time) => self.time(statement, "http_request", time),
            ("timeout", "http-keep-alive", time) => self.time(statement, "http_keep_alive", time),
            ("timeout", "tarpit", time) => self.time(statement, "tarpit", time),
            // What HAProxy takes where there is no `timeout tarpit`. It is the pool's to say what becomes of it.
            ("timeout", "connect", time) | ("contimeout", time, _) => {
                self.connect = value::duration(time);
            }
            ("http-request", "use-service", "prometheus-exporter") => {
                self.front.metrics.push(statement.id);
            }
            ("redirect", ..) => self.front.redirects.push(statement.id),
            (
                "http-request",
                "deny" | "tarpit" | "redirect" | "set-header" | "add-header" | "del-header"
                | "allow",
                _,
            )
            | ("http-response", "set-header" | "add-header" | "del-header", _) => {
                self.front.http.push(statement.id);
            }
            ("tcp-request", "connection", "reject" | "accept") => {
                self.front.connections.push(statement.id);
            }
            _ => {}
        }
    }

    fn bind(&mut self, statement: &Statement, first: usize) {
        let line = bind::read(statement, first, self.files);
        for reason in line.refused {
            self.ledger.warn(statement, reason);
        }
        if let Some(tls) = line.tls
            && let Err(reason) = tls.and_then(|tls| self.speak_tls(tls, &line.binds))
        {
            self.ledger.warn(
                statement,
                format!(
                    "not listened at, because {reason}: a TLS terminator in front of haflux must take these connections, or set tls by hand"
                ),
            );
            let addresses = line.binds.iter().filter_map(|bind| bind.address);
            self.front
                .without_tls
                .extend(addresses.map(|address| (statement.id, address)));
            return;
        }
        if line.citrix {
            self.ledger.warn(
                statement,
                "haflux reads no header of NetScaler: whatever stands before it must not send one",
            );
        }
        self.front.plain_http2 |= line.plain_http2;
        if line.accept_proxy {
            let all = std::iter::repeat_n(statement.id, line.binds.len());
            self.proxied.extend(all);
        }
        if !line.binds.is_empty() {
            self.ledger.used(statement);
        }
        self.front.binds.extend(line.binds);
        let (harmless, lost) = bind::without_counterpart(&line.rest);
        if !harmless.is_empty() {
            self.ledger.note(
                statement,
                format!("no counterpart: {}", harmless.join(", ")),
            );
        }
        if !lost.is_empty() {
            self.ledger
                .warn(statement, format!("not translated: {}", lost.join(", ")));
        }
    }

    /// Notes that the addresses speak TLS in this way.
    fn speak_tls(&mut self, tls: Tls, binds: &[Bind]) -> Result<(), String> {
        let addresses = binds.iter().map(|bind| bind.toml.clone());
        match &mut self.front.tls {
            None => self.front.tls = Some((tls, addresses.collect())),
            Some((known, known_addresses)) => {
                if !known.join(tls) {
                    return Err(
                        "a frontend of haflux has one tls for all of its addresses".to_owned()
                    );
                }
                known_addresses.extend(addresses);
            }
        }
        Ok(())
    }

    fn time(&mut self, statement: &Statement, key: &'static str, text: &str) {
        match value::duration(text) {
            Some(time) => {
                self.front.timeouts.retain(|(known, _)| *known != key);
                self.front.timeouts.push((key, time));
                self.ledger.used(statement);
            }
            None => self.ledger.warn(
                statement,
                "haflux takes 1ms to 30d here, as a number; its own default counts",
            ),
        }
    }
}
