//! Lines that are written to a node: joined, and apart again where some are refused.

use bstr::{BStr, BString};
use bytes::Bytes;

use super::limits::Lifted;
use super::refusal::Refusal;
use super::{Mend, patiently};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, Written};
use crate::influx::dropped_of_partial_write;
use crate::influx::line_protocol::{Lines, split};

/// Bytes that are written at once, but for a line that is longer. A node takes 25 MB (`max-body-size`) by default.
const MOST_BYTES: usize = 1 << 20;

/// Lines of one measurement in one shard, no more than are written at once.
#[derive(Debug)]
pub(super) struct Piece {
    measurement: BString,
    lines: Bytes,
    /// How many of the points are told as written.
    told: u64,
}

impl Piece {
    /// Lines of any length, cut between lines. `are_told`: whether the points are told as written; not so what a `DELETE` took
    /// from other policies, and is only given back.
    pub(super) fn cut(
        measurement: &BStr,
        lines: Vec<u8>,
        are_told: bool,
    ) -> impl Iterator<Item = Piece> {
        let pieces = split(&Bytes::from(lines), MOST_BYTES).into_iter();
        pieces.map(move |lines| {
            let count = if are_told {
                Lines::new(&lines).count()
            } else {
                0
            };
            Piece {
                measurement: measurement.to_owned(),
                lines,
                told: u64::try_from(count).unwrap_or(u64::MAX),
            }
        })
    }
}

impl Mend<'_> {
    /// Writes lines, whatever it takes: some may have been deleted. Returns what the node refused.
    pub(super) async fn write(
        &mut self,
        at: usize,
        node: &Node,
        place: (&str, &str),
        pieces: Vec<Piece>,
    ) -> Result<Vec<Refusal>, WorkError> {
        let mut lifted = None;
        let written = self.write_all(at, node, place, pieces, &mut lifted).await;
        if let Some(lifted) = lifted {
            let set = self.limits.set_again(node, &lifted, self.progress);
            set.await?;
        }
        written
    }

    async fn write_all(
        &mut self,
        at: usize,
        node: &Node,
        (database, policy): (&str, &str),
        pieces: Vec<Piece>,
        lifted: &mut Option<Lifted>,
    ) -> Result<Vec<Refusal>, WorkError> {
        // What is to be written, the next one last.
        let mut left = joined(pieces);
        left.reverse();
        let mut refusals = Vec::new();
        let mut asked_for_limits = false;
        while let Some(pieces) = left.pop() {
            let lines = body(&pieces);
            let written = patiently(|| node.write(database, policy, lines.clone())).await;
            if matches!(written, Err(NodeError::Refused { .. })) && !asked_for_limits {
                asked_for_limits = true;
                *lifted = self.limits.lift(node, database, policy).await?;
                if lifted.is_some() {
                    left.push(pieces);
                    continue;
                }
            }
            let told: u64 = pieces.iter().map(|piece| piece.told).sum();
            match written {
                Ok(Written::All) => self.tally.written(at, database, told),
                Ok(Written::Expired(points)) => {
                    self.tally.expired(at, database, points);
                    let taken = told.saturating_sub(points);
                    self.tally.written(at, database, taken);
                }
                Err(NodeError::Refused { .. }) if pieces.len() > 1 => {
                    left.extend(pieces.into_iter().map(|piece| vec![piece]));
                }
                Err(error @ NodeError::Refused { .. }) => {
                    let dropped = error.reason_of_refusal().and_then(dropped_of_partial_write);
                    let taken = told.saturating_sub(dropped.unwrap_or(told));
                    self.tally.written(at, database, taken);
                    let measurement = pieces.into_iter().next().map(|piece| piece.measurement);
                    refusals.push(Refusal {
                        node: at,
                        database: database.to_owned(),
                        measurement: measurement.unwrap_or_default(),
                        error,
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(refusals)
    }
}

/// The lines of pieces as one body.
fn body(pieces: &[Piece]) -> Bytes {
    if let [piece] = pieces {
        return piece.lines.clone();
    }
    let mut body = Vec::new();
    for piece in pieces {
        body.extend_from_slice(&piece.lines);
        // The last line of a piece may have none.
        body.push(b'\n');
    }
    Bytes::from(body)
}

/// Pieces that are written at once.
fn joined(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut joined: Vec<Vec<Piece>> = Vec::new();
    let mut bytes = 0;
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if bytes + piece.lines.len() <= MOST_BYTES => {
                bytes += piece.lines.len();
                last.push(piece);
            }
            _ => {
                bytes = piece.lines.len();
                joined.push(vec![piece]);
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_up_to_a_bound() {
        let piece = |bytes| Piece {
            measurement: "m".into(),
            lines: vec![b'0'; bytes].into(),
            told: 0,
        };
        let pieces = [1, 1, 1].map(|_| piece(MOST_BYTES / 2));
        let joined_pieces = joined(pieces.into());
        let lengths: Vec<usize> = joined_pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(joined(vec![piece(2 * MOST_BYTES)]).len(), 1);
        assert_eq!(body(&[piece(1), piece(2)]), "0\n00\n");
    }

    #[test]
    fn more_than_is_written_at_once_is_cut_between_lines() {
        let line = |number: usize, length| {
            // A newline inside a text ends no line.
            format!("m s=\"{}\n\" {number}\n", "x".repeat(length))
        };
        let lines = |length| (0..10).map(move |number| line(number, length));
        for length in [10, MOST_BYTES / 4, MOST_BYTES - 100, 2 * MOST_BYTES] {
            let text: String = lines(length).collect();
            let pieces: Vec<Piece> = Piece::cut("m".into(), text.into_bytes(), true).collect();
            let told: u64 = pieces.iter().map(|piece| piece.told).sum();
            assert_eq!(told, 10);
            let long = pieces.iter().filter(|piece| piece.lines.len() > MOST_BYTES);
            assert!(long.clone().all(|piece| piece.told == 1), "{length}");
            assert_eq!(long.count(), if length > MOST_BYTES { 10 } else { 0 });
            let again = body(&pieces);
            let again = Lines::new(&again).filter(|line| !line.block.is_empty());
            assert_eq!(again.count(), 10);
        }
        let text = line(1, 10).into_bytes();
        assert!(Piece::cut("m".into(), text, false).all(|piece| piece.told == 0));
        assert_eq!(Piece::cut("m".into(), Vec::new(), true).count(), 0);
    }
}
