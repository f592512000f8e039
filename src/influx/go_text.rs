//! Text as Go's standard library prints it, where InfluxDB's answers depend on it, and durations read from such text.

use std::fmt::Write;

/// Go's `%q` (`strconv.Quote`): double quotes, escapes for what cannot be printed, `\x` for bytes that are not UTF-8.
pub(super) fn quote(text: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for chunk in text.utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|character| quote_character(&mut quoted, character));
        for byte in chunk.invalid() {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

fn quote_character(quoted: &mut String, character: char) {
    let code = u32::from(character);
    match character {
        '"' => quoted.push_str("\\\""),
        '\\' => quoted.push_str("\\\\"),
        '\u{7}' => quoted.push_str("\\a"),
        '\u{8}' => quoted.push_str("\\b"),
        '\u{c}' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\u{b}' => quoted.push_str("\\v"),
        ' '..='~' => quoted.push(character),
        '\0'..='\u{7f}' => {
            let _ = write!(quoted, "\\x{code:02x}");
        }
        _ if is_printable(character) => quoted.push(character),
        _ if code < 0x1_0000 => {
            let _ = write!(quoted, "\\u{code:04x}");
        }
        _ => {
            let _ = write!(quoted, "\\U{code:08x}");
        }
    }
}

/// Close to Go's `unicode.IsPrint`: what Rust's own debug output leaves as it is behind another character.
fn is_printable(character: char) -> bool {
    let mut buffer = [b'x', 0, 0, 0, 0];
    let length = character.len_utf8();
    if let Some(room) = buffer.get_mut(1..=length) {
        character.encode_utf8(room);
    }
    let text = buffer
        .get(..=length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default();
    text.escape_debug().count() == 2
}

/// A JSON string as `encoding/json` prints it: `<`, `>`, `&`, U+2028 and U+2029 are escaped, so that it is safe inside HTML.
pub(super) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

/// One field of a line of `encoding/csv`.
pub(super) fn csv_field(text: &str) -> String {
    let quotes_needed = text == "\\."
        || text.contains([',', '"', '\r', '\n'])
        || text.chars().next().is_some_and(char::is_whitespace);
    if quotes_needed {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The nanoseconds of a duration as Go prints it (`168h0m0s`, `1h0m1.5s`, `100µs`); nothing if it is something else, is less than
/// nothing, or has a part of a nanosecond.
pub(super) fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i128); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text;
    let mut sum: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (whole, after) = digits(rest)?;
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after)?,
            None => ("0", after),
        };
        let found = UNITS.iter().find_map(|(unit, length)| {
            let after = after.strip_prefix(unit)?;
            Some((*length, after))
        });
        let (length, after) = found?;
        let whole: i64 = whole.parse().ok()?;
        let parts = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let fraction = fraction.parse::<i64>().ok()?;
        let fraction = i128::from(fraction).checked_mul(length)?;
        if fraction % parts != 0 {
            return None;
        }
        let part = i128::from(whole).checked_mul(length)? + fraction / parts;
        sum = sum.checked_add(i64::try_from(part).ok()?)?;
        rest = after;
    }
    Some(sum)
}

/// The digits at the beginning, one at least, and what is behind them.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(end).filter(|_| end > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_like_go() {
        for (text, expected) in [
            ("168h0m0s", 604_800_000_000_000),
            ("0s", 0),
            ("1h0m1.5s", 3_601_500_000_000),
            ("1m5s3ms", 65_003_000_000),
            ("1.000000001s", 1_000_000_001),
            ("1.5ms", 1_500_000),
            ("2.25µs", 2_250),
            ("7ns", 7),
        ] {
            assert_eq!(duration(text), Some(expected), "{text}");
        }
        for odd in [
            "",
            "5",
            "h",
            "1x",
            "-1h",
            "1.h",
            ".5s",
            "1.5ns",
            "99999999999999h",
            "99999999999999999999h",
            "0.99999999999999999999999999999999999999999s",
        ] {
            assert_eq!(duration(odd), None, "{odd}");
        }
    }

    #[test]
    fn quotes_like_go() {
        let table: [(&[u8], &str); 8] = [
            (b"xx", "\"xx\""),
            (b"", "\"\""),
            (b"a\"b\\", "\"a\\\"b\\\\\""),
            (
                b"\x00\x07\x08\x0c\n\r\t\x0b\x1f\x7f",
                "\"\\x00\\a\\b\\f\\n\\r\\t\\v\\x1f\\x7f\"",
            ),
            ("µ€😀".as_bytes(), "\"µ€😀\""),
            (
                "\u{a0}\u{200b}\u{e0001}".as_bytes(),
                "\"\\u00a0\\u200b\\U000e0001\"",
            ),
            ("e\u{301}".as_bytes(), "\"e\u{301}\""),
            (b"a\xffb\xc3", "\"a\\xffb\\xc3\""),
        ];
        for (text, expected) in table {
            assert_eq!(quote(text), expected);
        }
    }

    #[test]
    fn writes_json_like_go() {
        assert_eq!(
            json_string("a\"\\\n\t\r\u{1}<>&\u{2028}é"),
            "\"a\\\"\\\\\\n\\t\\r\\u0001\\u003c\\u003e\\u0026\\u2028é\""
        );
    }

    #[test]
    fn writes_csv_like_go() {
        let table = [
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
            (" a", "\" a\""),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(csv_field(text), expected);
        }
    }
}
