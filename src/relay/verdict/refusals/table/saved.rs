//! What of the table stands on disk, which cursors may be saved for it, and what may be forgotten.

use super::{Letter, Refusals, Verdict};
use crate::journal::{CursorError, Sequence};
use crate::relay::verdict::refusals::Refusal;

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) struct Entry {
    pub(in crate::relay) sequence: Sequence,
    pub(in crate::relay) replica: usize,
    /// What it said; nothing if an earlier line is wrong now.
    pub(in crate::relay) said: Option<Refusal>,
}

/// Why a cursor was not saved at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::relay) enum Unsaved {
    /// A refusal before it is not on disk; the oldest such record.
    #[error("the refusal of record {0} is not on disk")]
    Refusal(Sequence),
    /// The journal does not take it.
    #[error(transparent)]
    Cursor(#[from] CursorError),
}

impl Refusals {
    /// Saves a replica's cursor at this place with `save`: nothing up to there will be sent to it again.
    ///
    /// # Errors
    /// A refusal up to there is not on disk, or `save` failed; nothing was saved.
    pub(in crate::relay) fn save(
        &mut self,
        replica: usize,
        cursor: Sequence,
        save: impl FnOnce() -> Result<(), CursorError>,
    ) -> Result<(), Unsaved> {
        let Some(saved) = self.progress.get(replica).map(|progress| progress.saved) else {
            return Ok(());
        };
        if cursor > saved {
            let waits = |verdicts: &[Verdict], sequence| {
                let of = |(refuser, verdict): (usize, &Verdict)| match verdict {
                    Verdict::Refused { letter, noted, .. } if refuser == replica => {
                        *letter == Letter::Due || (*letter == Letter::Unneeded && !noted)
                    }
                    _ => verdict.is_due() && self.is_saved_past(refuser, sequence),
                };
                verdicts.iter().enumerate().any(of)
            };
            let mut passed = self.records.range(saved.next()..=cursor);
            let waiting = passed.find(|(at, verdicts)| waits(verdicts, **at));
            // A line that is wrong would count as soon as the cursor has passed its record.
            let mut wrong = self
                .retracted
                .range((saved.next(), 0)..=(cursor, usize::MAX));
            let wrong = wrong.find(|(_, refuser)| *refuser == replica);
            if let Some(sequence) = waiting
                .map(|(sequence, _)| *sequence)
                .or_else(|| wrong.map(|(sequence, _)| *sequence))
            {
                return Err(Unsaved::Refusal(sequence));
            }
        }
        save()?;
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.saved = cursor;
        }
        Ok(())
    }

    fn is_saved_past(&self, replica: usize, sequence: Sequence) -> bool {
        let progress = self.progress.get(replica);
        progress.is_some_and(|progress| progress.saved >= sequence)
    }

    /// What the log must say because earlier lines are wrong now.
    pub(in crate::relay) fn retractions(&self) -> Vec<Entry> {
        let retracted = self.retracted.iter().map(|(sequence, replica)| Entry {
            sequence: *sequence,
            replica: *replica,
            said: None,
        });
        retracted.collect()
    }

    /// What it must say, too, before the replica's cursor can be saved at this place.
    pub(in crate::relay) fn unnoted(&self, replica: usize, cursor: Sequence) -> Vec<Entry> {
        let saved = self.progress.get(replica).map(|progress| progress.saved);
        let passed = saved.filter(|saved| *saved < cursor);
        let passed = passed.map(|saved| self.records.range(saved.next()..=cursor));
        let refused = passed
            .into_iter()
            .flatten()
            .flat_map(|(sequence, verdicts)| entries(*sequence, verdicts, false));
        self.retractions().into_iter().chain(refused).collect()
    }

    /// Everything that a new log must say: of the first `most` records above `after`, with the last of them.
    pub(in crate::relay) fn entries_after(
        &self,
        after: Sequence,
        most: usize,
    ) -> (Vec<Entry>, Option<Sequence>) {
        let records = || self.records.range(after.next()..).take(most);
        let all = records().flat_map(|(sequence, verdicts)| entries(*sequence, verdicts, true));
        let last = records().last().map(|(sequence, _)| *sequence);
        (all.collect(), last)
    }

    /// The log says this now.
    pub(in crate::relay) fn noted(&mut self, notes: &[Entry]) {
        for note in notes {
            match note.said {
                Some(_) => self.mark_noted(note.replica, note.sequence),
                None => {
                    self.retracted.remove(&(note.sequence, note.replica));
                }
            }
        }
    }

    pub(super) fn mark_noted(&mut self, replica: usize, sequence: Sequence) {
        let verdicts = self.records.get_mut(&sequence);
        match verdicts.and_then(|verdicts| verdicts.get_mut(replica)) {
            Some(Verdict::Refused { noted, letter, .. }) if *letter != Letter::Kept => {
                *noted = true
            }
            // The refusal was settled while the line was being written.
            Some(_) => {
                self.retracted.insert((sequence, replica));
            }
            None => {}
        }
    }

    /// Up to here every replica's cursor is saved, and no replica that is rebuilt will be sent it: nobody needs these records.
    pub(in crate::relay) fn passed(&self) -> Sequence {
        let pins = self.progress.iter().filter_map(|progress| progress.pinned);
        self.saved().chain(pins).min().unwrap_or_default()
    }

    /// Up to here refusals may be forgotten. Where there is no room for more, replicas that are rebuilt do not count: what is
    /// forgotten then may become a dead letter of theirs without need.
    pub(in crate::relay) fn floor(&self) -> Sequence {
        match self.is_full() {
            true => self.saved().min().unwrap_or_default(),
            false => self.passed(),
        }
    }

    fn saved(&self) -> impl Iterator<Item = Sequence> {
        let following = self.progress.iter().filter(|progress| !progress.absent);
        following.map(|progress| progress.saved)
    }

    /// Forgets what no replica is sent again: the cursors are on disk, none of them before this place.
    pub(in crate::relay) fn forget(&mut self, floor: Sequence) {
        while let Some(entry) = self.records.first_entry()
            && *entry.key() <= floor
            && !entry.get().iter().any(Verdict::is_due)
        {
            let (sequence, verdicts) = entry.remove_entry();
            for (verdict, progress) in verdicts.iter().zip(&mut self.progress) {
                progress.open -= usize::from(*verdict == Verdict::Unknown);
            }
            self.due.remove(&sequence);
        }
        self.retracted = self.retracted.split_off(&(floor.next(), 0));
    }
}

/// The lines that say who refused the record; all, or those that the log lacks.
fn entries(
    sequence: Sequence,
    verdicts: &[Verdict],
    all: bool,
) -> impl Iterator<Item = Entry> + use<'_> {
    let verdicts = verdicts.iter().enumerate();
    verdicts.filter_map(move |(replica, verdict)| match verdict {
        Verdict::Refused {
            said,
            noted,
            letter,
        } if !matches!(letter, Letter::Kept | Letter::Never) && (all || !noted) => Some(Entry {
            sequence,
            replica,
            said: Some(said.clone()),
        }),
        _ => None,
    })
}
