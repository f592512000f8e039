//! What one node refused is known until every other node has judged it: over crashes of haflux, in whatever number.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::support::http::Answer;
use crate::support::refusals::{
    both_are_through, dead_letters, lab, lab_that_differs, letters_folder, relay, take_away,
};
use crate::support::wait::SOON;
use crate::support::{Lab, wait_until, write_with};

fn write_into(lab: &Lab, policy: &str, lines: String) -> Answer {
    write_with(&lab.influx_url(), &[("db", "db"), ("rp", policy)], lines)
}

/// A statement that the node that is there carries out: its cursor is saved behind it.
fn save_the_cursor(lab: &Lab, database: &str) {
    let answer = lab.query("", &format!("CREATE DATABASE {database}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_until("the statement's place to be saved", SOON, || {
        relay(lab)["replicas"][0]["lag"]["records"] == 0
    });
}

#[test]
fn of_what_a_node_refused_while_the_other_was_down_nothing_is_forgotten_over_a_restart() {
    for kill in [true, false] {
        let mut lab = lab_that_differs("");
        take_away(&mut lab);
        for number in 0..600 {
            let answer = lab.write("db", format!("m v={number} {number}"));
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        save_the_cursor(&lab, "later");
        if kill {
            lab.haflux.kill9();
        } else {
            assert!(lab.haflux.terminate().success());
        }
        lab.haflux.restart();
        lab.node2.restart();
        wait_until("a dead letter of each", SOON, || dead_letters(&lab) == 600);
        assert_eq!(lab.node2.count("db", "m", "v"), 600);
        assert_eq!(relay(&lab)["dead_letters"], 600);
        wait_until("nothing to be pending", SOON, || {
            both_are_through(&lab) && relay(&lab)["pending_refusals"] == 0
        });
        let pending = pending_folder(&lab);
        wait_until("its files to be removed", SOON, || {
            fs::read_dir(&pending).expect("a folder").count() == 0
        });
    }
}

#[test]
fn what_both_nodes_refuse_passes_the_one_that_was_away_without_a_wait_after_a_crash() {
    let mut lab = lab("");
    take_away(&mut lab);
    for number in 0..300 {
        let name =
            format!("CREATE RETENTION POLICY p{number} ON missing DURATION 1h REPLICATION 1");
        let answer = lab.query("", &name);
        assert!(
            answer.text().contains("database not found"),
            "{}",
            answer.text()
        );
    }
    for number in 0..300 {
        let answer = write_into(&lab, "missing", format!("m v={number} {number}"));
        assert!(
            answer.text().contains("retention policy not found"),
            "{}",
            answer.text()
        );
    }
    save_the_cursor(&lab, "later");
    lab.haflux.kill9();
    lab.haflux.restart();
    lab.node2.restart();
    let begun = Instant::now();
    wait_until("the other one to be through with it", SOON, || {
        relay(&lab)["replicas"][1]["refused"] == 600 && both_are_through(&lab)
    });
    println!("it was through after {:?}", begun.elapsed());
    assert_eq!(dead_letters(&lab), 0);
    assert_eq!(relay(&lab)["dead_letters"], 0);
}

fn pending_folder(lab: &Lab) -> PathBuf {
    letters_folder(lab).join("pending")
}

#[test]
fn a_retention_policy_that_one_node_lacks_is_waited_for_once_and_again_after_a_statement() {
    let lab = lab("hold_for = \"6s\"");
    let policy = "CREATE RETENTION POLICY extra ON db DURATION 1h REPLICATION 1";
    lab.node1.query("db", policy);
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos();
    let refused = |record: u128| {
        let answer = write_into(&lab, "extra", format!("m v=1 {}", now + record));
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    let good = |record: u128| {
        let answer = lab.write("db", format!("g v=1 {}", now + record));
        assert_eq!(answer.status, 204, "{}", answer.text());
    };
    refused(0);
    good(0);
    wait_until("the first to be given up", SOON, || {
        lab.node2.count("db", "g", "v") == 1
    });
    let begun = Instant::now();
    for record in 1..=20 {
        refused(record);
        good(record);
    }
    wait_until("the others", SOON, || lab.node2.count("db", "g", "v") == 21);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert_eq!(dead_letters_of_both(&lab), 21);
    // A statement may be what brings it: once that has passed, it is waited for once more.
    assert_eq!(lab.query("", "CREATE DATABASE later").status, 200);
    wait_until("the statement to pass", SOON, || both_are_through(&lab));
    refused(21);
    wait_until("it to be tried", SOON, || {
        relay(&lab)["replicas"][1]["lag"]["records"] != 0
    });
    lab.node2.query("db", policy);
    wait_until("it to be taken", SOON, || both_are_through(&lab));
    assert_eq!(dead_letters_of_both(&lab), 21);
}

fn dead_letters_of_both(lab: &Lab) -> u64 {
    relay(lab)["dead_letters"].as_u64().expect("a number")
}

#[test]
fn what_both_nodes_refuse_is_no_dead_letter_of_the_one_that_was_rebuilt_meanwhile() {
    let mut lab = lab("");
    let order = |lab: &Lab, order: &str| lab.haflux.order(&["replica", order, "influxlab2"]);
    wait_until("both to be level", SOON, || both_are_through(&lab));
    order(&lab, "rebuild-begin");
    for number in 0..20 {
        let answer = write_into(&lab, "missing", format!("m v={number} {number}"));
        assert!(
            answer.text().contains("retention policy not found"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(lab.write("db", "good v=1 1").status, 204);
    save_the_cursor(&lab, "later");
    lab.haflux.kill9();
    lab.haflux.restart();
    wait_until("the first one to be there", SOON, || {
        relay(&lab)["replicas"][0]["status"] == "fresh"
    });
    order(&lab, "readmit");
    wait_until("the other one to be through with it", SOON, || {
        relay(&lab)["replicas"][1]["refused"] == 20 && both_are_through(&lab)
    });
    assert_eq!(relay(&lab)["dead_letters"], 0);
}

#[test]
fn past_the_bound_the_one_that_is_waited_for_is_diverged_and_writes_go_on() {
    let mut lab = lab_that_differs("max_pending_refusals = 1000");
    take_away(&mut lab);
    let refused = || {
        let answer = lab.write("db", "m v=7 7\nm v=8 8");
        assert_eq!(answer.status, 400, "{}", answer.text());
    };
    // As many as fit; the pauses between looks at the page would make these take most of a wait.
    (0..1000).for_each(|_| refused());
    wait_until("it to be diverged", SOON, || {
        refused();
        relay(&lab)["replicas"][1]["status"] == "diverged"
    });
    lab.haflux.says("half of max_pending_refusals");
    for number in 0..20 {
        assert_eq!(
            lab.write("db", format!("good v={number} {number}")).status,
            204
        );
    }
    wait_until("the refusals to be forgotten", SOON, || {
        relay(&lab)["pending_refusals"] == 0
    });
}
