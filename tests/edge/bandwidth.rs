//! Bodies and answers that are slowed down to so many bytes a second.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::authority::Authority;
use crate::support::edge::{self, counted};
use crate::support::http::{get, post};
use crate::support::memory::resident_peak;
use crate::support::query::query;
use crate::support::wait::SOON;
use crate::support::{Haflux, Influxd, status, wait_until};

/// Patience of the frontends that is shorter than what their limits make clients wait.
const IMPATIENT: &str =
    "min_body_rate = 1000000\ntimeout = { client = \"250ms\", http_body = \"700ms\" }";

/// One node before which haflux has `keys`.
fn start(keys: &str) -> (tempfile::TempDir, Influxd, Haflux) {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Influxd::start(&folder.path().join("node"));
    node.create_database("t");
    let haflux = edge::before(&node, folder.path(), keys);
    (folder, node, haflux)
}

/// Lines of `points` points of 50 kB.
fn lines(points: usize) -> String {
    let value = "x".repeat(50_000);
    let line = |number| format!("m v=\"{value}\" {number}\n");
    (0..points).map(line).collect()
}

fn throttled(haflux: &Haflux, front: &str) -> Value {
    status::frontend(&haflux.url("page"), front)["throttled"].take()
}

/// Runs `work` for each frontend at the same time, and says how long each took.
fn in_each(haflux: &Haflux, work: impl Fn(&str) + Sync) -> Vec<(&'static str, Duration)> {
    std::thread::scope(|scope| {
        let each = ["front", "plain"].map(|front| {
            let (url, work) = (haflux.url(front), &work);
            scope.spawn(move || {
                let began = Instant::now();
                work(&url);
                (front, began.elapsed())
            })
        });
        each.map(|one| one.join().expect("no panic")).into()
    })
}

#[test]
fn answers_leave_as_fast_as_a_request_may_have_them() {
    let keys = format!("bandwidth = {{ out_per_request = \"200kB\" }}\n{IMPATIENT}");
    let (_folder, node, haflux) = start(&keys);
    assert_eq!(
        post(&format!("{}/write?db=t", node.url()), lines(12)).status,
        204
    );
    let ask = |url: &str| {
        let answer = query(url, "t", "SELECT v FROM m");
        let rows = &answer.json()["results"][0]["series"][0]["values"];
        assert_eq!(rows.as_array().expect("rows").len(), 12);
    };
    for (front, took) in in_each(&haflux, ask) {
        // 600 kB, of which 200 leave at once.
        assert!(took >= Duration::from_millis(1900), "{front}: {took:?}");
        assert!(took < Duration::from_secs(8), "{front}: {took:?}");
        let throttled = throttled(&haflux, front);
        assert_eq!(throttled["answers"], 1, "{throttled}");
        let waited = throttled["answer_time"].as_f64().expect("a number");
        assert!((1.5..8.0).contains(&waited), "{throttled}");
        assert_eq!(throttled["bodies"], 0, "{throttled}");
        // A small one is as fast as ever.
        let began = Instant::now();
        assert_eq!(get(&format!("{}/ping", haflux.url(front))).status, 204);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    haflux.edit(&[("out_per_request = \"200kB\"", "out_per_request = \"1GiB\"")]);
    haflux.order(&["reload"]);
    for (front, took) in in_each(&haflux, ask) {
        assert!(took < Duration::from_millis(1900), "{front}: {took:?}");
    }
}

/// The nodes wait for the end of such an answer, and so it waits for nothing but its client.
#[test]
fn a_long_answer_to_a_statement_is_not_slowed() {
    let (_folder, node, haflux) = start("bandwidth = { out_per_request = \"20kB\" }");
    assert_eq!(
        post(&format!("{}/write?db=t", node.url()), lines(12)).status,
        204
    );
    let began = Instant::now();
    let answer = query(
        &haflux.url("front"),
        "t",
        "CREATE DATABASE made; SELECT v FROM m",
    );
    let rows = &answer.json()["results"][1]["series"][0]["values"];
    assert_eq!(rows.as_array().expect("rows").len(), 12);
    // As fast as it may be it would take half a minute.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    let relay = status::relay(&haflux.url("page"));
    assert_eq!(relay["streamed_answers"], 1);
}

#[test]
fn bodies_of_one_address_come_no_faster_than_it_may_send_them() {
    let keys = format!("bandwidth = {{ in_per_source = \"200kB\" }}\n{IMPATIENT}");
    let (_folder, node, haflux) = start(&keys);
    let write = |url: &str| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let wrote = post(&format!("{url}/write?db=t"), lines(6));
                    assert_eq!(wrote.status, 204, "{}", wrote.text());
                });
            }
        });
    };
    for (front, took) in in_each(&haflux, write) {
        assert!(took >= Duration::from_millis(1900), "{front}: {took:?}");
        assert!(took < Duration::from_secs(8), "{front}: {took:?}");
        let throttled = throttled(&haflux, front);
        assert!(throttled["bodies"].as_u64() >= Some(1), "{throttled}");
        assert!(throttled["body_time"].as_f64() >= Some(1.5), "{throttled}");
        assert_eq!(throttled["answers"], 0, "{throttled}");
        assert_eq!(counted(&haflux, front, "slow_requests"), 0);
    }
    let stored = query(&node.url(), "t", "SELECT count(v) FROM m").json();
    assert_eq!(stored["results"][0]["series"][0]["values"][0][1], 6);
    // Small bodies come with their header, and are paid for all the same.
    let url = haflux.url("plain");
    let small = lines(1)[..5_000].to_owned() + "\"";
    let began = Instant::now();
    for _ in 0..80 {
        assert_eq!(post(&format!("{url}/write?db=t"), &small).status, 204);
    }
    // 400 kB. Who sends no body pays for nothing.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    let waited = throttled(&haflux, "plain")["bodies"].take();
    assert_eq!(get(&format!("{url}/ping")).status, 204);
    assert_eq!(throttled(&haflux, "plain")["bodies"], waited);
}

/// A server whose answers have no end, and what says how much of them has left.
fn endless() -> (
    std::net::SocketAddr,
    std::sync::Arc<std::sync::atomic::AtomicU64>,
) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let left = std::sync::Arc::new(AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&left);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let counter = std::sync::Arc::clone(&counter);
            std::thread::spawn(move || {
                let mut asked = [0; 4096];
                let _ = connection.read(&mut asked);
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                let mut written = connection.write_all(head.as_bytes());
                while written.is_ok() {
                    written = connection.write_all(&[b'x'; 65_536]);
                    counter.fetch_add(65_536, Ordering::Relaxed);
                }
            });
        }
    });
    (address, left)
}

fn secure(folder: &Path, server: std::net::SocketAddr) -> Haflux {
    let authority = Authority::new(&folder.join("authority"));
    let certificate = authority.sign("site.pem", "localhost", 90);
    let configuration = format!(
        "[server]\ndata_dir = \"FOLDER/data\"\n\
         [[frontend]]\nname = \"page\"\nbind = \"127.0.0.1:PORT(page)\"\nstats_uri = \"/haproxy?stats\"\n\
         [[frontend]]\nname = \"front\"\nbind = [\"127.0.0.1:PORT(front)\", \"127.0.0.1:PORT(secure)\"]\ndefault_backend = \"back\"\n\
         bandwidth = {{ out_per_source = \"300kB\" }}\n\
         tls = {{ addresses = \"127.0.0.1:PORT(secure)\", certificate = \"{certificate}\" }}\n\
         [[backend]]\nname = \"back\"\ncheck = false\nservers = [{{ name = \"one\", address = \"{server}\" }}]\n"
    );
    Haflux::start(&folder.join("haflux"), &configuration)
}

/// Of an answer that is slowed nothing piles up in haflux: its server waits. Over TLS as well, with whose clients an address shares.
#[test]
fn what_waits_lies_with_who_sends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, left) = endless();
    let mut haflux = secure(folder.path(), server);
    let before = resident_peak(haflux.id()).expect("a process");
    let mut plain = TcpStream::connect(haflux.address("front")).expect("a connection");
    plain
        .write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("a request");
    let url = format!("https://{}/x", haflux.address("secure"));
    let mut curl = std::process::Command::new("curl")
        .args(["-ksS", "--max-time", "3", "-w", "%{size_download}", "-o"])
        .args(["/dev/null", &url])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("curl");
    let began = Instant::now();
    let mut came = 0;
    plain.set_read_timeout(Some(SOON)).expect("a limit of time");
    let mut space = vec![0; 65_536];
    while began.elapsed() < Duration::from_secs(3) {
        came += plain.read(&mut space).expect("more of it");
    }
    let took = began.elapsed().as_secs_f64();
    let mut secure = String::new();
    let mut stdout = curl.stdout.take().expect("its output");
    stdout.read_to_string(&mut secure).expect("a number");
    curl.wait().expect("its end");
    let secure: usize = secure.parse().expect("a number");
    let most = 300_000.0 * (took + 1.0) + 400_000.0;
    assert!(secure > 100_000 && came > 100_000, "{secure} {came}");
    assert!(((came + secure) as f64) < most, "{came} {secure} {took}");
    // What the server could send is what the kernels took of it.
    let left = left.load(std::sync::atomic::Ordering::Relaxed);
    assert!(left < 40 << 20, "{left}");
    let grown = resident_peak(haflux.id()).expect("a process") - before;
    assert!(grown < 8 << 20, "{grown}");
    drop(plain);
    wait_until("the requests to end", SOON, || {
        throttled(&haflux, "front")["answers"] == 2
    });
}
