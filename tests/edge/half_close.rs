//! A client that closes only its sending side gets its answer; one that has left cancels its query.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::wait::SOON;
use crate::support::{Influxd, Lab, Options, wait_until};

/// Takes a node many seconds, and no memory.
const SLOW: &str = "SELECT+sum(c)+FROM+(SELECT+count(v)+AS+c+FROM+m+WHERE+time+%3E%3D+0+AND+time+%3C+200000s+GROUP+BY+time(1ms)+fill(0))";

/// The same over so many seconds.
fn slow(seconds: u32) -> String {
    SLOW.replace("200000s", &format!("{seconds}s"))
}

/// The lab, with a frontend more that leads to a pool which nothing replicates to.
fn lab() -> Lab {
    let lab = Lab::start_with(Options::default(), |text| {
        let server = |text: &str| {
            let (_, after) = text
                .split_once("name = \"influxlab\",  address = \"")
                .expect("a server");
            after.split('"').next().expect("an address").to_owned()
        };
        let server = server(&text);
        text + &format!(
            "\n[[frontend]]\nname = \"plain\"\nbind = \"127.0.0.1:PORT(plain)\"\ndefault_backend = \"plain_back\"\n\
             [[backend]]\nname = \"plain_back\"\nservers = [{{ name = \"one\", address = \"{server}\" }}]\n"
        )
    });
    lab.create_database("t");
    let written = lab.write("t", "m v=1 1");
    assert_eq!(written.status, 204);
    lab.both_hold("t", "m", 1);
    lab
}

/// The answer to a request behind which nothing more is sent.
fn half_closed(address: &str, request: &str) -> String {
    let mut client = TcpStream::connect(address).expect("a connection");
    client.set_read_timeout(Some(SOON)).expect("a limit");
    client.write_all(request.as_bytes()).expect("a request");
    client.shutdown(Shutdown::Write).expect("the end");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_client_that_has_no_more_to_say_gets_its_answer() {
    let lab = lab();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    let post = |target: &str, body: &str| {
        let length = body.len();
        let form = "Content-Type: application/x-www-form-urlencoded";
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\n{form}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    for front in ["influx_front", "plain"] {
        let address = lab.haflux.address(front);
        for (request, start, end) in [
            (get("/ping"), "HTTP/1.1 204 ", "\r\n\r\n"),
            (get("/query?db=t&q=SELECT+v+FROM+m"), "HTTP/1.1 200 ", "\n"),
            (
                post("/query", "db=t&q=SHOW+DATABASES"),
                "HTTP/1.1 200 ",
                "\n",
            ),
            (
                post("/query?q=CREATE+DATABASE+made", ""),
                "HTTP/1.1 200 ",
                "\n",
            ),
            (post("/write?db=t", "n v=1 1"), "HTTP/1.1 204 ", "\r\n\r\n"),
            (get("/nothing"), "HTTP/1.1 404 ", ""),
        ] {
            for _ in 0..10 {
                let answer = half_closed(&address, &request);
                assert!(
                    answer.starts_with(start) && answer.ends_with(end),
                    "{front} {request:?}: {answer:?}"
                );
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
            }
        }
        // Longer than it takes until the first byte of the answer is sent early, and the second.
        let is_slow = |seconds: &u32| {
            let asked = Instant::now();
            let answer = half_closed(&address, &get(&format!("/query?db=t&q={}", slow(*seconds))));
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n"),
                "{front}: {answer:?}"
            );
            assert!(
                answer.contains("\"columns\":[\"time\",\"sum\"]"),
                "{front}: {answer:?}"
            );
            asked.elapsed() > Duration::from_millis(1300)
        };
        let found = [1500, 6000, 24_000, 96_000]
            .iter()
            .find(|seconds| is_slow(seconds));
        let seconds = found.expect("a query that is not too fast");
        // Some at once, and then the end; also more of them than are read ahead, behind one that takes its time.
        let query = format!("/query?db=t&q={}", slow(*seconds));
        for (first, count) in [("/ping", 1), (query.as_str(), 400)] {
            let requests = get(first) + &get("/ping").repeat(count);
            let answers = half_closed(&address, &requests);
            let answered = answers.matches("HTTP/1.1 20").count();
            assert_eq!(answered, count + 1, "{front}");
        }
    }
    lab.both_hold("t", "n", 1);
}

#[test]
fn a_body_that_ends_early_is_an_unexpected_end() {
    let lab = lab();
    for front in ["influx_front", "plain"] {
        let address = lab.haflux.address(front);
        for path in ["/write?db=t", "/query"] {
            let request =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\nn v=1 1");
            let answer = half_closed(&address, &request);
            assert!(
                answer.starts_with("HTTP/1.1 400 "),
                "{front} {path}: {answer:?}"
            );
            assert!(
                answer.ends_with("{\"error\":\"unexpected EOF\"}\n"),
                "{front} {path}: {answer:?}"
            );
        }
    }
}

/// The long query is one of those that the node executes.
fn executes(node: &Influxd) -> bool {
    node.query("", "SHOW QUERIES")
        .to_string()
        .contains("200000s")
}

#[test]
fn a_client_that_has_left_cancels_its_query() {
    let lab = lab();
    let ping = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
    for front in ["influx_front", "plain"] {
        // More is sent ahead by some than is read.
        for (is_reset, ahead) in [(false, 0), (true, 0), (false, 400), (true, 400)] {
            let mut client = TcpStream::connect(lab.haflux.address(front)).expect("a connection");
            let request = format!("GET /query?db=t&q={SLOW} HTTP/1.1\r\nHost: x\r\n\r\n");
            let request = request + &ping.repeat(ahead);
            client.write_all(request.as_bytes()).expect("a request");
            wait_until("a node to be at it", SOON, || {
                executes(&lab.node1) || executes(&lab.node2)
            });
            if is_reset {
                let socket = socket2::SockRef::from(&client);
                socket.set_linger(Some(Duration::ZERO)).expect("a reset");
            }
            let left = Instant::now();
            drop(client);
            wait_until("the query to be cancelled", SOON, || {
                !executes(&lab.node1) && !executes(&lab.node2)
            });
            let after = left.elapsed();
            assert!(
                after < Duration::from_millis(1500),
                "{front}, reset {is_reset}, {ahead} ahead: {after:?}"
            );
        }
    }
}
