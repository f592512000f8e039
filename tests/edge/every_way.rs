//! Each rule of a frontend refuses what it refuses whatever a client speaks: HTTP/1.1 and HTTP/2, inside TLS and outside of it.

use crate::support::authority::Authority;
use crate::support::edge::counted;
use crate::support::programs::{run, succeeds};
use crate::support::{Haflux, Influxd};

/// By which address a client asks, curl's word for how, and the version that curl tells then.
const WAYS: [(&str, &str, &str); 4] = [
    ("plain", "--http1.1", "1.1"),
    ("secure", "--http1.1", "1.1"),
    ("secure", "--http2", "2"),
    ("plain", "--http2-prior-knowledge", "2"),
];

/// Frontends by the name of what they refuse, with their keys.
const FRONTENDS: [(&str, &str); 8] = [
    (
        "proxied",
        "deny = \"203.0.113.9\"\ntrust_forwarded = \"127.0.0.1\"",
    ),
    (
        "databases",
        "rules = { read = [\"a\", \"b\"], write = \"a\" }",
    ),
    ("only", "rules = { read_only = true }"),
    (
        "kinds",
        "rules = { statements = \"select\", deny_statements = \"drop\" }",
    ),
    (
        "users",
        "rules = [{ users = \"grafana\", read_only = true }]",
    ),
    (
        "http",
        "http_request = [{ deny = 451, if = { path_beg = \"/debug\" } }, { redirect = { location = \"/ping\" }, if = { path = \"/\" } }]",
    ),
    ("sizes", "max_header_size = \"1KiB\""),
    (
        "slow",
        "timeout = { http_body = \"300ms\" }\nmin_body_rate = 1000",
    ),
];

/// What is asked of a frontend, by a path and by curl's words; the answer's status, words of it, and the counter that it adds one to.
struct Case {
    front: &'static str,
    path: &'static str,
    more: &'static [&'static str],
    status: u16,
    words: &'static str,
    counter: &'static str,
}

const fn case(
    front: &'static str,
    path: &'static str,
    more: &'static [&'static str],
    (status, words, counter): (u16, &'static str, &'static str),
) -> Case {
    Case {
        front,
        path,
        more,
        status,
        words,
        counter,
    }
}

const POINT: &[&str] = &["--data-binary", "m v=1 1"];
const LARGE: &str = concat!("X-Large: ", "0123456789012345678901234567890123456789");

const CASES: [Case; 13] = [
    case(
        "proxied",
        "/ping",
        &["-H", "X-Forwarded-For: 203.0.113.9"],
        (403, "", "denied_requests"),
    ),
    case(
        "databases",
        "/query?db=c&q=SELECT+v+FROM+m",
        &[],
        (403, "reading database \\\"c\\\" is", "rule_refusals"),
    ),
    case(
        "databases",
        "/write?db=b",
        POINT,
        (403, "changing database \\\"b\\\" is", "rule_refusals"),
    ),
    case(
        "databases",
        "/query",
        &["--data-urlencode", "q=DROP DATABASE b"],
        (403, "changing database \\\"b\\\" is", "rule_refusals"),
    ),
    case(
        "only",
        "/write?db=a",
        POINT,
        (403, "only reads are allowed", "rule_refusals"),
    ),
    case(
        "kinds",
        "/query?db=a",
        &["--data-urlencode", "q=SHOW SERIES"],
        (403, "SHOW SERIES is not allowed", "rule_refusals"),
    ),
    case(
        "kinds",
        "/query?db=a",
        &["--data-urlencode", "q=DROP MEASUREMENT m"],
        (403, "DROP MEASUREMENT is not allowed", "rule_refusals"),
    ),
    case(
        "users",
        "/write?db=a",
        &["--data-binary", "m v=1 1", "-u", "grafana:x"],
        (403, "only reads are allowed", "rule_refusals"),
    ),
    case(
        "users",
        "/query?db=a&q=SELECT+v+FROM+m",
        &["-u", "other:x"],
        (403, "no rule is for this user", "rule_refusals"),
    ),
    case(
        "http",
        "/debug/vars",
        &[],
        (451, "refused by a rule", "denied_requests"),
    ),
    case(
        "sizes",
        "/ping",
        &[
            "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H",
            LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE,
            "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H", LARGE, "-H",
            LARGE, "-H", LARGE, "-H", LARGE,
        ],
        (431, "header is too large", "malformed_requests"),
    ),
    // More than `max_query_body`, which has no counter but this.
    case(
        "sizes",
        "/query",
        &["--data-binary", "@BIG"],
        (413, "", "request_errors"),
    ),
    // Its body comes from what the shell says, in a second.
    case(
        "slow",
        "/write?db=a",
        &["-X", "POST", "-T", "-"],
        (408, "did not come in time", "slow_requests"),
    ),
];

struct Site {
    haflux: Haflux,
    authority: Authority,
    big: String,
    _node: Influxd,
    _folder: tempfile::TempDir,
}

impl Site {
    fn start(frontends: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Influxd::start(&folder.path().join("node"));
        for database in ["a", "b", "c"] {
            node.create_database(database);
        }
        let authority = Authority::new(&folder.path().join("authority"));
        let certificate = authority.sign("site.pem", "localhost", 90);
        let mut configuration = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\nmax_query_body = \"64KiB\"\n\
             [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
             [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n",
            node.address()
        );
        for (name, keys) in frontends {
            configuration += &format!(
                "[[frontend]]\nname = \"{name}\"\ndefault_backend = \"back\"\n\
                 bind = [\"127.0.0.1:PORT({name}_plain)\", \"127.0.0.1:PORT({name}_secure)\"]\n\
                 tls = {{ addresses = \"127.0.0.1:PORT({name}_secure)\", certificate = \"{certificate}\", alpn = [\"h2\", \"http/1.1\"] }}\n\
                 http2 = {{ plain = true }}\n{keys}\n"
            );
        }
        let big = folder.path().join("big");
        std::fs::write(&big, format!("q=SELECT&x={}", "x".repeat(100_000))).expect("a file");
        Self {
            haflux: Haflux::start(&folder.path().join("haflux"), &configuration),
            authority,
            big: big.to_str().expect("a name").to_owned(),
            _node: node,
            _folder: folder,
        }
    }

    /// What curl prints of an answer, with its version and status behind it; and curl's exit status.
    fn ask(
        &self,
        front: &str,
        (address, how, _): (&str, &str, &str),
        path: &str,
        more: &[&str],
    ) -> (String, Option<i32>) {
        let scheme = if address == "secure" { "https" } else { "http" };
        let host = self.haflux.address(&format!("{front}_{address}"));
        let url = format!("{scheme}://{host}{path}");
        let ca = self.authority.certificate();
        // A body on standard input begins and does not go on.
        let script = "{ printf m; sleep 1; } | curl \"$@\"";
        let usual = [
            "-c",
            script,
            "sh",
            "-sS",
            "-m",
            "20",
            how,
            "--cacert",
            &ca,
            &url,
            "-w",
            "\n%{http_version} %{http_code}",
        ];
        let output = match more.contains(&"-T") {
            true => run("sh", &[&usual, more].concat()),
            false => run("curl", &[&usual[3..], more].concat()),
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (said, output.status.code())
    }
}

#[test]
fn each_rule_refuses_by_each_way() {
    let site = Site::start(&FRONTENDS);
    let big = format!("@{}", site.big);
    for case in &CASES {
        for way in WAYS {
            let what = format!("{} {} by {way:?}", case.front, case.path);
            let more: Vec<&str> = case
                .more
                .iter()
                .map(|word| if *word == "@BIG" { big.as_str() } else { *word })
                .collect();
            let before = counted(&site.haflux, case.front, case.counter);
            let (said, _) = site.ask(case.front, way, case.path, &more);
            let end = format!("\n{} {}", way.2, case.status);
            assert!(said.ends_with(&end), "{what}: {said}");
            assert!(said.contains(case.words), "{what}: {said}");
            let after = counted(&site.haflux, case.front, case.counter);
            assert_eq!(after, before + 1, "{what}: {}", case.counter);
        }
    }
    for way in WAYS {
        // What is no refusal has the way that the rules say, too.
        let (said, _) = site.ask("http", way, "/", &["-I"]);
        assert!(
            said.to_ascii_lowercase().contains("location: /ping"),
            "{way:?}: {said}"
        );
        let (said, _) = site.ask("databases", way, "/write?db=a", POINT);
        assert!(
            said.ends_with(&format!("\n{} 204", way.2)),
            "{way:?}: {said}"
        );
    }
}

#[test]
fn each_address_has_its_share_by_each_way() {
    let site = Site::start(&[
        ("kept", "allow = \"127.0.0.1\""),
        (
            "rated",
            "rate_limit = { requests = 1, per = \"1h\", burst = 2 }",
        ),
    ]);
    for (number, way) in WAYS.iter().enumerate() {
        let from = ["--interface", &format!("127.0.0.{}", number + 2)];
        let before = counted(&site.haflux, "kept", "denied_connections");
        let (said, status) = site.ask("kept", *way, "/ping", &from);
        assert!(
            said.ends_with(" 000") && status != Some(0),
            "{way:?}: {said}"
        );
        let after = counted(&site.haflux, "kept", "denied_connections");
        assert!(after > before, "{way:?}");
        for status in [204, 204, 429] {
            let (said, _) = site.ask("rated", *way, "/ping", &from);
            assert!(
                said.ends_with(&format!("\n{} {status}", way.2)),
                "{way:?}: {said}"
            );
        }
        let limited = counted(&site.haflux, "rated", "rate_limited");
        assert_eq!(limited, number as u64 + 1);
    }
    // Requests of one connection are as many requests as those of several.
    let url = format!("https://{}/ping", site.haflux.address("rated_secure"));
    let ca = site.authority.certificate();
    let all = [
        "-sS",
        "--http2",
        "--cacert",
        &ca,
        "--interface",
        "127.0.0.9",
        "-w",
        "%{http_code} ",
        &url,
        &url,
        &url,
    ];
    let said = succeeds(&run("curl", &all));
    assert!(
        said.starts_with("204 204 ") && said.contains("429"),
        "{said}"
    );
}
