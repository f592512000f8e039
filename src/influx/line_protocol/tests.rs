//! The rules one by one. Whether they are InfluxDB's is for `tests/differential/line_protocol.rs` to show.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::influx::precision::Precision;

mod plain;

const NOW: i64 = 1_700_000_000_123_456_789;

const MOST_TAGS: usize = 1000;

fn texts(body: &str) -> Vec<&str> {
    let lines = Lines::new(body.as_bytes()).filter(|line| line.kind == LineKind::Line);
    lines.map(|line| &body[line.text]).collect()
}

fn normalized(body: &str) -> String {
    let body = normalize(
        Bytes::copy_from_slice(body.as_bytes()),
        NOW,
        Precision::Seconds,
        MOST_TAGS,
    )
    .body;
    String::from_utf8(body.to_vec()).expect("text")
}

fn pieces(body: &str, limit: usize) -> Vec<String> {
    let pieces = split(&Bytes::copy_from_slice(body.as_bytes()), limit);
    pieces
        .into_iter()
        .map(|piece| String::from_utf8(piece.to_vec()).expect("text"))
        .collect()
}

#[test]
fn times_in_nanoseconds_are_the_same_times() {
    let table = [
        (
            Precision::Seconds,
            "m v=1 5\nn,a=b v=2i -7\n",
            Some("m v=1 5000000000\nn,a=b v=2i -7000000000\n"),
        ),
        (Precision::Nanoseconds, "m v=1 5", Some("m v=1 5")),
        (
            Precision::Hours,
            "m v=\"1 5\" 007",
            Some("m v=\"1 5\" 25200000000000"),
        ),
        (Precision::Milliseconds, "", Some("")),
        // It does not fit; or it is no plain timestamp.
        (Precision::Seconds, "m v=1 9223372037", None),
        (Precision::Nanoseconds, "m v=1 9223372036854775807", None),
        (Precision::Nanoseconds, "m v=1 -9223372036854775807", None),
        (Precision::Seconds, "m v=1 99999999999999999999", None),
        (Precision::Seconds, "m v=1 5 \n", None),
        (Precision::Seconds, "m v=1 5\r\n", None),
        (Precision::Seconds, "m v=1 5\nm v=1", None),
        (Precision::Seconds, "m v=\"a\nb\" 5", None),
    ];
    for (precision, body, expected) in table {
        let found = in_nanoseconds(&Bytes::copy_from_slice(body.as_bytes()), precision);
        let found = found.map(|body| String::from_utf8(body.to_vec()).expect("text"));
        assert_eq!(found.as_deref(), expected, "{body}");
    }
}

#[test]
fn finds_the_ends_of_lines() {
    let table: [(&str, &[&str]); 16] = [
        ("", &[]),
        ("\n\n", &[]),
        ("a v=1\nb v=2\n", &["a v=1", "b v=2"]),
        ("a v=1\r\nb", &["a v=1\r", "b"]),
        // Quotes in values carry a line on.
        ("a v=\"1\n2\"\nb v=2", &["a v=\"1\n2\"", "b v=2"]),
        ("a v=\"1\\\"\n2\"\nb v=2", &["a v=\"1\\\"\n2\"", "b v=2"]),
        ("a v=\"\\\\\"\nb v=2", &["a v=\"\\\\\"", "b v=2"]),
        // Quotes elsewhere do not.
        ("a\" v=1\nb", &["a\" v=1", "b"]),
        ("a,t=\" v=1\nb", &["a,t=\" v=1", "b"]),
        // A leading space makes them do so.
        (" a=\" v=1\nb", &["a=\" v=1\nb"]),
        // Comments and broken lines swallow what follows.
        ("# x=\"a\nb v=1\nc", &[]),
        ("# c:\\\nb v=1\nc v=1", &["c v=1"]),
        ("bad x=\"a\nb v=1", &["bad x=\"a\nb v=1"]),
        // A backslash hides a newline, unless it is too near to the end.
        ("a v=1\\\nb", &["a v=1\\\nb"]),
        ("a v=1\\\n", &["a v=1\\"]),
        // A newline at the very end of a line's text is not part of it.
        ("a v=\"\"\\\n\nb v=1", &["a v=\"\"\\", "b v=1"]),
    ];
    for (body, lines) in table {
        assert_eq!(texts(body), lines, "{body:?}");
    }
}

#[test]
fn knows_what_is_ignored() {
    let kinds = |body: &str| {
        Lines::new(body.as_bytes())
            .map(|line| line.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds("\n \t\0\n # c\n#\nm v=1"),
        [
            LineKind::Blank,
            LineKind::Blank,
            LineKind::Comment,
            LineKind::Comment,
            LineKind::Line
        ]
    );
    assert_eq!(kinds("\r\n"), [LineKind::Line]);
    assert_eq!(kinds("\u{feff}m v=1"), [LineKind::Line]);
}

#[test]
fn knows_how_bodies_end() {
    let closed = [
        "",
        "a v=1",
        "a v=1\n",
        "a v=\"\\\"\" 5",
        "# c",
        "# \"",
        "\\abc",
    ];
    let open = [
        "a v=\"",
        "a v=\"\n",
        "# x=\"a\n",
        "# c:\\",
        "# c:\\\n",
        "a\\b",
        "\\",
    ];
    for body in closed {
        assert_eq!(ending(body.as_bytes()), Ending::Closed, "{body:?}");
    }
    for body in open {
        assert_eq!(ending(body.as_bytes()), Ending::Open, "{body:?}");
    }
}

#[test]
fn knows_which_lines_influxdb_takes() {
    let stamped = LineShape::Accepted {
        has_timestamp: true,
    };
    let unstamped = LineShape::Accepted {
        has_timestamp: false,
    };
    let table = [
        ("m v=1", unstamped),
        ("m v=1 5", stamped),
        ("m v=1 -5  ", stamped),
        ("  m v=1 5", stamped),
        ("m v=1 \t\0", unstamped),
        ("m v=1 \t5", stamped),
        ("m,a=b,c=d v=1i,w=t,x=\"a b,c=d\"", unstamped),
        ("m\\ n,a\\ b=c\\,d\\=e v=1", unstamped),
        ("m\tn v=1", unstamped),
        ("\u{feff}m v=1", unstamped),
        ("m v=\"x\"abc", unstamped),
        ("m v=\"x\"\\", unstamped),
        ("m v=\"a\"\r", unstamped),
        ("m,a==b v=1", unstamped),
        ("m a\\ =1", unstamped),
        ("m v=\"=\" 5", stamped),
        // Unsafe
        (" m=\" v=1 \nrest", LineShape::Unsafe { fields_end: 8 }),
        ("m \\\\=\"=\"", LineShape::Unsafe { fields_end: 8 }),
        ("m \\\\=\"=\" \t5", LineShape::Unsafe { fields_end: 8 }),
        ("m \\\\=\"=\" x", LineShape::Refused),
        // Measurement and tags
        ("m", LineShape::Refused),
        (",a=b v=1", LineShape::Refused),
        ("m\\\\ v=1", LineShape::Refused),
        ("m, v=1", LineShape::Refused),
        ("m,a v=1", LineShape::Refused),
        ("m,a= v=1", LineShape::Refused),
        ("m,a=,b=c v=1", LineShape::Refused),
        ("m,=b v=1", LineShape::Refused),
        ("m,a=b=c v=1", LineShape::Refused),
        ("m,a=b,a=c v=1", LineShape::Refused),
        ("m,a=b,c=d,a=e v=1", LineShape::Refused),
        ("m,c=d,b=c,a=e v=1", unstamped),
        // Fields
        ("m \r", LineShape::Refused),
        ("m v", LineShape::Refused),
        ("m v=", LineShape::Refused),
        ("m =1", LineShape::Refused),
        ("m v=1,", LineShape::Refused),
        ("m v=1,=2", LineShape::Refused),
        ("m v=1,b", LineShape::Refused),
        ("m v=,b=1", LineShape::Refused),
        ("m v=\"x", LineShape::Refused),
        ("m a\\\\=1", LineShape::Refused),
        ("m v=1\r", LineShape::Refused),
        // Timestamps
        ("m v=1 5\r", LineShape::Refused),
        ("m v=1 +5", LineShape::Refused),
        ("m v=1 1.5", LineShape::Refused),
        ("m v=1 5\t", LineShape::Refused),
        ("m v=1 5 6", LineShape::Refused),
        ("m v=1 5 #c", LineShape::Refused),
        ("m v=1 -", LineShape::Refused),
        ("m v=1 9223372036854775807", stamped),
        ("m v=1 9223372036854775808", LineShape::Refused),
        ("m v=1 x", LineShape::Refused),
        (" 123", LineShape::Refused),
    ];
    for (line, shape) in table {
        assert_eq!(inspect(line.as_bytes()), shape, "{line:?}");
    }
}

#[test]
fn knows_which_values_influxdb_takes() {
    let good = [
        "1",
        "-1",
        "1.",
        ".5",
        "-.5",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "-1.5e5",
        "1i",
        "-1i",
        "9223372036854775807i",
        "-9223372036854775808i",
        "1e308",
        "0e999999",
        "t",
        "T",
        "true",
        "True",
        "TRUE",
        "f",
        "F",
        "false",
        "False",
        "FALSE",
        "\"\"",
        "\"a\\\"b\"",
        "00000000000000000000000000000001",
    ];
    let bad = [
        "1u",
        "i",
        "-i",
        "1.0i",
        "1e5i",
        "9i1",
        "1ii",
        "9223372036854775808i",
        "-9223372036854775809i",
        "1e309",
        "1e",
        "1e5e5",
        "e5",
        "-e5",
        "1.1.1",
        ".",
        "-",
        "-.",
        "+1",
        "1+",
        "--1",
        "NaN",
        "nan",
        "Inf",
        "-Inf",
        "inf",
        "0x10",
        "1_000",
        "tRUE",
        "yes",
        "tr",
        "\"",
        "1\t",
    ];
    for value in good {
        assert_eq!(
            inspect(format!("m v={value}").as_bytes()),
            LineShape::Accepted {
                has_timestamp: false
            },
            "{value}"
        );
    }
    for value in bad {
        assert_eq!(
            inspect(format!("m v={value}").as_bytes()),
            LineShape::Refused,
            "{value}"
        );
    }
    let long = "9".repeat(400);
    assert_eq!(
        inspect(format!("m v={long}").as_bytes()),
        LineShape::Refused
    );
}

#[test]
fn knows_how_long_keys_may_be() {
    let accepted = LineShape::Accepted {
        has_timestamp: false,
    };
    let line = |measurement: usize, field: usize| {
        format!("{} {}=1", "m".repeat(measurement), "f".repeat(field))
    };
    assert_eq!(inspect(line(65_535 - 4 - 1, 1).as_bytes()), accepted);
    assert_eq!(inspect(line(65_535 - 4, 1).as_bytes()), LineShape::Refused);
    assert_eq!(inspect(line(65_536, 1).as_bytes()), LineShape::Refused);
    assert_eq!(inspect(line(1, 65_530).as_bytes()), accepted);
    assert_eq!(inspect(line(1, 65_531).as_bytes()), LineShape::Refused);
}

#[test]
fn stamps_what_influxdb_would_stamp() {
    let table = [
        ("m v=1", "m v=1 1700000000"),
        ("m v=1\n", "m v=1 1700000000\n"),
        (
            "m v=1 5\nn v=2\no v=3 6\n",
            "m v=1 5\nn v=2 1700000000\no v=3 6\n",
        ),
        ("m v=1 \t", "m v=1 \t 1700000000"),
        ("m\\ 5 v=1", "m\\ 5 v=1 1700000000"),
        ("m v=\"a\n 5\"", "m v=\"a\n 5\" 1700000000"),
        ("m v=\"x\"\\", "m v=\"x\"_ 1700000000"),
        ("m v=\"x\"\\\n\nn v=1 5", "m v=\"x\"_ 1700000000\nn v=1 5"),
        ("m v=\"x\"\\ 5", "m v=\"x\"\\ 5 1700000000"),
        ("# c\nm v=1 5\n\n \t\n#\nn v=2 6\n#\n", "m v=1 5\nn v=2 6\n"),
        ("# c\n", ""),
        ("\n", ""),
        // Refused lines stay, so that InfluxDB quotes what the client sent.
        (
            "m\nm v=\n 123\nm v=1 x\nm v=1\r\n",
            "m\nm v=\n 123\nm v=1 x\nm v=1\r\n",
        ),
        ("# x=\"a\nm v=1\n", ""),
        (
            "m \\\\=\"=\" 5\nn v=1 5",
            "m \\\\=\"=\" refused: this line is not safe for InfluxDB 5\nn v=1 5",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(normalized(body), expected, "{body:?}");
    }
}

#[test]
fn counts_what_it_did() {
    let body = Bytes::from_static(b"# c\nm v=1\nbad\nm v=1 5\n");
    let normalized = normalize(body, NOW, Precision::Nanoseconds, MOST_TAGS);
    assert_eq!(
        (normalized.lines, normalized.stamped, normalized.ending),
        (3, 1, Ending::Closed)
    );
    assert_eq!(
        normalized.body,
        &b"m v=1 1700000000123456789\nbad\nm v=1 5\n"[..]
    );
    let open = normalize(
        Bytes::from_static(b"m v=1\nbad v=\"\n"),
        NOW,
        Precision::Nanoseconds,
        MOST_TAGS,
    );
    assert_eq!(
        (open.lines, open.stamped, open.ending),
        (2, 1, Ending::Open)
    );
    let closed_now = normalize(
        Bytes::from_static(b"m v=1 5\n# v=\"\n"),
        NOW,
        Precision::Nanoseconds,
        MOST_TAGS,
    );
    assert_eq!(
        (closed_now.lines, closed_now.stamped, closed_now.ending),
        (1, 0, Ending::Closed)
    );
}

#[test]
fn copies_nothing_without_need() {
    let body = Bytes::from_static(b"m v=1 5\nn v=\"a b\" 6\nbad\n");
    let normalized = normalize(body.clone(), NOW, Precision::Nanoseconds, MOST_TAGS);
    assert_eq!(normalized.body.as_ptr(), body.as_ptr());
    assert_eq!(normalized.body, body);
    let pieces = split(&body, 10);
    assert!(
        pieces
            .iter()
            .all(|piece| body.as_ptr_range().contains(&piece.as_ptr()))
    );
}

#[test]
fn cuts_between_lines() {
    assert_eq!(pieces("", 10), [""; 0]);
    assert_eq!(pieces("a v=1\nb v=2\n", 100), ["a v=1\nb v=2\n"]);
    assert_eq!(
        pieces("a v=1\nb v=2\nc v=3\n", 11),
        ["a v=1\nb v=2", "c v=3"]
    );
    assert_eq!(
        pieces("a v=1\nb v=2\nc v=3", 10),
        ["a v=1", "b v=2", "c v=3"]
    );
    assert_eq!(
        pieces("a v=1\nbbbbbbbbbbb v=2\nc v=3", 7),
        ["a v=1", "bbbbbbbbbbb v=2", "c v=3"]
    );
    assert_eq!(pieces("a v=1\nb v=2\n", 5), ["a v=1", "b v=2"]);
    // Not inside quotes, nor where a backslash is near.
    assert_eq!(pieces("a v=\"1\n2\"\nb v=2", 6), ["a v=\"1\n2\"", "b v=2"]);
    assert_eq!(
        pieces("a\\b\nb v=2\nc v=2", 6),
        ["a\\b\n", "b v=2", "c v=2"]
    );
    assert_eq!(pieces("a\\\\\nb v=2\nc v=2", 6), ["a\\\\\nb v=2", "c v=2"]);
    assert_eq!(
        pieces("a v=1\nb v=\"2\nc\nd", 6),
        ["a v=1", "b v=\"2\nc\nd"]
    );
    assert_eq!(pieces("\n\na v=1\n\n\nb v=1\n\n", 5), ["a v=1", "b v=1"]);
}

/// Bodies of what means something to the scanners, and little else.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => proptest::sample::select(b"\\\"\n ,=#\t\r\0-".to_vec()),
        4 => proptest::sample::select(b"mvt1i5.e".to_vec()),
        1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..60)
}

/// Lines that are mostly points, of what means something behind their key.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let key = proptest::sample::select(vec!["m ", "m,a=b ", "m\t ", " ", "m\\ x,a=b\\,c ", "m \t"]);
    let part = proptest::sample::select(vec![
        "v=1",
        "w=t",
        "x=-2.5e3",
        "=1",
        "y=\"",
        "\"",
        "a b",
        "\\",
        "\\\"",
        "\\\\",
        ",",
        ",",
        "=",
        "\n",
        "z=2i",
        " ",
        "\"a,b=c d\"",
    ]);
    (key, proptest::collection::vec(part, 0..8))
        .prop_map(|(key, parts)| [key, &parts.concat()].concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn lines_end_where_the_plain_walk_ends_them(body in prop_oneof![bodies(), lines()], start in 0_usize..8) {
        let start = start.min(body.len());
        prop_assert_eq!(scan::scan_line(&body, start), plain::scan_line(&body, start));
    }

    #[test]
    fn fields_are_taken_as_the_plain_walks_take_them(line in prop_oneof![bodies(), lines()]) {
        let found = inspect(&line);
        match (plain::fields(&line), found) {
            (None, found) => prop_assert_eq!(found, LineShape::Refused),
            (Some((end, last)), LineShape::Unsafe { fields_end }) => {
                prop_assert_eq!(fields_end, end);
                prop_assert!(last == b"\"" || line[end..].contains(&b'\n'));
            }
            (Some((_, last)), LineShape::Accepted { .. }) => prop_assert_ne!(last, &b"\""[..]),
            (Some((end, _)), LineShape::Refused) => {
                // Only the time is to blame then: without it the line is taken.
                prop_assert_ne!(inspect(&line[..end]), LineShape::Refused);
            }
        }
    }

    #[test]
    fn digits_at_the_end_are_counted(text in "[0-9/:a\\x80-\\xff]{0,6}[0-9]{0,21}") {
        let digits = text.bytes().rev().take_while(u8::is_ascii_digit).count();
        prop_assert_eq!(normalize::digits_at_end(text.as_bytes()), digits);
    }
}

proptest! {
    #[test]
    fn lines_cover_the_body(body in bodies()) {
        let mut next = 0;
        for line in Lines::new(&body) {
            prop_assert_eq!(line.block.start, next);
            prop_assert!(line.text.start >= line.block.start && line.text.end <= line.block.end);
            prop_assert!(line.next == line.block.end + 1);
            prop_assert!(body.get(line.block.end).is_none_or(|&byte| byte == b'\n'));
            inspect(&body[line.text]);
            next = line.next;
        }
        prop_assert!(next >= body.len());
        inspect(&body);
    }

    #[test]
    fn normalizing_again_changes_nothing(body in bodies()) {
        let once = normalize(body.into(), NOW, Precision::Milliseconds, MOST_TAGS);
        let twice = normalize(once.body.clone(), NOW + 1_000_000_000, Precision::Milliseconds, MOST_TAGS);
        prop_assert_eq!(&twice.body, &once.body);
        prop_assert_eq!((twice.lines, twice.stamped, twice.defused, twice.ending), (once.lines, 0, 0, once.ending));
        prop_assert_eq!(once.ending, ending(&once.body));
    }

    #[test]
    fn pieces_hold_every_line_once(body in bodies(), limit in 1usize..20) {
        let body = Bytes::from(body);
        let lines = |body: &Bytes| Lines::new(body).filter(|line| line.kind == LineKind::Line)
            .map(|line| body.slice(line.text)).collect::<Vec<_>>();
        let pieces = split(&body, limit);
        let joined: Vec<_> = pieces.iter().flat_map(lines).collect();
        prop_assert_eq!(joined, lines(&body));
        let (last, others) = pieces.split_last().map_or((None, &[][..]), |(last, others)| (Some(last), others));
        for piece in others {
            prop_assert_eq!(ending(piece), Ending::Closed);
        }
        for piece in pieces.iter().filter(|piece| piece.len() > limit) {
            let cuts = Lines::new(piece).filter(|line| {
                line.next < piece.len() && line.block.start < line.block.end && ending(&piece[..line.next]) == Ending::Closed
            });
            prop_assert!(cuts.count() <= usize::from(Some(piece) == last && piece.ends_with(b"\n")), "{:?}", piece);
        }
    }
}
