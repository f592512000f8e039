//! The good lines of datagrams, one behind the other, until they are a record.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};

use crate::influx::Precision;
use crate::influx::line_protocol::normalize::HARMLESS;
use crate::influx::line_protocol::{
    Ending, LineKind, LineShape, Lines, TagBudget, ending, inspect,
};

/// A space, the digits of any time, a newline.
const LONGEST_STAMP: usize = 1 + 20 + 1;

/// What is gathered for one record. Every line is followed by a newline.
#[derive(Debug)]
pub struct Gathering {
    limit: usize,
    max_tags: usize,
    precision: Precision,
    body: BytesMut,
    lines: u32,
    stamped: u32,
    packets: u32,
}

/// The lines of one record: never empty, and closed.
#[derive(Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The lines, each with its newline.
    pub body: Bytes,
    /// How many.
    pub lines: u32,
    /// How many of them were given a time.
    pub stamped: u32,
    /// Datagrams whose first line stands in it.
    pub packets: u32,
}

/// What became of a datagram's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines that were kept.
    pub lines: u64,
    /// Lines that were not.
    pub refused: u64,
}

impl Gathering {
    /// Gathers records of at most `limit` bytes, whose times count in `precision`, of lines with at most `max_tags` tags.
    pub fn new(limit: usize, precision: Precision, max_tags: usize) -> Gathering {
        Gathering {
            limit,
            max_tags,
            precision,
            body: BytesMut::new(),
            lines: 0,
            stamped: 0,
            packets: 0,
        }
    }

    /// Whether nothing is gathered.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// Takes a datagram's good lines; those without a time are given `now`, in Unix nanoseconds. `full` is handed each record
    /// that has no room for the next line.
    pub fn take(&mut self, datagram: &[u8], now: i64, mut full: impl FnMut(Gathered)) -> Taken {
        let mut taken = Taken::default();
        let mut tags = TagBudget::new(self.max_tags);
        for line in Lines::new(datagram) {
            if line.kind != LineKind::Line {
                continue;
            }
            // A space before a line changes how its end is found, so it stays there.
            let (start, end) = (line.block.start, line.text.end);
            let text = datagram.get(line.text).unwrap_or_default();
            let shape = inspect(text);
            let (LineShape::Accepted { has_timestamp }, true) = (shape, tags.admits(text)) else {
                taken.refused += 1;
                continue;
            };
            let line = datagram.get(start..end).unwrap_or_default();
            let most = line.len() + LONGEST_STAMP;
            if self.body.len() + most > self.limit
                && let Some(gathered) = self.finish()
            {
                full(gathered);
            }
            let stamp = (!has_timestamp).then(|| self.precision.truncate(now));
            if most > self.limit || !self.push(line, stamp) {
                taken.refused += 1;
                continue;
            }
            if taken.lines == 0 {
                self.packets += 1;
            }
            taken.lines += 1;
        }
        taken
    }

    /// Puts a line behind the others, unless it would act on what follows it.
    fn push(&mut self, line: &[u8], stamp: Option<i64>) -> bool {
        let start = self.body.len();
        if start == 0 {
            self.body.reserve(self.limit);
        }
        match (stamp, line.split_last()) {
            (Some(_), Some((b'\\', rest))) => {
                self.body.extend_from_slice(rest);
                self.body.extend_from_slice(&[HARMLESS]);
            }
            _ => self.body.extend_from_slice(line),
        }
        // Writing to memory that grows cannot fail.
        let stamped = stamp.is_some_and(|stamp| write!(self.body, " {stamp}").is_ok());
        let closed = ending(self.body.get(start..).unwrap_or_default()) == Ending::Closed;
        if closed {
            self.body.extend_from_slice(b"\n");
            self.lines += 1;
            self.stamped += u32::from(stamped);
        } else {
            self.body.truncate(start);
        }
        closed
    }

    /// What is gathered, if anything is, and begins anew.
    pub fn finish(&mut self) -> Option<Gathered> {
        if self.body.is_empty() {
            return None;
        }
        Some(Gathered {
            body: self.body.split().freeze(),
            lines: std::mem::take(&mut self.lines),
            stamped: std::mem::take(&mut self.stamped),
            packets: std::mem::take(&mut self.packets),
        })
    }
}
