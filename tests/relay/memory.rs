//! haflux stays under 128 MB of memory, however many clients there are and whatever is behind.
//!
//! Judged is what it held at most but for the pages of its program, for which [`PROGRAM`] is set aside. Stand-ins, because hundreds
//! of megabytes have to pass in seconds.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::http;
use crate::support::memory::held_peak;
use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, wait_until};

const LIMIT: u64 = 128_000_000;

/// What of a release build's program is resident.
const PROGRAM: u64 = 17_000_000;

/// For what moves hundreds of megabytes on a machine that has other things to do.
const LONG: Duration = Duration::from_secs(300);

/// The tests measure one process each, and need the memory and the processors for it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn peak(haflux: &mut Haflux) -> u64 {
    held_peak(haflux.id()).expect("the process runs")
}

#[track_caller]
fn assert_small(haflux: &mut Haflux) {
    let peak = peak(haflux);
    eprintln!("{} MB at most", peak / 1_000_000);
    assert!(peak < LIMIT - PROGRAM, "{peak} bytes held at most");
}

/// A replica that takes everything and counts the bytes of the bodies, while `is_well` says so.
fn counting(
    is_well: impl Fn(&Request) -> bool + Send + Sync + 'static,
) -> (StandIn, Arc<AtomicUsize>) {
    let bytes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&bytes);
    let server = StandIn::start(move |request| {
        if !is_well(request) {
            return Behaviour::status(404, "{\"error\":\"database not found: \\\"held\\\"\"}\n");
        }
        count.fetch_add(request.body.len(), Ordering::Relaxed);
        Behaviour::no_content()
    });
    server.keep_no_requests();
    (server, bytes)
}

fn start(servers: &[&StandIn], keys: &str) -> (tempfile::TempDir, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(servers, keys));
    (folder, haflux)
}

/// A body of about this many bytes, in lines of about 1 kB.
fn body(bytes: usize) -> Vec<u8> {
    let padding = "x".repeat(1000);
    let mut body = Vec::with_capacity(bytes);
    let mut time = 0;
    while body.len() + 1100 < bytes {
        time += 1;
        body.extend_from_slice(format!("memory padding=\"{padding}\",v=1 {time}\n").as_bytes());
    }
    body
}

/// Writes until it is taken.
fn write_until_204(url: &str, database: &str, body: &[u8]) {
    wait_until("the write to be taken", LONG, || {
        match http::try_request("POST", &format!("{url}/write?db={database}"), &[], body) {
            Ok(answer) => match answer.status {
                204 => true,
                503 => false,
                status => panic!("{status}: {}", answer.text()),
            },
            // Refused before the body was read to its end.
            Err(_) => false,
        }
    });
}

#[test]
fn many_clients_with_large_bodies_at_once() {
    let _alone = ONE_AT_A_TIME.lock();
    let (one, first) = counting(|_| true);
    let (two, second) = counting(|_| true);
    let (_folder, mut haflux) = start(&[&one, &two], "");
    let url = haflux.url("front");
    let body = body(5_000_000);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| write_until_204(&url, "telegraf", &body));
        }
    });
    for count in [&first, &second] {
        wait_until("all at the replicas", LONG, || {
            count.load(Ordering::Relaxed) >= 64 * body.len()
        });
    }
    assert_small(&mut haflux);
}

#[test]
fn a_backlog_on_disk_and_catching_up_with_it() {
    let _alone = ONE_AT_A_TIME.lock();
    let (well, _) = counting(|_| true);
    let (mut away, caught_up) = counting(|_| true);
    let (_folder, mut haflux) = start(&[&well, &away], "");
    let url = haflux.url("front");
    write_until_204(&url, "telegraf", &body(2000));
    away.refuse();
    let body = body(1_000_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    write_until_204(&url, "telegraf", &body);
                }
            });
        }
    });
    assert_small(&mut haflux);
    away.accept_again();
    wait_until("it to catch up", LONG, || {
        caught_up.load(Ordering::Relaxed) >= 400 * body.len()
    });
    assert_small(&mut haflux);
}

/// Each node's replicator reads them from the disk.
#[test]
fn long_lines_that_neither_node_has() {
    const LINES: usize = 6;
    let _alone = ONE_AT_A_TIME.lock();
    let ((mut one, first), (mut two, second)) = (counting(|_| true), counting(|_| true));
    let (_folder, mut haflux) = start(&[&one, &two], "");
    let url = haflux.url("front");
    write_until_204(&url, "telegraf", &body(2000));
    for node in [&mut one, &mut two] {
        node.refuse();
    }
    let line = format!("m s=\"{}\" 1\n", "x".repeat(20_000_000)).into_bytes();
    for _ in 0..LINES {
        write_until_204(&url, "telegraf", &line);
    }
    for node in [&mut one, &mut two] {
        node.accept_again();
    }
    for count in [&first, &second] {
        wait_until("it to catch up", LONG, || {
            count.load(Ordering::Relaxed) >= LINES * line.len()
        });
    }
    assert_small(&mut haflux);
}

#[test]
fn a_thousand_idle_connections() {
    let _alone = ONE_AT_A_TIME.lock();
    let (one, _) = counting(|_| true);
    let (two, _) = counting(|_| true);
    let (_folder, mut haflux) = start(&[&one, &two], "");
    let url = haflux.url("front");
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut connection = TcpStream::connect(haflux.address("front")).expect("a connection");
        // Each has carried a write, and so whatever a connection holds after one.
        if number % 2 == 0 {
            use std::io::{Read, Write};
            let body = body(20_000);
            let head = format!(
                "POST /write?db=telegraf HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            connection
                .write_all(&[head.as_bytes(), &body].concat())
                .expect("written");
            let mut status = [0; 12];
            connection.read_exact(&mut status).expect("an answer");
            assert_eq!(&status, b"HTTP/1.1 204");
        }
        idle.push(connection);
    }
    for _ in 0..100 {
        write_until_204(&url, "telegraf", &body(100_000));
    }
    assert_small(&mut haflux);
}

#[test]
fn two_hundred_databases() {
    let _alone = ONE_AT_A_TIME.lock();
    let (well, _) = counting(|_| true);
    let (mut away, caught_up) = counting(|_| true);
    let (_folder, mut haflux) = start(&[&well, &away], "");
    let url = haflux.url("front");
    write_until_204(&url, "db0", &body(2000));
    away.refuse();
    let body = body(100_000);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (url, body) = (&url, &body);
            scope.spawn(move || {
                for number in 0..1000 {
                    if number % 8 == client {
                        write_until_204(url, &format!("db{}", number % 200), body);
                    }
                }
            });
        }
    });
    away.accept_again();
    wait_until("it to catch up", LONG, || {
        caught_up.load(Ordering::Relaxed) >= 1000 * body.len()
    });
    assert_small(&mut haflux);
}

#[test]
fn one_database_that_is_held_while_the_others_flow() {
    let _alone = ONE_AT_A_TIME.lock();
    let there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&there);
    let (well, _) = counting(|_| true);
    let (mut lacking, caught_up) =
        counting(move |request| !request.target.contains("held") || seen.load(Ordering::Relaxed));
    let (_folder, mut haflux) = start(&[&well, &lacking], "");
    let url = haflux.url("front");
    write_until_204(&url, "telegraf", &body(2000));
    lacking.refuse();
    let (large, small) = (body(1_000_000), body(2000));
    for _ in 0..200 {
        write_until_204(&url, "held", &small);
        write_until_204(&url, "telegraf", &large);
    }
    lacking.accept_again();
    wait_until("all but what is held", LONG, || {
        caught_up.load(Ordering::Relaxed) >= 200 * large.len()
    });
    assert_small(&mut haflux);
    there.store(true, Ordering::Relaxed);
    wait_until("what was held", SOON, || {
        caught_up.load(Ordering::Relaxed) >= 200 * (large.len() + small.len())
    });
}
