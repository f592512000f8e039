//! TOML into the tree. The `toml` crate parses, bounds nesting and refuses keys given twice.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Format;
use super::error::{Position, Problem, Sink};
use super::key_path::shown_key;
use super::tree::{Entry, Node, Text, Value};

/// Parses a whole file. If it is not valid TOML, every place where that shows is reported and there is no tree.
pub(super) fn parse(text: &str, sink: &Sink) -> Option<Node> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(Node {
            value: convert_table(table.get_ref(), &lines),
            position: Position::START,
        });
    }
    for error in errors {
        let position = error.span().map(|span| lines.position(span.start));
        let problem = if error.message() == "duplicate key" {
            Problem::DuplicateKey {
                key: error
                    .span()
                    .map_or_else(String::new, |span| lines.key(span)),
            }
        } else {
            Problem::Syntax {
                format: Format::Toml,
                reason: error.message().to_owned(),
            }
        };
        sink.report_at(position, problem);
    }
    None
}

fn convert(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let converted = match value.get_ref() {
        DeValue::String(text) => Value::Text(Text::plain(text.clone().into_owned())),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Fraction(number.to_string()),
        },
        DeValue::Float(number) => Value::Fraction(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(|item| convert(item, lines)).collect()),
        DeValue::Table(table) => convert_table(table, lines),
    };
    Node {
        value: converted,
        position: lines.position(value.span().start),
    }
}

fn convert_table(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            position: lines.position(key.span().start),
            value: convert(value, lines),
        })
        .collect();
    // The parser sorts by name.
    entries.sort_by_key(|entry| entry.position);
    Value::Table(entries)
}

/// Finds lines and columns for the byte offsets that the parser gives.
struct Lines<'a> {
    text: &'a str,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Lines<'a> {
        let after_newlines = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Lines {
            text,
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line
            .checked_sub(1)
            .and_then(|index| self.starts.get(index))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        Position {
            line: line.max(1),
            column: before.chars().count() + 1,
        }
    }

    /// The name of the key at this place, which may stand in quotes, as a message shows it.
    fn key(&self, span: Range<usize>) -> String {
        let key = self.text.get(span).unwrap_or_default();
        shown_key(key.trim_matches(['"', '\'']))
    }
}
