//! Refused records until every replica has judged them: only then is it known whether a refusal was everybody's, or one
//! replica's and so a dead letter (rule W2).
//!
//! What a replica judged without refusing it, it applied; so it is enough to know how far each replica has come, and to
//! remember refusals. They are bounded, and go into the notes of the cursors, so that a restart does not forget them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::acknowledge::Standing;
use super::judged::JudgedAhead;
use super::note::NotedRefusal;
use crate::influx::{scan_answer, shorten, words_of};
use crate::journal::Sequence;
use crate::stats::RelayStats;

/// Refusals that are remembered; past it the oldest is forgotten, and counted: should the replica that has not judged it yet
/// accept it, nobody would notice that the two differ.
const MAX_REFUSALS: usize = 8192;

/// Refusals in the note of one cursor, and bytes of each text: a note takes 64 KiB.
const MAX_NOTED: usize = 200;
const MAX_NOTED_TEXT: usize = 200;

/// Bytes of a refusal's words that are remembered, and stand in a dead letter.
const MAX_REMEMBERED: usize = 2048;

/// A refusal as the replica said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    words: Arc<Words>,
}

/// What a replica said: decoded text, never a piece of an answer's JSON.
#[derive(Debug)]
struct Words {
    text: Box<str>,
    /// Where a long text is counted.
    counted: Option<Arc<RelayStats>>,
}

impl Refusal {
    /// A refusal in these words, of which 2 KiB are kept.
    pub fn new(status: u16, words: &str) -> Refusal {
        Refusal {
            status,
            words: Arc::new(Words {
                text: shorten(words, MAX_REMEMBERED).into(),
                counted: None,
            }),
        }
    }

    /// The same with all of its words, for clients that wait, as long as there is room among `most` bytes of such texts.
    pub(super) fn in_full(
        status: u16,
        words: String,
        stats: &Arc<RelayStats>,
        most: usize,
    ) -> Refusal {
        let length = words.len() as u64;
        let has_room = |before: u64| before.saturating_add(length) <= most as u64;
        if words.len() <= MAX_REMEMBERED || !stats.refusal_texts.add_if(length, has_room) {
            return Refusal::new(status, &words);
        }
        Refusal {
            status,
            words: Arc::new(Words {
                text: words.into(),
                counted: Some(Arc::clone(stats)),
            }),
        }
    }

    /// Its words, as a client hears them.
    pub fn words(&self) -> &str {
        &self.words.text
    }

    /// The same refusal in so few words that many can be remembered.
    fn remembered(&self) -> Refusal {
        match self.words.counted {
            None => self.clone(),
            Some(_) => Refusal::new(self.status, self.words()),
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Words) -> bool {
        self.text == other.text
    }
}

impl Eq for Words {}

impl Drop for Words {
    fn drop(&mut self) {
        if let Some(stats) = &self.counted {
            stats.refusal_texts.subtract(self.text.len() as u64);
        }
    }
}

/// A record on which the replicas differ: some applied it, others refused it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// The record.
    pub sequence: Sequence,
    /// The replicas that refused it, by their place, and what they said.
    pub refused_by: Vec<(usize, Refusal)>,
    /// The replicas whose dead letters of it are settled, by their place: it was set aside there, and no replica took it.
    pub moot_for: Vec<usize>,
}

/// How far the replicas have come, and what they refused.
#[derive(Debug)]
pub(super) struct Refusals {
    progress: Vec<Progress>,
    records: BTreeMap<Sequence, Record>,
    forgotten: u64,
}

/// Which records a replica has judged.
#[derive(Debug)]
struct Progress {
    /// All up to here.
    cursor: Sequence,
    /// And these above it, because lanes do not wait for each other.
    ahead: JudgedAhead,
    /// Nothing up to here will be sent to it again.
    saved: Sequence,
    /// It diverged: its verdicts are not waited for.
    excluded: bool,
}

#[derive(Debug)]
struct Record {
    standings: Vec<Standing>,
    said: Vec<Option<Refusal>>,
    /// All refused it. It stays as long as it may be sent again, or a replica that went back would seem to be the only one.
    settled: bool,
}

impl Progress {
    fn has_judged(&self, sequence: Sequence) -> bool {
        self.cursor >= sequence || self.ahead.contains(sequence)
    }
}

impl Refusals {
    /// Nothing refused yet; the replicas stand at these cursors.
    pub(super) fn new(cursors: Vec<Sequence>) -> Refusals {
        let at = |cursor| Progress {
            cursor,
            ahead: JudgedAhead::default(),
            saved: cursor,
            excluded: false,
        };
        Refusals {
            progress: cursors.into_iter().map(at).collect(),
            records: BTreeMap::new(),
            forgotten: 0,
        }
    }

    /// The replica has judged these records, and stands at this cursor now.
    pub(super) fn advance(
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
    pub(super) fn go_back(&mut self, replica: usize, cursor: Sequence) {
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.cursor = cursor;
            progress.ahead.clear();
        }
    }

    /// Where the replica's cursor stands.
    pub(super) fn cursor(&self, replica: usize) -> Sequence {
        self.progress
            .get(replica)
            .map_or(Sequence::ZERO, |progress| progress.cursor)
    }

    /// The replica diverged, or is a replica again. Returns what was only waiting for its verdict.
    pub(super) fn exclude(&mut self, replica: usize, excluded: bool) -> Vec<Conclusion> {
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.excluded = excluded;
        }
        if !excluded {
            return Vec::new();
        }
        let mut waiting = Vec::new();
        for (sequence, record) in &mut self.records {
            if let Some(standing @ (Standing::Unknown | Standing::Held)) =
                record.standings.get_mut(replica)
            {
                *standing = Standing::Refused;
                waiting.push(*sequence);
            }
            if let Some(said) = record.said.get_mut(replica) {
                *said = None;
            }
        }
        waiting
            .into_iter()
            .filter_map(|sequence| self.conclude(sequence))
            .collect()
    }

    /// The replica refused the record, for good or ([`Standing::Held`]) as things are now.
    pub(super) fn refuse(
        &mut self,
        replica: usize,
        sequence: Sequence,
        standing: Standing,
        refusal: &Refusal,
    ) {
        self.note(replica, sequence, standing, Some(refusal.clone()));
    }

    /// The replica left the record without a verdict too often: it is not sent there again, and a dead letter is kept already.
    pub(super) fn set_aside(&mut self, replica: usize, sequence: Sequence) {
        self.note(replica, sequence, Standing::SetAside, None);
    }

    /// Whether another replica refused the record for good, and none has applied it or may still.
    pub(super) fn others_refuse(&self, replica: usize, sequence: Sequence) -> bool {
        let Some(record) = self.records.get(&sequence) else {
            return false;
        };
        let others = || {
            let standings = record.standings.iter().zip(&record.said).enumerate();
            standings.filter(|(other, _)| *other != replica)
        };
        let refused = |said: &Option<Refusal>| said.is_some();
        others().all(|(_, (standing, _))| *standing == Standing::Refused)
            && others().any(|(_, (_, said))| refused(said))
    }

    fn note(
        &mut self,
        replica: usize,
        sequence: Sequence,
        standing: Standing,
        refusal: Option<Refusal>,
    ) {
        let progress = &self.progress;
        let record = self.records.entry(sequence).or_insert_with(|| Record {
            standings: progress
                .iter()
                .map(|progress| match progress.has_judged(sequence) {
                    // It has said nothing, so it is nobody's dead letter either.
                    _ if progress.excluded => Standing::Refused,
                    true => Standing::Applied,
                    false => Standing::Unknown,
                })
                .collect(),
            said: vec![None; progress.len()],
            settled: false,
        });
        if let Some(known) = record.standings.get_mut(replica) {
            *known = standing;
        }
        if let Some(said) = record.said.get_mut(replica) {
            *said = refusal.map(|refusal| refusal.remembered());
        }
        if self.records.len() > MAX_REFUSALS
            && let Some((_, record)) = self.records.pop_first()
        {
            self.forgotten += u64::from(!record.settled);
        }
    }

    /// The replica did not refuse the record.
    pub(super) fn accept(&mut self, replica: usize, sequence: Sequence) {
        if let Some(record) = self.records.get_mut(&sequence)
            && let Some(known) = record.standings.get_mut(replica)
        {
            *known = Standing::Applied;
        }
    }

    /// How the replicas stand to a record that one of them refused.
    pub(super) fn standings(&self, sequence: Sequence) -> Option<&[Standing]> {
        self.records
            .get(&sequence)
            .map(|record| record.standings.as_slice())
    }

    /// The replica will not be sent again what is up to here; once that is so for all, what all refused is forgotten.
    pub(super) fn saved(&mut self, replica: usize, cursor: Sequence) {
        if let Some(progress) = self.progress.get_mut(replica) {
            progress.saved = cursor;
        }
        let counting = self.progress.iter().filter(|progress| !progress.excluded);
        let Some(passed) = counting.map(|progress| progress.saved).min() else {
            return;
        };
        if self
            .records
            .first_key_value()
            .is_some_and(|(first, _)| *first <= passed)
        {
            self.records
                .retain(|sequence, record| *sequence > passed || !record.settled);
        }
    }

    /// Forgets the record if every replica has judged it; says so if they differ.
    pub(super) fn conclude(&mut self, sequence: Sequence) -> Option<Conclusion> {
        let open = |standing: &Standing| matches!(standing, Standing::Unknown | Standing::Held);
        let record = self.records.get_mut(&sequence)?;
        if record.standings.iter().any(open) {
            return None;
        }
        if !record.standings.contains(&Standing::Applied) {
            record.settled = true;
            let set_aside = record.standings.iter().enumerate();
            let moot_for: Vec<usize> = set_aside
                .filter(|(_, standing)| **standing == Standing::SetAside)
                .map(|(replica, _)| replica)
                .collect();
            let is_refused = record.said.iter().any(Option::is_some);
            return (is_refused && !moot_for.is_empty()).then_some(Conclusion {
                sequence,
                refused_by: Vec::new(),
                moot_for,
            });
        }
        let record = self.records.remove(&sequence)?;
        let refused_by: Vec<(usize, Refusal)> = record
            .standings
            .iter()
            .zip(record.said)
            .enumerate()
            .filter(|(_, (standing, _))| **standing == Standing::Refused)
            .filter_map(|(replica, (_, said))| Some((replica, said?)))
            .collect();
        (!refused_by.is_empty()).then_some(Conclusion {
            sequence,
            refused_by,
            moot_for: Vec::new(),
        })
    }

    /// Refusals that were forgotten since this was asked last.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    /// The replica's refusals, to be kept with its cursor.
    pub(super) fn noted(&self, replica: usize) -> Vec<NotedRefusal> {
        let noted = |(sequence, record): (&Sequence, &Record)| {
            let said = record.said.get(replica)?.as_ref()?;
            Some(NotedRefusal {
                sequence: sequence.get(),
                status: said.status,
                reason: shorten(said.words(), MAX_NOTED_TEXT),
            })
        };
        self.records
            .iter()
            .filter_map(noted)
            .take(MAX_NOTED)
            .collect()
    }

    /// Takes back what [`Refusals::noted`] gave.
    pub(super) fn restore(&mut self, replica: usize, noted: Vec<NotedRefusal>) {
        for noted in noted {
            // The first versions kept the beginning of the answer's body.
            let reason = noted.reason.as_bytes();
            let refusal = Refusal::new(noted.status, &words_of(reason, scan_answer(reason)));
            let sequence = Sequence::new(noted.sequence);
            self.refuse(replica, sequence, Standing::Refused, &refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Refusal {
        Refusal::new(400, "no")
    }

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number)
    }

    fn refuse(refusals: &mut Refusals, replica: usize, number: u64) -> Option<Conclusion> {
        refusals.refuse(replica, sequence(number), Standing::Refused, &refusal());
        refusals.conclude(sequence(number))
    }

    #[test]
    fn what_all_refuse_is_nobodys_dead_letter() {
        let mut refusals = Refusals::new(vec![sequence(0), sequence(0)]);
        assert_eq!(refuse(&mut refusals, 0, 1), None);
        assert_eq!(refuse(&mut refusals, 1, 1), None);
        // One goes back, and refuses it again although the other's cursor is past it.
        refusals.advance(0, std::iter::empty(), sequence(5));
        refusals.advance(1, std::iter::empty(), sequence(5));
        refusals.go_back(0, sequence(0));
        assert_eq!(refuse(&mut refusals, 0, 1), None);
        refusals.saved(0, sequence(5));
        assert!(refusals.standings(sequence(1)).is_some());
        refusals.saved(1, sequence(5));
        assert_eq!(refusals.standings(sequence(1)), None);
    }

    #[test]
    fn a_mixed_verdict_is_found_in_either_order() {
        let mut refusals = Refusals::new(vec![sequence(0), sequence(0)]);
        assert_eq!(refuse(&mut refusals, 0, 1), None);
        refusals.accept(1, sequence(1));
        let refused_by = vec![(0, refusal())];
        let expected = Some(Conclusion {
            sequence: sequence(1),
            refused_by,
            moot_for: Vec::new(),
        });
        assert_eq!(refusals.conclude(sequence(1)), expected);

        refusals.advance(1, [sequence(3)].into_iter(), sequence(1));
        assert!(
            refuse(&mut refusals, 0, 3).is_some(),
            "the other one applied it ahead of its cursor"
        );
        refusals.advance(1, std::iter::empty(), sequence(5));
        assert!(refuse(&mut refusals, 0, 5).is_some());
        assert!(refuse(&mut refusals, 0, 6).is_none());
    }

    #[test]
    fn what_is_set_aside_and_refused_elsewhere_is_missed_by_nobody() {
        let mut refusals = Refusals::new(vec![sequence(0), sequence(0)]);
        refusals.set_aside(0, sequence(1));
        assert_eq!(refusals.conclude(sequence(1)), None);
        let moot = refuse(&mut refusals, 1, 1).expect("a conclusion");
        assert_eq!((moot.refused_by.len(), moot.moot_for), (0, vec![0]));
        // In the other order no dead letter is needed in the first place.
        assert_eq!(refuse(&mut refusals, 1, 2), None);
        assert!(refusals.others_refuse(0, sequence(2)));
        // Set aside by both, it is a dead letter of both.
        refusals.set_aside(0, sequence(3));
        assert!(!refusals.others_refuse(1, sequence(3)));
        refusals.set_aside(1, sequence(3));
        assert_eq!(refusals.conclude(sequence(3)), None);
        // Applied by the other one, it is a dead letter already.
        refusals.set_aside(0, sequence(4));
        refusals.accept(1, sequence(4));
        assert_eq!(refusals.conclude(sequence(4)), None);
    }

    #[test]
    fn a_held_record_is_not_concluded() {
        let mut refusals = Refusals::new(vec![sequence(0), sequence(9)]);
        refusals.refuse(0, sequence(1), Standing::Held, &refusal());
        assert_eq!(refusals.conclude(sequence(1)), None);
        refusals.accept(0, sequence(1));
        assert_eq!(
            refusals.conclude(sequence(1)),
            None,
            "both applied it in the end"
        );
        assert_eq!(refusals.standings(sequence(1)), None);
    }

    #[test]
    fn what_is_remembered_of_long_words_is_short_text() {
        let words = format!("unable to parse '{}' dropped=7", "é".repeat(100_000));
        let stats = Arc::new(RelayStats::default());
        let long = Refusal::in_full(400, words.clone(), &stats, 300_000);
        assert_eq!(long.words(), words);
        // There is no room for another one.
        let another = Refusal::in_full(400, words, &stats, 300_000);
        assert!(another.words().len() < 2200);
        let mut refusals = Refusals::new(vec![sequence(0), sequence(5)]);
        refusals.refuse(0, sequence(1), Standing::Refused, &long);
        let noted = refusals.noted(0);
        let conclusion = refusals.conclude(sequence(1)).expect("they differ");
        let (_, said) = &conclusion.refused_by[0];
        for (text, most) in [(said.words(), 2200), (noted[0].reason.as_str(), 300)] {
            assert!(text.len() < most, "{}", text.len());
            assert!(text.starts_with("unable to parse 'éé") && text.ends_with("é' dropped=7"));
        }
        assert!(stats.refusal_texts.get() > 200_000);
        drop(long);
        assert_eq!(stats.refusal_texts.get(), 0);
        // The beginning of a body, as the first versions noted it, becomes text.
        let old = NotedRefusal {
            sequence: 1,
            status: 400,
            reason: "{\"error\":\"unable to par".to_owned(),
        };
        let mut again = Refusals::new(vec![sequence(0), sequence(5)]);
        again.restore(0, vec![old]);
        let conclusion = again.conclude(sequence(1)).expect("they differ");
        assert_eq!(conclusion.refused_by[0].1.words(), "unable to par");
    }

    #[test]
    fn nobody_waits_for_a_replica_that_diverged() {
        let at = sequence(0);
        let mut refusals = Refusals::new(vec![at, at, at]);
        assert_eq!(refuse(&mut refusals, 0, 1), None);
        refusals.accept(1, sequence(1));
        let conclusions = refusals.exclude(2, true);
        assert_eq!(conclusions.len(), 1);
        assert_eq!(conclusions[0].refused_by, [(0, refusal())]);
        refuse(&mut refusals, 0, 2);
        assert_eq!(refuse(&mut refusals, 1, 2), None);
        assert!(
            !refusals
                .standings(sequence(2))
                .unwrap_or_default()
                .contains(&Standing::Unknown),
            "both that count refused it"
        );
    }

    #[test]
    fn a_restart_remembers_and_the_oldest_is_forgotten_first() {
        let mut refusals = Refusals::new(vec![sequence(0), sequence(0)]);
        for number in 1..=MAX_REFUSALS as u64 + 10 {
            refuse(&mut refusals, 0, number);
        }
        assert_eq!(refusals.take_forgotten(), 10);
        assert!(refusals.standings(sequence(10)).is_none());
        let noted = refusals.noted(0);
        assert_eq!(noted.len(), MAX_NOTED);
        assert!(refusals.noted(1).is_empty());

        let mut again = Refusals::new(vec![sequence(20_000), sequence(0)]);
        again.restore(0, noted);
        again.accept(1, sequence(11));
        assert!(again.conclude(sequence(11)).is_some());
    }
}
