//! What one client's body or query holds costs nobody else anything, and ends no node (rule N5).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::lab::{relay_keys, replace};
use crate::support::wait::SOON;
use crate::support::{Lab, Options, http, status, wait_until};
use serde_json::Value;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// For a request that is only begun.
fn begin(lab: &Lab, target: &str, announced: usize, sent: &[u8]) -> TcpStream {
    let mut connection =
        TcpStream::connect(lab.haflux.address("influx_front")).expect("a connection");
    let header = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {announced}\r\n\r\n",
        FORM.1
    );
    connection.write_all(header.as_bytes()).expect("a header");
    // The other side may refuse it before it is all sent.
    let _ = connection.write_all(sent);
    connection
}

/// The status of the answer that comes on a connection.
fn status_on(connection: &mut TcpStream) -> String {
    let mut answer = [0; 12];
    connection
        .set_read_timeout(Some(SOON))
        .expect("a time limit");
    connection.read_exact(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

fn form(lab: &Lab, body: &[u8]) -> http::Answer {
    let url = format!("{}/query?db=db", lab.influx_url());
    http::request("POST", &url, &[FORM], body)
}

fn inflight(lab: &Lab) -> (u64, u64) {
    let page = status::page(&lab.grafana_url());
    let number = |value: &Value| value.as_u64().expect("a number");
    (
        number(&page["relays"][0]["inflight"]),
        number(&page["query_inflight"]),
    )
}

#[test]
fn what_is_announced_takes_no_room_from_others() {
    let lab = Lab::start();
    lab.create_database("db");
    // More than the frontend gathers before it looks at a request.
    let beginning = vec![b'q'; 10_000];
    let begun = |target| -> Vec<TcpStream> {
        (0..20)
            .map(|_| begin(&lab, target, 16_777_215, &beginning))
            .collect()
    };
    let (writes, queries) = (begun("/write?db=db"), begun("/query?db=db"));
    wait_until("the beginning of each body", SOON, || {
        inflight(&lab) == (400_000, 200_000)
    });
    assert_eq!(lab.write("db", "m v=1 1").status, 204);
    assert_eq!(form(&lab, b"q=SELECT+v+FROM+m").status, 200);
    assert_eq!(form(&lab, b"q=CREATE+DATABASE+other").status, 200);
    drop((writes, queries));
    wait_until("nothing to be held", SOON, || inflight(&lab) == (0, 0));
}

#[test]
fn a_large_body_gets_through_while_others_hold_the_rest_half_way() {
    let lab = Lab::start_with(Options::default(), relay_keys("body_wait = \"2s\""));
    lab.create_database("db");
    let part = vec![b'#'; 5_000_000];
    let stalled: Vec<TcpStream> = (0..8)
        .map(|_| begin(&lab, "/write?db=db", 16_777_215, &part))
        .collect();
    wait_until("the share to be full", SOON, || inflight(&lab).0 > 15 << 20);
    let padding = "x".repeat(60_000);
    let lines: Vec<String> = (0..330)
        .map(|time| format!("large v=1,padding=\"{padding}\" {time}\n"))
        .collect();
    let large = lines.concat();
    for attempt in 0.. {
        // A small one too, though all come from one address.
        let answer = lab.write("db", "m v=2 2");
        assert!(matches!(answer.status, 204 | 503), "{}", answer.text());
        let answer = lab.write("db", &large);
        if answer.status == 204 {
            break;
        }
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(attempt < 3, "a large body never gets through");
    }
    assert_eq!(lab.write("db", "m v=2 2").status, 204);
    drop(stalled);
}

#[test]
fn two_half_received_bodies_do_not_wait_for_each_other() {
    let keys = "body_wait = \"1s\"\nmax_inflight = \"34MiB\"";
    let lab = Lab::start_with(Options::default(), relay_keys(keys));
    lab.create_database("db");
    // 8.5 MB fill the share of an address: one of the three goes on, and the others are told to come again.
    let half = vec![b'#'; 8_000_000];
    let mut bodies: Vec<TcpStream> = (0..3)
        .map(|_| begin(&lab, "/write?db=db", 16_000_000, &half))
        .collect();
    let statuses: Vec<String> = std::thread::scope(|scope| {
        let finish = |body: &mut TcpStream| {
            let _ = body.write_all(&half);
            status_on(body)
        };
        let bodies: Vec<_> = bodies
            .iter_mut()
            .map(|body| scope.spawn(move || finish(body)))
            .collect();
        let ended = bodies.into_iter().map(|body| body.join());
        ended.map(|status| status.expect("an answer")).collect()
    });
    assert!(statuses.contains(&"204".to_owned()), "{statuses:?}");
    let expected = |status: &String| status == "204" || status == "503";
    assert!(statuses.iter().all(expected), "{statuses:?}");
    wait_until("nothing to be held", SOON, || inflight(&lab).0 == 0);
}

/// Bodies of queries that hold too much of something, and what of.
fn excessive() -> Vec<(&'static str, Vec<u8>)> {
    let select = "q=SELECT v FROM m WHERE ";
    let repeated = |begin: &str, piece: &str, times: usize, end: &str| {
        format!("{begin}{}{end}", piece.repeat(times)).into_bytes()
    };
    vec![
        ("levels", repeated(select, "(", 600_000, "v=1")),
        ("levels", repeated("q=SELECT ", "mean(", 200_000, "v")),
        (
            "levels",
            repeated("q=SELECT v FROM ", "(SELECT v FROM ", 60_000, "m"),
        ),
        (
            "levels",
            repeated("q=DELETE FROM m WHERE ", "(", 600_000, "v=1"),
        ),
        (
            "levels",
            repeated("q=SELECT v FROM m WHERE a=~/", "(", 600_000, "/"),
        ),
        ("levels", repeated("q='DROP DATABASE db ", "(", 600_000, "")),
        (
            "levels",
            repeated("q=SELECT v FROM m&params={\"a\":", "[", 600_000, "}"),
        ),
        ("operators", repeated(select, "v=1 AND ", 100_000, "v=1")),
        (
            "operators",
            repeated("q=SELECT v", "%2Bv", 200_000, " FROM m"),
        ),
        (
            "operators",
            repeated("q=SELECT v FROM m GROUP BY a", ",a", 300_000, ""),
        ),
        ("parameters", repeated("", "&a", 8_000_000, "")),
        ("bytes", repeated("", "a;", 4_000_000, "")),
        ("bytes", repeated("q=SELECT v FROM m", ";", 9_000_000, "")),
        (
            "statements",
            repeated("q=SELECT v FROM m", "%3B", 300_000, ""),
        ),
        ("bytes", repeated("q=SELECT v FROM m--", "x", 2_000_000, "")),
        (
            "bytes",
            repeated("q=SELECT v FROM m&params=", "x", 2_000_000, ""),
        ),
    ]
}

#[test]
fn what_a_query_repeats_has_limits_and_no_node_sees_more() {
    let lab = Lab::start();
    lab.create_database("db");
    lab.write("db", "m,a=b v=1 1");
    for (number, (what, body)) in excessive().into_iter().enumerate() {
        let began = Instant::now();
        let answer = form(&lab, &body);
        let text = answer.text();
        assert_eq!(answer.status, 400, "{number}: {text}");
        let begins = text.starts_with("{\"error\":\"error parsing query: ");
        assert!(begins && text.contains(what), "{number}: {text}");
        assert!(text.contains("(max_query_"), "{number}: {text}");
        eprintln!("{number} {what}: {:?}", began.elapsed());
    }
    let parts = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(100_000);
    let kind = ("Content-Type", "multipart/form-data; boundary=b");
    let url = format!("{}/query?db=db", lab.influx_url());
    let answer = http::request("POST", &url, &[kind], parts.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("parameters"), "{}", answer.text());
    for node in [&lab.node1, &lab.node2] {
        assert_eq!(node.count("db", "m", "v"), 1, "each is there");
    }
    let page = status::page(&lab.grafana_url());
    assert_eq!(page["relays"][0]["statements"], 0, "none was journaled");
    assert!(page["queries_refused"].as_u64() >= Some(14), "{page}");
}

#[test]
fn what_honest_clients_send_is_within_the_limits() {
    let lab = Lab::start();
    lab.create_database("db");
    lab.write("db", "m,a=b v=1 1");
    let any_of = |count: usize| {
        let each: Vec<String> = (0..count).map(|host| format!("a='host{host}'")).collect();
        format!("SELECT v FROM m WHERE {} OR a='b'", each.join(" OR "))
    };
    let regex: Vec<String> = (0..20_000).map(|host| format!("host{host}")).collect();
    let nested = format!(
        "SELECT v FROM m WHERE {}v=1{}",
        "(".repeat(100),
        ")".repeat(100)
    );
    let queries = [
        any_of(500),
        format!("SELECT v FROM m WHERE a=~/^(b|{})$/", regex.join("|")),
        nested,
        vec!["SELECT v FROM m"; 1000].join(";"),
    ];
    for query in queries {
        let body = http::query_string(&[("q", &query)]);
        let answer = form(&lab, body.as_bytes());
        assert_eq!(answer.status, 200, "{query:.80}: {}", answer.text());
        assert!(answer.text().contains("\"values\""), "{query:.80}");
    }
    let tags: String = (0..500).rev().map(|tag| format!(",t{tag}=x")).collect();
    assert_eq!(lab.write("db", format!("wide{tags} v=1 1")).status, 204);
}

#[test]
fn a_line_with_too_many_tags_is_a_bad_line() {
    let lab = Lab::start();
    lab.create_database("db");
    let line = |tags: usize| {
        let tags: String = (0..tags).rev().map(|tag| format!(",t{tag:06}=x")).collect();
        format!("wide{tags} v=1 1")
    };
    let began = Instant::now();
    let alone = lab.write("db", line(100_000));
    assert_eq!(alone.status, 400);
    let text = alone.text();
    assert!(
        text.starts_with("{\"error\":\"unable to parse 'wide,t099999=x,")
            && text.contains("': too many tags (max_tags)"),
        "{text}"
    );
    let among = lab.write("db", format!("good v=1 1\n{}\ngood v=2 2", line(30_000)));
    assert_eq!(among.status, 400);
    let text = among.text();
    assert!(
        text.starts_with("{\"error\":\"partial write: unable to parse 'wide,")
            && text.contains("too many tags"),
        "{text}"
    );
    lab.both_hold("db", "good", 2);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(lab.write("db", "good v=3 3").status, 204);
    let page = status::page(&lab.grafana_url());
    assert_eq!(page["relays"][0]["defused_lines"], 2);
    assert_eq!(page["relays"][0]["dead_letters"], 0);
}

#[test]
fn a_read_that_ends_a_node_ends_no_second_one() {
    // With limits as good as none: a million parentheses overflow the stack of InfluxDB 1.6.
    let limits = "[server]\nmax_query_depth = 10000000\nmax_query_length = \"10MiB\"\n";
    let lab = Lab::start_with(Options::default(), |text| {
        replace(text, &[("[server]\n", limits)])
    });
    lab.create_database("db");
    lab.write("db", "m v=1 1");
    let body = format!("q=SELECT v FROM m WHERE {}v=1", "(".repeat(1_100_000));
    let answer = form(&lab, body.as_bytes());
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("no other server is asked"));
    let alive = [&lab.node1, &lab.node2]
        .map(|node| http::try_request("GET", &format!("{}/ping", node.url()), &[], b"").is_ok());
    assert_eq!(alive.iter().filter(|alive| **alive).count(), 1, "{alive:?}");
    let answer = form(&lab, b"q=SELECT+v+FROM+m");
    assert!(answer.text().contains("\"values\""), "{}", answer.text());
}

#[test]
fn reads_that_are_known_leave_a_node_that_stands_still_once_it_is_marked_down() {
    let mut lab = Lab::start_with(Options::default(), |text| {
        let check = "check = { http = \"/ping\", interval = \"200ms\", timeout = \"500ms\", rise = 2, fall = 2 }";
        let usual = "check = { http = \"/ping\", interval = \"2s\", rise = 2, fall = 3 }";
        replace(text, &[(usual, check)])
    });
    lab.create_database("db");
    assert_eq!(lab.write("db", "m v=1 1").status, 204);
    lab.both_hold("db", "m", 1);
    let url = format!("{}/query?db=db&q=SELECT+v+FROM+m", lab.influx_url());
    assert_eq!(http::get(&url).status, 200);
    // Nothing is written: only reads and checks notice it.
    lab.node2.pause();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| http::get(&url))).collect();
        let begun = Instant::now();
        for reader in readers {
            let answer = reader.join().expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(15),
            "{took:?}, and `timeout.server` is 50 s"
        );
    });
    lab.haflux.says("influx_back/influxlab2 is DOWN");
}

#[test]
fn reads_that_are_known_do_not_notice_that_a_node_is_killed() {
    let mut lab = Lab::start();
    lab.create_database("db");
    assert_eq!(lab.write("db", "m v=1 1").status, 204);
    lab.both_hold("db", "m", 1);
    let url = format!(
        "{}/query?db=db&q=SELECT+v+FROM+m+WHERE+time+%3C+",
        lab.influx_url()
    );
    let ask = |time: u64| http::get(&format!("{url}{time}")).status;
    assert_eq!(ask(1_700_000_000_000_000_000), 200);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut time = 1_700_000_000_000_000_000;
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        time += 1;
                        assert_eq!(ask(time), 200, "{time}");
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        lab.node2.kill9();
        std::thread::sleep(Duration::from_millis(500));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("every read was answered");
        }
    });
}
