//! Replicas that missed records for good are none until a person takes them back: rules R3 to R5. Stand-ins, so that a backlog
//! grows past its bound in no time.

use std::time::Duration;

use crate::support::http;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, query, relay_over, status, wait_until};

fn large(number: usize) -> String {
    format!("large,padding={} v={number} {number}\n", "x".repeat(400)).repeat(1000)
}

#[test]
fn past_max_backlog_a_replica_is_diverged_and_stays_so_over_a_restart() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(
        folder.path(),
        &relay_over(
            &[&well, &away],
            "rewind = \"100ms\"\nmax_backlog = \"1MiB\"",
        ),
    );
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204 && !away.writes().is_empty()
    });
    away.refuse();
    for number in 0..6 {
        assert_eq!(haflux.write("telegraf", large(number)).status, 204);
    }
    haflux.says("replica node1 is diverged");
    let page = || http::get(&format!("{}/haproxy?stats", haflux.url("front"))).text();
    wait_until("the page to say so", SOON, || page().contains("DIVERGED"));
    wait_until("its place in the journal to be given up", SOON, || {
        !haflux.order(&["journal", "inspect"]).contains("node1")
    });

    // It gets nothing any more, not even after a restart, and writes go on without it.
    let before = away.writes().len();
    away.accept_again();
    haflux.restart();
    for number in 10..20 {
        assert_eq!(
            haflux
                .write("telegraf", format!("after v={number} {number}"))
                .status,
            204
        );
    }
    assert_eq!(away.writes().len(), before);
}

#[test]
fn past_max_backlog_age_a_replica_is_diverged() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"100ms\"\nmax_backlog_age = \"1s\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&well, &away], keys));
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204 && !away.writes().is_empty()
    });
    away.refuse();
    wait_until("the replica to be diverged", SOON, || {
        haflux.write("telegraf", "small v=2 2");
        haflux
            .log()
            .contains("replica node1 is diverged: it has been behind")
    });
}

#[test]
fn a_replica_that_misses_nothing_is_not_behind_however_long_it_is_away() {
    let well = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"100ms\"\nmax_backlog_age = \"2s\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&well, &away], keys));
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204 && !away.writes().is_empty()
    });
    let replica = || status::relay(&haflux.url("front"))["replicas"][1].clone();
    wait_until("it to have all", SOON, || replica()["lag"]["records"] == 0);
    away.refuse();
    wait_until("it to be away", SOON, || replica()["status"] == "down");
    // What is looked for is that nothing happens, so that time has to pass.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(haflux.write("telegraf", "small v=2 2").status, 204);
    let is_behind = |replica: &serde_json::Value| replica["lag"]["records"] == 1;
    wait_until("it to be behind", SOON, || is_behind(&replica()));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(replica()["status"], "down", "{:#}", replica());
    assert!(!haflux.log().contains("is diverged"));
    wait_until("it to be behind for too long", SOON, || {
        haflux
            .log()
            .contains("node1 is diverged: it has been behind")
    });
}

#[test]
fn while_nobody_answers_nobody_diverges_and_the_most_advanced_never_does() {
    let mut ahead = StandIn::healthy();
    let mut behind = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"100ms\"\nmax_backlog = \"1MiB\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&ahead, &behind], keys));
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204
            && [&ahead, &behind]
                .iter()
                .all(|node| !node.writes().is_empty())
    });
    let applied = |lines: &str| {
        let answer = haflux.write("telegraf", lines);
        (
            answer.status,
            answer.header("x-haflux-applied").map(str::to_owned),
        )
    };
    behind.refuse();
    wait_until("one to be ahead", SOON, || {
        applied("small v=2 2") == (204, Some("1/2".to_owned()))
    });
    ahead.refuse();
    let mut taken = 0;
    wait_until("the backlog to be full", SOON, || {
        let full = haflux.write("telegraf", large(taken)).status == 503;
        taken += usize::from(!full);
        full
    });
    // What should not happen has its time.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!haflux.log().contains("is diverged"), "{}", haflux.log());
    // The one that is behind comes back first: nobody else has what it lacks, so it gets all of it.
    behind.accept_again();
    wait_until("writes to be taken again", SOON, || {
        haflux.write("telegraf", "small v=3 3").status == 204
    });
    let lines = |node: &StandIn| -> usize {
        let writes = node.writes();
        let large = writes.iter().map(|request| {
            let text = request.text();
            text.lines()
                .filter(|line| line.starts_with("large"))
                .count()
        });
        large.sum()
    };
    wait_until("all of it at the one that came back", SOON, || {
        lines(&behind) >= taken * 1000
    });
}

#[test]
fn what_is_written_while_a_replica_is_rebuilt_is_kept_for_it_and_it_counts_for_nothing_meanwhile() {
    for ack in ["any", "all"] {
        let nodes = [StandIn::healthy(), StandIn::healthy()];
        let folder = tempfile::tempdir().expect("a folder");
        let keys = format!("rewind = \"100ms\"\nack = \"{ack}\"");
        let mut haflux = Haflux::start(folder.path(), &relay_over(&[&nodes[0], &nodes[1]], &keys));
        wait_until("both replicas to be known", SOON, || {
            haflux.write("telegraf", "before v=1 1").status == 204
                && nodes.iter().all(|node| !node.writes().is_empty())
        });
        haflux.order(&["replica", "rebuild-begin", "node1"]);
        let sent = nodes[1].writes().len();
        let journal = haflux.order(&["journal", "inspect"]);
        assert!(journal.contains("rebuild of node1"), "{journal}");
        if ack == "all" {
            wait_until("it to be missed", SOON, || {
                haflux.write("telegraf", "meanwhile v=0 0").status == 503
            });
        } else {
            for value in 0..5 {
                assert_eq!(
                    haflux
                        .write("telegraf", format!("meanwhile v={value} {value}"))
                        .status,
                    204
                );
            }
            // What the other one refuses is not held back for it.
            nodes[0].behave(|request| match request.text().contains("bad") {
                true => Behaviour::status(400, "{\"error\":\"field type conflict\"}\n"),
                false => Behaviour::no_content(),
            });
            assert_eq!(haflux.write("telegraf", "bad v=1 1").status, 400);
            haflux.restart();
        }
        assert_eq!(nodes[1].writes().len(), sent);
        haflux.order(&["replica", "readmit", "node1"]);
        wait_until("both to be replicas", SOON, || {
            let writes = nodes[1].writes();
            haflux.write("telegraf", "after v=1 1").status == 204
                && writes
                    .iter()
                    .any(|request| request.text().contains("after"))
        });
        let again: Vec<String> = nodes[1].writes()[sent..]
            .iter()
            .flat_map(|request| {
                let text = request.text();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .filter(|line| line.starts_with("meanwhile"))
            .collect();
        let count = if ack == "any" { 5 } else { 0 };
        let expected: Vec<String> = (0..count)
            .map(|value| format!("meanwhile v={value} {value}"))
            .collect();
        // A place that it goes back to is no newer than the pin: all of it may come again, in its order.
        if count == 0 {
            assert!(again.is_empty(), "{again:?}");
        } else {
            assert!(!again.is_empty());
            assert!(
                again.chunks(count).all(|round| round == expected),
                "{again:?}"
            );
        }
    }
}

#[test]
fn that_replicas_differ_is_told_without_waiting_for_one_that_diverged() {
    let refuses = StandIn::start(|request| match request.text().contains("bad") {
        true => Behaviour::status(400, "{\"error\":\"field type conflict\"}\n"),
        false => Behaviour::no_content(),
    });
    let takes = StandIn::healthy();
    let mut away = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let servers = [&refuses, &takes, &away];
    let haflux = Haflux::start(folder.path(), &relay_over(&servers, ""));
    wait_until("all replicas to be known", SOON, || {
        haflux.write("telegraf", "known v=1 1").status == 204
            && servers.iter().all(|node| !node.writes().is_empty())
    });
    away.refuse();
    assert_eq!(haflux.write("telegraf", "bad v=1 1").status, 204);
    let told = || haflux.log().matches("the replicas differ").count();
    assert_eq!(told(), 0, "the third may refuse it too");
    haflux.order(&["replica", "rebuild-begin", "node2"]);
    wait_until("the difference to be told", SOON, || told() == 1);
    assert_eq!(haflux.write("telegraf", "bad v=2 2").status, 204);
    wait_until("the next one to be told at once", SOON, || told() == 2);
}

#[test]
fn the_only_replica_that_is_left_never_diverges_and_writes_are_turned_away_instead() {
    let mut only = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&only], "rewind = \"100ms\"\nmax_backlog = \"1MiB\""),
    );
    wait_until("the replica to be known", SOON, || {
        haflux.write("telegraf", "small v=1 1").status == 204
    });
    only.refuse();
    let mut taken = 0;
    wait_until("the backlog to be full", SOON, || {
        let full = haflux.write("telegraf", large(taken)).status == 503;
        taken += usize::from(!full);
        full
    });
    assert!(taken >= 2, "only {taken} writes were taken");
    assert!(!haflux.log().contains("is diverged"));
    only.accept_again();
    wait_until(
        "the backlog to be sent and writes to be taken again",
        SOON,
        || haflux.write("telegraf", "small v=2 2").status == 204,
    );
    let lines: usize = only
        .writes()
        .iter()
        .map(|request| {
            request
                .text()
                .lines()
                .filter(|line| line.starts_with("large"))
                .count()
        })
        .sum();
    assert!(lines >= taken * 1000, "{lines} lines of {taken} writes");
}

#[test]
fn a_server_that_is_new_in_a_pool_with_history_is_not_taken_for_a_replica() {
    for reads in ["fresh", "any"] {
        let old = StandIn::healthy();
        let new = StandIn::healthy();
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = |servers: &[&StandIn]| {
            let text = relay_over(servers, "rewind = \"100ms\"");
            text.replace(
                "check = false",
                &format!("check = false\nreads = \"{reads}\""),
            )
        };
        let mut haflux = Haflux::start(folder.path(), &configuration(&[&old]));
        wait_until("the replica to be known", SOON, || {
            haflux.write("telegraf", "history v=1 1").status == 204
        });
        haflux.terminate();
        let haflux = Haflux::start(folder.path(), &configuration(&[&old, &new]));
        haflux.says("replica node1 is diverged: it is new");
        assert_eq!(haflux.write("telegraf", "history v=2 2").status, 204);
        assert!(new.writes().is_empty());
        // Nor is it read from, though it is up.
        for _ in 0..4 {
            http::get(&format!("{}/query?q=SHOW+DATABASES", haflux.url("reads")));
        }
        assert!(new.requests_for("/query").is_empty());
        let asked = |server: &StandIn| {
            let queries = server.requests_for("/query").into_iter();
            queries
                .filter(|request| request.target.ends_with("q=SHOW+DATABASES"))
                .count()
        };
        assert_eq!(asked(&old), 4);
    }
}

/// A configuration whose servers have other names.
fn rename(haflux: &Haflux, names: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(haflux.file()).expect("the configuration");
    for (old, new) in names {
        text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    }
    std::fs::write(haflux.file(), text).expect("the configuration");
}

/// A haflux that knows that the second of its replicas lacks what the first one has.
fn with_a_diverged_replica(folder: &std::path::Path, old: &StandIn, new: &StandIn) -> Haflux {
    let keys = "rewind = \"100ms\"";
    let mut haflux = Haflux::start(folder, &relay_over(&[old], keys));
    wait_until("the replica to be known", SOON, || {
        haflux.write("telegraf", "history v=1 1").status == 204
    });
    haflux.terminate();
    let haflux = Haflux::start(folder, &relay_over(&[old, new], keys));
    haflux.says("replica node1 is diverged");
    haflux
}

#[test]
fn servers_that_are_all_renamed_are_not_taken_for_new_ones() {
    let nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = with_a_diverged_replica(folder.path(), &nodes[0], &nodes[1]);
    haflux.terminate();
    rename(&haflux, &[("node0", "node0a"), ("node1", "node1a")]);
    let output = haflux.told(&["run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{output:?}");
    assert!(
        said.contains("it belongs to the servers node0, node1 (diverged), and the configuration names none of them but node0a, node1a; is node0a the one that was node0?")
            && said.contains("give the servers their old names"),
        "{said}"
    );
    rename(&haflux, &[("node0a", "node0"), ("node1a", "node1")]);
    haflux.restart();
    wait_until("writes to be taken again", SOON, || {
        haflux.write("telegraf", "after v=2 2").status == 204
    });
    assert!(nodes[1].writes().is_empty());
}

#[test]
fn with_no_replica_left_a_person_says_which_one_is_right() {
    let nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = with_a_diverged_replica(folder.path(), &nodes[0], &nodes[1]);
    let file = haflux.file().display().to_string();
    let readmit = |name: &str| {
        let arguments = ["replica", "readmit", name, "--as-it-is", "--config", &file];
        let output = Haflux::command(&arguments);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (done, said) = readmit("node1");
    assert!(!done && said.contains("rebuild it from node0"), "{said}");
    haflux.terminate();
    rename(&haflux, &[("node0", "another")]);
    haflux.restart();
    let url = haflux.url("front");
    let before = haflux.write("telegraf", "lost v=1 1");
    assert_eq!(before.status, 503);
    assert!(
        before
            .text()
            .contains("no replica follows the journal (another has diverged: it is new"),
        "{}",
        before.text()
    );
    let statement = query(&url, "", "CREATE DATABASE d");
    assert_eq!(statement.status, 503, "{}", statement.text());
    let read = http::get(&format!("{}/query?q=SHOW+DATABASES", haflux.url("reads")));
    assert_eq!(read.status, 503);
    assert!(read.text().contains("has diverged"), "{}", read.text());
    let (done, said) = readmit("node1");
    assert!(done, "{said}");
    wait_until("writes to be taken again", SOON, || {
        haflux.write("telegraf", "after v=2 2").status == 204
    });
    wait_until("what the journal has to be there, in order", SOON, || {
        let lines = nodes[1].written_lines();
        lines.first().is_some_and(|line| line == "history v=1 1")
            && lines.last().is_some_and(|line| line == "after v=2 2")
    });
    let (done, said) = readmit("node1");
    assert!(!done && said.contains("follows"), "{said}");
    // The journal keeps nothing any more for the one that is gone.
    let inspected = || haflux.order(&["journal", "inspect"]);
    wait_until("its place to be given up", SOON, || {
        !inspected().contains("node0")
    });
}

#[test]
fn the_last_server_that_follows_may_be_put_back() {
    let nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = with_a_diverged_replica(folder.path(), &nodes[0], &nodes[1]);
    haflux.terminate();
    rename(&haflux, &[("node0", "another")]);
    haflux.restart();
    assert_eq!(haflux.write("telegraf", "lost v=1 1").status, 503);
    haflux.says("put node0 back");
    haflux.terminate();
    rename(&haflux, &[("another", "node0")]);
    haflux.restart();
    wait_until("writes to be taken again", SOON, || {
        haflux.write("telegraf", "after v=2 2").status == 204
    });
    assert!(nodes[1].writes().is_empty());
}

#[test]
fn a_server_that_was_taken_out_while_it_was_rebuilt_begins_anew() {
    let nodes = [StandIn::healthy(), StandIn::healthy()];
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"100ms\"";
    let both = relay_over(&[&nodes[0], &nodes[1]], keys);
    let mut haflux = Haflux::start(folder.path(), &both);
    wait_until("both replicas to be known", SOON, || {
        haflux.write("telegraf", "history v=1 1").status == 204 && !nodes[1].writes().is_empty()
    });
    wait_until("the journal to be pinned", SOON, || {
        haflux
            .told(&["replica", "rebuild-begin", "node1"])
            .status
            .success()
    });
    haflux.terminate();
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&nodes[0]], keys));
    wait_until("writes to be taken", SOON, || {
        haflux.write("telegraf", "meanwhile v=1 1").status == 204
    });
    let inspected = || haflux.order(&["journal", "inspect"]);
    wait_until("nothing to be kept for it", SOON, || {
        !inspected().contains("node1")
    });
    haflux.terminate();
    let before = nodes[1].writes().len();
    let haflux = Haflux::start(folder.path(), &both);
    wait_until("it to be diverged", SOON, || {
        status::replica(&haflux.url("front"), 1)["status"] == "diverged"
    });
    let why = haflux.refuses(&["replica", "readmit", "node1"]);
    assert!(
        why.contains("the rebuilding of node1 has not begun"),
        "{why}"
    );
    wait_until("writes to be taken again", SOON, || {
        haflux.write("telegraf", "after v=2 2").status == 204
    });
    assert_eq!(nodes[1].writes().len(), before);
}
