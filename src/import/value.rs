//! Values as HAProxy writes them, and as haflux's TOML does.

use std::fmt::Write as _;
use std::time::Duration;

use super::word::Word;
use crate::config::units::format_duration;

/// A value in the TOML that is written.
pub(super) type Toml = String;

/// The longest duration that haflux takes.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A duration in HAProxy's form, without a unit in milliseconds. None if haflux takes no such duration.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "us" => number / 1000,
        "" | "ms" => number,
        "s" => number.checked_mul(1000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        "d" => number.checked_mul(86_400_000)?,
        _ => return None,
    };
    let duration = Duration::from_millis(milliseconds);
    (milliseconds > 0 && duration <= LONGEST).then_some(duration)
}

/// A duration for haflux; a variable stands as it is, because haflux reads its value with a unit only.
pub(super) fn duration_value(duration: Duration) -> Toml {
    format!("\"{}\"", format_duration(duration))
}

/// A whole number within a range, or a variable.
pub(super) fn whole(word: &Word, range: std::ops::RangeInclusive<u64>) -> Option<Toml> {
    if word.is_variable() {
        return Some(quoted(word.notation()));
    }
    let number: u64 = word.as_str().parse().ok()?;
    range.contains(&number).then(|| number.to_string())
}

/// A path that haflux can serve or ask for, a query allowed.
pub(super) fn path(notation: &str) -> Option<Toml> {
    let is_path = notation.starts_with('/')
        && !notation.contains('#')
        && (notation.contains("${") || notation.parse::<http::uri::PathAndQuery>().is_ok());
    is_path.then(|| quoted(notation))
}

/// A text in quotes. One with backslashes stands in single quotes, as it is.
pub(super) fn quoted(text: &str) -> Toml {
    if text.contains('\\') && !text.contains('\'') && !text.contains(char::is_control) {
        return format!("'{text}'");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other if other.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(other));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// One value, or a list of them.
pub(super) fn one_or_list(values: &[Toml]) -> Toml {
    match values {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// A name that haflux takes.
pub(super) fn name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() || "-_.:".contains(character) {
                character
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_') {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_a_unit_are_milliseconds() {
        for (text, expected) in [
            ("5000", Some("\"5s\"")),
            ("10s", Some("\"10s\"")),
            ("1m", Some("\"1m\"")),
            ("1500us", Some("\"1ms\"")),
            ("0", None),
            ("31d", None),
            ("5x", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(
                duration(text).map(duration_value).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn texts_are_toml() {
        assert_eq!(quoted("a\"b\u{1}"), "\"a\\\"b\\u0001\"");
        assert_eq!(quoted(r"\.png$"), r"'\.png$'");
    }
}
