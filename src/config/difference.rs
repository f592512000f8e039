//! What two configurations differ in, key by key, and which of it a running haflux takes.
//!
//! `facts` is the one list of what a reload takes. It names every field of the model, so that a new key does not compile before somebody
//! has decided about it; the page of the configuration is checked against it.

use std::fmt::{self, Debug, Display, Formatter};

use super::Config;
use super::decode::METRICS_NAME;
use super::model::{
    Backend, Check, Frontend, HeaderEdit, Healing, Judging, LogSettings, LogTarget, Near,
    PoolServer, Probe, QueryGuards, Relay, RequestAction, Rule, Server, SourceRules, Target, Udp,
    UserSettings,
};
use super::stats_user::StatsUser;
use crate::influx::influxql;
use crate::secret::Secret;

/// The longest value that is shown whole, in characters.
const LONGEST_SHOWN: usize = 120;

/// One key that two configurations differ in, or a table that only one of them has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    place: String,
    key: &'static str,
    from: Option<String>,
    to: Option<String>,
    needs_restart: bool,
}

impl Change {
    /// Whether a haflux that runs cannot take it.
    pub fn needs_restart(&self) -> bool {
        self.needs_restart
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let separator = if self.place == "server" { "." } else { ", " };
        match (&self.from, &self.to) {
            (None, _) => write!(f, "{}: added", self.place),
            (_, None) => write!(f, "{}: removed", self.place),
            (Some(from), Some(to)) => write!(
                f,
                "{}{separator}{}: {} -> {}",
                self.place,
                self.key,
                Shown(from),
                Shown(to)
            ),
        }
    }
}

struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST_SHOWN) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
        }
    }
}

/// What `new` says otherwise than `old`: in the order of `new`, then what only `old` has.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (facts(old), facts(new));
    let appears = |facts: &[Fact], place: &str| facts.iter().any(|fact| fact.place == place);
    let mut changes = Vec::new();
    for fact in &new {
        let before = old
            .iter()
            .find(|one| (&one.place, one.key) == (&fact.place, fact.key));
        let is_new = fact.is_first && !appears(&old, &fact.place);
        let differs = |before: &Fact| {
            (
                &before.value,
                &before.secrets,
                &before.values,
                &before.whole,
            ) != (&fact.value, &fact.secrets, &fact.values, &fact.whole)
        };
        if is_new || before.is_some_and(differs) {
            let to = match before {
                Some(before) if before.value == fact.value => format!("{} (others)", fact.value),
                _ => fact.value.clone(),
            };
            changes.push(Change {
                place: fact.place.clone(),
                key: fact.key,
                from: before.map(|before| before.value.clone()),
                to: Some(to),
                needs_restart: !fact.is_taken,
            });
        }
    }
    let gone = old.iter().filter(|fact| fact.is_first);
    for fact in gone.filter(|fact| !appears(&new, &fact.place)) {
        changes.push(Change {
            place: fact.place.clone(),
            key: fact.key,
            from: Some(fact.value.clone()),
            to: None,
            needs_restart: !fact.is_taken,
        });
    }
    changes
}

/// One key of a configuration.
struct Fact {
    /// The table that it stands in, as messages name it.
    place: String,
    /// The same without the table's name.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the documentation's list is by table")
    )]
    table: &'static str,
    key: &'static str,
    value: String,
    /// What of the value must not be shown.
    secrets: Vec<StatsUser>,
    /// The same of values of headers.
    values: Vec<Vec<HeaderEdit>>,
    /// The same of a text that is shown in part.
    whole: Option<Secret>,
    is_taken: bool,
    /// It stands for its table.
    is_first: bool,
}

/// The facts of one table.
struct Section<'a> {
    facts: &'a mut Vec<Fact>,
    place: String,
    table: &'static str,
}

impl<'a> Section<'a> {
    fn new(facts: &'a mut Vec<Fact>, table: &'static str, place: String) -> Self {
        Self {
            facts,
            place,
            table,
        }
    }

    fn add(&mut self, key: &'static str, value: impl Debug, is_taken: bool) {
        self.facts.push(Fact {
            place: self.place.clone(),
            table: self.table,
            key,
            value: format!("{value:?}"),
            secrets: Vec::new(),
            values: Vec::new(),
            whole: None,
            is_taken,
            is_first: false,
        });
    }

    /// The table is known by this key; whether one that is added or removed is taken.
    fn first(&mut self, key: &'static str, value: &str, is_taken: bool) {
        self.add(key, value, is_taken);
        if let Some(first) = self.facts.last_mut() {
            first.is_first = true;
        }
    }

    /// A reload takes it.
    fn taken(&mut self, key: &'static str, value: impl Debug) {
        self.add(key, value, true);
    }

    /// A reload takes it, and nobody is shown more of it than how many there are.
    fn hidden(&mut self, key: &'static str, secrets: &[StatsUser]) {
        self.add(key, secrets.len(), true);
        if let Some(last) = self.facts.last_mut() {
            last.secrets = secrets.to_vec();
        }
    }

    /// A reload takes it, and the values of headers in it are not shown.
    fn with_values<'edits>(
        &mut self,
        key: &'static str,
        value: impl Debug,
        values: impl Iterator<Item = &'edits Vec<HeaderEdit>>,
    ) {
        self.add(key, value, true);
        if let Some(last) = self.facts.last_mut() {
            last.values = values.cloned().collect();
        }
    }

    /// A reload takes it, and nobody is shown more of the text than its path.
    fn without_query(&mut self, key: &'static str, text: &str) {
        let path = text.split('?').next().unwrap_or_default();
        self.add(key, path, true);
        if let Some(last) = self.facts.last_mut() {
            last.whole = Some(Secret::new(text.as_bytes()));
        }
    }

    /// It holds until the process ends.
    fn fixed(&mut self, key: &'static str, value: impl Debug) {
        self.add(key, value, false);
    }
}

/// Every key of `config`, in the order of the file.
fn facts(config: &Config) -> Vec<Fact> {
    let Config {
        server: process,
        users: own_users,
        frontends,
        relays,
        backends,
        udp: listeners,
    } = config;
    let mut facts = Vec::new();
    let metrics = frontends.iter().find(|one| one.name == METRICS_NAME);
    server(
        process,
        metrics,
        Section::new(&mut facts, "server", "server".to_owned()),
    );
    for (index, each) in process.log.targets.iter().enumerate() {
        log_target(
            each,
            Section::new(&mut facts, "log", format!("log[{index}]")),
        );
    }
    if let Some(settings) = own_users {
        users(
            settings,
            Section::new(&mut facts, "users", "users".to_owned()),
        );
    }
    for each in frontends {
        if each.name == METRICS_NAME {
            continue;
        }
        let place = format!("frontend \"{}\"", each.name);
        frontend(config, each, Section::new(&mut facts, "frontend", place));
    }
    for each in relays {
        let place = format!("relay \"{}\"", each.name);
        relay(config, each, Section::new(&mut facts, "relay", place));
    }
    for each in backends {
        let place = format!("backend \"{}\"", each.name);
        backend(each, Section::new(&mut facts, "backend", place.clone()));
        for server in &each.servers {
            let place = format!("{place}, server \"{}\"", server.name);
            let is_replicated = each.replicated_by.is_some();
            let section = Section::new(&mut facts, "backend.servers", place);
            pool_server(server, is_replicated, section);
        }
    }
    for each in listeners {
        let place = format!("udp \"{}\"", each.bind);
        udp(config, each, Section::new(&mut facts, "udp", place));
    }
    facts
}

/// `metrics` is the frontend of `metrics_bind`.
fn server(server: &Server, metrics: Option<&Frontend>, mut section: Section<'_>) {
    let Server {
        data_dir,
        run_as,
        landlock,
        threads,
        log_level,
        access_log,
        log:
            LogSettings {
                levels,
                repeats,
                repeat_time,
                repeat_messages,
                // Tables of their own.
                targets: _,
            },
        stats_socket,
        stop_timeout,
        max_query_body,
        max_query_inflight,
        max_query_share,
        body_wait,
        query_limits:
            influxql::Limits {
                parameters,
                length,
                statements,
                terms,
                depth,
            },
        max_query_fingerprints,
    } = server;
    section.fixed("data_dir", data_dir);
    let run_as = run_as.as_ref();
    section.fixed("user", run_as.map(|run_as| &run_as.user));
    section.fixed("group", run_as.and_then(|run_as| run_as.group.as_ref()));
    section.fixed("landlock", landlock);
    section.fixed("threads", threads);
    section.taken("log_level", log_level);
    section.taken("access_log", access_log);
    section.taken("log_levels", levels);
    section.fixed("log_repeats", repeats);
    section.fixed("log_repeat_time", repeat_time);
    section.fixed("log_repeat_messages", repeat_messages);
    section.fixed("stats_socket", stats_socket);
    section.fixed("metrics_bind", metrics.map(|frontend| &frontend.bind));
    section.taken(
        "metrics_maxconn",
        metrics.map(|frontend| frontend.max_connections),
    );
    section.taken("stop_timeout", stop_timeout);
    section.taken("max_query_body", max_query_body);
    section.taken("max_query_inflight", max_query_inflight);
    section.taken("max_query_share", max_query_share);
    section.taken("body_wait", body_wait);
    section.taken("max_query_parameters", parameters);
    section.taken("max_query_length", length);
    section.taken("max_query_statements", statements);
    section.taken("max_query_terms", terms);
    section.taken("max_query_depth", depth);
    section.taken("max_query_fingerprints", max_query_fingerprints);
}

fn log_target(target: &LogTarget, mut section: Section<'_>) {
    let LogTarget {
        to,
        lines,
        format,
        queue,
    } = target;
    section.first("to", &format!("{to:?}"), false);
    section.fixed("lines", lines);
    section.fixed("format", format);
    section.fixed("queue", queue);
}

fn users(settings: &UserSettings, mut section: Section<'_>) {
    let UserSettings {
        file,
        remember_for,
        at_once,
        max_waiting,
        max_failures,
    } = settings;
    section.first("file", &file.display().to_string(), true);
    section.taken("remember_for", remember_for);
    section.taken("at_once", at_once);
    section.taken("max_waiting", max_waiting);
    section.taken("max_failures", max_failures);
}

fn frontend(config: &Config, frontend: &Frontend, mut section: Section<'_>) {
    let Frontend {
        name,
        bind,
        tls,
        http2,
        stats_uri,
        metrics_uri,
        stats_refresh,
        stats_auth,
        stats_admin,
        sources: SourceRules { allow, deny },
        accept_proxy,
        trust_forwarded,
        forwarded_header,
        auth,
        access,
        rate_limit,
        bandwidth,
        queries:
            QueryGuards {
                max_running,
                max_running_per_user,
                max_time,
                unbounded,
                slow,
            },
        http_request,
        http_response,
        rules,
        default_target,
        forwarded_for,
        max_connections,
        max_connections_per_source,
        max_tarpitted,
        max_header_size,
        min_body_rate,
        client_timeout,
        request_header_timeout,
        request_body_timeout,
        keep_alive_timeout,
        tunnel_timeout,
        tarpit_timeout,
    } = frontend;
    let rules = rules.iter().map(|Rule { target, condition }| {
        let mode = if condition.negated { "unless" } else { "if" };
        (target_name(config, *target), mode, &condition.any_of)
    });
    let rules: Vec<_> = rules.collect();
    let default = default_target.map(|target| target_name(config, target));
    section.first("name", name, false);
    section.fixed("bind", bind);
    section.taken("tls", tls);
    section.taken("http2", http2);
    section.taken("stats_uri", stats_uri);
    section.taken("metrics_uri", metrics_uri);
    section.taken("stats_refresh", stats_refresh);
    section.hidden("stats_auth", stats_auth);
    section.taken("stats_admin", stats_admin);
    section.taken("allow", allow);
    section.taken("deny", deny);
    section.taken("accept_proxy", accept_proxy);
    section.taken("trust_forwarded", trust_forwarded);
    section.taken("forwarded_header", forwarded_header);
    section.taken("auth", auth);
    section.taken("rules", access);
    section.taken("rate_limit", rate_limit);
    section.taken("bandwidth", bandwidth);
    section.taken("queries.max_running", max_running);
    section.taken("queries.max_running_per_user", max_running_per_user);
    section.taken("queries.max_time", max_time);
    section.taken("queries.unbounded", unbounded);
    section.taken("queries.slow", slow);
    let values = http_request.iter().filter_map(|rule| match &rule.action {
        RequestAction::Edit(edits) => Some(edits),
        RequestAction::Deny(_) | RequestAction::Tarpit(_) | RequestAction::Redirect(_) => None,
    });
    section.with_values("http_request", http_request, values);
    let values = http_response.iter().map(|rule| &rule.edits);
    section.with_values("http_response", http_response, values);
    section.taken("use_backend", rules);
    section.taken("default_backend", default);
    section.taken("forwarded_for", forwarded_for);
    section.taken("maxconn", max_connections);
    section.taken("maxconn_per_source", max_connections_per_source);
    section.taken("max_tarpitted", max_tarpitted);
    section.taken("max_header_size", max_header_size);
    section.taken("min_body_rate", min_body_rate);
    section.taken("timeout.client", client_timeout);
    section.taken("timeout.http_request", request_header_timeout);
    section.taken("timeout.http_body", request_body_timeout);
    section.taken("timeout.http_keep_alive", keep_alive_timeout);
    section.taken("timeout.tunnel", tunnel_timeout);
    section.taken("timeout.tarpit", tarpit_timeout);
}

fn target_name(config: &Config, target: Target) -> &str {
    match target {
        Target::Backend(id) => &config.backend(id).name,
        Target::Relay(id) => &config.relay(id).name,
    }
}

fn relay(config: &Config, relay: &Relay, mut section: Section<'_>) {
    let Relay {
        name,
        pool,
        ack,
        on_unavailable,
        timeout,
        sync,
        max_body,
        max_unpacked_body,
        max_batch,
        max_inflight,
        max_inflight_share,
        body_wait,
        max_tags,
        max_backlog,
        max_backlog_age,
        near: Near { bytes, time },
        rewind,
        trust_for,
        judging:
            Judging {
                at_once,
                max_waiting,
                refused_for,
                max_known,
            },
        max_statements,
        max_statements_per_source,
        max_attempts,
        hold_for,
        max_pending_refusals,
        max_dead_letters,
        max_dead_letter_bytes,
        statement_timeout,
        max_statement_answer_buffer,
        max_refusal_texts,
        retry_min,
        retry_max,
        heal:
            Healing {
                login,
                parallel,
                max_rate,
                max_points,
                rpc_port,
                gate,
            },
        compare,
        rerun_continuous_queries,
    } = relay;
    section.first("name", name, false);
    section.fixed("replicate_to", &config.backend(*pool).name);
    section.fixed("ack", ack);
    section.fixed("on_unavailable", on_unavailable);
    section.fixed("timeout", timeout);
    section.fixed("statement_timeout", statement_timeout);
    section.fixed("sync", sync);
    section.fixed("max_body", max_body);
    section.fixed("max_unpacked_body", max_unpacked_body);
    section.fixed("max_batch", max_batch);
    section.fixed("max_inflight", max_inflight);
    section.fixed("max_inflight_share", max_inflight_share);
    section.fixed("body_wait", body_wait);
    section.fixed("max_tags", max_tags);
    section.fixed("max_statement_answer_buffer", max_statement_answer_buffer);
    section.fixed("max_refusal_texts", max_refusal_texts);
    section.fixed("max_backlog", max_backlog);
    section.fixed("max_backlog_age", max_backlog_age);
    section.fixed("near.bytes", bytes);
    section.fixed("near.time", time);
    section.fixed("rewind", rewind);
    section.fixed("trust_for", trust_for);
    section.fixed("judging.at_once", at_once);
    section.fixed("judging.max_waiting", max_waiting);
    section.fixed("judging.refused_for", refused_for);
    section.fixed("judging.max_known", max_known);
    section.fixed("max_statements", max_statements);
    section.fixed("max_statements_per_source", max_statements_per_source);
    section.fixed("max_attempts", max_attempts);
    section.fixed("hold_for", hold_for);
    section.fixed("max_pending_refusals", max_pending_refusals);
    section.fixed("max_dead_letters", max_dead_letters);
    section.fixed("max_dead_letter_bytes", max_dead_letter_bytes);
    section.fixed("retry.min", retry_min);
    section.fixed("retry.max", retry_max);
    section.fixed("heal.username", login.as_ref().map(|login| &login.username));
    let password_file = login.as_ref().map(|login| &login.password_file);
    section.fixed("heal.password_file", password_file);
    section.fixed("heal.parallel", parallel);
    section.fixed("heal.max_rate", max_rate);
    section.fixed("heal.max_points", max_points);
    section.fixed("heal.rpc_port", rpc_port);
    section.fixed("heal.gate", gate);
    section.fixed("compare", compare);
    section.fixed("rerun_continuous_queries", rerun_continuous_queries);
}

fn backend(backend: &Backend, mut section: Section<'_>) {
    let Backend {
        name,
        balance,
        check,
        servers,
        connect_timeout,
        server_timeout,
        server_keep_alive,
        pool_max_connections,
        send_proxy,
        logins,
        retries,
        reads,
        read_wait,
        on_stale,
        replicated_by,
    } = backend;
    section.first("name", name, true);
    // The journal knows its replicas by these names, in this order.
    if replicated_by.is_some() {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        section.fixed("servers", names);
    }
    section.taken("balance", balance);
    section.taken("login", logins);
    section.taken("send_proxy", send_proxy);
    self::check(check, &mut section);
    section.taken("retries", retries);
    section.taken("reads", reads);
    section.taken("read_wait", read_wait);
    section.taken("on_stale", on_stale);
    section.taken("timeout.connect", connect_timeout);
    section.taken("timeout.server", server_timeout);
    section.taken("timeout.keep_alive", server_keep_alive);
    section.taken("pool_max_conn", pool_max_connections);
}

fn check(check: &Check, section: &mut Section<'_>) {
    let Check {
        probe,
        interval,
        timeout,
        rise,
        fall,
    } = check;
    let (kind, expect, host) = match probe {
        Probe::None => ("none", None, None),
        Probe::Tcp => ("tcp", None, None),
        Probe::Http { path, expect, host } => (path.as_str(), Some(expect), host.as_deref()),
    };
    section.without_query("check", kind);
    section.taken("check.expect", expect);
    section.taken("check.host", host);
    section.taken("check.interval", interval);
    section.taken("check.timeout", timeout);
    section.taken("check.rise", rise);
    section.taken("check.fall", fall);
}

fn pool_server(server: &PoolServer, is_replicated: bool, mut section: Section<'_>) {
    let PoolServer {
        name,
        address,
        tls,
        weight,
        backup,
        check,
    } = server;
    section.first("name", name, !is_replicated);
    section.taken("address", address.to_string());
    section.taken("tls", tls);
    section.taken("weight", weight);
    section.taken("backup", backup);
    section.taken("check", check);
}

fn udp(config: &Config, udp: &Udp, mut section: Section<'_>) {
    let Udp {
        bind,
        relay,
        database,
        retention_policy,
        login,
        precision,
        read_buffer,
    } = udp;
    section.first("bind", &bind.to_string(), false);
    section.fixed("relay", &config.relay(*relay).name);
    section.fixed("db", database);
    section.fixed("rp", retention_policy);
    section.fixed("username", login.as_ref().map(|login| &login.username));
    let password_file = login.as_ref().map(|login| &login.password_file);
    section.fixed("password_file", password_file);
    section.fixed("precision", precision);
    section.fixed("read_buffer", read_buffer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    const WHOLE: &str = r#"
[users]
file = "/etc/haflux/users"
[[frontend]]
name = "front"
bind = "127.0.0.1:8086"
use_backend = [{ backend = "relay", if = { path_beg = "/write" } }]
default_backend = "pool"
[[frontend]]
name = "plain"
bind = "127.0.0.1:8087"
default_backend = "web"
[[relay]]
name = "relay"
replicate_to = "pool"
[[backend]]
name = "pool"
servers = [{ name = "a", address = "127.0.0.1:1" }, { name = "b", address = "127.0.0.1:2" }]
[[backend]]
name = "web"
check = { http = "/ping" }
servers = [{ name = "w", address = "127.0.0.1:3" }]
[[udp]]
bind = "127.0.0.1:8089"
relay = "relay"
db = "telegraf"
"#;

    fn config(text: &str) -> Config {
        let loaded = Config::parse(text, Format::Toml, "test.toml", &|_| None);
        loaded.expect("a configuration").config
    }

    /// What a change of `from` to `to` in the text is said to be, with an exclamation mark if it needs a restart.
    fn change(from: &str, to: &str) -> Vec<String> {
        assert!(WHOLE.contains(from), "{from}");
        let said = changes(&config(WHOLE), &config(&WHOLE.replacen(from, to, 1)));
        let said = said.iter().map(|change| {
            let mark = if change.needs_restart() { "!" } else { "" };
            format!("{change}{mark}")
        });
        said.collect()
    }

    #[test]
    fn a_difference_is_named_by_its_key_and_says_whether_it_is_taken() {
        assert_eq!(change("a", "a"), [""; 0]);
        assert_eq!(
            change(
                "default_backend = \"web\"",
                "default_backend = \"web\"\nmaxconn = 700\nmaxconn_per_source = 500\nmax_tarpitted = 500"
            ),
            ["frontend \"plain\", maxconn: 2000 -> 700"]
        );
        let secret = WHOLE.replacen(
            "default_backend = \"web\"",
            "default_backend = \"web\"\nstats_uri = \"/s\"\nstats_auth = \"guest:one\"",
            1,
        );
        let other = secret.replace("guest:one", "guest:two");
        let said = changes(&config(&secret), &config(&other));
        let said: Vec<String> = said.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["frontend \"plain\", stats_auth: 1 -> 1 (others)"]);
        assert_eq!(
            change(
                "[[frontend]]",
                "[server]\nlog_level = \"debug\"\n[[frontend]]"
            ),
            ["server.log_level: Info -> Debug"]
        );
        assert_eq!(
            change("127.0.0.1:8086", "127.0.0.1:9086"),
            ["frontend \"front\", bind: [127.0.0.1:8086] -> [127.0.0.1:9086]!"]
        );
        assert_eq!(
            change(
                "{ name = \"w\", address = \"127.0.0.1:3\" }",
                "{ name = \"x\", address = \"127.0.0.1:3\" }"
            ),
            [
                "backend \"web\", server \"x\": added",
                "backend \"web\", server \"w\": removed"
            ]
        );
        assert_eq!(
            change(", { name = \"b\", address = \"127.0.0.1:2\" }", ""),
            [
                "backend \"pool\", servers: [\"a\", \"b\"] -> [\"a\"]!",
                "backend \"pool\", server \"b\": removed!"
            ]
        );
        assert_eq!(
            change("/write", "/"),
            [
                "frontend \"front\", use_backend: [(\"relay\", \"if\", [AllOf([PathBegins([\"/write\"])])])] -> [(\"relay\", \"if\", [AllOf([PathBegins([\"/\"])])])]"
            ]
        );
        assert_eq!(
            change("127.0.0.1:8089", "127.0.0.1:9089"),
            [
                "udp \"127.0.0.1:9089\": added!",
                "udp \"127.0.0.1:8089\": removed!"
            ]
        );
    }

    /// `docs/configuration.md` has a table with a line for each key, as this says them.
    #[test]
    fn the_page_says_of_each_key_whether_a_reload_takes_it() {
        let facts = facts(&config(WHOLE));
        let mut lines: Vec<String> = Vec::new();
        for fact in &facts {
            let takes = |taken: bool| {
                facts
                    .iter()
                    .any(|one| (one.table, one.key, one.is_taken) == (fact.table, fact.key, taken))
            };
            let what = match (fact.is_first, takes(true), takes(false)) {
                (_, true, true) => "yes; in the pool of a relay: no",
                (false, true, false) => "yes",
                (true, true, false) => "yes: added and removed",
                _ if fact.key == "servers" => "yes; in the pool of a relay: no",
                _ => "no",
            };
            let name = match fact.table {
                "backend.servers" => format!("backend, servers[].{}", fact.key),
                table => format!("{table}, {}", fact.key),
            };
            let line = format!("| `{name}` | {what} |");
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let expected = lines.join("\n");
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let page = std::fs::read_to_string(page).expect("the page");
        assert!(
            page.contains(&format!(
                "| key | a reload takes it |\n| --- | --- |\n{expected}\n"
            )),
            "docs/configuration.md should have this table:\n{expected}"
        );
    }
}
