//! One point of a body by its name: measurement, tags, one field, time. With it a node can be asked whether it has the point.
//!
//! A name must survive the way through line protocol, InfluxDB's index and InfluxQL unchanged. Escapes are undone only where
//! all three agree on what is meant; what is left is odd: an odd tag is left out (the point is then named by the others), a
//! line with an odd measurement, or without a plain field, is passed over.

use serde::{Deserialize, Serialize};

use super::parse::{
    LineShape, field_name_length, field_value_length, inspect, key, skip_whitespace, tag, unescaped,
};
use super::scan::{LineKind, Lines};
use crate::influx::Precision;

/// Lines that are looked at in one body.
const MAX_LINES: usize = 64;

/// The times that InfluxQL can compare with (`influxql.MinTime`, `MaxTime`), without the outermost ones.
const TIMES: std::ops::Range<i64> = i64::MIN + 3..i64::MAX - 2;

/// Tags that InfluxQL takes for something else.
const SPECIAL_TAGS: [&str; 5] = ["time", "_name", "_tagKey", "_field", "_seriesKey"];

/// A point's name, not its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its measurement.
    pub measurement: String,
    /// Names and values of its tags; not necessarily all.
    pub tags: Vec<(String, String)>,
    /// One of its fields.
    pub field: String,
    /// Its time, Unix time in nanoseconds.
    pub time: i64,
}

/// The first point of a body that can be named; every line of it has its time (see [`super::normalize()`]).
pub fn first_point(body: &[u8], precision: Precision) -> Option<Point> {
    Lines::new(body)
        .filter(|line| line.kind == LineKind::Line)
        .take(MAX_LINES)
        .find_map(|line| point(body.get(line.text)?, precision))
}

fn point(line: &[u8], precision: Precision) -> Option<Point> {
    let accepted = LineShape::Accepted {
        has_timestamp: true,
    };
    if inspect(line) != accepted {
        return None;
    }
    let key_start = skip_whitespace(line, 0);
    let key_end = key(line, key_start)?;
    let measurement_end = unescaped(line, key_start, |byte| matches!(byte, b',' | b' '))?;
    let mut tags = Vec::new();
    let mut next = measurement_end + 1;
    while next < key_end {
        let found = tag(line, next)?;
        let value_start = next + found.name.len() + 1;
        let value = line.get(value_start..found.end)?;
        if let (Some(name), Some(value)) = (plain(found.name, b", ="), plain(value, b", ="))
            && !SPECIAL_TAGS.contains(&name.as_str())
        {
            tags.push((name, value));
        }
        next = found.end + 1;
    }
    let fields_start = skip_whitespace(line, key_end);
    Some(Point {
        measurement: plain(line.get(key_start..measurement_end)?, b", ")?,
        tags,
        field: field(line.get(fields_start..)?)?,
        time: time(line)?
            .checked_mul(precision.nanoseconds())
            .filter(|time| TIMES.contains(time))?,
    })
}

/// The first field that has a plain name. (InfluxDB drops a field named `time` without a word.)
fn field(mut rest: &[u8]) -> Option<String> {
    loop {
        let equals = field_name_length(rest);
        let values = rest.get(equals + 1..)?;
        let name = plain(rest.get(..equals)?, b", =").filter(|name| name != "time");
        if name.is_some() {
            return name;
        }
        let length = field_value_length(values);
        rest = values.get(length..)?.strip_prefix(b",")?;
    }
}

/// The timestamp of a line that has one: its last word.
fn time(line: &[u8]) -> Option<i64> {
    let line = line.trim_ascii_end();
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    let before = line.iter().rposition(|byte| !is_of_number(byte))?;
    let text = std::str::from_utf8(line.get(before + 1..)?).ok()?;
    text.parse().ok()
}

/// A name without its escapes; `None` if it is odd.
pub(super) fn plain(name: &[u8], escapable: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'\\' {
            match rest.peek() {
                Some(next) if escapable.contains(next) => continue,
                // Not an escape to the one, half of one to the other.
                None | Some(b'\\' | b',' | b' ' | b'=' | b'"') => return None,
                Some(_) => {}
            }
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).ok()?;
    // InfluxQL has no way to write most of them.
    let has_control = text.chars().any(char::is_control);
    (!text.is_empty() && !has_control).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(body: &str) -> Option<Point> {
        first_point(body.as_bytes(), Precision::Nanoseconds)
    }

    fn named(measurement: &str, tags: &[(&str, &str)], field: &str, time: i64) -> Option<Point> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Some(Point {
            measurement: measurement.to_owned(),
            tags: tags.iter().map(owned).collect(),
            field: field.to_owned(),
            time,
        })
    }

    #[test]
    fn names_a_point_as_influxdb_stores_it() {
        let table = [
            ("m v=1 5", named("m", &[], "v", 5)),
            ("  m v=1 -7  ", named("m", &[], "v", -7)),
            (
                "cpu,host=a,core=0 user=1i,system=2i 9",
                named("cpu", &[("host", "a"), ("core", "0")], "user", 9),
            ),
            (
                r"my\ m\,x,ho\ st=a\,b,k\=1=v\=2 f\ \=x=1 3",
                named("my m,x", &[("ho st", "a,b"), ("k=1", "v=2")], "f =x", 3),
            ),
            (
                r#"a"b,quote="it's" v="s, t=1 2" 12"#,
                named("a\"b", &[("quote", "\"it's\"")], "v", 12),
            ),
            (
                r"win,path=C:\Users v=1 4",
                named("win", &[("path", r"C:\Users")], "v", 4),
            ),
            ("ü,ö=ä v=1 6", named("ü", &[("ö", "ä")], "v", 6)),
            // Comments and blank lines are none; of several the first.
            ("# c\n\nm v=1 1\nn v=1 2", named("m", &[], "v", 1)),
        ];
        for (body, point) in table {
            assert_eq!(first(body), point, "{body}");
        }
    }

    #[test]
    fn what_is_odd_is_left_out_or_passed_over() {
        let table = [
            (r"m,odd=a\\,b=c v=1 5", None),
            (r"m,odd=a\\b,k=c v=1 5", named("m", &[("k", "c")], "v", 5)),
            ("m,_name=x,a=b v=1 5", named("m", &[("a", "b")], "v", 5)),
            ("m time=1,v=2 5", named("m", &[], "v", 5)),
            ("m time=1 5", None),
            (r#"m odd\\x="a=1,b",v=2 5"#, named("m", &[], "v", 5)),
            (r"m\=x v=1 5", None),
            ("m\u{1}x v=1 5", None),
            ("m v=1", None),
            ("nonsense", None),
            ("bad v=1 x\ngood v=1 2", named("good", &[], "v", 2)),
            ("m v=1 9223372036854775807", None),
            ("m v=1 -9223372036854775806", None),
            ("", None),
        ];
        for (body, point) in table {
            assert_eq!(first(body), point, "{body}");
        }
        assert_eq!(first_point(b"m\xff v=1 5", Precision::Nanoseconds), None);
        assert_eq!(
            first_point(b"m,a=\xff v=\"\xff\" 5", Precision::Seconds),
            named("m", &[], "v", 5_000_000_000)
        );
        assert_eq!(
            first_point(b"m v=1 9223372036854775", Precision::Hours),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body in "[a-c\\\\ ,=\"\n0-9-]{0,40}") {
            let _ = first(&body);
        }
    }
}
