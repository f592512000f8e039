//! Whose connections a frontend takes, and whom it takes for the client: networks, the PROXY protocol, and what proxies say of whom they
//! pass on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::support;
use crate::support::edge::{self, counted};
use crate::support::introducer::{introduced, introduced_in_binary};
use crate::support::source::connect_from;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, Influxd, StandIn, status, wait_until};

/// What comes back for `bytes` from 127.0.0.`last` until the other side closes or `end` has come; nothing if it closes at once.
fn told(last: u8, to: &str, bytes: &[u8], end: &[u8]) -> String {
    let mut connection = connect_from(last, to);
    let mut answer = Vec::new();
    if connection.write_all(bytes).is_ok() {
        let mut piece = [0; 1024];
        while end.is_empty() || !answer.windows(end.len()).any(|part| part == end) {
            match connection.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&piece[..read]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    break;
                }
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

const PING: &str = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";

/// The status of a `/ping` from 127.0.0.`last`; nothing if it is closed at once.
fn ping(last: u8, to: &str) -> Option<u16> {
    status_of(&told(last, to, PING.as_bytes(), b"\r\n\r\n"))
}

fn status_of(answer: &str) -> Option<u16> {
    answer.split(' ').nth(1)?.parse().ok()
}

/// One node behind two frontends with `keys`, of a replicated pool and of a plain one, and a third one for the figures.
fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("t");
    let haflux = edge::before(&node, folder.path(), keys);
    (folder, node, haflux)
}

#[test]
fn who_is_kept_out_is_closed_at_once_and_a_reload_changes_who_that_is() {
    let (_folder, _node, haflux) =
        start("allow = [\"127.0.0.0/28\", \"fd00::/8\"]\ndeny = \"127.0.0.5\"");
    for front in ["front", "plain"] {
        let address = haflux.address(front);
        // The start of haflux is waited for by a connection from 127.0.0.1, which is served.
        assert_eq!(ping(1, &address), Some(204));
        assert_eq!(ping(2, &address), Some(204));
        assert_eq!(ping(5, &address), None, "deny beats allow");
        assert_eq!(ping(16, &address), None, "allow does not name it");
        assert_eq!(counted(&haflux, front, "denied_connections"), 2);
    }
    let said = |log: &str| log.matches("is kept out by allow or deny").count();
    wait_until("lines in the log", SOON, || said(&haflux.log()) == 2);
    haflux.says("frontend \"front\": 127.0.0.5 is kept out");
    // A connection that is there stays when its client is denied.
    let mut kept = connect_from(2, &haflux.address("front"));
    let ping_on = |connection: &mut TcpStream| {
        connection.write_all(PING.as_bytes()).expect("a request");
        let mut status = [0; 12];
        connection.read_exact(&mut status).expect("an answer");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            connection.read_exact(&mut byte).expect("the header's rest");
            rest.extend_from_slice(&byte);
        }
        assert_eq!(&status, b"HTTP/1.1 204");
    };
    ping_on(&mut kept);
    haflux.edit(&[("deny = \"127.0.0.5\"", "deny = \"127.0.0.2\"")]);
    haflux.order(&["reload"]);
    wait_until("the reload", SOON, || {
        ping(5, &haflux.address("front")) == Some(204)
    });
    assert_eq!(ping(2, &haflux.address("front")), None);
    ping_on(&mut kept);
    let csv = support::http::get(&format!("{}/haproxy?stats;csv", haflux.url("page"))).text();
    let names: Vec<_> = csv.lines().next().expect("a header").split(',').collect();
    let dcon = names.iter().position(|name| *name == "dcon").expect("dcon");
    let row = csv
        .lines()
        .find(|line| line.starts_with("front,FRONTEND"))
        .expect("a row");
    assert_eq!(row.split(',').nth(dcon), Some("3"), "{row}");
}

#[test]
fn a_named_proxy_says_whom_its_connection_is_for() {
    let (_folder, _node, haflux) = start(
        "accept_proxy = \"127.0.0.2\"\ndeny = [\"192.0.2.66\", \"2001:db8::66\"]\nmaxconn_per_source = 3\n\
         timeout = { http_request = \"700ms\" }",
    );
    let front = haflux.address("front");
    let through = |beginning: &[u8], last: u8, to: &str| {
        let request = [beginning, PING.as_bytes()].concat();
        told(last, to, &request, b"\r\n\r\n")
    };
    for to in [&front, &haflux.address("plain")] {
        for beginning in [
            introduced("192.0.2.1").into_bytes(),
            introduced("2001:db8::1").into_bytes(),
            introduced_in_binary(Ipv4Addr::new(192, 0, 2, 2)),
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0".to_vec(),
            // UDP, and a Unix socket.
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0cabcdefgh\0\x01\0\x02".to_vec(),
            [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[b'/'; 216]].concat(),
        ] {
            assert_eq!(
                status_of(&through(&beginning, 2, to)),
                Some(204),
                "{beginning:?}"
            );
        }
    }
    wait_until("lines in the log", SOON, || {
        haflux.log().matches("GET /ping").count() >= 10
    });
    for client in [
        "192.0.2.1:4711 [",
        "2001:db8::1:4711 [",
        "192.0.2.2:4711 [",
        "127.0.0.2:",
    ] {
        haflux.says(client);
    }
    // Whom it names is judged, and not the proxy.
    assert_eq!(through(introduced("192.0.2.66").as_bytes(), 2, &front), "");
    assert_eq!(
        through(introduced("2001:db8::66").as_bytes(), 2, &front),
        ""
    );
    assert_eq!(counted(&haflux, "front", "denied_connections"), 2);
    wait_until(
        "its share to be full, and that of another not",
        SOON,
        || {
            // Open for `http_request`, because no request comes.
            let open: Vec<_> = (0..3)
                .map(|_| {
                    let mut open = connect_from(2, &front);
                    open.write_all(introduced("192.0.2.3").as_bytes())
                        .expect("a header");
                    open
                })
                .collect();
            let is_full = through(introduced("192.0.2.3").as_bytes(), 2, &front).is_empty();
            let other = through(introduced("192.0.2.4").as_bytes(), 2, &front);
            drop(open);
            is_full && status_of(&other) == Some(204)
        },
    );
    // Who is to introduce and does not, is closed.
    for wrong in [
        &b""[..],
        b"PROXY TCP4 192.0.2.1 127.0.0.1 1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        assert_eq!(through(wrong, 2, &front), "", "{wrong:?}");
    }
    assert_eq!(
        told(2, &front, b"PROXY TCP4 192.0.2.1", b""),
        "",
        "too late"
    );
    assert_eq!(counted(&haflux, "front", "proxy_header_errors"), 4);
    // A check of whether somebody listens is no error.
    drop(connect_from(2, &front));
    let reset = connect_from(2, &front);
    let linger = socket2::SockRef::from(&reset).set_linger(Some(Duration::ZERO));
    linger.expect("a reset");
    drop(reset);
    assert_eq!(ping(1, &front), Some(204), "others go on as they were");
    assert_eq!(counted(&haflux, "front", "proxy_header_errors"), 4);
    // From elsewhere it is a malformed request.
    let malformed = counted(&haflux, "front", "malformed_requests");
    for beginning in [
        introduced("192.0.2.1").into_bytes(),
        introduced_in_binary(Ipv4Addr::LOCALHOST),
    ] {
        assert_eq!(
            status_of(&through(&beginning, 3, &front)),
            Some(400),
            "{beginning:?}"
        );
    }
    assert_eq!(
        counted(&haflux, "front", "malformed_requests"),
        malformed + 2
    );
}

#[test]
fn trusted_proxies_say_whom_a_request_is_for_and_others_do_not() {
    let (_folder, _node, haflux) =
        start("trust_forwarded = [\"127.0.0.2\", \"10.0.0.0/8\"]\ndeny = \"192.0.2.66\"");
    for front in ["front", "plain"] {
        let to = haflux.address(front);
        let asked = |last: u8, line: &str| {
            let request = format!("GET /ping HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
            status_of(&told(last, &to, request.as_bytes(), b"\r\n\r\n"))
        };
        let logged = |client: &str| {
            let line = format!("{client} [");
            wait_until("a line in the log", SOON, || {
                let log = haflux.log();
                let is_ours = |one: &&str| one.contains(&format!("] {front} "));
                let last = log.lines().rfind(is_ours);
                last.is_some_and(|last| last.contains(&line))
            });
        };
        assert_eq!(
            asked(2, "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.7"),
            Some(204)
        );
        logged("192.0.2.1:0");
        assert_eq!(asked(2, "X-Forwarded-For: [2001:db8::1]:99"), Some(204));
        logged("2001:db8::1:99");
        assert_eq!(asked(2, "X-Forwarded-For: 192.0.2.66"), Some(403));
        assert_eq!(
            asked(3, "X-Forwarded-For: 192.0.2.66"),
            Some(204),
            "not from there"
        );
        assert_eq!(
            asked(2, "Forwarded: for=192.0.2.66"),
            Some(204),
            "not by that header"
        );
        assert_eq!(counted(&haflux, front, "denied_requests"), 1);
    }
}

#[test]
fn servers_hear_of_a_client_what_a_trusted_proxy_says_alone() {
    let node = StandIn::start(|_| Behaviour::no_content());
    let forged =
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.2";
    for (by, lines, client, scheme) in [
        ("x-forwarded-for", forged.to_owned(), "192.0.2.1", "https"),
        ("forwarded", forged.to_owned(), "192.0.2.2", "http"),
        (
            "forwarded",
            format!("{forged};proto=https"),
            "192.0.2.2",
            "https",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = format!(
            "[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n\
             trust_forwarded = \"127.0.0.2\"\nforwarded_header = \"{by}\"\nforwarded_for = true\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\ncheck = false\n",
            node.address()
        );
        let haflux = Haflux::start(folder.path(), &configuration);
        let to = haflux.address("front");
        // The second one is passed on while it comes.
        for length in [0, 100_000] {
            let body = "x".repeat(length);
            let request = format!(
                "POST /write HTTP/1.1\r\nHost: x\r\n{lines}\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            let answer = told(2, &to, request.as_bytes(), b"\r\n\r\n");
            assert_eq!(status_of(&answer), Some(204), "{answer}");
            let requests = node.requests();
            let request = requests.last().expect("a request");
            let chain = format!("{client}, 127.0.0.2");
            assert_eq!(request.header("x-forwarded-for"), Some(chain.as_str()));
            assert_eq!(request.header("x-forwarded-proto"), Some(scheme), "{by}");
            assert_eq!(request.header("forwarded"), None, "{by}");
        }
    }
}

/// A haflux before another one, which must be introduced to: what the first one's clients are to the second.
#[test]
fn servers_are_told_whom_a_connection_is_for() {
    for version in ["v1", "v2"] {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Influxd::start(&folder.path().join("node"));
        let inner = format!(
            "[server]\ndata_dir = \"FOLDER/data\"\n\
             [[frontend]]\nname = \"inner\"\nbind = \"127.0.0.1:PORT(inner)\"\ndefault_backend = \"back\"\naccept_proxy = \"127.0.0.1\"\n\
             [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
             [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{}\" }}]\n",
            node.address()
        );
        let inner = Haflux::start(&folder.path().join("inner"), &inner);
        let outer = format!(
            "[[frontend]]\nname = \"outer\"\nbind = \"127.0.0.1:PORT(outer)\"\ndefault_backend = \"inner\"\n\
             [[backend]]\nname = \"inner\"\nsend_proxy = \"{version}\"\ncheck = {{ http = \"/ping\", interval = \"100ms\" }}\n\
             servers = [{{ name = \"one\", address = \"{}\" }}]\n",
            inner.address("inner")
        );
        let outer = Haflux::start(&folder.path().join("outer"), &outer);
        let to = outer.address("outer");
        // One after the other, so that a connection that was kept would be found.
        for _ in 0..2 {
            for last in [3, 4] {
                assert_eq!(ping(last, &to), Some(204));
                wait_until("a line in the inner log", SOON, || {
                    let log = inner.log();
                    let last_line = log
                        .lines()
                        .rfind(|line| line.contains("] inner ") && !line.contains("127.0.0.1:"));
                    last_line.is_some_and(|line| line.contains(&format!("127.0.0.{last}:")))
                });
            }
        }
        // An upload that is passed on while it comes goes Pingora's own way.
        let body = "m v=1\n".repeat(20_000);
        for last in [3, 4] {
            let head = format!(
                "POST /write?db=none HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let answer = told(
                last,
                &to,
                [head.as_bytes(), body.as_bytes()].concat().as_slice(),
                b"\r\n\r\n",
            );
            assert_eq!(status_of(&answer), Some(404), "{answer}");
            wait_until("a line in the inner log", SOON, || {
                let log = inner.log();
                log.lines().any(|line| {
                    line.contains("POST /write") && line.contains(&format!("127.0.0.{last}:"))
                })
            });
        }
        let missing = status::frontend(&inner.url("page"), "inner")["proxy_header_errors"].as_u64();
        assert_eq!(
            missing,
            Some(0),
            "the checks introduce themselves: {}",
            inner.log()
        );
    }
}

#[test]
fn the_addresses_of_one_ipv6_network_share_what_one_source_may_have() {
    let (_folder, _node, haflux) = start(
        "accept_proxy = \"127.0.0.2\"\nmaxconn_per_source = 2\nipv6_source_prefix = 64\n\
         rate_limit = { requests = 2, per = \"1h\" }\ndeny = \"2001:db8::66\"",
    );
    let front = haflux.address("front");
    let open = |client: &str| {
        let mut connection = connect_from(2, &front);
        let beginning = introduced(client) + PING;
        connection
            .write_all(beginning.as_bytes())
            .expect("a request");
        let mut status = [0; 12];
        let read = connection.read_exact(&mut status);
        let answer = read.map(|()| String::from_utf8_lossy(&status).into_owned());
        (answer.unwrap_or_default(), connection)
    };
    let status = |client: &str| open(client).0;
    // Two of them are connected, so a third one is closed; the next network has its own.
    let kept: Vec<_> = ["2001:db8::1", "2001:db8::ffff:2"].map(open).into();
    for (status, _) in &kept {
        assert_eq!(status, "HTTP/1.1 204");
    }
    assert_eq!(status("2001:db8::3"), "");
    assert_eq!(counted(&haflux, "front", "source_limit"), 1);
    assert_eq!(status("2001:db8:0:1::3"), "HTTP/1.1 204");
    drop(kept);
    // Neither do the requests of another address pass the rate.
    wait_until("a place", SOON, || status("2001:db8::4") == "HTTP/1.1 429");
    assert_eq!(status("2001:db8:0:1::4"), "HTTP/1.1 204");
    assert_eq!(status("2001:db8:0:1::5"), "HTTP/1.1 429");
    // Who is kept out is told by the whole address.
    assert_eq!(status("2001:db8::66"), "");
    assert!(counted(&haflux, "front", "denied_connections") == 1);
}
