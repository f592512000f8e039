//! Who never wrote to a database waits for a replica's verdict, however busy the replicas are, and under every `ack`: rule W6.
//! Stand-ins, because a real node cannot be made to judge a write late.

mod support;

use std::time::{Duration, Instant};

use support::http::{self, Answer};
use support::stand_in::Request;
use support::wait::SOON;
use support::{Behaviour, Haflux, StandIn, relay_over, wait_until};

/// Longer than a replica that has not answered is taken for one that soon will.
const LATE: Duration = Duration::from_millis(2500);

/// Takes writes of `known` at once; of everybody else, late, it takes none.
fn judge(request: &Request) -> Behaviour {
    if request.path() != "/write" || request.target.contains("u=known") {
        return Behaviour::no_content();
    }
    let refusal = Behaviour::status(401, "{\"error\":\"authorization failed\"}\n");
    Behaviour::After(LATE, Box::new(refusal))
}

fn write_as(haflux: &Haflux, user: &str) -> Answer {
    let parameters = http::query_string(&[("db", "telegraf"), ("u", user), ("p", "secret")]);
    let url = format!("{}/write?{parameters}", haflux.url("front"));
    http::post(&url, "m v=1 1")
}

#[test]
fn a_verdict_that_comes_late_is_waited_for() {
    for ack in ["any", "journal"] {
        let replicas = [StandIn::start(judge), StandIn::start(judge)];
        let folder = tempfile::tempdir().expect("a folder");
        let keys = format!("ack = \"{ack}\"");
        let servers = replicas.each_ref();
        let haflux = Haflux::start(folder.path(), &relay_over(&servers, &keys));
        assert_eq!(write_as(&haflux, "known").status, 204);
        let answer = write_as(&haflux, "stranger");
        assert_eq!(answer.status, 401, "{ack}: {}", answer.text());
        assert_eq!(write_as(&haflux, "known").status, 204);
    }
}

#[test]
fn without_a_verdict_in_time_it_is_not_acknowledged() {
    let replica = StandIn::start(judge);
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&replica], "timeout = \"1s\"");
    let haflux = Haflux::start(folder.path(), &configuration);
    assert_eq!(write_as(&haflux, "known").status, 204);
    let answer = write_as(&haflux, "stranger");
    assert_eq!(answer.status, 504);
    let text = answer.text();
    assert!(
        text.contains("these credentials have not written"),
        "{text}"
    );
}

#[test]
fn where_writes_wait_for_no_replica_who_writes_stays_known() {
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "ack = \"journal\"\ntrust_for = \"4s\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let began = Instant::now();
    let mut vouched_by_the_journal = 0;
    let mut vouched_by_a_replica = 0;
    // For longer than trust lasts.
    while began.elapsed() < Duration::from_secs(5) {
        let answer = write_as(&haflux, "known");
        assert_eq!(answer.status, 204, "{}", answer.text());
        match answer.header("x-haflux-applied") {
            Some("0/1") => vouched_by_the_journal += 1,
            Some("1/1") => vouched_by_a_replica += 1,
            other => panic!("{other:?}"),
        }
    }
    // More often than whoever was forgotten each time would have been judged.
    assert!(vouched_by_a_replica > 3 && vouched_by_the_journal > vouched_by_a_replica);
    replica.refuse();
    assert_eq!(write_as(&haflux, "known").status, 204);
    wait_until("the replica's absence to be known", SOON, || {
        write_as(&haflux, "stranger").status == 503
    });
}
