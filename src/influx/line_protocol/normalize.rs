//! A body that means the same on every node and at every time.
//!
//! Comments and blank lines go; a line that InfluxDB would accept and stamp with its own clock gets its timestamp here, once
//! for all replicas and repetitions. Everything else stays byte for byte, refused lines included. What InfluxDB stores from
//! the result, whenever it arrives, is what it would have stored from the original at the given time, and its errors quote the
//! same lines.
//!
//! The exception are [`LineShape::Unsafe`] lines, and those with too many tags ([`super::tags`]): they are changed so that InfluxDB refuses them and says why. Else a journal
//! would kill all nodes with one, and again at each repetition, or store another point at each.

use bytes::Bytes;
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
    let mut lines = Lines::new(&body);
    let mut rewriter = Rewriter::new(&body);
    let stamp = format!(" {}", precision.truncate(now_unix_nanos));
    let mut budget = TagBudget::new(max_tags);
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
        if !budget.admits(text) {
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
    let ending = lines.ending();
    match rewriter.finish() {
        None => Normalized {
            body,
            lines: kept,
            stamped,
            defused,
            ending,
        },
        Some(rewritten) => {
            let quoted = kept > 0 && scan_line(&rewritten, last_line_start).1;
            let ending = ending_of(&rewritten, quoted);
            Normalized {
                body: rewritten.into(),
                lines: kept,
                stamped,
                defused,
                ending,
            }
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
    let digits = text
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let before = text.get(..text.len() - digits).unwrap_or_default();
    let before = before.strip_suffix(b"-").unwrap_or(before);
    let behind_space = digits > 0 && matches!(before, [.., second, b' '] if *second != b'\\');
    let is_certain =
        behind_space && !may_end_with_lone_quote(before) && memchr(b'\n', text).is_none();
    is_certain.then_some(digits)
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

/// Copies a body with changes; copies nothing as long as there are none.
pub(super) struct Rewriter<'body> {
    body: &'body [u8],
    copied: usize,
    output: Option<Vec<u8>>,
}

impl<'body> Rewriter<'body> {
    pub(super) fn new(body: &'body [u8]) -> Self {
        Self {
            body,
            copied: 0,
            output: None,
        }
    }

    /// Puts other bytes in the place of some; from one call to the next only forward.
    pub(super) fn replace(&mut self, start: usize, end: usize, with: &[u8]) {
        let length = self.body.len();
        let output = self
            .output
            // A stamp makes most lines no more than twice as long. What is not written to takes no memory, and growing copies.
            .get_or_insert_with(|| Vec::with_capacity(length.saturating_mul(2)));
        output.extend_from_slice(self.body.get(self.copied..start).unwrap_or_default());
        output.extend_from_slice(with);
        self.copied = end;
    }

    /// Where a byte of the body that is not yet copied will be.
    fn position_of(&self, position: usize) -> usize {
        let copied = self.output.as_ref().map_or(0, Vec::len);
        copied + position - self.copied
    }

    /// The changed body, or `None` if it stayed as it was.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        let mut output = self.output?;
        output.extend_from_slice(self.body.get(self.copied..).unwrap_or_default());
        Some(output)
    }
}
