//! What holds for any bytes.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::scan::Scanner;
use super::super::time::{Pinned, pin_now};
use super::super::{Class, Kind, classify, redact};

/// Pieces that scanners stumble over.
const PIECES: &[&str] = &[
    "SELECT ",
    "v",
    " INTO ",
    "x",
    " FROM ",
    "m",
    "'",
    "\"",
    "\\",
    "/",
    "/*",
    "*/",
    "--",
    "\n",
    "\r",
    ";",
    "DROP DATABASE d",
    ".",
    ":",
    "::",
    "$",
    "(",
    ")",
    ",",
    "=~",
    "!",
    "1",
    "h",
    "µ",
    " ",
    "DELETE",
    "GROUP BY ",
    "time(1h)",
    "now()",
    " WHERE ",
    "time",
    "<",
    "KILL QUERY 1",
    "\0",
    "é",
    "ON ",
    "PASSWORD",
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => (0..PIECES.len()).prop_map(|at| PIECES[at].as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The bytes of `query` that are no blanks and no comments, read in the dullest way.
fn everything(query: &[u8]) -> (Class, String, Pinned) {
    (
        classify(query),
        redact(query),
        pin_now(query, 1_700_000_000_000_000_000),
    )
}

proptest! {
    #[test]
    fn nothing_panics(query in prop::collection::vec(any::<u8>(), 0..200)) {
        everything(&query);
    }

    #[test]
    fn nothing_panics_on_what_looks_like_a_query(query in pieces()) {
        let (class, redacted, pinned) = everything(&query);
        prop_assert!(redacted.len() < 3 * 2000 + 10);
        if let Pinned::Rewritten(text) = pinned {
            prop_assert_eq!(classify(&text).kind, class.kind);
        }
    }

    #[test]
    fn tokens_are_in_order_and_within_the_text(query in pieces()) {
        let mut end = 0;
        for token in Scanner::new(&query).map_while(Result::ok) {
            prop_assert!(token.start >= end && token.end > token.start && token.end <= query.len());
            prop_assert_eq!(token.spaced, token.start > end);
            end = token.end;
        }
    }

    #[test]
    fn a_change_behind_a_semicolon_is_seen(query in pieces()) {
        let sound = Scanner::new(&query).all(|token| token.is_ok());
        let mut text = query;
        text.extend_from_slice(b"\n;DROP DATABASE d");
        let kind = classify(&text).kind;
        prop_assert!(matches!(kind, Kind::Change | Kind::Refused(_)), "{:?} sound {}", kind, sound);
    }
}

#[test]
fn time_grows_with_length_only() {
    let hostile: &[&str] = &[
        "(",
        ")",
        "'",
        "/*",
        "/",
        "SELECT v FROM (",
        "time < (",
        "WHERE ((time",
        ";",
        "a.",
        "$",
        "\"a\\n",
        "1",
        "--\n",
        "import ",
        "now(",
        "KILLx ",
        "FROM a../x/,",
        "CREATE USER ",
    ];
    for piece in hostile {
        for prefix in ["", "SELECT v INTO x FROM m WHERE ", "DELETE WHERE "] {
            let query: Vec<u8> = prefix
                .bytes()
                .chain(piece.bytes().cycle().take(50_000))
                .chain(b" GROUP BY time(1h)".iter().copied())
                .collect();
            let begun = Instant::now();
            everything(&query);
            let taken = begun.elapsed();
            assert!(taken < Duration::from_secs(3), "{piece:?} took {taken:?}");
        }
    }
}
