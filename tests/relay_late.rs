//! What a node applies late, or has lost, is mended: rules W7 and R2. Stand-ins, because a real node cannot be told when to be late.

mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::http;
use support::wait::SOON;
use support::{Behaviour, Haflux, StandIn, relay_over, wait_until};

fn write(url: &str, lines: &str) -> u16 {
    http::post(&format!("{url}/write?db=telegraf"), lines).status
}

fn lines_at(replica: &StandIn) -> Vec<String> {
    let writes = replica.requests_for("/write");
    writes
        .iter()
        .flat_map(|request| {
            request
                .text()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_write_without_an_answer_and_all_that_followed_it_are_sent_again_in_order() {
    sent_again_in_order(|| Behaviour::Close);
}

#[test]
fn so_are_they_if_a_proxy_before_the_node_had_no_answer_from_it() {
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
            write(&url, &format!("late v={value} 7")) == 204
        });
    }
    // Once `rewind` has passed, the lane is sent again from the doubtful write on: were it to land late, it would be written over.
    wait_until("the lane to be sent again", Duration::from_secs(20), || {
        let lines = lines_at(&replica);
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
        lines_at(&replica)
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
    let lines = lines_at(replica);
    lines.iter().filter(|sent| *sent == line).count()
}

#[test]
fn what_a_life_shorter_than_rewind_had_under_way_is_sent_again_when_it_had_its_time() {
    // Nothing of that life is answered, so its cursor never leaves the journal's beginning.
    let replica = StandIn::start(|request| match request.path() {
        "/write" => Behaviour::Hang,
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
    let replica = StandIn::start(|request| match request.text().contains("doubtful") {
        true => Behaviour::Close,
        false => Behaviour::no_content(),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"3s\""));
    let (url, front) = (haflux.url("front"), haflux.address("front"));
    let other = format!("{url}/write?db=other");
    assert_eq!(http::post(&other, "trusted v=1 7").status, 204);
    send_and_forget(&front, "telegraf", "doubtful v=1 7");
    wait_until("it to be sent", SOON, || {
        times_sent(&replica, "doubtful v=1 7") > 0
    });
    // From now on it is taken; another database's write is held, and with it the going back.
    replica.behave(|request| match request.text().contains("held") {
        true => Behaviour::Hang,
        false => Behaviour::no_content(),
    });
    wait_until("both to be sent again and taken", SOON, || {
        times_sent(&replica, "doubtful v=1 7") > 1 && times_sent(&replica, "trusted v=1 7") > 1
    });
    send_and_forget(&front, "other", "held v=1 7");
    wait_until("what was in doubt to have had its time", SOON, || {
        haflux.log().contains("what had no answer is sent again")
    });
    // Long enough for the place that is saved to move on, if it were to: nothing outside shows that it does not.
    std::thread::sleep(Duration::from_secs(4));
    haflux.kill9();
    replica.behave(|_| Behaviour::no_content());
    let before = lines_at(&replica).len();
    haflux.restart();
    let sent_now = || lines_at(&replica).split_off(before);
    wait_until("what is behind it to be sent", SOON, || {
        sent_now().contains(&"held v=1 7".to_owned())
    });
    let sent_now = sent_now();
    assert!(
        sent_now.contains(&"doubtful v=1 7".to_owned()),
        "{sent_now:?}"
    );
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
    let (url, file) = (haflux.url("front"), haflux.file().display().to_string());
    let saved = || -> u64 {
        let inspected = Haflux::command(&["journal", "inspect", "--config", &file]).stdout;
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
            write(&url, &format!("m v={number} {number}"));
        }
        saved() > 100
    });
}

#[test]
fn a_node_that_died_is_sent_its_last_seconds_again() {
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"30s\""));
    let url = haflux.url("front");
    for value in 1..=3 {
        assert_eq!(write(&url, &format!("lost v={value} {value}")), 204);
    }
    wait_until("the replica to have all", SOON, || {
        lines_at(&replica).len() == 3
    });
    replica.refuse();
    assert_eq!(write(&url, "lost v=4 4"), 204);
    replica.accept_again();
    wait_until(
        "everything to be sent again, in order, and then what is new",
        SOON,
        || {
            // The last one also when it was sent to a connection that was being closed.
            let again = ["lost v=1 1", "lost v=2 2", "lost v=3 3", "lost v=4 4"];
            lines_at(&replica).ends_with(&again.map(str::to_owned))
        },
    );
}

#[test]
fn with_no_replica_answering_only_who_wrote_lately_may_write() {
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(
        folder.path(),
        &relay_over(&[&replica], "trust_for = \"1h\""),
    );
    let front = haflux.url("front");
    let write_as = |database: &str, user: &str| {
        let parameters = http::query_string(&[("db", database), ("u", user), ("p", "secret")]);
        http::post(&format!("{front}/write?{parameters}"), "trusted v=1 1")
    };
    assert_eq!(write_as("telegraf", "known").status, 204);
    replica.refuse();
    wait_until("the replica's absence to be known", SOON, || {
        write_as("other", "known").status == 503
    });
    assert_eq!(write_as("telegraf", "known").status, 204);
    let stranger = write_as("telegraf", "stranger");
    assert_eq!(stranger.status, 503);
    assert!(stranger.header("retry-after").is_some());
    replica.accept_again();
    wait_until(
        "the stranger to be judged by the replica again",
        SOON,
        || write_as("telegraf", "stranger").status == 204,
    );
    // Nothing of the stranger's was kept while nobody could judge it.
    let strangers = |request: &support::stand_in::Request| request.target.contains("u=stranger");
    assert!(
        replica
            .requests_for("/write")
            .iter()
            .filter(|request| strangers(request))
            .count()
            >= 1
    );
    assert!(!haflux.log().contains("secret"));
}

#[test]
fn an_answer_with_bytes_that_no_header_may_have_is_still_an_answer() {
    // InfluxDB repeats what a client sent in X-Influxdb-Error, control bytes included; a strict parser sees a broken answer.
    let replica = StandIn::start(|request| {
        if request.path() == "/ping" {
            return Behaviour::no_content();
        }
        let body = "{\"error\":\"unable to parse 'a\\u0001': missing fields\"}\n";
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\nX-Influxdb-Error: unable to parse 'a\u{1}\u{0}'\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Behaviour::Raw([head.as_bytes(), body.as_bytes()].concat())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], ""));
    let answer = http::raw(
        &haflux.address("front"),
        b"POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\na\x01",
        SOON,
    )
    .expect("an answer");
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[test]
fn a_replica_that_stays_away_costs_nothing() {
    // Away with a write in doubt whose time is over: there is nothing to do but to wait for the node.
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"200ms\"";
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let url = haflux.url("front");
    assert_eq!(write(&url, "away v=1 1"), 204);
    replica.refuse();
    assert_eq!(write(&url, "away v=2 2"), 204);
    let stat = format!("/proc/{}/stat", haflux.id());
    // User and system time in ticks of 10 ms: the 14th and 15th field, the 12th and 13th behind the name.
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(&stat).expect("a process");
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        fields[11..13]
            .iter()
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .sum()
    };
    // The pause is what is measured: longer than `rewind` first, then a stretch in which a loop would burn all of it.
    std::thread::sleep(Duration::from_secs(1));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(3));
    let burnt = ticks() - before;
    assert!(
        burnt < 100,
        "{burnt} of 300 ticks while there was nothing to do"
    );
}
