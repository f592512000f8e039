//! The records of which a replica's next proof can be taken: the newest that it accepted and that its cursor has passed.
//!
//! A record is only moved here when its lane is done with it; looking for a point in it waits until a proof is wanted. Of a
//! large one only the first lines are kept: it would stay in memory for as long as nothing newer comes.

use bytes::Bytes;

use crate::journal::Sequence;
use crate::relay::record::removal::Removal;
use crate::relay::record::write::WriteRecord;
use crate::relay::replica::identity_point::Proof;

/// Bytes of a record's lines that are kept.
const MOST_KEPT: usize = 4096;

/// The newest accepted records of one replica.
#[derive(Debug, Default)]
pub(in crate::relay) struct Witness {
    /// Up to the cursor.
    passed: Option<(Sequence, WriteRecord)>,
    /// Beyond it, while another lane holds the cursor back.
    ahead: Option<(Sequence, WriteRecord)>,
}

impl Witness {
    /// The replica accepted this record; with it, its cursor stands here.
    pub(in crate::relay) fn accepted(
        &mut self,
        sequence: Sequence,
        mut record: WriteRecord,
        cursor: Sequence,
    ) {
        let place = if sequence <= cursor {
            &mut self.passed
        } else {
            &mut self.ahead
        };
        if place.as_ref().is_none_or(|(known, _)| *known < sequence) {
            record.body = first_lines(record.body);
            *place = Some((sequence, record));
        }
    }

    /// A proof that belongs to this cursor, if anything was accepted since the last one that can be asked for.
    pub(in crate::relay) fn proof(&mut self, cursor: Sequence) -> Option<Proof> {
        if let Some((sequence, record)) = self.ahead.take_if(|(sequence, _)| *sequence <= cursor) {
            self.accepted(sequence, record, cursor);
        }
        let (_, record) = self.passed.take()?;
        Proof::of(&record)
    }

    /// A proof of the newest record that was accepted since the last proof was taken, wherever the cursor stands.
    pub(in crate::relay) fn newest(&self) -> Option<Proof> {
        let kept = self.passed.iter().chain(&self.ahead);
        let (_, record) = kept.max_by_key(|(sequence, _)| *sequence)?;
        Proof::of(record)
    }

    /// Points that may be removed prove nothing.
    pub(in crate::relay) fn forget(&mut self, removal: &Removal) {
        for kept in [&mut self.passed, &mut self.ahead] {
            kept.take_if(|(_, record)| removal.takes_points(&record.destination.database));
        }
    }
}

/// The beginning of a long body, up to the end of a line: a line that is cut off would be another point.
fn first_lines(body: Bytes) -> Bytes {
    match body.get(..MOST_KEPT) {
        None => body,
        Some(beginning) => {
            let end = memchr::memrchr(b'\n', beginning).map_or(0, |newline| newline + 1);
            Bytes::copy_from_slice(beginning.get(..end).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::replica::identity_point::tests::record;

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    fn accept(witness: &mut Witness, number: u64, cursor: u64) {
        let body = format!("m v=1 {number}");
        witness.accepted(at(number), record(&body), at(cursor));
    }

    fn time(witness: &mut Witness, cursor: u64) -> Option<i64> {
        let proof = witness.proof(at(cursor))?;
        Some(proof.point.time / 1_000_000_000)
    }

    #[test]
    fn of_a_large_record_only_whole_lines_are_kept() {
        let mut witness = Witness::default();
        let large = "m v=1 7\n".repeat(100_000);
        witness.accepted(at(1), record(&large), at(1));
        let kept = witness
            .passed
            .as_ref()
            .map_or(0, |(_, record)| record.body.len());
        assert_eq!(kept, MOST_KEPT / 8 * 8);
        assert_eq!(time(&mut witness, 1), Some(7));
        let long = format!("m s=\"{}\" 7", "x".repeat(2 * MOST_KEPT));
        witness.accepted(at(2), record(&long), at(2));
        assert_eq!(time(&mut witness, 2), None, "no whole line, no proof");
    }

    #[test]
    fn the_newest_that_the_cursor_has_passed_counts() {
        let mut witness = Witness::default();
        assert_eq!(time(&mut witness, 9), None);
        accept(&mut witness, 2, 2);
        accept(&mut witness, 7, 2);
        accept(&mut witness, 6, 2);
        accept(&mut witness, 3, 3);
        assert_eq!(time(&mut witness, 3), Some(3));
        assert_eq!(time(&mut witness, 3), None, "it was taken already");
        // What held the cursor back was refused: what is ahead counts now.
        assert_eq!(time(&mut witness, 8), Some(7));
        accept(&mut witness, 9, 9);
        witness.forget(&Removal::Points(Some(vec!["other".to_owned()])));
        assert_eq!(
            witness.newest().map(|proof| proof.point.time),
            Some(9_000_000_000)
        );
        witness.forget(&Removal::Points(None));
        assert_eq!(witness.newest(), None);
        assert_eq!(time(&mut witness, 9), None);
    }
}
