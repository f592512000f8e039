//! The configuration as TOML, with what has no counterpart quoted beside the table that it belongs to.

use std::fmt::Write as _;

use super::formula::Table;
use super::ledger::Ledger;
use super::plan::{Entry, FrontendPlan, Plan, PoolPlan};
use super::recognise::RelayPlan;
use super::server::Server;
use super::statement::{Kind, Script};
use super::value::{duration_value, one_or_list, quoted};

/// Writes it.
pub(super) fn write(plan: &Plan, script: &Script, ledger: &Ledger, files: &[String]) -> String {
    let mut writer = Writer {
        script,
        ledger,
        written: vec![false; script.sections.len()],
        out: String::new(),
    };
    writer.line(&format!("# haflux in place of {}.", files.join(", ")));
    writer.line("#");
    writer.line(
        "# Lines that are quoted with file and number have no counterpart here, or not in full.",
    );
    writer.line("# `haflux check --config FILE` says what the rest does; docs/import.md says what becomes of what.");
    for (index, section) in script.sections.iter().enumerate() {
        if matches!(section.kind, Kind::Global | Kind::Defaults) {
            writer.section(Some(index));
        }
    }
    writer.server(plan);
    for keys in plan.logs.tables() {
        writer.table("[[log]]");
        for key in keys {
            writer.line(&key);
        }
    }
    for frontend in &plan.frontends {
        writer.frontend(frontend);
    }
    for relay in &plan.relays.relays {
        writer.relay(relay);
    }
    for pool in &plan.pools {
        writer.pool(pool);
    }
    writer.comments(&plan.relays.udp);
    for index in 0..script.sections.len() {
        writer.section(Some(index));
    }
    writer.comments(&plan.relays.quoted);
    writer.out
}

struct Writer<'a> {
    script: &'a Script,
    ledger: &'a Ledger,
    /// Which sections' comments are written.
    written: Vec<bool>,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn comments(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.line("");
        for line in lines {
            let _ = writeln!(self.out, "# {line}");
        }
    }

    /// The comments of a section, once.
    fn section(&mut self, index: Option<usize>) {
        let Some(index) = index else { return };
        let Some(section) = self.script.sections.get(index) else {
            return;
        };
        match self.written.get_mut(index) {
            Some(written) if !*written => *written = true,
            _ => return,
        }
        let statements = section.opening.iter().chain(&section.statements);
        let lines: Vec<String> = statements
            .filter_map(|id| self.ledger.comment(self.script, *id))
            .flatten()
            .collect();
        self.comments(&lines);
    }

    /// A table's header; after comments of its own no blank line parts it from them.
    fn table(&mut self, header: &str) {
        self.line("");
        self.line(header);
    }

    fn server(&mut self, plan: &Plan) {
        let global = &plan.global;
        let stop_timeout = global.stop_timeout.map(duration_value);
        let metrics = plan.metrics.as_ref();
        let keys = [
            ("threads", global.threads.clone()),
            (
                "stop_timeout",
                stop_timeout.filter(|time| time != "\"30s\""),
            ),
            ("stats_socket", global.socket.toml()),
            (
                "metrics_bind",
                metrics.map(|metrics| metrics.bind.toml.clone()),
            ),
            (
                "metrics_maxconn",
                metrics.and_then(|metrics| metrics.max_connections.clone()),
            ),
        ];
        let mut keys = keys
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .peekable();
        if keys.peek().is_some() {
            self.table("[server]");
        }
        for (key, value) in keys {
            self.line(&format!("{key} = {value}"));
        }
    }

    fn page(&mut self, plan: &FrontendPlan) {
        let page = &plan.front.page;
        let Some(uri) = &page.uri else { return };
        self.line(&format!("stats_uri = {}", quoted(uri)));
        let refresh = page.refresh.map(duration_value);
        if let Some(time) = refresh.filter(|time| time != "\"5s\"") {
            self.line(&format!("stats_refresh = {time}"));
        }
        if !page.users.is_empty() {
            self.line(&format!("stats_auth = {}", one_or_list(&page.users)));
        }
        if plan.admin {
            self.line("stats_admin = true");
        }
    }

    fn frontend(&mut self, plan: &FrontendPlan) {
        self.section(plan.section);
        let front = &plan.front;
        self.table("[[frontend]]");
        self.line(&format!("name = {}", quoted(&front.name)));
        let binds: Vec<String> = front.binds.iter().map(|bind| bind.toml.clone()).collect();
        self.line(&format!("bind = {}", one_or_list(&binds)));
        if let Some((tls, secure)) = &front.tls {
            let speaks: Vec<String> = binds
                .iter()
                .filter(|bind| secure.contains(bind))
                .cloned()
                .collect();
            let addresses = format!("addresses = {}", one_or_list(&speaks));
            let addresses = (speaks != binds).then_some(addresses);
            if !speaks.is_empty() {
                let pairs: Vec<String> = addresses.into_iter().chain(tls.pairs()).collect();
                self.inline("tls", &pairs);
            }
        }
        if front.plain_http2 {
            self.line("http2 = { plain = true }");
        }
        self.page(plan);
        if let Some(path) = &plan.metrics {
            self.line(&format!("metrics_uri = {path}"));
        }
        if front.accept_proxy {
            self.line("accept_proxy = [\"0.0.0.0/0\", \"::/0\"]");
        }
        for (key, networks) in [("allow", &plan.http.allow), ("deny", &plan.http.deny)] {
            if !networks.is_empty() {
                self.line(&format!("{key} = {}", one_or_list(networks)));
            }
        }
        self.inline("bandwidth", &front.bandwidth);
        self.entries("http_request", &plan.http.requests);
        self.entries("http_response", &plan.http.responses);
        if front.forwarded_for {
            self.line("forwarded_for = true");
        }
        if let Some(count) = &front.max_connections {
            self.line(&format!("maxconn = {count}"));
        }
        let defaults = [
            ("client", "\"50s\""),
            ("http_request", "\"10s\""),
            ("http_keep_alive", "\"1m\""),
            ("tunnel", "\"1h\""),
            ("tarpit", "\"5s\""),
        ];
        let timeouts: Vec<String> = front
            .timeouts
            .iter()
            .map(|(key, time)| (*key, duration_value(*time)))
            .filter(|(key, time)| !defaults.contains(&(*key, time.as_str())))
            .map(|(key, time)| format!("{key} = {time}"))
            .collect();
        self.inline("timeout", &timeouts);
        if !plan.rules.is_empty() {
            self.line("use_backend = [");
            for rule in &plan.rules {
                let tables: Vec<String> = rule.formula.tables().iter().map(condition).collect();
                let word = if rule.unless { "unless" } else { "if" };
                self.line(&format!(
                    "  {{ backend = {}, {word} = {} }},",
                    quoted(&rule.target),
                    one_or_list(&tables)
                ));
            }
            self.line("]");
        }
        if let Some(default) = &plan.default {
            self.line(&format!("default_backend = {}", quoted(default)));
        }
    }

    fn entries(&mut self, key: &str, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        self.line(&format!("{key} = ["));
        for entry in entries {
            let condition = entry.condition.as_ref().map(|(unless, formula)| {
                let tables: Vec<String> = formula.tables().iter().map(condition).collect();
                let word = if *unless { "unless" } else { "if" };
                format!(", {word} = {}", one_or_list(&tables))
            });
            let condition = condition.unwrap_or_default();
            self.line(&format!("  {{ {}{condition} }},", entry.action));
        }
        self.line("]");
    }

    fn relay(&mut self, plan: &RelayPlan) {
        self.section(plan.section);
        self.comments(&plan.quoted);
        self.table("[[relay]]");
        self.line(&format!("name = {}", quoted(&plan.name)));
        self.line(&format!(
            "replicate_to = {}          # every server of that pool gets every write",
            quoted(&plan.pool)
        ));
    }

    fn pool(&mut self, plan: &PoolPlan) {
        self.section(plan.section);
        let pool = &plan.pool;
        self.table("[[backend]]");
        self.line(&format!("name = {}", quoted(&pool.name)));
        if pool.balance != "roundrobin" {
            self.line(&format!("balance = {}", quoted(pool.balance)));
        }
        if let Some(version) = plan.send_proxy() {
            self.line(&format!("send_proxy = {}", quoted(version)));
        }
        self.check(plan);
        let mut timeouts = Vec::new();
        for (key, time, default) in [
            ("connect", pool.connect_timeout, "\"5s\""),
            ("server", pool.server_timeout, "\"50s\""),
        ] {
            if let Some(time) = time.map(duration_value).filter(|time| time != default) {
                timeouts.push(format!("{key} = {time}"));
            }
        }
        self.inline("timeout", &timeouts);
        if let Some(retries) = pool.retries.as_ref().filter(|retries| *retries != "3") {
            self.line(&format!("retries = {retries}"));
        }
        let checked = plan.is_checked();
        self.line("servers = [");
        for each in &pool.servers {
            let server = server(each, checked);
            self.line(&format!("  {server},"));
        }
        self.line("]");
    }

    fn check(&mut self, plan: &PoolPlan) {
        let check = &plan.pool.check;
        if !plan.is_checked() {
            self.line("check = false");
            return;
        }
        let mut keys = Vec::new();
        match &check.http {
            Some(path) => {
                keys.push(format!("http = {path}"));
                if !check.expect.is_empty() {
                    keys.push(format!("expect = {}", one_or_list(&check.expect)));
                }
                keys.extend(check.host.iter().map(|host| format!("host = {host}")));
            }
            // A port that takes connections says little about InfluxDB.
            None if plan.replicated && check.port.is_none() => {
                keys.push("http = \"/ping\"".to_owned())
            }
            None => {}
        }
        keys.extend(check.port.iter().map(|port| format!("port = {port}")));
        let first = plan.pool.servers.iter().find(|server| server.check);
        let inter = first.and_then(|server| server.inter).map(duration_value);
        let inter = inter.filter(|inter| inter != "\"2s\"");
        keys.extend(inter.iter().map(|inter| format!("interval = {inter}")));
        // Without a timeout of its own, a check of HAProxy's has as long as `inter`.
        let timeout = check.timeout.map(duration_value).or(inter);
        let timeout = timeout.filter(|timeout| timeout != "\"2s\"");
        keys.extend(timeout.iter().map(|timeout| format!("timeout = {timeout}")));
        if let Some(rise) = first
            .and_then(|server| server.rise.as_ref())
            .filter(|rise| *rise != "2")
        {
            keys.push(format!("rise = {rise}"));
        }
        if let Some(fall) = first
            .and_then(|server| server.fall.as_ref())
            .filter(|fall| *fall != "3")
        {
            keys.push(format!("fall = {fall}"));
        }
        self.inline("check", &keys);
    }

    fn inline(&mut self, key: &str, pairs: &[String]) {
        if !pairs.is_empty() {
            self.line(&format!("{key} = {{ {} }}", pairs.join(", ")));
        }
    }
}

impl PoolPlan {
    /// Whether any server is checked; a pool that a relay replicates to always is.
    fn is_checked(&self) -> bool {
        self.replicated || self.pool.servers.iter().any(|server| server.check)
    }
}

fn condition(table: &Table) -> String {
    let keys: Vec<String> = table
        .iter()
        .map(|(key, values)| {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            format!("{} = {}", key.name(), one_or_list(&values))
        })
        .collect();
    format!("{{ {} }}", keys.join(", "))
}

fn server(server: &Server, pool_is_checked: bool) -> String {
    let mut keys = vec![
        format!("name = {}", quoted(&server.name)),
        format!("address = {}", server.address),
    ];
    keys.extend(server.tls.iter().map(|tls| format!("tls = {tls}")));
    if let Some(weight) = server.weight.as_ref().filter(|weight| *weight != "1") {
        keys.push(format!("weight = {weight}"));
    }
    if server.backup {
        keys.push("backup = true".to_owned());
    }
    if pool_is_checked && !server.check {
        keys.push("check = false".to_owned());
    }
    format!("{{ {} }}", keys.join(", "))
}
