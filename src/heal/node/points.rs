//! Points with their types, as they come.

use std::collections::{HashSet, VecDeque};

use bytes::BytesMut;

use super::NodeError;
use super::document::{Document, Fault, read_document};
use super::exchange::Answer;
use crate::influx::message_pack::Extent;

/// The most bytes of one chunk, which memory holds.
const MAX_CHUNK: usize = 64 << 20;

/// The most points of a series in one chunk: with strings of 128 KiB in each it stays within [`MAX_CHUNK`].
pub(super) const CHUNK_POINTS: &str = "500";

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::heal) enum Value {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    Text(String),
}

/// Some points of one series, in the order of time. A long series comes in several of these.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::heal) struct Series {
    /// Keys and values, ordered by key; tags without a value are left out.
    pub(in crate::heal) tags: Vec<(String, String)>,
    /// The names of the fields.
    pub(in crate::heal) fields: Vec<String>,
    /// The time in nanoseconds, and the values of the fields in their order.
    pub(in crate::heal) rows: Vec<(i64, Vec<Option<Value>>)>,
}

/// The answer to a question for points.
pub(in crate::heal) struct PointStream {
    answer: Answer,
    buffer: BytesMut,
    /// Of the document at the buffer's beginning.
    extent: Extent,
    read: VecDeque<Series>,
    /// Fields whose small numbers are unsigned.
    unsigned: HashSet<String>,
    bytes: u64,
    /// Whether more must come: nothing came, or a document that says that it is not the last.
    must_go_on: bool,
}

impl PointStream {
    /// `unsigned`: the fields whose small numbers are unsigned.
    pub(super) fn new(answer: Answer, unsigned: HashSet<String>) -> PointStream {
        PointStream {
            answer,
            buffer: BytesMut::new(),
            extent: Extent::new(),
            read: VecDeque::new(),
            unsigned,
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
                return Err(self.answer.node().refused(format!(
                    "{CHUNK_POINTS} points of a series have more than {MAX_CHUNK} bytes"
                )));
            } else if let Some(piece) = self.answer.piece().await? {
                self.bytes += piece.len() as u64;
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

    fn take(&mut self, document: &[u8]) -> Result<(), NodeError> {
        let node = self.answer.node();
        match read_document(document, &self.unsigned) {
            Ok(Document { series, is_partial }) => {
                self.read.extend(series);
                self.must_go_on = is_partial;
                Ok(())
            }
            Err(Fault::Said(error)) => Err(node.fault(self.answer.status(), error)),
            Err(Fault::Malformed(error)) => Err(node.unreadable(error)),
        }
    }
}
