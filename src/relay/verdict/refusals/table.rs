//! What is known of refused records, in memory. The module page has the rules.

mod saved;

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;
use crate::journal::Sequence;
use crate::relay::verdict::judged::JudgedAhead;

pub(in crate::relay) use saved::{Entry, Unsaved};

/// Past so many records less of a refusal's words is remembered.
const FULL_TEXTS: usize = 1000;

/// Bytes of them then.
const SHORT_TEXT: usize = 200;

/// How far the replicas have come, and what they refused.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(in crate::relay) struct Refusals {
    progress: Vec<Progress>,
    records: BTreeMap<Sequence, Vec<Verdict>>,
    /// Records for which a dead letter is to be kept or removed.
    due: BTreeSet<Sequence>,
    /// Lines of the log that are wrong now: the replica's refusal is settled.
    retracted: BTreeSet<(Sequence, usize)>,
    /// The words that were remembered last: floods repeat them.
    newest: Option<Refusal>,
    /// `max_pending_refusals`.
    most: usize,
}

/// Which records a replica has judged.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Progress {
    /// All up to here.
    cursor: Sequence,
    /// And these above it, because lanes do not wait for each other.
    ahead: JudgedAhead,
    /// Nothing up to here will be sent to it again.
    saved: Sequence,
    /// It does not follow the journal: nobody waits for its verdicts.
    absent: bool,
    /// It is being rebuilt, and will be sent what is above this.
    pinned: Option<Sequence>,
    /// Remembered records that it has not judged.
    open: usize,
    /// Its certain refusals without a dead letter.
    unsettled: usize,
}

/// What a replica made of a record that one of them refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Nothing until now.
    Unknown,
    Applied,
    /// It refused the record as things are now, and is asked again.
    Held,
    /// It left the record without a verdict too often; the dead letter is kept.
    SetAside,
    /// It does not follow the journal.
    Absent,
    Refused {
        said: Refusal,
        /// A line of the log says so.
        noted: bool,
        letter: Letter,
    },
}

/// Whether a refusal needs a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    /// No replica took the record, and this one no part of it.
    Unneeded,
    /// The replica is as if it had applied the record, whoever took it.
    Never,
    Due,
    Kept,
}

/// What is to be done on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Due {
    /// This replica refused what another one took: its dead letter is to be kept.
    Letter {
        sequence: Sequence,
        replica: usize,
        refusal: Refusal,
    },
    /// These replicas set aside what no replica took: their dead letters are to be removed.
    Moot {
        sequence: Sequence,
        replicas: Vec<usize>,
    },
}

impl Progress {
    fn has_judged(&self, sequence: Sequence) -> bool {
        self.cursor >= sequence || self.ahead.contains(sequence)
    }
}

impl Verdict {
    fn refused(said: Refusal, letter: Letter) -> Verdict {
        Verdict::Refused {
            said,
            noted: false,
            letter,
        }
    }

    fn is_noted(&self) -> bool {
        matches!(self, Verdict::Refused { noted: true, .. })
    }

    fn is_due(&self) -> bool {
        matches!(
            self,
            Verdict::Refused {
                letter: Letter::Due,
                ..
            }
        )
    }

    fn is_refused(&self) -> bool {
        matches!(self, Verdict::Refused { .. })
    }
}

impl Refusals {
    /// Nothing refused; the replicas stand at these cursors. About `most` records are remembered.
    pub(in crate::relay) fn new(cursors: Vec<Sequence>, most: usize) -> Refusals {
        let at = |cursor| Progress {
            cursor,
            ahead: JudgedAhead::default(),
            saved: cursor,
            absent: false,
            pinned: None,
            open: 0,
            unsettled: 0,
        };
        Refusals {
            progress: cursors.into_iter().map(at).collect(),
            records: BTreeMap::new(),
            due: BTreeSet::new(),
            retracted: BTreeSet::new(),
            newest: None,
            most,
        }
    }

    /// The replica has judged these records, and stands at this cursor now.
    pub(in crate::relay) fn advance(
        &mut self,
        replica: usize,
        judged: impl Iterator<Item = Sequence>,
        cursor: Sequence,
    ) {
        let Some(progress) = self.progress.get_mut(replica) else {
            return;
        };
        progress.cursor = cursor;
        for sequence in judged.filter(|sequence| *sequence > cursor) {
            progress.ahead.insert(sequence);
        }
        progress.ahead.forget(cursor);
    }

    /// The replica goes back: what is above this cursor will be judged again.
    pub(in crate::relay) fn go_back(&mut self, replica: usize, cursor: Sequence) {
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.cursor = cursor;
            progress.ahead.clear();
        }
    }

    /// Where the replica's cursor stands.
    pub(in crate::relay) fn cursor(&self, replica: usize) -> Sequence {
        self.progress
            .get(replica)
            .map_or(Sequence::ZERO, |progress| progress.cursor)
    }

    /// The replica does not follow the journal: its verdicts are not waited for, and what it said before counts no longer.
    pub(in crate::relay) fn leave(&mut self, replica: usize) {
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.absent = true;
        }
        let sequences: Vec<Sequence> = self.records.keys().copied().collect();
        for sequence in sequences {
            self.set(replica, sequence, Verdict::Absent);
        }
    }

    /// The replica follows the journal from here on.
    pub(in crate::relay) fn join(&mut self, replica: usize, cursor: Sequence) {
        self.go_back(replica, cursor);
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.absent = false;
            progress.pinned = None;
            progress.saved = cursor;
        }
        let sequences: Vec<Sequence> = self
            .records
            .range(cursor.next()..)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in sequences {
            self.set(replica, sequence, Verdict::Unknown);
        }
    }

    /// The replica is being rebuilt, and will be sent what is above this place; or it is not, after all.
    pub(in crate::relay) fn pin(&mut self, replica: usize, place: Option<Sequence>) {
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.pinned = place;
        }
    }

    /// The replica refused the record for good.
    pub(in crate::relay) fn refuse(
        &mut self,
        replica: usize,
        sequence: Sequence,
        refusal: &Refusal,
    ) {
        self.refused(replica, sequence, refusal, Letter::Unneeded);
    }

    /// The replica refused the record because nothing was left to do for it.
    pub(in crate::relay) fn needless(
        &mut self,
        replica: usize,
        sequence: Sequence,
        refusal: &Refusal,
    ) {
        self.refused(replica, sequence, refusal, Letter::Never);
    }

    fn refused(&mut self, replica: usize, sequence: Sequence, refusal: &Refusal, letter: Letter) {
        let most = match self.records.len() < FULL_TEXTS {
            true => usize::MAX,
            false => SHORT_TEXT,
        };
        let said = refusal.remembered(most, self.newest.as_ref());
        self.newest = Some(said.clone());
        self.set(replica, sequence, Verdict::refused(said, letter));
    }

    /// The replica refused the record as things are now.
    pub(in crate::relay) fn hold(&mut self, replica: usize, sequence: Sequence) {
        self.set(replica, sequence, Verdict::Held);
    }

    /// The replica left the record without a verdict too often: it is not sent there again, and a dead letter is kept already.
    pub(in crate::relay) fn set_aside(&mut self, replica: usize, sequence: Sequence) {
        self.set(replica, sequence, Verdict::SetAside);
    }

    /// The replica did not refuse the record.
    pub(in crate::relay) fn accept(&mut self, replica: usize, sequence: Sequence) {
        if self.records.contains_key(&sequence) {
            self.set(replica, sequence, Verdict::Applied);
        }
    }

    /// Takes back a line of the log: the replica refused the record. One whose cursor is not saved past it is sent it again.
    pub(in crate::relay) fn restore(
        &mut self,
        replica: usize,
        sequence: Sequence,
        refusal: &Refusal,
    ) {
        if sequence <= self.cursor(replica) {
            self.refuse(replica, sequence, refusal);
            self.mark_noted(replica, sequence);
        }
    }

    fn set(&mut self, replica: usize, sequence: Sequence, verdict: Verdict) {
        let progress = &mut self.progress;
        let verdicts = self.records.entry(sequence).or_insert_with(|| {
            let inferred = progress.iter_mut().map(|progress| {
                if progress.absent {
                    return Verdict::Absent;
                }
                if progress.has_judged(sequence) {
                    return Verdict::Applied;
                }
                progress.open += 1;
                Verdict::Unknown
            });
            inferred.collect()
        });
        let (Some(known), Some(progress)) = (verdicts.get_mut(replica), progress.get_mut(replica))
        else {
            return;
        };
        match (&mut *known, verdict) {
            // Said once more: what stands on disk of it stands.
            (Verdict::Refused { said, .. }, Verdict::Refused { said: again, .. }) => *said = again,
            (known, verdict) => {
                progress.open += usize::from(verdict == Verdict::Unknown);
                progress.open -= usize::from(*known == Verdict::Unknown);
                progress.unsettled -= usize::from(known.is_due());
                if known.is_noted() {
                    self.retracted.insert((sequence, replica));
                }
                *known = verdict;
            }
        }
        self.review(sequence);
    }

    /// Finds out what is to be done on disk for the record.
    fn review(&mut self, sequence: Sequence) {
        let Some(verdicts) = self.records.get_mut(&sequence) else {
            self.due.remove(&sequence);
            return;
        };
        let is_taken = verdicts.contains(&Verdict::Applied);
        for (verdict, progress) in verdicts.iter_mut().zip(&mut self.progress) {
            let Verdict::Refused { said, letter, .. } = verdict else {
                continue;
            };
            match (is_taken || said.may_be_half_done(), *letter) {
                (true, Letter::Unneeded) => {
                    *letter = Letter::Due;
                    progress.unsettled += 1;
                }
                (false, Letter::Due) => {
                    *letter = Letter::Unneeded;
                    progress.unsettled -= 1;
                }
                _ => {}
            }
        }
        let is_due = verdicts.iter().any(Verdict::is_due);
        if is_due || moot(verdicts).is_some() {
            self.due.insert(sequence);
        } else {
            self.due.remove(&sequence);
        }
    }

    /// Whether something is to be done on disk.
    pub(in crate::relay) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The oldest thing to be done.
    pub(in crate::relay) fn next_due(&self) -> Option<Due> {
        let sequence = *self.due.first()?;
        let verdicts = self.records.get(&sequence)?;
        let mut refused = verdicts.iter().enumerate();
        let letter = refused.find_map(|(replica, verdict)| match verdict {
            Verdict::Refused {
                said,
                letter: Letter::Due,
                ..
            } => Some(Due::Letter {
                sequence,
                replica,
                refusal: said.clone(),
            }),
            _ => None,
        });
        letter.or_else(|| {
            let replicas = moot(verdicts)?;
            Some(Due::Moot { sequence, replicas })
        })
    }

    /// The replica's dead letter of the record is kept.
    pub(in crate::relay) fn kept(&mut self, replica: usize, sequence: Sequence) {
        let verdicts = self.records.get_mut(&sequence);
        if let Some(verdict) = verdicts.and_then(|verdicts| verdicts.get_mut(replica))
            && let Verdict::Refused { noted, letter, .. } = verdict
        {
            if *letter == Letter::Due
                && let Some(progress) = self.progress.get_mut(replica)
            {
                progress.unsettled -= 1;
            }
            *letter = Letter::Kept;
            if *noted {
                self.retracted.insert((sequence, replica));
            }
        }
        self.review(sequence);
    }

    /// The dead letters of what no replica took are removed.
    pub(in crate::relay) fn mooted(&mut self, sequence: Sequence) {
        self.due.remove(&sequence);
    }

    /// Certain refusals of the replica without a dead letter.
    pub(in crate::relay) fn unsettled(&self, replica: usize) -> usize {
        self.progress
            .get(replica)
            .map_or(0, |progress| progress.unsettled)
    }

    /// Whether another replica refused the record for good, and none has applied it or may still.
    pub(in crate::relay) fn others_refuse(&self, replica: usize, sequence: Sequence) -> bool {
        let Some(verdicts) = self.records.get(&sequence) else {
            return false;
        };
        let others = || {
            let verdicts = verdicts.iter().enumerate();
            verdicts
                .filter(|(other, _)| *other != replica)
                .map(|(_, verdict)| verdict)
        };
        others().all(|verdict| verdict.is_refused() || *verdict == Verdict::Absent)
            && others().any(Verdict::is_refused)
    }

    /// Whether a replica took the record, or one of those `awaited` has not judged it.
    pub(in crate::relay) fn may_be_taken(
        &self,
        sequence: Sequence,
        is_awaited: impl Fn(usize) -> bool,
    ) -> bool {
        let verdicts = self.records.get(&sequence);
        let mut verdicts = verdicts.into_iter().flatten().enumerate();
        verdicts.any(|(replica, verdict)| match verdict {
            Verdict::Applied => true,
            Verdict::Unknown => is_awaited(replica),
            _ => false,
        })
    }

    /// The oldest record that is remembered.
    pub(in crate::relay) fn first(&self) -> Option<Sequence> {
        Some(*self.records.first_key_value()?.0)
    }

    /// Whether a replica refused the record, or holds it.
    pub(in crate::relay) fn knows(&self, sequence: Sequence) -> bool {
        self.records.contains_key(&sequence)
    }

    /// Records that are remembered.
    pub(in crate::relay) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no room for more.
    pub(in crate::relay) fn is_full(&self) -> bool {
        self.records.len() >= self.most
    }

    /// Whether so many of them wait for this replica's verdict that there is hardly room for others.
    pub(in crate::relay) fn is_filled_by(&self, replica: usize) -> bool {
        let progress = self.progress.get(replica);
        progress.is_some_and(|progress| progress.open >= self.most.div_ceil(2))
    }
}

/// The replicas that set the record aside, if it is certain that no replica took it, in part or whole, and that one refused it.
fn moot(verdicts: &[Verdict]) -> Option<Vec<usize>> {
    let is_open = |verdict: &Verdict| match verdict {
        Verdict::Unknown | Verdict::Held | Verdict::Applied => true,
        Verdict::Refused { said, .. } => said.may_be_half_done(),
        Verdict::SetAside | Verdict::Absent => false,
    };
    if verdicts.iter().any(is_open) || !verdicts.iter().any(Verdict::is_refused) {
        return None;
    }
    let verdicts = verdicts.iter().enumerate();
    let aside: Vec<usize> = verdicts
        .filter(|(_, verdict)| **verdict == Verdict::SetAside)
        .map(|(replica, _)| replica)
        .collect();
    (!aside.is_empty()).then_some(aside)
}
