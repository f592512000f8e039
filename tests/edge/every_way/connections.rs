//! Who may connect and how often, and whom a proxy names: all of it is decided before, or without, what is spoken inside.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::{Site, WAYS, Way};
use crate::support::edge::counted;
use crate::support::introducer::{Introducer, introduced, introduced_in_binary};
use crate::support::programs::{run, succeeds};
use crate::support::source::connect_from;
use crate::support::wait::SOON;
use crate::support::{status, wait_until};

/// The words that make curl ask from an address of its own.
fn from(number: usize) -> [String; 2] {
    ["--interface".to_owned(), format!("127.0.0.{number}")]
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[test]
fn each_address_has_its_share_by_each_way() {
    let site = Site::start(&[
        ("kept", "allow = \"127.0.0.1\""),
        ("denied", "deny = \"127.0.0.0/28\"\nallow = \"127.0.0.0/8\""),
        (
            "rated",
            "rate_limit = { requests = 1, per = \"1h\", burst = 2 }",
        ),
        ("one", "maxconn_per_source = 1"),
    ]);
    for (number, way) in WAYS.iter().enumerate() {
        let from = from(number + 2);
        let from = words(&from);
        for front in ["kept", "denied"] {
            let before = counted(&site.haflux, front, "denied_connections");
            site.ask(front, *way, "/ping", &from).assert_closed(*way);
            let after = counted(&site.haflux, front, "denied_connections");
            assert!(after > before, "{front} by {way:?}");
        }
        site.ask("kept", *way, "/ping", &[])
            .assert_status(*way, 204);
        site.ask("denied", *way, "/ping", &["--interface", "127.0.0.99"])
            .assert_status(*way, 204);
        for _ in 0..2 {
            site.ask("rated", *way, "/ping", &from)
                .assert_status(*way, 204);
        }
        let limited = site.ask("rated", *way, "/ping", &[&from[..], &["-i"]].concat());
        limited.assert_refused(*way, 429, "(rate_limit)");
        let wait = limited.header("retry-after").expect("a time");
        assert!(wait.starts_with("35") || wait == "3600", "{limited:?}");
        let limited = counted(&site.haflux, "rated", "rate_limited");
        assert_eq!(limited, number as u64 + 1);
        // Another connection of that address is there, and has not said a word.
        let last = u8::try_from(number + 2).expect("a small number");
        let held = connect_from(last, &site.address("one", *way));
        let before = counted(&site.haflux, "one", "source_limit");
        wait_until("its share to be full", SOON, || {
            let shown = site.ask("one", *way, "/ping", &from);
            shown.status == 0
        });
        let after = counted(&site.haflux, "one", "source_limit");
        assert!(after > before, "{way:?}");
        site.ask("one", *way, "/ping", &["--interface", "127.0.0.99"])
            .assert_status(*way, 204);
        drop(held);
        wait_until("its share to be free", SOON, || {
            site.ask("one", *way, "/ping", &from).status == 204
        });
    }
    // Requests of one connection are as many requests as those of several.
    let url = format!("https://{}/ping", site.haflux.address("rated_secure"));
    let ca = site.authority.certificate();
    let all = [
        "-sS",
        "--http2",
        "--cacert",
        &ca,
        "--interface",
        "127.0.0.9",
        "-w",
        "%{http_code} ",
        &url,
        &url,
        &url,
    ];
    let said = succeeds(&run("curl", &all));
    assert!(
        said.starts_with("204 204 ") && said.contains("429"),
        "{said}"
    );
}

#[test]
fn a_proxy_introduces_its_connections_before_anything_is_spoken() {
    let site = Site::start(&[(
        "front",
        "accept_proxy = \"127.0.0.2\"\ndeny = \"192.0.2.66\"",
    )]);
    for (number, way) in (1_u8..).zip(WAYS) {
        let to = site.address("front", way);
        let through = |header: &[u8]| {
            let proxy = Introducer::start(2, &to, header);
            site.ask_at(proxy.address(), way, "/ping", &[])
        };
        // Whom it names is the client in the log and for every rule.
        let (first, second) = ([192, 0, 2, number], [192, 0, 2, number + 100]);
        let [first, second] = [first, second].map(Ipv4Addr::from);
        through(introduced(&first.to_string()).as_bytes()).assert_status(way, 204);
        through(&introduced_in_binary(second)).assert_status(way, 204);
        for client in [first, second] {
            site.haflux.says(&format!("{client}:4711 ["));
        }
        let denied = Ipv4Addr::new(192, 0, 2, 66);
        for header in [
            introduced(&denied.to_string()).into_bytes(),
            introduced_in_binary(denied),
        ] {
            let before = counted(&site.haflux, "front", "denied_connections");
            through(&header).assert_closed(way);
            let after = counted(&site.haflux, "front", "denied_connections");
            assert_eq!(after, before + 1, "{way:?}");
        }
        // A handshake or a request where the header belongs is none.
        let before = counted(&site.haflux, "front", "proxy_header_errors");
        through(b"").assert_closed(way);
        let after = counted(&site.haflux, "front", "proxy_header_errors");
        assert_eq!(after, before + 1, "{way:?}");
        // From elsewhere, the header is what it looks like: no handshake, and no request.
        not_from_elsewhere(&site, way, introduced("192.0.2.1").as_bytes());
        not_from_elsewhere(&site, way, &introduced_in_binary(Ipv4Addr::LOCALHOST));
    }
}

#[track_caller]
fn not_from_elsewhere(site: &Site, way: Way, header: &[u8]) {
    let figures = || {
        let front = status::frontend(&site.haflux.url("page"), "front");
        let failures = &front["tls"]["failures"];
        let handshakes = ["plain", "malformed"].map(|reason| failures[reason].as_u64());
        let handshakes: u64 = handshakes.into_iter().flatten().sum();
        handshakes + front["malformed_requests"].as_u64().expect("a number")
    };
    let before = figures();
    let mut connection = connect_from(3, &site.address("front", way));
    let request = [header, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
    connection.write_all(&request).expect("bytes");
    let mut answer = Vec::new();
    // It may be reset, because more was sent than was read.
    let _ = connection.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    match way.address {
        "secure" => assert!(!answer.contains("HTTP"), "{answer}"),
        _ => assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}"),
    }
    wait_until("it to be counted", SOON, || figures() == before + 1);
}

#[test]
fn bytes_come_and_go_as_fast_as_configured_by_each_way() {
    let site = Site::start(&[
        ("in", "bandwidth = { in_per_request = \"20kB\" }"),
        ("out", "bandwidth = { out_per_source = \"20kB\" }"),
    ]);
    let text = "x".repeat(50_000);
    assert_eq!(
        site.node.write("a", &format!("long v=\"{text}\" 1")).status,
        204
    );
    let body = site.folder.path().join("body");
    std::fs::write(&body, format!("m v=\"{text}\" 1")).expect("a file");
    let body = format!("@{}", body.display());
    let read = "/query?db=a&q=SELECT+v+FROM+long";
    let write: [&str; 2] = ["--data-binary", &body];
    for (number, way) in (2..).zip(WAYS) {
        let from = from(number);
        let from = words(&from);
        for (front, path, more, counter, status) in [
            ("in", "/write?db=a", &write[..], "bodies", 204),
            ("out", read, &[], "answers", 200),
        ] {
            let throttled = || {
                let front = status::frontend(&site.haflux.url("page"), front);
                front["throttled"][counter].as_u64().expect("a number")
            };
            let before = throttled();
            let began = Instant::now();
            let shown = site.ask(front, way, path, &[more, &from].concat());
            shown.assert_status(way, status);
            // A second's worth passes at once.
            let took = began.elapsed();
            assert!(
                took >= Duration::from_millis(1200),
                "{front} {way:?}: {took:?}"
            );
            assert!(
                status == 204 || shown.body.contains(&text),
                "{front} {way:?}"
            );
            wait_until("it to be counted", SOON, || throttled() == before + 1);
        }
    }
}
