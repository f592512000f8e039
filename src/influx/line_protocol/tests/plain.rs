//! The rules of [`super::super::scan`] and [`super::super::parse`] byte by byte, as InfluxDB's own code walks. What skips bytes must
//! come to the same.

use super::super::parse::{key, skip_whitespace};
use super::super::value::{boolean, number};

/// The end of a line, and whether it ends inside quotes.
pub(super) fn scan_line(body: &[u8], start: usize) -> (usize, bool) {
    let mut position = start;
    let (mut in_fields, mut quoted) = (false, false);
    let (mut equals, mut commas) = (0, 0);
    while position < body.len() {
        match body[position] {
            b'\\' if position + 2 < body.len() => position += 1,
            b' ' => in_fields = true,
            b'=' if in_fields && !quoted => equals += 1,
            b',' if in_fields && !quoted => commas += 1,
            b'"' if in_fields && equals > commas => quoted = !quoted,
            b'\n' if !quoted => return (position, false),
            _ => {}
        }
        position += 1;
    }
    (body.len(), quoted)
}

/// The end of a line's fields, and the last value by the second walk, if both walks take the fields.
pub(super) fn fields(line: &[u8]) -> Option<(usize, &[u8])> {
    let key_start = skip_whitespace(line, 0);
    let key_end = key(line, key_start)?;
    if key_end - key_start > 65_535 {
        return None;
    }
    let start = skip_whitespace(line, key_end);
    let end = first_walk(line, start)?;
    let last_value = second_walk(&line[start..end], key_end - key_start)?;
    Some((end, last_value))
}

fn first_walk(line: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    let mut quoted = false;
    let (mut equals, mut commas) = (0, 0);
    while position < line.len() {
        match line[position] {
            b'\\' if position + 1 < line.len() => position += 1,
            b'"' if equals > commas => quoted = !quoted,
            b'=' if !quoted => {
                equals += 1;
                let is_behind_separator = matches!(line[position - 1], b' ' | b',');
                if is_behind_separator && position >= 2 && line[position - 2] != b'\\' {
                    return None;
                }
                position = match *line.get(position + 1)? {
                    b',' | b' ' => return None,
                    b'"' => position + 1,
                    b'0'..=b'9' | b'.' | b'-' | b'N' | b'n' => number(line, position + 1)?,
                    _ => boolean(line, position + 1)?,
                };
                continue;
            }
            b',' if !quoted => commas += 1,
            b' ' if !quoted => break,
            _ => {}
        }
        position += 1;
    }
    (!quoted && equals > 0 && commas == equals - 1).then_some(position)
}

fn second_walk(fields: &[u8], key_length: usize) -> Option<&[u8]> {
    let mut rest = fields;
    let mut last_value = &b""[..];
    while !rest.is_empty() {
        let mut equals = 0;
        while equals < rest.len()
            && (rest[equals] != b'=' || (equals > 0 && rest[equals - 1] == b'\\'))
        {
            equals += 1;
        }
        if equals + 2 > rest.len() || key_length + 4 + equals > 65_535 {
            return None;
        }
        let values = &rest[equals + 1..];
        let mut position = 0;
        let mut quoted = false;
        while position < values.len() {
            match values[position] {
                b'\\' if matches!(values.get(position + 1), Some(b'"' | b'\\')) => position += 1,
                b'"' => quoted = !quoted,
                b',' if !quoted => break,
                _ => {}
            }
            position += 1;
        }
        last_value = values.get(..position).unwrap_or(values);
        rest = values.get(position + 1..).unwrap_or_default();
    }
    Some(last_value)
}
