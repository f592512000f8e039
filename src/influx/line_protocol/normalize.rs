//! A body that means the same on every node and at every time.
//!
//! Comments and blank lines go; a line that InfluxDB would accept and stamp with its own clock gets its timestamp here, once
//! for all replicas and repetitions. Everything else stays byte for byte, refused lines included. What InfluxDB stores from
//! the result, whenever it arrives, is what it would have stored from the original at the given time, and its errors quote the
//! same lines.
//!
//! The exception are [`LineShape::Unsafe`] lines, and those with too many tags ([`super::tags`]): they are changed so that InfluxDB refuses them and says why. Else a journal
//! would kill all nodes with one, and again at each repetition, or store another point at each.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::parse::{LineShape, inspect};
use super::scan::{Ending, Line, LineKind, Lines, ending_of, is_whitespace, scan_line};
use super::tags::{self, TagBudget};
use crate::influx::precision::Precision;

/// What takes the place of a `\` that would escape the stamp behind it. Such a byte can only be junk behind a string's closing
/// quote, and InfluxDB stores a string without its last byte, whatever that is.
pub(crate) const HARMLESS: u8 = b'_';

/// What makes an unsafe line an error, and tells the client why. It holds nothing that means something to the scanner.
const REFUSAL: &[u8] = b" refused: this line is not safe for InfluxDB";

/// A body as [`normalize`] leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalized {
    /// The lines. The original, not a copy of it, if nothing had to change.
    pub body: Bytes,
    /// How many lines it has, refused ones included.
    pub lines: usize,
    /// How many of them were given a timestamp.
    pub stamped: usize,
    /// How many of them were unsafe or had too many tags, and are now refused by InfluxDB.
    pub defused: usize,
    /// How it ends.
    pub ending: Ending,
}

/// Drops comments and blank lines, and stamps what InfluxDB would stamp with `now_unix_nanos`, in units of `precision`.
/// A line with more than `max_tags` tags, or with many in a body that has many such lines, is made one that InfluxDB refuses.
pub fn normalize(
    body: Bytes,
    now_unix_nanos: i64,
    precision: Precision,
    max_tags: usize,
) -> Normalized {
    Normalizer::new(now_unix_nanos, precision, max_tags).piece(body)
}

/// [`normalize`] for a body that comes in pieces: all of its lines get the same time and share one budget of tags.
pub struct Normalizer {
    /// In units of the body's precision.
    now: i64,
    /// What is put behind lines, once there is one to put it behind.
    stamp: Option<String>,
    budget: TagBudget,
}

impl Normalizer {
    /// For one body; the parameters are [`normalize`]'s.
    pub fn new(now_unix_nanos: i64, precision: Precision, max_tags: usize) -> Self {
        Self {
            now: precision.truncate(now_unix_nanos),
            stamp: None,
            budget: TagBudget::new(max_tags),
        }
    }

    /// The next piece of the body. Each but the last must end where [`super::closed_prefix`] lets it.
    ///
    /// A body that changes only near its end and that nobody else holds is changed in its place, so that a line of many
    /// megabytes is not in memory twice.
    pub fn piece(&mut self, body: Bytes) -> Normalized {
        let mut lines = Lines::new(&body);
        let mut rewriter = Rewriter::new(&body);
        let mut kept = 0;
        let (mut stamped, mut defused) = (0, 0);
        let mut last_line_start = 0;
        for line in lines.by_ref() {
            if line.kind != LineKind::Line {
                rewriter.replace(line.block.start, line.next, &[]);
                continue;
            }
            kept += 1;
            last_line_start = rewriter.position_of(line.block.start);
            let text = body.get(line.text.clone()).unwrap_or_default();
            if !self.budget.admits(text) {
                defused += 1;
                rewriter.replace(line.text.start, line.block.end, &tags::refused(text));
                continue;
            }
            if timestamp_digits(text).is_some() {
                continue;
            }
            match inspect(text) {
                LineShape::Accepted {
                    has_timestamp: false,
                } => {
                    stamped += 1;
                    let stamp = self.stamp.get_or_insert_with(|| format!(" {}", self.now));
                    add_stamp(&mut rewriter, &line, text, stamp.as_bytes());
                }
                LineShape::Unsafe { fields_end } => {
                    defused += 1;
                    let position = line.text.start + fields_end;
                    rewriter.replace(position, position, REFUSAL);
                }
                LineShape::Accepted {
                    has_timestamp: true,
                }
                | LineShape::Refused => {}
            }
        }
        let mut ending = lines.ending();
        let change = rewriter.finish();
        let is_changed = change.is_some();
        let body = match change {
            None => body,
            Some(change) => change.apply(body),
        };
        if is_changed {
            let quoted = kept > 0 && scan_line(&body, last_line_start).1;
            ending = ending_of(&body, quoted);
        }
        Normalized {
            body,
            lines: kept,
            stamped,
            defused,
            ending,
        }
    }
}

fn add_stamp(rewriter: &mut Rewriter<'_>, line: &Line, text: &[u8], stamp: &[u8]) {
    if text.ends_with(b"\\") {
        rewriter.replace(line.text.end - 1, line.text.end, &[HARMLESS]);
    }
    rewriter.replace(line.text.end, line.block.end, stamp);
}

/// How many digits the line's timestamp has, a sign before them not counted: it has one **if it parses at all**, and is not
/// unsafe: digits at its end, behind a space that no `\` precedes. Such digits can be no field, for they hold no `=`, nor the
/// inside of a string, for nothing closes it. This spares most lines the full inspection.
pub(super) fn timestamp_digits(text: &[u8]) -> Option<usize> {
    let digits = digits_at_end(text);
    let before = text.get(..text.len() - digits).unwrap_or_default();
    let before = before.strip_suffix(b"-").unwrap_or(before);
    let behind_space = digits > 0 && matches!(before, [.., second, b' '] if *second != b'\\');
    let is_certain =
        behind_space && !may_end_with_lone_quote(before) && memchr(b'\n', text).is_none();
    is_certain.then_some(digits)
}

/// How many digits stand at the end.
pub(super) fn digits_at_end(text: &[u8]) -> usize {
    let (mut count, mut rest) = (0, text);
    while let Some((before, last)) = rest.split_last_chunk() {
        let digits = digits_at_end_of_eight(*last);
        count += digits;
        if digits < last.len() {
            return count;
        }
        rest = before;
    }
    let left = rest.iter().rev().take_while(|byte| byte.is_ascii_digit());
    count + left.count()
}

/// The same for eight bytes, all at once: in a number whose highest byte is the last one, each byte's highest bit tells whether
/// it is no digit. `0` to `9` are made 0 to 9, and so much is added that from 10 on a byte overflows into that bit.
fn digits_at_end_of_eight(bytes: [u8; 8]) -> usize {
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let values = u64::from_le_bytes(bytes) ^ u64::from_ne_bytes([b'0'; 8]);
    let overflown = (values & !HIGHEST) + u64::from_ne_bytes([0x80 - 10; 8]);
    let others = (overflown | values) & HIGHEST;
    (others.leading_zeros() / 8) as usize
}

/// Whether the fields, with whitespace behind them, may end as unsafe ones do.
fn may_end_with_lone_quote(fields: &[u8]) -> bool {
    let whitespace = fields
        .iter()
        .rev()
        .take_while(|&&byte| is_whitespace(byte))
        .count();
    fields
        .get(..fields.len() - whitespace)
        .is_some_and(|fields| fields.ends_with(b"=\""))
}

/// Copies a body with changes; copies nothing as long as there are none, and of a body that changes only in its second half
/// nothing before that.
pub(super) struct Rewriter<'body> {
    body: &'body [u8],
    copied: usize,
    /// So much of the body stands before the output.
    kept: usize,
    output: Option<Vec<u8>>,
}

/// The end of a body, changed.
pub(super) struct Change {
    kept: usize,
    end: Vec<u8>,
}

impl Change {
    /// The changed body; what stays is not copied if nobody else holds it.
    pub(super) fn apply(self, body: Bytes) -> Bytes {
        if self.kept == 0 {
            return self.end.into();
        }
        let length = self.kept.saturating_add(self.end.len());
        let mut changed = body.try_into_mut().unwrap_or_else(|shared| {
            let mut copy = BytesMut::with_capacity(length);
            copy.extend_from_slice(shared.get(..self.kept).unwrap_or_default());
            copy
        });
        changed.truncate(self.kept);
        changed.extend_from_slice(&self.end);
        changed.freeze()
    }
}

impl<'body> Rewriter<'body> {
    pub(super) fn new(body: &'body [u8]) -> Self {
        Self {
            body,
            copied: 0,
            kept: 0,
            output: None,
        }
    }

    /// Puts other bytes in the place of some; from one call to the next only forward.
    pub(super) fn replace(&mut self, start: usize, end: usize, with: &[u8]) {
        if self.output.is_none() && start > self.body.len() / 2 {
            self.kept = start;
            self.copied = start;
        }
        let left = self.body.len().saturating_sub(self.copied);
        let output = self
            .output
            // A stamp makes most lines no more than twice as long. What is not written to takes no memory, and growing copies.
            .get_or_insert_with(|| {
                Vec::with_capacity(left.saturating_mul(2).saturating_add(with.len()))
            });
        output.extend_from_slice(self.body.get(self.copied..start).unwrap_or_default());
        output.extend_from_slice(with);
        self.copied = end;
    }

    /// Where a byte of the body that is not yet copied will be.
    fn position_of(&self, position: usize) -> usize {
        let copied = self.output.as_ref().map_or(0, Vec::len);
        self.kept + copied + position - self.copied
    }

    /// What is to be changed, or `None` if the body stays as it was.
    pub(super) fn finish(self) -> Option<Change> {
        let mut output = self.output?;
        output.extend_from_slice(self.body.get(self.copied..).unwrap_or_default());
        Some(Change {
            kept: self.kept,
            end: output,
        })
    }
}
