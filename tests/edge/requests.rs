//! Requests that no client library makes: what InfluxDB alone refuses is refused, what it takes and means one thing is taken,
//! and both nodes are the same afterwards.

use std::time::Duration;

use crate::support::http::raw;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Influxd, Lab, StandIn, status, wait_until};

const SILENCE: Duration = Duration::from_secs(20);

/// Status and text of the answer to these bytes.
#[track_caller]
fn exchange(address: &str, request: &[u8]) -> (u16, String) {
    let answer = raw(address, request, SILENCE).expect("an answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status in {text:?}")),
        text,
    )
}

/// A request that is the last of its connection.
fn request(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let text = format!("{line}\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}");
    text.into_bytes()
}

fn lab() -> Lab {
    let lab = Lab::start();
    lab.create_database("t");
    lab
}

/// What a refusal is: InfluxDB's error, one line in the log, one more in the counter.
#[track_caller]
fn assert_refused(lab: &Lab, request: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(request).into_owned();
    let errors =
        || status::frontend(&lab.influx_url(), "influx_front")["malformed_requests"].as_u64();
    let lines = || lab.haflux.log().matches(" PR-- ").count();
    let (errors_before, lines_before) = (errors(), lines());
    let (answered, text) = exchange(&lab.haflux.address("influx_front"), request);
    assert_eq!(answered, status, "{shown:?}: {text}");
    let (header, body) = text.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert!(body["error"].is_string(), "{text}");
    let header = header.to_ascii_lowercase();
    for line in [
        "content-type: application/json",
        "x-influxdb-error: ",
        "connection: close",
    ] {
        assert!(header.contains(line), "{shown:?}: {text}");
    }
    assert!(!header.contains("pingora"), "{text}");
    assert_eq!(
        errors(),
        errors_before.map(|errors| errors + 1),
        "{shown:?}"
    );
    wait_until("a line in the log", SOON, || lines() == lines_before + 1);
}

#[test]
fn what_may_mean_two_things_reaches_no_node() {
    let lab = lab();
    lab.write("t", "frag v=1 1");
    lab.both_hold("t", "frag", 1);
    let drop = "POST /query?db=t&q=DROP+MEASUREMENT+frag";
    for (bytes, status) in [
        (
            request("POST foo:/query?q=CREATE+DATABASE+d HTTP/1.1", "", ""),
            400,
        ),
        (
            request("POST query?q=CREATE+DATABASE+d HTTP/1.1", "", ""),
            400,
        ),
        (
            request("POST http:///query?q=CREATE+DATABASE+d HTTP/1.1", "", ""),
            400,
        ),
        (
            request(
                "POST http://u:p@x/query?q=CREATE+DATABASE+d HTTP/1.1",
                "",
                "",
            ),
            400,
        ),
        (request(&format!("{drop}#2 HTTP/1.1"), "", ""), 400),
        (
            request("POST /query#?db=t&q=DROP+MEASUREMENT+frag HTTP/1.1", "", ""),
            400,
        ),
        (request(&format!("{drop} now HTTP/1.1"), "", ""), 400),
        (request(&format!("{drop}\u{1} HTTP/1.1"), "", ""), 400),
        (
            request("POST /quer%y?q=CREATE+DATABASE+d HTTP/1.1", "", ""),
            400,
        ),
        (
            request(
                "POST /write?db=t HTTP/1.1",
                "Transfer-Encoding: gzip, chunked\r\n",
                "5\r\na v=1\r\n0\r\n\r\n",
            ),
            501,
        ),
        (
            request(
                "POST /write?db=t HTTP/1.1",
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "0\r\n\r\n",
            ),
            400,
        ),
        (
            request(
                "POST /write?db=t HTTP/1.1",
                "Content-Length: 5\r\nContent-Length: 4\r\n",
                "a v=1",
            ),
            400,
        ),
        (
            request(
                "POST /write?db=t HTTP/1.1",
                "Content-Length: +5\r\n",
                "a v=1",
            ),
            400,
        ),
        (
            request(
                "POST /write?db=t HTTP/1.1",
                "Expect: 200-ok\r\nContent-Length: 5\r\n",
                "a v=1",
            ),
            417,
        ),
        (
            request(
                "POST /query HTTP/1.1",
                "Content-Type: application/x-www-form-urlencoded\u{a0}\r\nContent-Length: 19\r\n",
                "q=CREATE+DATABASE+d",
            ),
            400,
        ),
        (
            request(
                "POST /query HTTP/1.1",
                "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n",
                "",
            ),
            400,
        ),
        (request("GET /ping HTTP/1.1", "A: b\r\n c\r\n", ""), 400),
        (request("GET /ping HTTP/1.1", "A : b\r\n", ""), 400),
        (request("GET /ping HTTP/1.1", "A: b\rC: d\r\n", ""), 400),
        (request("GET /ping HTTP/1.1", "A: b\0\r\n", ""), 400),
        (request("GET /ping HTTP/1.1", "Host: y\r\n", ""), 400),
        (
            b"POST /write?db=t HTTP/1.1\r\nContent-Length: 5\r\n\r\na v=1".to_vec(),
            400,
        ),
        (b"GET /ping\r\n\r\n".to_vec(), 400),
        (b"GET /ping HTTP/1.9\r\nHost: x\r\n\r\n".to_vec(), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            400,
        ),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n".to_vec(), 405),
        (
            request(
                "GET /ping HTTP/1.1",
                &format!("A: {}\r\n", "x".repeat(70_000)),
                "",
            ),
            431,
        ),
    ] {
        assert_refused(&lab, &bytes, status);
    }
    lab.both_hold("t", "frag", 1);
    let databases = lab.node1.query("", "SHOW DATABASES").to_string();
    assert_eq!(databases, lab.node2.query("", "SHOW DATABASES").to_string());
    assert!(!databases.contains("\"d\""), "{databases}");
}

#[test]
fn what_influxdb_takes_and_means_one_thing_is_taken() {
    let lab = lab();
    let alone = Influxd::start(&lab.folder().join("alone"));
    alone.create_database("t");
    let through = lab.haflux.address("influx_front");
    let get = |target: &str| request(&format!("GET {target} HTTP/1.1"), "", "");
    let write = |headers: &str, body: &str| request("POST /write?db=t HTTP/1.1", headers, body);
    for bytes in [
        write("Content-Length: 6\r\n", "pp v=1"),
        write("Content-Length: 6\r\nContent-Length: 6\r\n", "qq v=1"),
        write("Transfer-Encoding: Chunked\r\n", "6\r\nrr v=1\r\n0\r\n\r\n"),
        get("/query?db=t&q=SELECT+count(v)+FROM+\"pp\""),
        get("/query?db=t&q=SELECT+count(v)+FROM+pp+WHERE+v<2+AND+v>0"),
        get("/query?db=t&q=SELECT+count(v)+FROM+\"p\\p\""),
        get("/query?db=t&q=SHOW+TAG+VALUES+WITH+KEY+=~+/^{|}`/"),
        get("/query?db=t&q=SELECT+v+FROM+\"größe\""),
        get("http://somewhere:8086/query?db=t&q=SELECT+count(v)+FROM+pp"),
        get("/pi\"ng"),
        get("//ping"),
        get("/%70ing"),
        request("OPTIONS * HTTP/1.1", "", ""),
        request("GET /query?db=t&q=SELECT+count(v)+FROM+qq HTTP/1.0", "", ""),
        b"GET /query?db=t&q=SELECT+count(v)+FROM+qq HTTP/1.1\nHost: x\nConnection: close\n\n"
            .to_vec(),
        request(
            "POST /query?db=t&q=DROP+MEASUREMENT+\"rr\" HTTP/1.1",
            "",
            "",
        ),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let expected = exchange(&alone.address(), &bytes);
        let found = exchange(&through, &bytes);
        assert_eq!(found.0, expected.0, "{shown:?}: {} {}", found.1, expected.1);
        let results = |text: &str| text.find("{\"results\"").map(|at| text[at..].to_owned());
        let unchunked = |text: &str| {
            results(text).map(|text| text.split('\n').next().unwrap_or_default().to_owned())
        };
        assert_eq!(unchunked(&found.1), unchunked(&expected.1), "{shown:?}");
    }
    for node in [&lab.node1, &lab.node2] {
        assert_eq!(node.count("t", "pp", "v") + node.count("t", "qq", "v"), 2);
    }
    lab.assert_same("t");
}

#[test]
fn requests_sent_ahead_are_each_judged() {
    let lab = lab();
    let one = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let write = "POST /write?db=t HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\na v=1 1";
    let chunked = "POST /write?db=t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7\r\na v=1 2\r\n0\r\n\r\n";
    let bad = "GET foo:/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let all = [one, write, chunked, one, bad, one].concat();
    let address = lab.haflux.address("influx_front");
    let answer = raw(&address, all.as_bytes(), SILENCE).expect("answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let statuses: Vec<&str> = answer
        .lines()
        .filter(|line| line.starts_with("HTTP/1.1 "))
        .collect();
    assert_eq!(statuses.len(), 5, "{answer}");
    assert!(
        statuses[..4].iter().all(|line| line.contains(" 204 ")),
        "{answer}"
    );
    assert!(statuses[4].contains(" 400 "), "{answer}");
    lab.both_hold("t", "a", 2);
}

#[test]
fn what_connection_names_is_the_clients_and_not_what_haflux_sets() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = StandIn::start(|_| Behaviour::no_content());
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nforwarded_for = true\n\
         http_request = [{{ set_header = {{ X-Zone = \"inner\", Authorization = \"Basic own\" }} }}]\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\ncheck = false\n",
        node.address()
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    // The second one is passed on while it comes.
    for (method, length) in [("GET", 0), ("POST", 100_000)] {
        let text = format!(
            "{method} /write HTTP/1.1\r\nHost: x\r\nX-Mine: 1\r\nX-Other: 2\r\nX-Zone: outer\r\nContent-Length: {length}\r\n\
             Connection: close, X-Zone, Authorization, X-Mine, X-Forwarded-Proto\r\n\
             Connection: X-Forwarded-For, Host, Content-Length, connection\r\n\r\n{}",
            "x".repeat(length)
        );
        let (status, answer) = exchange(&haflux.address("front"), text.as_bytes());
        assert_eq!(status, 204, "{answer}");
        let requests = node.requests();
        let request = requests.last().expect("a request");
        assert_eq!(
            (request.method.as_str(), request.body.len()),
            (method, length)
        );
        for (name, value) in [
            ("x-zone", Some("inner")),
            ("authorization", Some("Basic own")),
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
            ("host", Some("x")),
            ("x-other", Some("2")),
            ("x-mine", None),
        ] {
            assert_eq!(request.header(name), value, "{method} {name}");
        }
    }
}
