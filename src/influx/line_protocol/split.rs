//! Cutting a body between lines, for replicas that take less at once than the client sent.

use bytes::Bytes;
use memchr::{memchr2, memrchr};

use super::scan::{Ending, Lines, ending_of};

/// Cuts a body into pieces of at most `limit` bytes, in order and without copying. A piece is longer only where no cut is
/// possible: each piece holds whole lines and ends [`Ending::Closed`], so that it means alone what it meant in the body.
/// Only the last piece may be `Open`, if the body is. The newline behind a piece is left out where that is safe, and so are
/// newlines at its beginning.
pub fn split(body: &Bytes, limit: usize) -> Vec<Bytes> {
    if body.len() <= limit {
        return if body.is_empty() {
            Vec::new()
        } else {
            vec![body.clone()]
        };
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut cut: Option<Cut> = None;
    for line in Lines::new(body) {
        let Some(possible) = Cut::behind(body, line.block.end, line.next) else {
            continue;
        };
        if possible.end - start > limit
            && let Some(before) = cut
        {
            push(&mut pieces, body, start, before.end);
            start = before.next;
        }
        cut = Some(possible);
    }
    let mut end = body.len();
    if let Some(last) = cut {
        if last.next == body.len() {
            end = last.end;
        } else if end - start > limit {
            push(&mut pieces, body, start, last.end);
            start = last.next;
        }
    }
    push(&mut pieces, body, start, end);
    pieces
}

/// How many of the first bytes of a body that is not here as a whole are lines that mean the same whatever follows, and end
/// closed. 0 if no line is complete.
pub fn closed_prefix(begun: &[u8]) -> usize {
    // Without quotes and backslashes each newline ends a line.
    if memchr2(b'"', b'\\', begun).is_none() {
        let all_but_last = begun.split_last().map_or(&[][..], |(_, rest)| rest);
        return memrchr(b'\n', all_but_last).map_or(0, |newline| newline + 1);
    }
    let mut prefix = 0;
    for line in Lines::new(begun) {
        // Whether a `\` hides a byte depends on whether two bytes follow it in the body: here they do for each in the line.
        if line.next >= begun.len() {
            break;
        }
        if ending_of(begun.get(..line.next).unwrap_or_default(), false) == Ending::Closed {
            prefix = line.next;
        }
    }
    prefix
}

/// A place where a body may be cut.
#[derive(Clone, Copy)]
struct Cut {
    /// The end of the piece before it.
    end: usize,
    /// The beginning of the piece behind it.
    next: usize,
}

impl Cut {
    /// The cut behind a line, if what stands before it is closed, with or without the newline.
    fn behind(body: &[u8], line_end: usize, next: usize) -> Option<Self> {
        let is_closed =
            |end| ending_of(body.get(..end).unwrap_or_default(), false) == Ending::Closed;
        if next > body.len() {
            return None;
        }
        let end = if is_closed(line_end) { line_end } else { next };
        is_closed(end).then_some(Self { end, next })
    }
}

/// Adds a piece, without the blank lines at its beginning.
fn push(pieces: &mut Vec<Bytes>, body: &Bytes, start: usize, end: usize) {
    let piece = body.get(start..end).unwrap_or_default();
    let newlines = piece.iter().take_while(|&&byte| byte == b'\n').count();
    if newlines < piece.len() {
        pieces.push(body.slice(start + newlines..end));
    }
}
