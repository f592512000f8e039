//! Points with their types, as they come.

use std::collections::{HashMap, VecDeque};

use bstr::{BStr, BString, ByteSlice};
use bytes::BytesMut;
use parking_lot::Mutex;

use super::NodeError;
use super::document::{Document, Fault, read_document};
use super::exchange::Answer;
use super::question::Wanted;
use crate::heal::place::Name;
use crate::influx::message_pack::Extent;

/// The most bytes of one chunk, which memory holds.
const MAX_CHUNK: usize = 64 << 20;

/// The most points of a series in one chunk; fewer where those would have more than [`MAX_CHUNK`].
const CHUNK_POINTS: [u32; 3] = [500, 10, 1];

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::heal) enum Value {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    /// Of any bytes.
    Text(BString),
}

/// Some points of one series, in the order of time. A long series comes in several of these.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::heal) struct Series {
    /// Keys and values, ordered by key; tags without a value are left out.
    pub(in crate::heal) tags: Vec<(BString, BString)>,
    /// The names of the fields.
    pub(in crate::heal) fields: Vec<BString>,
    /// The time in nanoseconds, and the values of the fields in their order.
    pub(in crate::heal) rows: Vec<(i64, Vec<Option<Value>>)>,
}

/// How many points of a series a chunk has, where that is fewer than usual: by database and measurement.
#[derive(Debug, Default)]
pub(super) struct ChunkSizes(Mutex<HashMap<(String, BString), u32>>);

impl ChunkSizes {
    /// Points of a series in one chunk.
    pub(super) fn of(&self, database: &str, measurement: &BStr) -> u32 {
        let [usual, ..] = CHUNK_POINTS;
        let key = (database.to_owned(), measurement.to_owned());
        self.0.lock().get(&key).copied().unwrap_or(usual)
    }

    /// So many are too many. False: there is no smaller chunk.
    fn shrink(&self, database: &str, measurement: &BStr, points: u32) -> bool {
        let smaller = CHUNK_POINTS.iter().find(|size| **size < points);
        let Some(smaller) = smaller else {
            return false;
        };
        let key = (database.to_owned(), measurement.to_owned());
        let mut sizes = self.0.lock();
        let size = sizes.entry(key).or_insert(*smaller);
        *size = (*size).min(*smaller);
        true
    }
}

/// The answer to a question for points.
pub(in crate::heal) struct PointStream {
    answer: Answer,
    buffer: BytesMut,
    /// Of the document at the buffer's beginning.
    extent: Extent,
    read: VecDeque<Series>,
    wanted: Wanted,
    /// Points of a series in one chunk.
    chunk: u32,
    bytes: u64,
    /// Whether more must come: nothing came, or a document that says that it is not the last.
    must_go_on: bool,
}

impl PointStream {
    /// `chunk`: points of a series in one chunk.
    pub(super) fn new(answer: Answer, wanted: Wanted, chunk: u32) -> PointStream {
        PointStream {
            answer,
            buffer: BytesMut::new(),
            extent: Extent::new(),
            read: VecDeque::new(),
            wanted,
            chunk,
            bytes: 0,
            must_go_on: true,
        }
    }

    /// The next points; `None` when there are no more.
    ///
    /// # Errors
    /// [`NodeError`]: the answer broke off, or says an error; what came before is sound.
    pub(in crate::heal) async fn next(&mut self) -> Result<Option<Series>, NodeError> {
        loop {
            if let Some(series) = self.read.pop_front() {
                return Ok(Some(series));
            }
            let whole = self.extent.whole(&self.buffer);
            let whole = whole.map_err(|error| self.answer.node().unreadable(error))?;
            if let Some(length) = whole {
                let document = self.buffer.split_to(length);
                self.extent = Extent::new();
                self.take(&document)?;
            } else if self.buffer.len() > MAX_CHUNK {
                return Err(self.too_large());
            } else if let Some(piece) = self.answer.piece().await? {
                let bytes = piece.len() as u64;
                self.bytes += bytes;
                self.answer.node().pace.take(bytes).await;
                self.buffer.extend_from_slice(&piece);
            } else if self.must_go_on || !self.buffer.is_empty() {
                return Err(self.answer.node().unreachable("its answer ends early"));
            } else {
                return Ok(None);
            }
        }
    }

    /// Bytes of the answer that have come.
    pub(in crate::heal) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next question for points of this measurement asks for smaller chunks, if there are any.
    fn too_large(&self) -> NodeError {
        let node = self.answer.node();
        let Wanted {
            database,
            measurement,
            ..
        } = &self.wanted;
        let reason = format!(
            "{} points of one series of {} have more than {MAX_CHUNK} bytes",
            self.chunk,
            Name(measurement.as_bstr())
        );
        let measurement = measurement.as_bstr();
        match node.chunk_sizes.shrink(database, measurement, self.chunk) {
            true => NodeError::LargeChunk {
                node: node.name.clone(),
                reason,
            },
            false => node.unaskable(reason),
        }
    }

    fn take(&mut self, document: &[u8]) -> Result<(), NodeError> {
        let node = self.answer.node();
        match read_document(document, &self.wanted.unsigned) {
            Ok(Document { series, is_partial }) => {
                for (name, series) in series {
                    let part = self.wanted.part(name.as_bstr(), series);
                    self.read
                        .extend(part.map_err(|reason| node.unaskable(reason))?);
                }
                self.must_go_on = is_partial;
                Ok(())
            }
            Err(Fault::Said(error)) => Err(node.fault(self.answer.status(), error)),
            Err(Fault::Malformed(error)) => Err(node.unreadable(error)),
        }
    }
}
