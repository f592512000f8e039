//! Whether a node restarted, and noticing that while nothing is sent to it. Stand-ins, because a real node does not close its
//! connections and live on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::stand_in::Request;
use crate::support::wait::SOON;
use crate::support::{Behaviour, Haflux, StandIn, relay_over, wait_until, write_until_taken};

/// Answers as a node whose process started at this moment.
fn started(moment: &'static str) -> impl Fn(&Request) -> Behaviour + Send + Sync {
    move |request| match request.path() {
        "/debug/vars" => Behaviour::status(
            200,
            &format!(
                "{{\n\"system\": {{\"currentTime\":\"x\",\"started\":\"{moment}\",\"uptime\":2}},\n"
            ),
        ),
        "/query" => Behaviour::status(
            200,
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]}]}]}\n",
        ),
        _ => Behaviour::no_content(),
    }
}

fn lines(server: &StandIn) -> usize {
    let writes = server.writes();
    writes
        .iter()
        .map(|request| request.text().lines().count())
        .sum()
}

#[track_caller]
fn close_connections(server: &mut StandIn, haflux: &Haflux) {
    let greeted = haflux.log().matches(" answers; from record").count();
    server.refuse();
    server.accept_again();
    wait_until("the node to be greeted without any write", SOON, || {
        haflux.log().matches(" answers; from record").count() > greeted
    });
}

#[test]
fn a_process_that_is_the_same_is_sent_nothing_again_and_another_one_is() {
    let mut server = StandIn::start(started("2026-11-25T03:46:23.796114943Z"));
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&server], "rewind = \"60s\""));
    for point in 0..5 {
        write_until_taken(
            &haflux.url("front"),
            &[("db", "telegraf")],
            format!("m v={point} {point}"),
        );
    }
    wait_until("the writes to arrive", SOON, || lines(&server) == 5);
    close_connections(&mut server, &haflux);
    haflux.says("node0 is the same process as before");
    write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "m v=5 5");
    assert_eq!(lines(&server), 6);

    server.behave(started("2026-11-25T04:00:00Z"));
    close_connections(&mut server, &haflux);
    wait_until("all to be sent again", SOON, || lines(&server) == 12);
}

#[test]
fn a_node_that_does_not_say_when_it_started_is_sent_what_it_may_have_lost() {
    let mut server = StandIn::start(|request| match request.path() {
        "/debug/vars" => Behaviour::status(404, "404 page not found\n"),
        _ => Behaviour::no_content(),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&server], "rewind = \"60s\""));
    for point in 0..5 {
        write_until_taken(
            &haflux.url("front"),
            &[("db", "telegraf")],
            format!("m v={point} {point}"),
        );
    }
    wait_until("the writes to arrive", SOON, || lines(&server) == 5);
    close_connections(&mut server, &haflux);
    // Each handshake with it is one with a node that may have lost something; there may be two.
    wait_until("all to be sent again", SOON, || lines(&server) >= 10);
}

#[test]
fn time_that_a_node_was_away_does_not_make_what_it_accepted_any_safer() {
    let mut server = StandIn::healthy();
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&server], "rewind = \"3s\""));
    for point in 0..5 {
        write_until_taken(
            &haflux.url("front"),
            &[("db", "telegraf")],
            format!("m v={point} {point}"),
        );
    }
    wait_until("the writes to arrive", SOON, || lines(&server) == 5);
    server.refuse();
    // The test is about this time.
    std::thread::sleep(Duration::from_secs(4));
    server.accept_again();
    wait_until("all to be sent again", SOON, || lines(&server) == 10);
}

#[test]
fn a_node_that_cannot_say_who_it_is_for_now_is_asked_again_and_sent_nothing_meanwhile() {
    let mut server = StandIn::start(started("one"));
    let folder = tempfile::tempdir().expect("a folder");
    let haflux = Haflux::start(folder.path(), &relay_over(&[&server], "rewind = \"100ms\""));
    write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "m v=1 1");
    // A proof is asked for once the write is older than `rewind`.
    wait_until("the node to be asked for a point", SOON, || {
        server.behave(started("two"));
        close_connections(&mut server, &haflux);
        server.behave(started("one"));
        close_connections(&mut server, &haflux);
        !server.requests_for("/query").is_empty()
    });
    server.behave(|request| match request.path() {
        "/ping" => Behaviour::no_content(),
        _ => Behaviour::status(503, "{\"error\":\"not now\"}\n"),
    });
    server.refuse();
    server.accept_again();
    let asked = server.requests_for("/query").len();
    let sent = lines(&server);
    wait_until("the node to be asked again and again", SOON, || {
        server.requests_for("/query").len() > asked + 3
    });
    assert_eq!(lines(&server), sent);
    server.behave(started("three"));
    write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "m v=2 2");
    wait_until("the write to arrive", SOON, || lines(&server) > sent);
}

#[test]
fn a_node_that_closes_idle_connections_at_once_is_not_asked_without_end() {
    let connections = Arc::new(AtomicUsize::new(0));
    let address = impatient_server(Arc::clone(&connections));
    let folder = tempfile::tempdir().expect("a folder");
    let placeholder = StandIn::healthy();
    let configuration = relay_over(&[&placeholder], "").replace(&placeholder.address(), &address);
    let haflux = Haflux::start(folder.path(), &configuration);
    write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "m v=1 1");
    let begun = Instant::now();
    let before = connections.load(Ordering::Relaxed);
    let mut written = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        write_until_taken(&haflux.url("front"), &[("db", "telegraf")], "m v=2 2");
        written += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let opened = connections.load(Ordering::Relaxed) - before;
    assert!(
        opened < 2 * written + 100,
        "{opened} connections for {written} writes"
    );
}

/// Answers 204 to everything, and closes each connection that says nothing for a moment.
fn impatient_server(connections: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = listener.local_addr().expect("a bound address").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                continue;
            };
            connections.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                let patience = Some(Duration::from_millis(5));
                connection.set_read_timeout(patience).expect("a timeout");
                let mut buffer = [0; 16_384];
                while matches!(connection.read(&mut buffer), Ok(read) if read > 0) {
                    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                    if connection.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
