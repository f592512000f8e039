//! Names, texts and durations in statements of haflux's own. InfluxQL knows the escapes `\n`, `\\`, `\"` and `\'`, and no others.

use super::time::duration;
use crate::influx::go_text;

/// Whether a name or a string can be this text: InfluxQL reads `\r` as a newline, which ends neither, and NUL as the end of all.
pub fn can_be_said(text: &str) -> bool {
    !text.contains(['\r', '\0'])
}

/// `"text"`: a name.
pub fn identifier(text: &str) -> String {
    quoted(text, '"')
}

/// `'text'`: a string.
pub fn string(text: &str) -> String {
    quoted(text, '\'')
}

fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\\' => quoted.push_str("\\\\"),
            _ if character == quote => {
                quoted.push('\\');
                quoted.push(quote);
            }
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

/// A duration that a node has listed, as InfluxQL takes it: InfluxDB prints `1h0m1.5s`, and reads `3601500ms`. What is no duration stays
/// what it is.
pub fn listed_duration(listed: &str) -> String {
    const MILLISECOND: i64 = 1_000_000;
    match go_text::duration(listed) {
        Some(_) if duration(listed.as_bytes()).is_some() => listed.to_owned(),
        Some(time) if time % MILLISECOND == 0 => format!("{}ms", time / MILLISECOND),
        Some(time) => format!("{time}ns"),
        None => listed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_durations_are_fit_for_statements() {
        for (listed, expected) in [
            ("168h0m0s", "168h0m0s"),
            ("0s", "0s"),
            ("1h0m1.5s", "3601500ms"),
            ("1h0m0.000001s", "3600000001000ns"),
            ("100µs", "100000ns"),
            ("1.5ms", "1500000ns"),
            ("soon", "soon"),
        ] {
            assert_eq!(listed_duration(listed), expected);
        }
    }

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(identifier("plain"), "\"plain\"");
        assert_eq!(
            identifier("a\"; DROP DATABASE x; --\\"),
            "\"a\\\"; DROP DATABASE x; --\\\\\""
        );
        assert_eq!(identifier("it's\nso"), "\"it's\\nso\"");
        assert_eq!(string("it's \"so\"\\"), "'it\\'s \"so\"\\\\'");
    }
}
