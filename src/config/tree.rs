//! The tree that both formats are parsed into: values that know where they stand in the file.

use super::error::{Position, Problem};

/// How deep tables and lists may stand in each other. The schema needs eight.
pub(super) const MAX_DEPTH: usize = 64;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) position: Position,
}

/// What a file can hold.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Text),
    Integer(i128),
    /// A number with a fraction or an exponent, as it was written. No key takes one.
    Fraction(String),
    Boolean(bool),
    /// A date or a time, which only TOML has. No key takes one.
    Date(String),
    /// YAML's `null`, or a YAML key without a value.
    Nothing,
    List(Vec<Node>),
    /// In the order of the file; no key stands in it twice.
    Table(Vec<Entry>),
    /// What stood here could not be used, and that has been reported.
    Reported,
    /// A text of which a part is not to be had by whoever reads the file, who may do without it.
    Withheld {
        /// As it stands in the file.
        raw: String,
        /// Why it is not to be had.
        problem: Problem,
    },
}

/// A text as it counts and as it was written; they differ where the environment or a file came in.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// With `${…}` and `$$` replaced.
    pub(super) value: String,
    /// As it stands in the file: the only one that may be shown.
    pub(super) raw: String,
    /// Whether a part of `value` came from the environment or a file.
    pub(super) from_environment: bool,
    /// Whether a part of it came from a file, which must not be shown to anybody.
    pub(super) is_secret: bool,
}

impl Text {
    /// A text in which nothing has been replaced yet.
    pub(super) fn plain(raw: String) -> Text {
        Text {
            value: raw.clone(),
            raw,
            from_environment: false,
            is_secret: false,
        }
    }
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
}

impl Node {
    /// The value as an error message names it.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Text(Text { raw, .. }) | Value::Withheld { raw, .. } => quote(raw),
            Value::Integer(number) => number.to_string(),
            Value::Fraction(number) => number.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::Date(date) => format!("the date {date}"),
            Value::Nothing => "nothing".to_owned(),
            Value::List(list) if list.is_empty() => "an empty list".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Reported => "a value that could not be used".to_owned(),
        }
    }

    /// What kind of value it is, without a text, a number or a date that stands there.
    pub(super) fn kind(&self) -> String {
        match &self.value {
            Value::Text(text) if text.raw.is_empty() => quote(""),
            Value::Text(_) | Value::Withheld { .. } => "a text".to_owned(),
            Value::Integer(_) | Value::Fraction(_) => "a number".to_owned(),
            Value::Date(_) => "a date".to_owned(),
            _ => self.describe(),
        }
    }

    /// The `name` in a table, as it is written.
    pub(super) fn name(&self) -> Option<&str> {
        let Value::Table(entries) = &self.value else {
            return None;
        };
        let name = entries.iter().find(|entry| entry.key == "name")?;
        match &name.value.value {
            Value::Text(text) if !text.raw.is_empty() => Some(&text.raw),
            _ => None,
        }
    }

    /// How many nodes this is, itself included, but not counting on past `limit`.
    pub(super) fn count(&self, limit: usize) -> usize {
        let mut waiting = vec![self];
        let mut count = 0;
        while let Some(node) = waiting.pop() {
            count += 1;
            if count > limit {
                break;
            }
            match &node.value {
                Value::List(list) => waiting.extend(list),
                Value::Table(entries) => waiting.extend(entries.iter().map(|entry| &entry.value)),
                _ => {}
            }
        }
        count
    }
}

/// How many characters of the user's text a message repeats.
const SHOWN: usize = 80;

/// The text in quotes, on one line, cut if it is long.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", shorten(text))
}

/// The text on one line, without control characters, cut if it is long.
pub(super) fn shorten(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
