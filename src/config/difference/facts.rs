//! The keys of a configuration, each with its value and whether a reload takes it.

use super::section::{Fact, Section};
use super::tables::{self, line};
use super::words::{self, target_name, word};
use crate::config::Config;
use crate::config::decode::{
    ACKS, BALANCES, FORMATS, LEVELS, LINES, METRICS_NAME, ON_STALE, ON_UNAVAILABLE, PRECISIONS,
    PROXY_HEADERS, READS, UNBOUNDED, facility_name, form_name,
};
use crate::config::model::{
    Backend, Check, ForwardedHeader, Frontend, Healing, Judging, LogSettings, LogTarget, LogTo,
    Near, PoolServer, Probe, QueryGuards, Relay, RequestAction, Server, SourceRules, Udp,
    UserSettings,
};
use crate::influx::influxql;

/// Every key of `config`, in the order of the file.
pub(super) fn facts(config: &Config) -> Vec<Fact> {
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
    section.taken_word("log_level", word(&LEVELS, log_level));
    section.taken("access_log", access_log);
    section.list(
        "log_levels",
        levels
            .iter()
            .map(|(part, level)| format!("{part} = {}", word(&LEVELS, level))),
    );
    section.fixed("log_repeats", repeats);
    section.fixed("log_repeat_time", repeat_time);
    section.fixed("log_repeat_messages", repeat_messages);
    section.fixed_table("stats_socket", stats_socket.as_ref().map(tables::socket));
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
    let syslog = match to {
        LogTo::Stderr | LogTo::File(_) => None,
        LogTo::Unix { facility, form, .. } | LogTo::Udp { facility, form, .. } => {
            Some((facility_name(*facility), form_name(*form)))
        }
    };
    section.first("to", &to.to_string(), false);
    section.fixed_word("lines", word(&LINES, lines));
    section.fixed_word("format", word(&FORMATS, format));
    section.fixed("facility", syslog.map(|(facility, _)| facility));
    section.fixed("syslog", syslog.map(|(_, form)| form));
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
        ipv6_source_prefix,
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
    let default = default_target.map(|target| target_name(config, target));
    section.first("name", name, false);
    section.fixed("bind", bind);
    section.table("tls", tls.as_ref().map(tables::tls));
    section.table("http2", Some(tables::http2(http2)));
    section.without_query("stats_uri", stats_uri.as_deref());
    section.without_query("metrics_uri", metrics_uri.as_deref());
    section.taken("stats_refresh", stats_refresh);
    section.hidden("stats_auth", stats_auth);
    section.taken("stats_admin", stats_admin);
    section.list("allow", allow.iter().map(|one| format!("\"{one}\"")));
    section.list("deny", deny.iter().map(|one| format!("\"{one}\"")));
    section.list(
        "accept_proxy",
        accept_proxy.iter().map(|one| format!("\"{one}\"")),
    );
    section.list(
        "trust_forwarded",
        trust_forwarded.iter().map(|one| format!("\"{one}\"")),
    );
    section.taken(
        "forwarded_header",
        match forwarded_header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        },
    );
    section.taken("auth", auth);
    section.list(
        "rules",
        access.iter().map(|rule| line(&tables::access_rule(rule))),
    );
    section.table("rate_limit", rate_limit.as_ref().map(tables::rate_limit));
    section.table("bandwidth", bandwidth.as_ref().map(tables::bandwidth));
    section.taken("queries.max_running", max_running);
    section.taken("queries.max_running_per_user", max_running_per_user);
    section.taken("queries.max_time", max_time);
    section.taken_word("queries.unbounded", word(&UNBOUNDED, unbounded));
    section.taken("queries.slow", slow);
    section.with_values(
        "http_request",
        http_request.iter().map(|rule| {
            let edits = match &rule.action {
                RequestAction::Edit(edits) => edits.as_slice(),
                RequestAction::Deny(_) | RequestAction::Tarpit(_) | RequestAction::Redirect(_) => {
                    &[]
                }
            };
            (words::request_rule(rule), edits)
        }),
    );
    section.with_values(
        "http_response",
        http_response
            .iter()
            .map(|rule| (words::response_rule(rule), rule.edits.as_slice())),
    );
    section.list(
        "use_backend",
        rules.iter().map(|rule| words::rule(config, rule)),
    );
    section.taken("default_backend", default);
    section.taken("forwarded_for", forwarded_for);
    section.taken("maxconn", max_connections);
    section.taken("maxconn_per_source", max_connections_per_source);
    section.taken("ipv6_source_prefix", ipv6_source_prefix);
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
                max_load,
                max_points,
                rpc_port,
                gate,
            },
        compare,
        rerun_continuous_queries,
    } = relay;
    section.first("name", name, false);
    section.fixed("replicate_to", &config.backend(*pool).name);
    section.fixed_word("ack", word(&ACKS, ack));
    section.fixed_word("on_unavailable", word(&ON_UNAVAILABLE, on_unavailable));
    section.fixed("timeout", timeout);
    section.fixed("statement_timeout", statement_timeout);
    section.fixed_word("sync", words::sync(*sync));
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
    section.fixed("heal.max_load", max_load);
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
    section.taken_word("balance", word(&BALANCES, balance));
    section.list(
        "login",
        logins.iter().map(|login| line(&tables::node_login(login))),
    );
    section.taken_word(
        "send_proxy",
        send_proxy.map_or_else(
            || "none".to_owned(),
            |version| word(&PROXY_HEADERS, &version),
        ),
    );
    self::check(check, &mut section);
    section.taken("retries", retries);
    section.taken_word("reads", word(&READS, reads));
    section.taken("read_wait", read_wait);
    section.taken_word("on_stale", word(&ON_STALE, on_stale));
    section.taken("timeout.connect", connect_timeout);
    section.taken("timeout.server", server_timeout);
    section.taken("timeout.keep_alive", server_keep_alive);
    section.taken("pool_max_conn", pool_max_connections);
}

fn check(check: &Check, section: &mut Section<'_>) {
    let Check {
        probe,
        port,
        interval,
        timeout,
        rise,
        fall,
    } = check;
    let (path, expect, host) = match probe {
        Probe::None | Probe::Tcp => (None, None, None),
        Probe::Http { path, expect, host } => (Some(path.as_str()), Some(expect), host.as_deref()),
    };
    section.in_part("check", words::probe(probe), path);
    let expect = expect.map(|ranges| words::statuses(ranges));
    section.taken_word("check.expect", expect.unwrap_or_else(|| "none".to_owned()));
    section.taken("check.host", host);
    section.taken("check.port", port);
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
        logins,
    } = server;
    section.first("name", name, !is_replicated);
    section.taken("address", address.to_string());
    section.table("tls", tls.as_ref().map(tables::server_tls));
    section.taken("weight", weight);
    section.taken("backup", backup);
    section.taken("check", check);
    section.list(
        "login",
        logins.iter().map(|login| line(&tables::own_login(login))),
    );
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
    section.fixed_word("precision", word(&PRECISIONS, precision));
    section.fixed("read_buffer", read_buffer);
}
