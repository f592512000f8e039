//! Records that a replica leaves without a verdict are set aside there, and nobody else waits for them (rule N2). Stand-ins, because no
//! real node can be told which request ends it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::http::{self, Answer};
use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, status, wait_until};

const DONE: &str = "{\"results\":[{\"statement_id\":0}]}\n";

/// Takes everything but what `is_poison`, which gets `fault`.
fn choosy(
    fault: Behaviour,
    is_poison: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> StandIn {
    StandIn::start(move |request| {
        if is_poison(request) {
            return fault.clone();
        }
        match request.path() {
            "/query" => Behaviour::status(200, DONE),
            _ => Behaviour::no_content(),
        }
    })
}

fn holds_poison(request: &Request) -> bool {
    request.path() == "/write" && request.text().contains("poison")
}

fn start(folder: &tempfile::TempDir, replicas: &[&StandIn], keys: &str) -> Haflux {
    Haflux::start(folder.path(), &relay_over(replicas, keys))
}

/// A figure of a replica on the status page.
fn figure(haflux: &Haflux, replica: usize, name: &str) -> u64 {
    let relay = status::relay(&haflux.url("front"));
    relay["replicas"][replica][name].as_u64().expect("a number")
}

/// How often the node was sent exactly this.
fn times(node: &StandIn, text: &str) -> usize {
    let requests = node.writes();
    requests.iter().filter(|one| one.text() == text).count()
}

fn has(node: &StandIn, line: &str) -> bool {
    node.written_lines().iter().any(|known| known == line)
}

fn dead_letters(haflux: &Haflux) -> String {
    haflux.order(&["dead-letters", "list"])
}

#[test]
fn a_request_that_cuts_the_connection_is_set_aside_and_only_it() {
    let [a, b] = [(); 2].map(|()| choosy(Behaviour::Close, holds_poison));
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = start(&folder, &[&a, &b], "rewind = \"2s\"");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    assert_eq!(haflux.write("other", "known v=0 0").status, 204);
    std::thread::scope(|scope| {
        let poison = scope.spawn(|| haflux.write("db", "poison v=1 1"));
        let mut slowest = Duration::ZERO;
        for point in 1..=40 {
            for database in ["db", "other"] {
                let begun = Instant::now();
                let answer = haflux.write(database, format!("good v={point} {point}"));
                assert_eq!(answer.status, 204, "{}", answer.text());
                slowest = slowest.max(begun.elapsed());
            }
        }
        println!("the slowest good write took {slowest:?}");
        assert_eq!(poison.join().expect("an answer").status, 504);
    });
    wait_until("both to have set it aside", SOON, || {
        (0..2).all(|replica| figure(&haflux, replica, "set_aside") == 1)
    });
    for node in [&a, &b] {
        wait_until("all of the good ones", SOON, || has(node, "good v=40 40"));
        assert_eq!(times(node, "poison v=1 1"), 3, "alone, so often");
    }
    let letters = dead_letters(&haflux);
    assert_eq!(
        letters.matches("no verdict after 3 attempts").count(),
        2,
        "{letters}"
    );
    // Both lack it, so they do not differ, and reads go on once nothing of it can land late.
    let query = format!("{}/query?db=db&q=SELECT+v+FROM+good", haflux.url("reads"));
    wait_until("a fresh read", SOON, || {
        let read = http::get(&query);
        assert_eq!(read.status, 200);
        read.header("x-haflux-stale").is_none()
    });
    assert_eq!(
        times(&a, "poison v=1 1"),
        3,
        "it went back, and not to that"
    );
    // What is set aside stays so. The stand-ins hold no points, so they do not let anybody ask for one.
    for node in [&a, &b] {
        node.behave(|request| match request.path() {
            "/query" => Behaviour::status(403, "{\"error\":\"forbidden\"}"),
            _ => Behaviour::no_content(),
        });
    }
    haflux.kill9();
    haflux.restart();
    assert_eq!(haflux.write("db", "later v=1 1").status, 204);
    wait_until("what came later", SOON, || has(&a, "later v=1 1"));
    assert_eq!(times(&a, "poison v=1 1"), 3);
}

#[test]
fn the_culprit_of_a_joined_request_is_found() {
    let gate = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&gate);
    let node = StandIn::start(move |request| {
        let begun = Instant::now();
        while request.text().contains("first")
            && held.load(Ordering::SeqCst)
            && begun.elapsed() < SOON
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        if holds_poison(request) {
            return Behaviour::Close;
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| haflux.write("db", "first v=1 1"));
        wait_until("the first one under way", SOON, || {
            has(&node, "first v=1 1")
        });
        let mut others = Vec::new();
        for number in 0..40 {
            let haflux = &haflux;
            others.push(scope.spawn(move || {
                let line = match number % 20 {
                    7 => format!("poison v=1 {number}"),
                    _ => format!("good v=1 {number}"),
                };
                (number, haflux.write("db", &line).status)
            }));
        }
        wait_until("the others to be journaled", SOON, || {
            status::relay(&haflux.url("front"))["records"] == 42
        });
        gate.store(false, Ordering::SeqCst);
        assert_eq!(first.join().expect("an answer").status, 204);
        for other in others {
            let (number, status) = other.join().expect("an answer");
            let expected = if number % 20 == 7 { 504 } else { 204 };
            assert_eq!(status, expected, "{number}");
        }
    });
    assert_eq!(figure(&haflux, 0, "set_aside"), 2);
    for number in 0..40 {
        let line = format!("good v=1 {number}");
        assert_eq!(has(&node, &line), number % 20 != 7, "{line}");
    }
}

#[test]
fn a_request_that_is_never_answered_holds_its_lane_for_its_attempts_only() {
    let node = choosy(Behaviour::Hang, holds_poison);
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "timeout = \"1s\"\nmax_attempts = 2");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    assert_eq!(haflux.write("other", "known v=0 0").status, 204);
    let begun = Instant::now();
    assert_eq!(haflux.write("db", "poison v=1 1").status, 504);
    let applied = |answer: &Answer| {
        assert_eq!(answer.status, 204, "{}", answer.text());
        answer.header("x-haflux-applied") == Some("1/1")
    };
    // Another database notices nothing; this one is vouched for by the journal until the record is set aside.
    let mut point = 0;
    wait_until("the lane to go on", SOON, || {
        point += 1;
        let line = format!("good v=1 {point}");
        assert!(applied(&haflux.write("other", &line)));
        applied(&haflux.write("db", &line))
    });
    println!("it took {:?}", begun.elapsed());
    assert_eq!(figure(&haflux, 0, "set_aside"), 1);
    assert_eq!(times(&node, "poison v=1 1"), 2);
}

#[test]
fn several_in_a_row_are_set_aside_though_nothing_else_comes() {
    let node = choosy(Behaviour::Close, holds_poison);
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "timeout = \"1s\"");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    assert_eq!(haflux.write("db", "poison v=1 1").status, 504);
    wait_until("the only one to be set aside", SOON, || {
        figure(&haflux, 0, "set_aside") == 1
    });
    // Of several the node must show that it takes anything at all.
    for number in 2..=4 {
        haflux.write("db", format!("poison v=1 {number}"));
    }
    assert_eq!(haflux.write("db", "good v=1 5").status, 204);
    wait_until("all to be set aside", SOON, || {
        figure(&haflux, 0, "set_aside") == 4
    });
    assert!(has(&node, "good v=1 5"));
}

#[test]
fn a_node_that_serves_nobody_sets_nothing_aside_and_fills_no_log() {
    // It answers questions: an empty write, a ping. Whatever holds a line it cuts, leaves without an answer, or turns away.
    for fault in [
        Behaviour::Close,
        Behaviour::Hang,
        Behaviour::status(
            500,
            "{\"error\":\"engine: cache-max-memory-size exceeded: (9/8)\"}\n",
        ),
    ] {
        let is_well = Arc::new(AtomicBool::new(true));
        let well = Arc::clone(&is_well);
        let node = choosy(fault.clone(), move |request| {
            let holds_a_line = request.path() == "/write" && !request.text().is_empty();
            holds_a_line && !well.load(Ordering::SeqCst)
        });
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = relay_over(&[&node], "timeout = \"1s\"\nmax_attempts = 2")
            .replace("max = \"200ms\"", "max = \"2s\"");
        let haflux = Haflux::start(folder.path(), &configuration);
        assert_eq!(haflux.write("db", "known v=0 0").status, 204);
        is_well.store(false, Ordering::SeqCst);
        for point in 1..=5 {
            let status = haflux.write("db", format!("good v=1 {point}")).status;
            assert!(matches!(status, 204 | 504), "{status}");
        }
        let before = node.writes().len();
        std::thread::sleep(Duration::from_secs(6));
        let tries = node.writes().len() - before;
        assert!(tries <= 20, "{fault:?}: {tries} tries in six seconds");
        let log = haflux.log();
        let told = log
            .lines()
            .filter(|line| line.contains("waits: ") || line.contains("takes no writes"))
            .count();
        assert!(told <= 20, "{fault:?}: told {told} times\n{log}");
        assert_eq!(figure(&haflux, 0, "set_aside"), 0, "{fault:?}");
        is_well.store(true, Ordering::SeqCst);
        wait_until("all of them, in order", SOON, || {
            let lines = node.written_lines();
            let after = lines.iter().rev().take(5).rev();
            after.eq((1..=5)
                .map(|point| format!("good v=1 {point}"))
                .collect::<Vec<_>>()
                .iter())
        });
        assert_eq!(figure(&haflux, 0, "set_aside"), 0, "{fault:?}");
    }
}

#[test]
fn the_count_outlives_a_restart() {
    let node = choosy(Behaviour::Hang, holds_poison);
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = start(&folder, &[&node], "timeout = \"2s\"");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    std::thread::scope(|scope| {
        let url = haflux.url("front");
        scope.spawn(move || {
            // Cut off by the kill.
            let _ = http::try_request("POST", &format!("{url}/write?db=db"), &[], b"poison v=1 1");
        });
        wait_until("the third attempt", SOON, || {
            times(&node, "poison v=1 1") == 3
        });
        wait_until("two counted", SOON, || figure(&haflux, 0, "tried") == 1);
        haflux.kill9();
    });
    haflux.restart();
    let answer = haflux.write("db", "good v=1 2");
    assert_eq!(answer.status, 204);
    wait_until("it to be set aside", SOON, || {
        figure(&haflux, 0, "set_aside") == 1
    });
    assert_eq!(
        times(&node, "poison v=1 1"),
        4,
        "two, one that was cut off, and the last"
    );
}

#[test]
fn a_statement_that_cuts_the_connection_is_set_aside() {
    let node = choosy(Behaviour::Close, |request| {
        request.path() == "/query" && request.text().contains("poison")
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "rewind = \"1s\"");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    let statement = |name: &str| haflux.query("", &format!("CREATE DATABASE {name}"));
    let answer = statement("poison");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(statement("good").status, 200);
    assert_eq!(figure(&haflux, 0, "set_aside"), 1);
    assert!(dead_letters(&haflux).contains("stmt"));
}

#[test]
fn a_person_passes_over_what_a_node_never_answers() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let node = choosy(Behaviour::Hang, move |request| {
        let is_poison = holds_poison(request);
        counted.fetch_add(usize::from(is_poison), Ordering::SeqCst);
        is_poison
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "timeout = \"60s\"");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    // The cursor is shown after the client is answered.
    wait_until("the cursor to be shown", SOON, || {
        figure(&haflux, 0, "cursor") > 0
    });
    let cursor = figure(&haflux, 0, "cursor");
    std::thread::scope(|scope| {
        let poison = scope.spawn(|| haflux.write("db", "poison v=1 1"));
        wait_until("it to be under way", SOON, || {
            asked.load(Ordering::SeqCst) == 1
        });
        let sequence = (cursor + 1).to_string();
        let name = "node0";
        haflux.refuses(&["replica", "skip", "nobody", &sequence]);
        let out = haflux.refuses(&["replica", "skip", name, &cursor.to_string()]);
        assert!(out.contains("already"), "{out}");
        let out = haflux.refuses(&["replica", "skip", name, "999999999"]);
        assert!(out.contains("no record"), "{out}");
        let out = haflux.order(&["replica", "skip", name, &sequence]);
        assert!(out.contains("is set aside"), "{out}");
        let answer = haflux.write("db", "good v=1 2");
        assert_eq!(answer.header("x-haflux-applied"), Some("1/1"));
        assert_eq!(poison.join().expect("an answer").status, 504);
    });
    assert!(dead_letters(&haflux).contains("passed over by a person"));
}

#[test]
fn what_was_suspended_and_taken_after_all_is_followed_by_what_overtook_it() {
    let (applied, cuts) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let kept = Arc::clone(&applied);
    let node = StandIn::start(move |request| {
        let text = request.text();
        if text.contains("flaky v=1 7") && cuts.fetch_add(1, Ordering::SeqCst) < 2 {
            return Behaviour::Close;
        }
        let lines = text.lines().map(str::to_owned);
        kept.lock().expect("the lines").extend(lines);
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = start(&folder, &[&node], "");
    assert_eq!(haflux.write("db", "known v=0 0").status, 204);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| haflux.write("db", "flaky v=1 7"));
        wait_until("the first one to be tried", SOON, || {
            has(&node, "flaky v=1 7")
        });
        assert_eq!(haflux.write("db", "flaky v=2 7").status, 204);
        assert_eq!(first.join().expect("an answer").status, 204);
    });
    wait_until("the second one behind the first", SOON, || {
        let lines = applied.lock().expect("the lines");
        let place = |line: &str| lines.iter().rposition(|known| known == line);
        place("flaky v=1 7").is_some() && place("flaky v=1 7") < place("flaky v=2 7")
    });
    assert_eq!(figure(&haflux, 0, "set_aside"), 0);
}
