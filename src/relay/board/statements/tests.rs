use std::sync::Arc;

use super::*;
use crate::config::model::{Ack, OnUnavailable};
use crate::relay::acknowledge::Policy;
use crate::relay::board::Report;
use crate::relay::dead_letters::{DeadLetters, Limits};
use crate::relay::freshness::Freshness;
use crate::relay::refusals::Refusal;
use crate::stats::RelayStats;

const PATIENCE: Duration = Duration::from_secs(60);
const BOARD_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::relay::board) struct Fixture {
    pub(in crate::relay::board) board: Board,
    pub(in crate::relay::board) journal: crate::journal::Journal,
    _folder: tempfile::TempDir,
}

pub(in crate::relay::board) fn fixture(ack: Ack) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = crate::journal::DirectoryDisk::new(folder.path()).expect("a disk");
    let (journal, _) =
        crate::journal::Journal::open(Arc::new(disk), Default::default()).expect("a journal");
    let limits = Limits {
        letters: 10,
        bytes: 1 << 20,
    };
    let letters = DeadLetters::open(&folder.path().join("letters"), limits).expect("a store");
    let names = vec!["a".to_owned(), "b".to_owned()];
    let freshness = Arc::new(Freshness::new(names, letters, Sequence::ZERO));
    let policy = Policy {
        ack,
        on_unavailable: OnUnavailable::Accept,
    };
    let stats = Arc::new(RelayStats::default());
    let board = Board::new(
        policy,
        BOARD_TIMEOUT,
        vec![Sequence::ZERO; 2],
        stats,
        freshness,
    );
    for replica in 0..2 {
        board.meet(replica, true);
        board.set_reachable(replica, true);
    }
    Fixture {
        board,
        journal,
        _folder: folder,
    }
}

fn said(text: &'static str) -> StatementAnswer {
    StatementAnswer {
        status: 200,
        content_type: None,
        body: Bytes::from_static(text.as_bytes()),
        cut: false,
        refusal: None,
    }
}

impl Fixture {
    fn open(&self) -> (Sequence, oneshot::Receiver<StatementOutcome>) {
        let append = || {
            let kind = crate::relay::statement_record::STATEMENT;
            self.journal.append(kind, vec![Bytes::from_static(b"x")])
        };
        let opened = self.board.open_statement(PATIENCE, Wanted::Whole, append);
        let (appended, wait) = opened.expect("room");
        (appended.sequence, wait.outcome)
    }

    fn verdict(&self, replica: usize, sequence: Sequence, applied: bool, text: &'static str) {
        self.board.hear(replica, sequence, applied, said(text));
        let report = if applied {
            Report::Applied
        } else {
            Report::Refused(Refusal::new(200, text))
        };
        self.board.report(replica, &[(sequence, report)], sequence);
    }
}

#[test]
fn the_client_gets_the_answer_of_the_first_that_carried_it_out() {
    let fixture = fixture(Ack::Any);
    let (sequence, mut outcome) = fixture.open();
    fixture.verdict(0, sequence, false, "no");
    assert!(outcome.try_recv().is_err(), "the other one is in reach");
    fixture.verdict(1, sequence, true, "yes");
    let expected = StatementOutcome::Applied {
        applied: 1,
        answer: said("yes"),
    };
    assert_eq!(outcome.try_recv(), Ok(expected));
}

#[test]
fn a_refusal_is_heard_when_all_in_reach_refused() {
    let fixture = fixture(Ack::Any);
    let (sequence, mut outcome) = fixture.open();
    fixture.verdict(0, sequence, false, "first");
    fixture.verdict(1, sequence, false, "second");
    assert_eq!(
        outcome.try_recv(),
        Ok(StatementOutcome::Refused(said("first")))
    );
    let (sequence, mut outcome) = fixture.open();
    fixture.verdict(0, sequence, false, "alone");
    fixture.board.set_reachable(1, false);
    assert_eq!(
        outcome.try_recv(),
        Ok(StatementOutcome::Refused(said("alone")))
    );
}

#[test]
fn who_is_carrying_it_out_is_waited_for_though_out_of_reach_for_writes() {
    let fixture = fixture(Ack::Any);
    let (sequence, mut outcome) = fixture.open();
    fixture.board.carries_out(1, Some(sequence));
    fixture.board.set_reachable(1, false);
    fixture.verdict(0, sequence, false, "no");
    assert!(outcome.try_recv().is_err());
    fixture.verdict(1, sequence, true, "yes");
    assert!(matches!(
        outcome.try_recv(),
        Ok(StatementOutcome::Applied { .. })
    ));
}

#[test]
fn nobody_waits_for_ever_and_nobody_is_asked_when_nobody_is_there() {
    let fixture = fixture(Ack::Any);
    let (_, mut outcome) = fixture.open();
    fixture.board.expire(Instant::now());
    assert!(outcome.try_recv().is_err());
    fixture.board.expire(Instant::now() + PATIENCE);
    assert_eq!(
        outcome.try_recv(),
        Ok(StatementOutcome::Unmet { applied: 0 })
    );
    assert!(fixture.board.admits_statement());
    for replica in 0..2 {
        fixture.board.meet(replica, false);
    }
    assert!(!fixture.board.admits_statement());
    let (_, mut outcome) = fixture.open();
    fixture.board.expire(Instant::now() + BOARD_TIMEOUT);
    assert!(outcome.try_recv().is_ok(), "nobody answers any more");
}
