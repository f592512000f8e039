//! Replicas that were rebuilt and taken back: what they are sent, and what not (rule R4). Stand-ins, so that a backlog grows past its
//! bound in no time.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, is_level, relay_over, status, wait_until};

fn large(number: usize) -> String {
    format!("large,padding={} v={number} {number}\n", "x".repeat(400)).repeat(1000)
}

#[test]
fn a_replica_that_was_taken_back_is_sent_nothing_from_before_its_copy() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"1s\"\nmax_backlog = \"1MiB\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&well, &away], keys));
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204 && !away.writes().is_empty()
    });
    // This one is in doubt when the replica is let go, and stays so.
    away.behave(|request| match request.text().contains("doubtful") {
        true => Behaviour::Close,
        false => Behaviour::no_content(),
    });
    assert_eq!(haflux.write("telegraf", "doubtful v=1 1").status, 204);
    wait_until("it to be sent", SOON, || {
        let sent = away.writes();
        sent.iter()
            .any(|request| request.text().contains("doubtful"))
    });
    away.refuse();
    for number in 0..6 {
        assert_eq!(haflux.write("telegraf", large(number)).status, 204);
    }
    haflux.says("replica node1 is diverged");
    let order = |order: &str| haflux.order(&["replica", order, "node1"]);
    wait_until("the other one to have nothing to go back for", SOON, || {
        let inspected = haflux.told(&["journal", "inspect"]).stdout;
        String::from_utf8_lossy(&inspected)
            .lines()
            .filter_map(|line| line.strip_prefix("node0"))
            .any(|columns| columns.split_whitespace().nth(1) == Some("0"))
    });
    order("rebuild-begin");
    away.behave(|_| Behaviour::no_content());
    away.accept_again();
    let before = away.writes().len();
    assert_eq!(haflux.write("telegraf", "after v=1 1").status, 204);
    order("readmit");
    wait_until("it to have all of it, with nothing in doubt", SOON, || {
        let relay = status::relay(&haflux.url("front"));
        let replica = &relay["replicas"][1];
        replica["status"] == "fresh" && is_level(&relay, replica)
    });
    let sent: Vec<String> = away.writes()[before..]
        .iter()
        .map(|request| request.text())
        .collect();
    assert!(
        sent.iter().any(|body| body == "after v=1 1"),
        "not among {} requests",
        sent.len()
    );
    let old = |body: &String| body.contains("doubtful") || body.contains("large");
    assert!(!sent.iter().any(old), "{} requests", sent.len());
}

#[test]
fn what_is_in_doubt_at_the_one_that_is_copied_is_sent_to_the_other_too() {
    // The copy may hold what landed late there, before it is written over. And what came meanwhile is more than `max_backlog`:
    // it must not be diverged for that as soon as it is taken back.
    let source = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"60s\"\nmax_backlog = \"1MiB\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&source, &away], keys));
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204 && !away.writes().is_empty()
    });
    let first = AtomicBool::new(true);
    source.behave(move |request| {
        let is_doubtful =
            request.text().contains("doubtful") && first.swap(false, Ordering::Relaxed);
        match is_doubtful {
            true => Behaviour::Close,
            false => Behaviour::no_content(),
        }
    });
    assert_eq!(haflux.write("telegraf", "doubtful v=1 1").status, 204);
    away.refuse();
    for number in 0..6 {
        wait_until("a write to be taken", SOON, || {
            haflux.write("telegraf", large(number)).status == 204
        });
    }
    haflux.says("replica node1 is diverged");
    wait_until("the other one to be there", SOON, || {
        let output = haflux.told(&["replica", "rebuild-begin", "node1"]);
        output.status.success()
    });
    let before = away.writes().len();
    away.accept_again();
    haflux.order(&["replica", "readmit", "node1"]);
    wait_until("it to be sent that again", SOON, || {
        let sent = away.writes().split_off(before);
        sent.iter()
            .any(|request| request.text().contains("doubtful"))
    });
}
