//! `csvFormatter`: one for the whole answer, so its header and its cells outlive a document.

use super::columns::{Columns, Kind};
use super::document::{Document, Series, StatementResult, Value};
use super::time::Moment;
use crate::influx::go_text::csv_field;

/// The columns that stand before those of the series: its name and its tags.
const LEADING: usize = 2;

/// Writes an answer down.
pub(super) fn csv(documents: &[Document], columns: &Columns) -> Vec<u8> {
    let mut writer = Writer::default();
    for document in documents {
        if let Some(error) = document.error.as_deref().filter(|error| !error.is_empty()) {
            writer.text.push_str("error\n");
            writer.text.push_str(&csv_field(error));
            writer.text.push('\n');
            continue;
        }
        for result in &document.results {
            writer.result(result, columns);
        }
    }
    writer.text.into_bytes()
}

#[derive(Default)]
struct Writer {
    text: String,
    /// The last statement that showed something. Errors never do.
    statement_id: Option<i64>,
    /// The last line, field by field: InfluxDB writes over it and leaves what it has no text for.
    line: Vec<String>,
}

impl Writer {
    fn result(&mut self, result: &StatementResult, columns: &Columns) {
        if self.statement_id != Some(result.statement_id) {
            let Some(first) = result.series.first() else {
                return;
            };
            if self.statement_id.is_some() {
                self.text.push('\n');
            }
            self.statement_id = Some(result.statement_id);
            self.header(first);
        }
        let mut before: Option<&Series> = None;
        for series in &result.series {
            if before.is_some_and(|before| before.columns != series.columns) {
                self.text.push('\n');
                self.header(series);
            }
            before = Some(series);
            self.set(0, csv_field(&series.name));
            self.set(1, csv_field(&tags(series)));
            let kinds = columns.kinds(result.statement_id, series);
            for row in &series.values {
                for (index, value) in row.iter().enumerate() {
                    let kind = kinds.get(index).copied().unwrap_or(Kind::Plain);
                    if let Some(field) = field(value, kind) {
                        self.set(LEADING + index, field);
                    }
                }
                self.write_line();
            }
        }
    }

    fn header(&mut self, series: &Series) {
        self.line = vec!["name".to_owned(), "tags".to_owned()];
        self.line
            .extend(series.columns.iter().map(|name| csv_field(name)));
        self.write_line();
    }

    fn set(&mut self, index: usize, field: String) {
        if self.line.len() <= index {
            self.line.resize(index + 1, String::new());
        }
        if let Some(place) = self.line.get_mut(index) {
            *place = field;
        }
    }

    fn write_line(&mut self) {
        for (index, field) in self.line.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text.push_str(field);
        }
        self.text.push('\n');
    }
}

/// What is written over the field that stands there, if anything.
fn field(value: &Value, kind: Kind) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::List(_) => None,
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) if kind == Kind::Int => None,
        Value::Boolean(value) => Some(value.to_string()),
        Value::Integer(value) => Some(value.to_string()),
        Value::Unsigned(value) => Some(value.to_string()),
        // The shortest digits that read back, never with an exponent: Go's 'f' with -1.
        Value::Float(value) => Some(value.to_string()),
        Value::Text(text) => match Moment::parse(text) {
            Some(moment) if kind == Kind::Time => Some(moment.nanoseconds_since_1970().to_string()),
            _ => Some(csv_field(text)),
        },
    }
}

/// `key=value,…`, escaped as in line protocol, without those that are empty.
fn tags(series: &Series) -> String {
    let mut text = String::new();
    for (key, value) in series.tags.iter().filter(|(_, value)| !value.is_empty()) {
        if !text.is_empty() {
            text.push(',');
        }
        escape(&mut text, key);
        text.push('=');
        escape(&mut text, value);
    }
    text
}

fn escape(text: &mut String, part: &str) {
    for character in part.chars() {
        if matches!(character, ',' | ' ' | '=') {
            text.push('\\');
        }
        text.push(character);
    }
}
