//! Which measurements the clients of a frontend may read and change.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use crate::support::edge::{self, counted};
use crate::support::http::{Answer, get, post, request};
use crate::support::query::query;
use crate::support::{Haflux, Influxd, status};

const RULE: &str = "rules = { measurements = [\"cpu\", \"disk_*\"] }";

fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("a");
    let points = "cpu v=1 1\nmem v=1 1\ndisk_a v=1 1";
    let wrote = post(&format!("{}/write?db=a", node.url()), points);
    assert_eq!(wrote.status, 204);
    let haflux = edge::before(&node, folder.path(), keys);
    (folder, node, haflux)
}

fn ask(url: &str, text: &str) -> Answer {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    post(&format!("{url}/query?db=a&q={escaped}"), "")
}

fn write(url: &str, body: &[u8]) -> Answer {
    request("POST", &format!("{url}/write?db=a"), &[], body)
}

fn write_packed(url: &str, body: &[u8]) -> Answer {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("memory");
    let packed = encoder.finish().expect("memory");
    let encoding = ("Content-Encoding", "gzip");
    request("POST", &format!("{url}/write?db=a"), &[encoding], &packed)
}

#[track_caller]
fn assert_forbidden(answer: &Answer, why: &str) {
    let expected = format!("forbidden by the rules of this frontend: {why}");
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.json()["error"], expected);
}

const MEM: &str = "measurement \"mem\" is not allowed";
const UNTOLD: &str =
    "only some measurements are allowed, and it is about every one, or cannot be told which";

/// How many points of a measurement the node has.
fn points(node: &Influxd, measurement: &str) -> u64 {
    let text = format!("SELECT count(v) FROM \"{measurement}\"");
    let answer = query(&node.url(), "a", &text).json();
    let count = &answer["results"][0]["series"][0]["values"][0][1];
    count.as_u64().unwrap_or_default()
}

/// Lines of allowed measurements, more than a relay takes at once.
fn many_lines() -> String {
    (0..60_000_u32)
        .map(|at| format!("cpu,host=h{} v={at} {at}\n", at % 7))
        .collect()
}

#[test]
fn statements_touch_no_measurement_that_is_not_allowed() {
    let (_folder, node, haflux) = start(RULE);
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let read = ask(&url, "SELECT v FROM cpu").json();
        assert_eq!(read["results"][0]["series"][0]["values"][0][1], 1, "{read}");
        for allowed in [
            "SELECT v FROM a..disk_a, (SELECT v FROM cpu)",
            "SELECT v INTO disk_b FROM cpu",
            "SELECT v INTO a.autogen.:MEASUREMENT FROM cpu",
            "SHOW TAG KEYS FROM cpu",
            "SHOW MEASUREMENTS WITH MEASUREMENT = cpu",
            "DELETE FROM disk_b",
            "DROP MEASUREMENT disk_c",
            "SHOW DATABASES",
            "SHOW RETENTION POLICIES",
            "CREATE DATABASE a",
        ] {
            let answer = ask(&url, allowed);
            assert_eq!(answer.status, 200, "{allowed}: {}", answer.text());
        }
        let records = || status::relay(&haflux.url("page"))["head"].as_u64();
        let (before, refused) = (records(), counted(&haflux, front, "rule_refusals"));
        let of_mem = [
            "SELECT v FROM mem",
            "SELECT v FROM cpu, a.autogen.\"mem\"",
            "SELECT v FROM (SELECT v FROM (SELECT v FROM mem))",
            "SELECT v INTO mem FROM cpu",
            "EXPLAIN SELECT v FROM mem",
            "SHOW SERIES FROM mem",
            "DELETE FROM mem",
            "DROP SERIES FROM mem",
            "DROP MEASUREMENT mem",
            "SHOW DATABASES; DROP MEASUREMENT mem",
        ];
        let of_all = [
            "SELECT v FROM /cpu/",
            "SELECT v INTO a.autogen.:MEASUREMENT FROM /.*/",
            "SHOW MEASUREMENTS",
            "SHOW SERIES",
            "SHOW TAG VALUES WITH KEY = host",
            "SHOW SERIES CARDINALITY",
            "SHOW QUERIES",
            "DELETE WHERE time < 5",
            "DROP DATABASE a",
            "DROP RETENTION POLICY autogen ON a",
        ];
        for text in of_mem {
            assert_forbidden(&ask(&url, text), MEM);
        }
        for text in of_all {
            assert_forbidden(&ask(&url, text), UNTOLD);
        }
        let json = ("Content-Type", "application/json");
        let body = br#"{"predicate": "_measurement=\"cpu\""}"#;
        for answer in [
            get(&format!("{url}/debug/vars")),
            post(&format!("{url}/api/v1/prom/write?db=a"), "x"),
            post(&format!("{url}/api/v1/prom/read?db=a"), "x"),
            request(
                "POST",
                &format!("{url}/api/v2/delete?bucket=a"),
                &[json],
                body,
            ),
        ] {
            assert_forbidden(&answer, UNTOLD);
        }
        assert_eq!(records(), before, "nothing is journaled");
        let all = u64::try_from(of_mem.len() + of_all.len() + 4).expect("a number");
        assert_eq!(counted(&haflux, front, "rule_refusals"), refused + all);
    }
    for measurement in ["cpu", "mem", "disk_a"] {
        assert_eq!(points(&node, measurement), 1, "{measurement}");
    }
    haflux.says("is refused by rules: measurement \"mem\" is not allowed");
}

#[test]
fn lines_are_of_no_measurement_that_is_not_allowed() {
    let (_folder, node, haflux) = start(RULE);
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let large = many_lines();
        for write in [write, write_packed] {
            assert_eq!(write(&url, b"cpu v=1 1\ndisk_b,x=y v=1 1").status, 204);
            let odd = b"\n# mem v=1\n  cpu s=\"\nmem v=1 1\" 5\n";
            assert_eq!(write(&url, odd).status, 204);
            assert_eq!(write(&url, b"").status, write(&node.url(), b"").status);
            // What a node refuses, it refuses itself.
            let bad = write(&url, b"cpu v=\n");
            assert_eq!((bad.status, bad.text()), {
                let alone = write(&node.url(), b"cpu v=\n");
                (alone.status, alone.text())
            });
            assert_eq!(write(&url, large.as_bytes()).status, 204);
        }
        let records = || status::relay(&haflux.url("page"))["head"].as_u64();
        let (before, refused) = (records(), counted(&haflux, front, "rule_refusals"));
        let large_and_other = format!("{large}mem v=2 2");
        let others: [(&[u8], &str); 8] = [
            (b"mem v=2 2", MEM),
            (
                b"disk_z v=2 2\ncpu v=2 2\n  mem,host=a v=2 2\ncpu v=2 2",
                MEM,
            ),
            (br"cpu\ x v=2 2", "measurement \"cpu x\" is not allowed"),
            (b"disk_z v=2 2\npassword=secret x", UNTOLD),
            (b"nonsense", UNTOLD),
            (br"cpu\\,x=y v=2 2", UNTOLD),
            (b"cpu\xff v=2 2", UNTOLD),
            (large_and_other.as_bytes(), MEM),
        ];
        for write in [write, write_packed] {
            for (body, why) in others {
                assert_forbidden(&write(&url, body), why);
            }
        }
        let version_2 = format!("{url}/api/v2/write?bucket=a");
        assert_forbidden(&post(&version_2, "mem v=2 2"), MEM);
        assert_eq!(records(), before, "nothing is journaled");
        assert_eq!(counted(&haflux, front, "rule_refusals"), refused + 17);
        assert_eq!(points(&node, "mem"), 1);
        assert_eq!(points(&node, "disk_z"), 0);
        assert_eq!(points(&node, "cpu"), 60_001);
    }
    let log = haflux.log();
    assert!(log.contains("measurement \"mem\" is not allowed"), "{log}");
    assert!(!log.contains("secret"), "{log}");
    let zeros = [&b"# "[..], &vec![b'x'; 20 << 20]].concat();
    let answer = write_packed(&haflux.url("plain"), &zeros);
    assert_eq!(answer.status, 413, "{}", answer.text());
}

/// Read as it stands, the body of this write holds a line that it does not hold unpacked.
#[test]
fn a_body_is_read_by_a_node_as_it_was_judged() {
    let (_folder, node, haflux) = start(RULE);
    for front in ["front", "plain"] {
        let name = &b"\nmem v=9 9\n"[..];
        let mut encoder = GzBuilder::new()
            .filename(name)
            .write(Vec::new(), Compression::fast());
        encoder.write_all(b"cpu v=9 9").expect("memory");
        let body = encoder.finish().expect("memory");
        let url = format!("{}/write?db=a", haflux.url(front));
        let encoding = ("Content-Encoding", "gzip");
        let dropped = ("Connection", "content-encoding");
        let answer = request("POST", &url, &[encoding, dropped], &body);
        assert_eq!(answer.status, 204, "{front}: {}", answer.text());
        let raw = request("POST", &url, &[], &body);
        assert_eq!(raw.status, 403, "{front}: {}", raw.text());
    }
    assert_eq!((points(&node, "cpu"), points(&node, "mem")), (2, 1));
}

#[test]
fn measurements_are_allowed_to_users() {
    let (_folder, node, haflux) = start(
        "rules = [{ users = \"telegraf\", measurements = \"cpu\" }, { users = \"admin\", measurements = \"*\" }, { users = \"other\" }]",
    );
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let write =
            |who: &str, body: &str| post(&format!("{url}/write?db=a&u={who}&p=x"), body).status;
        assert_eq!(write("telegraf", "cpu v=3 3"), 204);
        assert_eq!(write("telegraf", "mem v=3 3"), 403);
        assert_eq!(write("admin", "nonsense"), 400);
        for who in ["admin", "other"] {
            assert_eq!(write(who, "mem v=4 4"), 204);
        }
        assert_eq!(points(&node, "mem"), 2);
    }
}
