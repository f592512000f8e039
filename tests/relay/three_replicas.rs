//! Three replicas that do not judge alike, and of which some are away: what was refused and taken is known of each of them, and
//! who is told that a quorum has a write can rely on it.

use crate::support::lab::relay_keys;
use crate::support::status;
use crate::support::wait::SOON;
use crate::support::{Influxd, Lab, Options, wait_until};

const KEYS: &str = "rewind = \"100ms\"\nretry = { min = \"20ms\", max = \"200ms\" }";

/// Three nodes; on those that `refuse` the field `v` of the measurement `m` is text, so that they refuse numbers there.
fn lab(refuse: [bool; 3], keys: &str) -> Lab {
    let keys = format!("{KEYS}\n{keys}");
    let lab = Lab::start_of(3, Options::default(), relay_keys(&keys));
    lab.create_database("db");
    wait_until("all nodes to be known", SOON, || {
        let taken = lab.write("db", "known v=1 1").status == 204;
        taken && lab.nodes().iter().all(|node| has(node, "known", 1))
    });
    for (node, refuses) in lab.nodes().into_iter().zip(refuse) {
        if refuses {
            assert_eq!(node.write("db", "m v=\"text\" 1").status, 204);
        }
    }
    lab
}

fn has(node: &Influxd, measurement: &str, points: u64) -> bool {
    let counted = format!("SELECT count(v) FROM {measurement}");
    let answer = node.try_query("db", &counted).unwrap_or_default();
    answer["results"][0]["series"][0]["values"][0][1] == points
}

fn replica(lab: &Lab, number: usize) -> serde_json::Value {
    status::replica(&lab.influx_url(), number)
}

/// The replicas that have a dead letter each, in their order.
fn with_a_dead_letter(lab: &Lab) -> Vec<String> {
    let text = lab.haflux.order(&["dead-letters", "list"]);
    let names = text.split_whitespace().filter_map(|word| {
        let (_, name) = word.split_once("-influxlab")?;
        Some(format!("influxlab{name}"))
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// All that are there have judged everything.
fn wait_until_through(lab: &Lab, numbers: &[usize]) {
    wait_until("everything to be judged", SOON, || {
        let through = |number: &usize| replica(lab, *number)["lag"]["records"] == 0;
        numbers.iter().all(through)
    });
}

/// Kills the second and the third node, and returns when nobody waits for them.
fn leave_the_first_alone(lab: &mut Lab) {
    lab.node2.kill9();
    lab.further[0].kill9();
    wait_until("their absence to be known", SOON, || {
        lab.write("db", "alone v=1 1").header("x-haflux-applied") == Some("1/3")
    });
}

/// A statement, behind which the cursors of all that are there are saved: what came before is not sent to them again.
fn save_cursors(lab: &Lab, name: &str, numbers: &[usize]) {
    lab.carry_out("", &format!("CREATE DATABASE {name}"));
    wait_until_through(lab, numbers);
}

#[test]
fn what_nodes_refuse_and_take_one_after_the_other_is_known_of_each_over_crashes() {
    let mut lab = lab([true, false, true], "");
    leave_the_first_alone(&mut lab);
    // The first one refuses it, and nobody else can be asked.
    assert_eq!(lab.write("db", "m v=7 7").status, 400);
    assert_eq!(lab.write("db", "after v=1 1").status, 204);
    save_cursors(&lab, "one", &[0]);
    lab.haflux.kill9();
    lab.haflux.restart();
    assert_eq!(with_a_dead_letter(&lab), [""; 0]);
    // The second one takes it: the first one lacks it.
    lab.node2.restart();
    wait_until("the dead letter of the first one", SOON, || {
        with_a_dead_letter(&lab) == ["influxlab"]
    });
    save_cursors(&lab, "two", &[0, 1]);
    lab.haflux.kill9();
    lab.haflux.restart();
    // The third one refuses it too, and lacks what the second one has.
    lab.further[0].restart();
    wait_until("the dead letter of the third one", SOON, || {
        with_a_dead_letter(&lab) == ["influxlab", "influxlab3"]
    });
    wait_until_through(&lab, &[0, 1, 2]);
    assert!(has(&lab.node2, "m", 1));
    assert!(lab.nodes().iter().all(|node| has(node, "after", 1)));
    wait_until("nothing to be pending", SOON, || {
        status::relay(&lab.influx_url())["pending_refusals"] == 0
    });
}

#[test]
fn what_all_refuse_one_after_the_other_is_nobodys_dead_letter_over_crashes() {
    let mut lab = lab([true; 3], "");
    leave_the_first_alone(&mut lab);
    assert_eq!(lab.write("db", "m v=7 7").status, 400);
    assert_eq!(lab.write("db", "after v=1 1").status, 204);
    let mut there = vec![0];
    for number in [1, 2] {
        save_cursors(&lab, &format!("before{number}"), &there);
        lab.haflux.kill9();
        lab.haflux.restart();
        if number == 1 {
            lab.node2.restart();
        } else {
            lab.further[0].restart();
        }
        wait_until("it to have what came after", SOON, || {
            has(lab.nodes()[number], "after", 1)
        });
        there.push(number);
        wait_until_through(&lab, &there);
    }
    wait_until("nothing to be pending", SOON, || {
        status::relay(&lab.influx_url())["pending_refusals"] == 0
    });
    assert_eq!(with_a_dead_letter(&lab), [""; 0]);
    assert_eq!(status::relay(&lab.influx_url())["dead_letters"], 0);
}

#[test]
fn a_quorum_is_of_those_that_took_it_not_of_those_that_are_there() {
    let mut lab = lab([true, false, false], "ack = \"quorum\"\ntimeout = \"2s\"");
    // Two of three are there, and only one of them takes it.
    lab.further[0].kill9();
    wait_until("its absence to be known", SOON, || {
        replica(&lab, 2)["status"] == "down"
    });
    assert_eq!(lab.write("db", "good v=1 1").status, 204);
    let answer = lab.write("db", "m v=7 7");
    assert_eq!(answer.status, 504, "{}", answer.text());
    // It is there when the third one is: then it is on more than half.
    lab.further[0].restart();
    wait_until("the third one to have it", SOON, || {
        has(&lab.further[0], "m", 1)
    });
    wait_until("the third one to be in reach", SOON, || {
        replica(&lab, 2)["status"] == "fresh"
    });
    let answer = lab.write("db", "m v=8 8");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("x-haflux-applied"), Some("2/3"));
    for node in [&lab.node2, &lab.further[0]] {
        assert!(has(node, "m", 2));
    }
    wait_until("what the first one lacks to be known", SOON, || {
        with_a_dead_letter(&lab) == ["influxlab", "influxlab"]
    });
}
