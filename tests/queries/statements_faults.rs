//! Statements at replicas that are slow, lie, lose connections or differ: rules S1 to S3, and what a kill -9 leaves. Stand-ins,
//! because a real node cannot be made to do these things at a chosen moment; what they answer is taken from real ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::http;
use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, status, wait_until};

const DONE: &str = "{\"results\":[{\"statement_id\":0}]}\n";

fn refused(error: &str) -> Behaviour {
    let body = format!("{{\"results\":[{{\"statement_id\":0,\"error\":\"{error}\"}}]}}\n");
    Behaviour::status(200, &body)
}

/// Whether it is a statement that a client sent, and not a question of haflux's own.
fn is_statement(request: &Request) -> bool {
    let text = request.target.clone() + &request.text();
    request.path() == "/query"
        && ["CREATE", "DROP", "DELETE", "GRANT"]
            .iter()
            .any(|word| text.contains(word))
}

fn asks_what_runs(request: &Request) -> bool {
    request.target.contains("SHOW%20QUERIES")
}

fn statements(node: &StandIn) -> Vec<Request> {
    let mut requests = node.requests();
    requests.retain(is_statement);
    requests
}

/// Answers writes and pings, and statements by `answer`.
fn node(answer: impl Fn(&Request) -> Behaviour + Send + Sync + 'static) -> StandIn {
    StandIn::start(move |request| {
        if is_statement(request) {
            answer(request)
        } else if request.path() == "/query" {
            Behaviour::status(200, DONE)
        } else {
            Behaviour::no_content()
        }
    })
}

fn done() -> StandIn {
    node(|_| Behaviour::status(200, DONE))
}

fn start(folder: &tempfile::TempDir, nodes: &[&StandIn], keys: &str) -> Haflux {
    Haflux::start(
        folder.path(),
        &relay_over(nodes, &format!("rewind = \"300ms\"\n{keys}")),
    )
}

fn wait_until_known(haflux: &Haflux, nodes: &[&StandIn]) {
    wait_until("the replicas to be known", SOON, || {
        let taken = haflux.write("known", "m v=1 1").status == 204;
        taken && nodes.iter().all(|node| !node.writes().is_empty())
    });
}

#[test]
fn a_statement_is_alone_between_what_is_before_it_and_its_own_databases_writes_after_it() {
    let (under_way, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&overlaps);
    let may_finish = Arc::new(AtomicBool::new(false));
    let finishes = Arc::clone(&may_finish);
    let node = StandIn::start(move |request| {
        if request.path() != "/write" && !is_statement(request) {
            return Behaviour::status(200, DONE);
        }
        if request.target.contains("db=c") {
            return Behaviour::no_content();
        }
        let others = under_way.fetch_add(1, Ordering::SeqCst);
        // Writes of two databases may well overlap; a statement never does with these.
        sleep(Duration::from_millis(100));
        while request.text().contains("before") && !finishes.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(10));
        }
        let after = under_way.fetch_sub(1, Ordering::SeqCst) - 1;
        if is_statement(request) {
            counted.fetch_add(others + after, Ordering::SeqCst);
            return Behaviour::status(200, DONE);
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "ack = \"journal\"");
    wait_until_known(&haflux, &[&node]);
    assert_eq!(haflux.write("c", "first v=1 1").status, 204);
    for database in ["db", "b"] {
        // The journal alone answers for those that are known.
        assert_eq!(haflux.write(database, "first v=1 1").status, 204);
        assert_eq!(haflux.write(database, "before v=1 1").status, 204);
    }
    let count = |text: &str| {
        let writes = node.writes();
        writes
            .iter()
            .filter(|one| one.text().contains(text))
            .count()
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| haflux.query("db", "DROP MEASUREMENT before"));
        wait_until("the statement to be journaled", SOON, || {
            status::relay(&haflux.url("front"))["statements"] == 1
        });
        for database in ["db", "c"] {
            assert_eq!(haflux.write(database, "after v=2 2").status, 204);
        }
        // What it does not touch passes it.
        wait_until("the other database's write", SOON, || count("after") == 1);
        // Time for what should not happen: the writes before it are still under way.
        sleep(Duration::from_millis(700));
        may_finish.store(true, Ordering::SeqCst);
        assert_eq!(asked.join().expect("an answer").status, 200);
    });
    wait_until("the later writes", SOON, || count("after") == 2);
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
    let requests = node.requests();
    let place = |wanted: &dyn Fn(&Request) -> bool| requests.iter().position(wanted);
    let statement = place(&is_statement).expect("the statement");
    let is_after = |request: &Request, database: &str| {
        request.text().contains("after") && request.target.contains(database)
    };
    let first_after = place(&|request| is_after(request, "db=db")).expect("a write");
    let last_before = requests
        .iter()
        .rposition(|request| request.text().contains("before") && request.path() == "/write");
    assert!(last_before < Some(statement) && statement < first_after);
}

#[test]
fn after_kill_9_nothing_is_sent_again_from_before_a_statement_nor_the_statement() {
    let node = done();
    let folder = tempfile::tempdir().expect("a folder");
    // Far longer than the test: without the statement all of it would be sent again.
    let mut haflux = start(&folder, &[&node], "");
    wait_until_known(&haflux, &[&node]);
    assert_eq!(haflux.write("db", "before v=1 1").status, 204);
    assert_eq!(haflux.query("db", "DROP MEASUREMENT m").status, 200);
    assert_eq!(haflux.write("db", "after v=2 2").status, 204);
    haflux.kill9();
    let earlier = node.requests().len();
    haflux.restart();
    assert_eq!(haflux.write("db", "last v=3 3").status, 204);
    let again: String = node
        .requests()
        .split_off(earlier)
        .iter()
        .map(Request::text)
        .collect();
    assert!(again.contains("after") && again.contains("last"), "{again}");
    assert!(!again.contains("before"), "{again}");
    assert_eq!(statements(&node).len(), 1);
}

#[test]
fn a_statement_that_was_under_way_at_kill_9_is_sent_again_only_when_it_no_longer_runs() {
    let running = Arc::new(AtomicBool::new(true));
    let listed = Arc::clone(&running);
    let node = StandIn::start(move |request| {
        let hangs = is_statement(request) && listed.load(Ordering::SeqCst);
        if hangs {
            return Behaviour::Hang;
        }
        if asks_what_runs(request) && listed.load(Ordering::SeqCst) {
            let row = "[7,\"DROP MEASUREMENT m\",\"db\",\"3s\",\"running\"]";
            let columns = "[\"qid\",\"query\",\"database\",\"duration\",\"status\"]";
            let body = format!(
                "{{\"results\":[{{\"statement_id\":0,\"series\":[{{\"columns\":{columns},\"values\":[{row}]}}]}}]}}\n"
            );
            return Behaviour::status(200, &body);
        }
        match request.path() {
            "/query" => Behaviour::status(200, DONE),
            _ => Behaviour::no_content(),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = start(&folder, &[&node], "ack = \"journal\"");
    wait_until_known(&haflux, &[&node]);
    let url = haflux.url("reads");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let text = http::query_string(&[("db", "db"), ("q", "DROP MEASUREMENT m")]);
            // Cut off by the kill.
            let _ = http::try_request("POST", &format!("{url}/query?{text}"), &[], b"");
        });
        wait_until("the statement to be under way", SOON, || {
            statements(&node).len() == 1
        });
        haflux.kill9();
    });
    haflux.restart();
    std::thread::scope(|scope| {
        let after = scope.spawn(|| haflux.write("db", "after v=1 1").status);
        wait_until("the question whether it still runs", SOON, || {
            node.requests().iter().any(asks_what_runs)
        });
        assert_eq!(statements(&node).len(), 1, "it is still running");
        running.store(false, Ordering::SeqCst);
        wait_until("the statement again", SOON, || statements(&node).len() == 2);
        assert_eq!(after.join().expect("an answer"), 204);
    });
    wait_until("the write behind it", SOON, || {
        let requests = node.requests();
        let again = requests.iter().rposition(is_statement);
        let after = requests
            .iter()
            .position(|request| request.text().contains("after"));
        after > again
    });
}

#[test]
fn what_passes_is_tried_again_in_place_and_nothing_overtakes_it() {
    let tries = AtomicUsize::new(0);
    let node = node(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => refused("max-concurrent-queries limit exceeded(1, 1)"),
        1 => refused("timeout"),
        2 => Behaviour::status(503, "request throttled\n"),
        // Of a node that is being stopped.
        3 => refused("shard 1: engine is closed"),
        _ => Behaviour::status(200, DONE),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "");
    wait_until_known(&haflux, &[&node]);
    let answer = haflux.query("db", "CREATE DATABASE db");
    assert_eq!((answer.status, answer.text().as_str()), (200, DONE));
    assert_eq!(statements(&node).len(), 5);
}

#[test]
fn a_node_with_a_full_disk_is_asked_until_it_takes_it() {
    let has_room = Arc::new(AtomicBool::new(false));
    let room = Arc::clone(&has_room);
    let accepts = done();
    let full = node(move |_| match room.load(Ordering::SeqCst) {
        false => refused("open /var/lib/influxdb/meta/meta.db.tmp: no space left on device"),
        true => Behaviour::status(200, DONE),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "hold_for = \"100ms\"";
    let haflux = start(&folder, &[&accepts, &full], keys);
    wait_until_known(&haflux, &[&accepts, &full]);
    assert_eq!(haflux.query("db", "CREATE DATABASE db").status, 200);
    let begun = Instant::now();
    wait_until("it to be asked for longer than hold_for", SOON, || {
        statements(&full).len() > 4 && begun.elapsed() > Duration::from_millis(500)
    });
    has_room.store(true, Ordering::SeqCst);
    let relay = || status::relay(&haflux.url("front"));
    wait_until("it to have caught up", SOON, || {
        relay()["replicas"][1]["lag"]["records"] == 0
    });
    assert_eq!(relay()["dead_letters"], 0);
    haflux.says("it is tried again until the node takes it");
}

#[test]
fn a_user_that_a_node_lacks_is_waited_for_once() {
    let accepts = done();
    let lacks = node(|_| Behaviour::status(401, "{\"error\":\"authorization failed\"}\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "hold_for = \"1s\"";
    let haflux = start(&folder, &[&accepts, &lacks], keys);
    wait_until_known(&haflux, &[&accepts, &lacks]);
    let mut asked = Vec::new();
    for number in 1..=3 {
        let before = statements(&lacks).len();
        assert_eq!(haflux.query("db", "DROP DATABASE db").status, 200);
        wait_until("its letter", SOON, || {
            status::relay(&haflux.url("front"))["dead_letters"] == number
        });
        asked.push(statements(&lacks).len() - before);
    }
    assert!(asked[0] > 3, "{asked:?}");
    assert_eq!(asked[1..], [1, 1], "{asked:?}");
}

#[test]
fn a_lost_connection_means_waiting_until_it_can_no_longer_land() {
    let tries = AtomicUsize::new(0);
    let node = node(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Behaviour::Close,
        // What a node says that had carried it out.
        _ => refused("user not found"),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&node], "rewind = \"3s\"");
    let haflux = Haflux::start(folder.path(), &configuration);
    wait_until_known(&haflux, &[&node]);
    let begun = Instant::now();
    let answer = haflux.query("db", "DROP USER gone");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, DONE),
        "it counts as applied"
    );
    assert!(
        begun.elapsed() >= Duration::from_secs(3),
        "rewind had to pass"
    );
    assert_eq!(statements(&node).len(), 2);
    assert!(node.requests().iter().any(asks_what_runs));
    // At the first time of asking it is a refusal like any other.
    let fresh = done();
    fresh.behave(|request| match request.path() {
        "/query" => refused("user not found"),
        _ => Behaviour::no_content(),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&fresh], "");
    wait_until_known(&haflux, &[&fresh]);
    assert!(
        haflux
            .query("db", "DROP USER gone")
            .text()
            .contains("user not found")
    );
}

/// A node that says `says` to statements, and gives the first one no answer.
fn loses_its_first_answer(says: &'static str) -> StandIn {
    let tries = AtomicUsize::new(0);
    node(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Behaviour::Close,
        _ => refused(says),
    })
}

#[test]
fn what_nobody_carried_out_is_refused_and_no_dead_letter_though_a_node_was_asked_twice() {
    let absent = "user not found";
    let present = "user already exists";
    for (statement, says, is_done_elsewhere) in [
        ("DROP USER nosuch", absent, false),
        ("DROP USER gone", absent, true),
        ("DROP MEASUREMENT m; DROP USER gone", absent, true),
        ("GRANT ALL ON db TO nosuch", absent, false),
        ("CREATE USER old WITH PASSWORD 'second'", present, false),
    ] {
        let other = match is_done_elsewhere {
            true => done(),
            false => node(move |_| refused(says)),
        };
        let asked_twice = loses_its_first_answer(says);
        let folder = tempfile::tempdir().expect("a folder");
        let haflux = start(&folder, &[&other, &asked_twice], "");
        wait_until_known(&haflux, &[&other, &asked_twice]);
        let answer = haflux.query("db", statement).text();
        assert_eq!(answer.contains(says), !is_done_elsewhere, "{answer}");
        wait_until("the statement again", SOON, || {
            statements(&asked_twice).len() == 2
        });
        assert_eq!(haflux.write("known", "behind v=1 1").status, 204);
        wait_until("the write behind it", SOON, || {
            let nodes = [&other, &asked_twice];
            nodes.iter().all(|node| {
                let writes = node.writes();
                writes
                    .iter()
                    .any(|request| request.text().contains("behind"))
            })
        });
        let letters = haflux.told(&["dead-letters", "list", "--json"]);
        let letters = String::from_utf8_lossy(&letters.stdout).into_owned();
        assert!(!letters.contains("node"), "{statement}: {letters}");
    }
}

#[test]
fn a_statement_may_take_longer_than_any_write_and_holds_no_writes_up() {
    let may_finish = Arc::new(AtomicBool::new(false));
    let finishes = Arc::clone(&may_finish);
    let node = node(move |_| {
        let began = Instant::now();
        while !finishes.load(Ordering::SeqCst) && began.elapsed() < SOON {
            sleep(Duration::from_millis(10));
        }
        Behaviour::status(200, DONE)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "timeout = \"1s\"");
    wait_until_known(&haflux, &[&node]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| haflux.query("db", "DROP MEASUREMENT large"));
        wait_until("the statement to be under way", SOON, || {
            !statements(&node).is_empty()
        });
        wait_until("a write that the journal answers for", SOON, || {
            haflux.write("known", "meanwhile v=1 1").status == 204
        });
        assert!(!asked.is_finished());
        // The node judges a newcomer although it is busy.
        assert_eq!(haflux.write("unknown", "stranger v=1 1").status, 204);
        may_finish.store(true, Ordering::SeqCst);
        assert_eq!(asked.join().expect("an answer").status, 200);
    });
    assert_eq!(statements(&node).len(), 1, "it was not sent twice");
    wait_until("the write behind it", SOON, || {
        let writes = node.writes();
        writes
            .iter()
            .any(|request| request.text().contains("meanwhile"))
    });
}

#[test]
fn what_one_refuses_and_another_accepts_is_a_dead_letter_and_keeps_reads_away() {
    let accepts = done();
    let refuses = node(|_| refused("retention policy conflicts with an existing policy"));
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&accepts, &refuses], "");
    wait_until_known(&haflux, &[&accepts, &refuses]);
    let answer = haflux.query("db", "CREATE DATABASE db WITH DURATION 1h");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, DONE),
        "any acceptance wins"
    );
    let letters = |arguments: &[&str]| {
        let output = haflux.told(&[&["dead-letters"], arguments].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut list = String::new();
    wait_until("the letter", SOON, || {
        list = letters(&["list"]);
        list.contains("node1")
    });
    assert!(list.contains("conflicts with an existing policy"), "{list}");
    let id = list
        .lines()
        .find_map(|line| {
            line.split_whitespace()
                .find(|word| word.ends_with("-node1"))
        })
        .expect("an id")
        .to_owned();
    let shown = letters(&["show", &id]);
    assert!(
        shown.contains("CREATE DATABASE db WITH DURATION 1h"),
        "{shown}"
    );
    // Its replica is not read from, for that database.
    let reads = |database: &str| {
        let before = refuses.requests_for("/query").len();
        for _ in 0..6 {
            let text = http::query_string(&[("db", database), ("q", "SELECT v FROM m")]);
            let answer = http::get(&format!("{}/query?{text}", haflux.url("reads")));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        refuses.requests_for("/query").len() - before
    };
    assert_eq!(reads("db"), 0);
    assert!(reads("other") > 0);
    letters(&["drop", &id, "--yes"]);
    wait_until("the letter to be settled", SOON, || reads("db") > 0);
}

#[test]
fn a_replica_that_does_not_know_the_user_yet_is_asked_again() {
    let knows = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&knows);
    let accepts = done();
    let forgets = node(move |_| match known.load(Ordering::SeqCst) {
        false => Behaviour::status(401, "{\"error\":\"authorization failed\"}\n"),
        true => Behaviour::status(200, DONE),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&accepts, &forgets], "");
    wait_until_known(&haflux, &[&accepts, &forgets]);
    assert_eq!(haflux.query("db", "CREATE DATABASE db").status, 200);
    wait_until("it to be asked again", SOON, || {
        statements(&forgets).len() >= 3
    });
    knows.store(true, Ordering::SeqCst);
    let relay = || status::relay(&haflux.url("front"));
    wait_until("it to have caught up", SOON, || {
        relay()["replicas"][1]["lag"]["records"] == 0
    });
    assert_eq!(relay()["dead_letters"], 0);
}

#[test]
fn what_is_no_influxql_goes_to_all_as_it_came_and_a_kill_to_one_only_once() {
    let nodes = [done(), done()];
    for node in &nodes {
        node.behave(|request| match request.path() {
            "/api/v2/delete" => Behaviour::no_content(),
            "/query" => Behaviour::status(200, DONE),
            _ => Behaviour::no_content(),
        });
    }
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&nodes[0], &nodes[1]], "ack = \"all\"");
    wait_until_known(&haflux, &[&nodes[0], &nodes[1]]);
    let body = "{\"start\":\"2020-01-01T00:00:00Z\",\"stop\":\"2021-01-01T00:00:00Z\"}";
    for frontend in ["reads", "front"] {
        let url = format!(
            "{}/api/v2/delete?bucket=db%2Frp&org=x",
            haflux.url(frontend)
        );
        let answer = http::request(
            "POST",
            &url,
            &[("authorization", "Token a:b")],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    for node in &nodes {
        let deletes = node.requests_for("/api/v2/delete");
        assert_eq!(deletes.len(), 2);
        assert_eq!(deletes[0].target, "/api/v2/delete?bucket=db%2Frp&org=x");
        assert_eq!(deletes[0].text(), body);
        assert_eq!(deletes[0].header("authorization"), Some("Token a:b"));
    }
    haflux.query("db", "KILL QUERY 3");
    let killed = nodes.iter().map(|node| {
        let requests = node.requests_for("/query");
        requests
            .iter()
            .filter(|one| one.target.contains("KILL"))
            .count()
    });
    assert_eq!(killed.sum::<usize>(), 1);
}
