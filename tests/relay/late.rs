//! What a node applies late, or has lost, is mended: rules W7 and R2. Stand-ins, because a real node cannot be told when to be late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support;
use crate::support::http;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, wait_until, write};

fn lines_of(replica: &StandIn, measurement: &str) -> Vec<String> {
    let mut lines = replica.written_lines();
    lines.retain(|line| line.starts_with(measurement));
    lines
}

/// Takes everything, and says that its process is always the same one: so nothing is sent again because it may have died. The
/// first write with this word gets `fault`.
fn same_process(word: &'static str, fault: Behaviour) -> StandIn {
    let is_first = AtomicBool::new(true);
    StandIn::start(move |request| match request.path() {
        "/write" if request.text().contains(word) && is_first.swap(false, Ordering::SeqCst) => {
            fault.clone()
        }
        "/debug/vars" => Behaviour::status(
            200,
            "{\n\"system\": {\"currentTime\":\"x\",\"started\":\"2026-11-25T03:46:23Z\",\"uptime\":2},\n",
        ),
        "/query" => Behaviour::status(200, "{\"results\":[{\"statement_id\":0}]}\n"),
        _ => Behaviour::no_content(),
    })
}

/// InfluxDB's own write timeout has passed: the write goes on.
fn own_timeout() -> Behaviour {
    Behaviour::status(500, "{\"error\":\"timeout\"}\n")
}

#[test]
fn what_may_still_be_carried_out_is_written_over_once_its_time_has_passed() {
    for fault in [Behaviour::Hang, own_timeout()] {
        let replica = same_process("late v=1", fault.clone());
        let folder = tempfile::tempdir().expect("a folder");
        let keys = "rewind = \"3s\"\ntimeout = \"3s\"";
        let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
        let url = haflux.url("front");
        wait_until("the replica to be known", SOON, || {
            write(&url, "telegraf", "known v=0 0").status == 204
        });
        for value in 1..=3 {
            // The first one may wait in vain; it is in the journal all the same.
            let status = write(&url, "telegraf", format!("late v={value} 7")).status;
            assert!(matches!(status, 204 | 504), "{status}");
        }
        let what = format!("all to be sent again, in order, after {fault:?}");
        wait_until(&what, SOON, || {
            let lines = lines_of(&replica, "late");
            let place = |value: u32| {
                let line = format!("late v={value} 7");
                lines.iter().rposition(|known| *known == line)
            };
            lines.iter().filter(|line| *line == "late v=3 7").count() >= 2
                && place(1) < place(2)
                && place(2) < place(3)
        });
    }
}

#[test]
fn a_stop_does_not_end_the_doubt() {
    let replica = same_process("late v=1", own_timeout());
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"8s\"";
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let url = haflux.url("front");
    let made = http::post(
        &format!("{}/query?q=CREATE+DATABASE+telegraf", haflux.url("reads")),
        "",
    );
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(write(&url, "telegraf", "known v=0 0").status, 204);
    for value in 1..=2 {
        assert_eq!(
            write(&url, "telegraf", format!("late v={value} 7")).status,
            204
        );
    }
    haflux.terminate();
    let before = lines_of(&replica, "late").len();
    haflux.restart();
    // Once because it was not saved as done, and once more when what was in doubt has had its time.
    let expected = [1, 2, 1, 2].map(|value| format!("late v={value} 7"));
    wait_until("all to be sent twice", SOON, || {
        lines_of(&replica, "late")[before..] == expected
    });
}

/// Leaves the first "doubtful" line without a verdict that counts, and takes eight seconds, longer than `rewind`, for each "slow"
/// one. Counts how many of these were at it at once.
fn doubtful_then_slow(overlaps: &Arc<AtomicUsize>) -> StandIn {
    let (under_way, counted) = (AtomicUsize::new(0), Arc::clone(overlaps));
    let doubtful = AtomicBool::new(true);
    StandIn::start(move |request| {
        if request.path() == "/debug/vars" {
            let body = "{\n\"system\": {\"started\":\"2026-11-25T03:46:23Z\"},\n";
            return Behaviour::status(200, body);
        }
        if request.text().contains("slow") {
            counted.fetch_add(under_way.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            std::thread::sleep(Duration::from_secs(8));
            under_way.fetch_sub(1, Ordering::SeqCst);
        } else if request.text().contains("doubtful") && doubtful.swap(false, Ordering::SeqCst) {
            return own_timeout();
        }
        Behaviour::no_content()
    })
}

fn times(replica: &StandIn, line: &str) -> usize {
    let lines = replica.written_lines();
    lines.iter().filter(|known| *known == line).count()
}

#[test]
fn a_lane_is_sent_again_only_when_nothing_of_it_is_under_way() {
    let overlaps = Arc::new(AtomicUsize::new(0));
    let replica = doubtful_then_slow(&overlaps);
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"4s\""));
    let url = haflux.url("front");
    assert_eq!(write(&url, "telegraf", "known v=0 0").status, 204);
    assert_eq!(write(&url, "telegraf", "doubtful v=1 1").status, 204);
    assert_eq!(write(&url, "telegraf", "slow v=1 1").status, 204);
    wait_until("both to be sent again", SOON, || {
        times(&replica, "doubtful v=1 1") >= 3 && times(&replica, "slow v=1 1") >= 2
    });
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
}

#[test]
fn what_got_no_answer_sets_back_its_own_database_only() {
    let overlaps = Arc::new(AtomicUsize::new(0));
    let replica = doubtful_then_slow(&overlaps);
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"2s\""));
    let url = haflux.url("front");
    let write_other = |lines: &str| write(&url, "other", lines).status;
    assert_eq!(write(&url, "telegraf", "known v=0 0").status, 204);
    assert_eq!(write_other("known v=0 0"), 204);
    assert_eq!(write(&url, "telegraf", "doubtful v=1 1").status, 204);
    assert_eq!(write_other("slow v=1 1"), 204);
    wait_until("the doubtful one to be sent again", SOON, || {
        times(&replica, "doubtful v=1 1") >= 3
    });
    assert_eq!(write_other("behind v=1 1"), 204);
    wait_until("the other database to go on", SOON, || {
        times(&replica, "behind v=1 1") == 1
    });
    assert_eq!(times(&replica, "slow v=1 1"), 1);
}

#[test]
fn a_node_that_died_is_sent_its_last_seconds_again() {
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], "rewind = \"30s\""));
    let url = haflux.url("front");
    for value in 1..=3 {
        assert_eq!(
            write(&url, "telegraf", format!("lost v={value} {value}")).status,
            204
        );
    }
    wait_until("the replica to have all", SOON, || {
        replica.written_lines().len() == 3
    });
    replica.refuse();
    assert_eq!(write(&url, "telegraf", "lost v=4 4").status, 204);
    replica.accept_again();
    wait_until(
        "everything to be sent again, in order, and then what is new",
        SOON,
        || {
            // The last one also when it was sent to a connection that was being closed.
            let again = ["lost v=1 1", "lost v=2 2", "lost v=3 3", "lost v=4 4"];
            replica.written_lines().ends_with(&again.map(str::to_owned))
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
        support::write_as(&front, Some((user, "secret")), database, "trusted v=1 1")
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
            .writes()
            .iter()
            .filter(|request| strangers(request))
            .count()
            >= 1
    );
    assert!(!haflux.log().contains("secret"));
}

#[test]
fn only_what_a_replica_accepted_makes_trust_last() {
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "trust_for = \"5s\"";
    let haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let url = haflux.url("front");
    assert_eq!(write(&url, "telegraf", "trusted v=1 1").status, 204);
    replica.refuse();
    // Writes that only the journal answers for, again and again.
    let mut trusted = 0;
    wait_until("the trust to end", SOON, || {
        let status = write(&url, "telegraf", "trusted v=2 2").status;
        trusted += usize::from(status == 204);
        status == 503
    });
    assert!(trusted > 0);
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
    let write = || {
        let request = b"POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\na\x01";
        let answer = http::raw(&haflux.address("front"), request, SOON).expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    };
    // A client whom no node has judged is turned away until one has been asked.
    wait_until("a node to be asked", SOON, || {
        !write().starts_with("HTTP/1.1 503 ")
    });
    let answer = write();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_replica_that_stays_away_costs_nothing() {
    // Away with a write in doubt whose time is over: there is nothing to do but to wait for the node.
    let mut replica = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let keys = "rewind = \"200ms\"";
    let mut haflux = Haflux::start(folder.path(), &relay_over(&[&replica], keys));
    let url = haflux.url("front");
    assert_eq!(write(&url, "telegraf", "away v=1 1").status, 204);
    replica.refuse();
    assert_eq!(write(&url, "telegraf", "away v=2 2").status, 204);
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
