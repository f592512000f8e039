//! What rules refuse before anything is done.

use super::{Site, WAYS};
use crate::support::edge::counted;

/// Frontends by the name of what they refuse, with their keys.
const FRONTENDS: [(&str, &str); 10] = [
    (
        "proxied",
        "deny = \"203.0.113.9\"\ntrust_forwarded = \"127.0.0.1\"",
    ),
    (
        "databases",
        "rules = { read = [\"a\", \"b\"], write = \"a\" }",
    ),
    ("measured", "rules = { measurements = \"m\" }"),
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
        "http_request = [{ deny = 451, if = { path_beg = \"/debug\" } }]",
    ),
    (
        "tar",
        "http_request = [{ tarpit = 429, if = { path_beg = \"/debug\" } }]\ntimeout = { tarpit = \"200ms\" }",
    ),
    ("sizes", "max_header_size = \"1KiB\""),
    (
        "slow",
        "timeout = { http_body = \"300ms\" }\nmin_body_rate = 1000",
    ),
];

/// What is asked of a frontend, by a path and by curl's words; the answer's status, words of its error, and counters that it adds one to.
struct Case {
    front: &'static str,
    path: &'static str,
    more: &'static [&'static str],
    status: u16,
    words: &'static str,
    counters: &'static [&'static str],
}

const fn case(
    front: &'static str,
    path: &'static str,
    more: &'static [&'static str],
    (status, words, counters): (u16, &'static str, &'static [&'static str]),
) -> Case {
    Case {
        front,
        path,
        more,
        status,
        words,
        counters,
    }
}

const POINT: &[&str] = &["--data-binary", "m v=1 1"];
const LARGE: &str = concat!("X-Large: ", "0123456789012345678901234567890123456789");
const RULES: &[&str] = &["rule_refusals"];

const CASES: [Case; 16] = [
    case(
        "proxied",
        "/ping",
        &["-H", "X-Forwarded-For: 203.0.113.9"],
        (403, "this client is not served here", &["denied_requests"]),
    ),
    case(
        "databases",
        "/query?db=c&q=SELECT+v+FROM+m",
        &[],
        (403, "reading database \"c\" is", RULES),
    ),
    case(
        "databases",
        "/write?db=b",
        POINT,
        (403, "changing database \"b\" is", RULES),
    ),
    case(
        "databases",
        "/query",
        &["--data-urlencode", "q=DROP DATABASE b"],
        (403, "changing database \"b\" is", RULES),
    ),
    case(
        "measured",
        "/write?db=a",
        &["--data-binary", "m v=1 1\nn v=1 1"],
        (403, "measurement \"n\" is not allowed", RULES),
    ),
    case(
        "only",
        "/write?db=a",
        POINT,
        (403, "only reads are allowed", RULES),
    ),
    case(
        "kinds",
        "/query?db=a",
        &["--data-urlencode", "q=SHOW SERIES"],
        (403, "SHOW SERIES is not allowed", RULES),
    ),
    case(
        "kinds",
        "/query?db=a",
        &["--data-urlencode", "q=DROP MEASUREMENT m"],
        (403, "DROP MEASUREMENT is not allowed", RULES),
    ),
    case(
        "users",
        "/write?db=a",
        &["--data-binary", "m v=1 1", "-u", "grafana:x"],
        (403, "only reads are allowed", RULES),
    ),
    case(
        "users",
        "/query?db=a&q=SELECT+v+FROM+m",
        &["-u", "other:x"],
        (403, "no rule is for this user", RULES),
    ),
    case(
        "http",
        "/debug/vars",
        &[],
        (451, "refused by a rule", &["denied_requests"]),
    ),
    case(
        "tar",
        "/debug/vars",
        POINT,
        (429, "refused by a rule", &["denied_requests", "tarpitted"]),
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
        (
            431,
            "header is too large",
            &["malformed_requests", "request_errors"],
        ),
    ),
    // More than `max_query_body`, and than `max_body` of the relay.
    case(
        "sizes",
        "/query",
        &["--data-binary", "@BIG"],
        (413, "larger than 65536 bytes", &["request_errors"]),
    ),
    case(
        "sizes",
        "/write?db=a",
        &["--data-binary", "@BIG"],
        (413, "Request Entity Too Large", &["request_errors"]),
    ),
    // Its body comes from what the shell says, in three seconds.
    case(
        "slow",
        "/write?db=a",
        &["-X", "POST", "-T", "-"],
        (408, "did not come in time", &["slow_requests"]),
    ),
];

#[test]
fn each_rule_refuses_by_each_way() {
    let site = Site::start(&FRONTENDS);
    let big = site.folder.path().join("big");
    std::fs::write(&big, format!("q=SELECT&x={}", "x".repeat(100_000))).expect("a file");
    let big = format!("@{}", big.display());
    for case in &CASES {
        for way in WAYS {
            let more: Vec<&str> = case
                .more
                .iter()
                .map(|word| if *word == "@BIG" { big.as_str() } else { *word })
                .collect();
            let figures = || {
                let counters = case.counters.iter();
                let one = |name: &&'static str| counted(&site.haflux, case.front, name);
                counters.map(one).collect::<Vec<_>>()
            };
            let before = figures();
            let shown = site.ask(case.front, way, case.path, &more);
            shown.assert_refused(way, case.status, case.words);
            let after = figures();
            let expected: Vec<u64> = before.iter().map(|count| count + 1).collect();
            let what = (case.front, case.path, case.counters);
            assert_eq!(after, expected, "{what:?} by {way:?}");
        }
    }
    for way in WAYS {
        // What is no refusal goes on.
        let shown = site.ask("databases", way, "/write?db=a", POINT);
        shown.assert_status(way, 204);
    }
}
