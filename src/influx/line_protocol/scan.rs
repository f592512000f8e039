//! Where lines end: InfluxDB's `scanLine`, with its quirks.
//!
//! One pass from left to right; at each line the state starts anew:
//!
//! - `\` is skipped **together with the byte behind it, whatever that is**, if at least two bytes of the body follow;
//! - a space starts the fields, and a leading one does so at once;
//! - in the fields, outside quotes, `=` and `,` are counted; `"` opens or closes quotes if there were more `=` than `,`;
//! - a newline outside quotes ends the line, and nothing else does.

use std::ops::Range;

use memchr::{memchr2, memchr3};

/// Whether bytes that follow a body are read as if they stood alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A newline behind the body ends its last line: it may be joined with another.
    Closed,
    /// The body ends inside quotes, or with a `\` among its last two bytes, which would act on what follows.
    Open,
}

/// What InfluxDB makes of a line before it parses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// Nothing but spaces, tabs and NULs: ignored.
    Blank,
    /// Its first byte behind spaces, tabs and NULs is `#`: ignored.
    Comment,
    /// Parsed: a point, or an error.
    Line,
}

/// One line of a body. It may hold newlines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// All of it, without the newline that ends it.
    pub block: Range<usize>,
    /// What InfluxDB parses, and quotes in errors: the block without the spaces, tabs and NULs before it, and without a
    /// newline at its very end (which is there if that newline was escaped, or quoted up to the end of the body).
    pub text: Range<usize>,
    /// Where the next line begins. Past the end of the body if no newline ended this one.
    pub next: usize,
}

/// The lines of a body, in order.
pub struct Lines<'body> {
    body: &'body [u8],
    position: usize,
    quoted: bool,
}

impl<'body> Lines<'body> {
    /// Starts at the beginning of a body.
    pub fn new(body: &'body [u8]) -> Self {
        Self {
            body,
            position: 0,
            quoted: false,
        }
    }

    /// How the body ends, once all lines were taken.
    pub fn ending(&self) -> Ending {
        ending_of(self.body, self.quoted)
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let start = self.position;
        if start >= self.body.len() {
            return None;
        }
        let (end, quoted) = scan_line(self.body, start);
        self.quoted = quoted;
        self.position = end + 1;
        let block = self.body.get(start..end).unwrap_or_default();
        let blank = block
            .iter()
            .take_while(|&&byte| is_whitespace(byte))
            .count();
        let kind = match block.get(blank) {
            None => LineKind::Blank,
            Some(b'#') => LineKind::Comment,
            Some(_) => LineKind::Line,
        };
        let text_end = if kind == LineKind::Line && block.ends_with(b"\n") {
            end - 1
        } else {
            end
        };
        Some(Line {
            kind,
            block: start..end,
            text: start + blank..text_end,
            next: end + 1,
        })
    }
}

/// How a body ends.
pub fn ending(body: &[u8]) -> Ending {
    let mut lines = Lines::new(body);
    lines.by_ref().for_each(drop);
    lines.ending()
}

/// How a body ends whose last line ends inside quotes or not.
pub(super) fn ending_of(body: &[u8], quoted: bool) -> Ending {
    let backslash = body.iter().rev().take(2).any(|&byte| byte == b'\\');
    if quoted || backslash {
        Ending::Open
    } else {
        Ending::Closed
    }
}

/// What InfluxDB skips between sections, and before a line.
pub(super) fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0)
}

/// The end of the line that starts at `start`, and whether it ends inside quotes (then its end is the body's).
pub(super) fn scan_line(body: &[u8], start: usize) -> (usize, bool) {
    let rest = body.get(start..).unwrap_or_default();
    match memchr3(b'\n', b'"', b'\\', rest) {
        None => (body.len(), false),
        Some(length) if rest.get(length) == Some(&b'\n') => (start + length, false),
        Some(_) => scan_line_with_quotes(body, start),
    }
}

/// Goes from one byte that means something to the next. Between them only `=` and `,` are counted.
fn scan_line_with_quotes(body: &[u8], start: usize) -> (usize, bool) {
    let mut position = start;
    let mut in_fields = false;
    // How many more `=` than `,` the fields hold outside of quotes.
    let mut more_equals = 0_isize;
    loop {
        let rest = body.get(position..).unwrap_or_default();
        let quote = if in_fields { b'"' } else { b' ' };
        let Some(distance) = memchr3(quote, b'\\', b'\n', rest) else {
            return (body.len(), false);
        };
        if in_fields {
            more_equals += count(rest.get(..distance).unwrap_or_default());
        }
        position += distance;
        match body.get(position) {
            Some(b'\n') => return (position, false),
            Some(b' ') => in_fields = true,
            Some(b'\\') if position + 2 < body.len() => position += 1,
            Some(b'"') if more_equals > 0 => match closing_quote(body, position + 1) {
                Some(quote) => position = quote,
                None => return (body.len(), true),
            },
            _ => {}
        }
        position += 1;
    }
}

/// How many more `=` than `,` there are. Few enough at once for a byte to count them, so that the processor counts many at once.
fn count(bytes: &[u8]) -> isize {
    let weight = |byte: u8| i8::from(byte == b'=') - i8::from(byte == b',');
    let pieces = bytes.chunks(i8::MAX as usize);
    pieces
        .map(|piece| piece.iter().map(|byte| weight(*byte)).sum::<i8>())
        .map(isize::from)
        .sum()
}

/// The quote that ends the quotes which `from` stands in. Inside them only quotes and backslashes mean anything.
fn closing_quote(body: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        position += memchr2(b'"', b'\\', body.get(position..)?)?;
        if body.get(position) == Some(&b'"') {
            return Some(position);
        }
        position += if position + 2 < body.len() { 2 } else { 1 };
    }
}
