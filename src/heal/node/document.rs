//! One document of an answer in MessagePack: `{"results": [{"series": [{"name", "tags", "columns", "values"}], "partial"}]}`, or
//! an error.

use std::collections::HashSet;

use bstr::BString;

use super::points::{Series, Value};
use crate::influx::message_pack::{Form, Malformed, Reader};

/// Room that is taken before values come: an array says how many it has, and need not have them.
const MOST_ROOM: u32 = 4096;

/// What a document holds.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    /// Each with the name of its measurement.
    pub(super) series: Vec<(BString, Series)>,
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
    let mut series = Vec::new();
    let is_partial = read_series_by(bytes, |reader| {
        series.push(read_series(reader, unsigned)?);
        Ok(())
    })?;
    Ok(Document { series, is_partial })
}

/// Reads one of an answer to `SHOW`: the first column of all rows.
pub(super) fn read_names(bytes: &[u8]) -> Result<Vec<BString>, Fault> {
    let mut names = Vec::new();
    read_series_by(bytes, |reader| {
        for _ in 0..reader.map()? {
            if reader.text()? != "values" {
                reader.skip()?;
                continue;
            }
            for _ in 0..reader.array()? {
                let columns = reader.array()?;
                if columns == 0 {
                    return Err(Malformed::Expected("a name"));
                }
                names.push(reader.raw_text()?.into());
                for _ in 1..columns {
                    reader.skip()?;
                }
            }
        }
        Ok(())
    })?;
    Ok(names)
}

/// Lets `read` read each series. Whether the document says that another one follows.
fn read_series_by(
    bytes: &[u8],
    mut read: impl FnMut(&mut Reader<'_>) -> Result<(), Malformed>,
) -> Result<bool, Fault> {
    let mut reader = Reader::new(bytes);
    let mut is_partial = false;
    for _ in 0..reader.map()? {
        match reader.text()? {
            "results" => {
                for _ in 0..reader.array()? {
                    is_partial |= read_result(&mut reader, &mut read)?;
                }
            }
            "error" => return Err(Fault::Said(said(&mut reader)?)),
            _ => reader.skip()?,
        }
    }
    Ok(is_partial)
}

fn read_result(
    reader: &mut Reader<'_>,
    read: &mut impl FnMut(&mut Reader<'_>) -> Result<(), Malformed>,
) -> Result<bool, Fault> {
    let mut is_partial = false;
    for _ in 0..reader.map()? {
        match reader.text()? {
            "series" => {
                for _ in 0..reader.array()? {
                    read(reader)?;
                }
            }
            "partial" => is_partial |= reader.boolean()?,
            "error" => return Err(Fault::Said(said(reader)?)),
            _ => reader.skip()?,
        }
    }
    Ok(is_partial)
}

/// An error may quote a name of any bytes.
fn said(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    Ok(String::from_utf8_lossy(reader.raw_text()?).into_owned())
}

fn read_series(
    reader: &mut Reader<'_>,
    unsigned: &HashSet<String>,
) -> Result<(BString, Series), Malformed> {
    let mut measurement = BString::default();
    let mut series = Series::default();
    let mut is_unsigned = Vec::new();
    for _ in 0..reader.map()? {
        match reader.text()? {
            "name" => measurement = reader.raw_text()?.into(),
            "tags" => {
                for _ in 0..reader.map()? {
                    let (name, value) = (reader.raw_text()?, reader.raw_text()?);
                    if !value.is_empty() {
                        series.tags.push((name.into(), value.into()));
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
                    let name = reader.raw_text()?;
                    // The names of unsigned fields were read as JSON, which has U+FFFD where bytes are not UTF-8.
                    let shown = String::from_utf8_lossy(name);
                    is_unsigned.push(unsigned.contains(shown.as_ref()));
                    series.fields.push(name.into());
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
    Ok((measurement, series))
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
            Form::Text(length) => Some(Value::Text(reader.bytes(length)?.into())),
            Form::Bytes(_) | Form::Array(_) | Form::Map(_) => {
                return Err(Malformed::Expected("a field's value"));
            }
        });
    }
    Ok((time, row))
}
