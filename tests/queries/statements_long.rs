//! A statement that takes long: one node carries it out first, nobody notices it in a database that it does not touch, and its own
//! database has a fresh node all the while. On real nodes.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::http::{self, Answer};
use crate::support::lab::{pool_keys, relay_keys};
use crate::support::wait::SOON;
use crate::support::{Influxd, Lab, Options, query_with, status, wait_until};

/// Computes so many thousand means before it writes one point.
fn long(thousands: u64) -> String {
    format!(
        "SELECT count(v) INTO result FROM (SELECT mean(v) AS v FROM m WHERE time >= 0 AND time < {thousands}s GROUP BY time(1ms) fill(0))"
    )
}

fn lab(more: &str) -> Lab {
    let quick = relay_keys("rewind = \"500ms\"");
    let lab = Lab::start_with(Options::default(), |text| {
        let pool = pool_keys("on_stale = \"reject\"\nread_wait = \"100ms\"");
        relay_keys(more)(pool(quick(text)))
    });
    for database in ["own", "other"] {
        let made = lab.query("", &format!("CREATE DATABASE {database}"));
        assert_eq!(made.status, 200, "{}", made.text());
        assert_eq!(write_number(&lab, database, 1).status, 204);
    }
    lab.both_hold("own", "m", 1);
    lab.both_hold("other", "m", 1);
    lab
}

fn write_number(lab: &Lab, database: &str, number: u64) -> Answer {
    lab.write(database, format!("m v={number} {number}"))
}

fn count(lab: &Lab, database: &str) -> (Answer, u64) {
    let parameters = http::query_string(&[("db", database), ("q", "SELECT count(v) FROM m")]);
    let answer = http::get(&format!("{}/query?{parameters}", lab.influx_url()));
    let counted = match answer.status {
        200 => answer.json()["results"][0]["series"][0]["values"][0][1].as_u64(),
        _ => None,
    };
    (answer, counted.unwrap_or(0))
}

/// Whether the node is at a long statement.
fn is_at_it(node: &Influxd) -> bool {
    let queries = node.try_query("", "SHOW QUERIES");
    queries.is_some_and(|queries| queries.to_string().contains("INTO result"))
}

/// Sends the long statement, and returns when a node is at it.
fn begin(lab: &Lab, thousands: u64) -> JoinHandle<Option<Answer>> {
    let parameters = http::query_string(&[("db", "own"), ("q", &long(thousands))]);
    let url = format!("{}/query?{parameters}", lab.influx_url());
    let thread = std::thread::spawn(move || http::try_request("POST", &url, &[], b"").ok());
    wait_until("a node to be at the statement", SOON, || {
        is_at_it(&lab.node1) || is_at_it(&lab.node2)
    });
    thread
}

fn answer_of(thread: JoinHandle<Option<Answer>>) {
    let answer = thread.join().expect("a thread").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("error"), "{}", answer.text());
}

/// Both nodes hold the same, with so many points of `m` and the statement's result.
fn assert_settled(lab: &Lab, own: u64, other: u64) {
    for node in [&lab.node1, &lab.node2] {
        wait_until("the result on both nodes", 4 * SOON, || {
            node.count("own", "result", "count") == 1
        });
    }
    lab.both_hold("own", "m", own);
    lab.both_hold("other", "m", other);
    lab.assert_same("own");
    lab.assert_same("other");
}

/// Ends the long statement at the node, if it is at it.
fn kill(node: &Influxd) -> bool {
    let queries = node.query("", "SHOW QUERIES");
    let queries = queries["results"][0]["series"][0]["values"].as_array();
    let mut queries = queries.into_iter().flatten();
    let ours = queries.find(|query| query.to_string().contains("INTO result"));
    ours.is_some_and(|query| {
        let killed = node.query_answer("", &format!("KILL QUERY {}", query[0]));
        killed.status == 200 && !killed.text().contains("error")
    })
}

#[test]
fn who_is_killed_at_a_node_is_not_begun_again_there_and_may_be_half_done() {
    let lab = lab("");
    let statement = begin(&lab, 30_000);
    let (first, second) = match is_at_it(&lab.node1) {
        true => (&lab.node1, &lab.node2),
        false => (&lab.node2, &lab.node1),
    };
    assert!(kill(first));
    wait_until("the other node to be at it", SOON, || is_at_it(second));
    assert!(!is_at_it(first));
    wait_until("it to be killed there, too", SOON, || kill(second));
    let answer = statement.join().expect("a thread").expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("query interrupted"),
        "{}",
        answer.text()
    );
    wait_until("both letters", SOON, || {
        status::relay(&lab.influx_url())["dead_letters"] == 2
    });
    assert!(![first, second].into_iter().any(is_at_it));
    let letters = lab.haflux.order(&["dead-letters", "list"]);
    assert_eq!(letters.matches("query interrupted").count(), 2, "{letters}");
    assert_eq!(write_number(&lab, "own", 2).status, 204);
    lab.both_hold("own", "m", 2);
}

#[test]
fn nobody_notices_it_in_another_database() {
    let lab = lab("");
    let (mut others, mut steps) = (1, Vec::new());
    let begun = Instant::now();
    let statement = begin(&lab, 8000);
    let mut acknowledged = None;
    loop {
        let is_over = statement.is_finished();
        let nodes = [is_at_it(&lab.node1), is_at_it(&lab.node2)];
        assert!(
            nodes != [true, true] || statement.is_finished(),
            "both nodes are at it before it is acknowledged"
        );
        let step = Instant::now();
        let written = write_number(&lab, "other", others + 1);
        assert_eq!(written.status, 204, "{}", written.text());
        assert_ne!(written.header("x-haflux-applied"), Some("0/2"), "{nodes:?}");
        others += 1;
        let (answer, counted) = count(&lab, "other");
        assert_eq!(answer.status, 200, "{nodes:?}: {}", answer.text());
        assert_eq!(counted, others, "{nodes:?}");
        let (answer, counted) = count(&lab, "own");
        assert_eq!((answer.status, counted), (200, 1), "own: {}", answer.text());
        // Somebody new, whom nodes judge first.
        let url = format!("{}/write?db=other&u=n{others}&p=x", lab.influx_url());
        let newcomer = http::post(&url, format!("m v=1 {}", others + 1));
        assert_eq!(newcomer.status, 204, "{}", newcomer.text());
        others += 1;
        steps.push(step.elapsed());
        if is_over {
            // The second node begins when the first is done.
            let since = *acknowledged.get_or_insert_with(Instant::now);
            if nodes == [false, false] && since.elapsed() > Duration::from_millis(300) {
                break;
            }
        }
    }
    answer_of(statement);
    steps.sort();
    let usual = steps.get(steps.len() / 2).copied().unwrap_or_default();
    println!(
        "{} steps in {:?}: usually {usual:?}, at most {:?}",
        steps.len(),
        begun.elapsed(),
        steps.last()
    );
    assert!(begun.elapsed() > Duration::from_secs(2), "it was not long");
    // Four requests a step.
    assert!(usual < Duration::from_millis(300), "{usual:?}");
    assert_settled(&lab, 1, others);
}

#[test]
fn another_statement_and_later_writes_keep_their_order() {
    let lab = lab("");
    let statement = begin(&lab, 6000);
    // One touches the same database, and what is written after it is not deleted; the other one touches neither.
    for (database, text) in [("own", "DELETE FROM m"), ("", "DROP DATABASE third")] {
        let parameters = [("db", database), ("q", text), ("async", "true")];
        let answer = query_with(&lab.influx_url(), &parameters);
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    for number in 2..=10 {
        let written = write_number(&lab, "own", number);
        assert_eq!(written.status, 204, "{}", written.text());
        let written = write_number(&lab, "other", number);
        assert_eq!(written.status, 204, "{}", written.text());
        assert_ne!(written.header("x-haflux-applied"), Some("0/2"));
        let (answer, counted) = count(&lab, "other");
        assert_eq!((answer.status, counted), (200, number), "{}", answer.text());
    }
    answer_of(statement);
    assert_settled(&lab, 9, 10);
}

#[test]
fn more_writes_than_can_wait_for_it_stop_no_other_database() {
    // Two requests' worth of them wait.
    let lab = lab("max_batch = \"16kB\"");
    let statement = begin(&lab, 6000);
    let own = |first: u64| {
        let line = |time: u64| format!("m v={time},s=\"{}\" {time}\n", "x".repeat(2000));
        let lines: String = (first..first + 5).map(line).collect();
        let url = format!("{}/write?db=own", lab.influx_url());
        std::thread::spawn(move || http::post(&url, lines).status)
    };
    let mut writers = Vec::new();
    for number in 2..=20 {
        writers.push(own(number * 10));
        let written = write_number(&lab, "other", number);
        assert_eq!(written.status, 204, "{}", written.text());
        assert_ne!(written.header("x-haflux-applied"), Some("0/2"));
        let (answer, counted) = count(&lab, "other");
        assert_eq!((answer.status, counted), (200, number), "{}", answer.text());
    }
    assert!(!statement.is_finished(), "it was not long");
    for writer in writers {
        assert_eq!(writer.join().expect("a writer"), 204);
    }
    answer_of(statement);
    assert_settled(&lab, 1 + 19 * 5, 20);
}

#[test]
fn when_the_first_node_dies_the_other_one_carries_it_out() {
    let mut lab = lab("");
    let statement = begin(&lab, 6000);
    let is_second = is_at_it(&lab.node2);
    match is_second {
        true => lab.node2.kill9(),
        false => lab.node1.kill9(),
    }
    for number in 2..=10 {
        let written = write_number(&lab, "other", number);
        assert_eq!(written.status, 204, "{}", written.text());
        let (answer, counted) = count(&lab, "other");
        assert_eq!((answer.status, counted), (200, number), "{}", answer.text());
    }
    answer_of(statement);
    match is_second {
        true => lab.node2.restart(),
        false => lab.node1.restart(),
    }
    assert_settled(&lab, 1, 10);
}

#[test]
fn after_kill_9_of_haflux_in_the_middle_nodes_are_equal() {
    let mut lab = lab("");
    let statement = begin(&lab, 6000);
    for number in 2..=10 {
        assert_eq!(write_number(&lab, "other", number).status, 204);
        assert_eq!(write_number(&lab, "own", number).status, 204);
    }
    lab.haflux.kill9();
    assert!(
        statement.join().expect("a thread").is_none(),
        "it was not long"
    );
    lab.haflux.restart();
    assert_settled(&lab, 10, 10);
}
