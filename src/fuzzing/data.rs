//! What clients write.

use bytes::Bytes;

use super::choice;
use crate::influx::line_protocol::{
    Ending, LineKind, LineShape, Lines, ending, inspect, normalize, split,
};
use crate::influx::{Precision, UnpackError, Unpacker, unpack_gzip, unpacked_length};
use crate::journal::Kind;
use crate::relay::record::change::Change;
use crate::relay::udp::gather::Gathering;

/// A moment at which lines without a time arrive, in nanoseconds since 1970.
const NOW: i64 = 1_700_000_000_123_456_789;

/// More tags than any line here has.
const MOST_TAGS: usize = 100;

/// What a body may unfold to, in bytes.
const MOST_UNPACKED: usize = 1 << 16;

const PRECISIONS: [Precision; 6] = [
    Precision::Nanoseconds,
    Precision::Microseconds,
    Precision::Milliseconds,
    Precision::Seconds,
    Precision::Minutes,
    Precision::Hours,
];

fn precision(choice: u8) -> Precision {
    let all = PRECISIONS.iter().cycle();
    all.copied()
        .nth(usize::from(choice))
        .unwrap_or(Precision::Nanoseconds)
}

fn count(body: &[u8]) -> usize {
    Lines::new(body)
        .filter(|line| line.kind == LineKind::Line)
        .count()
}

/// A body of line protocol is made one that means the same at any time, and cut between lines.
pub(super) fn line_protocol(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let body = Bytes::copy_from_slice(body);
    let lines = count(&body);
    for line in Lines::new(&body) {
        inspect(body.get(line.text).unwrap_or_default());
    }
    let once = normalize(body, NOW, precision(first), MOST_TAGS);
    assert_eq!(once.lines, lines, "no line comes or goes");
    assert_eq!(once.ending, ending(&once.body));
    let twice = normalize(
        once.body.clone(),
        NOW + 1_000_000_007,
        precision(first),
        MOST_TAGS,
    );
    assert_eq!(
        twice.body, once.body,
        "what was stamped is not stamped again"
    );
    let limit = usize::from(first) + 1;
    let pieces = split(&once.body, limit);
    let within: usize = pieces.iter().map(|piece| count(piece)).sum();
    assert_eq!(within, lines, "every line is in one piece");
}

/// A packed body is unfolded whole and in pieces.
pub(super) fn gzip(bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    let whole = unpack_gzip(&body, MOST_UNPACKED);
    let mut unpacker = Unpacker::new(body.clone(), MOST_UNPACKED);
    let mut unpacked = Vec::new();
    let in_pieces: Result<Vec<u8>, UnpackError> = loop {
        match unpacker.next_piece() {
            Ok(Some(piece)) => unpacked.extend_from_slice(piece),
            Ok(None) => break Ok(unpacked),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(in_pieces, whole);
    let length = unpacked_length(&body, MOST_UNPACKED);
    assert_eq!(length, whole.map(|unpacked| unpacked.len()));
}

/// Datagrams become records of whole lines with a time. A zero byte ends a datagram.
pub(super) fn udp(bytes: &[u8]) {
    let (first, datagrams) = choice(bytes);
    let limit = 20 + usize::from(first);
    let mut gathering = Gathering::new(limit, precision(first), MOST_TAGS);
    let mut records = Vec::new();
    let mut kept = 0;
    for datagram in datagrams.split(|byte| *byte == 0) {
        kept += gathering
            .take(datagram, NOW, |record| records.push(record))
            .lines;
    }
    records.extend(gathering.finish());
    let recorded: u64 = records.iter().map(|record| u64::from(record.lines)).sum();
    assert_eq!(kept, recorded);
    for record in &records {
        assert!(record.body.len() <= limit);
        assert_eq!(ending(&record.body), Ending::Closed);
        for line in Lines::new(&record.body) {
            let shape = inspect(record.body.get(line.text).unwrap_or_default());
            assert_eq!(
                shape,
                LineShape::Accepted {
                    has_timestamp: true
                }
            );
        }
    }
}

/// What the journal gives back is read as a record; what is read is written alike.
pub(super) fn record(bytes: &[u8]) {
    let (kind, payload) = choice(bytes);
    let kind = Kind(kind & 3);
    let Ok(change) = Change::decode(kind, Bytes::copy_from_slice(payload)) else {
        return;
    };
    let head = change.encode_head().expect("what was read fits");
    let written = [head.as_ref(), change.body()].concat();
    let again = Change::decode(kind, Bytes::from(written)).expect("what was written is read");
    assert_eq!(format!("{again:?}"), format!("{change:?}"));
}
