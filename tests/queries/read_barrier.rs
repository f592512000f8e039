//! No read goes back in time: it is answered by a node that has applied what was acknowledged before it came, and reads stay
//! balanced over all such nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::http::{self, Answer};
use crate::support::lab::{pool_keys, relay_keys};
use crate::support::wait::SOON;
use crate::support::{
    Behaviour, Haflux, Lab, Options, StandIn, query, read, relay_over, status, wait_until, write,
};

const STALE: &str = "x-haflux-stale";

fn count(answer: &Answer) -> u64 {
    let value = answer.json();
    value["results"][0]["series"][0]["values"][0][1]
        .as_u64()
        .unwrap_or(0)
}

fn lab(keys: &str) -> Lab {
    let quick = relay_keys("rewind = \"500ms\"");
    let lab = Lab::start_with(Options::default(), |text| pool_keys(keys)(quick(text)));
    let url = lab.influx_url();
    let made = query(&url, "", "CREATE DATABASE db");
    assert_eq!(made.status, 200, "{}", made.text());
    lab
}

#[test]
fn a_client_reads_its_own_writes_at_once_and_from_both_nodes() {
    let lab = lab("on_stale = \"reject\"");
    let url = lab.influx_url();
    for number in 1..=200 {
        let written = write(&url, "db", format!("m v={number} {number}"));
        assert_eq!(written.status, 204, "{}", written.text());
        let answer = read(&url, "db", "SELECT count(v) FROM m");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(count(&answer), number);
        assert_eq!(answer.header(STALE), None);
    }
    let page = status::page(&url);
    let pool = page["backends"]
        .as_array()
        .and_then(|pools| pools.iter().find(|pool| pool["name"] == "influx_back"))
        .cloned()
        .expect("the pool");
    let shares: Vec<u64> = pool["servers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|server| server["traffic"]["requests"].as_u64())
        .collect();
    assert!(
        shares.iter().all(|share| *share > 20),
        "balanced over both: {shares:?}"
    );
}

#[test]
fn a_node_that_returns_is_not_read_from_before_it_is_fresh() {
    let mut lab = lab("on_stale = \"reject\"");
    let url = lab.influx_url();
    let write = |from: u64, to: u64| {
        for start in (from..to).step_by(500) {
            let lines: Vec<String> = (start..start + 500)
                .map(|n| format!("m v={n} {n}"))
                .collect();
            let written = write(&url, "db", lines.join("\n"));
            assert_eq!(written.status, 204, "{}", written.text());
        }
    };
    write(0, 1000);
    lab.node2.stop();
    write(1000, 40_000);
    lab.node2.restart();
    // From here on each answer is whole, whoever gives it; and in the end both do.
    let mut by_both = false;
    wait_until("both nodes to answer", SOON, || {
        let answer = read(&url, "db", "SELECT count(v) FROM m");
        if answer.status == 200 {
            assert_eq!(count(&answer), 40_000);
        }
        by_both = lab.node2.count("db", "m", "v") == 40_000;
        by_both
    });
}

/// A node that takes and answers everything.
fn well() -> StandIn {
    StandIn::start(|request| match request.path() {
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        _ => Behaviour::no_content(),
    })
}

#[test]
fn reads_wait_or_are_turned_away_or_told_that_they_are_stale() {
    for on_stale in ["serve", "reject"] {
        let nodes = [well(), well()];
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = relay_over(&[&nodes[0], &nodes[1]], "rewind = \"100ms\"").replace(
            "check = false",
            &format!("check = false\nread_wait = \"100ms\"\non_stale = \"{on_stale}\""),
        );
        let haflux = Haflux::start(folder.path(), &configuration);
        let write = || haflux.write("db", "m v=1 1").status;
        wait_until("both replicas to be known", SOON, || {
            write() == 204 && nodes.iter().all(|node| !node.writes().is_empty())
        });
        let ask = |database: &str| read(&haflux.url("reads"), database, "SELECT v FROM m");
        wait_until("a fresh answer", SOON, || {
            let answer = ask("db");
            answer.status == 200 && answer.header(STALE).is_none()
        });
        // From now on neither takes a write, so what is acknowledged by the journal alone is on nobody.
        for node in &nodes {
            node.behave(|request| match request.path() {
                "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
                "/write" => Behaviour::status(503, "request throttled, queue full\n"),
                _ => Behaviour::no_content(),
            });
        }
        wait_until("a write that nobody has applied", SOON, || write() == 204);
        let answer = ask("db");
        if on_stale == "serve" {
            assert_eq!(answer.status, 200);
            let behind = answer
                .header(STALE)
                .and_then(|text| text.parse::<u64>().ok());
            assert!(
                behind.is_some_and(|behind| behind >= 1),
                "{:?}",
                answer.headers
            );
        } else {
            assert_eq!(answer.status, 503);
            assert!(
                answer.text().contains("on_stale = reject"),
                "{}",
                answer.text()
            );
        }
        // Other databases are not concerned.
        let other = ask("other");
        assert_eq!((other.status, other.header(STALE)), (200, None));
        let page = status::page(&haflux.url("front"));
        let barrier = &page["backends"][0]["barrier"];
        let counted = if on_stale == "serve" {
            "stale"
        } else {
            "rejected"
        };
        assert!(
            barrier[counted].as_u64().is_some_and(|count| count >= 1),
            "{barrier}"
        );
        assert!(
            barrier["waits"].as_u64().is_some_and(|count| count >= 1),
            "{barrier}"
        );
        for node in &nodes {
            node.behave(|request| match request.path() {
                "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
                _ => Behaviour::no_content(),
            });
        }
        wait_until("fresh answers again", SOON, || {
            let answer = ask("db");
            answer.status == 200 && answer.header(STALE).is_none()
        });
    }
}

#[test]
fn what_differs_from_node_to_node_stays_with_one_as_long_as_it_is_up() {
    let mut nodes = [well(), well()];
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&nodes[0], &nodes[1]], "rewind = \"100ms\"");
    let configuration = configuration.replace(
        "check = false",
        "check = { http = \"/ping\", interval = \"50ms\", rise = 1, fall = 1 }",
    );
    let haflux = Haflux::start(folder.path(), &configuration);
    let url = haflux.url("reads");
    let ask = || {
        for target in [
            "/query?q=SHOW+STATS",
            "/query?q=SHOW+SHARDS",
            "/query?db=_internal&q=SELECT+v+FROM+m",
            "/debug/requests",
            "/metrics",
        ] {
            http::get(&format!("{url}{target}"));
        }
    };
    let asked = |nodes: &[StandIn; 2]| -> BTreeMap<usize, usize> {
        let count = |node: &StandIn| {
            let local = ["/query", "/debug/requests", "/metrics"];
            local.iter().map(|path| node.requests_for(path).len()).sum()
        };
        nodes.iter().map(count).enumerate().collect()
    };
    for _ in 0..4 {
        ask();
    }
    assert_eq!(asked(&nodes), BTreeMap::from([(0, 20), (1, 0)]));
    nodes[0].refuse();
    haflux.says("pool/node0 is DOWN");
    ask();
    assert_eq!(asked(&nodes)[&1], 5);
    nodes[0].accept_again();
    haflux.says("pool/node0 is UP");
    ask();
    assert_eq!(asked(&nodes)[&1], 10, "it does not jump back");
}

#[test]
fn a_read_by_post_that_breaks_off_before_its_answer_is_tried_on_another_node() {
    let breaks = StandIn::start(|request| match request.path() {
        "/query" => Behaviour::Close,
        _ => Behaviour::no_content(),
    });
    let answers = well();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&breaks, &answers], "rewind = \"100ms\""),
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for _ in 0..4 {
        let url = format!("{}/query?db=db", haflux.url("reads"));
        let answer = http::request("POST", &url, &form, b"q=SELECT+v+FROM+m");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(!breaks.requests_for("/query").is_empty());
}

#[test]
fn a_read_that_is_tried_again_still_sees_what_it_had_to_see() {
    let nodes = [well(), well()];
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&nodes[0], &nodes[1]], "rewind = \"100ms\"").replace(
        "check = false",
        "check = false\nread_wait = \"100ms\"\non_stale = \"reject\"",
    );
    let haflux = Haflux::start(folder.path(), &configuration);
    let write = || haflux.write("db", "m v=1 1");
    wait_until("both replicas to be known", SOON, || {
        write().status == 204 && nodes.iter().all(|node| !node.written_lines().is_empty())
    });
    // One takes writes and breaks off on reads; the other one answers reads, and lacks what was written.
    nodes[0].behave(|request| match request.path() {
        "/query" if request.target.contains("SELECT") => Behaviour::Close,
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        _ => Behaviour::no_content(),
    });
    nodes[1].behave(|request| match request.path() {
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        "/write" => Behaviour::status(503, "request throttled, queue full\n"),
        _ => Behaviour::no_content(),
    });
    wait_until("a write that only one has", SOON, || {
        let answer = write();
        answer.status == 204 && answer.header("x-haflux-applied") == Some("1/2")
    });
    let answer = read(&haflux.url("reads"), "db", "SELECT v FROM m");
    assert_eq!(answer.status, 503, "{}", answer.text());
    let asked = |node: &StandIn| {
        let queries = node.requests_for("/query").into_iter();
        queries
            .filter(|request| request.target.contains("SELECT"))
            .count()
    };
    assert!(asked(&nodes[0]) > 0, "the fresh one is asked first");
    assert_eq!(asked(&nodes[1]), 0);
}

#[test]
fn of_nodes_that_all_lack_something_the_most_advanced_answers() {
    for most_advanced in 0..2 {
        let nodes = [well(), well()];
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = relay_over(&[&nodes[0], &nodes[1]], "rewind = \"100ms\"").replace(
            "check = false",
            "check = false\nread_wait = \"100ms\"\non_stale = \"serve\"",
        );
        let haflux = Haflux::start(folder.path(), &configuration);
        let write = || {
            let answer = haflux.write("db", "m v=1 1");
            let applied = answer.header("x-haflux-applied").map(str::to_owned);
            (answer.status, applied.unwrap_or_default())
        };
        wait_until("both replicas to be known", SOON, || {
            write().0 == 204 && nodes.iter().all(|node| !node.writes().is_empty())
        });
        let stop = |node: &StandIn| {
            node.behave(|request| match request.path() {
                "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
                "/write" => Behaviour::status(503, "request throttled, queue full\n"),
                _ => Behaviour::no_content(),
            });
        };
        stop(&nodes[1 - most_advanced]);
        wait_until("a write that only one has", SOON, || {
            write() == (204, "1/2".to_owned())
        });
        stop(&nodes[most_advanced]);
        wait_until("a write that nobody has", SOON, || {
            write() == (204, "0/2".to_owned())
        });
        let asked = |node: &StandIn| {
            let queries = node.requests_for("/query").into_iter();
            queries
                .filter(|request| request.target.contains("SELECT"))
                .count()
        };
        for _ in 0..4 {
            let answer = read(&haflux.url("reads"), "db", "SELECT v FROM m");
            assert_eq!(answer.status, 200);
            assert!(answer.header(STALE).is_some(), "{:?}", answer.headers);
        }
        let expected = if most_advanced == 0 { [4, 0] } else { [0, 4] };
        assert_eq!(nodes.each_ref().map(asked), expected);
        // What nobody answers is no stale answer.
        for node in &nodes {
            node.behave(|_| Behaviour::Close);
        }
        let answer = read(&haflux.url("reads"), "db", "SELECT v FROM m");
        assert!(answer.status >= 500, "{}", answer.status);
        let page = status::page(&haflux.url("front"));
        assert_eq!(page["backends"][0]["barrier"]["stale"], 4);
    }
}

#[test]
fn what_one_read_may_have_shown_no_later_one_misses() {
    let nodes = [well(), well()];
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&nodes[0], &nodes[1]], "rewind = \"100ms\"").replace(
        "check = false",
        "check = false\nread_wait = \"100ms\"\non_stale = \"reject\"",
    );
    let haflux = Haflux::start(folder.path(), &configuration);
    let write = |lines: &str| haflux.write("db", lines).status;
    wait_until("a replica to be known", SOON, || write("m v=1 1") == 204);
    // One write only: another one might still be on its way when the nodes become slow.
    wait_until("both replicas to have it", SOON, || {
        nodes.iter().all(|node| !node.written_lines().is_empty())
    });
    // Both are still at the next write, and may show it or not.
    for node in &nodes {
        node.behave(|request| match request.path() {
            "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
            "/write" => Behaviour::After(Duration::from_secs(4), Box::new(Behaviour::no_content())),
            _ => Behaviour::no_content(),
        });
    }
    let ask = |database: &str| read(&haflux.url("reads"), database, "SELECT v FROM m").status;
    std::thread::scope(|scope| {
        let written = scope.spawn(|| write("seen v=1 1"));
        wait_until("the write to be under way", SOON, || {
            nodes.iter().all(|node| {
                let writes = node.writes();
                writes.iter().any(|one| one.text().contains("seen"))
            })
        });
        assert_eq!(ask("db"), 200, "nothing was acknowledged");
        assert_eq!(ask("db"), 503, "it may have been seen");
        assert_eq!(ask("other"), 200);
        assert_eq!(written.join().expect("an answer"), 204);
    });
    wait_until("it to be everywhere", SOON, || ask("db") == 200);
}

/// Answers reads "old" as long as they are held, and "new" afterwards; all else as a node does.
fn held_or_new(request: &support::Request, is_held: &AtomicBool) -> Behaviour {
    let is_held = || is_held.load(Ordering::SeqCst);
    match request.path() {
        "/query" if request.target.contains("SELECT") && is_held() => {
            while is_held() {
                // As long as the node works on the read.
                std::thread::sleep(Duration::from_millis(5));
            }
            Behaviour::status(200, "old")
        }
        "/query" if request.target.contains("SELECT") => Behaviour::status(200, "new"),
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        _ => Behaviour::no_content(),
    }
}

#[test]
fn a_read_whose_node_went_back_meanwhile_is_asked_again() {
    let is_held = Arc::new(AtomicBool::new(false));
    let nodes = [well(), well()];
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = relay_over(&[&nodes[0], &nodes[1]], "rewind = \"100ms\"")
        .replace("check = false", "check = false\non_stale = \"reject\"");
    let haflux = Haflux::start(folder.path(), &configuration);
    let write = |line: &str| {
        let answer = haflux.write("db", line);
        let applied = answer.header("x-haflux-applied").map(str::to_owned);
        (answer.status, applied.unwrap_or_default())
    };
    wait_until("both replicas to be known", SOON, || {
        write("m v=1 1").0 == 204 && nodes.iter().all(|node| !node.writes().is_empty())
    });
    // The first one breaks off once, and has then to be sent again what it had; the second one lacks what is written.
    let (held, breaks_off) = (Arc::clone(&is_held), AtomicBool::new(true));
    nodes[0].behave(move |request| {
        if request.text().contains("twice") && breaks_off.swap(false, Ordering::SeqCst) {
            return Behaviour::Close;
        }
        held_or_new(request, &held)
    });
    nodes[1].behave(|request| match request.path() {
        "/query" => Behaviour::status(200, "of a node that lacks something"),
        "/write" if !request.body.is_empty() => Behaviour::status(503, "queue full\n"),
        _ => Behaviour::no_content(),
    });
    wait_until("a write that only one has", SOON, || {
        write("m v=2 1") == (204, "1/2".to_owned())
    });
    let ask = || read(&haflux.url("reads"), "db", "SELECT v FROM m");
    assert_eq!(ask().text(), "new");
    is_held.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let asked = nodes[0].requests_for("/query").len();
        let held = scope.spawn(ask);
        wait_until("the node to have the read", SOON, || {
            nodes[0].requests_for("/query").len() > asked
        });
        assert_eq!(write("twice v=1 1").0, 204);
        wait_until("the node to be sent again what it has", SOON, || {
            let lines = nodes[0].written_lines();
            lines.iter().filter(|line| *line == "twice v=1 1").count() > 2
        });
        wait_until("the node to be where it was", SOON, || {
            write("m v=3 1") == (204, "1/2".to_owned())
        });
        is_held.store(false, Ordering::SeqCst);
        let answer = held.join().expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "new"));
    });
    let page = status::page(&haflux.url("front"));
    assert_eq!(page["backends"][0]["barrier"]["repeated"], 1);
}
