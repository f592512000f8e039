//! What the clients of a frontend may read, change and state; and what becomes of their requests by rules about HTTP.

use crate::support;
use crate::support::edge::{self, counted};
use crate::support::http::{Answer, get, post, request};
use crate::support::query::query;
use crate::support::{Haflux, Influxd, status};

/// Two frontends with `keys`, of a replicated pool and of a plain one, and one without for the figures.
fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    for database in ["a", "b", "w"] {
        node.create_database(database);
        let wrote = post(&format!("{}/write?db={database}", node.url()), "m v=1 1");
        assert_eq!(wrote.status, 204);
    }
    let haflux = edge::before(&node, folder.path(), keys);
    (folder, node, haflux)
}

/// A query in the URL, escaped.
fn ask(url: &str, database: &str, text: &str) -> Answer {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    post(&format!("{url}/query?db={database}&q={escaped}"), "")
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[track_caller]
fn assert_forbidden(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = format!("forbidden by the rules of this frontend: {why}");
    assert_eq!(answer.json()["error"], expected);
    assert_eq!(answer.header("x-influxdb-error"), Some(expected.as_str()));
}

#[test]
fn databases_are_read_and_changed_as_the_rules_say() {
    let (_folder, node, haflux) =
        start("rules = { read = [\"a\", \"b*\"], write = [\"a\", \"w\"] }");
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        // What is allowed goes on.
        assert_eq!(post(&format!("{url}/write?db=w"), "m v=2 2").status, 204);
        assert_eq!(
            ask(&url, "b", "SELECT v FROM m").json()["results"][0]["series"][0]["values"][0][1],
            1
        );
        assert_eq!(ask(&url, "b", "SELECT v INTO w..copied FROM m").status, 200);
        assert_eq!(get(&format!("{url}/ping")).status, 204);
        // What is not does not, wherever it stands.
        let records = |haflux: &Haflux| status::relay(&haflux.url("page"))["head"].as_u64();
        let before = records(&haflux);
        let large = format!("q=DROP+DATABASE+b&x={}", "x".repeat(200_000));
        let refused = [
            (
                post(&format!("{url}/write?db=b"), "m v=2 2"),
                "changing database \"b\" is not allowed",
            ),
            (
                post(&format!("{url}/api/v2/write?bucket=b/autogen"), "m v=2 2"),
                "changing database \"b\" is not allowed",
            ),
            (
                post(&format!("{url}/api/v1/prom/write?db=b"), "x"),
                "changing database \"b\" is not allowed",
            ),
            (
                post(&format!("{url}/write?x=1;db=b&db=a"), "m v=2 2"),
                "changing database \"b\" is not allowed",
            ),
            (
                ask(&url, "w", "SELECT v FROM m"),
                "reading database \"w\" is not allowed",
            ),
            (
                ask(&url, "a", "SELECT v FROM w..m"),
                "reading database \"w\" is not allowed",
            ),
            (
                ask(&url, "a", "SELECT v FROM (SELECT v FROM w..m)"),
                "reading database \"w\" is not allowed",
            ),
            (
                ask(&url, "a", "SELECT v INTO b..m FROM m"),
                "changing database \"b\" is not allowed",
            ),
            (
                ask(&url, "a", "SHOW MEASUREMENTS; DROP DATABASE b"),
                "changing database \"b\" is not allowed",
            ),
            (
                request(
                    "POST",
                    &format!("{url}/query"),
                    &[FORM],
                    b"q=DROP+DATABASE+b",
                ),
                "changing database \"b\" is not allowed",
            ),
            (
                request("POST", &format!("{url}/query"), &[FORM], large.as_bytes()),
                "changing database \"b\" is not allowed",
            ),
            (
                request("POST", &format!("{url}/api/v1/prom/read?db=w"), &[], b"x"),
                "reading database \"w\" is not allowed",
            ),
            (
                request("POST", &format!("{url}/api/v2/delete?bucket=b"), &[], b"{}"),
                "changing database \"b\" is not allowed",
            ),
        ];
        for (answer, why) in &refused {
            assert_forbidden(answer, why);
        }
        let all =
            "only some databases may be read, and it is about every one, or cannot be told which";
        let untold = [
            ask(&url, "a", "SHOW DATABASES"),
            get(&format!("{url}/debug/vars")),
            get(&format!("{url}/%64ebug/vars")),
            get(&format!("{url}/metrics")),
            request(
                "POST",
                &format!("{url}/api/v2/query"),
                &[("Content-Type", "application/vnd.flux")],
                b"from(bucket: \"a\")",
            ),
            post(&format!("{url}/%77rite?db=a"), "m v=1"),
        ];
        for answer in &untold {
            assert_forbidden(answer, all);
        }
        assert_forbidden(
            &ask(
                &url,
                "a",
                "CREATE USER evelina7 WITH PASSWORD 'hidden secret'",
            ),
            "only some databases may be changed, and it is about every one, or cannot be told which",
        );
        let refusals = refused.len() + untold.len() + 1;
        assert_eq!(counted(&haflux, front, "rule_refusals"), refusals as u64);
        assert_eq!(records(&haflux), before, "nothing of it is journaled");
    }
    for database in ["b", "w"] {
        let left = query(&node.url(), database, "SELECT count(v) FROM m").json();
        let expected = if database == "b" { 1 } else { 2 };
        assert_eq!(
            left["results"][0]["series"][0]["values"][0][1], expected,
            "{left}"
        );
    }
    haflux.says("127.0.0.1 is refused by rules: changing database \"b\" is not allowed");
    let log = haflux.log();
    assert!(
        !log.contains("hidden secret") && !log.contains("evelina7"),
        "{log}"
    );
}

#[test]
fn statements_are_told_by_the_grammar_and_a_reload_changes_which() {
    let (_folder, node, haflux) = start(
        "rules = { statements = [\"select\", \"show\", \"delete\"], deny_statements = \"delete\" }",
    );
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        assert_eq!(ask(&url, "a", "SELECT \"into\" FROM \"DROP\"").status, 200);
        assert_eq!(ask(&url, "a", "SHOW DATABASES").status, 200);
        assert_eq!(
            post(&format!("{url}/write?db=a"), "n v=1").status,
            204,
            "a write is no statement"
        );
        for (text, name) in [
            ("DROP DATABASE a", "DROP DATABASE"),
            ("select v into x from m", "SELECT INTO"),
            (
                "SHOW SERIES; /* x */ dRoP\tMEASUREMENT m",
                "DROP MEASUREMENT",
            ),
            ("DELETE FROM m", "DELETE"),
            ("GRANT ALL TO eve", "GRANT"),
        ] {
            assert_forbidden(&ask(&url, "a", text), &format!("{name} is not allowed"));
        }
        assert_forbidden(
            &ask(&url, "a", "nonsense"),
            "a statement that cannot be told is not allowed",
        );
    }
    haflux.edit(&[("deny_statements = \"delete\"", "read_only = true")]);
    haflux.order(&["reload"]);
    let url = haflux.url("front");
    support::wait_until("the reload", support::wait::SOON, || {
        post(&format!("{url}/write?db=a"), "n v=1").status == 403
    });
    assert_forbidden(&ask(&url, "a", "DELETE FROM m"), "only reads are allowed");
    let left = query(&node.url(), "a", "SELECT count(v) FROM m").json();
    assert_eq!(left["results"][0]["series"][0]["values"][0][1], 1, "{left}");
}

#[test]
fn rules_are_for_users_by_the_name_in_their_credentials() {
    let (_folder, _node, haflux) = start(
        "rules = [{ users = [\"grafana\", \"view_*\"], read_only = true }, { users = \"telegraf\", read = [], write = \"a\" }]",
    );
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let write = |who: &str| post(&format!("{url}/write?db=a&{who}"), "n v=1").status;
        assert_eq!(write("u=telegraf&p=x"), 204);
        assert_eq!(write("u=grafana&p=x"), 403);
        assert_eq!(write("u=view_7&p=x"), 403);
        assert_forbidden(
            &post(&format!("{url}/write?db=a"), "n v=1"),
            "no rule is for this user",
        );
        assert_forbidden(
            &ask(&url, "a&u=telegraf&p=x", "SELECT v FROM m"),
            "reading database \"a\" is not allowed",
        );
        assert_eq!(ask(&url, "a&u=view_7&p=x", "SELECT v FROM m").status, 200);
        let basic = ("Authorization", "Basic Z3JhZmFuYTp4");
        let answer = request(
            "GET",
            &format!("{url}/query?q=DROP+DATABASE+a"),
            &[basic],
            b"",
        );
        assert_forbidden(&answer, "only reads are allowed");
    }
}

/// A server that says what header it was asked with.
fn echo() -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut asked = Vec::new();
            let mut most = usize::MAX;
            while asked.len() < most {
                let mut piece = [0; 16_384];
                match connection.read(&mut piece) {
                    Ok(read) if read > 0 => asked.extend_from_slice(&piece[..read]),
                    _ => break,
                }
                let text = String::from_utf8_lossy(&asked).to_ascii_lowercase();
                if let Some((header, _)) = text.split_once("\r\n\r\n") {
                    let mut lines = header.lines();
                    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize =
                        length.map_or(0, |length| length.parse().expect("a length"));
                    most = header.len() + 4 + length;
                }
            }
            if asked.starts_with(b"GET /end ") {
                return;
            }
            let length = asked.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Secret: 1\r\nContent-Length: {length}\r\n\r\n"
            );
            // The check leaves without asking.
            let _ = connection.write_all(&[head.as_bytes(), &asked].concat());
        }
    });
    (address, serving)
}

/// A stand-in is asked, because a node does not say what headers it got.
#[test]
fn requests_are_refused_sent_elsewhere_and_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("a");
    let (echo, echoing) = echo();
    let keys = "http_request = [\n\
         { deny = 451, if = { path_beg = \"/debug\" } },\n\
         { redirect = { scheme = \"https\", code = 301 }, if = { path_beg = \"/login\" } },\n\
         { redirect = { location = \"/ping\" }, if = { path = \"/\" } },\n\
         { set_header = { \"X-Org\" = \"ours\", Authorization = \"Basic hidden\" }, del_header = [\"Cookie\", \"X-Gone\"] },\n\
         ]\n\
         http_response = [\n\
         { set_header = { \"X-Frame-Options\" = \"DENY\" }, del_header = \"X-Secret\" },\n\
         { del_header = \"X-Influxdb-Version\", unless = { path = \"/query\" } },\n\
         ]\n";
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n{keys}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"echo\"\n{keys}\n\
         [[backend]]\nname = \"echo\"\ncheck = false\nservers = [{{ name = \"one\", address = \"{echo}\" }}]\n",
        node.address()
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let denied = get(&format!("{url}/debug/vars"));
        assert_eq!(denied.status, 451);
        assert_eq!(
            denied.json()["error"],
            "unavailable for legal reasons: refused by a rule"
        );
        assert_eq!(counted(&haflux, front, "denied_requests"), 1);
        let sent = get(&format!("{url}/login?to=%2Fx"));
        assert_eq!(sent.status, 301);
        let expected = format!("https://{}/login?to=%2Fx", haflux.address(front));
        assert_eq!(sent.header("location"), Some(expected.as_str()));
        let sent = get(&url);
        assert_eq!((sent.status, sent.header("location")), (302, Some("/ping")));
        assert_eq!(sent.header("x-frame-options"), None, "haflux's own");
    }
    let plain = haflux.url("plain");
    let headers = [
        ("Cookie", "a=b"),
        ("X-Gone", "1"),
        ("X-Org", "theirs"),
        ("X-Stays", "2"),
    ];
    let body = "x".repeat(200_000);
    for (method, body) in [("GET", ""), ("POST", body.as_str())] {
        let answer = request(method, &format!("{plain}/some"), &headers, body.as_bytes());
        let asked = answer.text().to_ascii_lowercase();
        assert_eq!(answer.status, 200, "{method}");
        assert!(
            asked.contains("x-org: ours\r\n") && asked.contains("x-stays: 2\r\n"),
            "{asked}"
        );
        assert!(asked.contains("authorization: basic hidden\r\n"), "{asked}");
        assert!(
            !asked.contains("theirs") && !asked.contains("cookie") && !asked.contains("x-gone"),
            "{asked}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("x-secret"), None);
    }
    let front = haflux.url("front");
    let wrote = post(&format!("{front}/write?db=a"), "m v=1");
    assert_eq!(
        (wrote.status, wrote.header("x-frame-options")),
        (204, Some("DENY"))
    );
    assert_eq!(wrote.header("x-influxdb-version"), None);
    let read = ask(&front, "a", "SELECT v FROM m");
    assert_eq!(
        (read.status, read.header("x-frame-options")),
        (200, Some("DENY"))
    );
    assert!(read.header("x-influxdb-version").is_some());
    let made = ask(&front, "a", "CREATE DATABASE x");
    assert_eq!(
        (made.status, made.header("x-frame-options")),
        (200, Some("DENY"))
    );
    // What is set may be a password.
    haflux.edit(&[("Basic hidden", "Basic concealed")]);
    let said = haflux.order(&["reload"]);
    assert!(said.contains("http_request"), "{said}");
    haflux.says(" LR-- ");
    let log = haflux.log();
    assert!(
        !format!("{said}{log}{}", haflux.order(&["check"])).contains("concealed"),
        "{said}"
    );
    assert!(!log.contains("hidden"), "{log}");
    get(&format!("{plain}/end"));
    echoing.join().expect("the stand-in's end");
}

#[test]
fn an_address_sends_no_more_requests_than_it_may() {
    let (_folder, _node, haflux) = start("rate_limit = { requests = 1, per = \"1h\", burst = 5 }");
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let statuses: Vec<_> = (0..7).map(|_| get(&format!("{url}/ping")).status).collect();
        assert_eq!(statuses, [204, 204, 204, 204, 204, 429, 429]);
        let refused = post(&format!("{url}/write?db=a"), "m v=1");
        assert_eq!(refused.status, 429);
        let wait = refused.header("retry-after").expect("a time");
        let wait: u64 = wait.parse().expect("seconds");
        assert!((3500..=3600).contains(&wait), "{wait}");
        assert_eq!(
            refused.json()["error"],
            "too many requests from this address (rate_limit)"
        );
        assert_eq!(counted(&haflux, front, "rate_limited"), 3);
    }
    haflux.edit(&[("burst = 5", "burst = 9")]);
    haflux.order(&["reload"]);
    let url = haflux.url("front");
    let status = || get(&format!("{url}/ping")).status;
    support::wait_until("the reload", support::wait::SOON, || status() == 204);
    // Who has used up one limit waits by the next one.
    while status() == 204 {}
    haflux.edit(&[("per = \"1h\"", "per = \"1s\"")]);
    haflux.order(&["reload"]);
    support::wait_until("the reload", support::wait::SOON, || status() == 204);
}
