//! A node that never ends a statement, although it answers everything else: haflux waits for it as long as its connection lives
//! (rule S3), says so, and lets its backlog go past the limits (rule R3). Stand-ins, because a real node cannot be made to hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, status, wait_until};

const DONE: &str = "{\"results\":[{\"statement_id\":0}]}\n";

fn is_statement(request: &Request) -> bool {
    let text = request.target.clone() + &request.text();
    request.path() == "/query" && text.contains("INTO")
}

/// A node that takes everything, and hangs at statements while `hangs`.
fn node(hangs: &Arc<AtomicBool>) -> StandIn {
    let hangs = Arc::clone(hangs);
    StandIn::start(move |request| match request.path() {
        "/query" => {
            let began = Instant::now();
            while is_statement(request) && hangs.load(Ordering::SeqCst) && began.elapsed() < SOON {
                sleep(Duration::from_millis(10));
            }
            Behaviour::status(200, DONE)
        }
        _ => Behaviour::no_content(),
    })
}

/// Two nodes that hang at statements, or do not, behind a haflux that knows both.
struct Scene {
    hangs: [Arc<AtomicBool>; 2],
    haflux: Haflux,
    _nodes: [StandIn; 2],
    _folder: tempfile::TempDir,
}

impl Scene {
    fn start(hangs: [bool; 2], keys: &str) -> Scene {
        let hangs = hangs.map(|hangs| Arc::new(AtomicBool::new(hangs)));
        let nodes = [node(&hangs[0]), node(&hangs[1])];
        let folder = tempfile::tempdir().expect("a folder");
        let keys = format!("rewind = \"100ms\"\nnear = {{ time = \"1s\" }}\n{keys}");
        let configuration = relay_over(&[&nodes[0], &nodes[1]], &keys);
        let haflux = Haflux::start(folder.path(), &configuration);
        wait_until("both nodes to be known", SOON, || {
            haflux.write("db", "known v=1 1").status == 204
                && nodes.iter().all(|node| !node.writes().is_empty())
        });
        Scene {
            hangs,
            haflux,
            _nodes: nodes,
            _folder: folder,
        }
    }

    /// States something that nodes may hang at, and gives the status of its answer.
    fn state(&self) -> u16 {
        self.haflux
            .query("db", "SELECT v INTO copy FROM known")
            .status
    }

    fn let_go(&self) {
        for hangs in &self.hangs {
            hangs.store(false, Ordering::SeqCst);
        }
    }

    fn replica(&self, number: usize) -> Value {
        status::replica(&self.haflux.url("front"), number)
    }

    fn has_status(&self, number: usize, status: &str) -> bool {
        self.replica(number)["status"] == status
    }

    fn wait_for_status(&self, number: usize, status: &str) {
        wait_until(&format!("node{number} to be {status}"), SOON, || {
            self.has_status(number, status)
        });
    }
}

#[test]
fn a_node_that_hangs_at_a_statement_is_lagging_and_what_it_waits_for_is_said() {
    let scene = Scene::start([true, false], "statement_timeout = \"1s\"");
    scene.state();
    scene.wait_for_status(0, "lagging");
    let reason = || scene.replica(0)["last_error"]["text"].to_string();
    wait_until("the reason", SOON, || reason().contains("SELECT INTO"));
    assert!(
        reason().contains("haflux replica skip node0"),
        "{}",
        reason()
    );
    assert!(scene.has_status(1, "fresh"));
    let shown = scene.haflux.order(&["replica", "status"]);
    assert!(shown.contains("SELECT INTO"), "{shown}");
    wait_until("the page to name it among what is wrong", SOON, || {
        let page = status::page(&scene.haflux.url("front"))["problems"].to_string();
        page.contains("node0 is behind") && page.contains("SELECT INTO")
    });
    scene.let_go();
    scene.wait_for_status(0, "fresh");
}

#[test]
fn a_node_that_hangs_at_a_statement_past_max_backlog_age_is_diverged() {
    let keys = "statement_timeout = \"1s\"\nmax_backlog_age = \"3s\"";
    let scene = Scene::start([true, false], keys);
    scene.state();
    scene.wait_for_status(0, "diverged");
    scene
        .haflux
        .says("replica node0 is diverged: it has been behind");
    assert!(scene.has_status(1, "fresh"));
}

#[test]
fn a_node_that_hangs_at_a_statement_past_max_backlog_is_diverged() {
    let keys = "statement_timeout = \"1s\"\nmax_backlog = \"1MiB\"";
    let scene = Scene::start([true, false], keys);
    scene.state();
    for time in 0..4 {
        let line = format!("large padding=\"{}\" {time}", "x".repeat(500_000));
        assert_eq!(scene.haflux.write("other", line).status, 204);
    }
    scene.wait_for_status(0, "diverged");
    assert!(scene.has_status(1, "fresh"));
}

#[test]
fn while_all_nodes_are_at_a_statement_none_is_diverged() {
    let keys = "statement_timeout = \"1s\"\nmax_backlog_age = \"2s\"";
    let scene = Scene::start([true, true], keys);
    scene.state();
    for number in [0, 1] {
        scene.wait_for_status(number, "lagging");
    }
    // What is looked for is that nothing happens, so that time has to pass.
    sleep(Duration::from_secs(3));
    for number in [0, 1] {
        assert!(
            scene.has_status(number, "lagging"),
            "{}",
            scene.replica(number)
        );
    }
}

#[test]
fn the_time_for_which_another_node_is_first_at_a_statement_does_not_count() {
    let keys = "statement_timeout = \"1m\"\nmax_backlog_age = \"3s\"";
    let scene = Scene::start([true, true], keys);
    std::thread::scope(|scope| {
        let stated = scope.spawn(|| scene.state());
        wait_until("one node to be lagging", SOON, || {
            [0, 1]
                .iter()
                .any(|number| scene.has_status(*number, "lagging"))
        });
        let statuses = [0, 1].map(|number| scene.replica(number)["status"].take());
        assert!(statuses.contains(&Value::from("fresh")), "{statuses:?}");
        assert_eq!(scene.haflux.write("db", "behind v=1 2").status, 204);
        sleep(Duration::from_secs(4));
        scene.let_go();
        assert_eq!(stated.join().expect("an answer"), 200);
    });
    for number in [0, 1] {
        scene.wait_for_status(number, "fresh");
    }
    let log = scene.haflux.log();
    assert!(!log.contains("is diverged"), "{log}");
}
