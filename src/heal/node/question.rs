//! Questions for points of one measurement, and which rows of the answers are meant.
//!
//! InfluxQL cannot say every name that a line can. So a question may match more than what is meant, and the rows that are not are
//! [left out](Wanted) as they come.

use std::collections::HashSet;
use std::fmt::Write as _;

use bstr::{BStr, BString, ByteSlice};

use super::{NodeError, Series, Slice, Tags};
use crate::influx::influxql::{identifier, string};

/// Tag keys that a condition takes for something else: `"_name"::tag = 'x'` compares the name of the measurement.
pub(in crate::heal) const SPECIAL_KEYS: [&str; 6] = [
    "_name",
    "_measurement",
    "_field",
    "_fieldKey",
    "_tagKey",
    "time",
];

/// Measurements that no question reads: InfluxDB answers with lists of its own, or with nothing.
const UNREADABLE: [&str; 3] = ["_series", "_tagKeys", "_fieldKeys"];

/// What is asked for whole at its end. InfluxDB writes down the beginning of its first shard group, which lies before the least
/// time that it knows, as the year 2262, and after a restart finds that shard for no question whose time ends before. Nanoseconds
/// since 1970: 1700-01-01.
const FIRST_YEARS: i64 = -8_520_336_000_000_000_000;

/// A statement for rows of a slice.
#[derive(Debug, Clone)]
pub(in crate::heal) struct Question<'of> {
    pub(in crate::heal) slice: &'of Slice,
    /// The rows of this series alone; none: of all.
    pub(in crate::heal) tags: Option<&'of Tags>,
    pub(in crate::heal) statement: String,
}

/// Which rows of an answer are meant.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) database: String,
    pub(super) measurement: BString,
    /// None: of all series.
    pub(super) tags: Option<Tags>,
    /// Rows at or behind this time are not; none: all are.
    pub(super) until: Option<i64>,
    /// Fields whose small numbers are unsigned.
    pub(super) unsigned: HashSet<String>,
}

impl Wanted {
    /// The part of a series that is meant, if any is. `name`: of its measurement.
    ///
    /// # Errors
    /// Why it cannot be told from others.
    pub(super) fn part(&self, name: &BStr, mut series: Series) -> Result<Option<Series>, String> {
        if self.measurement != name {
            return Err(format!(
                "InfluxQL cannot tell the measurements {:?} and {name:?} apart",
                self.measurement
            ));
        }
        if self.tags.as_ref().is_some_and(|tags| *tags != series.tags) {
            return Ok(None);
        }
        if let Some(until) = self.until {
            series.rows.retain(|(time, _)| *time < until);
        }
        Ok(Some(series))
    }
}

/// Whether InfluxQL can say it, as a name or as a text: it knows no `\r`, ends at NUL, and reads other bytes than UTF-8 as U+FFFD.
pub(in crate::heal) fn is_sayable(text: &BStr) -> bool {
    let is_odd = |character| matches!(character, '\0' | '\r' | char::REPLACEMENT_CHARACTER);
    text.to_str().is_ok_and(|text| !text.contains(is_odd))
}

/// Whether no question reads the measurement of this name.
pub(super) fn is_unreadable(measurement: &BStr) -> bool {
    UNREADABLE.iter().any(|name| measurement == *name)
}

/// Whether a slice lies where the time of a question must have no end.
pub(in crate::heal) fn is_of_first_years(slice: &Slice) -> bool {
    slice.from < FIRST_YEARS
}

/// `"database"."policy"."measurement"`
pub(in crate::heal) fn source(slice: &Slice) -> String {
    format!(
        "{}.{}",
        identifier(&slice.database),
        source_in_database(slice)
    )
}

/// `"policy"."measurement"`
pub(super) fn source_in_database(slice: &Slice) -> String {
    let policy = identifier(&slice.policy);
    format!("{policy}.{}", measurement(slice.measurement.as_bstr()))
}

/// Behind `WHERE`: the slice's time.
pub(in crate::heal) fn time_of(slice: &Slice) -> String {
    let Slice { from, until, .. } = slice;
    match is_of_first_years(slice) {
        true => format!("time >= {from}"),
        false => format!("time >= {from} AND time < {until}"),
    }
}

/// The same of a time of which both ends are meant.
pub(super) fn time_between(from: i64, until: i64) -> String {
    match from < FIRST_YEARS {
        true => format!("time >= {from}"),
        false => format!("time >= {from} AND time <= {until}"),
    }
}

/// Conditions that a series fulfils, each behind `AND`: those of its tags that InfluxQL can say. Others may fulfil them too.
pub(in crate::heal) fn of_series(tags: &Tags) -> String {
    let mut conditions = String::new();
    for (key, value) in tags {
        let is_special = SPECIAL_KEYS.iter().any(|special| key == special);
        let (Ok(name), Ok(text)) = (key.to_str(), value.to_str()) else {
            continue;
        };
        if !is_special && is_sayable(key.as_bstr()) && is_sayable(value.as_bstr()) {
            push(
                &mut conditions,
                format_args!(" AND {}::tag = {}", identifier(name), string(text)),
            );
        }
    }
    conditions
}

/// A name where InfluxQL can say it and has no list of its own by it; else a regular expression that matches it.
fn measurement(name: &BStr) -> String {
    match name.to_str() {
        Ok(text) if is_sayable(name) && !text.starts_with('_') => identifier(text),
        Ok(_) | Err(_) => expression(name),
    }
}

fn expression(name: &BStr) -> String {
    let mut text = String::from("/^");
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii_alphanumeric() || character == '_' {
                text.push(character);
            } else {
                push(&mut text, format_args!("\\x{{{:X}}}", u32::from(character)));
            }
        }
        // Go reads each such byte as one of these.
        for _ in chunk.invalid() {
            text.push_str("\\x{FFFD}");
        }
    }
    text.push_str("$/");
    text
}

/// A `String` takes whatever is written to it.
fn push(into: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = into.write_fmt(text);
}

impl super::Node {
    /// That a measurement can be asked for.
    pub(super) fn can_read(&self, measurement: &BStr) -> Result<(), NodeError> {
        match is_unreadable(measurement) {
            true => Err(self.unaskable(format_args!(
                "InfluxDB has a list of its own called {measurement}, so no question reads the measurement"
            ))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_influxql_cannot_say_are_matched() {
        for (name, expected) in [
            (b"m m".as_slice(), "\"m m\""),
            (b"gr\xc3\xb6\xc3\x9fe", "\"gr\u{f6}\u{df}e\""),
            (b"_name", "/^_name$/"),
            (b"m\xe9t/", "/^m\\x{FFFD}t\\x{2F}$/"),
            (
                b"\xe2\x82.\0\r",
                "/^\\x{FFFD}\\x{FFFD}\\x{2E}\\x{0}\\x{D}$/",
            ),
        ] {
            assert_eq!(measurement(name.as_bstr()), expected);
        }
    }

    #[test]
    fn what_a_condition_would_mistake_is_none() {
        let tags = [
            (&b"_name"[..], &b"a"[..]),
            (b"host", b"it's"),
            (b"rack", b"\xe9"),
            (b"k\0", b"v"),
        ];
        let tags: Tags = tags.map(|(key, value)| (key.into(), value.into())).into();
        assert_eq!(of_series(&tags), " AND \"host\"::tag = 'it\\'s'");
    }

    #[test]
    fn rows_that_are_not_meant_are_left_out() {
        let tags: Tags = vec![("host".into(), "a".into())];
        let wanted = Wanted {
            database: "d".to_owned(),
            measurement: "m".into(),
            tags: Some(tags.clone()),
            until: Some(2),
            unsigned: HashSet::new(),
        };
        let series = |tags: &Tags| Series {
            tags: tags.clone(),
            fields: Vec::new(),
            rows: vec![(1, Vec::new()), (2, Vec::new())],
        };
        let part = wanted.part(b"m".as_bstr(), series(&tags)).unwrap().unwrap();
        assert_eq!(part.rows, [(1, Vec::new())]);
        assert_eq!(wanted.part(b"m".as_bstr(), series(&Tags::new())), Ok(None));
        assert!(wanted.part(b"other".as_bstr(), series(&tags)).is_err());
    }
}
