//! Points as lines.
//!
//! InfluxDB takes names over other ways than lines (Graphite, OpenTSDB, Prometheus), and some of them no line can express: in a
//! name that ends in `\`, that byte would escape the separator behind it; a newline ends the line; a measurement that begins with
//! `#` makes a comment. Such values are left out and counted, because a line with them would write another point.

use std::io::Write as _;

use bstr::{BStr, ByteSlice};

use super::{Series, Tags, Value};
use crate::influx::line_protocol::{LineKind, Lines};

/// What a line of fields needs room for at first.
const ROOM: usize = 256;

/// Appends the lines of points, with times in nanoseconds and a newline behind each. Returns how many values were left out,
/// because no line can express their names.
pub(in crate::heal) fn append_lines(
    into: &mut Vec<u8>,
    measurement: &BStr,
    series: &Series,
) -> u64 {
    let key = key(measurement, &series.tags);
    let fields: Vec<Option<Vec<u8>>> = series.fields.iter().map(|name| field(name)).collect();
    let has_backslash = measurement.contains(&b'\\')
        || series.fields.iter().any(|name| name.contains(&b'\\'))
        || (series.tags.iter())
            .any(|(name, value)| name.contains(&b'\\') || value.contains(&b'\\'));
    let mut left_out = 0;
    let mut text = Vec::with_capacity(ROOM);
    for (time, values) in &series.rows {
        text.clear();
        let mut written = 0;
        for (name, value) in fields.iter().zip(values) {
            let Some(value) = value else { continue };
            let (Some(name), Some(_)) = (name, &key) else {
                left_out += 1;
                continue;
            };
            text.push(if written == 0 { b' ' } else { b',' });
            text.extend_from_slice(name);
            text.push(b'=');
            push_value(&mut text, value);
            written += 1;
        }
        let Some(key) = key.as_ref().filter(|_| written > 0) else {
            continue;
        };
        push(&mut text, format_args!(" {time}\n"));
        let start = into.len();
        into.extend_from_slice(key);
        into.extend_from_slice(&text);
        // InfluxDB finds the ends of lines by other rules about `\` than those by which it reads a line.
        if has_backslash && !is_one_line(into.get(start..).unwrap_or_default()) {
            into.truncate(start);
            left_out += written;
        }
    }
    left_out
}

fn is_one_line(text: &[u8]) -> bool {
    let first = Lines::new(text).next();
    first.is_some_and(|line| line.kind == LineKind::Line && line.next == text.len())
}

/// Measurement and tags; `None` if no line can begin so.
fn key(measurement: &BStr, tags: &Tags) -> Option<Vec<u8>> {
    // InfluxDB unescapes a measurement once more in some places than in others, and cannot find such points itself.
    let is_ambiguous = ["\\,", "\\ ", "\\=", "\\\""]
        .iter()
        .any(|odd| measurement.contains_str(odd));
    if is_ambiguous || matches!(measurement.first(), Some(b'#' | b'\t' | b'\0')) {
        return None;
    }
    let mut key = Vec::with_capacity(ROOM);
    push_name(&mut key, measurement, b", ")?;
    for (name, value) in tags {
        key.push(b',');
        push_name(&mut key, name, b", =")?;
        key.push(b'=');
        push_name(&mut key, value, b", =")?;
    }
    Some(key)
}

/// The name of a field; `None` if none of a line can be called so.
fn field(name: &[u8]) -> Option<Vec<u8>> {
    const SPECIAL: &[u8] = b", =\"";
    if matches!(name.first(), Some(b'\t' | b'\0')) {
        return None;
    }
    // Fields are read by pairs of `\` and what follows; an odd run of `\` would pair with the escape behind it.
    let mut run = 0;
    for byte in name {
        if SPECIAL.contains(byte) && run % 2 == 1 {
            return None;
        }
        run = if *byte == b'\\' { run + 1 } else { 0 };
    }
    let mut field = Vec::with_capacity(name.len());
    push_name(&mut field, name, SPECIAL)?;
    Some(field)
}

fn push_name(into: &mut Vec<u8>, name: &[u8], special: &[u8]) -> Option<()> {
    if name.is_empty() || name.ends_with(b"\\") || name.contains(&b'\n') {
        return None;
    }
    for byte in name {
        if special.contains(byte) {
            into.push(b'\\');
        }
        into.push(*byte);
    }
    Some(())
}

/// Appends a value as it stands in a line. Go's `ParseFloat` reads the same number from what `{:?}` writes, which is the shortest text
/// that names it.
pub(in crate::heal) fn push_value(into: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Float(number) => push(into, format_args!("{number:?}")),
        Value::Integer(number) => push(into, format_args!("{number}i")),
        Value::Unsigned(number) => push(into, format_args!("{number}u")),
        Value::Boolean(true) => into.extend_from_slice(b"true"),
        Value::Boolean(false) => into.extend_from_slice(b"false"),
        Value::Text(text) => {
            into.push(b'"');
            for byte in text.iter() {
                if matches!(byte, b'"' | b'\\') {
                    into.push(b'\\');
                }
                into.push(*byte);
            }
            into.push(b'"');
        }
    }
}

/// A `Vec` takes whatever is written to it.
fn push(into: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = into.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(measurement: &str, tag: (&str, &str), field: &str) -> (String, u64) {
        let series = Series {
            tags: vec![(tag.0.into(), tag.1.into())],
            fields: vec![field.into(), "g".into()],
            rows: vec![
                (-1, vec![Some(Value::Float(1.0)), None]),
                (
                    2,
                    vec![Some(Value::Integer(-1)), Some(Value::Boolean(true))],
                ),
                (3, vec![None, None]),
            ],
        };
        let mut into = Vec::new();
        let left_out = append_lines(&mut into, measurement.into(), &series);
        (String::from_utf8(into).unwrap(), left_out)
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(
            lines("m =,", ("k =,", "v =,\""), "f =,\""),
            (
                "m\\ =\\,,k\\ \\=\\,=v\\ \\=\\,\" f\\ \\=\\,\\\"=1.0 -1\nm\\ =\\,,k\\ \\=\\,=v\\ \\=\\,\" f\\ \\=\\,\\\"=-1i,g=true 2\n"
                    .to_owned(),
                0
            )
        );
    }

    #[test]
    fn what_no_line_can_express_is_counted() {
        let good = ("m", ("k", "v"), "f");
        assert_eq!(lines(good.0, good.1, good.2).1, 0);
        for measurement in ["m\\", "#m", "\tm", "m\nn", "", "m\\\"n", "m\\ n"] {
            assert_eq!(
                lines(measurement, good.1, good.2),
                (String::new(), 3),
                "{measurement:?}"
            );
        }
        for tag in [("k\\", "v"), ("k", "v\\"), ("k\n", "v"), ("k", "\nv")] {
            assert_eq!(lines(good.0, tag, good.2), (String::new(), 3), "{tag:?}");
        }
        for field in ["f\\", "f\\ g", "f\\\"", "f\n", "\tf"] {
            assert_eq!(
                lines(good.0, good.1, field),
                ("m,k=v g=true 2\n".to_owned(), 2),
                "{field:?}"
            );
        }
    }
}
