//! Rule N2, no verdict is a verdict: what is known of records that a replica leaves without one.
//!
//! A record that, alone under way, ends without a verdict `max_attempts` times is set aside for its replica: a dead letter, and its
//! lane goes on. A replica that serves nobody sets nothing aside, so there must be evidence that it serves others: between two
//! attempts another write got its verdict, or the node's process ended at each attempt and came back. For want of it the record is
//! suspended before its last attempt, and what stands behind it is sent first. Where nothing else comes for twice as long as a
//! request may take, an answer to a question with the same destination must do. It is believed of a single record, and of no second
//! one before a write got its verdict, because a replica that takes no record at all may answer questions; and always if a
//! statement waits, because nothing behind that can be sent to tell by.
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
pub(super) struct SavedAttempts {
    /// Records and how often they ended without a verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tried: Vec<(u64, u32)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) set_aside: Vec<u64>,
    /// Records that a person wants to be passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) skips: Vec<u64>,
}

/// The attempts of one replica.
#[derive(Debug)]
pub(super) struct Attempts {
    most: u32,
    tried: BTreeMap<Sequence, Tried>,
    set_aside: BTreeSet<Sequence>,
    skips: BTreeSet<Sequence>,
    /// A write got its verdict since an answer to a question was believed last.
    may_believe: bool,
}

/// A record without a verdict.
#[derive(Debug, Clone, Default)]
struct Tried {
    count: u32,
    /// How often the node's process ended meanwhile.
    ended: u32,
    /// The last attempt's end is not explained yet: the process may have ended.
    is_open: bool,
    /// Another write got its verdict since the last attempt.
    serves_others: bool,
    /// An attempt failed although another write got its verdict right before it.
    is_proven: bool,
    reason: String,
}

impl Attempts {
    /// What was saved; a record may be tried `most` times.
    pub(super) fn new(most: usize, saved: SavedAttempts) -> Attempts {
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
            may_believe: true,
        }
    }

    /// What is to be saved.
    pub(super) fn saved(&self) -> SavedAttempts {
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

    /// The record was alone under way, and ended without a verdict.
    pub(super) fn failed(&mut self, sequence: Sequence, reason: String) {
        let tried = self.tried.entry(sequence).or_default();
        tried.count = tried.count.saturating_add(1);
        tried.is_open = true;
        tried.is_proven |= std::mem::take(&mut tried.serves_others);
        tried.reason = reason;
        if self.tried.len() > MOST_TRIED {
            self.tried.pop_first();
        }
    }

    /// The node's process is a new one.
    pub(super) fn process_ended(&mut self) {
        for tried in self.tried.values_mut() {
            if std::mem::take(&mut tried.is_open) {
                tried.ended = tried.ended.saturating_add(1);
            }
        }
    }

    /// These records got a verdict: the replica serves others than those without one.
    pub(super) fn judged(&mut self, sequences: &[Sequence]) {
        self.may_believe = true;
        if self.is_quiet() {
            return;
        }
        for sequence in sequences {
            self.tried.remove(sequence);
            self.skips.remove(sequence);
        }
        for tried in self.tried.values_mut() {
            tried.serves_others = true;
        }
    }

    /// The node answered a question with the record's destination, and there is no other write to tell by.
    pub(super) fn answered_a_question(&mut self, sequence: Sequence, a_statement_waits: bool) {
        let is_believed = self.may_believe && self.tried.len() == 1;
        if (is_believed || a_statement_waits)
            && let Some(tried) = self.tried.get_mut(&sequence)
        {
            tried.serves_others = true;
            self.may_believe = false;
        }
    }

    /// Whether the record must wait until there is evidence that the replica serves others: its next attempt may be the last one.
    pub(super) fn lacks_evidence(&self, sequence: Sequence) -> bool {
        self.tried.get(&sequence).is_some_and(|tried| {
            let is_last_next = tried.count.saturating_add(1) >= self.most;
            is_last_next && !tried.serves_others && !tried.is_proven
        })
    }

    /// Why the record is to be set aside now; nothing if it is not.
    pub(super) fn due(&self, sequence: Sequence) -> Option<String> {
        if self.skips.contains(&sequence) {
            return Some("passed over by a person".to_owned());
        }
        let tried = self.tried.get(&sequence)?;
        let is_at_fault = tried.is_proven || tried.ended >= self.most;
        (tried.count >= self.most && is_at_fault).then(|| {
            format!(
                "no verdict after {} attempts; the last one: {}",
                tried.count, tried.reason
            )
        })
    }

    /// Counting begins anew: every record that could be tried failed alike.
    pub(super) fn begin_anew(&mut self, sequences: impl Iterator<Item = Sequence>) {
        for sequence in sequences {
            self.tried.remove(&sequence);
        }
    }

    /// A person wants the record to be passed over.
    pub(super) fn skip(&mut self, sequence: Sequence) {
        self.skips.insert(sequence);
        if self.skips.len() > MOST_SET_ASIDE {
            self.skips.pop_first();
        }
    }

    /// The record's dead letter is kept.
    pub(super) fn set_aside(&mut self, sequence: Sequence) {
        self.tried.remove(&sequence);
        self.skips.remove(&sequence);
        self.set_aside.insert(sequence);
        if self.set_aside.len() > MOST_SET_ASIDE {
            self.set_aside.pop_first();
        }
    }

    /// Whether the record is set aside.
    pub(super) fn is_set_aside(&self, sequence: Sequence) -> bool {
        self.set_aside.contains(&sequence)
    }

    /// Whether no record is being tried, and none is to be passed over.
    pub(super) fn is_quiet(&self) -> bool {
        self.tried.is_empty() && self.skips.is_empty()
    }

    /// Records that a person wants to be passed over.
    pub(super) fn skips(&self) -> impl Iterator<Item = Sequence> {
        self.skips.iter().copied()
    }

    /// The same for a statement, at a node that answers: a statement is always alone, and has nothing to tell by but that.
    pub(super) fn due_statement(&mut self, sequence: Sequence) -> Option<String> {
        if let Some(tried) = self.tried.get_mut(&sequence) {
            tried.is_proven = true;
        }
        self.due(sequence)
    }

    /// Records that are being tried.
    pub(super) fn tried(&self) -> usize {
        self.tried.len()
    }

    /// Nothing up to here will be sent again.
    pub(super) fn passed(&mut self, saved: Sequence) {
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
    fn it_takes_attempts_and_a_node_that_serves_others_between_them() {
        let mut attempts = Attempts::new(3, SavedAttempts::default());
        fail(&mut attempts, 7);
        assert!(!attempts.lacks_evidence(at(7)), "two attempts are left");
        fail(&mut attempts, 7);
        assert!(attempts.lacks_evidence(at(7)));
        attempts.judged(&[at(8)]);
        assert!(!attempts.lacks_evidence(at(7)));
        assert_eq!(attempts.due(at(7)), None, "two attempts");
        fail(&mut attempts, 7);
        assert_eq!(
            attempts.due(at(7)).as_deref(),
            Some("no verdict after 3 attempts; the last one: it gave no answer")
        );
        attempts.set_aside(at(7));
        assert!(attempts.is_set_aside(at(7)) && attempts.due(at(7)).is_none());
        attempts.passed(at(7));
        assert!(!attempts.is_set_aside(at(7)));
    }

    #[test]
    fn a_node_that_serves_nobody_sets_nothing_aside() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        for _ in 0..10 {
            fail(&mut attempts, 7);
            fail(&mut attempts, 8);
        }
        // Nor does it when it serves others again: each record gets another attempt then.
        attempts.judged(&[at(9)]);
        for number in [7, 8] {
            assert!(attempts.due(at(number)).is_none());
            assert!(!attempts.lacks_evidence(at(number)));
        }
        fail(&mut attempts, 7);
        assert!(attempts.due(at(7)).is_some() && attempts.due(at(8)).is_none());
        attempts.begin_anew([at(7), at(8)].into_iter());
        assert_eq!(attempts.tried(), 0);
    }

    #[test]
    fn a_verdict_ends_the_count() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        fail(&mut attempts, 7);
        attempts.judged(&[at(7)]);
        assert_eq!(attempts.tried(), 0);
    }

    #[test]
    fn a_node_that_ends_at_each_attempt_needs_no_other_evidence() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        for _ in 0..2 {
            assert_eq!(attempts.due(at(7)), None);
            fail(&mut attempts, 7);
            attempts.process_ended();
            attempts.process_ended();
        }
        assert!(attempts.due(at(7)).is_some());
        // One of the attempts ended otherwise.
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        fail(&mut attempts, 7);
        fail(&mut attempts, 7);
        attempts.process_ended();
        assert_eq!(attempts.due(at(7)), None);
    }

    #[test]
    fn an_answer_to_a_question_is_believed_of_a_single_record() {
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        fail(&mut attempts, 7);
        attempts.answered_a_question(at(7), false);
        fail(&mut attempts, 7);
        assert!(attempts.due(at(7)).is_some());
        attempts.set_aside(at(7));
        fail(&mut attempts, 8);
        attempts.answered_a_question(at(8), false);
        assert!(attempts.lacks_evidence(at(8)), "another one in a row");
        let mut attempts = Attempts::new(2, SavedAttempts::default());
        fail(&mut attempts, 7);
        fail(&mut attempts, 8);
        attempts.answered_a_question(at(7), false);
        assert!(
            attempts.lacks_evidence(at(7)),
            "the node may take no record"
        );
        attempts.answered_a_question(at(7), true);
        assert!(
            !attempts.lacks_evidence(at(7)),
            "nothing else will ever tell"
        );
    }

    #[test]
    fn a_restart_remembers() {
        let mut attempts = Attempts::new(3, SavedAttempts::default());
        fail(&mut attempts, 7);
        fail(&mut attempts, 7);
        attempts.set_aside(at(5));
        attempts.skip(at(9));
        let saved = attempts.saved();
        let text = serde_json::to_string(&saved).expect("JSON");
        let mut again = Attempts::new(3, serde_json::from_str(&text).expect("the same"));
        assert_eq!(again.saved(), saved);
        assert!(again.is_set_aside(at(5)) && again.due(at(9)).is_some());
        again.judged(&[at(10)]);
        fail(&mut again, 7);
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
