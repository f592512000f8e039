//! Requests that are refused after a wait, beside a real HAProxy that does the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::edge::{self, counted};
use crate::support::haproxy::Haproxy;
use crate::support::http::{Answer, get, post};
use crate::support::ports::free_port;
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, wait_until};

const WAIT: Duration = Duration::from_millis(400);

/// An answer, and how long it took.
fn timed(url: &str) -> (Answer, Duration) {
    let asked = Instant::now();
    let answer = get(url);
    (answer, asked.elapsed())
}

/// A request that waits for its answer.
fn waiting(haflux: &Haflux, front: &str) -> TcpStream {
    let mut connection = TcpStream::connect(haflux.address(front)).expect("a connection");
    let request = b"POST /debug/pprof HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
    connection.write_all(request).expect("a request");
    connection
        .set_read_timeout(Some(SOON))
        .expect("a limit of time");
    connection
}

/// The words of a line of the log from the times on: `TQ/TW/TC/TR/TT STATUS BYTES - - FLAGS`.
fn logged(log: &str, target: &str) -> Option<(Vec<i64>, String, String)> {
    let line = log
        .lines()
        .find(|line| line.contains(target) && line.contains(" - - "))?;
    let words: Vec<&str> = line.split(' ').collect();
    let at = words
        .iter()
        .position(|word| word.matches('/').count() == 4)?;
    let times = words[at].split('/').map(|time| time.parse());
    let times: Vec<i64> = times.collect::<Result<_, _>>().ok()?;
    Some((times, words[at + 1].to_owned(), words[at + 5].to_owned()))
}

#[test]
fn a_request_waits_for_its_refusal_as_in_haproxy() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let keys = "http_request = [{ tarpit = 429, if = { path_beg = \"/debug\" } }, { tarpit = 500, if = { path = \"/other\" } }]\n\
         timeout = { tarpit = \"400ms\" }";
    let haflux = edge::before(&node, folder.path(), keys);
    let port = free_port();
    let haproxy_folder = folder.path().join("haproxy");
    std::fs::create_dir(&haproxy_folder).expect("a folder");
    let configuration = format!(
        "global\n stats socket {}/haproxy.sock\n log stdout format raw local0\n\
         defaults\n mode http\n log global\n option httplog\n timeout client 10s\n timeout server 10s\n timeout connect 1s\n timeout tarpit 400ms\n\
         frontend front\n bind 127.0.0.1:{port}\n http-request tarpit deny_status 429 if {{ path_beg /debug }}\n\
          http-request tarpit if {{ path /other }}\n default_backend back\n\
         backend back\n server one {}\n",
        haproxy_folder.display(),
        node.address()
    );
    let _haproxy = Haproxy::start(&haproxy_folder, &configuration);
    let haproxy_url = format!("http://127.0.0.1:{port}");
    for url in [&haflux.url("front"), &haflux.url("plain"), &haproxy_url] {
        let (answer, took) = timed(&format!("{url}/debug/vars"));
        assert_eq!(answer.status, 429, "{url}");
        assert!(took >= WAIT && took < SOON, "{url}: {took:?}");
        let (answer, took) = timed(&format!("{url}/other"));
        assert_eq!(answer.status, 500, "{url}");
        assert!(took >= WAIT, "{url}: {took:?}");
        assert_eq!(get(&format!("{url}/ping")).status, 204);
    }
    for front in ["front", "plain"] {
        assert_eq!(counted(&haflux, front, "tarpitted"), 2);
        assert_eq!(counted(&haflux, front, "denied_requests"), 2);
        assert_eq!(counted(&haflux, front, "tarpit_overflows"), 0);
    }
    let answer = post(&format!("{}/debug/x", haflux.url("front")), "body");
    assert_eq!(
        answer.json()["error"],
        "too many requests: refused by a rule"
    );
    let theirs = || std::fs::read_to_string(haproxy_folder.join("haproxy.log")).unwrap_or_default();
    // Who leaves meanwhile is logged like the others.
    for address in [&haflux.address("front"), &format!("127.0.0.1:{port}")] {
        let mut connection = TcpStream::connect(address).expect("a connection");
        let request = b"GET /debug/gone HTTP/1.1\r\nHost: x\r\n\r\n";
        connection.write_all(request).expect("a request");
    }
    for target in ["/debug/vars", "/other", "/debug/gone"] {
        haflux.says(target);
        wait_until("HAProxy's lines", SOON, || {
            logged(&theirs(), target).is_some()
        });
        let [ours, theirs] = [haflux.log(), theirs()].map(|log| {
            let (times, status, flags) = logged(&log, target).unwrap_or_else(|| panic!("{log}"));
            // The time of the tarpit is the second one, and nothing comes behind it.
            let (stayed, status) = match target {
                "/debug/gone" => (0, None),
                _ => (400, Some(status)),
            };
            assert!(times[1] >= stayed && times[4] >= stayed, "{times:?}");
            (times[2], times[3], status, flags)
        });
        assert_eq!(ours, theirs, "{target}");
        assert_eq!(ours.3, "PT--");
    }
}

#[test]
fn places_are_bounded_are_given_back_and_end_with_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    let keys = "http_request = [{ tarpit = 403, if = { path_beg = \"/debug\" } }]\n\
         max_tarpitted = 2\ntimeout = { tarpit = \"1h\" }";
    let mut haflux = edge::before(&node, folder.path(), keys);
    let mut held = Vec::new();
    for front in ["front", "plain"] {
        let url = haflux.url(front);
        let tarpitted = |count| {
            wait_until("the requests to wait", SOON, || {
                counted(&haflux, front, "tarpitted") == count
            });
        };
        let first = waiting(&haflux, front);
        held.push(waiting(&haflux, front));
        tarpitted(2);
        let (answer, took) = timed(&format!("{url}/debug/vars"));
        assert_eq!(answer.status, 403);
        assert!(took < SOON, "{took:?}");
        assert_eq!(counted(&haflux, front, "tarpit_overflows"), 1);
        assert_eq!(get(&format!("{url}/ping")).status, 204);
        // Who leaves makes room: it is seen at once by a reset, later by its silence.
        drop(first);
        let mut third = None;
        wait_until("room", SOON, || {
            third = Some(waiting(&haflux, front));
            counted(&haflux, front, "tarpitted") == 3
        });
        held.extend(third);
    }
    haflux.says(" PR-- ");
    haflux.ask_to_end();
    for mut connection in held {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    assert!(haflux.wait().success());
}
