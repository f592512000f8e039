use std::sync::Arc;

use super::table::Due;
use super::*;
use crate::journal::Sequence;
use crate::stats::RelayStats;

fn refusal() -> Refusal {
    Refusal::new(400, "no")
}

fn at(number: u64) -> Sequence {
    Sequence::new(number)
}

fn new(cursors: &[u64]) -> Refusals {
    Refusals::new(cursors.iter().map(|cursor| at(*cursor)).collect(), 1000)
}

impl Refusals {
    fn refuses(&mut self, replica: usize, number: u64) {
        self.refuse(replica, at(number), &refusal());
    }

    /// Who is to have a dead letter of which record; none of them is kept.
    fn letters(&self) -> Vec<(u64, usize)> {
        let mut left = Vec::new();
        let mut table = self.clone();
        while let Some(Due::Letter {
            sequence, replica, ..
        }) = table.next_due()
        {
            left.push((sequence.get(), replica));
            table.kept(replica, sequence);
        }
        left
    }

    /// Saves the cursor; everything that the log lacks is written, if `writes`.
    fn saves(&mut self, replica: usize, number: u64, writes: bool) -> bool {
        if writes {
            let entries = self.unnoted(replica, at(number));
            self.noted(&entries);
        }
        let mut saved = false;
        let save = || {
            saved = true;
            Ok(())
        };
        let result = self.save(replica, at(number), save);
        assert_eq!(result.is_ok(), saved);
        saved
    }
}

#[test]
fn what_left_nothing_to_do_is_never_a_dead_letter_and_no_reason_for_others_to_wait() {
    let mut refusals = new(&[0, 0]);
    let near = |_: usize| true;
    refusals.advance(0, [at(1)].into_iter(), at(1));
    refusals.needless(0, at(1), &refusal());
    // The other one, which refuses it for now, need not wait for anybody.
    refusals.hold(1, at(1));
    assert!(!refusals.may_be_taken(at(1), near));
    // And if it takes it, nobody lacks anything.
    refusals.advance(1, [at(1)].into_iter(), at(1));
    refusals.accept(1, at(1));
    assert_eq!(refusals.letters(), []);
    assert_eq!(refusals.unsettled(0), 0);
    assert!(refusals.saves(0, 1, false), "the log needs no line of it");
}

#[test]
fn what_all_refuse_is_nobodys_dead_letter_and_is_known_until_all_have_passed_it() {
    let mut refusals = new(&[0, 0]);
    refusals.refuses(0, 1);
    refusals.refuses(1, 1);
    assert!(!refusals.has_due());
    // One goes back, and refuses it again although the other's cursor is past it.
    refusals.advance(0, std::iter::empty(), at(5));
    refusals.advance(1, std::iter::empty(), at(5));
    refusals.go_back(0, at(0));
    refusals.refuses(0, 1);
    assert!(!refusals.has_due());
    assert!(refusals.saves(0, 5, true));
    refusals.forget(refusals.floor());
    assert_eq!(refusals.len(), 1);
    assert!(refusals.saves(1, 5, true));
    refusals.forget(refusals.floor());
    assert_eq!(refusals.len(), 0);
}

#[test]
fn what_another_one_took_is_a_dead_letter_in_either_order() {
    let mut refusals = new(&[0, 0]);
    refusals.refuses(0, 1);
    assert_eq!(refusals.letters(), []);
    refusals.accept(1, at(1));
    assert_eq!(
        (refusals.letters(), refusals.unsettled(0)),
        (vec![(1, 0)], 1)
    );
    refusals.kept(0, at(1));
    assert_eq!((refusals.letters(), refusals.unsettled(0)), (vec![], 0));

    refusals.advance(1, [at(3)].into_iter(), at(1));
    refusals.refuses(0, 3);
    assert_eq!(refusals.letters(), [(3, 0)], "applied ahead of its cursor");
    refusals.advance(1, std::iter::empty(), at(5));
    refusals.refuses(0, 5);
    refusals.refuses(0, 6);
    assert_eq!(refusals.letters(), [(3, 0), (5, 0)]);
}

#[test]
fn a_third_one_that_is_away_is_not_waited_for() {
    let mut refusals = new(&[0, 0, 0]);
    refusals.refuses(0, 1);
    refusals.accept(1, at(1));
    assert_eq!(refusals.letters(), [(1, 0)]);
    refusals.kept(0, at(1));
    refusals.refuses(2, 1);
    assert_eq!(refusals.letters(), [(1, 2)]);
}

#[test]
fn a_cursor_is_saved_past_a_refusal_only_when_that_is_on_disk() {
    let mut refusals = new(&[0, 0]);
    refusals.refuses(0, 3);
    refusals.advance(0, std::iter::empty(), at(9));
    assert!(refusals.saves(0, 2, false), "before it");
    assert!(!refusals.saves(0, 3, false));
    assert!(refusals.saves(0, 3, true));
    assert!(refusals.saves(0, 9, false) && refusals.saves(1, 2, false));
    // The other one takes it: as long as there is no dead letter the journal must keep the record.
    refusals.accept(1, at(3));
    assert!(!refusals.saves(1, 3, true));
    refusals.kept(0, at(3));
    assert!(refusals.saves(1, 3, true));
    // The one that refused had not passed this one: its own cursor keeps it, and the other one goes on.
    refusals.refuses(0, 11);
    refusals.accept(1, at(11));
    assert!(refusals.saves(1, 12, true));
    assert!(!refusals.saves(0, 12, true));
    refusals.kept(0, at(11));
    assert!(refusals.saves(0, 12, true));
}

#[test]
fn a_line_that_is_wrong_is_taken_back_before_it_could_count() {
    let mut refusals = new(&[0, 0]);
    refusals.refuses(0, 3);
    let entries = refusals.unnoted(0, at(3));
    refusals.noted(&entries);
    refusals.accept(0, at(3));
    let taken_back = refusals.unnoted(0, at(3));
    assert_eq!(taken_back.len(), 1);
    assert!(taken_back[0].said.is_none() && !refusals.saves(0, 3, false));
    refusals.noted(&taken_back);
    assert!(refusals.saves(0, 3, false));
    // It was accepted while its line was being written.
    refusals.refuses(0, 5);
    let entries = refusals.unnoted(0, at(5));
    refusals.accept(0, at(5));
    refusals.noted(&entries);
    assert!(!refusals.saves(0, 5, false) && refusals.saves(0, 5, true));
}

#[test]
fn a_restart_knows_what_was_written() {
    let mut refusals = new(&[9, 0]);
    refusals.restore(0, at(3), &refusal());
    assert!(!refusals.has_due());
    refusals.refuses(1, 3);
    assert!(!refusals.has_due(), "both refuse it");
    refusals.restore(0, at(4), &refusal());
    refusals.accept(1, at(4));
    assert_eq!(refusals.letters(), [(4, 0)]);
    // The other one was past it, and nothing says that it refused it.
    let mut refusals = new(&[9, 9]);
    refusals.restore(0, at(3), &refusal());
    assert_eq!(refusals.letters(), [(3, 0)]);
    refusals.restore(1, at(3), &refusal());
    assert_eq!(refusals.letters(), []);
    let (entries, last) = refusals.entries_after(at(0), 10);
    assert_eq!((entries.len(), last), (2, Some(at(3))));
}

#[test]
fn what_is_set_aside_and_refused_elsewhere_is_missed_by_nobody() {
    let mut refusals = new(&[0, 0]);
    refusals.set_aside(0, at(1));
    assert!(!refusals.has_due());
    refusals.refuses(1, 1);
    let moot = Due::Moot {
        sequence: at(1),
        replicas: vec![0],
    };
    assert_eq!(refusals.next_due(), Some(moot));
    refusals.mooted(at(1));
    assert!(!refusals.has_due());
    // In the other order no dead letter is needed in the first place.
    refusals.refuses(1, 2);
    assert!(refusals.others_refuse(0, at(2)));
    // Set aside by both, it is a dead letter of both.
    refusals.set_aside(0, at(3));
    assert!(!refusals.others_refuse(1, at(3)));
    refusals.set_aside(1, at(3));
    // Applied by the other one, it is a dead letter already.
    refusals.set_aside(0, at(4));
    refusals.accept(1, at(4));
    assert!(!refusals.has_due());
}

#[test]
fn a_held_record_is_no_refusal() {
    let mut refusals = new(&[0, 9]);
    refusals.hold(0, at(1));
    assert!(refusals.may_be_taken(at(1), |_| true) && !refusals.has_due());
    refusals.accept(0, at(1));
    assert!(!refusals.has_due(), "both applied it in the end");
}

#[test]
fn nobody_waits_for_a_replica_that_left_and_what_it_said_is_taken_back() {
    let mut refusals = new(&[0, 0, 0]);
    refusals.refuses(0, 1);
    refusals.refuses(2, 1);
    assert!(refusals.saves(2, 1, true) && refusals.saves(0, 1, true));
    assert!(refusals.may_be_taken(at(1), |_| true));
    refusals.leave(1);
    assert!(!refusals.may_be_taken(at(1), |_| true));
    refusals.refuses(0, 2);
    assert!(!refusals.may_be_taken(at(2), |replica| replica < 2));
    // It was the only one that took this.
    let mut refusals = new(&[0, 0]);
    refusals.refuses(0, 1);
    refusals.accept(1, at(1));
    assert_eq!(refusals.unsettled(0), 1);
    refusals.leave(1);
    assert_eq!((refusals.unsettled(0), refusals.has_due()), (0, false));
    // Back again, it judges anew.
    refusals.join(1, at(0));
    assert!(refusals.may_be_taken(at(1), |_| true));
    refusals.accept(1, at(1));
    assert_eq!(refusals.letters(), [(1, 0)]);
    // What the one that left had said stands on disk, and must not count for it when it is back.
    let mut refusals = new(&[0, 0]);
    refusals.refuses(0, 1);
    assert!(refusals.saves(0, 5, true));
    refusals.leave(0);
    refusals.join(0, at(0));
    assert!(!refusals.saves(0, 5, false) && refusals.saves(0, 5, true));
}

#[test]
fn what_was_refused_since_a_rebuilding_began_is_known_when_it_has_ended() {
    let mut refusals = new(&[5, 5]);
    refusals.leave(1);
    refusals.pin(1, Some(at(5)));
    refusals.refuses(0, 6);
    refusals.advance(0, std::iter::empty(), at(9));
    assert!(refusals.saves(0, 9, true));
    refusals.forget(refusals.floor());
    assert_eq!(refusals.len(), 1);
    refusals.join(1, at(5));
    refusals.refuses(1, 6);
    assert!(!refusals.has_due());
    assert!(refusals.saves(1, 9, true));
    refusals.forget(refusals.floor());
    assert_eq!(refusals.len(), 0);
    // There must be room for what is refused while it is rebuilt.
    refusals.leave(1);
    refusals.pin(1, Some(at(9)));
    for number in 10..=1009 {
        refusals.refuses(0, number);
    }
    refusals.advance(0, std::iter::empty(), at(1009));
    assert!(refusals.saves(0, 1009, true) && refusals.is_full());
    refusals.forget(refusals.floor());
    assert!(!refusals.is_full());
}

#[test]
fn there_is_a_bound_and_whoever_is_waited_for_is_told_apart() {
    let mut refusals = new(&[0, 0]);
    for number in 1..=1000 {
        assert!(!refusals.is_full(), "{number}");
        refusals.refuses(0, number);
    }
    assert!(refusals.is_full());
    assert!(refusals.is_filled_by(1) && !refusals.is_filled_by(0));
    refusals.advance(0, std::iter::empty(), at(1000));
    refusals.leave(1);
    assert!(!refusals.is_filled_by(1));
    assert!(refusals.saves(0, 1000, true));
    refusals.forget(refusals.floor());
    assert!(!refusals.is_full());
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
    let mut refusals = Refusals::new(vec![at(0), at(0)], 5000);
    for number in 1..2000 {
        refusals.refuse(0, at(number), &long);
    }
    let (entries, _) = refusals.entries_after(at(0), 5000);
    for (number, most) in [(0, 2200), (1998, 300)] {
        let text = entries[number].said.as_ref().map_or("", Refusal::words);
        assert!(text.len() < most, "{}", text.len());
        assert!(text.starts_with("unable to parse 'éé") && text.ends_with("é' dropped=7"));
    }
    assert!(stats.refusal_texts.get() > 200_000);
    drop(long);
    assert_eq!(stats.refusal_texts.get(), 0);
}
