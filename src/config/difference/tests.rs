//! Differences as they are said, and the page's table of them.

use super::facts::facts;
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
        ["server.log_level: \"info\" -> \"debug\""]
    );
    assert_eq!(
        change("127.0.0.1:8086", "127.0.0.1:9086"),
        [r#"frontend "front", bind: ["127.0.0.1:8086"] -> ["127.0.0.1:9086"]!"#]
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
            r#"frontend "front", use_backend[0]: { backend = "relay", if = { path_beg = "/write" } } -> { backend = "relay", if = { path_beg = "/" } }"#
        ]
    );
    assert_eq!(
        change("[[udp]]", "[[log]]\nto = \"syslog:127.0.0.1:514\"\n[[udp]]"),
        [
            "log[0], to: \"stderr\" -> \"syslog:127.0.0.1:514\"!",
            "log[0], facility: none -> \"local0\"!",
            "log[0], syslog: none -> \"rfc5424\"!"
        ]
    );
    let page = |query: &str| {
        config(&WHOLE.replacen(
            "default_backend = \"web\"",
            &format!("default_backend = \"web\"\nstats_uri = \"/s?{query}\"\nmetrics_uri = \"/m?{query}\""),
            1,
        ))
    };
    let said = changes(&page("one"), &page("two"));
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "frontend \"plain\", stats_uri: \"/s\" -> \"/s\" (others)",
            "frontend \"plain\", metrics_uri: \"/m\" -> \"/m\" (others)"
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

#[test]
fn lists_are_compared_entry_by_entry_in_the_words_of_the_file() {
    let rules = |paths: &[&str]| {
        let entries = paths
            .iter()
            .map(|path| format!("{{ backend = \"web\", unless = {{ path_beg = \"{path}\" }} }}"));
        let entries: Vec<String> = entries.collect();
        let list = format!(
            "default_backend = \"web\"\nuse_backend = [{}]",
            entries.join(", ")
        );
        config(&WHOLE.replacen("default_backend = \"web\"", &list, 1))
    };
    let said = |old: &[&str], new: &[&str]| -> Vec<String> {
        let said = changes(&rules(old), &rules(new));
        said.iter().map(ToString::to_string).collect()
    };
    let many = ["/a", "/b", "/c", "/d", "/e", "/f"];
    let mut other = many;
    other[5] = "/g";
    let entry =
        |path: &str| format!(r#"{{ backend = "web", unless = {{ path_beg = "{path}" }} }}"#);
    let place = "frontend \"plain\", use_backend";
    assert_eq!(
        said(&many, &other),
        [format!("{place}[5]: {} -> {}", entry("/f"), entry("/g"))]
    );
    assert_eq!(
        said(&many, &many[1..]),
        [format!("{place}[0]: removed {}", entry("/a"))]
    );
    assert_eq!(
        said(&many[..5], &many),
        [format!("{place}[5]: added {}", entry("/f"))]
    );
    let long = format!("/{}", "x".repeat(500));
    let shown = said(&[&format!("{long}y{long}")], &[&format!("{long}z{long}")]);
    let x = "x".repeat(40);
    let [shown] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert!(shown.contains(&format!(": …{x}y/xx")), "{shown}");
    assert!(shown.contains(&format!(" -> …{x}z/xx")), "{shown}");
    assert!(shown.chars().count() < 900, "{shown}");
    assert_eq!(
        change(
            "[[backend]]\nname = \"web\"",
            "[[backend]]\nname = \"web\"\nbalance = \"leastconn\"\nsend_proxy = \"v2\""
        ),
        [
            "backend \"web\", balance: \"roundrobin\" -> \"leastconn\"",
            "backend \"web\", send_proxy: none -> \"v2\""
        ]
    );
    assert_eq!(
        change(
            "{ http = \"/ping\" }",
            "{ http = \"/ping\", expect = 204, port = 81 }"
        ),
        [
            "backend \"web\", check.expect: [\"200-399\", 401] -> 204",
            "backend \"web\", check.port: none -> 81"
        ]
    );
    for (check, said) in [
        ("false", "false"),
        ("true", "{ tcp = true }"),
        ("{ http = \"/a?p=x\" }", "{ http = \"/a\" }"),
    ] {
        let said = format!("backend \"web\", check: {{ http = \"/ping\" }} -> {said}");
        let changes = change("{ http = \"/ping\" }", check);
        assert!(changes.contains(&said), "{changes:?}");
    }
    let with = |value: &str| {
        let rule = format!(
            "default_backend = \"web\"\nhttp_request = [{{ deny = 403, if = {{ path = \"/x\" }} }}, {{ set_header = {{ \"X-A\" = \"{value}\" }} }}]"
        );
        config(&WHOLE.replacen("default_backend = \"web\"", &rule, 1))
    };
    let said = changes(&with("one"), &with("two"));
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            r#"frontend "plain", http_request[1]: { set_header = { "x-a" = … } } -> { set_header = { "x-a" = … } } (others)"#
        ]
    );
}

#[test]
fn tables_are_compared_key_by_key_in_the_words_of_the_file() {
    let with = |place: &str, keys: &str| {
        let keys = format!("{place}\n{keys}");
        config(&WHOLE.replacen(place, &keys, 1))
    };
    let said = |place: &str, old: &str, new: &str| -> Vec<String> {
        let said = changes(&with(place, old), &with(place, new));
        said.iter().map(ToString::to_string).collect()
    };
    let frontend = "default_backend = \"web\"";
    let of_frontend = |old: &str, new: &str| said(frontend, old, new);
    let long = ["select", "select_into", "explain", "show", "delete", "drop"]
        .map(|word| format!("{word:?}"))
        .join(", ");
    for (old, new, expected) in [
        (
            "rate_limit = { requests = 5 }",
            "rate_limit = { requests = 5, per = \"1m\", burst = 7 }",
            &[
                r#"frontend "plain", rate_limit.per: "1s" -> "1m""#,
                r#"frontend "plain", rate_limit.burst: 5 -> 7"#,
            ][..],
        ),
        (
            "",
            "rate_limit = { requests = 5 }",
            &[
                r#"frontend "plain", rate_limit: none -> { requests = 5, per = "1s", burst = 5, max_sources = 100000 }"#,
            ],
        ),
        (
            "bandwidth = { in_per_source = \"1KiB\" }",
            "bandwidth = { out_per_request = 9000 }",
            &[
                r#"frontend "plain", bandwidth.in_per_source: 1024 -> none"#,
                r#"frontend "plain", bandwidth.out_per_request: none -> 9000"#,
            ],
        ),
        (
            "",
            "http2 = { plain = true }",
            &[r#"frontend "plain", http2.plain: false -> true"#],
        ),
        (
            "tls = { certificate = \"/a.pem\" }",
            "tls = { certificate = \"/b.pem\", key = \"/b.key\", alpn = [\"h2\", \"http/1.1\"], min_version = \"1.3\", \
             certificates = [\"/c.pem\", { certificate = \"/d.pem\", key = \"/d.key\" }], \
             client_certificate = \"optional\", client_ca = \"/ca.pem\" }",
            &[
                r#"frontend "plain", tls.certificate: "/a.pem" -> "/b.pem""#,
                r#"frontend "plain", tls.key: none -> "/b.key""#,
                r#"frontend "plain", tls.certificates: none -> [{ certificate = "/c.pem" }, { certificate = "/d.pem", key = "/d.key" }]"#,
                r#"frontend "plain", tls.min_version: "1.2" -> "1.3""#,
                r#"frontend "plain", tls.alpn: ["http/1.1"] -> ["h2", "http/1.1"]"#,
                r#"frontend "plain", tls.client_certificate: "none" -> "optional""#,
                r#"frontend "plain", tls.client_ca: none -> "/ca.pem""#,
            ],
        ),
        (
            "rules = { read_only = true }",
            "rules = [{ users = \"eva\", read = [\"a\", \"b_*\"], write = [], measurements = \"m\", statements = \"select\", deny_statements = [\"show\", \"drop\"] }]",
            &[
                r#"frontend "plain", rules[0]: { read_only = true } -> { users = ["eva"], read = ["a", "b_*"], write = [], measurements = ["m"], statements = ["select"], deny_statements = ["show", "drop"] }"#,
            ],
        ),
    ] {
        let said = of_frontend(old, new);
        let in_order: Vec<&str> = said.iter().map(String::as_str).collect();
        assert_eq!(in_order, expected, "{new}");
    }
    // What is denied is shown, however much stands before it.
    let rule = |denied: &str| {
        format!(
            "rules = {{ users = \"eva\", statements = [{long}], deny_statements = {denied:?} }}"
        )
    };
    let shown = of_frontend(&rule("create"), &rule("alter"));
    let [shown] = shown.as_slice() else {
        panic!("{shown:?}")
    };
    assert!(
        shown.contains(r#"deny_statements = ["create"] }"#)
            && shown.contains(r#"deny_statements = ["alter"] }"#),
        "{shown}"
    );
    let backend = "[[backend]]\nname = \"web\"";
    assert_eq!(
        said(backend, "", "tls = { ca = \"/ca.pem\" }"),
        [
            r#"backend "web", server "w", tls: none -> { ca = "/ca.pem", server_name = "127.0.0.1", verify = "required", min_version = "1.2" }"#
        ]
    );
    assert_eq!(
        said(
            backend,
            "tls = { ca = \"/ca.pem\" }",
            "tls = { verify = \"none\" }"
        ),
        [
            r#"backend "web", server "w", tls.ca: "/ca.pem" -> none"#,
            r#"backend "web", server "w", tls.verify: "required" -> "none""#
        ]
    );
    let login = |name: &str| {
        format!("login = {{ users = \"a*\", username = {name:?}, password_file = \"/p\" }}")
    };
    assert_eq!(
        said(backend, &login("one"), &login("two")),
        [
            r#"backend "web", login[0]: { users = ["a*"], username = "one", password_file = "/p" } -> { users = ["a*"], username = "two", password_file = "/p" }"#
        ]
    );
    let server = "[[frontend]]\nname = \"front\"";
    let socket = |mode: &str| {
        let table = format!(
            "[server]\nstop_timeout = \"2m\"\nstats_socket = {{ path = \"/s\", mode = {mode:?} }}\n{server}"
        );
        config(&WHOLE.replacen(server, &table, 1))
    };
    let said = changes(&socket("600"), &socket("660"));
    assert_eq!(
        said.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [r#"server.stats_socket.mode: "600" -> "660""#]
    );
    assert!(said.iter().all(Change::needs_restart));
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
        // What a backend says of TLS counts for each of its servers.
        let name = match name.as_str() {
            "backend, servers[].tls" => format!("backend, tls`, `{name}"),
            _ => name,
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
