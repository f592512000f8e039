//! The tests' own tools: what they say about nodes must be right, or every other test proves nothing.

mod support;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::http::{self, Reply, Sending, exchange};
use support::wait::SOON;
use support::{Behaviour, Influxd, Options, StandIn, same_points, wait_until};

#[test]
fn node_keeps_what_it_acknowledged_through_kill_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Influxd::start(folder.path());
    node.create_database("lab");
    assert_eq!(
        node.write("lab", "cpu,host=a value=1 1\ncpu value=2 2")
            .status,
        204
    );

    let address = node.address();
    node.kill9();
    assert!(TcpStream::connect(&address).is_err(), "it is dead");
    node.restart();
    assert_eq!(node.address(), address);
    assert_eq!(node.count("lab", "cpu", "value"), 2);

    node.stop();
    node.wipe();
    node.restart();
    let databases = node.query("", "SHOW DATABASES");
    assert!(!databases.to_string().contains("lab"), "{databases}");
}

#[test]
fn paused_node_is_silent_but_connected() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Influxd::start(folder.path());
    node.pause();
    let ping = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = http::raw(&node.address(), ping, Duration::from_millis(300)).unwrap();
    assert_eq!(answer, b"");
    node.resume();
    let answer = http::raw(&node.address(), ping, SOON).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 204"));
}

#[test]
fn answer_that_only_the_end_of_the_connection_ends_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let node = Influxd::start(folder.path());
    // Of such an answer Go's server tells neither the length nor that it closes, and influxd gives up a query whose client left.
    let request = b"GET /query?q=SHOW+DATABASES HTTP/1.0\r\n\r\n";
    let Reply::Answer(answer) = exchange(&node.address(), request, Sending::Open, SOON) else {
        panic!("no answer");
    };
    let told = (answer.header("connection"), answer.header("content-length"));
    assert_eq!(told, (None, None));
    assert!(answer.text().contains("databases"), "{}", answer.text());
}

#[test]
fn node_asks_for_credentials_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let node = Influxd::start_with(folder.path(), Options::default().auth());
    node.query(
        "",
        "CREATE USER admin WITH PASSWORD 'secret' WITH ALL PRIVILEGES",
    );
    assert_eq!(node.write("lab", "cpu value=1").status, 401);
    let answer = http::get(&format!(
        "{}/query?q=SHOW+DATABASES&u=admin&p=secret",
        node.url()
    ));
    assert_eq!(answer.status, 200);
}

#[test]
fn every_difference_between_nodes_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let left = Influxd::start(&folder.path().join("left"));
    let right = Influxd::start(&folder.path().join("right"));
    let both = |lines: &str| {
        assert_eq!(left.write("lab", lines).status, 204);
        assert_eq!(right.write("lab", lines).status, 204);
    };
    for node in [&left, &right] {
        node.create_database("lab");
        node.query(
            "lab",
            "CREATE RETENTION POLICY second ON lab DURATION 0s REPLICATION 1",
        );
    }
    both("cpu,host=a,rack=1 value=1.5,text=\"x y\",load=3i 1\ncpu,host=b value=2 1\nmem free=1i 5");
    both("odd\\ name,a\\,b=c\\=d v=0.1,w=\"\" 7");
    assert_eq!(same_points(&left, &right, "lab"), [""; 0]);

    // Each is found alone, and the nodes are made equal again before the next.
    let cases = [
        ("a point is missing", "cpu,host=a,rack=1 value=9 2", ""),
        (
            "a value differs",
            "cpu,host=b value=2 3",
            "cpu,host=b value=3 3",
        ),
        (
            "a value differs in the last bit",
            "cpu,host=b value=0.1 4",
            "cpu,host=b value=0.10000000000000002 4",
        ),
        (
            "one time differs",
            "cpu,host=b value=2 11",
            "cpu,host=b value=2 10",
        ),
        (
            "a field is missing",
            "cpu,host=b value=2,text=\"\" 12",
            "cpu,host=b value=2 12",
        ),
        (
            "a tag differs",
            "cpu,host=c value=2 1",
            "cpu,host=d value=2 1",
        ),
        ("a type differs", "new value=2 1", "new value=2i 1"),
        ("a measurement is missing", "only v=1 1", ""),
    ];
    for (what, on_left, on_right) in cases {
        assert_eq!(left.write("lab", on_left).status, 204);
        assert_eq!(right.write("lab", on_right).status, 204);
        let differences = same_points(&left, &right, "lab");
        assert!(!differences.is_empty(), "not found: {what}");
        for node in [&left, &right] {
            for measurement in ["cpu", "new", "only"] {
                node.query("lab", &format!("DROP MEASUREMENT \"{measurement}\""));
            }
        }
        both("cpu,host=a,rack=1 value=1.5,text=\"x y\",load=3i 1\ncpu,host=b value=2,text=\"\" 1");
        assert_eq!(same_points(&left, &right, "lab"), [""; 0], "after: {what}");
    }

    let second = format!("{}/write?db=lab&rp=second", left.url());
    assert_eq!(
        http::post(&second, "cpu,host=a,rack=1 value=1 1").status,
        204
    );
    let differences = same_points(&left, &right, "lab");
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].starts_with("second.cpu"), "{differences:?}");
}

#[test]
fn stand_in_follows_its_script() {
    let mut server = StandIn::start(|request| match request.path() {
        "/ping" => Behaviour::no_content(),
        "/late" => Behaviour::After(
            Duration::from_millis(50),
            Box::new(Behaviour::status(503, "later")),
        ),
        "/broken" => Behaviour::break_off("{\"results\":["),
        "/hang" => Behaviour::Hang,
        _ => Behaviour::Close,
    });
    let url = |path: &str| format!("{}{path}", server.url());
    assert_eq!(http::get(&url("/ping?a=b")).status, 204);
    let begun = Instant::now();
    let answer = http::post(&url("/late"), "cpu value=1");
    assert_eq!((answer.status, answer.text().as_str()), (503, "later"));
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert!(http::try_request("GET", &url("/broken"), &[], b"").is_err());
    assert!(http::try_request("GET", &url("/other"), &[], b"").is_err());
    let silence = Duration::from_millis(100);
    let nothing = http::raw(&server.address(), b"GET /hang HTTP/1.1\r\n\r\n", silence).unwrap();
    assert_eq!(nothing, b"");
    assert_eq!(server.requests_for("/late")[0].text(), "cpu value=1");

    let address = server.address();
    server.refuse();
    assert!(TcpStream::connect(&address).is_err());
    server.accept_again();
    server.behave(|_| Behaviour::status(200, "again"));
    assert_eq!(http::get(&format!("{}/x", server.url())).text(), "again");
}

#[test]
fn stand_in_reads_chunked_bodies_on_one_connection() {
    let server = StandIn::healthy();
    let request = b"POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let twice = [&request[..], &request[..]].concat();
    let answer = http::raw(&server.address(), &twice, Duration::from_millis(200)).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&answer)
            .matches("HTTP/1.1 204")
            .count(),
        2
    );
    let bodies: Vec<String> = server.requests().iter().map(|r| r.text()).collect();
    assert_eq!(bodies, ["abcde", "abcde"]);
    assert_eq!(server.connections(), 1);
}

#[test]
#[should_panic(expected = "in vain: pigs to fly")]
fn waiting_in_vain_says_for_what() {
    wait_until("pigs to fly", Duration::from_millis(30), || false);
}
