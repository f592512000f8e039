//! Nodes and haflux itself die while clients write: no acknowledged point is missing anywhere afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Lab, Options, StandIn, http, relay_over, status, try_write, wait_until,
    write, write_with,
};

fn relay_with(keys: &str) -> impl FnOnce(String) -> String {
    relay_keys(&format!(
        "retry = {{ max = \"500ms\" }}\ntimeout = \"2s\"\n{keys}"
    ))
}

#[test]
fn writes_and_queries_go_on_while_a_node_is_dead_and_it_catches_up_when_it_returns() {
    let mut lab = Lab::start_with(Options::default(), relay_with(""));
    lab.create_database("telegraf");
    let url = lab.influx_url();
    for point in 0..50 {
        assert_eq!(
            try_write(&url, "telegraf", format!("outage v={point} {point}")),
            204
        );
    }
    lab.node2.kill9();
    for point in 50..150 {
        assert_eq!(
            try_write(&url, "telegraf", format!("outage v={point} {point}")),
            204,
            "point {point}"
        );
        // Overwritten again and again while one node is away: the last value counts on both.
        assert_eq!(
            try_write(&url, "telegraf", format!("over v={point} 1")),
            204
        );
    }
    let query = format!(
        "{url}/query?{}",
        http::query_string(&[("db", "telegraf"), ("q", "SELECT count(v) FROM outage")])
    );
    for _ in 0..10 {
        let answer = http::get(&query);
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json()["results"][0]["series"][0]["values"][0][1],
            150
        );
    }
    lab.node2.restart();
    lab.both_hold("telegraf", "outage", 150);
    let last = lab.node2.query("telegraf", "SELECT v FROM over");
    assert_eq!(last["results"][0]["series"][0]["values"][0][1], 149);
}

#[test]
fn writers_of_different_precision_are_caught_up_in_the_same_requests() {
    const WRITES: u64 = 400;
    let mut lab = Lab::start_with(Options::default(), relay_with(""));
    lab.create_database("telegraf");
    let url = lab.influx_url();
    let units = [
        ("s", 1),
        ("ms", 1_000),
        ("u", 1_000_000),
        ("ns", 1_000_000_000),
        ("h", 0),
    ];
    lab.node2.kill9();
    for number in 0..WRITES {
        let (precision, second) = units[number as usize % units.len()];
        let parameters = [("db", "telegraf"), ("precision", precision)];
        let time = (number / 10) * second;
        // All write the same points, so the order counts.
        let body = format!("mixed v={number} {time}\nmixed,number={number} v={number} {time}");
        let answer = write_with(&url, &parameters, &body);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let requests = || {
        status::relay(&url)["replicas"][1]["requests"]
            .as_u64()
            .expect("a count")
    };
    let before = requests();
    lab.node2.restart();
    wait_until("the last write on the node that was away", SOON, || {
        lab.node2.count("telegraf", "mixed", "v") == lab.node1.count("telegraf", "mixed", "v")
    });
    lab.assert_same("telegraf");
    let requests = requests() - before;
    assert!(requests < WRITES / 10, "{requests} requests");
}

#[test]
fn with_both_nodes_dead_writes_are_kept_and_reach_both() {
    let mut lab = Lab::start_with(Options::default(), relay_with(""));
    lab.create_database("telegraf");
    let url = lab.influx_url();
    assert_eq!(try_write(&url, "telegraf", "kept v=0 0"), 204);
    lab.node1.kill9();
    lab.node2.kill9();
    for point in 1..20 {
        assert_eq!(
            try_write(&url, "telegraf", format!("kept v={point} {point}")),
            204
        );
    }
    let answer = write(&url, "telegraf", "kept v=20 20");
    assert_eq!(
        (answer.status, answer.header("x-haflux-applied")),
        (204, Some("0/2"))
    );
    lab.node2.restart();
    lab.node1.restart();
    lab.both_hold("telegraf", "kept", 21);
}

#[test]
fn after_a_restart_with_both_nodes_dead_who_wrote_lately_is_known_and_strangers_are_not() {
    let mut lab = Lab::start_with(Options::default(), relay_with(""));
    lab.create_database("telegraf");
    let url = lab.influx_url();
    assert_eq!(try_write(&url, "telegraf", "trusted v=0 0"), 204);
    lab.node1.kill9();
    lab.node2.kill9();
    let file = lab.haflux.folder().join("data/influx_relay/trust");
    for (restart, gracefully) in [(1, true), (2, false)] {
        if gracefully {
            lab.haflux.terminate();
        } else {
            lab.haflux.kill9();
        }
        assert!(file.exists(), "{}", file.display());
        lab.haflux.restart();
        assert_eq!(
            try_write(&url, "telegraf", format!("trusted v={restart} {restart}")),
            204
        );
        let stranger = http::try_request(
            "POST",
            &format!("{url}/write?db=telegraf&u=stranger&p=guess"),
            &[],
            b"strange v=1 1",
        );
        assert_eq!(stranger.map(|answer| answer.status).ok(), Some(503));
        let elsewhere = write(&url, "other", "strange v=1 1");
        assert_eq!(elsewhere.status, 503);
        assert!(elsewhere.header("retry-after").is_some());
    }
    lab.node1.restart();
    lab.node2.restart();
    lab.both_hold("telegraf", "trusted", 3);
}

#[test]
fn what_haflux_acknowledged_before_it_was_killed_reaches_the_node_that_was_away() {
    let mut lab = Lab::start_with(Options::default(), relay_with(""));
    lab.create_database("telegraf");
    let url = lab.influx_url();
    assert_eq!(try_write(&url, "telegraf", "killed v=0 0"), 204);
    lab.node2.kill9();
    for point in 1..40 {
        assert_eq!(
            try_write(&url, "telegraf", format!("killed v={point} {point}")),
            204
        );
        if point % 13 == 0 {
            lab.haflux.kill9();
            lab.haflux.restart();
        }
    }
    lab.haflux.kill9();
    lab.node2.restart();
    lab.haflux.restart();
    lab.both_hold("telegraf", "killed", 40);
}

#[test]
fn on_unavailable_reject_and_ack_all_turn_writes_away_before_anything_is_stored() {
    for (keys, dead) in [
        ("on_unavailable = \"reject\"", 2),
        ("ack = \"all\"", 1),
        ("ack = \"quorum\"", 1),
    ] {
        let mut lab = Lab::start_with(Options::default(), relay_with(keys));
        lab.create_database("telegraf");
        let url = lab.influx_url();
        wait_until("the replicas to be in reach", SOON, || {
            try_write(&url, "telegraf", "policy v=0 0") == 204
        });
        lab.node2.kill9();
        if dead == 2 {
            lab.node1.kill9();
        }
        // The first write after the death may find it out; once it is known, the refusal comes at once.
        wait_until("the death to be known", SOON, || {
            try_write(&url, "telegraf", "policy v=0 0") == 503
        });
        let answer = write(&url, "telegraf", "policy v=1 1");
        assert_eq!(answer.status, 503, "{keys}");
        assert!(answer.header("retry-after").is_some());
        assert!(
            answer.json()["error"]
                .as_str()
                .is_some_and(|error| error.contains("replicas")),
            "{}",
            answer.text()
        );
        lab.node2.restart();
        if dead == 2 {
            lab.node1.restart();
        }
        wait_until("writes to be taken again", SOON, || {
            try_write(&url, "telegraf", "policy v=2 2") == 204
        });
        lab.both_hold("telegraf", "policy", 2);
    }
}

#[test]
fn ack_all_says_that_both_applied_and_ack_journal_waits_for_none() {
    let lab = Lab::start_with(Options::default(), relay_with("ack = \"all\""));
    lab.create_database("telegraf");
    let post = || lab.write("telegraf", "acked v=1 1");
    wait_until("both replicas to be in reach", SOON, || {
        post().status == 204
    });
    assert_eq!(post().header("x-haflux-applied"), Some("2/2"));

    let folder = tempfile::tempdir().expect("a folder");
    let (silent, twin) = (silent_but_for_the_first(), silent_but_for_the_first());
    let haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&silent, &twin], "ack = \"journal\""),
    );
    let url = haflux.url("front");
    // For whom nobody knows a replica must vouch.
    assert_eq!(try_write(&url, "telegraf", "first v=1 1"), 204);
    let begun = Instant::now();
    let answer = haflux.write("telegraf", "journaled v=1 1");
    assert_eq!(
        (answer.status, answer.header("x-haflux-applied")),
        (204, Some("0/2"))
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn silent_but_for_the_first() -> StandIn {
    StandIn::start(|request| {
        // A question about credentials has no line.
        let is_question = request.text().is_empty();
        if request.path() == "/ping" || is_question || request.text().starts_with("first") {
            Behaviour::no_content()
        } else {
            Behaviour::Hang
        }
    })
}

#[test]
fn a_replica_that_hangs_delays_nobody_and_no_order_is_broken() {
    // A stand-in, because a real node cannot be made to accept a write and never answer.
    let quick = StandIn::healthy();
    let hanging = silent_but_for_the_first();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&quick, &hanging], "timeout = \"11s\""),
    );
    let url = haflux.url("front");
    wait_until("the quick replica to be in reach", SOON, || {
        !quick.requests_for("/ping").is_empty()
    });
    let begun = Instant::now();
    for point in 0..200 {
        assert_eq!(
            try_write(&url, "telegraf", format!("hang v={point} {point}")),
            204
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "200 writes took {:?}",
        begun.elapsed()
    );
    wait_until("all records at the quick replica", SOON, || {
        quick.written_lines().len() >= 200
    });
    let expected: Vec<String> = (0..200)
        .map(|point| format!("hang v={point} {point}"))
        .collect();
    assert_eq!(quick.written_lines(), expected);
}

#[test]
fn a_joined_request_that_is_refused_goes_again_one_by_one_and_each_client_gets_its_own_answer() {
    // A stand-in, to hold the first request back until the others have gathered behind it.
    let have_gathered = Arc::new(AtomicBool::new(false));
    let gathered = Arc::clone(&have_gathered);
    let one = StandIn::start(move |request| {
        let begun = Instant::now();
        let is_held = request.text().contains("v=0");
        while is_held && !gathered.load(Ordering::Relaxed) && begun.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(10));
        }
        if request.text().contains("bad") {
            let error = "{\"error\":\"unable to parse 'bad': missing fields\"}\n";
            return Behaviour::status(400, error);
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&one], "");
    let haflux = Haflux::start(folder.path(), &configuration);
    let url = haflux.url("front");
    wait_until("the replica to be in reach", SOON, || {
        !one.requests_for("/ping").is_empty()
    });
    let bodies = ["good v=1 1", "bad", "good v=2 2", "bad", "good v=3 3"];
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let mut writers = vec![scope.spawn(|| try_write(&url, "telegraf", "good v=0 0"))];
        wait_until("the first request under way", SOON, || {
            one.written_lines().len() == 1
        });
        for body in bodies {
            writers.push({
                let url = &url;
                scope.spawn(move || try_write(url, "telegraf", body))
            });
        }
        wait_until("the others to be journaled", SOON, || {
            status::relay(&url)["records"] == 6
        });
        have_gathered.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .collect()
    });
    assert_eq!(statuses, [204, 204, 400, 204, 400, 204]);
    let joined = one
        .writes()
        .iter()
        .filter(|request| request.text().lines().count() > 1)
        .count();
    assert!(joined >= 1, "nothing was joined: {:?}", one.writes());
}

#[test]
fn one_acceptance_wins_over_the_others_refusal_and_is_counted_as_a_dead_letter() {
    // A stand-in refuses what the real node takes.
    let refusing = StandIn::start(|request| {
        if request.path() == "/ping" {
            Behaviour::no_content()
        } else {
            Behaviour::status(400, "{\"error\":\"field type conflict\"}\n")
        }
    });
    let taking = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&refusing, &taking], ""));
    let url = haflux.url("front");
    wait_until("both replicas in reach", SOON, || {
        !refusing.requests_for("/ping").is_empty() && !taking.requests_for("/ping").is_empty()
    });
    for point in 0..5 {
        assert_eq!(
            try_write(&url, "telegraf", format!("mixed v={point} {point}")),
            204
        );
    }
    wait_until("the dead letters to be logged", SOON, || {
        haflux.log().matches("the replicas differ").count() >= 5
    });
}
