//! Answers that haflux writes down in CSV and MessagePack, against those of a real node.
//!
//! Three nodes are told the same things in the same order; one answers in JSON, one in CSV, one in MessagePack.

use haflux::influx::Format;
use haflux::influx::results::render;

use crate::support::http::{self, Answer};
use crate::support::{Influxd, Options};

/// One request: its method, its parameters besides `q`, and `q`.
type Step = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const DB: &[(&str, &str)] = &[("db", "d")];
const CHUNKED: &[(&str, &str)] = &[("db", "d"), ("chunked", "true"), ("chunk_size", "2")];
const CHUNKED_MS: &[(&str, &str)] = &[
    ("db", "d"),
    ("chunked", "true"),
    ("chunk_size", "2"),
    ("epoch", "ms"),
];
const PRETTY: &[(&str, &str)] = &[("db", "d"), ("pretty", "true")];
const NS: &[(&str, &str)] = &[("db", "d"), ("epoch", "ns")];
const SECONDS: &[(&str, &str)] = &[("db", "d"), ("epoch", "s")];
const BLANK_EPOCH: &[(&str, &str)] = &[("db", "d"), ("epoch", " ")];

const LINES: &str = "\
m,host=a f=1.5,i=1i,s=\"one\",b=true 1
m,host=a f=2,i=300i,s=\"two, \\\"quoted\\\"\" 1000000000
m,host=b f=-0.25,i=-40000i,b=false 1500000000000000000
m,host=b f=1e21,i=-1i,s=\" leading\" 1500000000100000000
m,host=b f=1e-9,i=-33i,s=\"2000-01-01T00:00:00Z\" 1500000000123456789
m,host=b f=123456789012345680000,i=9223372036854775807i,s=\"é\\\\\n \" 1500000001000000000
m,host=c\\ d\\,e\\=f f=3.25,i=-9223372036854775808i 1600000000000000000
m,host=c\\ d\\,e\\=f i=2147483648i 1600000000000000001
other,host=a,zone=x f=0.5,v=1i 5
other,host=a,zone=y f=0.75,v=2i 6
other,host=a f=1.25,v=2i 7
old v=1.5 -1
";

const SCRIPT: &[Step] = &[
    // What changes something.
    ("POST", &[], "CREATE DATABASE d"),
    ("POST", &[], "CREATE DATABASE d"),
    ("GET", &[], "CREATE DATABASE e"),
    (
        "GET",
        &[],
        "CREATE DATABASE e; CREATE DATABASE f WITH DURATION 3d NAME x",
    ),
    ("POST", PRETTY, "CREATE DATABASE g"),
    ("POST", &[], "CREATE DATABASE f WITH DURATION 1d NAME x"),
    ("POST", &[], "CREATE USER u WITH PASSWORD 'p'"),
    ("POST", &[], "CREATE USER u WITH PASSWORD 'q'"),
    (
        "GET",
        &[],
        "CREATE USER w WITH PASSWORD 'p' WITH ALL PRIVILEGES",
    ),
    ("POST", &[], "GRANT READ ON d TO u"),
    (
        "POST",
        &[],
        "GRANT READ ON nowhere TO u; CREATE DATABASE never",
    ),
    (
        "POST",
        &[("chunked", "true")],
        "GRANT READ ON nowhere TO u; CREATE DATABASE never",
    ),
    (
        "POST",
        &[],
        "CREATE RETENTION POLICY two ON d DURATION 2h REPLICATION 2; SHOW RETENTION POLICIES ON d",
    ),
    (
        "POST",
        &[],
        "CREATE RETENTION POLICY two ON d DURATION 1m REPLICATION 1",
    ),
    (
        "POST",
        &[],
        "ALTER RETENTION POLICY two ON d DURATION 4h; SHOW DATABASES; SHOW USERS; SHOW GRANTS FOR u",
    ),
    (
        "POST",
        &[],
        "CREATE SUBSCRIPTION sub ON d.autogen DESTINATIONS ALL 'udp://127.0.0.1:9', 'udp://127.0.0.1:10'; SHOW SUBSCRIPTIONS",
    ),
    (
        "POST",
        &[],
        "DROP SUBSCRIPTION sub ON d.autogen; SHOW SUBSCRIPTIONS",
    ),
    (
        "POST",
        &[],
        "CREATE CONTINUOUS QUERY cq ON d BEGIN SELECT mean(f) INTO y FROM m GROUP BY time(1h) END; SHOW CONTINUOUS QUERIES",
    ),
    ("POST", &[], "DROP CONTINUOUS QUERY cq ON d"),
    ("POST", DB, "SELECT * INTO copy FROM m"),
    (
        "POST",
        DB,
        "SELECT i INTO copy2 FROM m; SELECT i INTO copy3 FROM nothing; SHOW MEASUREMENTS",
    ),
    ("POST", SECONDS, "SELECT i INTO copy4 FROM m"),
    (
        "POST",
        CHUNKED,
        "SELECT i INTO copy5 FROM m; SHOW MEASUREMENTS; SELECT f, s FROM m",
    ),
    ("GET", DB, "SELECT i INTO copy6 FROM m"),
    ("POST", DB, "SELECT i INTO nodb.autogen.copy FROM m"),
    ("POST", DB, "DELETE FROM copy6"),
    ("GET", DB, "DELETE FROM copy6; SELECT f FROM m LIMIT 2"),
    (
        "POST",
        DB,
        "DROP MEASUREMENT copy; DROP MEASUREMENT nothing; SHOW SERIES",
    ),
    (
        "POST",
        DB,
        "DROP SERIES FROM copy2 WHERE host='a'; SHOW SERIES CARDINALITY",
    ),
    (
        "POST",
        DB,
        "CREATE DATABASE \"2000-01-01T00:00:00Z\"; SHOW DATABASES",
    ),
    (
        "POST",
        DB,
        "DROP DATABASE e; DROP DATABASE nowhere; DROP USER u; DROP USER u; SHOW USERS",
    ),
    (
        "POST",
        DB,
        "SELECT f FROM m; DROP RETENTION POLICY two ON d; SELECT i FROM m",
    ),
    // What only reads, as it may stand beside that.
    ("POST", DB, "SELECT * FROM m"),
    ("POST", PRETTY, "SELECT * FROM m"),
    ("POST", NS, "SELECT * FROM m"),
    ("POST", SECONDS, "SELECT * FROM m"),
    ("POST", BLANK_EPOCH, "SELECT * FROM m"),
    ("POST", CHUNKED, "SELECT * FROM m"),
    ("POST", CHUNKED_MS, "SELECT * FROM m GROUP BY host"),
    (
        "GET",
        CHUNKED,
        "SELECT f FROM m; SELECT i FROM m GROUP BY host; SELECT nothing FROM m",
    ),
    (
        "POST",
        DB,
        "SELECT f, i FROM m GROUP BY host; SELECT s FROM m",
    ),
    ("POST", DB, "SELECT f FROM m, other"),
    ("POST", DB, "SELECT time AS t, f FROM m"),
    ("POST", DB, "SELECT f FROM m TZ('Europe/Berlin')"),
    (
        "POST",
        DB,
        "SELECT f FROM m WHERE host='b' TZ('America/New_York')",
    ),
    (
        "POST",
        DB,
        "SELECT count(f), mean(f), max(i), first(s), last(b) FROM m GROUP BY host",
    ),
    (
        "POST",
        DB,
        "SELECT mean(f) FROM m WHERE time < 3s AND time >= 0 GROUP BY time(500ms)",
    ),
    (
        "POST",
        DB,
        "SELECT count(f) FROM m WHERE time < 3s AND time >= 0 GROUP BY time(500ms) fill(0)",
    ),
    ("POST", DB, "SELECT v FROM old"),
    ("POST", NS, "SELECT v FROM old"),
    ("POST", DB, "SELECT v FROM other GROUP BY host, zone"),
    ("POST", DB, "SELECT v FROM other GROUP BY zone"),
    ("POST", DB, "SELECT b FROM m"),
    ("POST", DB, "SELECT s FROM m WHERE host='b'"),
    ("POST", DB, "SELECT nothing FROM m"),
    (
        "POST",
        DB,
        "SELECT nothing FROM m; SELECT f FROM m; SELECT nothing FROM m; SELECT b FROM m",
    ),
    ("POST", &[], "SELECT f FROM m"),
    ("POST", DB, "SELECT f FROM m; SELECT f FROM nodb.autogen.m"),
    (
        "POST",
        DB,
        "SELECT f FROM m; SELECT f FROM nodb.autogen.m; SELECT f FROM m",
    ),
    (
        "POST",
        CHUNKED,
        "SELECT f FROM m; SELECT f FROM nodb.autogen.m; SELECT f FROM m",
    ),
    ("POST", DB, "SHOW TAG VALUES WITH KEY = host"),
    ("POST", DB, "SHOW TAG KEYS; SHOW FIELD KEYS"),
    (
        "POST",
        NS,
        "SHOW FIELD KEYS; SHOW TAG KEYS; SHOW SERIES; SHOW MEASUREMENTS",
    ),
    (
        "POST",
        DB,
        "SHOW MEASUREMENT CARDINALITY; SHOW SERIES EXACT CARDINALITY; SHOW TAG KEY CARDINALITY",
    ),
    ("POST", DB, "SHOW SHARDS; SHOW SHARD GROUPS"),
    (
        "POST",
        DB,
        "SHOW RETENTION POLICIES ON f; SHOW RETENTION POLICIES ON nowhere",
    ),
    ("POST", DB, "EXPLAIN SELECT f FROM m"),
    ("POST", DB, "SHOW STATS FOR 'nothing'"),
    // What fails as a whole.
    ("POST", DB, "SELECT"),
    ("POST", PRETTY, "NO, \"STATEMENT\""),
    ("POST", DB, ""),
    ("POST", DB, ";"),
    ("POST", DB, "-- nothing"),
];

fn ask(node: &Influxd, accept: &str, (method, parameters, query): Step) -> Answer {
    let mut all = parameters.to_vec();
    all.push(("q", query));
    let url = format!("{}/query?{}", node.url(), http::query_string(&all));
    http::request(method, &url, &[("Accept", accept)], b"")
}

/// The order of several tags in MessagePack is random: then what is there must be, in whatever order.
fn has_several_tags(query: &str) -> bool {
    query.contains("GROUP BY host, zone")
}

fn parameter(step: Step, name: &str) -> Option<&'static str> {
    step.1
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

#[test]
fn answers_are_what_the_node_itself_would_have_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start =
        |name: &str, options: Options| Influxd::start_with(&folder.path().join(name), options);
    compare(&["json", "csv", "packed"].map(|name| start(name, Options::default())));
    let cut = Options::default().set("http", "max-row-limit", "3");
    compare(&["json3", "csv3", "packed3"].map(|name| start(name, cut.clone())));
}

fn compare(nodes: &[Influxd; 3]) {
    let [json_node, csv_node, packed_node] = nodes;
    let mut compared = 0;
    for step in SCRIPT {
        let json = ask(json_node, "application/json", *step);
        let csv = ask(csv_node, "text/csv", *step);
        let packed = ask(packed_node, "application/x-msgpack", *step);
        assert_eq!(
            (json.status, json.status),
            (csv.status, packed.status),
            "{step:?}"
        );

        let chunked = parameter(*step, "chunked") == Some("true");
        let epoch = parameter(*step, "epoch").map(str::as_bytes);
        let written = |format| {
            render(&json.body, format, chunked, epoch)
                .unwrap_or_else(|error| panic!("{step:?}: {error} in {}", json.text()))
        };
        let context = || format!("{step:?}\n{}", json.text());
        assert_eq!(
            String::from_utf8_lossy(&written(Format::TextCsv)),
            csv.text(),
            "{}",
            context()
        );
        let (mut ours, mut theirs) = (written(Format::MessagePack), packed.body);
        if has_several_tags(step.2) {
            ours.sort_unstable();
            theirs.sort_unstable();
        }
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string(),
            "{}",
            context()
        );
        compared += 1;
        if step.2 == "CREATE DATABASE d" {
            for node in nodes {
                assert_eq!(node.write("d", LINES).status, 204);
            }
        }
    }
    assert!(compared > 60);
}
