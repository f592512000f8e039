//! Unknown credentials wait for a node's verdict, however long it takes, and under every `ack`: rule N1. Stand-ins, because a real
//! node cannot be made to judge late.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::http::Answer;
use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, StandIn, query_as, relay_over, status, wait_until, write_as,
};

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

fn write_of(haflux: &Haflux, user: &str) -> Answer {
    let user = Some((user, "secret"));
    write_as(&haflux.url("front"), user, "telegraf", "m v=1 1")
}

#[test]
fn a_verdict_that_comes_late_is_waited_for() {
    for ack in ["any", "journal"] {
        let replicas = [StandIn::start(judge), StandIn::start(judge)];
        let folder = tempfile::tempdir().expect("a folder");
        let keys = format!("ack = \"{ack}\"");
        let servers = replicas.each_ref();
        let haflux = Haflux::start(folder.path(), &relay_over(&servers, &keys));
        assert_eq!(write_of(&haflux, "known").status, 204);
        let answer = write_of(&haflux, "stranger");
        assert_eq!(answer.status, 401, "{ack}: {}", answer.text());
        assert_eq!(write_of(&haflux, "known").status, 204);
    }
}

#[test]
fn without_a_verdict_in_time_nothing_is_stored() {
    let replica = StandIn::start(judge);
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&replica], "timeout = \"1s\"");
    let haflux = Haflux::start(folder.path(), &configuration);
    assert_eq!(write_of(&haflux, "known").status, 204);
    let before = records(&haflux);
    let answer = write_of(&haflux, "stranger");
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let text = answer.text();
    assert!(text.contains("nothing was stored"), "{text}");
    assert_eq!(records(&haflux), before);
}

fn records(haflux: &Haflux) -> u64 {
    let relay = status::relay(&haflux.url("front"));
    relay["records"].as_u64().expect("a number")
}

#[test]
fn known_credentials_are_asked_for_beside_their_writes_and_stay_known() {
    let questions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&questions);
    let mut replica = StandIn::start(move |request| {
        if request.path() == "/write" && request.text().is_empty() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "ack = \"journal\"\ntrust_for = \"4s\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let began = Instant::now();
    let mut writes = 0;
    // For longer than trust lasts.
    while began.elapsed() < Duration::from_secs(5) {
        let answer = write_of(&haflux, "known");
        assert_eq!(answer.status, 204, "{}", answer.text());
        writes += 1;
    }
    let asked = questions.load(Ordering::SeqCst);
    // More often than whoever was forgotten each time would have been judged, and far from each time.
    assert!(
        asked > 3 && asked <= 25 && writes > 2 * asked,
        "{asked} of {writes}"
    );
    replica.refuse();
    assert_eq!(write_of(&haflux, "known").status, 204);
    wait_until("the replica's absence to be known", SOON, || {
        write_of(&haflux, "stranger").status == 503
    });
}

#[test]
fn what_an_acknowledged_statement_forbids_is_not_taken_while_no_node_is_up() {
    let takes_all = |request: &Request| match request.path() {
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        _ => Behaviour::no_content(),
    };
    let user = |name: &'static str| Some((name, "secret"));
    let mut nodes = [StandIn::start(takes_all), StandIn::start(takes_all)];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&nodes[0], &nodes[1]], "rewind = \"300ms\""),
    );
    let url = haflux.url("front");
    let write = |database: &str| write_as(&url, user("known"), database, "m v=1 1").status;
    for (statement, forbidden, allowed) in [
        ("DELETE FROM m", &[][..], &["a", "b"][..]),
        ("CREATE DATABASE a", &[], &["a", "b"]),
        ("DROP DATABASE a", &["a"], &["b"]),
        ("REVOKE WRITE ON a FROM known", &["a", "b"], &[]),
        ("DROP USER known", &["a", "b"], &[]),
        ("SET PASSWORD FOR known = 'x'", &["a", "b"], &[]),
    ] {
        for database in ["a", "b"] {
            wait_until("the write to be taken", SOON, || write(database) == 204);
        }
        wait_until("the statement to be carried out", SOON, || {
            query_as(&url, user("admin"), "a", statement).status == 200
        });
        nodes.iter_mut().for_each(StandIn::refuse);
        wait_until("the nodes' absence to be known", SOON, || {
            write_of(&haflux, "stranger").status == 503
        });
        for database in allowed {
            assert_eq!(write(database), 204, "{statement}: {database}");
        }
        for database in forbidden {
            assert_eq!(write(database), 503, "{statement}: {database}");
        }
        haflux.kill9();
        haflux.restart();
        wait_until("the nodes' absence to be known", SOON, || {
            write_of(&haflux, "stranger").status == 503
        });
        for database in forbidden {
            assert_eq!(write(database), 503, "{statement}, crash: {database}");
        }
        nodes.iter_mut().for_each(StandIn::accept_again);
    }
}
