//! From a request's parameters and body to the records that the journal takes.
//!
//! Comments and blank lines go; lines without a timestamp get one, all of a request the same; a
//! body that is too large for one request to a replica is split between lines. A body with nothing in it is still a record:
//! whether its database exists, and whether its sender may write, only a replica can say.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::influx::{Ending, WriteEndpoint, WriteRequest, normalize, split};

use super::record::{Destination, Form, WriteRecord};

/// What one request puts into the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingested {
    /// Never empty; all for one destination.
    pub records: Vec<WriteRecord>,
    /// Lines in them.
    pub lines: usize,
    /// Lines that were given a timestamp.
    pub stamped: usize,
    /// Lines that were made ones that every node refuses.
    pub defused: usize,
}

/// Makes the records of a request whose body has arrived and is unpacked. `now` is Unix time in nanoseconds; no record's
/// body is longer than `max_request`, unless it is one line or has no safe place to be cut. No line reaches a node with more
/// than `max_tags` tags.
pub fn ingest(
    request: &WriteRequest,
    body: Bytes,
    max_request: usize,
    max_tags: usize,
    now: i64,
) -> Ingested {
    let destination = |form| Destination {
        form,
        precision: request.precision,
        consistency: request.consistency,
        database: request.database.clone(),
        retention_policy: request.retention_policy.clone(),
        credentials: request.credentials.clone(),
    };
    if request.endpoint == WriteEndpoint::Prometheus {
        let record = WriteRecord {
            destination: destination(Form::Prometheus),
            lines: 0,
            ending: Ending::Open,
            body,
        };
        return Ingested {
            records: vec![record],
            lines: 0,
            stamped: 0,
            defused: 0,
        };
    }
    let normalized = normalize(body, now, request.precision, max_tags);
    let lines_of = |piece: usize, pieces: usize| {
        // Only the whole is counted exactly; a split body's lines are spread over its pieces.
        u32::try_from(normalized.lines / pieces + usize::from(piece < normalized.lines % pieces))
            .unwrap_or(u32::MAX)
    };
    let pieces = if normalized.body.len() > max_request {
        split(&normalized.body, max_request)
    } else {
        vec![normalized.body.clone()]
    };
    let count = pieces.len();
    let records = pieces
        .into_iter()
        .enumerate()
        .map(|(position, body)| WriteRecord {
            destination: destination(Form::LineProtocol),
            lines: lines_of(position, count),
            ending: if position + 1 < count {
                Ending::Closed
            } else {
                normalized.ending
            },
            body,
        })
        .collect();
    Ingested {
        records,
        lines: normalized.lines,
        stamped: normalized.stamped,
        defused: normalized.defused,
    }
}

/// Unix time in nanoseconds; 0 for a clock before 1970 or after 2262.
pub(super) fn unix_nanos(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
