//! What a replica's answer to a write means. A refusal is decided by status **and** text, here and nowhere else.
//!
//! | status | text (`error` of the JSON body) | since, until | verdict |
//! | --- | --- | --- | --- |
//! | 204 | | | `Applied` |
//! | other 2xx, 1xx, 3xx | | not InfluxDB | `Unexpected`: nothing says that it is stored |
//! | 400 | `partial write: points beyond retention policy dropped=N` | – 1.11 | `Expired` |
//! | 400 | `partial write: dropped N points outside retention policy of duration … dropped=N …`, the newest of them older than the retention policy keeps | 1.12.3 | `Expired` |
//! | 400 | the same of points that were newer: a `PAST LIMIT` or `FUTURE LIMIT` forbade them | 1.12.3 | `Refused`: another node may keep what this one does not |
//! | 400 | `partial write: points beyond retention policy or outside permissible write window dropped=N …`, which does not say which | 1.12.0 – 1.12.2 | `Refused` |
//! | 400 | `partial write: shard N is pending deletion dropped=N` | | `TryAgain`, `ShardBeingDropped` |
//! | 400 | `partial write: …`: `unable to parse '…`, `field type conflict: …`, `invalid tag key: …`, `invalid field name: …`, `key contains invalid unicode: …`, `input field … is too long, …`, `max-values-per-tag limit exceeded …`, `max-series-per-database limit exceeded …` | | `Refused` |
//! | 400 | `unable to parse '…`, `field type conflict`, `database is required`, `invalid precision …`, `invalid consistency level`, `gzip: …`, `snappy: …`, any other | | `Refused` |
//! | 400 | `unexpected EOF`, `EOF`, `http: …`, `read tcp …`: the node could not read the body | | `TryAgain`, `BodyNotRead`; `unexpected EOF` to Prometheus is a refusal: its messages break off |
//! | 400 | no `error` in JSON | not InfluxDB's handler | `Unexpected` |
//! | 401 | | | `Unauthorized` |
//! | 403 | | | `Unauthorized` |
//! | 404 | `database not found: "x"` | | `DatabaseNotFound` |
//! | 404 | `bucket name "…" is …` | 1.8 – | `Refused` |
//! | 404 | other: `404 page not found` of a node too old for the endpoint, or of something else at that address | | `Unexpected` |
//! | 408 | | not InfluxDB | `TryAgain`, `Unavailable` |
//! | 413 | | | `TooLarge`: nothing is stored; sent again in smaller requests, a record between its lines; for a single line, and for Prometheus, a refusal |
//! | 429 | | not InfluxDB | `TryAgain`, `Busy` |
//! | 500 | `retention policy not found: x` | | `RetentionPolicyNotFound` |
//! | 500 | `database not found: x` | | `DatabaseNotFound` |
//! | 500 | `timeout` (`write-timeout`) | | `TryAgain`, `Timeout`: **may still be applied later** |
//! | 500 | `engine: cache-max-memory-size exceeded: (n/m)` | | `TryAgain`, `Busy` |
//! | 500 | `engine: unable to parse … value "…": strconv.…`, `engine: unknown field type for …`: a line that parses, with a value that does not | | `Refused`, for ever the same; nothing of its shard's points is stored |
//! | 500 | `engine: field type conflict` | | `Refused` |
//! | 500 | `Internal Server Error` in plain text: the handler panicked, as 1.6 and 1.7 do on a point with exactly 100 (200, 400, …) tags | | `Refused`: else such a point would block its lane for ever |
//! | 500 | `not attempting to open shard N; opening shard previously failed with: …`, `opening shard previously failed with: …` | 1.10 – | `ShardFailed`, until that influxd is started again |
//! | 500 | `shard group N covering … has no shards` | 1.12 – | `Refused`, for ever the same |
//! | 500 | other: `engine is closed`, `shard is disabled`, `write failed`, `store is closed`, `engine: write …: no space left on device`, … | | `TryAgain`, `Unavailable` |
//! | 503 | `request throttled, …` in plain text, or of a proxy | | `TryAgain`, `Busy` |
//! | 502, 504 | | of a proxy that waited for the node in vain | `TryAgain`, `Timeout` |
//! | other 5xx | | not InfluxDB | `TryAgain`, `Unavailable` |
//! | other | | not InfluxDB | `Unexpected` |
//!
//! `Expired` and `Refused` do not say that nothing was stored: InfluxDB stores the points that it does not complain of, shards
//! are written in parallel, and only the first shard's error is told. A text about one problem can hide others: with `Expired`
//! points, lines that do not parse are no longer mentioned. To know more, send the records one by one.
//!
//! Error texts quote lines and names that clients choose. So they are compared from their beginning, where InfluxDB writes its
//! own words; what is read in their middle is read from there on.
//!
//! A text need not be [whole](super::error_text::ErrorText::is_whole): the middle of a long one is left out, and an answer may
//! end inside of it. Then nothing is `Expired`, because the newest point may stand in what is missing; and a beginning that is too short to tell InfluxDB's words apart is `Unexpected`.

use http::StatusCode;

use super::answer::Refusal;
use super::answer_scan::{Scanned, scan_answer};
use super::dropped_points;
use super::error_text::{ErrorText, excerpt_of};

/// What becomes of a write at one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    Applied,
    /// Some points were older than the retention policy keeps; the others are stored. What a record that waited may meet.
    Expired {
        /// How many points, if the answer says it.
        dropped: Option<u64>,
    },
    /// This replica will never take it whole, however often it is sent; what was good of it is stored.
    Refused,
    /// Not stored, or not surely, for a reason that passes.
    TryAgain(TryAgain),
    /// The database is not there: a statement is missing here, or this is a replay from before a DROP DATABASE.
    DatabaseNotFound,
    /// The retention policy is not there, be it the one that was named or the default one.
    RetentionPolicyNotFound,
    /// Points belong into a shard that the node could not open. It does not try again before its process is started again.
    ShardFailed,
    /// The credentials are not good (401), or not good for this (403).
    Unauthorized,
    /// The body is over the replica's limit. Nothing of it is stored; smaller pieces of it may be taken.
    TooLarge,
    /// Nothing that InfluxDB says to a write. Perhaps something else listens there.
    Unexpected,
}

/// Why a replica could not take a write now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAgain {
    /// It has too much to do, or no room in its cache.
    Busy,
    /// It is stopping, starting, or its storage fails.
    Unavailable,
    /// InfluxDB's own write timeout, or that of a proxy before it. The write goes on inside the node, and may land any time
    /// after this answer.
    Timeout,
    /// Points belong into a shard that is being dropped.
    ShardBeingDropped,
    /// It did not get the whole body.
    BodyNotRead,
}

/// Judges a replica's whole answer to a write. Expects the JSON form of errors (ask for it), and copes with anything.
pub fn judge_write(status: u16, body: &[u8]) -> Verdict {
    judge_scanned_write(status, body, &scan_answer(body))
}

/// Judges a replica's answer to a write by its status, the beginning of its body, and what was found in as much of it as came.
pub fn judge_scanned_write(status: u16, body: &[u8], scanned: &Scanned) -> Verdict {
    let error = scanned.error.as_ref();
    match status {
        204 => Verdict::Applied,
        401 | 403 => Verdict::Unauthorized,
        413 => Verdict::TooLarge,
        429 | 503 => Verdict::TryAgain(TryAgain::Busy),
        400 => error.map_or(Verdict::Unexpected, judge_bad_request),
        404 => error.map_or(Verdict::Unexpected, |error| judge_not_found(error.text())),
        500 if body.trim_ascii() == b"Internal Server Error" => Verdict::Refused,
        500 => judge_server_error(error.map_or("", ErrorText::text)),
        502 | 504 => Verdict::TryAgain(TryAgain::Timeout),
        408 | 501.. => Verdict::TryAgain(TryAgain::Unavailable),
        _ => Verdict::Unexpected,
    }
}

/// A replica's refusal, to be told to a client in the form that the client accepts.
pub fn refusal_of_replica(status: u16, body: &[u8]) -> Refusal {
    refusal_of_text(status, words_of(body, scan_answer(body)))
}

/// A refusal in a replica's own words.
pub fn refusal_of_text(status: u16, words: impl Into<String>) -> Refusal {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    Refusal::new(status, words)
}

/// What a replica said, for a person: its error, else the beginning of its body as text. At most about 64 KiB.
pub fn words_of(body: &[u8], scanned: Scanned) -> String {
    match scanned.error {
        Some(error) => error.into_text(),
        None => excerpt_of(String::from_utf8_lossy(body).trim_end()),
    }
}

fn judge_bad_request(error: &ErrorText) -> Verdict {
    const BODY_NOT_READ: [&str; 2] = ["http: ", "read tcp "];
    let text = error.text();
    if !error.is_whole() && is_too_short_to_judge(text) {
        return Verdict::Unexpected;
    }
    let Some(reason) = text.strip_prefix("partial write: ") else {
        let not_read = matches!(text, "EOF" | "unexpected EOF")
            || BODY_NOT_READ.iter().any(|start| text.starts_with(start));
        return if not_read {
            Verdict::TryAgain(TryAgain::BodyNotRead)
        } else {
            Verdict::Refused
        };
    };
    if error.is_whole() && dropped_points::were_all_too_old(reason) {
        return Verdict::Expired {
            dropped: dropped(reason),
        };
    }
    if is_pending_deletion(reason) {
        return Verdict::TryAgain(TryAgain::ShardBeingDropped);
    }
    Verdict::Refused
}

/// Whether the text ends before it can be told from one of those that are no refusal.
fn is_too_short_to_judge(text: &str) -> bool {
    const TOLD_APART: [&str; 6] = [
        "EOF ",
        "unexpected EOF ",
        "http: ",
        "read tcp ",
        "partial write: points beyond retention policy dropped=",
        "partial write: shard ",
    ];
    const COUNTED: [(&str, &str); 2] = [
        (
            "partial write: dropped ",
            " points outside retention policy ",
        ),
        ("partial write: shard ", " is pending deletion "),
    ];
    let ends_inside_number_or_words = |(start, rest): &(&str, &str)| match text.strip_prefix(start)
    {
        Some(counted) => {
            rest.starts_with(counted.trim_start_matches(|digit: char| digit.is_ascii_digit()))
        }
        None => start.starts_with(text),
    };
    TOLD_APART.iter().any(|whole| whole.starts_with(text))
        || COUNTED.iter().any(ends_inside_number_or_words)
}

/// `shard 3 is pending deletion dropped=…`
fn is_pending_deletion(reason: &str) -> bool {
    let behind_number = reason
        .strip_prefix("shard ")
        .map(|rest| rest.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    behind_number.is_some_and(|rest| rest.starts_with(" is pending deletion "))
}

/// How many points of a write a node has not taken, of which this refusal says that the others are written; nothing if it says no such
/// thing.
pub fn dropped_of_partial_write(refusal: &str) -> Option<u64> {
    dropped(refusal.strip_prefix("partial write: ")?)
}

/// The number of ` dropped=N`, which 1.12 lets names follow.
fn dropped(reason: &str) -> Option<u64> {
    let (_, rest) = reason.rsplit_once(" dropped=")?;
    rest.split(' ').next()?.parse().ok()
}

fn judge_not_found(text: &str) -> Verdict {
    if text.starts_with("database not found: ") {
        Verdict::DatabaseNotFound
    } else if text.starts_with("bucket name ") {
        Verdict::Refused
    } else {
        Verdict::Unexpected
    }
}

fn judge_server_error(text: &str) -> Verdict {
    const VALUES_REFUSED: [&str; 3] = [
        "engine: unable to parse ",
        "engine: unknown field type for ",
        "engine: field type conflict",
    ];
    const SHARD_FAILED: [&str; 2] = [
        "not attempting to open shard ",
        "opening shard previously failed with: ",
    ];
    let begins = |start: &str| text.starts_with(start);
    let is_without_shards = begins("shard group ") && text.ends_with(" has no shards");
    if begins("retention policy not found: ") {
        Verdict::RetentionPolicyNotFound
    } else if begins("database not found: ") {
        Verdict::DatabaseNotFound
    } else if SHARD_FAILED.iter().any(|start| text.starts_with(start)) {
        Verdict::ShardFailed
    } else if is_without_shards || VALUES_REFUSED.iter().any(|start| text.starts_with(start)) {
        Verdict::Refused
    } else if text == "timeout" {
        Verdict::TryAgain(TryAgain::Timeout)
    } else if begins("engine: cache-max-memory-size exceeded") {
        Verdict::TryAgain(TryAgain::Busy)
    } else {
        Verdict::TryAgain(TryAgain::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::*;
    use proptest::prelude::*;

    fn judge(status: u16, text: &str) -> Verdict {
        let body = serde_json::json!({ "error": text }).to_string() + "\n";
        judge_write(status, body.as_bytes())
    }

    #[test]
    fn a_partial_write_says_how_many_points_it_lacks() {
        for (refusal, expected) in [
            (
                "partial write: field type conflict: input field \"v\" dropped=3",
                Some(3),
            ),
            ("partial write: field type conflict", None),
            ("unable to parse 'm v= dropped=3'", None),
        ] {
            assert_eq!(dropped_of_partial_write(refusal), expected);
        }
    }

    #[test]
    fn judges_each_of_influxdbs_answers() {
        let line = "unable to parse 'm v=': missing field value";
        let conflict = r#"field type conflict: input field "v" on measurement "m" is type integer, already exists as type float"#;
        let window = "point m at 2000-01-01T00:00:00Z dropped because it violates a";
        let too_old = format!("{window} Retention Policy Lower Bound at 2000-01-01T00:00:01Z");
        let too_late = format!("{window} Retention Policy Lower Bound at 1999-12-31T23:00:00Z");
        let table = [
            (400, "partial write: points beyond retention policy dropped=3".to_owned(), Expired { dropped: Some(3) }),
            (
                400,
                format!(
                    "partial write: dropped 2 points outside retention policy of duration 1h0m0s - oldest {too_old}, newest {too_old} \
                     dropped=2 for database: d for retention policy: r"
                ),
                Expired { dropped: Some(2) },
            ),
            (
                400,
                format!(
                    "partial write: dropped 1 points outside retention policy of duration 1h0m0s and 0 points outside write window \
                     (-5s) - oldest {too_late}, newest {too_late} dropped=1 for database: d for retention policy: r"
                ),
                Refused,
            ),
            (
                400,
                "partial write: points beyond retention policy or outside permissible write window dropped=1 for database: d for \
                 retention policy: r"
                    .to_owned(),
                Refused,
            ),
            (
                400,
                format!(
                    "partial write: dropped 1 points outside retention policy of duration 1h0m0s and 1 points outside write window \
                     (-1m0s to 1m0s) - oldest {window} Retention Policy Lower Bound at 2000-01-01T00:00:00Z, newest {window} Write \
                     Window Upper Bound at 2000-01-01T00:00:00Z dropped=2 for database: d for retention policy: r"
                ),
                Refused,
            ),
            (400, "partial write: shard 3 is pending deletion dropped=1".to_owned(), TryAgain(super::TryAgain::ShardBeingDropped)),
            (400, line.to_owned(), Refused),
            (400, format!("partial write: {line} dropped=0"), Refused),
            (400, format!("partial write: {line} dropped=0 for database: db for retention policy: rp"), Refused),
            (400, format!("partial write: {conflict} dropped=1"), Refused),
            (400, "field type conflict".to_owned(), Refused),
            (400, r#"partial write: invalid tag key: input tag "time" on measurement "m" is invalid dropped=1"#.to_owned(), Refused),
            (400, r#"partial write: max-values-per-tag limit exceeded (5/5): measurement="m" dropped=1"#.to_owned(), Refused),
            (400, "partial write: max-series-per-database limit exceeded: (12) dropped=8".to_owned(), Refused),
            (400, r#"partial write: input field "s" on measurement "m" is too long, dropped=1"#.to_owned(), Refused),
            (400, "database is required".to_owned(), Refused),
            (400, r#"invalid precision "xx" (use n, u, ms, s, m or h)"#.to_owned(), Refused),
            (400, "gzip: invalid header".to_owned(), Refused),
            (400, "snappy: corrupt input".to_owned(), Refused),
            (400, "unexpected EOF".to_owned(), TryAgain(super::TryAgain::BodyNotRead)),
            (400, "read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout".to_owned(), TryAgain(super::TryAgain::BodyNotRead)),
            (401, "authorization failed".to_owned(), Unauthorized),
            (403, r#""ro" user is not authorized to write to database "x""#.to_owned(), Unauthorized),
            (404, r#"database not found: "nodb""#.to_owned(), DatabaseNotFound),
            (404, r#"bucket name "" is missing a slash; not in "database/retention-policy" format"#.to_owned(), Refused),
            (404, "something".to_owned(), Unexpected),
            (413, "Request Entity Too Large".to_owned(), TooLarge),
            (500, "retention policy not found: norp".to_owned(), RetentionPolicyNotFound),
            (500, "database not found: x".to_owned(), DatabaseNotFound),
            (500, "timeout".to_owned(), TryAgain(super::TryAgain::Timeout)),
            (500, "engine: cache-max-memory-size exceeded: (9/8)".to_owned(), TryAgain(super::TryAgain::Busy)),
            (500, "engine is closed".to_owned(), TryAgain(super::TryAgain::Unavailable)),
            (500, "shard is disabled".to_owned(), TryAgain(super::TryAgain::Unavailable)),
            (500, "write failed".to_owned(), TryAgain(super::TryAgain::Unavailable)),
            (500, "engine: write _0.wal: no space left on device".to_owned(), TryAgain(super::TryAgain::Unavailable)),
            (500, r#"engine: unable to parse floating point value "5\"": strconv.ParseFloat: …"#.to_owned(), Refused),
            (500, "engine: field type conflict".to_owned(), Refused),
            (
                500,
                "not attempting to open shard 3; opening shard previously failed with: [shard 3] open /x: permission denied".to_owned(),
                ShardFailed,
            ),
            (500, "opening shard previously failed with: [shard 3] corrupt".to_owned(), ShardFailed),
            (
                500,
                "shard group 5 covering 2026-01-01 00:00:00 +0000 UTC to 2026-01-08 00:00:00 +0000 UTC has no shards".to_owned(),
                Refused,
            ),
        ];
        for (status, text, expected) in table {
            assert_eq!(judge(status, &text), expected, "{status} {text}");
        }
    }

    #[test]
    fn judges_answers_without_json() {
        let table: [(u16, &str, Verdict); 17] = [
            (204, "", Applied),
            (200, "", Unexpected),
            (200, "<html>", Unexpected),
            (202, "", Unexpected),
            (302, "", Unexpected),
            (400, "", Unexpected),
            (400, "400 Bad Request", Unexpected),
            (404, "404 page not found\n", Unexpected),
            (405, "Method Not Allowed\n", Unexpected),
            (408, "", TryAgain(super::TryAgain::Unavailable)),
            (429, "", TryAgain(super::TryAgain::Busy)),
            (500, "Internal Server Error\n", Refused),
            (500, "", TryAgain(super::TryAgain::Unavailable)),
            (502, "<html>", TryAgain(super::TryAgain::Timeout)),
            (
                503,
                "request throttled, queue full\n",
                TryAgain(super::TryAgain::Busy),
            ),
            (504, "", TryAgain(super::TryAgain::Timeout)),
            (0, "", Unexpected),
        ];
        for (status, body, expected) in table {
            assert_eq!(
                judge_write(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn the_first_document_counts() {
        let body = b"{\"error\":\"unable to parse 'x': y\"}\n{\"error\":\"timeout\"}\n";
        assert_eq!(judge_write(400, body), Refused);
        assert_eq!(
            judge_write(400, b"{\"error\":\"EOF\"} garbage"),
            TryAgain(super::TryAgain::BodyNotRead)
        );
    }

    #[test]
    fn a_cut_text_is_judged_by_its_beginning() {
        let judge_cut = |status, text: &str| {
            let body = format!("{{\"error\":\"{text}");
            judge_write(status, body.as_bytes())
        };
        for text in [
            "unable to parse 'x': missing fields",
            "una",
            "field type con",
            "partial write: unable to par",
            "partial write: field",
            // Whether the newest point was too old stands behind it.
            "partial write: dropped 12 points outside retention policy of duration 1h",
            "partial write: points beyond retention policy dropped=1",
        ] {
            assert_eq!(judge_cut(400, text), Refused, "{text}");
        }
        for text in [
            "",
            "u",
            "EOF",
            "unexpected EOF",
            "rea",
            "partial write: ",
            "partial write: poin",
            "partial write: dropped 1",
            "partial write: dropped 12 points out",
            "partial write: shard 3",
            "partial write: shard 3 is",
        ] {
            assert_eq!(judge_cut(400, text), Unexpected, "{text}");
        }
        let reset = "read tcp 127.0.0.1:1->127";
        assert_eq!(
            judge_cut(400, reset),
            TryAgain(super::TryAgain::BodyNotRead)
        );
        assert_eq!(
            judge_cut(404, "database not found: \\\"x"),
            DatabaseNotFound
        );
        assert_eq!(judge_cut(404, "data"), Unexpected);
        assert_eq!(judge_cut(500, "engine: unable to parse fl"), Refused);
        assert_eq!(judge_cut(413, "Req"), TooLarge);
    }

    #[test]
    fn a_long_text_is_judged_and_told_as_a_text() {
        let lines = "unable to parse 'x': missing fields\n".repeat(100_000) + "the end dropped=0";
        let body = serde_json::json!({ "error": format!("partial write: {lines}") }).to_string();
        assert_eq!(judge_write(400, body.as_bytes()), Refused);
        // The beginning alone says as much.
        assert_eq!(judge_write(400, &body.as_bytes()[..5000]), Refused);
        let refusal = refusal_of_replica(400, body.as_bytes());
        assert!(refusal.message.len() < 66_000);
        assert!(refusal.message.starts_with("partial write: unable"));
        assert!(refusal.message.ends_with("the end dropped=0"));
        let window = "x".repeat(70_000) + " Write Window Upper Bound " + &"y".repeat(70_000);
        let text = format!("partial write: dropped 1 points outside retention policy of {window}");
        assert_eq!(judge(400, &text), Refused);
    }

    #[test]
    fn a_quoted_line_decides_nothing() {
        let lures = [
            "points beyond retention policy dropped=1",
            "partial write: points beyond retention policy dropped=1",
            "shard 1 is pending deletion dropped=1",
            "timeout",
            "dropped 1 points outside retention policy of duration 1h",
            "unexpected EOF",
        ];
        for lure in lures {
            assert_eq!(
                judge(400, &format!("unable to parse '{lure}': missing fields")),
                Refused,
                "{lure}"
            );
            assert_eq!(
                judge(
                    400,
                    &format!("partial write: unable to parse '{lure}': missing fields dropped=0")
                ),
                Refused,
                "{lure}"
            );
        }
        assert_eq!(
            judge(
                500,
                "engine: unable to parse bool value \"engine is closed\": x"
            ),
            Refused
        );
    }

    proptest! {
        #[test]
        fn never_panics(status: u16, body in proptest::collection::vec(any::<u8>(), 0..100), text in ".{0,60}") {
            judge_write(status, &body);
            judge(status, &text);
            judge(400, &format!("partial write: {text}"));
        }
    }
}
