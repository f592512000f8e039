//! What needs no node. Beside a real one the forms are compared in `tests/queries/answer_forms.rs`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn csv(json: &str) -> String {
    let csv = render(json.as_bytes(), Format::TextCsv, true, None).expect("an answer");
    String::from_utf8(csv).expect("text")
}

fn packed(json: &str, epoch: Option<&[u8]>) -> Vec<u8> {
    render(json.as_bytes(), Format::MessagePack, true, epoch).expect("an answer")
}

fn series(columns: &str, values: &str) -> String {
    format!(
        r#"{{"results":[{{"statement_id":0,"series":[{{"columns":{columns},"values":{values}}}]}}]}}"#
    )
}

/// The values, as they are packed behind the columns of a series.
fn values(columns: &str, rows: &str) -> Vec<u8> {
    let packed = packed(&series(columns, rows), None);
    let key = b"\xa6values\x91";
    let start = packed
        .windows(key.len())
        .position(|window| window == key)
        .expect("one row");
    packed[start + key.len()..].to_vec()
}

#[test]
fn json_is_not_touched() {
    assert_eq!(
        render(b"any \xff", Format::Json, false, None).expect("as it is"),
        b"any \xff"
    );
}

#[test]
fn what_is_no_answer_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_value = series(r#"["v"]"#, &format!("[[{deep}]]"));
    for bytes in [
        "",
        " \n",
        "no JSON",
        "[]",
        "{",
        r#"{"results":[]} x"#,
        r#"{"other":1}"#,
        r#"{"results":[{"series":[]}]}"#,
        r#"{"results":[{"statement_id":0,"series":[{"columns":["v"],"values":[[[[1]]]]}]}]}"#,
        r#"{"results":[{"statement_id":0,"series":[{"columns":["v"],"values":[[{}]]}]}]}"#,
        "json: unsupported value: NaN\n",
        &deep,
        &deep_value,
    ] {
        for chunked in [false, true] {
            assert!(
                render(bytes.as_bytes(), Format::TextCsv, chunked, None).is_err(),
                "{}",
                bytes.chars().take(100).collect::<String>()
            );
        }
    }
    let two = b"{}\n{}\n";
    assert!(matches!(
        render(two, Format::MessagePack, false, None),
        Err(NotResults::Documents(2))
    ));
    assert_eq!(
        render(two, Format::MessagePack, true, None).expect("two chunks"),
        b"\x81\xa7results\x90\x81\xa7results\x90"
    );
}

#[test]
fn one_fraction_makes_a_column_float() {
    let float = |value: f64| [&[0xcb][..], &value.to_be_bytes()].concat();
    assert_eq!(values(r#"["key","v"]"#, r#"[["a",1]]"#), b"\x92\xa1a\x01");
    let whole = [
        b"\x92\xa1a".to_vec(),
        float(1.0),
        b"\x92\xa1a".to_vec(),
        float(1.5),
    ]
    .concat();
    let two = packed(&series(r#"["key","v"]"#, r#"[["a",1],["a",1.5]]"#), None);
    assert!(two.ends_with(&whole));
    // In another chunk too, but not in another statement.
    let chunk = |statement: i64, value: &str| {
        format!(
            r#"{{"results":[{{"statement_id":{statement},"series":[{{"columns":["v"],"values":[[{value}]]}}]}}]}}"#
        )
    };
    let chunks = packed(&format!("{}\n{}", chunk(0, "1"), chunk(0, "1e-9")), None);
    assert!(chunks.ends_with(&float(1e-9)));
    assert!(chunks.windows(9).any(|window| window == float(1.0)));
    let statements = packed(&format!("{}\n{}", chunk(0, "2"), chunk(1, "1e-9")), None);
    assert!(!statements.windows(9).any(|window| window == float(2.0)));
}

#[test]
fn numbers_keep_their_last_digit() {
    for value in [
        "0.1",
        "-0",
        "5e-324",
        "1.7976931348623157e+308",
        "123456789012345680000",
        "9007199254740993.5",
        "2.2250738585072014e-308",
        "10000000000000000000",
    ] {
        let float: f64 = value.parse().expect("a number");
        let expected = [&[0x91, 0xcb][..], &float.to_be_bytes()].concat();
        assert_eq!(
            values(r#"["v"]"#, &format!("[[{value}]]")),
            expected,
            "{value}"
        );
    }
    assert_eq!(
        csv(&series(r#"["v"]"#, "[[1e+21],[1e-7],[-0],[1.5]]")),
        "name,tags,v\n,,1000000000000000000000\n,,0.0000001\n,,-0\n,,1.5\n"
    );
}

#[test]
fn numbers_of_shards_and_queries_are_unsigned() {
    assert_eq!(
        values(
            r#"["id","database","retention_policy","shard_group"]"#,
            r#"[[200,"d","r",300]]"#
        ),
        b"\x94\xcc\xc8\xa1d\xa1r\xcd\x01\x2c"
    );
    assert_eq!(
        values(r#"["qid","query","database"]"#, r#"[[200,"q","d"]]"#),
        b"\x93\xcc\xc8\xa1q\xa1d"
    );
    assert_eq!(values(r#"["id"]"#, "[[200]]"), b"\x91\xd1\x00\xc8");
}

#[test]
fn times_are_times_in_the_first_column_alone() {
    let time = "\"1970-01-01T00:00:01.5Z\"";
    let extension = b"\xc7\x0c\x05\0\0\0\0\0\0\0\x01\x1d\xcd\x65\0";
    let text = b"\xb61970-01-01T00:00:01.5Z";
    assert_eq!(
        values(r#"["time","v"]"#, &format!("[[{time},{time}]]")),
        [&b"\x92"[..], extension, text].concat()
    );
    assert_eq!(
        values(r#"["key"]"#, &format!("[[{time}]]")),
        [&b"\x91"[..], text].concat()
    );
    let with_epoch = packed(&series(r#"["time"]"#, &format!("[[{time}]]")), Some(b"ms"));
    assert!(with_epoch.ends_with(text));
    assert_eq!(
        csv(&series(r#"["time","v"]"#, &format!("[[{time},{time}]]"))),
        "name,tags,time,v\n,,1500000000,1970-01-01T00:00:01.5Z\n"
    );
}

#[test]
fn csv_repeats_what_stood_in_a_cell_that_it_cannot_write() {
    assert_eq!(
        csv(&series(
            r#"["a","b"]"#,
            r#"[["x",["y","z"]],["v","w"],[null,["y"]],["u"]]"#
        )),
        "name,tags,a,b\n,,x,b\n,,v,w\n,,,w\n,,u,w\n"
    );
    // More cells than columns.
    assert_eq!(
        csv(&series(r#"["a"]"#, r#"[["x","y"]]"#)),
        "name,tags,a\n,,x,y\n"
    );
}

#[test]
fn tags_in_csv() {
    let json = r#"{"results":[{"statement_id":7,"series":[{"name":"m","tags":{"k":"","a b":"c,d=e","z":"y"},"columns":["v"],"values":[[1]]}]}]}"#;
    assert_eq!(csv(json), "name,tags,v\nm,\"a\\ b=c\\,d\\=e,z=y\",1\n");
}

/// Texts that are nearly answers.
fn nearly() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just(r#"{"results":["#.to_owned()),
        Just(r#"{"statement_id":0,"series":[{"columns":["time","v"],"values":[["#.to_owned()),
        Just(r#""1970-01-01T00:00:00Z","#.to_owned()),
        Just("1.5".to_owned()),
        Just("1e999".to_owned()),
        Just("[1]".to_owned()),
        Just("]]}]}".to_owned()),
        Just("]}".to_owned()),
        Just(",".to_owned()),
        Just("\"error\":\"x\"".to_owned()),
        ".{0,5}",
    ];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn never_panics(
        bytes in prop_oneof![vec(any::<u8>(), 0..200), nearly().prop_map(String::into_bytes)],
        chunked: bool,
        epoch in proptest::option::of(vec(any::<u8>(), 0..3)),
    ) {
        for format in [Format::Json, Format::TextCsv, Format::ApplicationCsv, Format::MessagePack] {
            let _ = render(&bytes, format, chunked, epoch.as_deref());
        }
    }

    #[test]
    fn texts_and_times_never_panic(text in prop_oneof![".{0,40}", "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,14}(Z|[+-][0-9:]{5})"]) {
        let _ = super::time::Moment::parse(&text).map(super::time::Moment::nanoseconds_since_1970);
    }
}
