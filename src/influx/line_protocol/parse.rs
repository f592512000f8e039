//! Whether InfluxDB would take a line for a point: the rules of `parsePoint` and of all it calls.
//!
//! `measurement[,tag=value…] field=value[,field=value…] [timestamp]`, where each section has its own idea of escapes and
//! quotes. All rules are followed that can refuse a line, except one: whether a timestamp, scaled by its precision, lies in
//! the range that InfluxDB can store. (Such a line has a timestamp in any case, and is InfluxDB's to refuse.)

use memchr::memchr2;

use super::scan::is_whitespace;
use super::value::{boolean, number};

/// The longest series key, and series key with one field's name behind it, that InfluxDB takes (`models.MaxKeyLength`).
const MAX_KEY_LENGTH: usize = 65_535;

/// What InfluxDB puts between a series key and a field's name when it measures them together.
const FIELD_SEPARATOR_LENGTH: usize = 4;

/// What InfluxDB would make of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineShape {
    /// A point.
    Accepted {
        /// Whether the line says its time; else InfluxDB takes the clock's.
        has_timestamp: bool,
    },
    /// InfluxDB takes it for a point, and must never get it. Nobody writes such a line by intent:
    ///
    /// - It **ends the InfluxDB process** when it is stored, in every version: the two walks over the fields disagree, and the
    ///   last value is a lone quote, from which InfluxDB takes away the first byte and the last.
    /// - Or a newline stands where the timestamp would. InfluxDB stops looking there, takes the clock's time, and ignores what
    ///   follows, so the point cannot be given a time.
    Unsafe {
        /// Where the fields end: whatever but a timestamp stands behind them makes the line an error.
        fields_end: usize,
    },
    /// An error.
    Refused,
}

/// What InfluxDB would make of a line: the `text` of a [`super::Line`] of kind `Line`.
pub fn inspect(line: &[u8]) -> LineShape {
    sections(line).unwrap_or(LineShape::Refused)
}

/// `None`: refused.
fn sections(line: &[u8]) -> Option<LineShape> {
    let key_start = skip_whitespace(line, 0);
    let key_end = key(line, key_start)?;
    let key_length = key_end - key_start;
    if key_length > MAX_KEY_LENGTH {
        return None;
    }
    let fields_start = skip_whitespace(line, key_end);
    let fields_end = fields(line, fields_start)?;
    let last_value = walk_fields(line.get(fields_start..fields_end)?, key_length)?;
    Some(match timestamp(line, fields_end)? {
        Timestamp::NotLookedFor => LineShape::Unsafe { fields_end },
        _ if last_value == b"\"" => LineShape::Unsafe { fields_end },
        Timestamp::Given => LineShape::Accepted {
            has_timestamp: true,
        },
        Timestamp::Missing => LineShape::Accepted {
            has_timestamp: false,
        },
    })
}

pub(super) fn skip_whitespace(line: &[u8], from: usize) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|&&byte| is_whitespace(byte)).count()
}

/// The first position from `from` on of a byte for which `stop` holds and whose previous byte is not `\`. The byte at `from`
/// is never taken.
pub(super) fn unescaped(line: &[u8], from: usize, stop: impl Fn(u8) -> bool) -> Option<usize> {
    let pairs = line.get(from..)?.windows(2);
    let distance = pairs
        .into_iter()
        .position(|pair| matches!(pair, [before, byte] if *before != b'\\' && stop(*byte)))?;
    Some(from + distance + 1)
}

/// The end of measurement and tags: the space behind them.
pub(super) fn key(line: &[u8], start: usize) -> Option<usize> {
    if matches!(line.get(start), None | Some(b',')) {
        return None;
    }
    let end = unescaped(line, start, |byte| matches!(byte, b',' | b' '))?;
    if line.get(end) == Some(&b',') {
        tags(line, end + 1)
    } else {
        Some(end)
    }
}

/// One tag: its name, and what ends its value.
pub(super) struct Tag<'line> {
    pub(super) name: &'line [u8],
    pub(super) end: usize,
    pub(super) last: bool,
}

pub(super) fn tag(line: &[u8], start: usize) -> Option<Tag<'_>> {
    if matches!(line.get(start), None | Some(b' ' | b',' | b'=')) {
        return None;
    }
    let equals = unescaped(line, start, |byte| matches!(byte, b'=' | b' ' | b','))?;
    if line.get(equals) != Some(&b'=') || matches!(line.get(equals + 1), None | Some(b',' | b' ')) {
        return None;
    }
    let end = unescaped(line, equals + 1, |byte| matches!(byte, b'=' | b' ' | b','))?;
    match line.get(end) {
        Some(b'=') => None,
        byte => Some(Tag {
            name: line.get(start..equals)?,
            end,
            last: byte == Some(&b' '),
        }),
    }
}

/// The end of the tags; `None` also if two have the same name.
fn tags(line: &[u8], start: usize) -> Option<usize> {
    let mut sorted = true;
    let mut before: Option<&[u8]> = None;
    let mut next = start;
    loop {
        let tag = tag(line, next)?;
        sorted = sorted && before.is_none_or(|name| name < tag.name);
        before = Some(tag.name);
        next = tag.end + 1;
        if tag.last {
            let distinct = sorted || names_are_distinct(line, start);
            return distinct.then_some(tag.end);
        }
    }
}

fn names_are_distinct(line: &[u8], start: usize) -> bool {
    let mut names = Vec::new();
    let mut next = start;
    while let Some(tag) = tag(line, next) {
        names.push(tag.name);
        next = tag.end + 1;
        if tag.last {
            break;
        }
    }
    names.sort_unstable();
    names
        .windows(2)
        .all(|pair| matches!(pair, [left, right] if left != right))
}

/// The end of the fields: the first space outside quotes, or the line's end.
pub(super) fn fields(line: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    let mut quoted = false;
    let (mut equals, mut commas) = (0_usize, 0_usize);
    while let Some(&byte) = line.get(position) {
        match byte {
            b'\\' if position + 1 < line.len() => position += 1,
            b'"' if equals > commas => quoted = !quoted,
            _ if quoted => {
                position = next_in_quotes(line, position);
                continue;
            }
            b'=' => {
                equals += 1;
                if name_is_missing(line, position) {
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
            b',' => commas += 1,
            b' ' => break,
            _ => {}
        }
        position += 1;
    }
    let complete = !quoted && equals > 0 && commas == equals - 1;
    complete.then_some(position)
}

/// Whether an `=` of the fields stands right behind a space or comma that no `\` precedes.
fn name_is_missing(line: &[u8], equals: usize) -> bool {
    let before = line.get(..equals).unwrap_or_default();
    matches!(before, [.., second, b' ' | b','] if *second != b'\\')
}

/// InfluxDB walks the fields again by other rules, to measure their names and later to store them, and refuses what it then
/// cannot take apart. Gives the last value by those rules if it holds a quote.
///
/// Without quotes and backslashes the two walks agree, for each value then ends at the comma before the next name; and no name
/// is longer than all of the fields.
fn walk_fields(fields: &[u8], key_length: usize) -> Option<&[u8]> {
    let longest_key = key_length + FIELD_SEPARATOR_LENGTH + fields.len();
    if longest_key <= MAX_KEY_LENGTH && memchr2(b'"', b'\\', fields).is_none() {
        return Some(b"");
    }
    let mut rest = fields;
    let mut last_value = &b""[..];
    while !rest.is_empty() {
        let equals = field_name_length(rest);
        let too_long = key_length + FIELD_SEPARATOR_LENGTH + equals > MAX_KEY_LENGTH;
        if equals + 2 > rest.len() || too_long {
            return None;
        }
        let values = rest.get(equals + 1..)?;
        let value_length = field_value_length(values);
        last_value = values.get(..value_length)?;
        rest = values.get(value_length + 1..).unwrap_or_default();
    }
    Some(last_value)
}

/// Up to the first `=` that no `\` precedes.
pub(super) fn field_name_length(fields: &[u8]) -> usize {
    if fields.first() == Some(&b'=') {
        return 0;
    }
    unescaped(fields, 0, |byte| byte == b'=').unwrap_or(fields.len())
}

/// Up to the first comma outside quotes, where only `\"` and `\\` are escapes.
pub(super) fn field_value_length(values: &[u8]) -> usize {
    let mut position = 0;
    let mut quoted = false;
    while let Some(&byte) = values.get(position) {
        match byte {
            b'\\' if matches!(values.get(position + 1), Some(b'"' | b'\\')) => position += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {
                position = next_in_quotes(values, position);
                continue;
            }
            b',' => break,
            _ => {}
        }
        position += 1;
    }
    position
}

/// From a byte inside quotes that is no quote, the next one that means something there. At a backslash that means nothing, the
/// one behind it.
fn next_in_quotes(line: &[u8], position: usize) -> usize {
    let from = position + 1;
    let rest = line.get(from..).unwrap_or_default();
    from + memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
}

/// What stands behind the fields of a line that is not refused.
enum Timestamp {
    Given,
    Missing,
    /// A newline stands in its place.
    NotLookedFor,
}

fn timestamp(line: &[u8], from: usize) -> Option<Timestamp> {
    let start = skip_whitespace(line, from);
    let rest = line.get(start..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\n'))
        .unwrap_or(rest.len());
    let (time, tail) = rest.split_at_checked(length)?;
    if time.is_empty() {
        return Some(if tail.is_empty() {
            Timestamp::Missing
        } else {
            Timestamp::NotLookedFor
        });
    }
    let digits = time.strip_prefix(b"-").unwrap_or(time);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let fits = is_number && std::str::from_utf8(time).is_ok_and(|text| text.parse::<i64>().is_ok());
    (fits && tail.iter().all(|&byte| byte == b' ')).then_some(Timestamp::Given)
}
