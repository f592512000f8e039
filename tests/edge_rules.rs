//! What the clients of a frontend may read, change and state; and what becomes of their requests by rules about HTTP.

mod support;

use support::http::{Answer, get, post, request};
use support::query::query;
use support::{Haflux, Influxd, status};

/// Two frontends with `keys`, of a replicated pool and of a plain one, and one without for the figures.
fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    for database in ["a", "b", "w"] {
        node.create_database(database);
        let wrote = post(&format!("{}/write?db={database}", node.url()), "m v=1 1");
        assert_eq!(wrote.status, 204);
    }
    let address = node.address();
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n{keys}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\n{keys}\n\
         [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n"
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    (folder, node, haflux)
}

fn counted(haflux: &Haflux, frontend: &str, counter: &str) -> u64 {
    let view = status::frontend(&haflux.url("page"), frontend);
    view[counter].as_u64().expect("a number")
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
            &ask(&url, "a", "CREATE USER eve WITH PASSWORD 'hidden secret'"),
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
    let log = haflux.log();
    assert!(
        log.contains("127.0.0.1 is refused by rules: changing database \"b\" is not allowed"),
        "{log}"
    );
    assert!(
        !log.contains("hidden secret") && !log.contains("eve"),
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
