//! HTTP/2 on a frontend: what InfluxDB's clients do over it, and what a client that means harm cannot do.

use std::io::Write;
use std::time::{Duration, Instant};

use h2::Reason;
use serde_json::Value;

use crate::support::authority::Authority;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, RST_STREAM, WINDOW_UPDATE,
    frame, has_frame, header, opening,
};
use crate::support::http2::Http2;
use crate::support::lab::{also_secure, replace};
use crate::support::programs::{run, succeeds};
use crate::support::source::connect_from;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Lab, Options, StandIn, http, status, wait_until};

/// What a stream may hold if nobody says more.
const WINDOW: u32 = 65_535;

/// haflux before a stand-in for a node, on an address that speaks HTTP/2 without TLS, with `keys`.
struct Site {
    haflux: Haflux,
    node: StandIn,
    _folder: tempfile::TempDir,
}

impl Site {
    fn start(
        keys: &str,
        script: impl Fn(&crate::support::Request) -> Behaviour + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = StandIn::start(script);
        let configuration = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\n\
             [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
             [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n{keys}\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\ncheck = false\n",
            node.address()
        );
        Self {
            haflux: Haflux::start(&folder.path().join("haflux"), &configuration),
            node,
            _folder: folder,
        }
    }

    fn connect(&self, last: u8) -> Http2 {
        Http2::connect(last, &self.haflux.address("front"), WINDOW)
    }

    fn front(&self) -> Value {
        status::frontend(&self.haflux.url("page"), "front")
    }

    fn counts(&self, counter: &str) -> u64 {
        self.front()["http2"][counter].as_u64().expect("a number")
    }

    fn wait_for(&self, counter: &str, count: u64) {
        let what = format!("{counter} to be {count}");
        wait_until(&what, SOON, || self.counts(counter) == count);
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn echo(request: &crate::support::Request) -> Behaviour {
    match request.path() {
        "/slow" => Behaviour::After(Duration::from_millis(700), Box::new(echo_path(request))),
        "/never" => Behaviour::After(HOUR, Box::new(echo_path(request))),
        "/large" => Behaviour::status(200, &"x".repeat(4 << 20)),
        "/half" => Behaviour::break_off("the beginning"),
        _ => echo_path(request),
    }
}

fn echo_path(request: &crate::support::Request) -> Behaviour {
    Behaviour::status(200, request.path())
}

#[test]
fn an_influxdb_is_written_and_read_over_http2() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let certificate = authority.sign("site.pem", "localhost", 90);
    let both = also_secure(&certificate, &["alpn = [\"h2\", \"http/1.1\"]"]);
    let lab = Lab::start_with(Options::default(), |text| {
        let plain = "http2 = { plain = true }\ntls = {";
        replace(both(text), &[("tls = {", plain)])
    });
    lab.create_database("telegraf");
    let ca = authority.certificate();
    let file = folder.path().join("points");
    let points: String = (0..60_000).map(|n| format!("many v={n} {n}\n")).collect();
    std::fs::write(&file, points).expect("a file");
    let file = file.to_str().expect("a name");
    for (url, how) in [
        (
            format!("https://{}", lab.haflux.address("secure")),
            "--http2",
        ),
        (lab.influx_url(), "--http2-prior-knowledge"),
    ] {
        let curl = |more: &[&str]| {
            let usual = [
                "-sS",
                how,
                "--cacert",
                &ca,
                "-w",
                "[%{http_version} %{http_code}]",
            ];
            succeeds(&run("curl", &[&usual, more].concat()))
        };
        let write = format!("{url}/write?db=telegraf");
        let query = format!("{url}/query?db=telegraf&chunked=true");
        assert_eq!(curl(&[&write, "--data-binary", "one v=1 1"]), "[2 204]");
        // With a length that is announced and that curl asks about first, and with none.
        let large = format!("@{file}");
        assert_eq!(curl(&[&write, "--data-binary", &large]), "[2 204]");
        assert_eq!(curl(&["-XPOST", "-T", "-", &write]), "[2 204]");
        let read = ["-G", &query, "--data-urlencode", "q=SELECT v FROM many"];
        let read = curl(&read);
        assert!(read.len() > 1_000_000, "{}", read.len());
        assert!(read.contains(",59999]") && read.ends_with("[2 200]"));
        let statement = ["--data-urlencode", "q=DROP MEASUREMENT one", &query];
        let stated = curl(&statement);
        assert!(stated.contains("statement_id"), "{stated}");
        let refused = curl(&[&write, "--data-binary", "bad"]);
        assert!(
            refused.contains("missing fields") && refused.ends_with("[2 400]"),
            "{refused}"
        );
        let head = curl(&["-I", &format!("{url}/ping")]);
        assert!(head.contains("x-influxdb-version"), "{head}");
        assert!(!head.contains("connection"), "{head}");
    }
    lab.both_hold("telegraf", "many", 60_000);
    lab.haflux.says("\"POST /write?db=telegraf HTTP/2.0\"");
    // Whoever cannot speak it does not have to.
    let old = ["-sS", "--http1.1", "--cacert", &ca, "-w", "%{http_version}"];
    let secure = format!("https://{}/ping", lab.haflux.address("secure"));
    assert_eq!(
        succeeds(&run("curl", &[&old[..], &[&secure]].concat())),
        "1.1"
    );
    assert_eq!(http::get(&format!("{}/ping", lab.influx_url())).status, 204);
}

#[test]
fn requests_of_one_connection_are_answered_beside_each_other() {
    let site = Site::start("http2 = { plain = true }", echo);
    let mut client = site.connect(1);
    let begun = Instant::now();
    let slow: Vec<_> = (0..20).map(|_| client.ask("/slow")).collect();
    let quick = client.ask("/quick");
    assert_eq!(
        client.whole(quick).expect("an answer"),
        (200, b"/quick".to_vec())
    );
    assert!(begun.elapsed() < Duration::from_millis(700));
    for answer in slow {
        assert_eq!(
            client.whole(answer).expect("an answer"),
            (200, b"/slow".to_vec())
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    let counted = (site.counts("connections"), site.counts("streams"));
    assert_eq!(counted, (1, 0));
    // What breaks off is no whole answer.
    let half = client.ask("/half");
    let error = client.whole(half).expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{error}");
}

#[test]
fn a_request_takes_as_much_of_the_limits_as_a_connection() {
    let keys = "maxconn = 8\nmaxconn_per_source = 3\nhttp2 = { plain = true }";
    let site = Site::start(keys, echo);
    let mut client = site.connect(2);
    let answers: Vec<_> = (0..10).map(|_| client.ask("/slow")).collect();
    let answered = answers.into_iter().map(|answer| client.whole(answer));
    let (good, refused): (Vec<_>, Vec<_>) = answered.partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (3, 7));
    for reply in refused {
        let error = reply.expect_err("it is refused");
        assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM), "{error}");
    }
    assert_eq!(site.counts("refused"), 7);
    assert_eq!(site.front()["source_limit"], 7);
    // What it gives back it may have again, and others have theirs.
    let again = client.ask("/again");
    assert_eq!(client.whole(again).expect("an answer").0, 200);
    let held: Vec<_> = (0..3).map(|_| client.ask("/never")).collect();
    site.wait_for("streams", 3);
    assert_eq!(http::get(&site.haflux.url("front")).status, 200);
    drop(held);
    site.wait_for("streams", 0);
}

#[test]
fn more_requests_than_max_streams_wait() {
    let site = Site::start("http2 = { plain = true, max_streams = 2 }", echo);
    let mut client = site.connect(1);
    // It learns of the limit with the first answer.
    let first = client.ask("/");
    client.whole(first).expect("an answer");
    let begun = Instant::now();
    let mut ask = |_| client.ask("/slow");
    let taken: Vec<_> = (0..2).map(&mut ask).collect();
    site.wait_for("streams", 2);
    let waiting: Vec<_> = (0..2).map(&mut ask).collect();
    for answer in taken.into_iter().chain(waiting) {
        assert_eq!(client.whole(answer).expect("an answer").0, 200);
    }
    assert!(begun.elapsed() >= Duration::from_millis(1400));
}

#[test]
fn a_client_that_takes_requests_back_all_the_time_is_cut_off() {
    let site = Site::start("http2 = { plain = true, max_resets = 30 }", echo);
    let mut other = site.connect(3);
    let kept = other.ask("/never");
    let mut client = site.connect(2);
    let mut take_back = |requests| {
        let asked: Vec<_> = (0..requests).map(|_| client.ask("/never")).collect();
        site.wait_for("streams", requests + 1);
        drop(asked);
        site.wait_for("streams", 1);
    };
    for _ in 0..3 {
        take_back(10);
    }
    site.wait_for("resets", 30);
    assert_eq!(site.counts("calmed"), 0);
    take_back(1);
    let error = client.end().expect_err("a fault of its own");
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error}");
    site.wait_for("calmed", 1);
    site.haflux
        .says("127.0.0.2 takes back more requests of one connection");
    let good = other.ask("/good");
    assert_eq!(other.whole(good).expect("an answer").0, 200);
    assert_eq!(site.counts("streams"), 1);
    drop(kept);
    site.wait_for("streams", 0);
}

#[test]
fn a_client_that_has_its_requests_reset_is_cut_off() {
    let site = Site::start("http2 = { plain = true, max_resets = 30 }", echo);
    let overflow = |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
    let ask = |stream| {
        let header = header("GET", "/never");
        frame(HEADERS, END_STREAM | END_HEADERS, stream, &header)
    };
    let too_long = |stream| {
        // One byte is announced.
        let header = [&header("POST", "/never"), &b"\x5c\x011"[..]].concat();
        [
            frame(HEADERS, END_HEADERS, stream, &header),
            frame(DATA, END_STREAM, stream, b"xx"),
        ]
        .concat()
    };
    let all = |frames: &dyn Fn(u32) -> Vec<u8>| -> Vec<u8> {
        (1..62).step_by(2).flat_map(frames).collect()
    };
    let at_once = |stream| [ask(stream), overflow(stream)].concat();
    for (number, (asked, waiting, then)) in (1..).zip([
        (all(&at_once), 0, Vec::new()),
        (all(&too_long), 0, Vec::new()),
        (all(&ask), 31, all(&overflow)),
    ]) {
        let mut connection = connect_from(2, &site.haflux.address("front"));
        connection
            .write_all(&[opening(), asked].concat())
            .expect("bytes");
        if waiting > 0 {
            site.wait_for("streams", waiting);
        }
        connection.write_all(&then).expect("bytes");
        site.wait_for("calmed", number);
        let came = http::read_until_silent(&mut connection).expect("its end");
        assert!(has_frame(&came, GOAWAY), "{came:?}");
        site.wait_for("streams", 0);
    }
}

#[test]
fn an_answer_that_is_not_read_holds_up_nobody_else() {
    let keys = "http2 = { plain = true }\ntimeout = { client = \"2s\" }";
    let site = Site::start(keys, echo);
    let mut client = site.connect(1);
    let large = client.ask("/large");
    let head = client.head(large).expect("a header");
    assert_eq!(head.status(), 200);
    let other = client.ask("/other");
    assert_eq!(client.whole(other).expect("an answer").0, 200);
    // Its time is up: the request ends, and the connection stays.
    site.wait_for("streams", 0);
    let other = client.ask("/other");
    assert_eq!(client.whole(other).expect("an answer").0, 200);
    drop(head);
    // One that is read comes whole.
    let large = client.ask("/large");
    assert_eq!(client.whole(large).expect("an answer").1.len(), 4 << 20);
}

#[test]
fn a_stop_answers_what_has_begun_and_says_that_no_more_is_taken() {
    let mut site = Site::start("http2 = { plain = true }", echo);
    let mut client = site.connect(1);
    let idle = site.connect(1);
    let answers: Vec<_> = (0..20).map(|_| client.ask("/slow")).collect();
    let large = client.ask("/large");
    site.wait_for("streams", 21);
    site.haflux.ask_to_end();
    for answer in answers {
        assert_eq!(
            client.whole(answer).expect("an answer"),
            (200, b"/slow".to_vec())
        );
    }
    assert_eq!(client.whole(large).expect("an answer").1.len(), 4 << 20);
    // Both hear of it, and it is no fault.
    client.end().expect("an end in order");
    idle.end().expect("an end in order");
    assert!(site.haflux.wait().success());
    assert_eq!(site.node.requests_for("/slow").len(), 20);
}

#[test]
fn a_connection_without_requests_ends_after_a_while() {
    let keys = "http2 = { plain = true }\ntimeout = { http_keep_alive = \"300ms\", http_request = \"600ms\" }";
    let site = Site::start(keys, echo);
    let mut client = site.connect(1);
    let slow = client.ask("/slow");
    assert_eq!(client.whole(slow).expect("an answer").0, 200);
    client.end().expect("an end in order");
    // One that never asks, and one that never comes to HTTP/2.
    site.connect(1).end().expect("an end in order");
    let mut silent = connect_from(1, &site.haflux.address("front"));
    silent
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM")
        .expect("bytes");
    assert!(http::read_until_silent(&mut silent).is_ok());
    wait_until("it to be counted", SOON, || {
        site.front()["request_errors"] == 1
    });
}

#[test]
fn a_header_that_is_too_large_is_refused_as_over_http_1() {
    let site = Site::start("http2 = { plain = true }\nmax_header_size = \"8KiB\"", echo);
    let mut client = site.connect(1);
    let large = "x".repeat(9_000);
    let (answer, _) = client.begin("GET", "/", &[("x-large", &large)], true);
    let (status, body) = client.whole(answer).expect("an answer");
    assert_eq!(status, 431);
    assert_eq!(body, b"{\"error\":\"the request's header is too large\"}\n");
    assert_eq!(site.front()["malformed_requests"], 1);
    // Twice as much and more is for the library.
    let larger = "x".repeat(17_000);
    let (answer, _) = client.begin("GET", "/", &[("x-large", &larger)], true);
    let head = client.head(answer);
    assert!(head.is_err() || head.is_ok_and(|head| head.status() == 431));
    // What the two forms of HTTP could tell differently is refused, and the connection goes on.
    let (answer, _) = client.begin("GET", "/", &[("host", "other")], true);
    assert_eq!(client.whole(answer).expect("an answer").0, 400);
    let good = client.ask("/good");
    assert_eq!(client.whole(good).expect("an answer").0, 200);
}

#[test]
fn floods_end_their_connection_and_no_other() {
    let site = Site::start("http2 = { plain = true }", echo);
    let mut good = site.connect(3);
    let kept = good.ask("/slow");
    let address = site.haflux.address("front");
    let headers = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, GET);
    // A header that never ends, streams that are taken back before anybody can look at them, and what is no frame here at all.
    let mut continued = frame(HEADERS, END_STREAM, 1, GET);
    for _ in 0..20_000 {
        continued.extend(frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"));
    }
    let mut reset = Vec::new();
    for stream in (1..250).step_by(2) {
        reset.extend(headers(stream));
        reset.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    let nonsense = frame(CONTINUATION, 0, 7, b"x");
    for (number, flood) in (1..).zip([continued, reset, nonsense]) {
        let mut connection = connect_from(2, &address);
        // It may be closed before all is sent.
        let _ = connection.write_all(&[opening(), flood].concat());
        let came = http::read_until_silent(&mut connection).unwrap_or_default();
        site.wait_for("broken", number);
        assert!(came.is_empty() || has_frame(&came, GOAWAY), "{came:?}");
    }
    site.haflux.says("127.0.0.2 breaks the rules of HTTP/2");
    assert_eq!(good.whole(kept).expect("an answer").0, 200);
    site.wait_for("streams", 0);
}

#[test]
fn a_client_that_says_goodbye_gets_its_answers() {
    let site = Site::start("http2 = { plain = true }", echo);
    let mut connection = connect_from(1, &site.haflux.address("front"));
    let ask = [
        opening(),
        frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            1,
            b"\x82\x86\x04\x05/slow\x41\x01x",
        ),
        frame(GOAWAY, 0, 0, &[0; 8]),
    ];
    connection.write_all(&ask.concat()).expect("bytes");
    let came = http::read_until_silent(&mut connection).expect("an answer");
    assert!(came.windows(5).any(|part| part == b"/slow"), "{came:?}");
    site.wait_for("streams", 0);
    assert_eq!(site.counts("broken"), 0);
}

#[test]
fn a_raw_quote_or_angle_in_a_target_is_refused_alone() {
    let site = Site::start("http2 = { plain = true }", echo);
    let ask = |stream, path| {
        frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &header("GET", path),
        )
    };
    let mut connection = connect_from(1, &site.haflux.address("front"));
    let asked = [
        opening(),
        ask(1, "/query?q=SELECT+\"v\"+FROM+m"),
        ask(3, "/query?q=SELECT+v+FROM+m+WHERE+v<2"),
        ask(5, "/query?q=SELECT+v+FROM+m+WHERE+v>2"),
        ask(7, "/good?q=SELECT+%22v%22+FROM+m+WHERE+v%3C2"),
        frame(GOAWAY, 0, 0, &[0; 8]),
    ];
    connection.write_all(&asked.concat()).expect("bytes");
    let came = http::read_until_silent(&mut connection).expect("an answer");
    let refused = [1, 3, 5].map(|stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 1]));
    for refusal in refused {
        let found = came.windows(refusal.len()).any(|part| part == refusal);
        assert!(found, "{refusal:?} is not in {came:?}");
    }
    assert!(came.windows(5).any(|part| part == b"/good"), "{came:?}");
    // Over HTTP/1.1 it is taken.
    let raw =
        b"GET /query?q=SELECT+\"v\"+WHERE+v<2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = http::raw(&site.haflux.address("front"), raw, SOON).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{answer:?}");
}

#[test]
fn plain_http2_is_refused_where_it_is_not_spoken() {
    let site = Site::start("", echo);
    let answer = http::raw(&site.haflux.address("front"), &opening(), SOON).expect("an answer");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    assert_eq!(site.counts("connections"), 0);
}
