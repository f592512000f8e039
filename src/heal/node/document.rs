//! One document of an answer in MessagePack: `{"results": [{"series": [{"name", "tags", "columns", "values"}], "partial"}]}`, or
//! an error.

use std::collections::HashSet;

use super::points::{Series, Value};
use crate::influx::message_pack::{Form, Malformed, Reader};

/// Room that is taken before values come: an array says how many it has, and need not have them.
const MOST_ROOM: u32 = 4096;

/// What a document holds.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub(super) series: Vec<Series>,
    /// Whether it says that another one follows.
    pub(super) is_partial: bool,
}

/// Why it holds nothing.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The node says an error.
    Said(String),
    Malformed(Malformed),
}

impl From<Malformed> for Fault {
    fn from(error: Malformed) -> Fault {
        Fault::Malformed(error)
    }
}

/// Reads one. MessagePack writes 0 to 127 alike whether an integer is signed: those of the fields `unsigned` are not.
pub(super) fn read_document(bytes: &[u8], unsigned: &HashSet<String>) -> Result<Document, Fault> {
    let mut reader = Reader::new(bytes);
    let mut document = Document {
        series: Vec::new(),
        is_partial: false,
    };
    for _ in 0..reader.map()? {
        match reader.text()? {
            "results" => {
                for _ in 0..reader.array()? {
                    read_result(&mut reader, unsigned, &mut document)?;
                }
            }
            "error" => return Err(Fault::Said(reader.text()?.to_owned())),
            _ => reader.skip()?,
        }
    }
    Ok(document)
}

fn read_result(
    reader: &mut Reader<'_>,
    unsigned: &HashSet<String>,
    document: &mut Document,
) -> Result<(), Fault> {
    for _ in 0..reader.map()? {
        match reader.text()? {
            "series" => {
                for _ in 0..reader.array()? {
                    document.series.push(read_series(reader, unsigned)?);
                }
            }
            "partial" => document.is_partial |= reader.boolean()?,
            "error" => return Err(Fault::Said(reader.text()?.to_owned())),
            _ => reader.skip()?,
        }
    }
    Ok(())
}

fn read_series(reader: &mut Reader<'_>, unsigned: &HashSet<String>) -> Result<Series, Malformed> {
    let mut series = Series::default();
    let mut is_unsigned = Vec::new();
    for _ in 0..reader.map()? {
        match reader.text()? {
            "tags" => {
                for _ in 0..reader.map()? {
                    let (name, value) = (reader.text()?, reader.text()?);
                    if !value.is_empty() {
                        series.tags.push((name.to_owned(), value.to_owned()));
                    }
                }
                series.tags.sort_unstable();
            }
            "columns" => {
                let columns = reader.array()?;
                if columns == 0 || reader.text()? != "time" {
                    return Err(Malformed::Expected("the column of times"));
                }
                for _ in 1..columns {
                    let name = reader.text()?;
                    is_unsigned.push(unsigned.contains(name));
                    series.fields.push(name.to_owned());
                }
            }
            // InfluxDB writes them behind the columns.
            "values" => {
                let rows = reader.array()?;
                series.rows.reserve(rows.min(MOST_ROOM) as usize);
                for _ in 0..rows {
                    series.rows.push(read_row(reader, &is_unsigned)?);
                }
            }
            _ => reader.skip()?,
        }
    }
    Ok(series)
}

fn read_row(
    reader: &mut Reader<'_>,
    is_unsigned: &[bool],
) -> Result<(i64, Vec<Option<Value>>), Malformed> {
    let values = usize::try_from(reader.array()?).unwrap_or(usize::MAX);
    if values != is_unsigned.len() + 1 {
        return Err(Malformed::Expected("a value for each column"));
    }
    let time = match reader.form()? {
        Form::Small(time) => time.into(),
        Form::Integer(time) => time,
        _ => return Err(Malformed::Expected("a time")),
    };
    let mut row = Vec::with_capacity(is_unsigned.len());
    for is_unsigned in is_unsigned {
        row.push(match reader.form()? {
            Form::Nil => None,
            Form::Boolean(is) => Some(Value::Boolean(is)),
            Form::Small(number) if *is_unsigned => Some(Value::Unsigned(number.into())),
            Form::Small(number) => Some(Value::Integer(number.into())),
            Form::Integer(number) => Some(Value::Integer(number)),
            Form::Unsigned(number) => Some(Value::Unsigned(number)),
            Form::Float(number) => Some(Value::Float(number)),
            Form::Text(length) => Some(Value::Text(reader.text_of(length)?.to_owned())),
            Form::Bytes(_) | Form::Array(_) | Form::Map(_) => {
                return Err(Malformed::Expected("a field's value"));
            }
        });
    }
    Ok((time, row))
}
