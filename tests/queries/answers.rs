//! Answers of any length: a verdict needs a status and the beginning of an answer, a client hears InfluxDB's own text, and the
//! answer to a statement streams to it. The first half runs on real nodes; stand-ins give the answers without an end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support;
use crate::support::http::{self, Answer};
use crate::support::lab::relay_keys;
use crate::support::points::noise;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Lab, Options, StandIn, query_url, query_with, relay_over, status, wait_until,
};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The lab, with a relay that does not wait for long.
fn lab() -> Lab {
    Lab::start_with(
        Options::default(),
        relay_keys("rewind = \"500ms\"\nretry = { max = \"500ms\" }"),
    )
}

fn error_of(answer: &Answer) -> String {
    let json = answer.json();
    json["error"].as_str().unwrap_or_default().to_owned()
}

/// A number of each replica.
fn of_replicas(url: &str, name: &str) -> Vec<u64> {
    let relay = status::relay(url);
    let replicas = relay["replicas"].as_array().cloned().unwrap_or_default();
    replicas
        .iter()
        .filter_map(|replica| replica[name].as_u64())
        .collect()
}

fn number(url: &str, name: &str) -> u64 {
    status::relay(url)[name].as_u64().expect("a number")
}

#[track_caller]
fn nothing_is_resent(lab: &Lab) {
    let url = lab.influx_url();
    wait_until("everything to be judged", SOON, || {
        let relay = status::relay(&url);
        let lags = relay["replicas"].as_array().cloned().unwrap_or_default();
        lags.iter().all(|replica| replica["lag"]["records"] == 0)
    });
    let before = of_replicas(&url, "requests");
    // Long enough for several tries: the first comes after 100 ms.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(of_replicas(&url, "requests"), before);
    assert_eq!(of_replicas(&url, "retries"), [0, 0]);
}

#[test]
fn a_refusal_of_many_bad_lines_is_heard_once_and_stops_nobody() {
    let mut lab = lab();
    lab.create_database("a");
    lab.create_database("b");
    for count in [42, 8000, 100_000] {
        let lines: String = match count {
            42 => (0..42).map(|line| format!("bad{line} x\n")).collect(),
            _ => "x\n".repeat(count),
        };
        let direct = lab.node1.write("a", &lines);
        let answer = lab.write("a", &lines);
        assert_eq!((answer.status, direct.status), (400, 400), "{count}");
        assert_eq!(
            answer.header("x-influxdb-error"),
            direct.header("x-influxdb-error")
        );
        if direct.body.len() <= 64 * 1024 {
            assert_eq!(answer.text(), direct.text(), "{count}");
            assert!(error_of(&answer).contains("bad41"));
        } else {
            let (here, there) = (error_of(&answer), error_of(&direct));
            assert!(there.len() > 256 * 1024 && here.len() < 66_000);
            assert_eq!(here[..60_000], there[..60_000]);
            assert_eq!(here[here.len() - 4000..], there[there.len() - 4000..]);
            assert!(here.contains(" bytes left out) "), "{count}");
        }
        assert_eq!(lab.write("b", format!("m v={count} {count}")).status, 204);
    }
    nothing_is_resent(&lab);
    lab.both_hold("b", "m", 3);

    // In the other forms it is as proper, and so it is with good lines beside the bad ones.
    let url = format!("{}/write?db=a", lab.influx_url());
    let lines = format!("good v=1 1\n{}", "x\n".repeat(8000));
    let csv = http::request("POST", &url, &[("Accept", "text/csv")], lines.as_bytes());
    assert_eq!(csv.status, 400);
    let text = csv.text();
    assert!(
        text.starts_with("error\n\"partial write: unable to parse 'x'"),
        "{}",
        &text[..200]
    );
    assert!(
        text.ends_with(" dropped=0\"\n"),
        "{}",
        &text[text.len() - 100..]
    );
    lab.both_hold("a", "good", 1);

    lab.haflux.restart();
    assert_eq!(lab.write("a", "x\n").status, 400);
    assert_eq!(lab.write("b", "m v=1 1").status, 204);
    let relay = status::relay(&lab.influx_url());
    assert_eq!(relay["dead_letters"], 0, "{relay}");
}

/// Points of about 60 bytes each in JSON.
const POINTS: usize = 150_000;

/// Many megabytes, on both nodes alike.
fn fill(lab: &Lab) {
    lab.create_database("big");
    for start in (0..POINTS).step_by(10_000) {
        let lines: String = (start..start + 10_000)
            .map(|point| format!("m v={point},s=\"text number {point}\" {point}\n"))
            .collect();
        for node in [&lab.node1, &lab.node2] {
            assert_eq!(node.write("big", &lines).status, 204);
        }
    }
}

/// The most bytes that haflux held at once.
fn peak_memory(haflux: &mut Haflux) -> u64 {
    let file = format!("/proc/{}/status", haflux.id());
    let status = std::fs::read_to_string(file).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.expect("a number") * 1024
}

fn statements_of(lab: &Lab, name: &str) -> bool {
    [&lab.node1, &lab.node2].iter().all(|node| {
        let answer = node.query("", "SHOW DATABASES");
        answer.to_string().contains(&format!("\"{name}\""))
    })
}

#[test]
fn the_answer_to_a_statement_streams_to_its_client_and_is_carried_out_once() {
    let mut lab = lab();
    fill(&lab);
    let url = lab.influx_url();
    let q = "CREATE DATABASE z; SELECT * FROM m";
    for shape in [("epoch", "ns"), ("pretty", "true"), ("chunked", "true")] {
        let parameters = [("db", "big"), ("q", q), shape];
        let answer = query_with(&lab.influx_url(), &parameters);
        let direct = query_with(&lab.node1.url(), &parameters);
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() > 5_000_000, "{}", answer.body.len());
        assert!(answer.body == direct.body, "{shape:?}: the answers differ");
        assert_eq!(answer.header("content-type"), direct.header("content-type"));
        assert_eq!(
            answer.header("x-influxdb-version"),
            direct.header("x-influxdb-version")
        );
    }
    wait_until("the database on both", SOON, || statements_of(&lab, "z"));
    assert_eq!(number(&url, "streamed_answers"), 3);
    // What comes after it finds what it did, and runs.
    assert_eq!(lab.write("z", "m v=1 1").status, 204);
    assert_eq!(
        query_with(&lab.influx_url(), &[("q", "CREATE DATABASE y")]).status,
        200
    );
    nothing_is_resent(&lab);
    let requests = of_replicas(&url, "requests");
    // Three long ones, a write, a short one.
    assert_eq!(requests, [5, 5]);
    assert_eq!(number(&url, "dead_letters"), 0);
    assert_eq!(number(&url, "answer_buffer"), 0);
    let peak = peak_memory(&mut lab.haflux);
    assert!(peak < 80_000_000, "{peak} bytes for answers of 5 to 13 MB");

    // In another form it is held, and told honestly when it is too long for that; never is it repeated.
    let parameters = [("db", "big"), ("q", "CREATE DATABASE x; SELECT * FROM m")];
    let target = query_url(&url, &parameters);
    let csv = http::request("POST", &target, &[("Accept", "text/csv")], b"");
    assert_eq!(csv.status, 500, "{}", csv.text());
    assert!(
        csv.text().contains("the statements were carried out"),
        "{}",
        csv.text()
    );
    let parameters = [
        ("db", "big"),
        ("q", "CREATE DATABASE x; SELECT * FROM m LIMIT 30000"),
    ];
    let target = query_url(&url, &parameters);
    let csv = http::request("POST", &target, &[("Accept", "text/csv")], b"");
    assert_eq!(csv.status, 200);
    assert_eq!(csv.text().matches("\nm,,").count(), 30_000);
    nothing_is_resent(&lab);
    assert_eq!(of_replicas(&url, "requests"), [7, 7]);
}

#[test]
fn an_answer_that_json_cannot_express_is_passed_on_and_not_repeated() {
    let lab = lab();
    lab.create_database("a");
    assert_eq!(lab.write("a", "m v=1e308 1").status, 204);
    // Node 1 is asked itself.
    lab.both_hold("a", "m", 1);
    let parameters = [
        ("db", "a"),
        ("q", "CREATE DATABASE z; SELECT v * 1000.0 FROM m"),
    ];
    let direct = query_with(&lab.node1.url(), &parameters);
    assert!(
        direct.text().contains("json: unsupported value"),
        "{}",
        direct.text()
    );
    let answer = query_with(&lab.influx_url(), &parameters);
    assert_eq!(
        (answer.status, answer.text()),
        (direct.status, direct.text())
    );
    wait_until("the database on both", SOON, || statements_of(&lab, "z"));
    nothing_is_resent(&lab);
}

/// A request on a connection of its own, of which nothing is read.
fn ask(lab: &Lab, parameters: &[(&str, &str)]) -> TcpStream {
    let address = lab.haflux.address("influx_front");
    let mut connection = TcpStream::connect(address).expect("a connection");
    let target = query_url("", parameters);
    let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("a request");
    connection
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    connection
}

#[test]
fn a_slow_reader_of_a_long_answer_holds_up_nobody() {
    let lab = lab();
    lab.create_database("a");
    fill(&lab);
    let url = lab.influx_url();
    let parameters = [
        ("db", "big"),
        ("q", "CREATE DATABASE z; SELECT * FROM m; SELECT * FROM m"),
    ];
    // Who is known may write while no node judges writes.
    assert_eq!(lab.write("a", "m v=0 0").status, 204);
    let mut slow = ask(&lab, &parameters);
    let mut first = [0; 100];
    slow.read_exact(&mut first).expect("the beginning");
    // Writers are not kept waiting, and both nodes are done with the statement soon.
    let mut slowest = Duration::ZERO;
    let begun = Instant::now();
    let mut written = 0;
    while number(&url, "slow_answers") == 0 {
        assert!(begun.elapsed() < SOON, "the slow client is waited for");
        written += 1;
        let since = Instant::now();
        assert_eq!(
            lab.write("a", format!("m v={written} {written}")).status,
            204
        );
        slowest = slowest.max(since.elapsed());
    }
    assert!(slowest < Duration::from_millis(2500), "{slowest:?}");
    lab.both_hold("a", "m", written + 1);
    nothing_is_resent(&lab);
    // The connection ends, and not as if the answer were whole.
    let rest = http::read_until_silent(&mut slow).unwrap_or_default();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    assert!(rest.len() < 14_000_000, "{}", rest.len());

    // So it is for a client that leaves.
    let mut leaving = ask(&lab, &parameters);
    leaving.read_exact(&mut first).expect("the beginning");
    drop(leaving);
    assert_eq!(
        query_with(&lab.influx_url(), &[("q", "CREATE DATABASE y")]).status,
        200
    );
    wait_until("the next statement on both", SOON, || {
        statements_of(&lab, "y")
    });
    nothing_is_resent(&lab);
    assert_eq!(number(&url, "answer_buffer"), 0);
}

fn gzipped(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes()).expect("room");
    encoder.finish().expect("a gzip body")
}

/// A body of many fields on one line.
fn long_line(bytes: usize, filling: &str) -> String {
    let mut line = "long v=1".to_owned();
    let mut field = 0;
    while line.len() < bytes {
        line.push_str(&format!(",f{field}=\"{filling}\""));
        field += 1;
    }
    line + " 7"
}

#[test]
fn a_line_that_unfolds_beyond_max_body_is_stored_or_refused_for_good() {
    // What a debug build unpacks of it takes a busy machine many seconds.
    let lab = Lab::start_with(Options::default(), relay_keys("timeout = \"60s\""));
    lab.create_database("a");
    let url = format!("{}/write?db=a", lab.influx_url());
    let line = long_line(26_000_000, &"x".repeat(60_000));
    assert!(line.len() > 25_000_000 + 512 * 1024);
    let packed = gzipped(&line);
    let gzip = [("Content-Encoding", "gzip")];
    let direct = http::request(
        "POST",
        &format!("{}/write?db=a", lab.node1.url()),
        &gzip,
        &packed,
    );
    assert_eq!(direct.status, 204, "{}", direct.text());
    let answer = http::request("POST", &url, &gzip, &packed);
    assert_eq!(answer.status, 204, "{}", answer.text());
    lab.both_hold("a", "long", 1);
    assert_eq!(of_replicas(&lab.influx_url(), "too_large"), [1, 1]);
    assert_eq!(of_replicas(&lab.influx_url(), "refused"), [0, 0]);

    // What unfolds beyond max_unpacked_body, and what no journal holds, is refused without "try again".
    let line = long_line(34_000_000, &"x".repeat(60_000));
    let packed = gzipped(&line);
    let answer = http::request("POST", &url, &gzip, &packed);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(error_of(&answer), "Request Entity Too Large");
    assert_eq!(lab.write("a", "m v=1 1").status, 204);
}

#[test]
fn a_line_that_no_node_takes_in_gzip_either_is_refused_as_too_large() {
    let options = Options::default().set("http", "max-body-size", "20000");
    let lab = Lab::start_with(options, relay_keys("rewind = \"500ms\""));
    lab.create_database("a");
    let line = format!("m v=1,s=\"{}\" 1", noise(40_000));
    let answer = lab.write("a", &line);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(error_of(&answer), "Request Entity Too Large");
    // One that gets small enough is taken.
    let line = format!("m v=2,s=\"{}\" 2", "x".repeat(40_000));
    assert_eq!(lab.write("a", &line).status, 204);
    lab.both_hold("a", "m", 1);
    nothing_is_resent(&lab);
}

/// A relay over two stand-ins that do this with writes and statements.
fn over_stand_ins(
    keys: &str,
    script: impl Fn(usize, &support::stand_in::Request) -> Behaviour + Send + Sync + Clone + 'static,
) -> (Haflux, [StandIn; 2], tempfile::TempDir) {
    let nodes = [0, 1].map(|node| {
        let script = script.clone();
        StandIn::start(move |request| match request.path() {
            "/write" | "/query" if !request.target.contains("SHOW") => script(node, request),
            _ => Behaviour::no_content(),
        })
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&nodes[0], &nodes[1]], keys));
    (haflux, nodes, folder)
}

fn chunked(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    )
    .into_bytes()
}

/// The answer to a statement with more rows than are held.
fn long_answer() -> String {
    let rows = "[1,\"row\"],".repeat(60_000);
    format!(
        "{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"values\":[{rows}[2,\"last\"]]}}]}}]}}\n"
    )
}

#[test]
fn the_end_of_an_answer_comes_when_the_policy_is_met() {
    let keys = "ack = \"all\"\nstatement_timeout = \"4s\"";
    let (haflux, _nodes, _folder) = over_stand_ins(keys, |node, request| {
        match request.target.contains("never") || request.text().contains("never") {
            true if node == 1 => Behaviour::Hang,
            _ => Behaviour::status(200, &long_answer()),
        }
    });
    let ask = |q: &str| {
        let url = query_url(&haflux.url("reads"), &[("q", q)]);
        http::try_request("POST", &url, &[], b"")
    };
    let answer = ask("CREATE DATABASE z; SELECT * FROM m").expect("an answer");
    assert_eq!(answer.text(), long_answer());
    // The other node does not come to its end: what the first one says comes, and the end does not.
    let address = haflux.address("reads");
    let target = query_url("", &[("q", "CREATE DATABASE never; SELECT * FROM m")]);
    let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    let received = http::raw(&address, request.as_bytes(), Duration::from_secs(20));
    let received = received.expect("an answer");
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(
        received.len() > long_answer().len() / 2,
        "{}",
        received.len()
    );
    assert!(!received.ends_with(b"0\r\n\r\n"));
}

#[test]
fn who_heard_the_end_of_a_long_answer_reads_what_the_statement_did() {
    // If the node that hangs is first at the statement, the other one has its turn after half of the time.
    let keys = "rewind = \"500ms\"\nstatement_timeout = \"4s\"";
    // Whichever node it is whose turn it is to answer the read.
    for reads_before in [0, 1] {
        let (haflux, _nodes, _folder) = over_stand_ins(keys, |node, request| {
            let is_statement =
                request.target.contains("CREATE") || request.text().contains("CREATE");
            let own = format!("{{\"results\":[{{\"statement_id\":{node}}}]}}\n");
            match (is_statement, node) {
                (false, _) => Behaviour::status(200, &own),
                (true, 0) => Behaviour::status(200, &long_answer()),
                (true, _) => Behaviour::Hang,
            }
        });
        let url = haflux.url("reads");
        let ask = |q: &str| query_with(&url, &[("db", "a"), ("q", q)]);
        for _ in 0..reads_before {
            assert_eq!(ask("SELECT v FROM m").status, 200);
        }
        let answer = ask("CREATE DATABASE z; SELECT * FROM m");
        assert_eq!(answer.text(), long_answer());
        // The other node has not come to its end, so it answers no read.
        let read = ask("SELECT v FROM m");
        assert_eq!(read.text(), "{\"results\":[{\"statement_id\":0}]}\n");
        assert_eq!(read.header("x-haflux-stale"), None);
    }
}

#[test]
fn a_refusal_whose_end_never_comes_is_a_verdict() {
    let (haflux, nodes, _folder) = over_stand_ins("timeout = \"10s\"", |_, request| {
        let text = request.text();
        let body = "{\"error\":\"unable to parse 'x': missing fie";
        if text.contains("endless") {
            let beginning = chunked("400 Bad Request", body);
            Behaviour::Drip(
                [beginning, b"1\r\nx\r\n".repeat(5000)].concat(),
                Duration::from_micros(100),
            )
        } else if text.contains("half") {
            let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n";
            Behaviour::Raw(format!("{head}{body}").into_bytes())
        } else if text.contains("huge") {
            let lines = "unable to parse 'x': missing fields\\n".repeat(200_000);
            Behaviour::status(
                400,
                &format!("{{\"error\":\"{lines}the end dropped=0\"}}\n"),
            )
        } else {
            Behaviour::no_content()
        }
    });
    for kind in ["half", "endless", "huge"] {
        let answer = haflux.write("a", format!("{kind} v=1 1"));
        assert_eq!(answer.status, 400, "{kind}: {}", answer.text());
        let error = error_of(&answer);
        assert!(
            error.starts_with("unable to parse 'x': missing fie"),
            "{kind}: {error}"
        );
        assert!(answer.body.len() < 70_000, "{kind}");
        if kind == "huge" {
            assert!(error.ends_with("the end dropped=0"));
        }
        assert_eq!(haflux.write("a", "good v=1 1").status, 204);
        for node in &nodes {
            wait_until("the verdict", SOON, || {
                let sent = node.requests_for("/write");
                sent.iter()
                    .filter(|sent| sent.text() == "good v=1 1")
                    .count()
                    >= 1
            });
            let sent = node.requests_for("/write");
            let times = sent
                .iter()
                .filter(|sent| sent.text().contains(kind))
                .count();
            assert_eq!(times, 1, "{kind}");
        }
    }
    assert_eq!(number(&haflux.url("front"), "dead_letters"), 0);
}

#[test]
fn a_statement_whose_refusal_has_no_end_is_refused_and_sent_once() {
    let (haflux, nodes, _folder) = over_stand_ins("timeout = \"2s\"", |_, request| {
        let endless = b"1\r\nx\r\n".repeat(5000);
        if request.target.contains("ENDLESS") || request.text().contains("ENDLESS") {
            let beginning = chunked("400 Bad Request", "{\"error\":\"error parsing query: fou");
            Behaviour::Drip([beginning, endless].concat(), Duration::from_micros(100))
        } else {
            Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n")
        }
    });
    let ask = |q: &str| query_with(&haflux.url("reads"), &[("q", q)]);
    let answer = ask("CREATE ENDLESS");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(error_of(&answer).starts_with("error parsing query: fou"));
    assert_eq!(ask("CREATE DATABASE z").status, 200);
    wait_until("both to be done", SOON, || {
        of_replicas(&haflux.url("front"), "applied") == [1, 1]
    });
    for node in &nodes {
        let sent = node.requests_for("/query");
        let statements = sent
            .iter()
            .filter(|sent| sent.target.contains("CREATE") || sent.text().contains("CREATE"));
        assert_eq!(statements.count(), 2);
    }
}

#[test]
fn half_an_answer_to_a_statement_is_no_verdict_and_its_clients_connection_ends() {
    let asked = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counts = Arc::clone(&asked);
    let (haflux, _nodes, _folder) = over_stand_ins("rewind = \"500ms\"", move |node, _| {
        let whole = long_answer();
        match counts[node].fetch_add(1, Ordering::Relaxed) {
            0 => Behaviour::break_off(&whole[..whole.len() / 2]),
            _ => Behaviour::status(200, &whole),
        }
    });
    let url = query_url(
        &haflux.url("reads"),
        &[("q", "CREATE DATABASE z; SELECT * FROM m")],
    );
    let answer = http::try_request("POST", &url, &[], b"");
    assert!(answer.is_err(), "{answer:?}");
    wait_until("it to be carried out", SOON, || {
        of_replicas(&haflux.url("front"), "applied") == [1, 1]
    });
    for count in asked.iter() {
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}

#[test]
fn an_error_after_a_long_beginning_is_the_answer_of_all_or_of_nobody() {
    // 0: both refuse. Above that: the one that is asked first.
    let rounds = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&rounds);
    let (haflux, _nodes, _folder) = over_stand_ins("rewind = \"500ms\"", move |_, _| {
        let rows = "[1,\"row\"],".repeat(60_000);
        let series = format!("\"series\":[{{\"values\":[{rows}[2,\"last\"]]}}]");
        let refuses =
            asked.load(Ordering::Relaxed) == 0 || asked.fetch_add(1, Ordering::Relaxed) == 1;
        let error = match refuses {
            true => ",{\"statement_id\":1,\"error\":\"too late\"}",
            false => "",
        };
        Behaviour::status(
            200,
            &format!("{{\"results\":[{{\"statement_id\":0,{series}}}{error}]}}\n"),
        )
    });
    let url = query_url(
        &haflux.url("reads"),
        &[("q", "CREATE DATABASE z; SELECT * FROM m")],
    );
    let answer = http::post(&url, "");
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("\"error\":\"too late\"}]}\n"));
    rounds.store(1, Ordering::Relaxed);
    let answer = http::try_request("POST", &url, &[], b"");
    assert!(answer.is_err(), "{answer:?}");
    let front = haflux.url("front");
    wait_until("the dead letter", SOON, || {
        number(&front, "dead_letters") == 1
    });
    wait_until("its reason", SOON, || {
        let letters = haflux.told(&["dead-letters", "list"]);
        String::from_utf8_lossy(&letters.stdout).contains("too late")
    });
    let applied: u64 = of_replicas(&front, "applied").into_iter().sum();
    assert_eq!(applied, 1);
}
