//! What one client may take of a frontend: connections, time and memory.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::http::{self, raw};
use crate::support::source::connect_from;
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, Lab, Options, status, wait_until, write};

/// Tests that measure memory or need thousands of connections run one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How many of the connections the other side has closed, without a word.
fn closed(connections: &[TcpStream]) -> usize {
    let is_closed = |connection: &&TcpStream| {
        connection.set_nonblocking(true).expect("a mode");
        match connection.peek(&mut [0; 1]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    };
    connections.iter().filter(is_closed).count()
}

/// `GET /ping` on a connection, and its status.
fn ping(mut connection: &TcpStream) -> std::io::Result<String> {
    connection.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        connection.read_exact(&mut byte)?;
        answer.extend_from_slice(&byte);
    }
    Ok(String::from_utf8_lossy(&answer[..12]).into_owned())
}

/// One node behind three frontends: a replicated pool, a plain one, and one with short limits of time before each.
fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("t");
    let address = node.address();
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\nstats_uri = \"/haproxy?stats\"\n{keys}\n\
         [[relay]]\nname = \"relay\"\nreplicate_to = \"back\"\n\
         [[backend]]\nname = \"back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n\
         [[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\n{keys}\n\
         [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{address}\" }}]\n"
    );
    let haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
    (folder, node, haflux)
}

#[test]
fn one_address_does_not_take_all_connections() {
    let _alone = ONE_AT_A_TIME.lock();
    let (_folder, _node, haflux) = start("maxconn = 40");
    let front = haflux.address("front");
    let silent: Vec<_> = (0..60).map(|_| connect_from(2, &front)).collect();
    // A quarter of them is kept; the others are closed at once.
    wait_until("the rest to be closed", SOON, || {
        status::frontend(&haflux.url("front"), "front")["source_limit"] == 50
    });
    wait_until("the rest to be closed", SOON, || closed(&silent) == 50);
    let asked = Instant::now();
    let good = connect_from(3, &front);
    assert_eq!(ping(&good).expect("an answer"), "HTTP/1.1 204");
    assert!(asked.elapsed() < Duration::from_secs(2));
    let full = "127.0.0.2 has as many connections";
    haflux.says(full);
    assert_eq!(haflux.log().matches(full).count(), 1);
    // What it gives back it may have again.
    drop(silent);
    wait_until("its connections to be free", SOON, || {
        ping(&connect_from(2, &front)).is_ok_and(|status| status == "HTTP/1.1 204")
    });
}

#[test]
fn as_many_connections_as_the_system_lets_it_take() {
    let _alone = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = "[[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\n\
         stats_uri = \"/ping\"\nmaxconn = 500\nmaxconn_per_source = 500\n\
         default_backend = \"back\"\n[[backend]]\nname = \"back\"\n\
         servers = [{ name = \"one\", address = \"127.0.0.1:1\" }]\n";
    let launcher = ["prlimit", "--nofile=128:800", "--"];
    let haflux = Haflux::start_by(folder.path(), configuration, &launcher);
    let front = haflux.address("front");
    let connections: Vec<_> = (0..400).map(|_| connect_from(2, &front)).collect();
    for connection in &connections {
        assert_eq!(ping(connection).expect("an answer"), "HTTP/1.1 200");
    }
    haflux.says("open files: at most 800 instead of 128");
    // Each may need one to a server.
    haflux.says("may need 1000");
}

#[test]
fn who_waits_for_a_connection_is_not_shut_out_by_one_address() {
    let _alone = ONE_AT_A_TIME.lock();
    let (_folder, _node, haflux) = start("maxconn = 4\nmaxconn_per_source = 3");
    let front = haflux.address("front");
    // Two addresses have all connections that there are; as many more may wait.
    let served: Vec<_> = [4, 4, 5, 5].map(|last| connect_from(last, &front)).into();
    for connection in &served {
        assert_eq!(ping(connection).expect("an answer"), "HTTP/1.1 204");
    }
    let silent: Vec<_> = (0..20).map(|_| connect_from(2, &front)).collect();
    wait_until("the rest to be closed", SOON, || closed(&silent) == 17);
    let good = connect_from(3, &front);
    drop(served);
    assert_eq!(ping(&good).expect("an answer"), "HTTP/1.1 204");
    assert_eq!(closed(&silent), 17);
}

#[test]
fn a_slow_body_ends_in_a_408_wherever_it_goes() {
    let (_folder, _node, haflux) =
        start("timeout = { http_body = \"700ms\", client = \"20s\" }\nmin_body_rate = 100");
    for (front, path) in [
        ("front", "/write?db=t"),
        ("front", "/query"),
        ("plain", "/write?db=t"),
    ] {
        for framing in [
            "Content-Length: 1000\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
        ] {
            let mut client = connect_from(1, &haflux.address(front));
            let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{framing}");
            client.write_all(request.as_bytes()).expect("a request");
            let begun = Instant::now();
            // A byte every 50 ms is a fifth of the least rate.
            let mut answer = Vec::new();
            client
                .set_read_timeout(Some(Duration::from_millis(50)))
                .expect("a limit");
            while answer.is_empty() && begun.elapsed() < SOON {
                let _ = client.write_all(b"x");
                let mut piece = [0; 4096];
                if let Ok(read) = client.read(&mut piece) {
                    answer.extend_from_slice(&piece[..read]);
                }
            }
            answer.extend(http::read_until_silent(&mut client).unwrap_or_default());
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(
                answer.starts_with("HTTP/1.1 408 "),
                "{front} {path}: {answer:?}"
            );
            assert!(
                answer.ends_with("{\"error\":\"the request's body did not come in time\"}\n"),
                "{answer:?}"
            );
            let took = begun.elapsed();
            assert!(took > Duration::from_millis(600), "{took:?}");
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
        let counted = status::frontend(&haflux.url("front"), front);
        assert!(counted["slow_requests"].as_u64() >= Some(2), "{counted}");
    }
    wait_until("lines in the log", SOON, || {
        haflux.log().matches(" cR-- ").count() >= 6
    });
    // One that keeps the rate may take as long as it likes.
    let mut client = connect_from(1, &haflux.address("front"));
    client
        .write_all(b"POST /write?db=t HTTP/1.1\r\nHost: x\r\nContent-Length: 1007\r\n\r\nkept v=1")
        .expect("a request");
    for _ in 0..37 {
        client.write_all(&[b'\n'; 27]).expect("a piece");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut status = [0; 12];
    client.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 204");
}

#[test]
fn a_client_that_goes_silent_in_its_body_hears_408_and_its_line_says_how_long_it_took() {
    for keys in [
        "timeout = { http_body = \"20s\", client = \"700ms\" }",
        "timeout = { http_body = \"700ms\", client = \"20s\" }",
    ] {
        let (_folder, _node, haflux) = start(keys);
        // Few bytes are waited for before anything is done with the request, and many are passed on.
        for (front, path, sent) in [
            ("front", "/write?db=t", 3),
            ("front", "/query", 3),
            ("plain", "/write?db=t", 3),
            ("front", "/write?db=t", 20_000),
            ("plain", "/write?db=t", 20_000),
        ] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n");
            let request = [head.into_bytes(), vec![b'x'; sent]].concat();
            let begun = Instant::now();
            let answer = raw(&haflux.address(front), &request, SOON).expect("an answer");
            let took = begun.elapsed();
            let answer = String::from_utf8_lossy(&answer);
            let what = format!("{keys}, {front} {path}, {sent} bytes: {answer:?} after {took:?}");
            assert!(answer.starts_with("HTTP/1.1 408 "), "{what}");
            assert!(took > Duration::from_millis(600), "{what}");
            assert!(took < Duration::from_secs(5), "{what}");
        }
        let totals = || {
            let log = haflux.log();
            let lines = log.lines().filter(|line| line.contains(" cR-- "));
            let times = lines.filter_map(|line| {
                let mut words = line.split_whitespace();
                words.find(|word| word.matches('/').count() == 4)
            });
            let totals = times.filter_map(|times| times.rsplit('/').next()?.parse::<u64>().ok());
            totals.collect::<Vec<_>>()
        };
        wait_until("lines in the log", SOON, || totals().len() == 5);
        let totals = totals();
        assert!(
            totals.iter().all(|total| *total >= 600),
            "{keys}: {totals:?}"
        );
    }
}

#[test]
fn a_slow_header_ends_in_a_408_and_silence_in_nothing() {
    let (_folder, _node, haflux) =
        start("timeout = { http_request = \"500ms\", http_keep_alive = \"1s\" }");
    let front = haflux.address("front");
    let answer = raw(&front, b"GET /query?q=secret HTTP/1.1\r\nA: b", SOON).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
    assert!(
        answer.ends_with("{\"error\":\"the request's header did not come in time\"}\n"),
        "{answer:?}"
    );
    assert!(raw(&front, b"", SOON).expect("nothing").is_empty());
    // Between two requests it may be silent for longer, and a new header has its own time.
    let client = connect_from(1, &front);
    assert_eq!(ping(&client).expect("an answer"), "HTTP/1.1 204");
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(ping(&client).expect("an answer"), "HTTP/1.1 204");
    haflux.says(" cR-- ");
    assert!(!haflux.log().contains("secret"));
}

/// Bytes resident now and at most.
fn resident(haflux: &mut Haflux) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{}/status", haflux.id())).expect("it runs");
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1024 * kibibytes
            .and_then(|number| number.parse::<u64>().ok())
            .expect("a number")
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[test]
fn headers_bound_the_memory_that_they_take() {
    let _alone = ONE_AT_A_TIME.lock();
    let (_folder, _node, mut haflux) = start("maxconn_per_source = 2000");
    let front = haflux.address("front");
    let line = format!("A: {}\r\n", "x".repeat(1000));
    let header = format!("GET /ping HTTP/1.1\r\nHost: x\r\n{}", line.repeat(60));
    let mut open: Vec<_> = (0..500).map(|_| connect_from(1, &front)).collect();
    for connection in &mut open {
        connection
            .write_all(header.as_bytes())
            .expect("a header's beginning");
    }
    std::thread::sleep(Duration::from_secs(1));
    let (now, most) = resident(&mut haflux);
    eprintln!(
        "{} MB with 500 headers of 60 kB, {} MB at most",
        now / 1_000_000,
        most / 1_000_000
    );
    assert!(most < 100_000_000, "{most}");
    // And the rest of a megabyte is refused.
    for connection in &mut open {
        let _ = connection.write_all(line.repeat(20).as_bytes());
        let mut status = [0; 12];
        connection.read_exact(&mut status).expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 431");
    }
    assert!(resident(&mut haflux).1 < 100_000_000);
}

/// Takes every connection, says that the protocol changes, and sends back what comes first.
fn tunnel_server(connections: usize) -> (SocketAddr, std::thread::JoinHandle<Vec<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let taking = std::thread::spawn(move || {
        let mut open = Vec::new();
        while open.len() < connections {
            let (mut connection, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 1024];
                let read = connection.read(&mut piece).expect("a request");
                request.extend_from_slice(&piece[..read]);
            }
            connection
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
                .expect("an answer");
            open.push(connection);
        }
        open
    });
    (address, taking)
}

#[test]
fn tunnels_and_slow_bodies_fit_together() {
    const TUNNELS: usize = 1500;
    const BODIES: usize = 1900;
    let _alone = ONE_AT_A_TIME.lock();
    let (server, taking) = tunnel_server(TUNNELS);
    let lab = Lab::start_with(Options::default(), |text| {
        let text = text.replace(
            "default_backend = \"influx_back\"",
            "default_backend = \"influx_back\"\nmaxconn_per_source = 2000",
        );
        text + &format!(
            "\n[[frontend]]\nname = \"tunnels\"\nbind = \"127.0.0.1:PORT(tunnels)\"\ndefault_backend = \"tunnels_back\"\nmaxconn_per_source = 2000\n\
             [[backend]]\nname = \"tunnels_back\"\ncheck = false\nservers = [{{ name = \"one\", address = \"{server}\" }}]\n"
        )
    });
    let mut lab = lab;
    lab.create_database("t");
    let before = resident(&mut lab.haflux).0;
    let to = lab.haflux.address("tunnels");
    let tunnels: Vec<_> = (0..TUNNELS)
        .map(|_| {
            let mut client = connect_from(1, &to);
            client
                .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                .expect("a request");
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                let mut piece = [0; 1024];
                let read = client.read(&mut piece).expect("an answer");
                assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
                answer.extend_from_slice(&piece[..read]);
            }
            client.write_all(b"and back").expect("a piece");
            client
        })
        .collect();
    let mut servers = taking.join().expect("connections");
    for server in &mut servers {
        let mut piece = [0; 8];
        server.read_exact(&mut piece).expect("a piece");
    }
    let with_tunnels = resident(&mut lab.haflux).0;
    eprintln!(
        "{} kB a tunnel",
        with_tunnels.saturating_sub(before) / 1000 / TUNNELS as u64
    );
    let to = lab.haflux.address("influx_front");
    let mut bodies: Vec<_> = (0..BODIES).map(|_| connect_from(1, &to)).collect();
    for (number, body) in bodies.iter_mut().enumerate() {
        let path = if number % 2 == 0 {
            "/write?db=t"
        } else {
            "/query"
        };
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n");
        body.write_all(request.as_bytes()).expect("a request");
    }
    for _ in 0..5 {
        for body in &mut bodies {
            body.write_all(b"m v=1\n").expect("a piece");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let (now, most) = resident(&mut lab.haflux);
    eprintln!(
        "{} kB a body",
        now.saturating_sub(with_tunnels) / 1000 / BODIES as u64
    );
    eprintln!(
        "{} MB before, {} MB with all, {} MB at most",
        before / 1_000_000,
        now / 1_000_000,
        most / 1_000_000
    );
    // Good clients go on.
    let url = lab.influx_url();
    let written = write(&url, "t", "good v=1 1");
    assert_eq!(written.status, 204, "{}", written.text());
    lab.both_hold("t", "good", 1);
    assert!(resident(&mut lab.haflux).1 < 128_000_000, "{most}");
    drop((tunnels, servers));
}
