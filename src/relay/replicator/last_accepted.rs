//! The records of which a replica's next identity point can be taken: the newest that it accepted and that its cursor has passed.
//!
//! A record is only moved here when its lane is done with it; looking for a point in it waits until an identity point is wanted. Of a
//! large one only the first lines are kept: it would stay in memory for as long as nothing newer comes.

use bytes::Bytes;

use crate::journal::Sequence;
use crate::relay::record::removal::Removal;
use crate::relay::record::write::WriteRecord;
use crate::relay::replica::identity_point::IdentityPoint;

/// Bytes of a record's lines that are kept.
const MOST_KEPT: usize = 4096;

/// The newest accepted records of one replica.
#[derive(Debug, Default)]
pub(in crate::relay) struct LastAccepted {
    /// Up to the cursor.
    passed: Option<(Sequence, WriteRecord)>,
    /// Beyond it, while another lane holds the cursor back.
    ahead: Option<(Sequence, WriteRecord)>,
}

impl LastAccepted {
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

    /// An identity point that belongs to this cursor, if anything was accepted since the last one that can be asked for.
    pub(in crate::relay) fn identity_point(&mut self, cursor: Sequence) -> Option<IdentityPoint> {
        if let Some((sequence, record)) = self.ahead.take_if(|(sequence, _)| *sequence <= cursor) {
            self.accepted(sequence, record, cursor);
        }
        let (_, record) = self.passed.take()?;
        IdentityPoint::of(&record)
    }

    /// An identity point of the newest record that was accepted since the last identity point was taken, wherever the cursor stands.
    pub(in crate::relay) fn newest(&self) -> Option<IdentityPoint> {
        let kept = self.passed.iter().chain(&self.ahead);
        let (_, record) = kept.max_by_key(|(sequence, _)| *sequence)?;
        IdentityPoint::of(record)
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

    fn accept(last_accepted: &mut LastAccepted, number: u64, cursor: u64) {
        let body = format!("m v=1 {number}");
        last_accepted.accepted(at(number), record(&body), at(cursor));
    }

    fn time(last_accepted: &mut LastAccepted, cursor: u64) -> Option<i64> {
        let identity_point = last_accepted.identity_point(at(cursor))?;
        Some(identity_point.point.time / 1_000_000_000)
    }

    #[test]
    fn of_a_large_record_only_whole_lines_are_kept() {
        let mut last_accepted = LastAccepted::default();
        let large = "m v=1 7\n".repeat(100_000);
        last_accepted.accepted(at(1), record(&large), at(1));
        let kept = last_accepted
            .passed
            .as_ref()
            .map_or(0, |(_, record)| record.body.len());
        assert_eq!(kept, MOST_KEPT / 8 * 8);
        assert_eq!(time(&mut last_accepted, 1), Some(7));
        let long = format!("m s=\"{}\" 7", "x".repeat(2 * MOST_KEPT));
        last_accepted.accepted(at(2), record(&long), at(2));
        assert_eq!(time(&mut last_accepted, 2), None, "no whole line, no proof");
    }

    #[test]
    fn the_newest_that_the_cursor_has_passed_counts() {
        let mut last_accepted = LastAccepted::default();
        assert_eq!(time(&mut last_accepted, 9), None);
        accept(&mut last_accepted, 2, 2);
        accept(&mut last_accepted, 7, 2);
        accept(&mut last_accepted, 6, 2);
        accept(&mut last_accepted, 3, 3);
        assert_eq!(time(&mut last_accepted, 3), Some(3));
        assert_eq!(time(&mut last_accepted, 3), None, "it was taken already");
        // What held the cursor back was refused: what is ahead counts now.
        assert_eq!(time(&mut last_accepted, 8), Some(7));
        accept(&mut last_accepted, 9, 9);
        last_accepted.forget(&Removal::Points(Some(vec!["other".to_owned()])));
        assert_eq!(
            last_accepted
                .newest()
                .map(|identity_point| identity_point.point.time),
            Some(9_000_000_000)
        );
        last_accepted.forget(&Removal::Points(None));
        assert_eq!(last_accepted.newest(), None);
        assert_eq!(time(&mut last_accepted, 9), None);
    }
}
