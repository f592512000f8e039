//! The guards of queries: how many run, how long one may, which are refused and logged; what `haflux queries` shows and ends. On real
//! nodes, which must be free of a query that was ended.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::Value;

use crate::support::edge;
use crate::support::http::{self, Answer, post, query_string, request};
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Options, status, wait_until};

/// Computes so many thousand means. A node takes a second for some millions.
fn means(thousands: u64) -> String {
    format!(
        "SELECT count(v) FROM (SELECT mean(v) AS v FROM m WHERE time >= 0 AND time < {thousands}s AND host = 'a' GROUP BY time(1ms) fill(0))"
    )
}

/// Takes minutes.
fn endless() -> String {
    means(10_000_000)
}

const FINGERPRINT: &str = "SELECT count(v) FROM (SELECT mean(v) AS v FROM m WHERE time >= ? AND time < ? AND host = ? GROUP BY time(?) fill(?))";

/// A node, and haflux with frontends `front` and `plain`, both with `keys`.
fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    fill(&node);
    let haflux = edge::before(&node, folder.path(), keys);
    (folder, node, haflux)
}

fn fill(node: &Influxd) {
    node.create_database("d");
    assert_eq!(node.write("d", "m,host=a v=1 1").status, 204);
}

fn ask(url: &str, text: &str) -> Answer {
    let parameters = query_string(&[("db", "d"), ("q", text)]);
    post(&format!("{url}/query?{parameters}"), "")
}

fn ask_as(url: &str, user: &str, text: &str) -> Answer {
    let parameters = query_string(&[("db", "d"), ("u", user), ("p", "hidden"), ("q", text)]);
    post(&format!("{url}/query?{parameters}"), "")
}

fn beside(url: &str, user: &str, text: &str) -> JoinHandle<Answer> {
    let (url, user, text) = (url.to_owned(), user.to_owned(), text.to_owned());
    std::thread::spawn(move || ask_as(&url, &user, &text))
}

#[track_caller]
fn is_free(node: &Influxd) {
    wait_until("the node to be free of the query", SOON, || {
        let queries = node.try_query("", "SHOW QUERIES");
        queries.is_some_and(|queries| !queries.to_string().contains("mean(v)"))
    });
}

/// What a figure of a frontend's queries says.
fn counted(haflux: &Haflux, frontend: &str, figure: &str) -> u64 {
    let view = status::frontend(&haflux.url("page"), frontend);
    view["queries"][figure].as_u64().expect("a number")
}

#[track_caller]
fn assert_said(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    let said = match status {
        200 => &json["results"][0]["error"],
        _ => &json["error"],
    };
    assert_eq!(said, error, "{}", answer.text());
}

fn queries(haflux: &Haflux) -> Value {
    serde_json::from_str(&haflux.order(&["queries", "--json"])).expect("a document")
}

#[test]
fn a_query_that_runs_too_long_is_ended_on_its_node() {
    let (_folder, node, haflux) = start("queries = { max_time = \"300ms\" }");
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let begun = Instant::now();
        let answer = ask(&url, &endless());
        assert_said(&answer, 200, "query-timeout limit exceeded");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        is_free(&node);
        // InfluxDB's CSV shows no error, and an empty answer would be taken for one.
        let parameters = query_string(&[("db", "d"), ("q", &endless())]);
        let target = format!("{url}/query?{parameters}");
        let csv = request("GET", &target, &[("Accept", "text/csv")], b"");
        assert_eq!(
            (csv.status, csv.text().as_str()),
            (503, "error\nquery-timeout limit exceeded\n")
        );
        is_free(&node);
        assert_eq!(ask(&url, "SELECT v FROM m").status, 200);
        assert_eq!(counted(&haflux, front, "ended_by_time"), 2);
        assert_eq!(counted(&haflux, front, "running"), 0);
    }
    haflux.says("ended (queries.max_time): query ");
    haflux.says(" PH-- ");
    let shown = queries(&haflux);
    let row = shown["queries"].as_array().expect("a list").iter();
    let row = row.clone().find(|row| row["query"] == FINGERPRINT);
    let row = row.unwrap_or_else(|| panic!("{shown:#}"));
    assert_eq!((&row["count"], &row["errors"]), (&4.into(), &4.into()));
    assert!(row["p99"].as_f64() >= Some(0.3), "{row}");
}

#[test]
fn an_answer_that_has_begun_is_broken_off() {
    let (_folder, node, haflux) = start("queries = { max_time = \"500ms\" }");
    let text =
        "SELECT mean(v) FROM m WHERE time >= 0 AND time < 10000000s GROUP BY time(1ms) fill(0)";
    let parameters = query_string(&[("db", "d"), ("q", text), ("chunked", "true")]);
    for front in ["front", "plain"] {
        let url = format!("{}/query?{parameters}", haflux.url(front));
        let answer = http::try_request("GET", &url, &[], b"");
        assert!(answer.is_err(), "{:?}", answer.map(|answer| answer.status));
        is_free(&node);
        assert_eq!(counted(&haflux, front, "ended_by_time"), 1);
    }
    haflux.says(" PD-- ");
}

#[test]
fn each_user_has_a_share_of_the_queries_that_run_and_a_person_ends_one() {
    let (_folder, node, haflux) = start("queries = { max_running = 3, max_running_per_user = 2 }");
    let url = haflux.url("front");
    let running = |wanted: u64| {
        wait_until("queries to run", SOON, || {
            counted(&haflux, "front", "running") == wanted
        });
    };
    let mut clients = vec![
        beside(&url, "ann", &endless()),
        beside(&url, "ann", &endless()),
    ];
    running(2);
    let refused = ask_as(&url, "ann", "SELECT v FROM m");
    let words = "max-concurrent-queries limit exceeded(2, 2) (queries.max_running_per_user)";
    assert_said(&refused, 429, words);
    assert_eq!(refused.header("retry-after"), Some("1"));
    clients.push(beside(&url, "bob", &endless()));
    running(3);
    let refused = ask(&url, "SELECT v FROM m");
    let words = "max-concurrent-queries limit exceeded(3, 3) (queries.max_running)";
    assert_said(&refused, 503, words);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // What is no query goes on, and so does another frontend.
    assert_eq!(
        post(&format!("{url}/write?db=d"), "m,host=b v=2 2").status,
        204
    );
    assert_eq!(http::get(&format!("{url}/ping")).status, 204);
    assert_eq!(ask(&haflux.url("plain"), "SELECT v FROM m").status, 200);

    haflux.edit(&[("max_running = 3", "max_running = 4")]);
    haflux.order(&["reload"]);
    wait_until("the reload", SOON, || {
        ask(&url, "SELECT v FROM m").status == 200
    });

    let shown = haflux.order(&["queries", "--running"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    for (line, user) in lines.iter().skip(1).zip(["ann", "ann", "bob"]) {
        for part in ["127.0.0.1", user, " d ", "back/one", "front", FINGERPRINT] {
            assert!(line.contains(part), "{part}: {shown}");
        }
    }
    assert!(
        !shown.contains("hidden") && !shown.contains("'a'"),
        "{shown}"
    );
    for line in lines.iter().skip(1) {
        let id = line.split_whitespace().next().expect("an id");
        let said = haflux.order(&["queries", "kill", id]);
        assert!(
            said.starts_with(&format!("ended: query {id} of 127.0.0.1")),
            "{said}"
        );
        assert!(
            haflux
                .refuses(&["queries", "kill", "4711"])
                .contains("4711")
        );
    }
    for client in clients {
        assert_said(&client.join().expect("a client"), 200, "query interrupted");
    }
    is_free(&node);
    running(0);
    assert_eq!(ask_as(&url, "ann", "SELECT v FROM m").status, 200);
    assert_eq!(counted(&haflux, "front", "ended_by_order"), 3);
    assert_eq!(counted(&haflux, "front", "refused_user"), 1);
    assert_eq!(counted(&haflux, "front", "running_max"), 4);
    let table = haflux.order(&["queries"]);
    assert!(
        table.starts_with("COUNT  RUNNING") && table.contains("back/one"),
        "{table}"
    );
    haflux.says("ended (haflux queries kill): query ");
    haflux.says(" KH-- ");
}

#[test]
fn a_select_without_a_beginning_is_refused_by_what_it_means() {
    let (_folder, node, haflux) = start("queries = { unbounded = \"refuse\" }");
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        for text in [
            "SELECT v FROM m",
            "SELECT v FROM m WHERE time < now() -- time > 0",
            "SELECT \"time > 0\" FROM m WHERE host = 'time > 0'",
            "SHOW SERIES; SELECT v FROM (SELECT v FROM m) WHERE host = 'a'",
        ] {
            let refused = ask(&url, text);
            assert_eq!(refused.status, 400, "{text}: {}", refused.text());
            let error = refused.json()["error"].to_string();
            assert!(error.contains("(queries.unbounded)"), "{error}");
        }
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let asked = "db=d&q=SELECT+v+FROM+m";
        let refused = request("POST", &format!("{url}/query"), &[form], asked.as_bytes());
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(counted(&haflux, front, "refused_unbounded"), 5);
        for text in [
            "SELECT v FROM m WHERE time >= 0",
            "SELECT v FROM (SELECT v FROM m) WHERE host = 'a' AND time > 0",
            "SHOW TAG VALUES WITH KEY = host",
            "SELECT v INTO copy FROM m",
            "EXPLAIN SELECT v FROM m",
            "no InfluxQL",
        ] {
            let answer = ask(&url, text);
            let error = answer.text();
            assert!(!error.contains("queries.unbounded"), "{text}: {error}");
        }
    }
    assert_eq!(node.count("d", "copy", "v"), 1);
}

#[test]
fn slow_queries_are_logged_without_their_values() {
    let (_folder, _node, haflux) = start("queries = { slow = \"1ms\" }");
    let text = format!(
        "{}; SELECT v FROM m WHERE token = 's3cret1' AND \"key\" = \"s3cret2\" OR host =~ /s3cret3/ -- s3cret4",
        means(100)
    );
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let parameters = query_string(&[("db", "d"), ("u", "ann"), ("p", "s3cret5"), ("q", &text)]);
        let answer = post(&format!("{url}/query?{parameters}"), "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let basic = ("Authorization", "Token bob:s3cret6");
        let parameters = query_string(&[("db", "d"), ("q", &format!("{} 's3cret7", means(100)))]);
        request("GET", &format!("{url}/query?{parameters}"), &[basic], b"");
        assert!(counted(&haflux, front, "slow") >= 1);
    }
    haflux.says("of 127.0.0.1, user \"ann\", database \"d\", on plain_back/one, after ");
    let shown =
        format!("{FINGERPRINT}; SELECT v FROM m WHERE token = ? AND \"key\" = ? OR host =~ ?");
    haflux.says(&shown);
    let everything = [
        haflux.log(),
        haflux.order(&["queries"]),
        haflux.order(&["queries", "--json"]),
    ];
    for said in everything {
        assert!(!said.contains("s3cret"), "{said}");
    }
}

/// Stands between haflux and a node, and keeps a connection to the node open that haflux has closed.
struct DeafProxy {
    address: String,
    kept: Arc<AtomicUsize>,
}

impl DeafProxy {
    fn before(node: &Influxd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let kept = Arc::new(AtomicUsize::new(0));
        let (node, counter) = (node.address(), Arc::clone(&kept));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&node)) else {
                    continue;
                };
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || carry(&client, &server, &counter));
            }
        });
        Self { address, kept }
    }
}

/// Both ways, until the server has closed its side.
fn carry(client: &TcpStream, server: &TcpStream, kept: &AtomicUsize) {
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        let mut bytes = [0; 4096];
        while let Ok(read) = from.read(&mut bytes)
            && read > 0
            && to.write_all(&bytes[..read]).is_ok()
        {}
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            copy(client, server);
            kept.fetch_add(1, Ordering::Relaxed);
        });
        copy(server, client);
        let _ = client.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_node_that_does_not_hear_of_the_end_is_told_to_kill_the_query() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let options = Options::default().auth().asked_as("root", "r00t");
    let node = Influxd::start_with(&path.join("node"), options);
    node.query(
        "",
        "CREATE USER root WITH PASSWORD 'r00t' WITH ALL PRIVILEGES",
    );
    fill(&node);
    let proxy = DeafProxy::before(&node);
    let haflux = Haflux::start(&path.join("haflux"), &behind_proxy(path, &proxy.address));
    let url = haflux.url("front");
    let parameters = query_string(&[("db", "d"), ("u", "root"), ("p", "r00t"), ("q", &endless())]);
    let answer = post(&format!("{url}/query?{parameters}"), "");
    assert_said(&answer, 200, "query-timeout limit exceeded");
    haflux.says("was told to KILL QUERY ");
    assert!(proxy.kept.load(Ordering::Relaxed) > 0);
    is_free(&node);
    assert_eq!(status::page(&haflux.url("page"))["query_kills"], 1);
    assert!(!haflux.log().contains("r00t"));
}

/// The node behind the proxy knows the pool's administrator by another name.
fn behind_proxy(folder: &Path, address: &str) -> String {
    let (of_pool, own) = (folder.join("of_pool"), folder.join("own"));
    std::fs::write(&of_pool, "elsewhere\n").expect("a password");
    std::fs::write(&own, "r00t\n").expect("a password");
    format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nqueries = {{ max_time = \"1s\" }}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\nheal = {{ username = \"healer\", password_file = {of_pool:?} }}\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{address}\", \
         login = {{ instead_of = \"healer\", username = \"root\", password_file = {own:?} }} }}]\n"
    )
}
