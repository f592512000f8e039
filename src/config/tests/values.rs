//! Values that are right, and what becomes of them.

use crate::influx::influxql::Limits;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{toml, with, yaml};
use crate::config::model::{
    Ack, Balance, Config, Healing, Judging, LogFormat, LogLines, LogTo, Login, OnStale,
    OnUnavailable, Probe, Reads, ServerAddress, SyncPolicy, SyslogForm, Test,
};
use crate::config::units::{UnitError, format_duration, format_size, parse_duration, parse_size};
use crate::influx::Precision;

#[test]
fn lines_of_the_log_go_where_the_tables_say() {
    let targets = |tables: &str| toml(&format!("{tables}{}", with("", "", "", "")));
    let none = targets("").unwrap().config.server.log.targets;
    assert!(matches!(&none[..], [target] if target.to == LogTo::Stderr));
    let tables = r#"
[[log]]
to = "/var/log/x"
lines = "access"
format = "json"
queue = "65KiB"
[[log]]
to = "syslog:/dev/log"
facility = "daemon"
syslog = "rfc5424"
[[log]]
to = "syslog:127.0.0.1:514"
"#;
    let targets = |tables: &str| targets(tables).map(|loaded| loaded.config.server.log.targets);
    let set = targets(tables).unwrap();
    let to: Vec<&LogTo> = set.iter().map(|target| &target.to).collect();
    let unix = LogTo::Unix {
        path: "/dev/log".into(),
        facility: 3,
        form: SyslogForm::Rfc5424,
    };
    let udp = LogTo::Udp {
        address: "127.0.0.1:514".parse().unwrap(),
        facility: 16,
        form: SyslogForm::Rfc5424,
    };
    assert_eq!(to, [&LogTo::File("/var/log/x".into()), &unix, &udp]);
    assert_eq!(
        (set[0].lines, set[0].format, set[0].queue),
        (LogLines::Access, LogFormat::Json, 65 << 10)
    );
    assert_eq!(
        (set[2].lines, set[2].format, set[2].queue),
        (LogLines::All, LogFormat::Text, 1 << 20)
    );
    for (wrong, said) in [
        ("[[log]]", "\"to\" is missing"),
        (
            "[[log]]\nto = \"log.txt\"",
            "expected \"stderr\", an absolute path",
        ),
        (
            "[[log]]\nto = \"syslog:here:514\"",
            "expected \"stderr\", an absolute path",
        ),
        (
            "[[log]]\nto = \"syslog:127.0.0.1\"",
            "expected \"stderr\", an absolute path",
        ),
        (
            "[[log]]\nto = \"stderr\"\nfacility = \"local0\"",
            "to begin with \"syslog:\"",
        ),
        (
            "[[log]]\nto = \"stderr\"\nqueue = 1",
            "expected a size from \"64KiB\"",
        ),
        (
            "[[log]]\nto = \"syslog:/x\"\nfacility = \"local8\"",
            "did you mean \"local",
        ),
        (
            "[server]\nlog_levels = { raley = \"debug\" }",
            "did you mean \"relay\"?",
        ),
        (
            "[server]\nlog_levels = { relay = \"loud\" }",
            "log_levels.relay: expected \"off\"",
        ),
    ] {
        let errors = targets(&format!("{wrong}\n")).unwrap_err().to_string();
        assert!(errors.contains(said), "{wrong}: {errors}");
    }
    let many = "[[log]]\nto = \"stderr\"\n".repeat(17);
    assert!(
        targets(&many)
            .unwrap_err()
            .to_string()
            .contains("at most 16 tables")
    );
}

fn config(frontend: &str, relay: &str, backend: &str, server: &str) -> Config {
    toml(&with(frontend, relay, backend, server))
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config
}

#[test]
fn everything_that_can_be_set_is_set() {
    let text = with(
        r#"stats_uri = "/stats"
metrics_uri = "/own-metrics"
forwarded_for = true
maxconn = 7
maxconn_per_source = 3
ipv6_source_prefix = 64
max_header_size = "2KiB"
min_body_rate = 9
timeout = { client = "1s", http_request = "2s", http_body = "5s", http_keep_alive = "3s", tunnel = "4s" }"#,
        r#"ack = "quorum"
on_unavailable = "reject"
timeout = "20s"
sync = "250ms"
max_body = "2MB"
max_unpacked_body = "3MB"
max_batch = 4096
max_inflight = "5MiB"
max_inflight_share = "3MiB"
body_wait = "30s"
max_tags = 31
max_statement_answer_buffer = "65KiB"
max_refusal_texts = "66KiB"
hold_for = "7s"
max_pending_refusals = 2100
max_dead_letters = 21
judging = { at_once = 24, max_waiting = 25, refused_for = "26ms", max_known = 27 }
max_statements = 28
max_statements_per_source = 29
max_attempts = 30
heal = { username = "a", password_file = "/etc/haflux/heal", parallel = 32, max_rate = "33MB", max_load = 9, max_points = 35_000, rpc_port = 8088, gate = "34ms" }
compare = "24h"
rerun_continuous_queries = "36h"
statement_timeout = "23s"
max_dead_letter_bytes = "22MB"
retry = { min = "6ms", max = "7ms" }"#,
        r#"balance = "leastconn"
check = { http = "/health?a=b", expect = [204, "200-299"], host = "a.example:80", port = 12, interval = "8s", timeout = "9s", rise = 10, fall = 11 }
retries = 0
reads = "any"
read_wait = "16s"
on_stale = "reject"
pool_max_conn = 15
timeout = { connect = "12s", server = "13s", keep_alive = "14s" }"#,
        "weight = 15\nbackup = true\ncheck = false",
    );
    let server = "[server]\ndata_dir = \"/data\"\nthreads = 3\nlog_level = \"debug\"\naccess_log = false\nstop_timeout = \"1m\"\nmetrics_bind = \"127.0.0.1:9\"\nmetrics_maxconn = 30\nmax_query_body = \"1MiB\"\nmax_query_inflight = \"2MiB\"\nmax_query_share = \"1MiB\"\nbody_wait = \"24s\"\nmax_query_parameters = 25\nmax_query_length = \"26KiB\"\nmax_query_statements = 27\nmax_query_terms = 28\nmax_query_depth = 29\nmax_query_fingerprints = 30\nlog_levels = { relay = \"debug\" }\nlog_repeats = 31\nlog_repeat_time = \"32s\"\nlog_repeat_messages = 33\nstats_socket = { path = \"/run/s.sock\", mode = \"660\", group = \"adm\", level = \"admin\", maxconn = 30, timeout = \"31s\" }\n";
    let config = toml(&format!("{server}{text}")).unwrap().config;

    let seconds = Duration::from_secs;
    assert_eq!(config.server.data_dir.to_str(), Some("/data"));
    assert_eq!(
        (config.server.threads, config.server.log_level),
        (3, log::LevelFilter::Debug)
    );
    assert_eq!(
        (config.server.access_log, config.server.stop_timeout),
        (false, seconds(60))
    );
    let socket = config.server.stats_socket.unwrap();
    assert_eq!(
        (socket.path.to_str(), socket.mode, socket.group.as_deref()),
        (Some("/run/s.sock"), 0o660, Some("adm"))
    );
    assert_eq!(
        (socket.level, socket.connections, socket.timeout),
        (crate::config::model::Level::Admin, 30, seconds(31))
    );
    let limits = (
        config.server.max_query_body,
        config.server.max_query_inflight,
    );
    assert_eq!(limits, (1 << 20, 2 << 20));
    assert_eq!(config.server.max_query_share, 1 << 20);
    assert_eq!(config.server.body_wait, seconds(24));
    let limits = Limits {
        parameters: 25,
        length: 26 << 10,
        statements: 27,
        terms: 28,
        depth: 29,
    };
    assert_eq!(config.server.query_limits, limits);
    assert_eq!(config.server.max_query_fingerprints, Some(30));
    let log = &config.server.log;
    assert_eq!((log.repeats, log.repeat_messages), (31, 33));
    assert_eq!(log.repeat_time, seconds(32));
    let relay = ("relay".to_owned(), log::LevelFilter::Debug);
    assert_eq!(log.levels, [relay]);
    let frontend = &config.frontends[0];
    assert_eq!(
        (frontend.stats_uri.as_deref(), frontend.forwarded_for),
        (Some("/stats"), true)
    );
    assert_eq!(frontend.metrics_uri.as_deref(), Some("/own-metrics"));
    let metrics = &config.frontends[1];
    assert_eq!(metrics.metrics_uri.as_deref(), Some("/metrics"));
    assert_eq!(metrics.bind, ["127.0.0.1:9".parse().unwrap()]);
    assert_eq!(
        (metrics.max_connections, metrics.default_target),
        (30, None)
    );
    assert_eq!(
        (
            frontend.max_connections,
            frontend.max_connections_per_source
        ),
        (7, 3)
    );
    assert_eq!(frontend.ipv6_source_prefix, 64);
    assert_eq!(
        (frontend.max_header_size, frontend.min_body_rate),
        (2048, 9)
    );
    assert_eq!(frontend.request_body_timeout, seconds(5));
    assert_eq!(
        (frontend.client_timeout, frontend.request_header_timeout),
        (seconds(1), seconds(2))
    );
    assert_eq!(
        (frontend.keep_alive_timeout, frontend.tunnel_timeout),
        (seconds(3), seconds(4))
    );
    let relay = &config.relays[0];
    assert_eq!(
        (relay.ack, relay.on_unavailable),
        (Ack::Quorum, OnUnavailable::Reject)
    );
    assert_eq!(
        (relay.timeout, relay.sync),
        (
            seconds(20),
            SyncPolicy::Interval(Duration::from_millis(250))
        )
    );
    assert_eq!(
        (relay.max_body, relay.max_unpacked_body),
        (2_000_000, 3_000_000)
    );
    assert_eq!((relay.max_batch, relay.max_inflight), (4096, 5 << 20));
    let answers = (relay.max_statement_answer_buffer, relay.max_refusal_texts);
    assert_eq!(answers, (65 << 10, 66 << 10));
    assert_eq!(
        (relay.max_inflight_share, relay.body_wait, relay.max_tags),
        (3 << 20, seconds(30), 31)
    );
    assert_eq!(
        (relay.hold_for, relay.max_pending_refusals),
        (seconds(7), 2100)
    );
    assert_eq!(
        (relay.max_dead_letters, relay.max_dead_letter_bytes),
        (21, 22_000_000)
    );
    assert_eq!(
        (relay.retry_min, relay.retry_max),
        (Duration::from_millis(6), Duration::from_millis(7))
    );
    assert_eq!(relay.statement_timeout, seconds(23));
    let judging = Judging {
        at_once: 24,
        max_waiting: 25,
        refused_for: Duration::from_millis(26),
        max_known: 27,
    };
    assert_eq!((relay.judging, relay.max_attempts), (judging, 30));
    let heal = Healing {
        login: Some(Login {
            username: "a".to_owned(),
            password_file: PathBuf::from("/etc/haflux/heal"),
        }),
        parallel: 32,
        max_rate: Some(33_000_000),
        max_load: Some(9),
        max_points: 35_000,
        rpc_port: Some(8088),
        gate: Duration::from_millis(34),
    };
    assert_eq!(
        (&relay.heal, relay.compare),
        (&heal, Some(seconds(24 * 60 * 60)))
    );
    assert_eq!(relay.rerun_continuous_queries, Some(seconds(36 * 60 * 60)));
    assert_eq!(
        (relay.max_statements, relay.max_statements_per_source),
        (28, 29)
    );
    let backend = &config.backends[0];
    assert_eq!(
        (backend.reads, backend.read_wait, backend.on_stale),
        (Reads::Any, seconds(16), OnStale::Reject)
    );
    assert_eq!(
        (backend.balance, backend.retries),
        (Balance::LeastConnections, 0)
    );
    let Probe::Http { path, expect, host } = &backend.check.probe else {
        panic!("an HTTP check")
    };
    assert_eq!(
        (path.as_str(), host.as_deref()),
        ("/health?a=b", Some("a.example:80"))
    );
    assert_eq!(expect, &[(204, 204), (200, 299)]);
    assert_eq!(
        (backend.check.interval, backend.check.timeout),
        (seconds(8), seconds(9))
    );
    assert_eq!((backend.check.rise, backend.check.fall), (10, 11));
    assert_eq!(backend.check.port, Some(12));
    assert_eq!(
        (backend.connect_timeout, backend.server_timeout),
        (seconds(12), seconds(13))
    );
    assert_eq!(backend.server_keep_alive, seconds(14));
    assert_eq!(backend.pool_max_connections, 15);
    let server = &backend.servers[0];
    assert_eq!(
        (server.weight, server.backup, server.check),
        (15, true, false)
    );
}

#[test]
fn udp_listeners_are_as_written_or_as_documented() {
    let listeners = r#"
[[udp]]
relay = "relay"
db = "${POOL}"
[[udp]]
bind = "[::1]:9999"
relay = "relay"
db = "telegraf"
rp = "a week"
precision = "ms"
read_buffer = "1MiB"
[[udp]]
bind = "127.0.0.1:9999"
relay = "relay"
db = "x"
rp = ""
username = "lines"
password_file = "/etc/haflux/lines"
"#;
    // A port of UDP is not in the way of the frontend's.
    let frontend = with("", "", "", "").replace("127.0.0.1:80", "0.0.0.0:8089");
    let loaded = toml(&(frontend + listeners)).unwrap_or_else(|errors| panic!("{errors}"));
    let [plain, full, third] = loaded.config.udp.as_slice() else {
        panic!("three listeners")
    };
    assert_eq!(plain.bind.to_string(), "0.0.0.0:8089");
    assert_eq!(loaded.config.relay(plain.relay).name, "relay");
    assert_eq!(
        (plain.database.as_str(), plain.retention_policy.as_str()),
        ("pool", "")
    );
    assert_eq!(
        (plain.precision, plain.read_buffer),
        (Precision::Nanoseconds, 8 << 20)
    );
    assert_eq!(full.bind.to_string(), "[::1]:9999");
    assert_eq!(
        (full.database.as_str(), full.retention_policy.as_str()),
        ("telegraf", "a week")
    );
    assert_eq!(
        (full.precision, full.read_buffer),
        (Precision::Milliseconds, 1 << 20)
    );
    assert_eq!(third.retention_policy, "");
    let login = third.login.as_ref().unwrap();
    assert_eq!(login.username, "lines");
    assert_eq!(
        login.password_file,
        std::path::Path::new("/etc/haflux/lines")
    );
    assert_eq!((&plain.login, &full.login), (&None, &None));
    for (keys, said) in [
        ("username = \"a\"", "needs password_file beside it"),
        ("password_file = \"/a\"", "needs username beside it"),
        (
            "username = \"a:b\"\npassword_file = \"/a\"",
            "without \":\"",
        ),
        (
            "username = \"a\"\npassword_file = \"a\"",
            "an absolute path",
        ),
    ] {
        let listener = format!("[[udp]]\nrelay = \"relay\"\ndb = \"a\"\n{keys}\n");
        let errors = toml(&(with("", "", "", "") + &listener)).unwrap_err();
        assert!(errors.to_string().contains(said), "{keys}: {errors}");
    }
    for (name, precision) in [
        ("ns", Precision::Nanoseconds),
        ("u", Precision::Microseconds),
        ("ms", Precision::Milliseconds),
        ("s", Precision::Seconds),
        ("m", Precision::Minutes),
        ("h", Precision::Hours),
    ] {
        let listener = format!("[[udp]]\nrelay = \"relay\"\ndb = \"a\"\nprecision = \"{name}\"\n");
        let config = toml(&(with("", "", "", "") + &listener)).unwrap().config;
        assert_eq!(config.udp[0].precision, precision, "{name}");
    }
}

#[test]
fn a_relay_is_used_if_its_pool_is_or_udp_leads_to_it() {
    let text = with("", "", "", "");
    assert!(toml(&text).unwrap().warnings.is_empty());
    let other = "[[backend]]\nname = \"pages\"\nservers = [{ name = \"a\", address = \"10.0.0.1:3000\" }]\n";
    let text = text.replace("default_backend = \"pool\"", "default_backend = \"pages\"") + other;
    assert_eq!(toml(&text).unwrap().warnings.len(), 1);
    let listener = "[[udp]]\nrelay = \"relay\"\ndb = \"a\"\n";
    assert!(toml(&(text + listener)).unwrap().warnings.is_empty());
}

#[test]
fn defaults_are_as_documented() {
    let config = config("", "", "", "");
    let seconds = Duration::from_secs;
    assert_eq!(config.server.data_dir.to_str(), Some("/var/lib/haflux"));
    assert!(config.server.threads >= 1 && config.server.access_log);
    assert_eq!(
        (config.server.log_level, config.server.stop_timeout),
        (log::LevelFilter::Info, seconds(30))
    );
    let limits = (
        config.server.max_query_body,
        config.server.max_query_inflight,
    );
    assert_eq!(limits, (16 << 20, 16 << 20));
    assert_eq!(config.server.max_query_share, 8 << 20);
    assert_eq!(config.server.body_wait, seconds(5));
    assert_eq!(config.server.query_limits, Limits::default());
    assert_eq!(config.query_fingerprints(), 0);
    let frontend = &config.frontends[0];
    assert_eq!(
        (frontend.max_connections, frontend.forwarded_for),
        (2000, false)
    );
    assert_eq!(
        (
            frontend.max_connections_per_source,
            frontend.ipv6_source_prefix,
            frontend.max_header_size
        ),
        (500, 128, 64 << 10)
    );
    assert_eq!(
        (frontend.min_body_rate, frontend.request_body_timeout),
        (500, seconds(30))
    );
    assert_eq!(
        (frontend.client_timeout, frontend.request_header_timeout),
        (seconds(50), seconds(10))
    );
    assert_eq!(
        (frontend.keep_alive_timeout, frontend.tunnel_timeout),
        (seconds(60), seconds(3600))
    );
    assert_eq!(
        (frontend.tarpit_timeout, frontend.max_tarpitted),
        (seconds(5), 500)
    );
    let relay = &config.relays[0];
    assert_eq!(
        (relay.ack, relay.on_unavailable),
        (Ack::Any, OnUnavailable::Accept)
    );
    assert_eq!(
        (relay.timeout, relay.sync),
        (seconds(15), SyncPolicy::Always)
    );
    assert_eq!(
        (relay.max_body, relay.max_unpacked_body),
        (25_000_000, 32 << 20)
    );
    assert_eq!((relay.max_batch, relay.max_inflight), (1 << 20, 32 << 20));
    let judging = Judging {
        at_once: 4,
        max_waiting: 256,
        refused_for: seconds(1),
        max_known: 4096,
    };
    assert_eq!((relay.judging, relay.max_attempts), (judging, 3));
    assert_eq!((&relay.heal, relay.compare), (&Healing::default(), None));
    assert_eq!(relay.rerun_continuous_queries, None);
    assert_eq!(relay.heal.parallel, 2);
    assert_eq!(
        (relay.max_statements, relay.max_statements_per_source),
        (64, 16)
    );
    assert_eq!(
        (relay.max_inflight_share, relay.body_wait, relay.max_tags),
        (16 << 20, seconds(5), 1000)
    );
    let answers = (relay.max_statement_answer_buffer, relay.max_refusal_texts);
    assert_eq!(answers, (1 << 20, 4 << 20));
    assert_eq!(
        (relay.hold_for, relay.max_pending_refusals),
        (seconds(300), 500_000)
    );
    assert_eq!(
        (relay.max_dead_letters, relay.max_dead_letter_bytes),
        (10_000, 256 << 20)
    );
    assert_eq!(
        (relay.retry_min, relay.retry_max),
        (Duration::from_millis(100), seconds(10))
    );
    let backend = &config.backends[0];
    assert_eq!((backend.balance, backend.retries), (Balance::RoundRobin, 3));
    assert!(matches!(backend.check.probe, Probe::Tcp));
    assert_eq!(
        (backend.check.interval, backend.check.timeout),
        (seconds(2), seconds(2))
    );
    assert_eq!((backend.check.rise, backend.check.fall), (2, 3));
    assert_eq!(
        (backend.connect_timeout, backend.server_timeout),
        (seconds(5), seconds(50))
    );
    assert_eq!(backend.server_keep_alive, seconds(60));
    assert_eq!(backend.pool_max_connections, 1024);
    let server = &backend.servers[0];
    assert_eq!(
        (server.weight, server.backup, server.check),
        (1, false, true)
    );
}

#[test]
fn limits_that_are_not_set_follow_those_that_are() {
    let larger = &config("", "max_body = \"100MB\"", "", "").relays[0];
    assert_eq!(
        (larger.max_unpacked_body, larger.max_inflight),
        (100_000_000, 100_000_000)
    );
    let smaller = &config("", "max_body = \"100kB\"", "", "").relays[0];
    assert_eq!(
        (smaller.max_batch, smaller.max_unpacked_body),
        (100_000, 32 << 20)
    );
}

#[test]
fn checks_in_their_forms() {
    let probe = |check: &str| {
        config("", "", &format!("check = {check}"), "").backends[0]
            .check
            .probe
            .clone()
    };
    assert!(matches!(probe("false"), Probe::None));
    assert!(matches!(probe("true"), Probe::Tcp));
    assert!(matches!(probe("{ tcp = true }"), Probe::Tcp));
    assert!(matches!(probe("{ interval = \"5s\" }"), Probe::Tcp));
    let Probe::Http { expect, host, .. } = probe("{ http = \"/ping\" }") else {
        panic!("an HTTP check")
    };
    // A node with `ping-auth-enabled` lives.
    assert_eq!((expect, host), (vec![(200, 399), (401, 401)], None));
    let Probe::Http { expect, .. } = probe("{ http = \"/health\" }") else {
        panic!("an HTTP check")
    };
    assert_eq!(expect, [(200, 399)]);
    let Probe::Http { expect, .. } = probe("{ http = \"/ping\", expect = 204 }") else {
        panic!("an HTTP check")
    };
    assert_eq!(expect, [(204, 204)]);
}

#[test]
fn conditions_in_their_forms() {
    let text = r#"use_backend = [
  { backend = "relay", unless = [{ path = "/a", method = ["GET", "POST"] }, { host = "Influx.Example.ORG" }] },
  { backend = "pool", if = { path_reg = "^/a{2}$", path_end = ".png", src = ["10.1.2.3/8", "::1"] } },
]"#;
    let rules = &config(text, "", "", "").frontends[0].rules;
    assert!(rules[0].condition.negated && !rules[1].condition.negated);
    assert_eq!(rules[0].condition.any_of.len(), 2);
    assert!(
        matches!(&rules[0].condition.any_of[0].0[..], [Test::Path(_), Test::Method(methods)] if methods.len() == 2)
    );
    assert!(
        matches!(&rules[0].condition.any_of[1].0[..], [Test::Host(hosts)] if hosts == &["influx.example.org"])
    );
    let [
        Test::PathEnds(_),
        Test::PathRegex(expressions),
        Test::Source(networks),
    ] = &rules[1].condition.any_of[0].0[..]
    else {
        panic!("three tests")
    };
    assert!(expressions[0].is_match("/aa"));
    assert_eq!(
        networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "::1/128"]
    );
}

#[test]
fn addresses_in_their_forms() {
    let text = with("", "", "", "").replace(
        "\"127.0.0.1:80\"",
        "[\"*:80\", \":81\", \"[::1]:80\", \"127.0.0.1:82\"]",
    );
    let binds = toml(&text).unwrap().config.frontends[0].bind.clone();
    let expected: Vec<SocketAddr> = ["0.0.0.0:80", "0.0.0.0:81", "[::1]:80", "127.0.0.1:82"]
        .map(|address| address.parse().unwrap())
        .to_vec();
    assert_eq!(binds, expected);

    let server = |address: &str| {
        let text = with("", "", "", "").replace("10.0.0.1:8086", address);
        toml(&text).unwrap().config.backends[0].servers[0]
            .address
            .clone()
    };
    assert_eq!(
        server("[::1]:8086"),
        ServerAddress::Ip("[::1]:8086".parse().unwrap())
    );
    let named = |host: &str| ServerAddress::Dns {
        host: host.to_owned(),
        port: 8086,
    };
    assert_eq!(
        server("Influx_1.example.org:8086"),
        named("influx_1.example.org")
    );
    assert_eq!(server("a:8086"), named("a"));
}

#[test]
fn the_environment_may_stand_anywhere() {
    let config = config(
        "maxconn = \"${PORT}\"\nforwarded_for = \"${YES}\"\nstats_uri = \"/$${SECRET}$\"",
        "max_body = \"${PORT}\"\nmax_batch = \"${PORT}\"",
        "check = { http = \"/${SECRET}/${NESTED}\", expect = \"204\" }",
        "weight = 2",
    );
    assert_eq!(
        (
            config.frontends[0].max_connections,
            config.frontends[0].forwarded_for
        ),
        (8086, true)
    );
    assert_eq!(
        config.frontends[0].stats_uri.as_deref(),
        Some("/${SECRET}$")
    );
    assert_eq!(config.relays[0].max_body, 8086);
    let text = with("", "", "", "").replace(
        "default_backend = \"pool\"",
        "default_backend = \"${POOL}\"",
    );
    assert!(toml(&text).is_ok());
    let empty = toml(&with("stats_uri = \"${EMPTY}\"", "", "", ""))
        .unwrap_err()
        .to_string();
    assert!(
        empty.contains("stats_uri: expected a path that begins with \"/\", found a text"),
        "{empty}"
    );
}

#[test]
fn what_a_variable_holds_is_not_looked_at_again() {
    let config = config(
        "use_backend = [{ backend = \"pool\", if = { path_end = \"${NESTED}\" } }]",
        "",
        "",
        "",
    );
    let Test::PathEnds(ends) = &config.frontends[0].rules[0].condition.any_of[0].0[0] else {
        panic!("path_end")
    };
    assert_eq!(ends, &["${SECRET}"]);
}

#[test]
fn yaml_scalars_and_aliases() {
    let text = r#"
defaults: &x 1
"#;
    assert!(yaml(text).is_err());
    let text = r#"
frontend:
  - name: &name front
    bind: [":80", '0.0.0.0:81']
    maxconn: 0x10
    default_backend: pool
    forwarded_for: true
  - name: !!str 2
    bind: 0.0.0.0:82
    default_backend: *pool
backend:
  - name: pool
    check: &check { tcp: true, rise: 5 }
    servers: &servers
      - { name: a, address: "10.0.0.1:8086" }
  - name: other
    check: *check
    servers: *servers
"#;
    assert!(
        yaml(text)
            .unwrap_err()
            .to_string()
            .contains("not valid YAML"),
        "an unknown alias"
    );
    let config = yaml(&text.replace("*pool", "other")).unwrap().config;
    assert_eq!(
        (
            config.frontends[0].max_connections,
            config.frontends[1].name.as_str()
        ),
        (16, "2")
    );
    assert_eq!(
        (
            config.backends[1].check.rise,
            config.backends[1].servers.len()
        ),
        (5, 1)
    );
}

#[test]
fn a_yaml_table_takes_from_others_what_it_does_not_say() {
    let text = r#"
frontend: [{ name: front, bind: 0.0.0.0:80, default_backend: one }]
backend:
  - &one
    name: one
    check: &check { tcp: true, rise: 5, fall: 6 }
    servers: [{ name: a, address: "10.0.0.1:8086" }]
  - <<: *one
    name: two
  - name: three
    <<: [{ check: { <<: *check, rise: 7 } }, *one]
"#;
    let config = yaml(text).unwrap().config;
    let pools = config.backends.iter();
    let told: Vec<_> = pools
        .map(|pool| {
            (
                pool.name.as_str(),
                pool.check.rise,
                pool.check.fall,
                pool.servers.len(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("one", 5, 6, 1), ("two", 5, 6, 1), ("three", 7, 6, 1)]
    );
    for wrong in ["{ <<: 1 }", "{ <<: [1] }", "{ <<: {}, <<: {} }"] {
        assert!(yaml(&format!("server: {wrong}")).is_err(), "{wrong}");
    }
    let aside = yaml("server: { <<: { nonsense: 1 } }").unwrap_err();
    assert!(aside.to_string().contains("nonsense"), "{aside}");
}

#[test]
fn durations_and_sizes() {
    let millis = |number| Ok(Duration::from_millis(number));
    assert_eq!(parse_duration("100ms"), millis(100));
    assert_eq!(parse_duration("2s"), millis(2000));
    assert_eq!(parse_duration("1m"), millis(60_000));
    assert_eq!(parse_duration("72h"), millis(72 * 3_600_000));
    assert_eq!(parse_duration("3d"), millis(3 * 86_400_000));
    for (text, error) in [
        ("", UnitError::Form),
        ("s", UnitError::Form),
        ("-1s", UnitError::Form),
        ("1.5s", UnitError::Form),
        ("1 s", UnitError::Form),
        ("1S", UnitError::Form),
        ("5", UnitError::NoUnit),
        ("99999999999999999999s", UnitError::TooLarge),
        ("9999999999999999999d", UnitError::TooLarge),
    ] {
        assert_eq!(parse_duration(text), Err(error), "{text}");
    }
    for (text, bytes) in [
        ("25MB", 25_000_000),
        ("1MiB", 1 << 20),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("2GB", 2_000_000_000),
        ("10GiB", 10 << 30),
        ("1TB", 1_000_000_000_000),
        ("1TiB", 1 << 40),
        ("7B", 7),
        ("512", 512),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in ["", "MB", "25M", "25mb", "25 MB", "-1", "1.5MB"] {
        assert_eq!(parse_size(text), Err(UnitError::Form), "{text}");
    }
    assert_eq!(parse_size("99999999TiB"), Err(UnitError::TooLarge));
    assert_eq!(format_duration(Duration::from_millis(90_000)), "90s");
    assert_eq!(format_duration(Duration::from_secs(3600)), "1h");
    assert_eq!(
        (format_size(25_000_000), format_size(1 << 20)),
        ("25MB".to_owned(), "1MiB".to_owned())
    );
}

#[test]
fn status_page_s_users_are_read_and_never_shown() {
    let keys = "stats_uri = \"/s\"\nstats_auth = [\"guest:one\", \"admin:${SECRET}\"]\nstats_admin = true\nstats_refresh = \"9s\"";
    let config = toml(&with(keys, "", "", "")).expect("sound").config;
    let frontend = &config.frontends[0];
    assert_eq!(frontend.stats_refresh, std::time::Duration::from_secs(9));
    assert!(frontend.stats_admin);
    let is_known = |header: &[u8]| {
        frontend
            .stats_auth
            .iter()
            .any(|user| user.is_meant_by(header))
    };
    assert!(is_known(b"Basic YWRtaW46czNjcmV0"), "admin:s3cret");
    assert!(is_known(b"Basic Z3Vlc3Q6b25l"), "guest:one");
    let shown = format!("{:?}", frontend.stats_auth);
    assert!(
        !shown.contains("one") && !shown.contains("s3cret"),
        "{shown}"
    );
    assert!(!format!("{config:?}").contains("s3cret"));

    for (keys, said) in [
        (
            "stats_auth = \"guest:one\"",
            "stats_auth: needs stats_uri beside it",
        ),
        (
            "stats_uri = \"/s\"\nstats_admin = true",
            "stats_admin: needs stats_auth beside it",
        ),
        (
            "stats_uri = \"/s\"\nstats_auth = \"hidden\"",
            "stats_auth: expected \"user:password\"",
        ),
        (
            "stats_uri = \"/s\"\nstats_auth = [\"a:b\", \"hidden:\"]",
            "stats_auth[1]: expected \"user:password\"",
        ),
    ] {
        let errors = toml(&with(keys, "", "", ""))
            .expect_err("an error")
            .to_string();
        assert!(errors.contains(said), "{errors}");
        assert!(!errors.contains("hidden"), "{errors}");
    }
}
