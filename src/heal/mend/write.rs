//! Lines that are written to a node: joined, and apart again where some are refused.

use bstr::BString;
use bytes::Bytes;

use super::limits::Lifted;
use super::{Mend, patiently};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, Written};
use crate::influx::dropped_of_partial_write;

/// Bytes that are written at once.
const MOST_BYTES: usize = 1 << 20;

/// Lines of one measurement in one shard.
pub(super) struct Piece {
    pub(super) measurement: BString,
    pub(super) lines: Vec<u8>,
    /// How many of the points are told as written: not what a `DELETE` took from other policies, and is only given back.
    pub(super) told: u64,
}

impl Mend<'_> {
    /// Writes lines, whatever it takes: some may have been deleted.
    pub(super) async fn write(
        &mut self,
        at: usize,
        node: &Node,
        place: (&str, &str),
        pieces: Vec<Piece>,
    ) -> Result<(), WorkError> {
        let mut lifted = None;
        let written = self.write_all(at, node, place, pieces, &mut lifted).await;
        if let Some(lifted) = lifted {
            lifted.set_again(node).await?;
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
    ) -> Result<(), WorkError> {
        // What is to be written, the next one last.
        let mut left = joined(pieces);
        left.reverse();
        let mut asked_for_limits = false;
        while let Some(pieces) = left.pop() {
            let lines: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| &piece.lines)
                .copied()
                .collect();
            let lines = Bytes::from(lines);
            let written = patiently(|| node.write(database, policy, lines.clone())).await;
            if matches!(written, Err(NodeError::Refused { .. })) && !asked_for_limits {
                asked_for_limits = true;
                *lifted = Lifted::of(node, database, policy).await?;
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
                    let measurement = pieces.first().map(|piece| piece.measurement.clone());
                    self.refused(at, database, measurement.unwrap_or_default(), &error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
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
            lines: vec![0; bytes],
            told: 0,
        };
        let pieces = [1, 1, 1].map(|_| piece(MOST_BYTES / 2));
        let lengths: Vec<usize> = joined(pieces.into()).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(joined(vec![piece(2 * MOST_BYTES)]).len(), 1);
    }
}
