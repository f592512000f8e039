//! What got no answer, or was under way when haflux was killed: rule W7, over deaths and trouble that does not end. Stand-ins,
//! because a real node cannot be told when to be late.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, wait_until, write};

#[test]
fn a_write_without_an_answer_and_all_that_followed_it_are_sent_again_in_order() {
    sent_again_in_order(|| Behaviour::Close);
}

#[test]
fn what_a_proxy_before_the_node_had_no_answer_to_is_sent_again_in_order() {
    sent_again_in_order(|| Behaviour::status(504, "<html>Gateway Time-out</html>"));
    sent_again_in_order(|| Behaviour::status(502, "<html>Bad Gateway</html>"));
}

fn sent_again_in_order(no_answer: impl Fn() -> Behaviour + Send + Sync + 'static) {
    // The first write gets no answer, as if the node were still at it; everything else is taken at once.
    let unanswered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&unanswered);
    let replica = StandIn::start(move |request| {
        if request.text().contains("late v=1") && count.fetch_add(1, Ordering::Relaxed) == 0 {
            return no_answer();
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"2s\""));
    let url = haflux.url("front");
    for value in 1..=3 {
        // Nobody is trusted while no replica answers: that is over in a moment.
        wait_until("a write to be taken", SOON, || {
            write(&url, "telegraf", format!("late v={value} 7")).status == 204
        });
    }
    // Once `rewind` has passed, the lane is sent again from the doubtful write on: were it to land late, it would be written over.
    wait_until("the lane to be sent again", Duration::from_secs(20), || {
        let lines = replica.written_lines();
        let last_of = |value: u32| {
            lines
                .iter()
                .rposition(|line| *line == format!("late v={value} 7"))
        };
        lines.iter().filter(|line| *line == "late v=3 7").count() >= 2
            && last_of(1) < last_of(2)
            && last_of(2) < last_of(3)
    });
    assert_eq!(
        unanswered.load(Ordering::Relaxed),
        replica
            .written_lines()
            .iter()
            .filter(|line| *line == "late v=1 7")
            .count()
    );
}

/// A write whose answer nobody waits for.
fn send_and_forget(address: &str, database: &str, line: &str) {
    let length = line.len();
    let request = format!(
        "POST /write?db={database} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{line}"
    );
    let mut connection = TcpStream::connect(address).expect("haflux listens");
    connection.write_all(request.as_bytes()).expect("it reads");
}

fn times_sent(replica: &StandIn, line: &str) -> usize {
    let lines = replica.written_lines();
    lines.iter().filter(|sent| *sent == line).count()
}

#[test]
fn what_a_life_shorter_than_rewind_had_under_way_is_sent_again_when_it_had_its_time() {
    // Nothing of that life is answered, so its cursor never leaves the journal's beginning.
    let replica = StandIn::start(|request| match request.path() {
        "/write" if !request.text().is_empty() => Behaviour::Hang,
        _ => Behaviour::no_content(),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"2s\""));
    let front = haflux.address("front");
    send_and_forget(&front, "telegraf", "early v=1 7");
    wait_until("it to be sent", SOON, || {
        times_sent(&replica, "early v=1 7") == 1
    });
    haflux.kill9();
    replica.behave(|_| Behaviour::no_content());
    haflux.restart();
    wait_until("it to be sent at once, and again later", SOON, || {
        times_sent(&replica, "early v=1 7") == 3
    });
}

#[test]
fn a_kill_before_what_was_in_doubt_is_sent_again_does_not_forget_it() {
    // The first ones get no answer; a later write of the database is held, so that the database cannot be sent again.
    let tries = AtomicUsize::new(0);
    let replica = StandIn::start(move |request| {
        let text = request.text();
        if text.contains("held") {
            Behaviour::Hang
        } else if text.contains("doubtful") && tries.fetch_add(1, Ordering::Relaxed) < 2 {
            Behaviour::Close
        } else {
            Behaviour::no_content()
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"2s\""));
    let (url, front) = (haflux.url("front"), haflux.address("front"));
    assert_eq!(write(&url, "telegraf", "trusted v=1 7").status, 204);
    send_and_forget(&front, "telegraf", "doubtful v=1 7");
    wait_until("it to be sent again and taken", SOON, || {
        times_sent(&replica, "doubtful v=1 7") > 2
    });
    send_and_forget(&front, "telegraf", "held v=1 7");
    wait_until("the held one to be sent", SOON, || {
        times_sent(&replica, "held v=1 7") > 0
    });
    // Long enough for the doubt to have had its time, and for the place that is saved to move on, if it were to: nothing outside
    // shows that it does not.
    std::thread::sleep(Duration::from_secs(5));
    haflux.kill9();
    replica.behave(|_| Behaviour::no_content());
    let before = replica.written_lines().len();
    haflux.restart();
    wait_until("it and what is behind it to be sent", SOON, || {
        let sent_now = replica.written_lines().split_off(before);
        ["doubtful v=1 7", "held v=1 7"]
            .iter()
            .all(|line| sent_now.iter().any(|sent| sent == line))
    });
}

#[test]
fn a_kill_while_a_database_is_sent_again_does_not_forget_the_rest() {
    // What is sent again is held at its second record.
    let (tries, is_held) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let held = Arc::clone(&is_held);
    let replica = StandIn::start(move |request| {
        let text = request.text();
        if text.contains("doubtful") && tries.fetch_add(1, Ordering::Relaxed) == 0 {
            return Behaviour::Close;
        }
        if text.contains("second") && held.fetch_add(1, Ordering::Relaxed) > 0 {
            return Behaviour::Hang;
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    // One record a request.
    let keys = "rewind = \"1s\"\nmax_batch = \"1KiB\"";
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let url = haflux.url("front");
    assert_eq!(write(&url, "telegraf", "trusted v=1 7").status, 204);
    for line in ["doubtful v=1 7", "second v=1 7", "third v=1 7"] {
        let long = format!("{line}\n# {}", "x".repeat(900));
        wait_until("a write to be taken", SOON, || {
            write(&url, "telegraf", &long).status == 204
        });
    }
    wait_until("the second one to be sent again and held", SOON, || {
        is_held.load(Ordering::Relaxed) > 1
    });
    std::thread::sleep(Duration::from_secs(2));
    haflux.kill9();
    replica.behave(|_| Behaviour::no_content());
    let before = replica.written_lines().len();
    haflux.restart();
    wait_until("all that was to be sent again to be sent", SOON, || {
        let sent_now = replica.written_lines().split_off(before);
        ["second v=1 7", "third v=1 7"]
            .iter()
            .all(|line| sent_now.iter().any(|sent| sent == line))
    });
}

#[test]
fn a_node_that_keeps_leaving_requests_without_an_answer_is_not_kept_at_the_first_of_them() {
    const PACE: Duration = Duration::from_millis(700);
    let closed = Mutex::new(Instant::now());
    let replica = StandIn::start(move |request| {
        // The same process all the time: it has lost nothing.
        if request.path() == "/debug/vars" {
            return Behaviour::status(200, "{\"system\": {\"started\":\"2026-01-01T00:00:00Z\"}}");
        }
        let mut closed = closed.lock().expect("nobody panics with it");
        if request.path() == "/write" && closed.elapsed() > PACE {
            *closed = Instant::now();
            return Behaviour::Close;
        }
        Behaviour::no_content()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"1s\""));
    let url = haflux.url("front");
    let saved = || -> u64 {
        let inspected = haflux.told(&["journal", "inspect"]).stdout;
        let inspected = String::from_utf8_lossy(&inspected).into_owned();
        let row = inspected
            .lines()
            .find_map(|line| line.strip_prefix("node0"));
        row.and_then(|row| row.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    let mut number = 0;
    wait_until("the place that is saved to move on", SOON, || {
        for _ in 0..20 {
            number += 1;
            write(&url, "telegraf", format!("m v={number} {number}"));
        }
        saved() > 100
    });
}
