//! A configuration in words.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::config::model::{
    AccessRule, Ack, AllOf, Backend, Balance, Bandwidth, Check, Condition, Config, ForwardedHeader,
    Frontend, HeaderEdit, LogFormat, LogLines, LogTarget, NodeLogin, OnUnavailable, OwnLogin,
    Pattern, PoolServer, Probe, QueryGuards, Redirect, RedirectTo, Relay, RequestAction, RunAs,
    Server, SourceRules, SyncPolicy, Target, Test, Udp, Unbounded, UserSettings,
};
use crate::config::units::{format_duration, format_size};
use crate::influx::Precision;
use crate::proxy_header::Version;

/// What a configuration makes haflux do.
pub(super) struct Description<'a>(pub(super) &'a Config);

impl Display for Description<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let config = self.0;
        process(f, &config.server, !config.relays.is_empty())?;
        if let Some(settings) = &config.users {
            users(f, settings)?;
        }
        match config.query_fingerprints() {
            0 => {}
            most => writeln!(f, "    counts up to {most} different queries")?,
        }
        for each in &config.frontends {
            frontend(f, config, each)?;
        }
        for each in &config.udp {
            udp(f, config, each)?;
        }
        for each in &config.relays {
            relay(f, config, each)?;
        }
        for each in &config.backends {
            backend(f, config, each)?;
        }
        Ok(())
    }
}

fn log_target(f: &mut Formatter<'_>, target: &LogTarget) -> fmt::Result {
    let lines = match target.lines {
        LogLines::All => "the log",
        LogLines::Access => "the access log",
        LogLines::Messages => "messages",
    };
    let format = match target.format {
        LogFormat::Text => "as text",
        LogFormat::Json => "as JSON",
    };
    writeln!(
        f,
        "    {lines} to {} {format}, up to {} waiting",
        target.to,
        size(target.queue)
    )
}

fn process(f: &mut Formatter<'_>, server: &Server, journals: bool) -> fmt::Result {
    let access = if server.access_log {
        "with an access log"
    } else {
        "without an access log"
    };
    writeln!(f, "process")?;
    if journals {
        writeln!(f, "    journal in {}", server.data_dir.display())?;
    }
    if let Some(RunAs { user, group }) = &server.run_as {
        match group {
            Some(group) => writeln!(f, "    becomes user {user}, group {group}")?,
            None => writeln!(f, "    becomes user {user}")?,
        }
    }
    if server.landlock {
        writeln!(f, "    uses no files but those that stand here (landlock)")?;
    }
    writeln!(
        f,
        "    {} threads, log level {}, {access}",
        server.threads,
        server.log_level.as_str().to_lowercase()
    )?;
    for target in &server.log.targets {
        log_target(f, target)?;
    }
    if let Some(socket) = &server.stats_socket {
        writeln!(
            f,
            "    runtime socket {}, mode {:o}, level {}",
            socket.path.display(),
            socket.mode,
            socket.level.word()
        )?;
    }
    writeln!(
        f,
        "    a graceful stop waits up to {}",
        format_duration(server.stop_timeout)
    )?;
    writeln!(
        f,
        "    up to {} of a query, {} of all queries at once, {} of one address; a body waits up to {} for room",
        size(server.max_query_body),
        size(server.max_query_inflight),
        size(server.max_query_share),
        format_duration(server.body_wait)
    )?;
    let limits = server.query_limits;
    writeln!(
        f,
        "    a query has up to {} parameters of up to {}, {} statements, {} operators and commas in each, {} levels",
        limits.parameters,
        size(limits.length),
        limits.statements,
        limits.terms,
        limits.depth
    )
}

fn users(f: &mut Formatter<'_>, settings: &UserSettings) -> fmt::Result {
    writeln!(f, "\nusers in {}", settings.file.display())?;
    writeln!(
        f,
        "    a right password is remembered for {}; {} are checked at once, {} wait or are checked; {} wrong ones a minute from one address",
        format_duration(settings.remember_for),
        settings.at_once,
        settings.max_waiting,
        settings.max_failures
    )
}

fn query_guards(f: &mut Formatter<'_>, guards: &QueryGuards) -> fmt::Result {
    let QueryGuards {
        max_running,
        max_running_per_user,
        max_time,
        unbounded,
        slow,
    } = guards;
    if let Some(most) = max_running {
        writeln!(f, "    up to {most} queries at once")?;
    }
    if let Some(most) = max_running_per_user {
        writeln!(f, "    up to {most} queries at once of one user")?;
    }
    if let Some(longest) = max_time {
        let longest = format_duration(*longest);
        writeln!(f, "    a query is ended after {longest}")?;
    }
    if *unbounded == Unbounded::Refuse {
        writeln!(f, "    refuses SELECT without a lower bound of time")?;
    }
    if let Some(slow) = slow {
        let slow = format_duration(*slow);
        writeln!(f, "    logs queries that take {slow} or longer")?;
    }
    Ok(())
}

fn frontend(f: &mut Formatter<'_>, config: &Config, frontend: &Frontend) -> fmt::Result {
    let tls = frontend.tls.as_ref();
    let addresses = frontend.bind.iter().map(|address| {
        let speaks = tls.is_some_and(|tls| tls.addresses.contains(address));
        format!("{address}{}", if speaks { " (TLS)" } else { "" })
    });
    let addresses: Vec<String> = addresses.collect();
    writeln!(
        f,
        "\nfrontend {} on {}",
        frontend.name,
        addresses.join(", ")
    )?;
    if let Some(uri) = &frontend.stats_uri {
        let access = match (frontend.stats_auth.is_empty(), frontend.stats_admin) {
            (true, _) => "",
            (false, false) => ", with a password",
            (false, true) => ", with a password; servers can be drained there",
        };
        writeln!(f, "    {uri} is the status page{access}")?;
    }
    if let Some(uri) = &frontend.metrics_uri {
        writeln!(f, "    {uri} is the metrics for Prometheus")?;
    }
    let SourceRules { allow, deny } = &frontend.sources;
    if !allow.is_empty() {
        writeln!(f, "    serves only clients in {allow}")?;
    }
    if !deny.is_empty() {
        writeln!(f, "    serves no client in {deny}")?;
    }
    if let Some(limit) = &frontend.rate_limit {
        writeln!(
            f,
            "    up to {} requests in {} of one address, {} at once; {} addresses are counted",
            limit.requests,
            format_duration(limit.per),
            limit.burst,
            limit.max_sources
        )?;
    }
    if let Some(limits) = &frontend.bandwidth {
        bandwidth(f, limits)?;
    }
    query_guards(f, &frontend.queries)?;
    for rule in &frontend.http_request {
        let of = rule
            .condition
            .as_ref()
            .map_or("every request".to_owned(), condition);
        let action = request_action(&rule.action, frontend.tarpit_timeout);
        writeln!(f, "    {of} {action}")?;
    }
    for rule in &frontend.http_response {
        let of = rule
            .condition
            .as_ref()
            .map_or("every request".to_owned(), condition);
        writeln!(f, "    {of} is answered {}", edits(&rule.edits))?;
    }
    if frontend.auth {
        writeln!(f, "    clients must be haflux's own users")?;
    }
    for rule in &frontend.access {
        access(f, rule)?;
    }
    if !frontend.accept_proxy.is_empty() {
        writeln!(
            f,
            "    connections from {} begin with a PROXY header",
            frontend.accept_proxy
        )?;
    }
    if !frontend.trust_forwarded.is_empty() {
        let header = match frontend.forwarded_header {
            ForwardedHeader::XForwardedFor => "X-Forwarded-For",
            ForwardedHeader::Forwarded => "Forwarded",
        };
        writeln!(
            f,
            "    {header} is believed from {}",
            frontend.trust_forwarded
        )?;
    }
    for rule in &frontend.rules {
        writeln!(
            f,
            "    {} goes to {}",
            condition(&rule.condition),
            target(config, rule.target)
        )?;
    }
    match (frontend.default_target, frontend.rules.is_empty()) {
        (Some(default), true) => {
            writeln!(f, "    every request goes to {}", target(config, default))?
        }
        (Some(default), false) => {
            writeln!(f, "    everything else goes to {}", target(config, default))?
        }
        (None, _) => writeln!(f, "    everything else is answered 503")?,
    }
    if frontend.forwarded_for {
        writeln!(f, "    adds X-Forwarded-For and X-Forwarded-Proto")?;
    }
    let one_source = match frontend.ipv6_source_prefix {
        128 => String::new(),
        prefix => format!(" (of IPv6: from one /{prefix})"),
    };
    writeln!(
        f,
        "    up to {} connections, {} from one address{}; request headers up to {}, bodies from {} bytes/s on; timeouts: client {}, request header {}, request body {}, keep-alive {}, tunnel {}",
        frontend.max_connections,
        frontend.max_connections_per_source,
        one_source,
        format_size(frontend.max_header_size as u64),
        frontend.min_body_rate,
        format_duration(frontend.client_timeout),
        format_duration(frontend.request_header_timeout),
        format_duration(frontend.request_body_timeout),
        format_duration(frontend.keep_alive_timeout),
        format_duration(frontend.tunnel_timeout)
    )
}

fn bandwidth(f: &mut Formatter<'_>, limits: &Bandwidth) -> fmt::Result {
    let each = [
        (limits.in_per_source, "of bodies from one address"),
        (limits.out_per_source, "of answers to one address"),
        (limits.in_per_request, "of one body"),
        (limits.out_per_request, "of one answer"),
    ];
    let each = each.into_iter().filter_map(|(rate, of)| {
        let rate = format_size(rate?);
        Some(format!("{rate} a second {of}"))
    });
    let each: Vec<String> = each.collect();
    writeln!(f, "    up to {}", each.join(", "))
}

fn request_action(action: &RequestAction, tarpit: Duration) -> String {
    match action {
        RequestAction::Deny(status) => format!("is answered {}", status.as_u16()),
        RequestAction::Tarpit(status) => format!(
            "is answered {} after {}",
            status.as_u16(),
            format_duration(tarpit)
        ),
        RequestAction::Redirect(Redirect { to, status }) => {
            let to = match to {
                RedirectTo::Scheme(scheme) => format!("the same by {scheme}"),
                RedirectTo::Prefix(prefix) => format!("the same behind {prefix}"),
                RedirectTo::Location(place) => place.clone(),
            };
            format!("is sent to {to} by {}", status.as_u16())
        }
        RequestAction::Edit(list) => format!("goes on {}", edits(list)),
    }
}

/// Values may be passwords.
fn edits(edits: &[HeaderEdit]) -> String {
    let edits = edits.iter().map(|edit| match edit {
        HeaderEdit::Set(name, _) => format!("with {name} set"),
        HeaderEdit::Remove(name) => format!("without {name}"),
    });
    let edits: Vec<String> = edits.collect();
    edits.join(", ")
}

fn access(f: &mut Formatter<'_>, rule: &AccessRule) -> fmt::Result {
    let names = |names: &[Pattern]| match names.is_empty() {
        true => "no database".to_owned(),
        false => either(names),
    };
    let mut parts = Vec::new();
    parts.extend(
        rule.read
            .as_deref()
            .map(|read| format!("reads {}", names(read))),
    );
    parts.extend(
        rule.write
            .as_deref()
            .map(|write| format!("changes {}", names(write))),
    );
    let measurements = rule.measurements.as_ref();
    parts.extend(measurements.map(|allowed| match allowed.patterns() {
        [] => "touches no measurement".to_owned(),
        some => format!("touches only measurement {}", either(some)),
    }));
    parts.extend(rule.read_only.then(|| "changes nothing".to_owned()));
    parts.extend(rule.statements.map(|groups| format!("states {groups}")));
    parts.extend(
        rule.deny_statements
            .map(|groups| format!("never states {groups}")),
    );
    let parts = match parts.is_empty() {
        true => "may do everything".to_owned(),
        false => parts.join("; "),
    };
    match rule.users.is_empty() {
        true => writeln!(f, "    a client {parts}"),
        false => writeln!(f, "    user {} {parts}", either(&rule.users)),
    }
}

fn target(config: &Config, target: Target) -> String {
    match target {
        Target::Backend(id) => format!("backend {}", config.backend(id).name),
        Target::Relay(id) => format!("relay {}", config.relay(id).name),
    }
}

fn condition(condition: &Condition) -> String {
    let tables: Vec<String> = condition.any_of.iter().map(all_of).collect();
    let joined = tables.join(", or ");
    if condition.negated {
        format!("all but what has {joined}")
    } else {
        format!("what has {joined}")
    }
}

fn all_of(all: &AllOf) -> String {
    let tests: Vec<String> = all.0.iter().map(test).collect();
    tests.join(" and ")
}

fn test(test: &Test) -> String {
    match test {
        Test::Path(paths) => format!("the path {}", either(paths)),
        Test::PathBegins(paths) => format!("a path that begins with {}", either(paths)),
        Test::PathEnds(paths) => format!("a path that ends with {}", either(paths)),
        Test::PathRegex(expressions) => format!("a path that matches {}", either(expressions)),
        Test::Method(methods) => format!("the method {}", either(methods)),
        Test::Host(hosts) => format!("the host {}", either(hosts)),
        Test::Source(networks) => format!("a client in {}", either(networks)),
    }
}

fn either<T: Display>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(" or ")
}

fn udp(f: &mut Formatter<'_>, config: &Config, udp: &Udp) -> fmt::Result {
    let policy = match udp.retention_policy.as_str() {
        "" => "its default retention policy".to_owned(),
        name => format!("retention policy {name:?}"),
    };
    writeln!(
        f,
        "\nudp on {} to relay {}",
        udp.bind,
        config.relay(udp.relay).name
    )?;
    writeln!(
        f,
        "    lines go to database {:?}, {policy}; times in {}",
        udp.database,
        unit(udp.precision)
    )?;
    if let Some(login) = &udp.login {
        writeln!(
            f,
            "    they are written as user {:?}, with the password in {}",
            login.username,
            login.password_file.display()
        )?;
    }
    writeln!(
        f,
        "    the kernel is asked to hold {} until they are read",
        size(udp.read_buffer)
    )
}

fn unit(precision: Precision) -> &'static str {
    match precision {
        Precision::Nanoseconds => "nanoseconds",
        Precision::Microseconds => "microseconds",
        Precision::Milliseconds => "milliseconds",
        Precision::Seconds => "seconds",
        Precision::Minutes => "minutes",
        Precision::Hours => "hours",
    }
}

fn relay(f: &mut Formatter<'_>, config: &Config, relay: &Relay) -> fmt::Result {
    let pool = config.backend(relay.pool);
    let replicas: Vec<&str> = pool
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    let acknowledged = match relay.ack {
        Ack::Any => "one replica has applied it",
        Ack::Quorum => "more than half of the replicas have applied it",
        Ack::All => "all replicas have applied it",
        Ack::Journal => "it is durable in the journal",
    };
    let unavailable = match relay.on_unavailable {
        OnUnavailable::Accept => "acknowledged once it is durable",
        OnUnavailable::Reject => "answered 503",
    };
    let sync = match relay.sync {
        SyncPolicy::Always => "before anything is acknowledged".to_owned(),
        SyncPolicy::Interval(interval) => format!("every {}", format_duration(interval)),
        SyncPolicy::Never => "when the operating system likes".to_owned(),
    };
    writeln!(
        f,
        "\nrelay {} to every server of {}: {}",
        relay.name,
        pool.name,
        replicas.join(", ")
    )?;
    writeln!(f, "    a write is acknowledged when {acknowledged}")?;
    writeln!(
        f,
        "    while no replica can take it, a write is {unavailable}"
    )?;
    writeln!(f, "    the journal is synced {sync}")?;
    writeln!(
        f,
        "    bodies up to {}, unpacked up to {}; joined up to {}; held at once up to {}, {} of one address; one waits up to {} for room",
        size(relay.max_body),
        size(relay.max_unpacked_body),
        size(relay.max_batch),
        size(relay.max_inflight),
        size(relay.max_inflight_share),
        format_duration(relay.body_wait)
    )?;
    writeln!(f, "    a line has up to {} tags", relay.max_tags)?;
    writeln!(
        f,
        "    up to {} of a long answer to a statement wait for its client; long refusals for clients take up to {}",
        size(relay.max_statement_answer_buffer),
        size(relay.max_refusal_texts)
    )?;
    writeln!(
        f,
        "    what one replica lacks the schema or rights for is tried there for {}; up to {} refused records wait for all replicas",
        format_duration(relay.hold_for),
        relay.max_pending_refusals
    )?;
    writeln!(
        f,
        "    up to {} dead letters are kept, up to {}",
        relay.max_dead_letters,
        size(relay.max_dead_letter_bytes)
    )?;
    writeln!(
        f,
        "    a replica has {} to answer; tried again after {} to {}",
        format_duration(relay.timeout),
        format_duration(relay.retry_min),
        format_duration(relay.retry_max)
    )
}

fn size(bytes: usize) -> String {
    format_size(bytes as u64)
}

fn backend(f: &mut Formatter<'_>, config: &Config, backend: &Backend) -> fmt::Result {
    let balance = match backend.balance {
        Balance::RoundRobin => "roundrobin",
        Balance::LeastConnections => "leastconn",
        Balance::Random => "random",
        Balance::Source => "source",
    };
    writeln!(f, "\nbackend {}, {balance}", backend.name)?;
    if let Some(relay) = backend.replicated_by {
        writeln!(
            f,
            "    every change goes through relay {}",
            config.relay(relay).name
        )?;
    }
    if let Some(version) = backend.send_proxy {
        let version = match version {
            Version::One => 1,
            Version::Two => 2,
        };
        writeln!(
            f,
            "    tells its servers the client by the PROXY protocol, version {version}"
        )?;
    }
    for NodeLogin { users, login } in &backend.logins {
        let whom = match users.is_empty() {
            true => "every user".to_owned(),
            false => format!("user {}", either(users)),
        };
        writeln!(f, "    {whom} is {:?} on its servers", login.username)?;
    }
    check(f, &backend.check)?;
    for each in &backend.servers {
        server(f, each, !matches!(backend.check.probe, Probe::None))?;
    }
    writeln!(
        f,
        "    up to {} further tries; at most {} idle connections to a server; timeouts: connect {}, server {}, keep-alive {}",
        backend.retries,
        backend.pool_max_connections,
        format_duration(backend.connect_timeout),
        format_duration(backend.server_timeout),
        format_duration(backend.server_keep_alive)
    )
}

fn check(f: &mut Formatter<'_>, check: &Check) -> fmt::Result {
    match &check.probe {
        Probe::None => return writeln!(f, "    not checked: its servers count as up"),
        Probe::Tcp => write!(f, "    checked by connecting")?,
        Probe::Http { path, expect, host } => {
            let statuses: Vec<String> = expect
                .iter()
                .map(|(first, last)| status_range(*first, *last))
                .collect();
            write!(
                f,
                "    checked by GET {}, expecting {}",
                without_query(path),
                statuses.join(" or ")
            )?;
            if let Some(host) = host {
                write!(f, ", as host {host}")?;
            }
        }
    }
    if let Some(port) = check.port {
        write!(f, ", at port {port}")?;
    }
    writeln!(
        f,
        ", every {}, within {}; up after {}, down after {}",
        format_duration(check.interval),
        format_duration(check.timeout),
        check.rise,
        check.fall
    )
}

fn status_range(first: u16, last: u16) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// A query may hold a password.
fn without_query(path: &str) -> String {
    match path.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => path.to_owned(),
    }
}

fn server(f: &mut Formatter<'_>, server: &PoolServer, checked: bool) -> fmt::Result {
    write!(f, "    server {} at {}", server.name, server.address)?;
    if let Some(tls) = &server.tls {
        write!(f, ", by TLS as {}", tls.name.to_str())?;
        if !tls.verify {
            write!(f, ", not verified")?;
        }
        if let Some(shown) = &tls.certificate {
            let file = shown.certificate.display();
            write!(f, ", shown the certificate in {file}")?;
        }
    }
    if server.weight != 1 {
        write!(f, ", weight {}", server.weight)?;
    }
    if server.backup {
        write!(f, ", backup")?;
    }
    if checked && !server.check {
        write!(f, ", not checked")?;
    }
    for OwnLogin { instead_of, login } in &server.logins {
        write!(f, ", where {instead_of:?} is {:?}", login.username)?;
    }
    writeln!(f)
}
