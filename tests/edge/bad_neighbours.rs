//! What eight connections of an attack cost a good client that writes and reads ten times a second, and haflux's memory (N5).
//!
//! The figures are printed (`cargo test --test edge bad_neighbours:: -- --nocapture`). A debug build on a busy machine says little about
//! milliseconds, so only what no load explains fails the test: an unanswered request, a wait of seconds, memory.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::support::neighbours::{beside_attack, peak_memory};
use crate::support::{Lab, http};

/// Under eight connections at a time. A debug build takes 75 MB.
const LIMIT: u64 = 128_000_000;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A body that is announced, and of which one byte comes.
fn begin(address: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).expect("a connection");
    let begun = "POST /write?db=db HTTP/1.1\r\nHost: x\r\nContent-Length: 16777215\r\n\r\nm";
    connection.write_all(begun.as_bytes()).expect("a header");
    connection
}

/// Many newlines, gzipped a thousand times smaller.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip")
        .arg("-9c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut input = child.stdin.take().expect("its input");
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(&vec![b'\n'; bytes]).expect("its input"));
        child.wait_with_output().expect("its output").stdout
    })
}

#[test]
fn a_good_client_beside_bad_ones_hardly_notices_them() {
    let mut lab = Lab::start();
    lab.create_database("db");
    let url = lab.influx_url();
    let address = lab.haflux.address("influx_front");
    let unstamped = "bad,host=a value=1,other=2\n".repeat(450_000).into_bytes();
    let [pairs, semicolons] = ["&", ";"].map(|piece| piece.repeat(15_000_000).into_bytes());
    let packed = bomb(30_000_000);
    let large_bomb = bomb(300_000_000);
    let deep = format!("q=SELECT v FROM m WHERE {}", "(".repeat(1_000_000));
    let post = |target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let _ = http::try_request("POST", &format!("{url}{target}"), headers, body);
    };
    let gzip = ("Content-Encoding", "gzip");
    let attacks: [(&str, &(dyn Fn() + Sync)); 7] = [
        ("announced", &|| {
            let _held = begin(&address);
            std::thread::sleep(Duration::from_millis(500));
        }),
        ("unstamped", &|| post("/write?db=bad", &[], &unstamped)),
        ("pairs", &|| post("/query?db=db", &[FORM], &pairs)),
        ("semicolons", &|| post("/query?db=db", &[FORM], &semicolons)),
        ("bombs", &|| post("/write?db=db", &[gzip], &packed)),
        ("large bombs", &|| {
            post("/write?db=db", &[gzip], &large_bomb)
        }),
        ("deep", &|| post("/query?db=db", &[FORM], deep.as_bytes())),
    ];
    let lasting = Duration::from_secs(2);
    let calm = beside_attack(&url, "db", lasting, None);
    eprintln!("calm: {calm:?}");
    for (name, attack) in attacks {
        let fared = beside_attack(&url, "db", lasting, Some(attack));
        eprintln!("{name}: {fared:?}");
        assert_eq!(fared.failures, 0, "{name}");
        assert!(fared.p99 < Duration::from_secs(2), "{name}: {fared:?}");
        eprintln!(
            "    {} MB at most so far",
            peak_memory(&mut lab.haflux) / 1_000_000
        );
    }
    let peak = peak_memory(&mut lab.haflux);
    eprintln!("{} MB at most", peak / 1_000_000);
    assert!(peak < LIMIT, "{peak} bytes resident at most");
}
