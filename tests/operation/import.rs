//! `haflux import`: what it prints is a configuration, says what the files say, and drops no line.
//!
//! The files in `tests/operation/import/` are written for these tests, after the kinds of files that people publish.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::authority::Authority;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use haflux::config::model::{Level, RequestAction};
use haflux::config::{Config, Format};
use haflux::import::{DIRECTIVES, ImportError, Imported, Source, import};
use proptest::prelude::*;

const HAFLUX: &str = env!("CARGO_BIN_EXE_haflux");

/// The variables that `environment.cfg` names.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("INFLUX_PORT", "8086"),
    ("INFLUX_NAME", "influx.example.org"),
    ("INFLUX_HOST", "influx2"),
];

const FILES: [&str; 10] = [
    "single_node",
    "listen_sections",
    "tls_edge",
    "relay_pair",
    "many_acls",
    "environment",
    "conditional",
    "mixed_modes",
    "guarded",
    "old_style",
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/operation/import")
        .join(name)
}

fn haflux(arguments: &[&str]) -> Output {
    Command::new(HAFLUX)
        .args(arguments)
        .envs(ENVIRONMENT)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn imported(haproxy: &str, relays: &[&str]) -> Output {
    let haproxy = file(haproxy);
    let mut arguments = vec!["import", "--haproxy", haproxy.to_str().unwrap()];
    let relays: Vec<PathBuf> = relays.iter().map(|relay| file(relay)).collect();
    for relay in &relays {
        arguments.extend(["--relay", relay.to_str().unwrap()]);
    }
    haflux(&arguments)
}

fn parse(text: &str) -> Config {
    let environment = |name: &str| {
        let known = ENVIRONMENT.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| (*value).to_owned())
    };
    Config::parse(text, Format::Toml, "output", &environment)
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
        .config
}

fn import_text(haproxy: &str) -> Result<Imported, Vec<ImportError>> {
    let source = Source {
        name: "t.cfg".to_owned(),
        text: haproxy.to_owned(),
    };
    import(&[source], &[], &|_| Err("no file".to_owned()), &|_| None)
}

#[test]
fn what_lies_beside_a_certificate_is_stapled_as_haproxy_staples_it() {
    let haproxy = "frontend f\n mode http\n bind :443 ssl crt /etc/ssl/one.pem crt /etc/ssl/two.pem crt /etc/ssl/three.pem\n\
                   default_backend b\nbackend b\n mode http\n server s 10.0.0.1:8086\n";
    let source = Source {
        name: "t.cfg".to_owned(),
        text: haproxy.to_owned(),
    };
    let beside = |name: &str| match name {
        "/etc/ssl/one.pem.ocsp" | "/etc/ssl/three.pem.ocsp" => Ok("\u{fffd}".to_owned()),
        _ => Err("no file".to_owned()),
    };
    let imported = import(&[source], &[], &beside, &|_| None).expect("a configuration");
    let wanted = "certificate = \"/etc/ssl/one.pem\", ocsp = \"/etc/ssl/one.pem.ocsp\", \
                  certificates = [\"/etc/ssl/two.pem\", { certificate = \"/etc/ssl/three.pem\", ocsp = \"/etc/ssl/three.pem.ocsp\" }]";
    assert!(imported.text.contains(wanted), "{}", imported.text);
}

#[test]
fn the_labs_files_give_the_labs_configuration() {
    let output = imported("haproxy.cfg", &["relay.toml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let lab = std::fs::read_to_string(file("haflux.toml")).unwrap();
    let (given, wanted) = (parse(&text(&output.stdout)), parse(&lab));
    assert_eq!(format!("{given:#?}"), format!("{wanted:#?}"));
}

#[test]
fn without_its_file_a_relay_is_asked_for() {
    let output = imported("haproxy.cfg", &[]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output.stderr);
    assert!(
        said.contains("backend influx_relay gets /write and is no relay"),
        "{said}"
    );
    assert!(said.contains("--relay"), "{said}");
}

#[test]
fn a_relay_with_clients_of_its_own_gets_a_frontend() {
    let output = imported("single_node.cfg", &["relay.toml"]);
    let printed = text(&output.stdout);
    let config = parse(&printed);
    assert_eq!(config.relays.len(), 1, "{printed}");
    let front = config.frontends.last().unwrap();
    assert_eq!(front.name, "relay-http");
    assert_eq!(front.bind, ["0.0.0.0:9096".parse().unwrap()]);
    let pool = config.backend(config.relays[0].pool);
    let servers: Vec<String> = pool.servers.iter().map(|s| s.address.to_string()).collect();
    assert_eq!(servers, ["10.0.2.2:8086", "10.0.2.3:8086"]);
}

#[test]
fn check_takes_what_ten_varied_files_give() {
    let folder = tempfile::tempdir().unwrap();
    // `check` reads certificates.
    let authority = Authority::new(&folder.path().join("authority"));
    let certificate = authority.sign("influx.pem", "influx.example.net", 90);
    for name in FILES {
        let relays: &[&str] = if name == "relay_pair" {
            &["relay_pair.toml"]
        } else {
            &[]
        };
        let output = imported(&format!("{name}.cfg"), relays);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {said}");
        let mut printed = text(&output.stdout);
        for file in [
            "/etc/ssl/edge/influx.pem",
            "/etc/ssl/own.pem",
            "/etc/ssl/ca.pem",
        ] {
            printed = printed.replace(file, &certificate);
        }
        let journal = folder.path().join("journal").display().to_string();
        let server = format!("[server]\ndata_dir = \"{journal}\"\n");
        if printed.contains("[server]\n") {
            printed = printed.replace("[server]\n", &server);
        } else {
            printed = format!("{server}{printed}");
        }
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, &printed).unwrap();
        let checked = haflux(&["check", "--config", path.to_str().unwrap()]);
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{name}: {}\n{printed}",
            text(&checked.stderr)
        );
        for secret in ["wonderland", "notARealHash", "c2VjcmV0", "f00dfeed"] {
            assert!(
                !printed.contains(secret) && !said.contains(secret),
                "{name}: {secret}"
            );
        }
        // The path of a check, and a user of the page: each stands where haflux reads it, and nowhere else.
        for (secret, key) in [("hunter2", "http ="), ("correct-horse", "stats_auth =")] {
            let lines: Vec<&str> = printed
                .lines()
                .filter(|line| line.contains(secret))
                .collect();
            assert!(lines.len() <= 1, "{printed}");
            let stands_at = lines.iter().all(|line| line.contains(key));
            assert!(stands_at, "{printed}");
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// The rules of a frontend, as `check` says them.
fn rules(name: &str, relays: &[&str]) -> Vec<String> {
    let output = imported(name, relays);
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal").display().to_string();
    let path = folder.path().join("out.toml");
    let printed = format!(
        "[server]\ndata_dir = \"{journal}\"\n{}",
        text(&output.stdout)
    );
    std::fs::write(&path, printed).unwrap();
    let checked = text(&haflux(&["check", "--config", path.to_str().unwrap()]).stdout);
    let lines = checked.lines().map(str::trim);
    let rules = lines.filter(|line| line.contains(" goes to ") || line.contains(" go to "));
    rules.map(str::to_owned).collect()
}

#[test]
fn conditions_keep_their_meaning() {
    assert_eq!(
        rules("relay_pair.cfg", &["relay_pair.toml"]),
        [
            "what has a path that matches (?i)^/write and the method POST goes to relay relays",
            "what has the path /ping and the method GET or HEAD goes to backend nodes",
            "what has the path /ping goes to relay relays",
            "what has a path that begins with /query, or a path that ends with /debug/vars goes to backend nodes",
            "everything else goes to backend nodes",
        ]
    );
    let printed = text(&imported("relay_pair.cfg", &["relay_pair.toml"]).stdout);
    assert!(
        printed.contains("# relay_pair.cfg:20: timeout server 11s"),
        "{printed}"
    );
    let printed = text(&imported("many_acls.cfg", &[]).stdout);
    for part in [
        r#"src = ["10.20.0.0/16", "192.168.7.9", "10.30.0.0/16", "2001:db8:7::/48"]"#,
        r#"{ path_beg = ["/static", "/assets"], src = ["10.20.0.0/16""#,
        r#"path_reg = ["(^|/)admin(/|$)", "secret"]"#,
        r#"method = ["PUT", "POST"], path_reg = "^/api/v[12]/""#,
        r#"{ path_beg = "/v1/" }"#,
        r#"path_reg = "(?i)^/Login$""#,
        "many_acls.cfg:18: acl robot hdr_sub(User-Agent) -i crawler",
        "many_acls.cfg:24: use_backend slow if robot",
        r#"bind = ["192.0.2.1:8080", "192.0.2.1:8081", "192.0.2.1:8082"]"#,
        r#"check = { interval = "1500ms", timeout = "1500ms", rise = 1, fall = 5 }"#,
        r#"{ name = "app3", address = "192.0.2.33:8000", check = false }"#,
    ] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
}

#[test]
fn what_cannot_be_had_is_said() {
    let said = text(&imported("guarded.cfg", &[]).stderr);
    for part in [
        "guarded.cfg:20: http-request deny",
        "guarded.cfg:21: http-request auth realm Metrics unless logged_in: haflux asks nobody who he is here: \"auth = true\"",
        "guarded.cfg:35: server n2 10.4.0.1:8086 check: left out",
        "guarded.cfg:22: tcp-request connection reject",
        "guarded.cfg:14: bind 127.0.0.1:8090 accept-proxy: accept_proxy names every network",
        "guarded.cfg:23: http-request set-header",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    let printed = text(&imported("guarded.cfg", &[]).stdout);
    for part in [
        "accept_proxy = [\"0.0.0.0/0\", \"::/0\"]",
        "  { del_header = \"X-Secret\" },",
        "  { set_header = { \"Strict-Transport-Security\" = \"max-age=31536000\" } },",
        "send_proxy = \"v1\"",
    ] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    let printed = text(&imported("tls_edge.cfg", &[]).stdout);
    for part in [
        "tls = { addresses = \"0.0.0.0:8443\", certificate = \"/etc/ssl/edge/influx.pem\", alpn = [\"h2\", \"http/1.1\"] }\nhttp2 = { plain = true }\n",
        "tls_edge.cfg:19: bind *:443 ssl crt",
        "{ name = \"i2\", address = \"203.0.113.16:8443\", tls = { ca = \"/etc/ssl/ca.pem\" } },",
        "address = \"203.0.113.17:8443\", tls = { ca = \"/etc/ssl/ca.pem\", server_name = \"i3.example.net\", certificate = \"/etc/ssl/own.pem\", min_version = \"1.3\" } },",
        "address = \"203.0.113.18:8443\", tls = { verify = \"none\" }, check = false },",
        "tls_edge.cfg:48: server i5 203.0.113.19:8443",
    ] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    assert!(!printed.contains("address = \"203.0.113.19"), "{printed}");
    let printed = text(&imported("mixed_modes.cfg", &[]).stdout);
    for line in 16..=23 {
        assert!(
            printed.contains(&format!("mixed_modes.cfg:{line}: ")),
            "{line}\n{printed}"
        );
    }
}

#[test]
fn tarpits_and_bandwidth_are_said_in_haflux_words() {
    let parsed = |front: &str| {
        let imported = with_front("", front);
        let front = parse(&imported.text).frontends[0].clone();
        let mut warnings = imported.warnings;
        // Of the defaults.
        warnings.retain(|said| !said.contains("stats auth"));
        (front, warnings)
    };
    let tarpit = "http-request tarpit if { path_beg /x }\n http-request tarpit deny_status 429";
    for (before, time) in [
        ("timeout tarpit 10s\n timeout connect 2s", 10),
        ("timeout connect 2s", 2),
    ] {
        let (front, warnings) = parsed(&format!("{before}\n {tarpit}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(front.tarpit_timeout.as_secs(), time);
        let actions: Vec<_> = front.http_request.iter().map(|rule| &rule.action).collect();
        assert!(
            matches!(actions[..], [RequestAction::Tarpit(one), RequestAction::Tarpit(other)]
                if one.as_u16() == 500 && other.as_u16() == 429),
            "{actions:?}"
        );
    }
    let (front, _) = parsed(tarpit);
    assert!(
        matches!(front.http_request[0].action, RequestAction::Deny(status) if status.as_u16() == 500),
        "HAProxy waits for nothing then"
    );

    let (front, warnings) = parsed(
        "stick-table type ip size 1m expire 1h store bytes_out_rate(1m),bytes_in_rate(2s)\n\
         filter bwlim-in up default-limit 4m default-period 2s min-size 16k\n\
         filter bwlim-out down limit 600k key src\n\
         http-request set-bandwidth-limit up\n\
         http-response set-bandwidth-limit down",
    );
    let bandwidth = front.bandwidth.expect("limits");
    assert_eq!(bandwidth.in_per_request, Some(2 << 20));
    assert_eq!(bandwidth.out_per_source, Some(10 << 10));
    assert_eq!(
        (bandwidth.in_per_source, bandwidth.out_per_request),
        (None, None)
    );
    assert!(
        warnings.iter().all(|said| said.contains("stick-table")),
        "{warnings:?}"
    );
    for (front, said) in [
        (
            "filter bwlim-out x default-limit 1m default-period 1s",
            "no set-bandwidth-limit switches it on",
        ),
        (
            "filter bwlim-out x default-limit 1m default-period 1s\n http-request set-bandwidth-limit x if { src 10.0.0.0/8 }",
            "haflux slows every request of a frontend",
        ),
        (
            "filter bwlim-out x limit 1m key hdr(host)\n http-request set-bandwidth-limit x",
            "an address or a request, nothing else",
        ),
        (
            "filter bwlim-out x limit 1m key src table other\n http-request set-bandwidth-limit x",
            "its limit or its period cannot be told",
        ),
        (
            "filter bwlim-out x default-limit 10 default-period 1s\n http-request set-bandwidth-limit x",
            "haflux takes 1 KiB to 1 TiB a second",
        ),
    ] {
        let (parsed, warnings) = parsed(front);
        assert!(parsed.bandwidth.is_none());
        assert!(warnings.concat().contains(said), "{said}: {warnings:?}");
    }
}

/// A file with `global` and one frontend, and what it becomes.
fn with_front(global: &str, front: &str) -> Imported {
    let text = format!(
        "global\n{global}\ndefaults\n mode http\n stats auth default:secret\nfrontend f\n bind *:80\n default_backend b\n{front}\nbackend b\n server s 10.0.0.1:8086\n"
    );
    import_text(&text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[test]
fn the_page_keeps_its_users_and_its_refresh() {
    let page = "stats uri /s?x\n stats refresh 10\n stats auth a:b$c\n stats auth d:e:f\n acl all always_true\n stats admin if all";
    let imported = with_front("", page);
    let front = &parse(&imported.text).frontends[0];
    assert_eq!(front.stats_uri.as_deref(), Some("/s?x"));
    assert_eq!(front.stats_refresh.as_secs(), 10);
    assert!(front.stats_admin);
    let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let knows = |text: &str| {
        let mut users = front.stats_auth.iter();
        users.any(|user| user.is_meant_by(header(text).as_bytes()))
    };
    assert!(knows("a:b$c") && knows("d:e:f"), "{}", imported.text);
    assert!(
        !knows("default:secret"),
        "the section has a page of its own"
    );

    let inherited = with_front("", "");
    let front = &parse(&inherited.text).frontends[0];
    assert_eq!(front.stats_uri.as_deref(), Some("/haproxy?stats"));
    assert_eq!(front.stats_auth.len(), 1);

    for (page, served, orders, said) in [
        ("stats refresh 3s", true, false, ""),
        (
            "stats auth nobody",
            false,
            false,
            "would be open to everybody",
        ),
        (
            "stats auth nobody\n stats auth a:b",
            true,
            false,
            "a user and a password here",
        ),
        (
            "stats enable\n stats admin if TRUE",
            true,
            false,
            "from users of stats auth only",
        ),
        (
            "stats auth a:b\n stats admin if LOCALHOST",
            true,
            false,
            "the page takes no orders",
        ),
        ("stats auth a:b\n stats admin unless FALSE", true, true, ""),
    ] {
        let imported = with_front("", page);
        let front = &parse(&imported.text).frontends[0];
        assert_eq!(front.stats_uri.is_some(), served, "{}", imported.text);
        assert_eq!(front.stats_admin, orders, "{}", imported.text);
        assert!(imported.text.contains(said), "{page}: {}", imported.text);
    }
}

#[test]
fn the_runtime_socket_keeps_its_path_and_rights() {
    let line = "stats socket /run/haproxy/admin.sock user root group adm mode 660 level admin expose-fd listeners";
    let imported = with_front(&format!("stats timeout 30s\n{line}\nstats socket /x"), "");
    let config = parse(&imported.text);
    let socket = config.server.stats_socket.as_ref().unwrap();
    assert_eq!(socket.path, Path::new("/run/haproxy/admin.sock"));
    assert_eq!((socket.mode, socket.level), (0o660, Level::Admin));
    assert_eq!(socket.group.as_deref(), Some("adm"));
    assert_eq!(socket.timeout.as_secs(), 30);
    for part in [
        "no counterpart: user root, expose-fd listeners",
        "RuntimeDirectory=haproxy",
        "stats socket /x\n#     haflux has one such socket",
    ] {
        assert!(imported.text.contains(part), "{part}: {}", imported.text);
    }
    let plain = with_front("stats socket /run/haflux/a", "");
    let socket = parse(&plain.text).server.stats_socket.unwrap();
    assert_eq!((socket.mode, socket.level), (0o600, Level::Operator));
    assert!(!plain.text.contains("stats socket"), "{}", plain.text);
    for none in ["stats socket 127.0.0.1:9999", "stats maxconn 5"] {
        let imported = with_front(none, "");
        assert!(parse(&imported.text).server.stats_socket.is_none());
        assert!(imported.text.contains(none), "{}", imported.text);
    }
}

#[test]
fn metrics_are_served_where_haproxy_served_them() {
    const SERVICE: &str = "http-request use-service prometheus-exporter";
    for (line, path, said) in [
        (
            format!("acl m path /prom\n {SERVICE} if m"),
            Some("/prom"),
            "names of their own",
        ),
        (
            format!("{SERVICE} if {{ path_beg /m }}"),
            Some("/m"),
            "alone",
        ),
        (SERVICE.to_owned(), Some("/metrics"), "alone"),
        (
            format!("{SERVICE} if {{ path /m }} {{ src 10.0.0.0/8 }}"),
            None,
            "to everybody",
        ),
        (
            format!("{SERVICE} unless {{ path /m }}"),
            None,
            "not translated",
        ),
        (
            format!("stats uri /m\n {SERVICE} if {{ path /m }}"),
            None,
            "the page has that path",
        ),
    ] {
        let imported = with_front("", &line);
        let front = &parse(&imported.text).frontends[0];
        assert_eq!(front.metrics_uri.as_deref(), path, "{line}");
        assert!(imported.text.contains(said), "{line}: {}", imported.text);
    }
    let alone = format!(
        "defaults\n mode http\nfrontend f\n bind :80\n default_backend b\nbackend b\n server s 10.0.0.1:8086\nfrontend m\n bind 127.0.0.1:8404\n maxconn 9\n timeout client 5s\n {SERVICE} if {{ path /metrics }}\n"
    );
    let imported = import_text(&alone).unwrap();
    let config = parse(&imported.text);
    let last = config.frontends.last().unwrap();
    assert_eq!(last.metrics_uri.as_deref(), Some("/metrics"));
    assert_eq!(last.bind, ["127.0.0.1:8404".parse().unwrap()]);
    assert_eq!(last.max_connections, 9);
    assert!(
        imported.text.contains("timeout client 5s"),
        "{}",
        imported.text
    );
}

#[test]
fn receivers_of_syslog_get_what_haproxy_sent_them() {
    let logs = |global: &str| {
        let imported = with_front(global, "");
        format!("{:#?}", parse(&imported.text).server.log.targets)
    };
    let lines = |text: &str| {
        let parsed = Config::parse(
            &format!("{text}\n[[frontend]]\nname = \"f\"\nbind = \":1\"\nstats_uri = \"/\"\n"),
            Format::Toml,
            "wanted",
            &|_| None,
        );
        format!(
            "{:#?}",
            parsed
                .unwrap_or_else(|errors| panic!("{errors}"))
                .config
                .server
                .log
                .targets
        )
    };
    for (global, wanted) in [
        ("log /dev/log local0", ""),
        ("log stdout format raw local0", ""),
        ("log logs.example.org local0", ""),
        (
            "log 127.0.0.1 local2\nlog /dev/log local1 notice",
            "[[log]]\nto = \"syslog:127.0.0.1:514\"\nfacility = \"local2\"\nsyslog = \"rfc3164\"\n[[log]]\nto = \"stderr\"\nlines = \"messages\"",
        ),
        (
            "log [::1]:1514 len 900 format rfc5424 daemon err\nlog /dev/log local1",
            "[[log]]\nto = \"syslog:[::1]:1514\"\nfacility = \"daemon\"\nlines = \"messages\"\n[[log]]\nto = \"stderr\"",
        ),
        (
            "log /run/log.sock local0 info",
            "[[log]]\nto = \"syslog:/run/log.sock\"\n[[log]]\nto = \"stderr\"\nlines = \"messages\"",
        ),
    ] {
        assert_eq!(logs(global), lines(wanted), "{global}");
    }
    let imported = with_front("", "log 10.0.0.9 local0\n no log\n grace 5s");
    for part in [
        "the lines of every frontend",
        "every frontend or none",
        "haflux listens for a second more",
    ] {
        assert!(imported.text.contains(part), "{part}: {}", imported.text);
    }
}

#[test]
fn errors_name_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let quote = path(
        "quote.cfg",
        "defaults\n  mode http\nfrontend 'a\n bind \"x\n",
    );
    let tcp = path(
        "tcp.cfg",
        "frontend f\n bind :1\n mode tcp\n default_backend b\n",
    );
    let relay = path("bad.toml", "[[http]]\nname =\n");
    for (arguments, expected) in [
        (
            vec!["import", "--haproxy", &quote],
            vec![
                "quote.cfg:3: the quote ' is never closed",
                "quote.cfg:4: the quote \" is never",
            ],
        ),
        (
            vec!["import", "--haproxy", &tcp],
            vec![
                "tcp.cfg: no frontend or listen section",
                "tcp.cfg:1: frontend f: left out",
            ],
        ),
        (
            vec!["import", "--haproxy", &tcp, "--relay", &relay],
            vec!["bad.toml:2: not valid TOML"],
        ),
        (
            vec!["import", "--haproxy", "/nowhere.cfg"],
            vec!["/nowhere.cfg: No such file"],
        ),
    ] {
        let output = haflux(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        for part in expected {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
    }
    assert_eq!(haflux(&["import"]).status.code(), Some(2));
}

/// A whole file with lines put into its sections, and the number of each.
fn with_lines(lines: &[(&str, &str)]) -> (String, Vec<usize>) {
    let template = [
        ("global", "global"),
        ("", "defaults"),
        ("", "mode http"),
        ("", "frontend front"),
        ("", "bind *:8086"),
        ("frontend", "default_backend base"),
        ("", "backend base"),
        ("", "server b 10.0.2.9:8086"),
        ("", "backend pool"),
        ("backend", "option httpchk GET /"),
        ("", "server one 10.0.2.2:8086 check"),
    ];
    let mut text = String::new();
    let mut numbers = vec![0; lines.len()];
    let mut number = 0;
    for (section, line) in template {
        text.push_str(line);
        text.push('\n');
        number += 1;
        for (at, (wanted, line)) in lines.iter().enumerate() {
            if *wanted == section {
                number += 1;
                numbers[at] = number;
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    (text, numbers)
}

fn is_quoted(imported: &Imported, line: usize) -> bool {
    imported.text.contains(&format!("# t.cfg:{line}: "))
}

#[test]
fn the_list_of_directives_is_true() {
    let nothing = import_text(&with_lines(&[]).0).unwrap().text;
    for directive in DIRECTIVES {
        let (text, lines) = with_lines(&[(directive.section, directive.example)]);
        let imported = import_text(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
        let example = directive.example;
        assert_eq!(
            is_quoted(&imported, lines[0]),
            directive.quoted,
            "{example}:\n{}",
            imported.text
        );
        let always = directive.becomes.starts_with("what haflux always does")
            || directive.becomes.starts_with("the access log");
        let comments = imported.text.lines().filter(|line| line.starts_with('#'));
        let comments: String = comments.collect();
        if !directive.quoted && !always {
            assert_ne!(imported.text, nothing, "{example} makes no difference");
        }
        let told = format!("{comments}{:?}", imported.warnings);
        assert!(!told.contains("sesame"), "{example}: {told}");
    }
}

#[test]
fn the_documentation_has_the_list() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md"))
            .unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let wanted: Vec<String> = DIRECTIVES
        .iter()
        .map(|directive| {
            format!(
                "| `{}` | `{}` | {} | {} |",
                directive.section,
                directive.example.replace('|', "\\|"),
                directive.becomes,
                if directive.quoted { "yes" } else { "" }
            )
        })
        .collect();
    assert_eq!(rows.join("\n"), wanted.join("\n"));
}

fn a_line() -> impl Strategy<Value = (&'static str, String, bool)> {
    let known = (0..DIRECTIVES.len()).prop_map(|at| {
        let directive = DIRECTIVES[at];
        (
            directive.section,
            directive.example.to_owned(),
            directive.quoted,
        )
    });
    let unknown = (
        prop::sample::select(vec!["global", "frontend", "backend"]),
        "zz[a-z]{1,5}( [-a-z0-9/.:{}!%()\\[\\],]{1,8}){0,4}",
    )
        .prop_map(|(section, line)| (section, line, true));
    prop_oneof![3 => known, 1 => unknown]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands together: the result is a configuration, and what has no counterpart is quoted.
    #[test]
    fn no_line_is_dropped(lines in prop::collection::vec(a_line(), 0..20)) {
        let given: Vec<(&str, &str)> = lines.iter().map(|(section, line, _)| (*section, line.as_str())).collect();
        let (text, numbers) = with_lines(&given);
        let imported = import_text(&text);
        prop_assert!(imported.is_ok(), "{imported:?}\n{text}");
        let imported = imported.unwrap();
        for ((_, line, quoted), number) in lines.iter().zip(numbers) {
            // A line that is used may be quoted too, where another one is in its way.
            let is_open = ["acl unasked", "stats admin", "option forwardfor"].iter().any(|start| line.starts_with(start));
            // A pool's limit is written at a frontend that leads there, where there is one.
            let is_moved = line.starts_with("timeout tunnel") && imported.text.contains("tunnel = ");
            if *quoted && !is_open && !is_moved {
                prop_assert!(is_quoted(&imported, number), "{line}\n{}", imported.text);
            }
        }
    }

    /// Any text in any place: no panic, and each line is quoted or refused with its number.
    #[test]
    fn any_line_is_accounted_for(tails in prop::collection::vec("[ -~\\t\\PC]{0,60}", 1..8)) {
        let lines: Vec<String> = tails.iter().map(|tail| format!("zz{tail}")).collect();
        let given: Vec<(&str, &str)> = lines.iter().map(|line| ("frontend", line.as_str())).collect();
        let (text, numbers) = with_lines(&given);
        match import_text(&text) {
            Ok(imported) => {
                for number in numbers {
                    prop_assert!(is_quoted(&imported, number), "{number}\n{}", imported.text);
                }
            }
            Err(errors) => {
                for error in errors {
                    let is_of_words = matches!(error, ImportError::Words { .. });
                    prop_assert!(is_of_words, "{error}\n{text}");
                }
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "([a-z_ .\"'\\\\$#{}:!/0-9-]{0,30}\n){0,30}", relay in "[-\\[\\]a-z=\"{}:/ \n]{0,80}") {
        let keywords = ["frontend f", "backend b", "bind :1-70000", "server a b:c port", "acl a src -f", "use_backend b if a or", "http-check send hdr", "mode http", "listen l :1", "default_backend b", ".if 1", ".else", ".endif", "defaults"];
        let mut mixed = String::new();
        for (at, line) in text.lines().enumerate() {
            mixed.push_str(keywords[at % keywords.len()]);
            mixed.push_str(line);
            mixed.push('\n');
        }
        for text in [text, mixed] {
            let sources = [Source { name: "t.cfg".to_owned(), text }];
            let relays = [Source { name: "r.toml".to_owned(), text: relay.clone() }];
            let imported = import(&sources, &relays, &|_| Ok("x\n".to_owned()), &|_| None);
            let accepted = !matches!(&imported, Err(errors) if errors.iter().any(|error| matches!(error, ImportError::NotAccepted(_))));
            prop_assert!(accepted, "{imported:?}");
        }
    }
}

#[test]
fn what_keeps_clients_out_is_translated_in_its_order() {
    let front = "acl office src 10.0.0.0/8 192.168.0.0/16\n tcp-request connection reject if !office\n \
         tcp-request connection reject if { src 10.6.0.0/16 } or { src 10.7.0.0/16 }\n \
         http-request set-header X-Org ours\n http-request deny if { path_beg /debug } METH_GET\n \
         http-request redirect scheme https code 301 unless { path /ping }\n http-response del-header Server if METH_POST\n \
         http-request deny if { path_beg /a } !METH_GET\n http-request allow if office\n http-request deny";
    let imported = with_front("", front);
    let front = &parse(&imported.text).frontends[0];
    for (address, is_served) in [
        ("10.1.2.3", true),
        ("192.168.3.4", true),
        ("10.6.1.1", false),
        ("10.7.1.1", false),
        ("192.0.2.1", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(front.sources.admits(address), is_served, "{address}");
    }
    let part = "http_request = [\n  \
         { set_header = { \"X-Org\" = \"ours\" } },\n  \
         { deny = 403, if = { method = [\"GET\", \"HEAD\"], path_beg = \"/debug\" } },\n  \
         { redirect = { scheme = \"https\", code = 301 }, unless = { path = \"/ping\" } },\n\
         ]\n\
         http_response = [\n  { del_header = \"Server\", if = { method = \"POST\" } },\n]";
    assert!(imported.text.contains(part), "{}", imported.text);
    let said = format!("{:?}", imported.warnings);
    for part in [
        "haflux has no ! beside other tests in one entry",
        "http-request allow if office: not translated",
        "http-request deny: not translated",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let pool = |servers: &str| {
        let text = format!(
            "defaults\n mode http\nfrontend f\n bind *:80\n default_backend b\nbackend b\n{servers}"
        );
        let imported = import_text(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
        let is_warned = format!("{:?}", imported.warnings).contains("send-proxy");
        (imported.text.contains("send_proxy = \"v2\""), is_warned)
    };
    let (with, without) = (
        " server s 10.0.0.1:8086 send-proxy-v2\n",
        " server t 10.0.0.2:8086\n",
    );
    assert_eq!(pool(with), (true, false));
    assert_eq!(pool(&[with, without].concat()), (false, true));
    let default = " default-server send-proxy-v2\n";
    assert_eq!(pool(&[default, without].concat()), (true, false));
}

/// What is printed for a frontend with these lines, which leads to backend `b`, and every warning.
fn front_and_warnings(front: &str) -> (String, String) {
    let text = format!(
        "defaults\n mode http\nfrontend f\n bind *:80\n default_backend b\n{front}\nbackend b\n server s 10.0.0.1:8086\n"
    );
    let imported = import_text(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
    parse(&imported.text);
    (imported.text, imported.warnings.join("\n"))
}

#[test]
fn rules_of_http_request_come_before_redirect_wherever_they_stand() {
    let (printed, warnings) = front_and_warnings(
        " redirect prefix https://o.example if { path_beg /a }\n http-request allow if { path /x }\n \
         redirect location /e if { path /b }",
    );
    let part = "http_request = [\n  \
         { redirect = { prefix = \"https://o.example\" }, if = { path_beg = \"/a\" } },\n  \
         { redirect = { location = \"/e\" }, if = { path = \"/b\" } },\n]";
    assert!(
        printed.contains(part),
        "allow is no word to redirect: {printed}"
    );
    assert!(warnings.contains("http-request allow"), "{warnings}");
    let (printed, warnings) = front_and_warnings(
        " redirect prefix https://o.example if { path_beg /a }\n http-request deny deny_status 404 if { path /a }",
    );
    let part = "http_request = [\n  \
         { deny = 404, if = { path = \"/a\" } },\n  \
         { redirect = { prefix = \"https://o.example\" }, if = { path_beg = \"/a\" } },\n]";
    assert!(printed.contains(part), "{printed}");
    assert_eq!(warnings, "");
}

/// What is printed and said for an influxdb-relay whose `[[http]]` has these keys.
fn of_relay(keys: &str) -> String {
    let haproxy = Source {
        name: "t.cfg".to_owned(),
        text: "defaults\n mode http\nfrontend f\n bind *:80\n default_backend b\nbackend b\n server s 10.0.0.1:8086\n"
            .to_owned(),
    };
    let relay = Source {
        name: "r.toml".to_owned(),
        text: format!("[[http]]\n{keys}\n"),
    };
    let nothing = |_: &str| Err("no file".to_owned());
    let imported = import(&[haproxy], &[relay], &nothing, &|_| None)
        .unwrap_or_else(|errors| panic!("{errors:?}"));
    format!("{}\n{}", imported.text, imported.warnings.join("\n"))
}

#[test]
fn a_backslash_outside_of_quotes_stays_before_a_dollar() {
    let (printed, _) = front_and_warnings(" use_backend b if { path_reg ^/a\\$ }");
    assert!(printed.contains(r"path_reg = '^/a\$'"), "{printed}");
}

#[test]
fn the_metrics_are_let_past_the_rules_behind_their_own() {
    const SERVICE: &str = "http-request use-service prometheus-exporter if { path /metrics }";
    const METRICS: &str = "{ method = [\"GET\", \"HEAD\"], path = \"/metrics\" }";
    for (rule, written) in [
        (
            "http-request deny unless { path_beg /a }",
            format!("{{ deny = 403, unless = [{{ path_beg = \"/a\" }}, {METRICS}] }}"),
        ),
        (
            "http-request redirect location /e",
            format!("{{ redirect = {{ location = \"/e\" }}, unless = {METRICS} }}"),
        ),
        (
            "redirect location /e",
            format!("{{ redirect = {{ location = \"/e\" }}, unless = {METRICS} }}"),
        ),
        (
            "http-request deny if { path_beg /b }",
            "{ deny = 403, if = { path_beg = \"/b\" } }".to_owned(),
        ),
    ] {
        let (printed, warnings) = front_and_warnings(&format!(" {SERVICE}\n {rule}"));
        assert!(printed.contains(&written), "{rule}: {printed}");
        assert_eq!(warnings, "", "{rule}");
    }
    let (printed, warnings) = front_and_warnings(&format!(
        " http-request deny unless {{ path_beg /a }}\n {SERVICE}"
    ));
    assert!(
        printed.contains("{ deny = 403, unless = { path_beg = \"/a\" } }"),
        "{printed}"
    );
    assert_eq!(warnings, "");
    let (printed, warnings) =
        front_and_warnings(&format!(" {SERVICE}\n http-request deny if METH_GET"));
    assert!(
        printed.contains("{ deny = 403, if = { method = [\"GET\", \"HEAD\"] } }"),
        "{printed}"
    );
    assert!(
        warnings.contains("haflux asks this before it serves the metrics"),
        "{warnings}"
    );

    let alone = format!(
        "defaults\n mode http\nfrontend f\n bind *:80\n {SERVICE}\n redirect scheme https\n"
    );
    let imported = import_text(&alone).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(
        imported.text.contains(&format!("unless = {METRICS}")),
        "{}",
        imported.text
    );
    assert_eq!(
        parse(&imported.text).frontends[0].metrics_uri.as_deref(),
        Some("/metrics")
    );
}

#[test]
fn an_answer_has_no_path_and_no_host_of_its_request() {
    for (condition, written) in [
        ("if { path /a }", None),
        ("if { hdr(host) a.example }", None),
        ("if METH_GET { path /a }", None),
        (
            "unless { path /a }",
            Some("{ set_header = { \"X-Res\" = \"1\" } }"),
        ),
        (
            "if METH_POST or { path /a }",
            Some("{ set_header = { \"X-Res\" = \"1\" }, if = { method = \"POST\" } }"),
        ),
        (
            "if METH_POST !{ path /a }",
            Some("{ set_header = { \"X-Res\" = \"1\" }, if = { method = \"POST\" } }"),
        ),
    ] {
        let (printed, warnings) =
            front_and_warnings(&format!(" http-response set-header X-Res 1 {condition}"));
        match written {
            None => assert!(!printed.contains("http_response"), "{condition}: {printed}"),
            Some(written) => assert!(printed.contains(written), "{condition}: {printed}"),
        }
        assert!(
            warnings.contains("HAProxy no longer knows the path"),
            "{condition}: {warnings}"
        );
    }
    let (printed, warnings) =
        front_and_warnings(" http-response set-header X-Res 1 if METH_POST { src 10.0.0.0/8 }");
    assert!(
        printed.contains("set_header") && warnings.is_empty(),
        "{printed}{warnings}"
    );
}

#[test]
fn secrets_are_in_neither_comments_nor_warnings() {
    for line in [
        "http-request deny if { hdr(authorization) sesame7 }",
        "http-request deny unless { req.hdr(X-Key) -m str sesame7 } METH_GET",
        "acl tok req.hdr(Authorization) -m str sesame13\n use_backend b if tok",
        "acl tok url_param(p) sesame13\n use_backend b if tok",
        "acl tok urlp(p),lower -i sesame13\n use_backend b if tok",
        "acl tok cook(id) sesame13\n use_backend b if tok",
        "acl tok hdr(X-A),hmac(sha256,sesame13) -m found\n use_backend b if tok",
        "acl tok str(sesame),strcmp(txn.x) eq 0\n use_backend b if tok",
        "acl tok query -m sub p=sesame\n use_backend b if tok",
        "acl tok url_beg /query?p=sesame\n use_backend b if tok",
        "http-request set-query p=sesame8",
        "http-request set-uri /query?p=sesame8",
        "http-request set-var(txn.key) str(sesame8)",
        "http-request return status 200 content-type text/plain string sesame8",
        "http-request set-header Authorization Basic\\ sesame8",
        "http-request set-header X-Key %[str(sesame8)]",
        "http-request replace-header Authorization .* sesame8",
        "http-request lua.ask sesame8",
        "tcp-request content reject if { req.payload(0,0) -m sub sesame8 }",
        "redirect location https://u:sesame@h/?p=sesame@b if !METH_GET METH_POST",
        "use_backend %[str(sesame)]",
    ] {
        let (printed, warnings) = front_and_warnings(&format!(" {line}"));
        assert!(printed.contains("# t.cfg:"), "{line}: {printed}");
        let comments: String = printed
            .lines()
            .filter(|line| line.starts_with('#'))
            .collect();
        assert!(!comments.contains("sesame"), "{line}: {comments}");
        assert!(!warnings.contains("sesame"), "{line}: {warnings}");
    }
    for line in [
        "server a 10.0.0.3:80 redir http://u:sesame30@h",
        "server a 10.0.0.3:80 redir http://h/?p=sesame30",
        "server a 10.0.0.3:80 check agent-check agent-port 9 agent-send sesame30",
        "option httpchk GET /ping HTTP/1.1\\r\\nX-Key:\\ sesame",
        "http-check send meth GET body sesame",
        "http-check send hdr X-Key sesame",
        "http-check send meth GET uri-lf /%[str(sesame)]",
        "tcp-check send AUTH\\ sesame\\r\\n",
        "tcp-check send-binary sesame",
        "dynamic-cookie-key sesame",
    ] {
        let text = format!(
            "defaults\n mode http\nfrontend f\n bind *:80\n default_backend b\nbackend b\n server s 10.0.0.1:8086\n {line}\n"
        );
        let imported = import_text(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
        let told = format!("{}{:?}", imported.text, imported.warnings);
        assert!(told.contains("# t.cfg:8"), "{line}: {told}");
        assert!(!told.contains("sesame"), "{line}: {told}");
    }
    for location in [
        "http://u:p@127.0.0.1:8086/write?u=x&p=sesame",
        "u:sesame3@10.0.0.9:8086",
        "http://h:1/write?p=a@sesame",
    ] {
        let told = of_relay(&format!(
            "name = \"r\"\nbind-addr = \"127.0.0.1:9096\"\noutput = [ {{ location = \"http://10.0.0.1:8086/write\" }}, {{ location = \"{location}\", password = \"sesame\" }} ]\nsecret = \"sesame\""
        ));
        assert!(!told.contains("sesame"), "{location}: {told}");
    }
}

#[test]
fn the_page_is_let_past_redirect() {
    const PAGE: &str = "[{ method = [\"GET\", \"HEAD\"], path = \"/st\" }, { method = [\"GET\", \"HEAD\"], path_beg = [\"/st;\", \"/st/;\"] }]";
    let (printed, warnings) = front_and_warnings(" stats uri /st\n redirect location /e");
    let part = format!("{{ redirect = {{ location = \"/e\" }}, unless = {PAGE} }}");
    assert!(printed.contains(&part), "{printed}");
    assert_eq!(warnings, "");
    for line in [
        "redirect location /e if { path_beg /old }",
        "http-request redirect location /e if { path_beg /old }",
    ] {
        let (printed, warnings) = front_and_warnings(&format!(" stats uri /st\n {line}"));
        assert!(
            printed.contains("if = { path_beg = \"/old\" }"),
            "{printed}"
        );
        assert_eq!(warnings, "");
    }
    let (printed, warnings) =
        front_and_warnings(" stats uri /st\n http-request redirect location /e");
    assert!(
        printed.contains("{ redirect = { location = \"/e\" } }"),
        "{printed}"
    );
    assert_eq!(warnings, "", "HAProxy has it before its page too");
    let (printed, warnings) =
        front_and_warnings(" stats uri /st\n redirect location /e if METH_GET");
    assert!(
        printed.contains("if = { method = [\"GET\", \"HEAD\"] }"),
        "{printed}"
    );
    assert!(
        warnings.contains("haflux asks this before it serves the page"),
        "{warnings}"
    );
    let (printed, warnings) = front_and_warnings(" stats enable\n redirect scheme https");
    assert!(
        printed.contains("unless = { method = [\"GET\", \"HEAD\"], path = \"/haproxy\" }"),
        "{printed}"
    );
    assert!(
        warnings.contains("/haproxy is not redirected, whatever query it has"),
        "{warnings}"
    );
}

/// `check` of backend `b` with these lines in its defaults and of its own, and every comment and warning.
fn check_of(defaults: &str, own: &str) -> (String, String) {
    let text = format!(
        "defaults\n mode http\n{defaults}\nfrontend f\n bind *:80\n default_backend b\nbackend b\n{own}\n server s 10.0.0.1:8086 check\n"
    );
    let imported = import_text(&text).unwrap_or_else(|errors| panic!("{errors:?}"));
    parse(&imported.text);
    let lines = imported.text.lines();
    let (told, keys): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('#'));
    let check = keys.into_iter().find(|line| line.starts_with("check ="));
    let told = format!("{}\n{}", told.join("\n"), imported.warnings.join("\n"));
    (check.unwrap_or_default().to_owned(), told)
}

#[test]
fn rules_of_checks_count_where_haproxy_takes_them() {
    for (defaults, own, check, said) in [
        // Without `option httpchk` HAProxy makes a connection.
        (
            "",
            "http-check send meth GET uri /nf",
            "",
            "without option httpchk",
        ),
        ("http-check expect status 404", "", "", ""),
        (
            "option httpchk GET /x",
            "option tcp-check\n http-check expect status 404",
            "",
            "without option httpchk",
        ),
        // A line of its own replaces every one that is inherited.
        (
            "option httpchk GET /\n http-check expect status 404",
            "option httpchk GET /nf",
            "check = { http = \"/nf\" }",
            "",
        ),
        (
            "option httpchk GET /\n http-check expect status 404",
            "http-check send meth GET uri /nf",
            "check = { http = \"/nf\" }",
            "",
        ),
        (
            "http-check expect status 404",
            "option httpchk GET /",
            "check = { http = \"/\" }",
            "",
        ),
        (
            "option httpchk GET /x",
            "http-check expect status 404",
            "check = { http = \"/\", expect = 404 }",
            "haflux checks with GET, not OPTIONS",
        ),
        (
            "option httpchk GET /x\n http-check expect status 404",
            "http-check disable-on-404",
            "check = { http = \"/x\", expect = 404 }",
            "",
        ),
        (
            "option httpchk GET /x\n http-check expect status 404",
            "",
            "check = { http = \"/x\", expect = 404 }",
            "",
        ),
        // What http-check says counts before what option httpchk says, in any order.
        (
            "",
            "http-check send uri /a\n option httpchk GET /b",
            "check = { http = \"/a\" }",
            "",
        ),
        // No server is asked what it is not there to answer.
        (
            "",
            "option httpchk GET /b\n http-check connect ssl\n http-check send uri /a",
            "",
            "a connection is written in its place",
        ),
    ] {
        let (written, told) = check_of(defaults, own);
        assert_eq!(written, check, "{defaults} / {own}: {told}");
        assert!(told.contains(said), "{defaults} / {own}: {told}");
    }
}

#[test]
fn what_a_relay_says_is_a_warning_unless_it_is_harmless() {
    const KEYS: &str = "name = \"r\"\nbind-addr = \"127.0.0.1:9096\"\noutput = [ { name = \"a\", location = \"http://10.0.0.1:8086/write\", timeout = \"10s\", buffer-size-mb = 100, max-batch-kb = 50, max-delay-interval = \"5s\" } ]\n";
    assert!(!of_relay(KEYS).contains("\nr.toml:"), "{}", of_relay(KEYS));
    let told = of_relay(&format!(
        "{KEYS}default-retention-policy = \"rp2\"\nbogus2 = 1"
    ));
    assert!(told.contains("\nr.toml:5: default-retention-policy = \"rp2\": haflux writes to the policy that the client names"), "{told}");
    assert!(
        told.contains("\nr.toml:6: bogus2 = …: haflux has no counterpart"),
        "{told}"
    );
    let told = of_relay(&format!(
        "{}\n[other]\nx = 1",
        KEYS.replace("buffer-size-mb", "bogus3")
    ));
    for said in [
        "\nr.toml:4: bogus3 = …: haflux has no counterpart",
        "\nr.toml:6: other = …: haflux has no counterpart",
    ] {
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn no_relay_and_no_output_is_dropped() {
    let output = |locations: &[&str]| {
        let outputs = locations
            .iter()
            .map(|location| format!("{{ location = \"{location}\" }}"));
        let outputs: Vec<String> = outputs.collect();
        of_relay(&format!(
            "name = \"r\"\nbind-addr = \"127.0.0.1:9096\"\nbogus = 1\noutput = [ {} ]",
            outputs.join(", ")
        ))
    };
    for (locations, said) in [
        (
            &[] as &[&str],
            "relay r: left out at 127.0.0.1:9096, because no output is left",
        ),
        (
            &["ftp://h:1"],
            "relay r: left out at 127.0.0.1:9096, because no output is left",
        ),
        (
            &["http://h:8086/write", "https://h:8086/write"],
            "left out, because another output has its address",
        ),
        (
            &["http://h:8086/write", "http://h:8086/write"],
            "left out, because another output has its address",
        ),
        (
            &["http://h:8086/write", "http://i:8086/api"],
            "left out, because its location is not http://HOST:PORT/write",
        ),
        (
            &["http://h:8086/write", "http://i:8086/api?x=1"],
            "left out, because its location is not http://HOST:PORT/write",
        ),
        (
            &["http://h:8086/write", "http://i:8086"],
            "left out, because its location is not http://HOST:PORT/write",
        ),
    ] {
        let told = output(locations);
        let comments = told
            .lines()
            .filter(|line| line.starts_with("# ") && line.contains(said));
        assert_eq!(comments.count(), 1, "{locations:?}: {told}");
        let warnings = told
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains(said));
        assert_eq!(warnings.count(), 1, "{locations:?}: {told}");
        assert!(told.contains("# r.toml:4: bogus = …"), "{told}");
    }
    let told = output(&["http://h:8086/write?x=1"]);
    assert!(told.contains("address = \"h:8086\"") && told.contains("# r.toml:5: location = \"http://h:8086/write?…\": influxdb-relay does not send this query either"), "{told}");
}

#[test]
fn a_header_that_haproxy_would_not_add_is_a_warning() {
    for word in ["if-none", "except 127.0.0.0/8"] {
        let (printed, warnings) = front_and_warnings(&format!(" option forwardfor {word}"));
        assert!(printed.contains("forwarded_for = true"), "{printed}");
        assert!(
            warnings.contains("haflux adds X-Forwarded-For to every request"),
            "{word}: {warnings}"
        );
    }
}
