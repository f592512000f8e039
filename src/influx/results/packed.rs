//! `msgpackFormatter`.

use super::columns::{Columns, Kind};
use super::document::{Document, Series, StatementResult, Value};
use super::time::Moment;
use crate::influx::message_pack::Packer;

/// Writes an answer down.
pub(super) fn packed(documents: &[Document], columns: &Columns) -> Vec<u8> {
    let mut packer = Packer::default();
    for document in documents {
        packer.map(1);
        if let Some(error) = document.error.as_deref().filter(|error| !error.is_empty()) {
            packer.string("error");
            packer.string(error);
            continue;
        }
        packer.string("results");
        packer.array(document.results.len());
        for result in &document.results {
            pack_result(&mut packer, result, columns);
        }
    }
    packer.finish()
}

fn pack_result(packer: &mut Packer, result: &StatementResult, columns: &Columns) {
    // An error stands alone: InfluxDB leaves out even the number of its statement.
    if let Some(error) = result.error.as_deref().filter(|error| !error.is_empty()) {
        packer.map(1);
        packer.string("error");
        packer.string(error);
        return;
    }
    let has_messages = !result.messages.is_empty();
    packer.map(2 + usize::from(has_messages) + usize::from(result.partial));
    packer.string("statement_id");
    packer.integer(result.statement_id);
    if has_messages {
        packer.string("messages");
        packer.array(result.messages.len());
        for message in &result.messages {
            packer.map(2);
            packer.string("level");
            packer.string(&message.level);
            packer.string("text");
            packer.string(&message.text);
        }
    }
    packer.string("series");
    packer.array(result.series.len());
    for series in &result.series {
        pack_series(packer, series, columns.kinds(result.statement_id, series));
    }
    if result.partial {
        packer.string("partial");
        packer.boolean(true);
    }
}

fn pack_series(packer: &mut Packer, series: &Series, kinds: &[Kind]) {
    let has_name = !series.name.is_empty();
    let has_tags = !series.tags.is_empty();
    packer.map(2 + usize::from(has_name) + usize::from(has_tags) + usize::from(series.partial));
    if has_name {
        packer.string("name");
        packer.string(&series.name);
    }
    if has_tags {
        packer.string("tags");
        packer.map(series.tags.len());
        for (key, value) in &series.tags {
            packer.string(key);
            packer.string(value);
        }
    }
    packer.string("columns");
    packer.array(series.columns.len());
    for column in &series.columns {
        packer.string(column);
    }
    packer.string("values");
    packer.array(series.values.len());
    for row in &series.values {
        packer.array(row.len());
        for (index, value) in row.iter().enumerate() {
            pack_value(
                packer,
                value,
                kinds.get(index).copied().unwrap_or(Kind::Plain),
            );
        }
    }
    if series.partial {
        packer.string("partial");
        packer.boolean(true);
    }
}

fn pack_value(packer: &mut Packer, value: &Value, kind: Kind) {
    match value {
        Value::Null => packer.nil(),
        Value::Boolean(value) => packer.boolean(*value),
        Value::Integer(value) => match (kind, u64::try_from(*value)) {
            (Kind::Float, _) => packer.float(nearest(*value)),
            (Kind::Unsigned, Ok(unsigned)) => packer.unsigned(unsigned),
            _ => packer.integer(*value),
        },
        Value::Unsigned(value) if kind == Kind::Unsigned => packer.unsigned(*value),
        // No other column holds integers of this size, as long as no field can be unsigned.
        Value::Unsigned(value) => packer.float(nearest(*value)),
        Value::Float(value) => packer.float(*value),
        Value::Text(text) => match Moment::parse(text) {
            Some(moment) if kind == Kind::Time => {
                packer.time(moment.seconds, moment.nanoseconds);
            }
            _ => packer.string(text),
        },
        Value::List(values) => {
            packer.array(values.len());
            for value in values {
                pack_value(packer, value, Kind::Plain);
            }
        }
    }
}

/// The float that JSON shows as these digits: the nearest one, as both sides write the shortest text that reads back.
fn nearest(digits: impl std::fmt::Display) -> f64 {
    digits.to_string().parse().unwrap_or(f64::NAN)
}
