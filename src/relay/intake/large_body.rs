//! A large body on its way into the journal, piece by piece.
//!
//! Stamps can make a body four times as large, and a record is on its way to several nodes at once. So a large body never
//! becomes one large record: about as much as one joined request may hold is taken from its front, up to the end of a line, and
//! becomes records before more is taken. What was taken is given back. Only a line that is longer than that is put together as
//! a whole, in one piece of memory that becomes the record's payload.

use bytes::{Buf, Bytes, BytesMut};

use crate::influx::{Normalizer, UnpackError, Unpacker, WriteRequest, closed_prefix};
use crate::pieces::Pieces;
use crate::relay::intake::ingest::{Ingested, lines, nothing};

/// Room behind a long line for its stamp and its record's head, so that neither makes it move.
const SPARE: usize = 4 * 1024;

/// The first piece is this part of a record, as stamps make ordinary short lines so much longer.
const FIRST: usize = 4;

/// Stamps make no line longer by more than this.
const MOST_GROWTH: usize = 16;

/// Where the lines come from.
pub(in crate::relay) enum Source {
    /// The body.
    Plain(Pieces),
    /// A gzip body, and how many bytes it still has to unfold to.
    Packed(Box<Unpacker>, usize),
}

/// A body of line protocol of which a part may be records already.
pub(in crate::relay) struct Digest {
    request: WriteRequest,
    source: Source,
    normalizer: Normalizer,
    max_record: usize,
    /// Bytes that are taken next: so many that they become one record, by what the last ones became.
    wanted: usize,
    /// Taken from the source, and not made a record.
    begun: BytesMut,
    /// Whether some of it became a record.
    has_records: bool,
    is_over: bool,
}

impl Digest {
    /// No record is longer than `max_record`, unless it is one line or has no safe place to be cut.
    pub(in crate::relay) fn new(
        request: WriteRequest,
        source: Source,
        max_record: usize,
        max_tags: usize,
        now: i64,
    ) -> Self {
        let normalizer = Normalizer::new(now, request.precision, max_tags);
        Self {
            request,
            source,
            normalizer,
            max_record,
            wanted: max_record.div_ceil(FIRST),
            begun: BytesMut::new(),
            has_records: false,
            is_over: false,
        }
    }

    /// Bytes that are held of the body, and that it may still unfold to.
    pub(in crate::relay) fn left(&self) -> usize {
        self.source.left().saturating_add(self.begun.len())
    }

    /// The records of the next lines; `None` behind the last of them. A body has one record at least.
    ///
    /// # Errors
    /// What is wrong with a gzip body.
    pub(in crate::relay) fn next(&mut self) -> Result<Option<Ingested>, UnpackError> {
        if self.is_over {
            return Ok(None);
        }
        let mut wanted = self.wanted;
        while self.fill(wanted)? {
            let prefix = closed_prefix(&self.begun);
            if prefix > 0 {
                let piece = self.take(prefix);
                return Ok(Some(self.lines(piece)));
            }
            // Its end is looked for again when it is twice as long: each byte is looked at twice, not once for each piece.
            wanted = self.begun.len().saturating_mul(2);
        }
        self.is_over = true;
        let rest = std::mem::take(&mut self.begun).freeze();
        let mut ingested = self.lines(rest);
        if !self.has_records {
            ingested.records.push(nothing(&self.request));
        }
        Ok(Some(ingested))
    }

    fn lines(&mut self, piece: Bytes) -> Ingested {
        let taken = piece.len();
        let normalized = self.normalizer.piece(piece);
        let made = normalized.body.len();
        if let Some(wanted) = self.max_record.saturating_mul(taken).checked_div(made) {
            // A little less, so that what is made of it is one record and not a small second one.
            let wanted = wanted - wanted / MOST_GROWTH;
            let least = self.max_record.div_ceil(MOST_GROWTH);
            self.wanted = wanted.clamp(least, self.max_record);
        }
        let ingested = lines(&self.request, normalized, self.max_record);
        self.has_records |= !ingested.records.is_empty();
        ingested
    }

    /// Takes from the source until there are so many bytes. False if that was all of it.
    fn fill(&mut self, wanted: usize) -> Result<bool, UnpackError> {
        while self.begun.len() < wanted {
            let left = self.source.left();
            let Some(piece) = self.source.next(wanted - self.begun.len())? else {
                return Ok(false);
            };
            let free = self.begun.capacity() - self.begun.len();
            if free < piece.len() {
                // More than a record needs is taken for a long line only, and then once, for all that may come.
                let needed = match wanted > self.max_record {
                    true => left,
                    false => self.max_record.saturating_add(piece.len()),
                };
                self.begun.reserve(needed.saturating_add(SPARE));
            }
            self.begun.extend_from_slice(piece.as_ref());
        }
        Ok(true)
    }

    /// The first `length` of the bytes at hand, in memory that they share with nothing else. The shorter part is copied.
    fn take(&mut self, length: usize) -> Bytes {
        let (first, rest) = self.begun.split_at(length);
        if first.len() < rest.len() {
            let first = Bytes::copy_from_slice(first);
            self.begun.advance(length);
            return first;
        }
        let mut later = BytesMut::with_capacity(rest.len().max(self.max_record));
        later.extend_from_slice(rest);
        self.begun.truncate(length);
        std::mem::replace(&mut self.begun, later).freeze()
    }
}

/// Bytes of a source.
enum Piece<'source> {
    Plain(Bytes),
    Unpacked(&'source [u8]),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        self.as_ref().len()
    }
}

impl AsRef<[u8]> for Piece<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Unpacked(bytes) => bytes,
        }
    }
}

impl Source {
    fn left(&self) -> usize {
        match self {
            Self::Plain(pieces) => pieces.length(),
            Self::Packed(_, left) => *left,
        }
    }

    /// More: `most` bytes at most where that can be chosen.
    fn next(&mut self, most: usize) -> Result<Option<Piece<'_>>, UnpackError> {
        match self {
            Self::Plain(pieces) => Ok(pieces.take_first(most).map(Piece::Plain)),
            Self::Packed(unpacker, left) => {
                let piece = unpacker.next_piece()?;
                if let Some(piece) = piece {
                    *left = left.saturating_sub(piece.len());
                }
                Ok(piece.map(Piece::Unpacked))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::influx::WriteEndpoint;
    use crate::influx::line_protocol::{LineKind, Lines};
    use crate::relay::intake::ingest::ingest;
    use crate::relay::record::write::WriteRecord;

    const TAGS: usize = 1000;

    fn request() -> WriteRequest {
        WriteRequest::parse(WriteEndpoint::V1, "db=db", &HeaderMap::new()).expect("a request")
    }

    fn digest(source: Source, max_record: usize) -> Digest {
        Digest::new(request(), source, max_record, TAGS, 7)
    }

    fn whole(mut digest: Digest) -> Ingested {
        let mut all = Ingested::default();
        while let Some(next) = digest.next().expect("sound") {
            all.records.extend(next.records);
            all.lines += next.lines;
            all.stamped += next.stamped;
            all.defused += next.defused;
        }
        assert_eq!(digest.left(), 0);
        all
    }

    fn text(ingested: &Ingested) -> Vec<u8> {
        let mut text = Vec::new();
        for record in &ingested.records {
            text.extend_from_slice(&record.body);
            if !record.body.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        text
    }

    proptest! {
        /// Quotes, backslashes and comments wherever they are: what InfluxDB reads is the same.
        #[test]
        fn in_pieces_a_body_becomes_what_it_becomes_as_a_whole(
            parts in proptest::collection::vec(
                r#"(m v=1|m v=1 1|m s="a|b" 1|\\|#x|\n|\n|a\\ b=1|x)"#, 0..60),
            max_record in 1_usize..40,
            chunk in 1_usize..50,
        ) {
            let body = parts.concat().into_bytes();
            let mut pieces = Pieces::default();
            for part in body.chunks(chunk) {
                pieces.push(Bytes::copy_from_slice(part));
            }
            let at_once = ingest(&request(), Bytes::from(body.clone()), usize::MAX, TAGS, 7);
            let in_pieces = whole(digest(Source::Plain(pieces), max_record));
            prop_assert!(!in_pieces.records.is_empty());
            prop_assert_eq!(
                (in_pieces.lines, in_pieces.stamped, in_pieces.defused),
                (at_once.lines, at_once.stamped, at_once.defused)
            );
            let trimmed = |text: Vec<u8>| {
                let end = text.iter().rposition(|byte| *byte != b'\n').map_or(0, |at| at + 1);
                text[..end].to_vec()
            };
            prop_assert_eq!(trimmed(text(&in_pieces)), trimmed(text(&at_once)));
            // Each record means alone what its lines meant in the body.
            let lines = |record: &WriteRecord| {
                Lines::new(&record.body).filter(|line| line.kind == LineKind::Line).count()
            };
            prop_assert_eq!(in_pieces.records.iter().map(lines).sum::<usize>(), at_once.lines);
            let ending = |all: &Ingested| all.records.last().map(|record| record.ending);
            prop_assert_eq!(ending(&in_pieces), ending(&at_once));
        }
    }

    #[test]
    fn what_is_held_falls_while_records_come() {
        let body = Bytes::from(b"m v=1\n".repeat(1_000_000));
        let mut pieces = Pieces::default();
        for part in body.chunks(64 * 1024) {
            pieces.push(Bytes::copy_from_slice(part));
        }
        let mut digest = digest(Source::Plain(pieces), 1 << 20);
        let mut left = digest.left();
        while let Some(next) = digest.next().expect("sound") {
            assert!(
                next.records
                    .iter()
                    .all(|record| record.body.len() <= 1 << 20)
            );
            assert!(digest.begun.capacity() <= 4 << 20);
            assert!(digest.left() < left || left == 0);
            left = digest.left();
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn a_long_line_becomes_a_payload_where_it_stands() {
        for end in [" 1\n", "\n"] {
            let mut pieces = Pieces::default();
            pieces.push(Bytes::from_static(b"m s=\""));
            for _ in 0..100 {
                pieces.push(Bytes::from(vec![b'a'; 100_000]));
            }
            pieces.push(Bytes::from(format!("\"{end}")));
            let mut digest = digest(Source::Plain(pieces), 1 << 20);
            let ingested = digest.next().expect("sound").expect("a record");
            let [record] = ingested.records.try_into().expect("one");
            let place = record.body.as_ptr();
            let body = record.body.len();
            let payload = record.into_payload().expect("short names");
            let head = payload.len() - body;
            assert_eq!(payload.as_ptr(), place, "nothing was copied");
            assert!(payload[head..].starts_with(b"m s=\"aaa"));
            assert!(digest.next().expect("sound").is_none());
        }
    }
}
