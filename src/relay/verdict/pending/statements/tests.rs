use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::config::model::{Ack, OnUnavailable};
use crate::journal::{Observer, Position};
use crate::relay::dead_letters::{DeadLetters, Limits};
use crate::relay::verdict::freshness::Freshness;
use crate::relay::verdict::pending::Report;
use crate::relay::verdict::policy::Policy;
use crate::relay::verdict::reach::Reach;
use crate::relay::verdict::refusals::Refusal;
use crate::stats::RelayStats;
use tokio::sync::oneshot::error::TryRecvError;

const PATIENCE: Duration = Duration::from_secs(60);
const BOARD_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::relay::verdict::pending) struct Fixture {
    pub(in crate::relay::verdict::pending) pending_clients: PendingClients,
    records: Cell<u64>,
    _folder: tempfile::TempDir,
}

pub(in crate::relay::verdict::pending) fn fixture(ack: Ack) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
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
    let pending_clients = PendingClients::new(
        policy,
        BOARD_TIMEOUT,
        vec![Sequence::ZERO; 2],
        1000,
        stats,
        freshness,
    );
    for replica in 0..2 {
        pending_clients.set_reach(replica, Reach::Near);
    }
    Fixture {
        pending_clients,
        records: Cell::new(0),
        _folder: folder,
    }
}

/// A place that nobody else wants.
pub(in crate::relay) fn place() -> StatementPlace {
    let place = crate::per_source::PerSource::new(1, 1)
        .enter(std::net::IpAddr::from([127, 0, 0, 1]).into())
        .expect("room");
    StatementPlace::new(place, &Arc::default())
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

fn refused(sequence: Sequence, text: &'static str) -> StatementOutcome {
    StatementOutcome::Refused {
        sequence,
        answer: said(text),
    }
}

impl Fixture {
    fn open(&self) -> (Sequence, oneshot::Receiver<StatementOutcome>) {
        let (sequence, wait) = self.open_for(Wanted::Whole);
        (sequence, wait.outcome)
    }

    fn open_for(&self, wanted: Wanted) -> (Sequence, StatementWait) {
        let (ticket, wait) = self.open_uncommitted(wanted);
        (self.commit(ticket), wait)
    }

    fn open_uncommitted(&self, wanted: Wanted) -> (Ticket, StatementWait) {
        let ticket = Ticket::of_no_journal();
        let opened = self
            .pending_clients
            .open_statement(PATIENCE, place(), wanted, || Ok(ticket));
        (ticket, opened.expect("room"))
    }

    /// Does what the journal does when the record is stored.
    pub(in crate::relay::verdict::pending) fn commit(&self, ticket: Ticket) -> Sequence {
        let number = self.records.get() + 1;
        self.records.set(number);
        let position = Position {
            sequence: Sequence::new(number),
            offset: number * 10,
        };
        self.pending_clients.committed(&[(ticket, position)]);
        position.sequence
    }

    fn verdict(&self, replica: usize, sequence: Sequence, applied: bool, text: &'static str) {
        self.pending_clients
            .hear(replica, sequence, applied, said(text));
        let report = if applied {
            Report::Applied
        } else {
            Report::Refused(Refusal::new(200, text))
        };
        self.pending_clients
            .report(replica, &[(sequence, report)], sequence);
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
        sequence,
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
    assert_eq!(outcome.try_recv(), Ok(refused(sequence, "first")));
    let (sequence, mut outcome) = fixture.open();
    fixture.verdict(0, sequence, false, "alone");
    fixture.pending_clients.set_reach(1, Reach::Away);
    assert_eq!(outcome.try_recv(), Ok(refused(sequence, "alone")));
}

#[test]
fn who_is_carrying_it_out_is_waited_for_though_out_of_reach_for_writes() {
    let fixture = fixture(Ack::Any);
    let (sequence, mut outcome) = fixture.open();
    fixture.pending_clients.carries_out(1, Some(sequence));
    fixture.pending_clients.set_reach(1, Reach::Away);
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
    fixture.pending_clients.expire(Instant::now());
    assert!(outcome.try_recv().is_err());
    fixture.pending_clients.expire(Instant::now() + PATIENCE);
    assert_eq!(
        outcome.try_recv(),
        Ok(StatementOutcome::Unmet { applied: 0 })
    );
    assert!(fixture.pending_clients.admits_statement());
    for replica in 0..2 {
        fixture.pending_clients.set_reach(replica, Reach::Away);
    }
    assert!(!fixture.pending_clients.admits_statement());
    let (_, mut outcome) = fixture.open();
    fixture
        .pending_clients
        .expire(Instant::now() + BOARD_TIMEOUT);
    assert!(outcome.try_recv().is_ok(), "nobody answers any more");
}

/// A client that hears the answer of the first replica while it comes.
fn streaming(fixture: &Fixture) -> (Sequence, StatementWait, AnswerWriter) {
    let (sequence, wait) = fixture.open_for(Wanted::InPieces(1000));
    let writer = fixture.pending_clients.begin_answer(0, sequence, 200, None);
    let writer = writer.expect("the first long answer goes to the client");
    assert!(
        fixture
            .pending_clients
            .begin_answer(1, sequence, 200, None)
            .is_none()
    );
    (sequence, wait, writer)
}

#[test]
fn who_hears_an_answer_while_it_comes_hears_its_end_and_nobody_elses() {
    let fixture = fixture(Ack::Any);
    let (sequence, mut wait, writer) = streaming(&fixture);
    assert_eq!(wait.begun.try_recv().expect("it begins").status, 200);
    fixture.verdict(1, sequence, true, "of the other");
    assert!(wait.outcome.try_recv().is_err(), "the first is not done");
    drop(writer);
    fixture.verdict(0, sequence, true, "the last piece");
    let expected = StatementOutcome::Applied {
        applied: 2,
        sequence,
        answer: said("the last piece"),
    };
    assert_eq!(wait.outcome.try_recv(), Ok(expected));
}

#[test]
fn the_end_waits_for_the_policy_and_for_all_refusals() {
    let all = fixture(Ack::All);
    let (sequence, mut wait, _writer) = streaming(&all);
    all.verdict(0, sequence, true, "end");
    assert!(wait.outcome.try_recv().is_err());
    all.verdict(1, sequence, true, "");
    assert!(matches!(
        wait.outcome.try_recv(),
        Ok(StatementOutcome::Applied { applied: 2, .. })
    ));

    let any = fixture(Ack::Any);
    let (sequence, mut wait, _writer) = streaming(&any);
    any.verdict(0, sequence, false, "end with an error");
    assert!(wait.outcome.try_recv().is_err(), "the other one may accept");
    any.verdict(1, sequence, false, "");
    assert_eq!(
        wait.outcome.try_recv(),
        Ok(refused(sequence, "end with an error"))
    );

    let (sequence, mut wait, _writer) = streaming(&any);
    any.verdict(0, sequence, false, "end with an error");
    any.verdict(1, sequence, true, "");
    let broken = StatementOutcome::Unmet { applied: 1 };
    assert_eq!(wait.outcome.try_recv(), Ok(broken), "any acceptance wins");
}

#[test]
fn an_answer_without_an_end_breaks_off() {
    let fixture = fixture(Ack::Any);
    let (sequence, mut wait, _writer) = streaming(&fixture);
    fixture.pending_clients.break_answer(1, sequence);
    assert!(wait.outcome.try_recv().is_err(), "that was another one's");
    fixture.pending_clients.break_answer(0, sequence);
    let broken = Ok(StatementOutcome::Unmet { applied: 0 });
    assert_eq!(wait.outcome.try_recv(), broken);

    // A client that hears an answer has patience as long as it comes.
    let (_, mut wait, writer) = streaming(&fixture);
    let later = Instant::now() + 2 * PATIENCE;
    fixture.pending_clients.expire(later);
    assert!(wait.outcome.try_recv().is_err());
    drop(writer);
    fixture.pending_clients.expire(later);
    assert!(wait.outcome.try_recv().is_err(), "its verdict may follow");
    fixture.pending_clients.expire(later + BOARD_TIMEOUT);
    assert_eq!(wait.outcome.try_recv(), broken);
}

#[test]
fn what_is_wanted_whole_or_came_before_does_not_stream() {
    let fixture = fixture(Ack::All);
    let (sequence, _outcome) = fixture.open();
    assert!(fixture.pending_clients.is_wanted_whole(sequence));
    assert!(
        fixture
            .pending_clients
            .begin_answer(0, sequence, 200, None)
            .is_none()
    );
    let (sequence, wait) = fixture.open_for(Wanted::InPieces(1000));
    assert!(!fixture.pending_clients.is_wanted_whole(sequence));
    fixture.verdict(1, sequence, true, "short");
    assert!(
        fixture
            .pending_clients
            .begin_answer(0, sequence, 200, None)
            .is_none()
    );
    drop(wait);
    // Nobody listens: the statement is judged all the same.
    let (sequence, wait) = fixture.open_for(Wanted::InPieces(1000));
    drop(wait);
    assert!(
        fixture
            .pending_clients
            .begin_answer(0, sequence, 200, None)
            .is_none()
    );
    fixture.verdict(0, sequence, true, "");
    fixture.verdict(1, sequence, true, "");
    let rows = fixture.pending_clients.rows();
    assert!(!rows.statements.contains_key(&sequence));
}

#[test]
fn a_statement_that_is_not_committed_waits_and_ends_in_its_time_or_with_the_journal() {
    let fixture = fixture(Ack::Any);
    // Whatever is said of other records and of the replicas, this one has no verdict.
    let (ticket, mut wait) = fixture.open_uncommitted(Wanted::Whole);
    let (_, mut other) = fixture.open_uncommitted(Wanted::Whole);
    let (sequence, mut outcome) = fixture.open();
    fixture.verdict(0, sequence, true, "yes");
    assert!(outcome.try_recv().is_ok());
    fixture.pending_clients.expire(Instant::now());
    assert_eq!(wait.outcome.try_recv(), Err(TryRecvError::Empty));

    let sequence = fixture.commit(ticket);
    fixture.verdict(1, sequence, true, "late");
    let expected = StatementOutcome::Applied {
        applied: 1,
        sequence,
        answer: said("late"),
    };
    assert_eq!(wait.outcome.try_recv(), Ok(expected));

    fixture.pending_clients.expire(Instant::now() + PATIENCE);
    let unmet = Ok(StatementOutcome::Unmet { applied: 0 });
    assert_eq!(other.outcome.try_recv(), unmet);
    let (_, mut last) = fixture.open_uncommitted(Wanted::Whole);
    fixture.pending_clients.closed();
    assert_eq!(last.outcome.try_recv(), Err(TryRecvError::Closed));
}
