//! An answer to `/query`, from JSON into the form that the client asked for.
//!
//! What changes data is asked of the replicas in JSON, whatever the client accepts, because InfluxDB's CSV hides the errors of
//! statements. This gives the client what InfluxDB itself would have sent (`services/httpd/response_writer.go`, whose forms
//! are alike in 1.6 to 1.12; only the choice by `Accept` differs, see [`super::format`]).
//!
//! | | |
//! | --- | --- |
//! | `document` | the answer as JSON says it |
//! | `columns` | which Go type a column had |
//! | `csv`, `packed` | InfluxDB's two other forms |
//! | `time` | times, which are numbers in CSV and an extension in MessagePack |
//!
//! Kept of InfluxDB's ways: CSV shows neither errors of statements nor messages, prints a new header where columns change, and
//! in a cell of a type it has no text for (a list; the `int` of `replicaN`) repeats what stood there in the line before.
//! MessagePack leaves the number of a failed statement out.
//!
//! What JSON does not tell, and what is done then:
//!
//! - **`1` may be an integer or a float.** If a column has a fraction or an exponent anywhere in the answer to its statement,
//!   all of it is float; if not, its whole numbers are packed as integers. CSV shows both alike.
//! - **Times are texts.** The first column is a time where it reads as one, unless `epoch` was asked for or the column
//!   bears a name that only `SHOW` statements give. Texts of `SHOW DIAGNOSTICS` in other columns stay texts.
//! - **Bytes that are no UTF-8** are U+FFFD already.
//! - **The order of several tags** in MessagePack is random in InfluxDB; here it is that of their keys.
//!
//! Where versions differ: tags in CSV are escaped as in line protocol up to 1.10 and bare from 1.11 on (here: escaped).

mod columns;
mod csv;
mod document;
mod packed;
mod time;

#[cfg(test)]
mod tests;

use serde::de::Error as _;
use thiserror::Error;

use self::columns::Columns;
use self::document::Document;
use super::format::Format;

/// Why bytes are no answer to `/query`.
#[derive(Debug, Error)]
pub enum NotResults {
    /// They are not JSON, or JSON of another shape.
    #[error("not an answer to a query: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// There is nothing, or more than the one document that an answer without chunks is.
    #[error("{0} documents instead of one")]
    Documents(usize),
}

/// Writes `answer`, a whole body in JSON, in `format`. JSON stays as it is, unread.
///
/// `chunked` and `epoch` are the request's parameters: whether the body may be several documents, and whether times are
/// numbers.
///
/// ```
/// use haflux::influx::Format;
/// use haflux::influx::results::render;
///
/// let json = br#"{"results":[{"statement_id":0,"series":[{"name":"result","columns":["time","written"],
///     "values":[["1970-01-01T00:00:00Z",3]]}]}]}"#;
/// let csv = render(json, Format::TextCsv, false, None).unwrap();
/// assert_eq!(csv, b"name,tags,time,written\nresult,,0,3\n");
/// ```
///
/// # Errors
///
/// If it is not an answer to `/query`: of a proxy between, or the text that InfluxDB sends in place of an answer with NaN.
pub fn render(
    answer: &[u8],
    format: Format,
    chunked: bool,
    epoch: Option<&[u8]>,
) -> Result<Vec<u8>, NotResults> {
    if format == Format::Json {
        return Ok(answer.to_vec());
    }
    // Structures read from lists too, which nothing here ever is.
    if answer
        .trim_ascii_start()
        .first()
        .is_some_and(|byte| *byte != b'{')
    {
        return Err(NotResults::Unreadable(serde_json::Error::custom(
            "not an object",
        )));
    }
    let documents = serde_json::Deserializer::from_slice(answer)
        .into_iter::<Document>()
        .collect::<Result<Vec<_>, _>>()?;
    if documents.len() != 1 && !(chunked && documents.len() > 1) {
        return Err(NotResults::Documents(documents.len()));
    }
    let epoch = epoch.is_some_and(|epoch| !epoch.trim_ascii().is_empty());
    let columns = Columns::of(&documents, epoch);
    Ok(match format {
        Format::Json => answer.to_vec(),
        Format::ApplicationCsv | Format::TextCsv => csv::csv(&documents, &columns),
        Format::MessagePack => packed::packed(&documents, &columns),
    })
}
