//! A node that takes smaller requests than haflux does from its clients gets everything all the same, in smaller requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Lab, Options, StandIn, points, relay_over, status, wait_until, write,
};
use serde_json::Value;

const LIMIT: usize = 20_000;

/// A lab whose second node takes little at once.
fn lab() -> Lab {
    let keys = "retry = { max = \"500ms\" }";
    let mut lab = Lab::start_with(Options::default(), relay_keys(keys));
    let small = Options::default().set("http", "max-body-size", &LIMIT.to_string());
    lab.node2.restart_with(small);
    lab.create_database("telegraf");
    lab
}

/// About 100 KB, every point of which `round` overwrites.
fn large_body(measurement: &str, round: usize) -> String {
    let mut lines = String::new();
    for point in 0..2000 {
        lines.push_str(&format!(
            "{measurement},host=one v={round},filling=\"{point:025}\" {point}\n"
        ));
    }
    assert!(lines.len() > 100_000);
    lines
}

fn replica(lab: &Lab, name: &str) -> Value {
    let relay = status::relay(&lab.influx_url());
    relay["replicas"]
        .as_array()
        .and_then(|replicas| replicas.iter().find(|replica| replica["name"] == name))
        .cloned()
        .unwrap_or_else(|| panic!("no replica {name} in {relay}"))
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn dead_letters(lab: &Lab) -> u64 {
    number(&status::relay(&lab.influx_url())["dead_letters"])
}

fn wait_until_same(lab: &Lab, measurement: &str, points: u64) {
    wait_until("both nodes to have judged everything", SOON, || {
        number(&replica(lab, "influxlab2")["cursor"])
            == number(&replica(lab, "influxlab")["cursor"])
            && number(&replica(lab, "influxlab2")["lag"]["records"]) == 0
    });
    lab.both_hold("telegraf", measurement, points);
}

#[test]
fn a_node_with_a_small_limit_gets_large_writes_and_what_it_missed_in_smaller_requests() {
    let mut lab = lab();
    let url = lab.influx_url();
    for round in 0..5 {
        assert_eq!(
            write(&url, "telegraf", large_body("large", round)).status,
            204
        );
    }
    wait_until_same(&lab, "large", 2000);
    let small = replica(&lab, "influxlab2");
    let searched = number(&small["too_large"]);
    assert!((1..10).contains(&searched), "{small}");
    let limit = number(&small["request_limit"]);
    assert!((1..=LIMIT as u64).contains(&limit), "{small}");
    let untouched = replica(&lab, "influxlab");
    assert_eq!(
        (
            number(&untouched["too_large"]),
            number(&untouched["request_limit"])
        ),
        (0, 0)
    );

    // What is learnt is kept.
    for round in 5..10 {
        assert_eq!(
            write(&url, "telegraf", large_body("large", round)).status,
            204
        );
    }
    wait_until_same(&lab, "large", 2000);
    assert_eq!(number(&replica(&lab, "influxlab2")["too_large"]), searched);

    // More than 1 MB waits for it when it returns, in small records that are joined, and in large ones.
    lab.node2.kill9();
    for point in 0..300 {
        let line = format!("missed v={point},filling=\"{}\" {point}", "x".repeat(3000));
        assert_eq!(write(&url, "telegraf", &line).status, 204);
        if point % 100 == 0 {
            assert_eq!(
                write(&url, "telegraf", large_body("large", 10 + point)).status,
                204
            );
        }
    }
    lab.node2.restart();
    wait_until_same(&lab, "missed", 300);
    wait_until_same(&lab, "large", 2000);
    assert_eq!(dead_letters(&lab), 0);
    assert_eq!(number(&replica(&lab, "influxlab2")["refused"]), 0);
    let said = lab.haflux.log().matches("bytes at once").count();
    // Once for the first life of the node, once or twice for the second (its connections broke with it).
    assert!((1..=4).contains(&said), "{said} times");
}

#[test]
fn a_line_that_is_too_large_for_one_node_is_a_dead_letter_and_its_neighbours_are_not_lost() {
    let lab = lab();
    let url = lab.influx_url();
    // Gzip makes it no smaller than three quarters.
    let filling = points::noise(2 * LIMIT);
    let lines = format!("line v=1 1\nline v=2,filling=\"{filling}\" 2\nline v=3 3");
    assert_eq!(write(&url, "telegraf", &lines).status, 204);
    assert_eq!(write(&url, "telegraf", "line v=4 4").status, 204);
    let values = |node: &support::Influxd| -> Vec<u64> {
        let answer = node.query("telegraf", "SELECT v FROM line");
        let values = answer["results"][0]["series"][0]["values"].as_array();
        values
            .into_iter()
            .flatten()
            .map(|row| row[0].as_u64().expect("a time"))
            .collect()
    };
    wait_until("the other lines on both nodes", SOON, || {
        values(&lab.node1) == [1, 2, 3, 4] && values(&lab.node2) == [1, 3, 4]
    });
    wait_until("the dead letter", SOON, || dead_letters(&lab) == 1);
    assert_eq!(number(&replica(&lab, "influxlab2")["refused"]), 1);
}

#[test]
fn a_body_that_ends_inside_quotes_loses_the_same_line_on_both_nodes() {
    let lab = lab();
    let url = lab.influx_url();
    let open = format!("{}open s=\"never closed", large_body("open", 1));
    assert_eq!(write(&url, "telegraf", &open).status, 400);
    wait_until_same(&lab, "open", 2000);
    assert_eq!(dead_letters(&lab), 0);
}

#[test]
fn a_piece_without_an_answer_is_sent_again_with_all_that_followed_it() {
    let unanswered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&unanswered);
    let node = StandIn::start(move |request| {
        let text = request.text();
        if text.len() > 30 {
            return Behaviour::status(413, "{\"error\":\"Request Entity Too Large\"}\n");
        }
        if text.contains("piece v=2") && count.fetch_add(1, Ordering::Relaxed) == 0 {
            return Behaviour::Close;
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&node], "rewind = \"2s\""));
    let url = haflux.url("front");
    let lines: Vec<String> = (1..=5).map(|value| format!("piece v={value} 7")).collect();
    assert_eq!(write(&url, "telegraf", lines.join("\n")).status, 204);
    assert_eq!(write(&url, "telegraf", "piece v=6 7").status, 204);
    // Once `rewind` has passed everything is sent once more, in order, and ends as it should.
    wait_until("the lane to be sent again", Duration::from_secs(20), || {
        let sent: Vec<String> = node
            .writes()
            .iter()
            .filter(|request| request.text().len() <= 30)
            .flat_map(|request| {
                let text = request.text();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let last = |value: usize| {
            let line = format!("piece v={value} 7");
            sent.iter().rposition(|sent| *sent == line)
        };
        let again = sent.iter().filter(|line| *line == "piece v=6 7").count() >= 2;
        again && (1..6).all(|value| last(value) < last(value + 1))
    });
}
