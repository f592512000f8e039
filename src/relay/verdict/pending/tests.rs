use super::statements::tests::fixture;
use super::*;
use crate::config::model::Ack;
use crate::journal::{DirectoryDisk, Journal, Observer, Options, Ticket};
use crate::relay::record::write::WRITE;
use bytes::Bytes;
use oneshot::error::TryRecvError;

#[test]
fn ahead_is_who_answers_and_has_more() {
    let pending_clients = fixture(Ack::Any).pending_clients;
    let at = Sequence::new;
    pending_clients.report(0, &[], at(10));
    pending_clients.report(1, &[], at(11));
    assert!(pending_clients.another_is_ahead(0, at(10)));
    assert!(
        !pending_clients.another_is_ahead(0, at(11)),
        "as far as itself"
    );
    assert!(!pending_clients.another_is_ahead(1, at(11)));
    pending_clients.set_reach(1, Reach::Away);
    assert!(
        !pending_clients.another_is_ahead(0, at(10)),
        "it does not answer"
    );
}

/// A write that the journal has taken and not committed.
fn write(pending_clients: &PendingClients) -> (Ticket, oneshot::Receiver<Outcome>) {
    let ticket = Ticket::of_no_journal();
    let opened = pending_clients.open("db", || Ok(ticket));
    (ticket, opened.expect("room"))
}

#[test]
fn a_write_that_no_replica_can_take_is_acknowledged_when_it_is_committed_and_not_before() {
    for ack in [Ack::Any, Ack::Journal] {
        let fixture = fixture(ack);
        let pending_clients = &fixture.pending_clients;
        let (ticket, mut outcome) = write(pending_clients);
        for replica in 0..2 {
            pending_clients.set_reach(replica, Reach::Away);
        }
        assert_eq!(outcome.try_recv(), Err(TryRecvError::Empty));
        let sequence = fixture.commit(ticket);
        let acknowledged = Outcome::Acknowledged {
            applied: 0,
            sequence,
        };
        assert_eq!(outcome.try_recv(), Ok(acknowledged));
        assert_eq!(pending_clients.stats.head.get(), sequence.get());
    }
}

#[test]
fn a_committed_write_waits_for_the_replicas_and_is_told_by_its_sequence() {
    let fixture = fixture(Ack::Any);
    let pending_clients = &fixture.pending_clients;
    let (late, mut last) = write(pending_clients);
    let (early, mut first) = write(pending_clients);
    // Nothing says that records are committed in the order in which they were appended.
    let one = fixture.commit(early);
    let two = fixture.commit(late);
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    pending_clients.report(0, &[(two, Report::Applied)], Sequence::ZERO);
    let applied = |sequence| {
        Ok(Outcome::Acknowledged {
            applied: 1,
            sequence,
        })
    };
    assert_eq!(last.try_recv(), applied(two));
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    pending_clients.report(1, &[(one, Report::Applied)], two);
    assert_eq!(first.try_recv(), applied(one));
}

#[test]
fn a_write_that_is_not_committed_in_time_is_unmet_and_its_commit_then_tells_nobody() {
    let fixture = fixture(Ack::Any);
    let pending_clients = &fixture.pending_clients;
    let (ticket, mut outcome) = write(pending_clients);
    pending_clients.expire(Instant::now());
    assert_eq!(outcome.try_recv(), Err(TryRecvError::Empty));
    pending_clients.expire(Instant::now() + pending_clients.timeout);
    assert_eq!(outcome.try_recv(), Ok(Outcome::Unmet { applied: 0 }));
    let sequence = fixture.commit(ticket);
    pending_clients.report(0, &[(sequence, Report::Applied)], sequence);
    assert!(pending_clients.rows().waiting.is_empty());
}

#[test]
fn what_the_journal_refuses_has_no_row_and_its_end_ends_the_waits() {
    let fixture = fixture(Ack::Any);
    let pending_clients = &fixture.pending_clients;
    let refused = pending_clients.open("db", || Err(AppendError::NoRoom));
    assert_eq!(refused.err(), Some(AppendError::NoRoom));
    assert!(pending_clients.rows().uncommitted.is_empty());

    let (_, mut uncommitted) = write(pending_clients);
    let (ticket, mut committed) = write(pending_clients);
    fixture.commit(ticket);
    pending_clients.closed();
    assert_eq!(uncommitted.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(
        committed.try_recv(),
        Err(TryRecvError::Empty),
        "a replica may take it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_reports_as_soon_as_it_can_read_finds_every_row() {
    const WRITES: usize = 2000;
    let folder = tempfile::tempdir().expect("a folder");
    let disk = DirectoryDisk::new(folder.path()).expect("a disk");
    let (journal, _) = Journal::open(Arc::new(disk), Options::default()).expect("a journal");
    let fixture = fixture(Ack::Any);
    let pending_clients = Arc::new(fixture.pending_clients);
    journal.observe(Arc::clone(&pending_clients) as Arc<dyn Observer>);
    let replicator = {
        let (pending_clients, journal) = (Arc::clone(&pending_clients), journal.clone());
        tokio::spawn(async move {
            let (mut reader, mut judged) = (journal.reader(Sequence::ZERO), 0);
            while judged < WRITES {
                // It does not even wait until it is told that there is more.
                for record in reader.read(1 << 20).await.expect("records") {
                    let report = [(record.sequence, Report::Applied)];
                    pending_clients.report(0, &report, record.sequence);
                    judged += 1;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let mut outcomes = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        let append = || journal.append(WRITE, vec![Bytes::from_static(b"x")]);
        outcomes.push(pending_clients.open("db", append).expect("room"));
        if number % 50 == 0 {
            journal.flush().await.expect("committed");
        }
    }
    replicator.await.expect("all records");
    for outcome in &mut outcomes {
        let told = outcome.try_recv();
        assert!(
            matches!(told, Ok(Outcome::Acknowledged { applied: 1, .. })),
            "{told:?}"
        );
    }
    journal.close().await;
}
#[test]
fn a_large_body_waits_for_whoever_its_clients_wait_for() {
    let pending_clients = fixture(Ack::Any).pending_clients;
    let judged_by = |judges: &'static [usize]| move |replica| judges.contains(&replica);
    assert_eq!(
        pending_clients.headway("db", judged_by(&[0])),
        Headway::Wait
    );
    assert_eq!(
        pending_clients.headway("db", judged_by(&[0, 1])),
        Headway::GoOn
    );
    pending_clients.stall(1, "db", &[]);
    assert_eq!(
        pending_clients.headway("db", judged_by(&[0])),
        Headway::GoOn
    );
    assert_eq!(pending_clients.headway("db", judged_by(&[])), Headway::Wait);
    assert_eq!(
        pending_clients.headway("other", judged_by(&[0])),
        Headway::Wait
    );
    pending_clients.stall(0, "db", &[]);
    assert_eq!(
        pending_clients.headway("db", judged_by(&[])),
        Headway::StandsStill
    );
    pending_clients.hold(0, ["db"].into_iter());
    pending_clients.set_reach(1, Reach::Behind);
    assert_eq!(
        pending_clients.headway("db", judged_by(&[])),
        Headway::GoOn,
        "nobody is waited for"
    );
}
