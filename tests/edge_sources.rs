//! Whose connections a frontend takes, and whom it takes for the client: networks, the PROXY protocol, and what proxies say of whom they
//! pass on.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use support::wait::SOON;
use support::{Haflux, Influxd, status, wait_until};

/// A connection from 127.0.0.`last`.
fn connect_from(last: u8, to: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket.bind(&from.into()).expect("an address of loopback");
    let to: SocketAddr = to.parse().expect("an address");
    socket.connect(&to.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).expect("a limit");
    stream
}

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
    let address = node.address();
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n{keys}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\n{keys}\n\
         [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n"
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    (folder, node, haflux)
}

fn counted(haflux: &Haflux, frontend: &str, counter: &str) -> u64 {
    let view = status::frontend(&haflux.url("page"), frontend);
    view[counter].as_u64().expect("a number")
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
    assert_eq!(said(&haflux.log()), 2, "once a frontend, and then rarely");
    assert!(
        haflux
            .log()
            .contains("frontend \"front\": 127.0.0.5 is kept out")
    );
    // A connection that is there stays when its client is denied.
    let mut kept = connect_from(2, &haflux.address("front"));
    let mut ping_on = |connection: &mut TcpStream| {
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
