//! From a request's parameters and body to the records that the journal takes.
//!
//! Comments and blank lines go; lines without a timestamp get one, all of a request the same; a
//! body that is larger than a joined request to a replica is split between lines, and one that comes so large is worked on
//! [piece by piece](crate::relay::intake::large_body). A body with nothing in it is still a record:
//! whether its database exists, and whether its sender may write, only a replica can say.

use bytes::Bytes;

use crate::influx::{Ending, Normalized, WriteEndpoint, WriteRequest, normalize, split};

use crate::relay::record::write::{Destination, Form, WriteRecord};

/// What one request, or a part of it, puts into the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    /// All for one destination.
    pub records: Vec<WriteRecord>,
    /// Lines in them.
    pub lines: usize,
    /// Lines that were given a timestamp.
    pub stamped: usize,
    /// Lines that were made ones that every node refuses.
    pub defused: usize,
}

/// Makes the records of a request whose body has arrived and is unpacked: one at least. `now` is Unix time in nanoseconds; no
/// record's body is longer than `max_record`, unless it is one line or has no safe place to be cut. No line reaches a node with
/// more than `max_tags` tags.
pub fn ingest(
    request: &WriteRequest,
    body: Bytes,
    max_record: usize,
    max_tags: usize,
    now: i64,
) -> Ingested {
    if request.endpoint == WriteEndpoint::Prometheus {
        let record = WriteRecord {
            destination: destination(request, Form::Prometheus),
            lines: 0,
            ending: Ending::Open,
            body,
        };
        return Ingested {
            records: vec![record],
            ..Ingested::default()
        };
    }
    let normalized = normalize(body, now, request.precision, max_tags);
    let empty = normalized.body.is_empty();
    let mut ingested = lines(request, normalized, max_record);
    if empty {
        ingested.records = vec![nothing(request)];
    }
    ingested
}

/// The record of a body without a line.
pub(in crate::relay) fn nothing(request: &WriteRequest) -> WriteRecord {
    WriteRecord {
        destination: destination(request, Form::LineProtocol),
        lines: 0,
        ending: Ending::Closed,
        body: Bytes::new(),
    }
}

/// The records of lines: none if there is none.
pub(in crate::relay) fn lines(
    request: &WriteRequest,
    normalized: Normalized,
    max_record: usize,
) -> Ingested {
    let Normalized {
        body,
        lines,
        stamped,
        defused,
        ending,
    } = normalized;
    // The whole is not held beside what is not cut: it may be changed in its place.
    let pieces = match body.len() {
        0 => Vec::new(),
        length if length > max_record => {
            let pieces = split(&body, max_record);
            drop(body);
            pieces
        }
        _ => vec![body],
    };
    let count = pieces.len();
    let lines_of = |piece: usize| {
        // Only the whole is counted exactly; a split body's lines are spread over its pieces.
        u32::try_from(lines / count + usize::from(piece < lines % count)).unwrap_or(u32::MAX)
    };
    let records = pieces
        .into_iter()
        .enumerate()
        .map(|(position, body)| WriteRecord {
            destination: destination(request, Form::LineProtocol),
            lines: lines_of(position),
            ending: if position + 1 < count {
                Ending::Closed
            } else {
                ending
            },
            body,
        })
        .collect();
    Ingested {
        records,
        lines,
        stamped,
        defused,
    }
}

fn destination(request: &WriteRequest, form: Form) -> Destination {
    Destination {
        form,
        precision: request.precision,
        consistency: request.consistency,
        database: request.database.clone(),
        retention_policy: request.retention_policy.clone(),
        credentials: request.credentials.clone(),
    }
}
