use std::sync::Arc;

use super::*;
use crate::relay::intake::relay::tests::settings;
use crate::relay::record::samples::write_record;
use crate::stats::RelayStats;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_append_waits_until_the_holder_opens_the_gate() {
    let gate = Gate::default();
    let mut appended = Vec::new();
    gate.pass(|| appended.push(1)).await;
    let closed = gate.close(LONG).expect("it is open");
    assert!(closed.is_closed() && gate.close(LONG).is_none());
    let mut waits = Box::pin(gate.pass(|| appended.push(2)));
    assert!(futures_util::poll!(&mut waits).is_pending());
    drop(closed);
    waits.await;
    assert_eq!(appended, [1, 2]);
}

#[tokio::test]
async fn a_gate_whose_holder_hangs_opens_by_itself_and_is_not_opened_for_the_next_holder() {
    let gate = Gate::default();
    let hangs = gate.close(Duration::from_millis(20)).expect("it is open");
    gate.pass(|| ()).await;
    assert!(!hangs.is_closed());
    let next = gate.close(LONG).expect("it is open again");
    drop(hangs);
    let mut waits = Box::pin(gate.pass(|| ()));
    assert!(futures_util::poll!(&mut waits).is_pending());
    drop(next);
    waits.await;
}

#[test]
fn a_gate_is_not_closed_before_an_append_under_way_has_ended() {
    let gate = Arc::new(Gate::default());
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let appender = std::thread::spawn({
        let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
        move || {
            futures_util::FutureExt::now_or_never(gate.pass(|| {
                begun.send(()).expect("the test listens");
                may_go_on.recv().expect("the test goes on");
                order.lock().push("appended");
            }))
        }
    });
    has_begun.recv().expect("it begins");
    let closer = std::thread::spawn({
        let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
        move || {
            let _closed = gate.close(LONG).expect("it is open");
            order.lock().push("closed");
        }
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(order.lock().is_empty(), "closed in the middle of an append");
    go_on.send(()).expect("it waits");
    appender
        .join()
        .expect("a thread")
        .expect("an open gate is passed");
    closer.join().expect("a thread");
    assert_eq!(*order.lock(), ["appended", "closed"]);
}

#[tokio::test]
async fn nothing_is_appended_while_the_gate_of_a_relay_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = watch::Sender::new(false);
    let mut settings = settings();
    settings.heal.gate = LONG;
    let (relay, tasks) = Relay::open(
        settings,
        folder.path(),
        Vec::new(),
        Arc::new(RelayStats::default()),
        &stop.subscribe(),
    )
    .expect("a relay");
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let append = || async {
        let appended = relay.append_unattended(write_record("m v=1 1")).await;
        appended.expect("appended");
    };
    append().await;
    let closed = relay.close_gate(LONG, |_| true).await.expect("it is open");
    let before = relay.journal.barrier().sequence;
    assert_eq!(
        relay.close_gate(LONG, |_| true).await.err(),
        Some(GateError::IsClosed)
    );
    let mut waits = Box::pin(append());
    assert!(futures_util::poll!(&mut waits).is_pending());
    relay.journal.flush().await.expect("committed");
    assert_eq!(relay.journal.barrier().sequence, before);
    assert!(closed.is_closed());
    drop(closed);
    waits.await;
    relay.settled(LONG).await.expect("no replica is behind");
    assert_eq!(relay.journal.barrier().sequence, before.next());
    stop.send_replace(true);
    for task in tasks {
        task.await.expect("a task");
    }
    relay.close().await;
}
