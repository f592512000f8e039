use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn in_pieces(body: &[u8], piece: usize) -> Scanned {
    let mut scan = AnswerScan::default();
    for piece in body.chunks(piece.max(1)) {
        scan.read(piece);
    }
    scan.finish()
}

fn error(body: &str) -> Option<(String, bool)> {
    let error = scan_answer(body.as_bytes()).error?;
    Some((error.text().to_owned(), error.is_whole()))
}

#[test]
fn errors_stand_at_two_places() {
    let whole = |text: &str| Some((text.to_owned(), true));
    for (body, expected) in [
        (r#"{"error":"no"}"#, whole("no")),
        (
            "{\n    \"error\": \"a \\u003cb\\u003e\\n\"\n}\n",
            whole("a <b>\n"),
        ),
        (
            r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"x"}]}"#,
            whole("x"),
        ),
        (
            r#"{"results":[{"series":[{"name":"error","tags":{"error":"t"},"values":[["error",{"error":"y"}]]}]}]}"#,
            None,
        ),
        (r#"{"results":[{"messages":[{"error":"y"}]}]}"#, None),
        (r#"{"other":[{"error":"y"}]}"#, None),
        (r#"{"other":{"results":[{"error":"y"}]}}"#, None),
        (
            "{\"error\":\"first\"}\n{\"error\":\"second\"}\n",
            whole("first"),
        ),
        (
            "{\"results\":[{}]}\n{\"results\":[{\"error\":\"z\"}]}",
            whole("z"),
        ),
        (r#"{"error":null}"#, None),
        (r#"{"error":""}"#, whole("")),
        (r#"{"error":"EOF"} garbage"#, whole("EOF")),
        (
            r#"{"error":"\ud83d\ude00 \ud83d \ude00 \ud83d\n\ud83d"}"#,
            whole("😀 \u{fffd} \u{fffd} \u{fffd}\n\u{fffd}"),
        ),
        (r#"{"errors":"a","error ":"b","err":"c"}"#, None),
    ] {
        assert_eq!(error(body), expected, "{body}");
    }
}

#[test]
fn what_is_read_of_a_cut_answer_counts() {
    for (body, text) in [
        (r#"{"error":"unable to par"#, "unable to par"),
        (r#"{"error":"a\"#, "a"),
        (r#"{"error":"a\u00"#, "a"),
        (r#"{"error":""#, ""),
    ] {
        assert_eq!(error(body), Some((text.to_owned(), false)), "{body}");
        assert!(!scan_answer(body.as_bytes()).is_results);
    }
    assert_eq!(error(r#"{"error":"#), None);
}

#[test]
fn what_is_no_answer_of_influxdb_is_told() {
    for body in [
        "",
        "<html>",
        "[]",
        "[[],\"x\"]",
        "{\"results\":5}",
        "{\"results\":[5]}",
        "{\"error\":5}",
        "{\"results\":[{\"error\":{}}]}",
        "{\"results\":[{]}",
        "{\"results\":[{\"a\" 1}]}",
        "{\"results\":[}",
        "{,}",
        "{\"a\":tru}",
        "{\"results\":[{\"statement_id\":0}]",
        "{} x",
    ] {
        assert!(!scan_answer(body.as_bytes()).is_results, "{body}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(1_000_000));
    assert!(!scan_answer(deep.as_bytes()).is_results);
    assert!(scan_answer(b" {} \n {\"results\":[]} ").is_results);
    for body in [
        &b"json: unsupported value: NaN"[..],
        b"json: error calling MarshalJSON for type httpd.Response: json: error calling MarshalJSON for type *query.Result: json: unsupported value: +Inf\n",
        b"{\"results\":[{}]}\njson: unsupported value: +Inf",
    ] {
        let scanned = in_pieces(body, 3);
        assert!(scanned.is_unsupported && !scanned.is_results);
    }
}

/// What serde says, document by document; a result's error counts where none of the document's stands.
fn by_serde(body: &[u8]) -> Option<Option<String>> {
    let mut found = None;
    let mut count = 0;
    for document in serde_json::Deserializer::from_slice(body).into_iter::<Value>() {
        let document = document.ok()?;
        count += 1;
        let results = document["results"].as_array().into_iter().flatten();
        let errors = results.filter_map(|result| result["error"].as_str());
        let mut errors = document["error"].as_str().into_iter().chain(errors);
        found = found.or_else(|| errors.next().map(str::to_owned));
    }
    (count > 0).then_some(found)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("error".to_owned()),
        Just("results".to_owned()),
        any::<String>(),
        ".{0,12}",
        Just("\"error\":\"lure\"".to_owned()),
    ]
}

/// Any JSON, with the two names that matter in it now and then.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    let result = (proptest::option::weighted(0.2, text()), value()).prop_map(|(error, series)| {
        let mut result = json!({ "statement_id": 0, "series": series });
        if let Some(error) = error {
            result["error"] = error.into();
        }
        result
    });
    let results = proptest::collection::vec(result, 0..4);
    (results, proptest::option::weighted(0.2, text()), value()).prop_map(
        |(results, error, other)| match error {
            Some(error) => json!({ "error": error, "other": other }),
            None => json!({ "results": results, "other": other }),
        },
    )
}

proptest! {
    #[test]
    fn finds_what_serde_finds(documents in proptest::collection::vec((document(), any::<bool>()), 1..4), piece in 1_usize..40) {
        let mut body = String::new();
        for (document, pretty) in &documents {
            body += &match pretty {
                true => serde_json::to_string_pretty(document).unwrap(),
                false => document.to_string(),
            };
            body.push('\n');
        }
        let scanned = in_pieces(body.as_bytes(), piece);
        prop_assert_eq!(&scanned, &scan_answer(body.as_bytes()));
        prop_assert!(scanned.is_results, "{}", body);
        let found = scanned.error.map(|error| error.text().to_owned());
        prop_assert_eq!(Some(found), by_serde(body.as_bytes()));
    }

    #[test]
    fn a_cut_answer_is_no_whole_one_and_its_error_begins_as_the_whole_ones(documents in document(), at: prop::sample::Index) {
        let body = documents.to_string();
        let at = at.index(body.len());
        let cut = scan_answer(&body.as_bytes()[..at]);
        prop_assert!(!cut.is_results);
        let whole = scan_answer(body.as_bytes()).error;
        if let Some(error) = cut.error {
            let whole = whole.map(|error| error.text().to_owned()).unwrap_or_default();
            prop_assert!(whole.starts_with(error.text()), "{:?} {:?}", whole, error);
        }
    }

    #[test]
    fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..100), piece in 1_usize..10, json in "[\\[\\]{}\",:\\\\u0-9a-f nerrorsult]{0,60}") {
        in_pieces(&body, piece);
        in_pieces(json.as_bytes(), piece);
        prop_assert_eq!(in_pieces(json.as_bytes(), piece), scan_answer(json.as_bytes()));
    }
}
