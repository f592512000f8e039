//! Rule N2, no verdict is a verdict: what is known of records that a replica leaves without one.
//!
//! A record that, alone under way, ends without a verdict `max_attempts` times is set aside for its replica: a dead letter, and its
//! lane goes on. An attempt counts only if it is the record's fault, because a replica that serves nobody must set nothing aside: the
//! node answers right afterwards a write of the same size and destination that holds no point, or its process ended at the attempt
//! and has come back.
//!
//! # Invariants
//!
//! - The counts and what is set aside are saved with the replica's cursor, so neither a restart of haflux nor one of the node begins
//!   anew.
//! - What is set aside stays so when the replica goes back: it is not sent again. It is forgotten when the saved cursor has passed it.
//! - Sizes are bounded: records that are tried by [`MOST_TRIED`] (the oldest count is forgotten), those set aside by [`MOST_SET_ASIDE`]
//!   (the oldest is tried anew if the replica goes back to it).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::journal::Sequence;

/// Records whose attempts are counted.
const MOST_TRIED: usize = 512;

/// Records that are known to be set aside.
const MOST_SET_ASIDE: usize = 512;

/// What is kept of it with a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::relay) struct SavedAttempts {
    /// Records and how often they ended without a verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::relay) tried: Vec<(u64, u32)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::relay) set_aside: Vec<u64>,
    /// Records that a person wants to be passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::relay) skips: Vec<u64>,
}

/// The attempts of one replica.
#[derive(Debug)]
pub(in crate::relay) struct Attempts {
    most: u32,
    tried: BTreeMap<Sequence, Tried>,
    set_aside: BTreeSet<Sequence>,
    skips: BTreeSet<Sequence>,
}

/// A record without a verdict.
#[derive(Debug, Clone, Default)]
struct Tried {
    /// Attempts that count.
    count: u32,
    /// Whether the last attempt counts is not known yet.
    is_open: bool,
    /// How the last attempt ended.
    reason: String,
}

impl Attempts {
    /// What was saved; a record may be tried `most` times.
    pub(in crate::relay) fn new(most: usize, saved: SavedAttempts) -> Attempts {
        let tried = saved.tried.into_iter().map(|(sequence, count)| {
            let tried = Tried {
                count,
                ..Tried::default()
            };
            (Sequence::new(sequence), tried)
        });
        let sequences = |list: Vec<u64>| list.into_iter().map(Sequence::new).collect();
        Attempts {
            most: u32::try_from(most).unwrap_or(u32::MAX),
            tried: tried.collect(),
            set_aside: sequences(saved.set_aside),
            skips: sequences(saved.skips),
        }
    }

    /// What is to be saved.
    pub(in crate::relay) fn saved(&self) -> SavedAttempts {
        let sequences =
            |set: &BTreeSet<Sequence>| set.iter().map(|sequence| sequence.get()).collect();
        SavedAttempts {
            tried: self
                .tried
                .iter()
                .map(|(sequence, tried)| (sequence.get(), tried.count))
                .collect(),
            set_aside: sequences(&self.set_aside),
            skips: sequences(&self.skips),
        }
    }

    /// The record was alone under way, and ended without a verdict. Whether that counts is still to be found out.
    pub(in crate::relay) fn failed(&mut self, sequence: Sequence, reason: String) {
        let tried = self.tried.entry(sequence).or_default();
        tried.is_open = true;
        tried.reason = reason;
        if self.tried.len() > MOST_TRIED {
            self.tried.pop_first();
        }
    }

    /// The node serves others: the record's last attempt counts.
    pub(in crate::relay) fn serves_others(&mut self, sequence: Sequence) {
        if let Some(tried) = self.tried.get_mut(&sequence) {
            tried.count();
        }
    }

    /// The node's process ended and came back: what was under way there counts.
    pub(in crate::relay) fn process_ended(&mut self) {
        self.tried.values_mut().for_each(Tried::count);
    }

    /// The node was away, and is the process that it was: nothing that was under way there counts.
    pub(in crate::relay) fn was_away(&mut self) {
        for tried in self.tried.values_mut() {
            tried.is_open = false;
        }
    }

    /// These records got a verdict.
    pub(in crate::relay) fn judged(&mut self, sequences: &[Sequence]) {
        if self.is_quiet() {
            return;
        }
        for sequence in sequences {
            self.tried.remove(sequence);
            self.skips.remove(sequence);
        }
    }

    /// Why the record is to be set aside now; nothing if it is not.
    pub(in crate::relay) fn due(&self, sequence: Sequence) -> Option<String> {
        if self.skips.contains(&sequence) {
            return Some("passed over by a person".to_owned());
        }
        let tried = self.tried.get(&sequence)?;
        (tried.count >= self.most).then(|| {
            format!(
                "no verdict after {} attempts; the last one: {}",
                tried.count, tried.reason
            )
        })
    }

    /// The records that are to be set aside now.
    pub(in crate::relay) fn all_due(&self) -> impl Iterator<Item = (Sequence, String)> {
        let exhausted = self.tried.keys().filter(|one| !self.skips.contains(one));
        let candidates = exhausted.chain(&self.skips);
        candidates.filter_map(|sequence| Some((*sequence, self.due(*sequence)?)))
    }

    /// A person wants the record to be passed over.
    pub(in crate::relay) fn skip(&mut self, sequence: Sequence) {
        self.skips.insert(sequence);
        if self.skips.len() > MOST_SET_ASIDE {
            self.skips.pop_first();
        }
    }

    /// The record's dead letter is kept.
    pub(in crate::relay) fn set_aside(&mut self, sequence: Sequence) {
        self.tried.remove(&sequence);
        self.skips.remove(&sequence);
        self.set_aside.insert(sequence);
        if self.set_aside.len() > MOST_SET_ASIDE {
            self.set_aside.pop_first();
        }
    }

    /// Whether the record is set aside.
    pub(in crate::relay) fn is_set_aside(&self, sequence: Sequence) -> bool {
        self.set_aside.contains(&sequence)
    }

    /// Whether no record is being tried, and none is to be passed over.
    pub(in crate::relay) fn is_quiet(&self) -> bool {
        self.tried.is_empty() && self.skips.is_empty()
    }

    /// Whether the record ended without a verdict before.
    pub(in crate::relay) fn is_tried(&self, sequence: Sequence) -> bool {
        self.tried.contains_key(&sequence)
    }

    /// Records that are being tried.
    pub(in crate::relay) fn tried(&self) -> usize {
        self.tried.len()
    }

    /// Nothing up to here will be sent again.
    pub(in crate::relay) fn passed(&mut self, saved: Sequence) {
        while self.set_aside.first().is_some_and(|first| *first <= saved) {
            self.set_aside.pop_first();
        }
        while self.skips.first().is_some_and(|first| *first <= saved) {
            self.skips.pop_first();
        }
        while self
            .tried
            .first_key_value()
            .is_some_and(|(first, _)| *first <= saved)
        {
            self.tried.pop_first();
        }
    }
}

impl Tried {
    fn count(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.count = self.count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Sequence {
        Sequence::new(number)
    }

    fn fail(attempts: &mut Attempts, number: u64) {
        attempts.failed(at(number), "it gave no answer".to_owned());
    }

    #[test]
    fn it_takes_attempts_at_a_node_that_serves_others() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        fail(&mut attempts, 7);
        attempts.serves_others(at(7));
        attempts.serves_others(at(7));
        assert_eq!(attempts.due(at(7)), None, "one attempt counts once");
        fail(&mut attempts, 7);
        assert_eq!(attempts.due(at(7)), None, "it may be the node's fault");
        attempts.serves_others(at(7));
        let reason = "no verdict after 2 attempts; the last one: it gave no answer";
        assert_eq!(attempts.due(at(7)).as_deref(), Some(reason));
        assert_eq!(attempts.all_due().count(), 1);
        attempts.set_aside(at(7));
        assert!(attempts.is_set_aside(at(7)) && attempts.due(at(7)).is_none());
        attempts.passed(at(7));
        assert!(!attempts.is_set_aside(at(7)));
    }

    #[test]
    fn at_a_node_that_serves_nobody_nothing_counts() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        for _ in 0..10 {
            fail(&mut attempts, 7);
            attempts.was_away();
            attempts.serves_others(at(7));
        }
        assert_eq!(attempts.due(at(7)), None);
    }

    #[test]
    fn a_process_that_ends_at_each_attempt_counts() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        for _ in 0..2 {
            assert_eq!(attempts.due(at(7)), None);
            fail(&mut attempts, 7);
            attempts.process_ended();
            attempts.process_ended();
        }
        assert!(attempts.due(at(7)).is_some());
    }

    #[test]
    fn a_verdict_ends_the_count() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        fail(&mut attempts, 7);
        attempts.judged(&[at(7)]);
        assert_eq!(attempts.tried(), 0);
    }

    #[test]
    fn a_restart_remembers() {
        let mut attempts = Attempts::new(3, SavedAttempts::default());
        for _ in 0..2 {
            fail(&mut attempts, 7);
            attempts.serves_others(at(7));
        }
        attempts.set_aside(at(5));
        attempts.skip(at(9));
        let saved = attempts.saved();
        let text = serde_json::to_string(&saved).expect("JSON");
        let mut again = Attempts::new(3, serde_json::from_str(&text).expect("the same"));
        assert_eq!(again.saved(), saved);
        assert!(again.is_set_aside(at(5)) && again.due(at(9)).is_some());
        fail(&mut again, 7);
        again.serves_others(at(7));
        assert!(again.due(at(7)).is_some(), "the third attempt");
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut attempts = Attempts::new(3, SavedAttempts::default());
        for number in 0..5000 {
            fail(&mut attempts, number);
            attempts.set_aside(at(10_000 + number));
            attempts.skip(at(20_000 + number));
        }
        let saved = attempts.saved();
        assert_eq!(saved.tried.len(), MOST_TRIED);
        assert_eq!(
            (saved.set_aside.len(), saved.skips.len()),
            (MOST_SET_ASIDE, MOST_SET_ASIDE)
        );
        // The cursor that carries it holds 64 KiB.
        assert!(serde_json::to_vec(&saved).expect("JSON").len() < 48 * 1024);
    }
}
