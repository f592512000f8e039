//! The relay's endpoints on two real nodes: what is stored, and what is answered, is what InfluxDB would have stored and answered.

use std::io::Write;

use crate::support::http::{self, Answer};
use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{Lab, Options, status, wait_until, write};
use flate2::Compression;
use flate2::write::GzEncoder;

fn lab() -> Lab {
    let lab = Lab::start();
    lab.create_database("telegraf");
    both_in_reach(&lab);
    lab
}

/// A write is answered by whichever node is first; that both are in reach shows in a write that waits for no outage.
fn both_in_reach(lab: &Lab) {
    wait_until("both replicas to be fresh", SOON, || {
        let page = http::get(&format!("{}/haproxy?stats", lab.influx_url())).text();
        page.matches(">fresh</span>").count() >= 2
    });
}

/// With parameters as they are.
fn write_raw(lab: &Lab, parameters: &str, body: &[u8]) -> Answer {
    http::post(&format!("{}/write?{parameters}", lab.influx_url()), body)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (
            answer.status,
            answer.json()["error"].as_str().unwrap_or_default()
        ),
        (status, error)
    );
}

#[test]
fn a_write_reaches_both_nodes_and_is_answered_as_influxdb_answers() {
    let lab = lab();
    let answer = write_raw(
        &lab,
        "db=telegraf&precision=s",
        b"cpu,host=a v=1 1700000000\ncpu,host=b v=2 1700000000\n",
    );
    assert_eq!((answer.status, answer.body.as_slice()), (204, &b""[..]));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let ping = http::get(&format!("{}/ping", lab.node1.url()));
    let version = ping.header("x-influxdb-version");
    assert!(version.is_some_and(|version| version.starts_with("1.")));
    assert_eq!(answer.header("x-influxdb-version"), version);
    assert_eq!(answer.header("x-influxdb-build"), Some("OSS"));
    assert_eq!(answer.header("request-id").map(str::len), Some(36));
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    assert!(
        matches!(answer.header("x-haflux-applied"), Some("1/2" | "2/2")),
        "{answer:?}"
    );
    lab.both_hold("telegraf", "cpu", 2);
}

#[test]
fn lines_without_a_time_get_one_that_is_equal_on_both_nodes() {
    let lab = lab();
    for precision in ["ns", "u", "ms", "s", "m", "h"] {
        let lines = format!(
            "{precision},host=a v=1\n{precision},host=b v=2i,s=\"x y\"\n\n# comment\n{precision},host=c v=3 7\n"
        );
        let answer = write_raw(
            &lab,
            &format!("db=telegraf&precision={precision}"),
            lines.as_bytes(),
        );
        // The second line's integer conflicts with nothing: each precision is a measurement of its own, each host a series.
        assert_eq!(
            answer.status,
            400,
            "two types of one field in one request: {}",
            answer.text()
        );
        let lines = lines.replace("2i", "2");
        let precision_named = format!("db=telegraf&precision={precision}");
        let lines = lines.replace(&format!("{precision},"), &format!("clean_{precision},"));
        assert_eq!(
            write_raw(&lab, &precision_named, lines.as_bytes()).status,
            204
        );
        lab.both_hold("telegraf", &format!("clean_{precision}"), 3);
    }
}

#[test]
fn what_the_body_says_is_wrong_is_refused_in_influxdbs_words() {
    let lab = lab();
    let direct = |body: &str| lab.node1.write("telegraf", body);
    for body in [
        "cpu",
        "cpu v=",
        "cpu v=abc",
        "cpu,host v=1",
        "cpu v=1 12x",
        "# c\ncpu v=\"open",
    ] {
        let (ours, theirs) = (
            write_raw(&lab, "db=telegraf", body.as_bytes()),
            direct(body),
        );
        assert_eq!(
            (ours.status, ours.text()),
            (theirs.status, theirs.text()),
            "for {body:?}"
        );
    }
    // The good lines of a partly bad body are stored on both.
    let answer = write_raw(&lab, "db=telegraf", b"part v=1 1\npart v=x 2\npart v=3 3");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().starts_with(
            r#"{"error":"partial write: unable to parse 'part v=x 2': invalid boolean"#
        ),
        "{}",
        answer.text()
    );
    lab.both_hold("telegraf", "part", 2);
    // A conflict of types, told to the one who made it.
    assert_eq!(write_raw(&lab, "db=telegraf", b"typed v=1 1").status, 204);
    lab.both_hold("telegraf", "typed", 1);
    let answer = write_raw(&lab, "db=telegraf", b"typed v=\"text\" 2");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("field type conflict"),
        "{}",
        answer.text()
    );
}

#[test]
fn what_the_parameters_say_is_wrong_is_refused_in_influxdbs_words() {
    let lab = lab();
    refused(
        &write_raw(&lab, "", b"cpu v=1"),
        400,
        "database is required",
    );
    refused(
        &write_raw(&lab, "db=", b"cpu v=1"),
        400,
        "database is required",
    );
    refused(
        &write_raw(&lab, "db=nodb", b"cpu v=1"),
        404,
        "database not found: \"nodb\"",
    );
    refused(
        &write_raw(&lab, "db=telegraf&rp=norp", b"cpu v=1"),
        500,
        "retention policy not found: norp",
    );
    let answer = write_raw(&lab, "db=telegraf&precision=fortnight", b"cpu v=1");
    refused(
        &answer,
        400,
        "invalid precision \"fortnight\" (use n, u, ms, s, m or h)",
    );
    refused(
        &write_raw(&lab, "db=telegraf&consistency=maybe", b"cpu v=1"),
        400,
        "invalid consistency level",
    );
    // After a refusal that says something is missing, the other databases' writes go on.
    assert_eq!(write_raw(&lab, "db=telegraf", b"after v=1 1").status, 204);
    lab.both_hold("telegraf", "after", 1);
}

#[test]
fn gzip_is_undone_and_broken_gzip_is_refused() {
    let lab = lab();
    let url = format!("{}/write?db=telegraf", lab.influx_url());
    let send = |body: &[u8]| http::request("POST", &url, &[("Content-Encoding", "gzip")], body);
    assert_eq!(send(&gzip(b"zipped v=1 1\nzipped v=2 2")).status, 204);
    lab.both_hold("telegraf", "zipped", 2);
    refused(&send(b"this is no gzip"), 400, "gzip: invalid header");
    let whole = gzip(b"zipped v=3 3");
    refused(&send(&whole[..whole.len() - 6]), 400, "unexpected EOF");
    refused(&send(b""), 400, "EOF");
}

#[test]
fn a_body_that_gzip_made_small_is_stored_although_it_is_larger_than_a_node_takes() {
    let lab = lab();
    let mut lines = String::new();
    for point in 0..350_000_u32 {
        lines.push_str(&format!(
            "large,tag=a_rather_long_value_to_fill_the_body_with_something v={point} {point}\n"
        ));
    }
    assert!(lines.len() > 25_000_000, "{}", lines.len());
    let url = format!("{}/write?db=telegraf&precision=s", lab.influx_url());
    let answer = http::request(
        "POST",
        &url,
        &[("Content-Encoding", "gzip")],
        &gzip(lines.as_bytes()),
    );
    assert_eq!(answer.status, 204, "{}", answer.text());
    for node in [&lab.node1, &lab.node2] {
        wait_until("all points of the large body", SOON, || {
            node.count("telegraf", "large", "v") == 350_000
        });
    }
}

#[test]
fn a_body_over_the_limit_is_413_whether_its_length_is_told_or_not() {
    let lab = Lab::start_with(
        Options::default(),
        relay_keys("max_body = \"1KiB\"\nmax_batch = \"1KiB\""),
    );
    lab.create_database("telegraf");
    let line = b"cpu v=1 1\n".repeat(103);
    refused(
        &write_raw(&lab, "db=telegraf", &line),
        413,
        "Request Entity Too Large",
    );
    let mut chunked = b"POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    chunked.extend_from_slice(format!("{:x}\r\n", line.len()).as_bytes());
    chunked.extend_from_slice(&line);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let answer = http::raw(&lab.haflux.address("influx_front"), &chunked, SOON).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(write_raw(&lab, "db=telegraf", &line[..1020]).status, 204);
}

#[test]
fn the_other_endpoints_and_methods_answer_as_influxdb() {
    let lab = lab();
    let front = lab.influx_url();
    // Version 2's endpoint, which this node's version does not know itself: haflux speaks /write to it.
    let v2 = |parameters: &str, body: &[u8]| {
        http::post(&format!("{front}/api/v2/write?{parameters}"), body)
    };
    assert_eq!(
        v2(
            "bucket=telegraf&org=x&precision=s",
            b"second v=1 1\nsecond v=2 2"
        )
        .status,
        204
    );
    assert_eq!(
        v2("bucket=telegraf/autogen&precision=ms", b"second v=3 3000").status,
        204
    );
    lab.both_hold("telegraf", "second", 3);
    assert_eq!(v2("bucket=", b"second v=1 1").status, 404);
    assert_eq!(
        v2("bucket=telegraf&precision=h", b"second v=1 1").status,
        400
    );

    // Prometheus remote write: a time series of one sample, in protobuf and snappy.
    let sample = prometheus_write("up", 1.5, 1_700_000_000_000);
    let prometheus = http::post(&format!("{front}/api/v1/prom/write?db=telegraf"), sample);
    assert_eq!((prometheus.status, prometheus.text()), (204, String::new()));
    for node in [&lab.node1, &lab.node2] {
        wait_until("the Prometheus sample", SOON, || {
            node.count("telegraf", "up", "value") == 1
        });
    }
    let broken = http::post(
        &format!("{front}/api/v1/prom/write?db=telegraf"),
        b"not snappy",
    );
    assert_eq!(
        (broken.status, broken.json()["error"].as_str()),
        (400, Some("snappy: corrupt input"))
    );

    // Two bytes in snappy that are the beginning of a message.
    let cut = http::post(
        &format!("{front}/api/v1/prom/write?db=telegraf"),
        b"\x02\x04\xff\xff",
    );
    assert_eq!(
        (cut.status, cut.json()["error"].as_str()),
        (400, Some("unexpected EOF"))
    );
    let shown = status::relay(&front);
    assert_eq!(shown["dead_letters"], 0, "{shown}");

    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let (ours, theirs) = (
            http::request(method, &format!("{front}/write?db=telegraf"), &[], b""),
            http::request(
                method,
                &format!("{}/write?db=telegraf", lab.node1.url()),
                &[],
                b"",
            ),
        );
        assert_eq!(
            (ours.status, ours.text()),
            (theirs.status, theirs.text()),
            "{method}"
        );
    }
    for headers in [&[][..], &[("Origin", "http://grafana.example")][..]] {
        let of = |base: &str| http::request("OPTIONS", &format!("{base}/write"), headers, b"");
        let (ours, theirs) = (of(&front), of(&lab.node1.url()));
        assert_eq!((ours.status, &ours.body), (theirs.status, &theirs.body));
        // Newer versions allow more methods and headers than this node's; what it allows is among it.
        for (name, allowed) in theirs
            .headers
            .iter()
            .filter(|(name, _)| name.starts_with("access-control"))
        {
            let ours = ours.header(name).unwrap_or_default();
            assert!(
                allowed.split(", ").all(|each| ours.contains(each)),
                "{name}: {ours}"
            );
        }
        assert_eq!(
            ours.header("access-control-allow-origin"),
            theirs.header("access-control-allow-origin")
        );
    }
    for path in ["/write/", "/writes", "/%77rite", "//write"] {
        let (ours, theirs) = (
            http::post(&format!("{front}{path}?db=telegraf"), "a v=1"),
            http::post(&format!("{}{path}?db=telegraf", lab.node1.url()), "a v=1"),
        );
        assert_eq!(
            (ours.status, ours.text()),
            (theirs.status, theirs.text()),
            "{path}"
        );
    }
    let ping = http::get(&format!("{front}/ping"));
    assert_eq!(ping.status, 204);
    assert!(ping.header("x-influxdb-version").is_some());
}

#[test]
fn errors_take_the_shape_that_accept_asks_for() {
    let lab = lab();
    let url = format!("{}/write", lab.influx_url());
    let csv = http::request("POST", &url, &[("Accept", "text/csv")], b"a v=1");
    assert_eq!(
        (csv.status, csv.text()),
        (400, "error\ndatabase is required\n".to_owned())
    );
    lab.create_database("csv");
    for (lines, database) in [("a v=1", ""), ("a v=1", "csv"), ("a v=", "csv")] {
        let asked = [("Accept", "application/csv")];
        let of = |url: &str| {
            let url = format!("{url}/write?db={database}");
            let answer = http::request("POST", &url, &asked, lines.as_bytes());
            let kind = answer.header("content-type").map(str::to_owned);
            (answer.status, kind, answer.text())
        };
        assert_eq!(of(&lab.influx_url()), of(&lab.node1.url()), "{lines}");
    }
    // Python's client asks for msgpack on every request and reads an error as text.
    let python = http::request(
        "POST",
        &url,
        &[("Accept", "application/x-msgpack")],
        b"a v=1",
    );
    assert_eq!(python.status, 400);
    assert!(python.body.ends_with(b"database is required"), "{python:?}");
}

#[test]
fn credentials_travel_with_the_write() {
    let lab = Lab::start_with(Options::default().auth(), |text| text);
    for node in [&lab.node1, &lab.node2] {
        let query = |q: &str| {
            http::post(
                &format!(
                    "{}/query?{}",
                    node.url(),
                    http::query_string(&[("q", q), ("u", "root"), ("p", "secret one")])
                ),
                "",
            )
        };
        assert_eq!(
            query("CREATE USER root WITH PASSWORD 'secret one' WITH ALL PRIVILEGES").status,
            200
        );
        for q in [
            "CREATE DATABASE telegraf",
            "CREATE USER writer WITH PASSWORD 'w&=+'",
            "GRANT WRITE ON telegraf TO writer",
            "CREATE USER nobody WITH PASSWORD 'n'",
        ] {
            assert_eq!(query(q).status, 200, "{q}");
        }
    }
    let front = lab.influx_url();
    let with = |user: &str, password: &str| {
        http::post(
            &format!(
                "{front}/write?{}",
                http::query_string(&[("db", "telegraf"), ("u", user), ("p", password)])
            ),
            "secured v=1 1",
        )
    };
    refused(
        &write(&front, "telegraf", "a v=1"),
        401,
        "unable to parse authentication credentials",
    );
    let wrong = with("writer", "wrong");
    refused(&wrong, 401, "authorization failed");
    assert_eq!(
        wrong.header("www-authenticate"),
        Some("Basic realm=\"InfluxDB\"")
    );
    refused(
        &with("nobody", "n"),
        403,
        "\"nobody\" user is not authorized to write to database \"telegraf\"",
    );
    assert_eq!(with("writer", "w&=+").status, 204);
    let basic = http::request(
        "POST",
        &format!("{front}/write?db=telegraf"),
        &[("Authorization", "Basic d3JpdGVyOncmPSs=")],
        b"secured v=2 2",
    );
    assert_eq!(basic.status, 204, "{}", basic.text());
    for node in [&lab.node1, &lab.node2] {
        let counted = format!(
            "{}/query?{}",
            node.url(),
            http::query_string(&[
                ("db", "telegraf"),
                ("q", "SELECT count(v) FROM secured"),
                ("u", "root"),
                ("p", "secret one")
            ])
        );
        wait_until("both writes", SOON, || {
            http::post(&counted, "").json()["results"][0]["series"][0]["values"][0][1] == 2
        });
    }
    // No secret in the log, nor on the page.
    let page = http::get(&format!("{front}/haproxy?stats")).text();
    for secret in ["w&=+", "w%26%3D%2B", "d3JpdGVyOncmPSs=", "wrong"] {
        assert!(
            !lab.haflux.log().contains(secret) && !page.contains(secret),
            "{secret} was shown"
        );
    }
}

#[test]
fn a_write_endpoint_that_the_acl_forgot_still_reaches_both_nodes() {
    let lab = Lab::start_with(Options::default(), |text| {
        text.lines()
            .filter(|line| !line.starts_with("use_backend"))
            .collect::<Vec<_>>()
            .join("\n")
    });
    lab.create_database("telegraf");
    for point in 0..4 {
        assert_eq!(
            write_raw(
                &lab,
                "db=telegraf",
                format!("forgotten v={point} {point}").as_bytes()
            )
            .status,
            204
        );
    }
    lab.both_hold("telegraf", "forgotten", 4);
}

/// One sample as Prometheus sends it: `WriteRequest { timeseries: [{ labels: [{ __name__, name }], samples: [{ value, time }] }] }`.
fn prometheus_write(name: &str, value: f64, milliseconds: u64) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![
            number << 3 | 2,
            u8::try_from(bytes.len()).expect("a short field"),
        ];
        field.extend_from_slice(bytes);
        field
    }
    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    let label = [field(1, b"__name__"), field(2, name.as_bytes())].concat();
    let sample = [
        &[1 << 3 | 1][..],
        &value.to_le_bytes(),
        &[2 << 3],
        &varint(milliseconds),
    ]
    .concat();
    let series = [field(1, &label), field(2, &sample)].concat();
    snap::raw::Encoder::new()
        .compress_vec(&field(1, &series))
        .expect("a small body")
}
