//! What each replica makes of a record is its own affair, and what a client hears comes of all of them: rules W1, W2, W4 and W5.
//! Stand-ins, because a real node cannot be told when to refuse.

use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, status, wait_until};

const DONE: &str = "{\"results\":[{\"statement_id\":0}]}\n";
/// A point, whichever is asked for.
const POINT: &str = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]}]}]}\n";
const NO_DATABASE: &str = "{\"error\":\"database not found: \\\"db\\\"\"}\n";

/// Takes everything but writes with this word in them, which get this answer.
fn refusing(word: &'static str, status: u16, body: &'static str) -> StandIn {
    let node = StandIn::healthy();
    node.behave(move |request| match request.path() {
        "/write" if request.text().contains(word) => Behaviour::status(status, body),
        _ => taken(request),
    });
    node
}

fn taken(request: &Request) -> Behaviour {
    match request.path() {
        "/query" if request.target.contains("SELECT") => Behaviour::status(200, POINT),
        "/query" => Behaviour::status(200, DONE),
        _ => Behaviour::no_content(),
    }
}

fn taking() -> StandIn {
    StandIn::start(taken)
}

/// Requests to write with this word in them.
fn sent(node: &StandIn, word: &str) -> usize {
    let writes = node.writes();
    writes
        .iter()
        .filter(|request| request.text().contains(word))
        .count()
}

fn start(folder: &tempfile::TempDir, nodes: &[&StandIn], keys: &str) -> Haflux {
    let keys = format!("rewind = \"100ms\"\n{keys}");
    let haflux = Haflux::start(folder.path(), &relay_over(nodes, &keys));
    wait_until("the replicas to be known", SOON, || {
        haflux.write("db", "known v=1 1").status == 204
            && nodes.iter().all(|node| sent(node, "known") > 0)
    });
    haflux
}

#[test]
fn a_replica_that_was_away_gets_what_the_other_one_refused_and_a_restart_forgets_no_refusal() {
    for restart in [false, true] {
        let refuses = refusing("bad", 400, "{\"error\":\"field type conflict\"}\n");
        let mut away = taking();
        let folder = tempfile::tempdir().expect("a folder");
        let mut haflux = start(&folder, &[&refuses, &away], "");
        away.refuse();
        wait_until("its absence to be known", SOON, || {
            let answer = haflux.write("db", "alone v=1 1");
            answer.header("x-haflux-applied") == Some("1/2")
        });
        assert_eq!(haflux.write("db", "bad v=1 1\ngood v=1 1").status, 400);
        if restart {
            // Behind a statement nothing is sent again, so the one that refused will not say so once more.
            assert_eq!(haflux.query("", "CREATE DATABASE later").status, 200);
            haflux.terminate();
            haflux.restart();
        }
        away.accept_again();
        wait_until("the refused record at the other", SOON, || {
            sent(&away, "bad v=1 1\ngood v=1 1") > 0
        });
        haflux.says("the replicas differ");
        assert_eq!(sent(&refuses, "bad"), 1);
    }
}

/// What 1.12.3 and newer say of one dropped point: it was written at this time, and the retention policy ends at that one.
macro_rules! dropped_at {
    ($time:literal, $bound:literal) => {
        concat!(
            "{\"error\":\"partial write: dropped 1 points outside retention policy of duration 2400h0m0s and 0 points outside ",
            "write window (-5s) - oldest point m at ", $time, " dropped because it violates a Retention Policy Lower Bound at ",
            $bound, ", newest point m at ", $time, " dropped because it violates a Retention Policy Lower Bound at ", $bound,
            " dropped=1 for database: db for retention policy: r\"}\n"
        )
    };
}

#[test]
fn points_that_one_replica_finds_too_old_are_no_dead_letter() {
    for body in [
        "{\"error\":\"partial write: points beyond retention policy dropped=1\"}\n",
        dropped_at!("2026-01-01T00:00:00Z", "2026-01-01T00:00:12.000000001Z"),
    ] {
        let takes = taking();
        let drops = refusing("old", 400, body);
        let folder = tempfile::tempdir().expect("a folder");
        let haflux = start(&folder, &[&takes, &drops], "");
        assert_eq!(haflux.write("db", "old v=1 1").status, 204);
        wait_until("it to be counted", SOON, || {
            status::replica(&haflux.url("front"), 1)["expired"] == 1
        });
        assert_eq!(status::replica(&haflux.url("front"), 1)["refused"], 0);
        let log = haflux.log();
        assert!(!log.contains("the replicas differ"), "{log}");
    }
}

#[test]
fn points_that_a_limit_of_one_replica_forbids_are_a_difference() {
    // The name of the bound is the same as that of points that are too old.
    for body in [
        dropped_at!("2026-01-01T00:00:12Z", "2025-09-23T00:00:24Z"),
        "{\"error\":\"partial write: points beyond retention policy or outside permissible write window dropped=1 for database: db \
         for retention policy: r\"}\n",
    ] {
        let takes = taking();
        let drops = refusing("late", 400, body);
        let folder = tempfile::tempdir().expect("a folder");
        let haflux = start(&folder, &[&takes, &drops], "");
        assert_eq!(haflux.write("db", "late v=1 1").status, 204);
        haflux.says("the replicas differ");
        let replica = status::replica(&haflux.url("front"), 1);
        assert_eq!(
            (&replica["expired"], &replica["refused"]),
            (&0.into(), &1.into())
        );
    }
}

#[test]
fn a_shard_that_one_replica_could_not_open_holds_its_database_only_and_for_its_time() {
    let takes = taking();
    let body = "{\"error\":\"not attempting to open shard 3; opening shard previously failed with: [shard 3] open /x: permission denied\"}\n";
    let fails = refusing("cold", 500, body);
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(
        &folder,
        &[&takes, &fails],
        "ack = \"all\"\nhold_for = \"3s\"\ntimeout = \"20s\"",
    );
    std::thread::scope(|scope| {
        let held = scope.spawn(|| haflux.write("db", "cold v=1 1"));
        wait_until("it to be tried", SOON, || sent(&fails, "cold") > 0);
        let other = haflux.write("other", "warm v=1 1");
        assert_eq!(
            (other.status, other.header("x-haflux-applied")),
            (204, Some("2/2"))
        );
        let held = held.join().expect("an answer");
        assert_eq!(held.status, 504, "{}", held.text());
        assert_eq!(held.header("x-haflux-applied"), Some("1/2"));
    });
    haflux.says("the replicas differ");
    // The other shards of that database go on.
    let warm = haflux.write("db", "warm v=2 1");
    assert_eq!(
        (warm.status, warm.header("x-haflux-applied")),
        (204, Some("2/2"))
    );
    let advice = "restart influxd there";
    haflux.says(advice);
    assert_eq!(haflux.log().matches(advice).count(), 1);
}

#[test]
fn what_no_replica_takes_is_answered_and_passed_over() {
    let nodes = [(); 2].map(|()| refusing("lost", 404, NO_DATABASE));
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&nodes[0], &nodes[1]], "");
    let answer = haflux.write("db", "lost v=1 1");
    assert_eq!(answer.status, 404, "{}", answer.text());
    // By their counts: the head, and so the lag, is a moment old.
    wait_until("both to be through with it", SOON, || {
        (0..2).all(|number| status::replica(&haflux.url("front"), number)["refused"] == 1)
    });
    for node in &nodes {
        node.behave(taken);
    }
    let tries = nodes.each_ref().map(|node| sent(node, "lost"));
    assert_eq!(haflux.write("db", "later v=1 1").status, 204);
    wait_until("the next write at both", SOON, || {
        nodes.iter().all(|node| sent(node, "later") > 0)
    });
    assert_eq!(nodes.each_ref().map(|node| sent(node, "lost")), tries);
}

#[test]
fn what_one_replica_lacks_does_not_keep_it_from_the_statement_behind() {
    let takes = taking();
    let lacks = refusing("held", 404, NO_DATABASE);
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&takes, &lacks], "");
    assert_eq!(haflux.write("db", "held v=1 1").status, 204);
    wait_until("it to be tried", SOON, || sent(&lacks, "held") > 0);
    assert_eq!(haflux.query("", "CREATE DATABASE db").status, 200);
    wait_until("the statement at both", SOON, || {
        let all = lacks.requests();
        all.iter()
            .any(|request| (request.target.clone() + &request.text()).contains("CREATE"))
    });
    haflux.says("the replicas differ");
}

#[test]
fn a_policy_that_is_not_met_in_time_is_no_success() {
    let takes = taking();
    let hangs = taking();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "ack = \"all\"\ntimeout = \"1s\"";
    let haflux = start(&folder, &[&takes, &hangs], keys);
    hangs.behave(|request| match request.path() {
        "/write" => Behaviour::Hang,
        _ => taken(request),
    });
    let answer = haflux.write("db", "late v=1 1");
    assert_eq!(
        (answer.status, answer.header("x-haflux-applied")),
        (504, Some("1/2"))
    );
    let text = answer.text();
    assert!(text.contains("journaled, applied by 1 of 2"), "{text}");
    hangs.behave(taken);
    wait_until("the write at the other one", SOON, || {
        status::replica(&haflux.url("front"), 1)["lag"]["records"] == 0
    });
}
