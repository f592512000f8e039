//! Pins a Flux query to the moment at which it was accepted.
//!
//! `range(start: -5s)` and `now()` count from the moment at which a node begins the query, unless the request names another one:
//! a JSON body may hold `now` (`flux/client/request.go`, 1.11 and newer). So a query that is sent as it is becomes the `query` of
//! a JSON body, and a JSON body gets a `now`, as its last member: Go's decoder lets the last of equal members count, whatever
//! the case of their letters, and skips `null`. Nothing else of the body is touched.
//!
//! A `now` of the client's own stays, but for Go's zero time, which a client sends that has none and which means the present.

use std::fmt;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::flux::Encoding;

/// The `Content-Type` of a body with a `now`.
pub(crate) const JSON: &str = "application/json";

/// A body that cannot be pinned. InfluxDB refuses it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unpinnable {
    /// It must be text.
    #[error("the query is not UTF-8")]
    NotText,
    /// It must be a JSON object.
    #[error("the body is no JSON object")]
    NotJson,
}

/// The JSON body that does at any time what `body` would have done at `now`, in nanoseconds since 1970 (UTC); nothing if `body`
/// does that itself.
///
/// # Errors
/// It is neither the text of a query nor a JSON object.
pub(crate) fn pin(
    body: &[u8],
    encoding: Encoding,
    now: i64,
) -> Result<Option<Vec<u8>>, Unpinnable> {
    let now = Timestamp::from_nanosecond(i128::from(now)).unwrap_or(Timestamp::UNIX_EPOCH);
    if encoding == Encoding::Plain {
        let query = std::str::from_utf8(body).map_err(|_| Unpinnable::NotText)?;
        let pinned = serde_json::json!({ "query": query, "now": now.to_string() });
        return Ok(Some(pinned.to_string().into_bytes()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body).into_iter::<Members>();
    let Some(Ok(members)) = deserializer.next() else {
        return Err(Unpinnable::NotJson);
    };
    if members.has_time {
        return Ok(None);
    }
    // Go's decoder ends where the object does; what follows is left out.
    let object = body.get(..deserializer.byte_offset());
    let inside = object.and_then(|object| object.strip_suffix(b"}"));
    let mut pinned = inside.ok_or(Unpinnable::NotJson)?.to_vec();
    let comma = if members.count > 0 { "," } else { "" };
    pinned.extend_from_slice(format!("{comma}\"now\":\"{now}\"}}").as_bytes());
    Ok(Some(pinned))
}

/// What is to be known of the members of an object.
#[derive(Debug, Default)]
struct Members {
    count: usize,
    /// Its `now` is a moment.
    has_time: bool,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key::<String>()? {
            members.count += 1;
            if !name.eq_ignore_ascii_case("now") {
                map.next_value::<IgnoredAny>()?;
            } else if let Some(has_time) = map.next_value_seed(Moment)? {
                members.has_time = has_time;
            }
        }
        Ok(members)
    }
}

/// Whether a value is a moment other than Go's zero time; nothing for `null`.
struct Moment;

impl<'de> DeserializeSeed<'de> for Moment {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<bool>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(|text| {
            text.parse::<Timestamp>()
                .is_ok_and(|time| !time.to_string().starts_with("0001-01-01T00:00:00Z"))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000_123_456_789;
    const TEXT: &str = "2023-11-14T22:13:20.123456789Z";

    fn pinned(body: &str) -> Result<Option<String>, Unpinnable> {
        let pinned = pin(body.as_bytes(), Encoding::Json, NOW)?;
        Ok(pinned.map(|pinned| String::from_utf8(pinned).expect("text")))
    }

    #[test]
    fn a_plain_query_becomes_the_query_of_a_json_body() {
        let query = "from(bucket: \"a/b\")\n\t|> range(start: -5s) |> to(bucket: \"ü\")";
        let body = pin(query.as_bytes(), Encoding::Plain, NOW).expect("pinned");
        let body: serde_json::Value = serde_json::from_slice(&body.expect("a body")).expect("JSON");
        assert_eq!(body, serde_json::json!({ "query": query, "now": TEXT }));
        let broken = pin(b"\xff", Encoding::Plain, NOW);
        assert_eq!(broken, Err(Unpinnable::NotText));
    }

    #[test]
    fn a_json_body_keeps_every_byte_and_gets_a_moment() {
        for (body, expected) in [
            (
                r#"{"query": "x", "dialect": {"annotations": ["group"]}, "extern": 18446744073709551616.10 }"#,
                r#"{"query": "x", "dialect": {"annotations": ["group"]}, "extern": 18446744073709551616.10 ,"now":"N"}"#,
            ),
            ("{}", r#"{"now":"N"}"#),
            (
                " {\"query\":\"\\ud800}\"}\n trailing",
                " {\"query\":\"\\ud800}\",\"now\":\"N\"}",
            ),
            (r#"{"now":null}"#, r#"{"now":null,"now":"N"}"#),
            (
                r#"{"Now":"0001-01-01T00:00:00Z","query":"x"}"#,
                r#"{"Now":"0001-01-01T00:00:00Z","query":"x","now":"N"}"#,
            ),
            (
                r#"{"now":"2020-01-01T00:00:00Z","NOW":"0001-01-01T00:00:00Z"}"#,
                r#"{"now":"2020-01-01T00:00:00Z","NOW":"0001-01-01T00:00:00Z","now":"N"}"#,
            ),
            // Not a moment: InfluxDB refuses it, wherever it stands.
            (r#"{"now":"soon"}"#, r#"{"now":"soon","now":"N"}"#),
        ] {
            let expected = expected.replace("\"N\"", &format!("\"{TEXT}\""));
            assert_eq!(pinned(body), Ok(Some(expected)), "{body}");
        }
    }

    #[test]
    fn a_clients_own_moment_stays() {
        for body in [
            r#"{"query":"x","now":"2020-01-01T00:00:00.5+01:00"}"#,
            r#"{"\u006eOW":"2020-01-01T00:00:00Z","now":null}"#,
        ] {
            assert_eq!(pinned(body), Ok(None), "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            "",
            "[]",
            "{",
            "null",
            "\"x\"",
            r#"{"query":"x"#,
            r#"{"now":5}"#,
        ] {
            assert_eq!(pinned(body), Err(Unpinnable::NotJson), "{body}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, text in "[{}\",:nowNOW\\\\ ]{0,20}", now: i64) {
            for encoding in [Encoding::Plain, Encoding::Json] {
                let _ = pin(&body, encoding, now);
                let _ = pin(text.as_bytes(), encoding, now);
            }
        }
    }
}
