//! One haflux takes the place of another on sockets that outlive both, as under systemd's socket activation: nobody is refused, and nothing
//! acknowledged, nor any datagram, is lost.
//!
//! For a longer run:
//!
//! ```text
//! HAFLUX_UPGRADE_REQUESTS=1000000 cargo test --release --test upgrade -- --nocapture
//! ```

mod support;

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::process::Process;
use support::wait::SOON;
use support::{Lab, Options, http, same_points, status, wait_until};

/// Requests of the short run.
const REQUESTS: u64 = 300;

/// Clients of the short run, and of a longer one.
const CLIENTS: [usize; 2] = [6, 48];

/// Upgrades, at least.
const UPGRADES: u64 = 3;

/// Ends the clients, also if what they are there for failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nobody_is_refused_while_one_process_takes_the_place_of_another() {
    let udp =
        "\n[[udp]]\nbind = \"127.0.0.1:UDP(udp)\"\nrelay = \"influx_relay\"\ndb = \"telegraf\"\n";
    let mut lab = Lab::start_with(Options::default(), |text| text + udp);
    lab.create_database("telegraf");
    let url = lab.influx_url();
    let port = lab.haflux.udp_port("udp");
    assert!(lab.haflux.terminate().success());
    let holder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/holder.py");
    let mut command = Command::new("python3");
    command.arg(holder).arg(env!("CARGO_BIN_EXE_haflux"));
    command.args(["run", "--config"]).arg(lab.haflux.file());
    let log = lab.folder().join("held.log");
    let mut held = Process::start("the holder of haflux", &mut command, &log);
    let ping = format!("{url}/ping");
    let answers = || http::try_request("GET", &ping, &[], b"").is_ok();
    wait_until("haflux to answer", SOON, answers);
    let process = || status::page(&url)["pid"].as_u64().expect("a process");

    let target = match std::env::var("HAFLUX_UPGRADE_REQUESTS") {
        Ok(requests) => requests.parse().expect("a number of requests"),
        Err(_) => REQUESTS,
    };
    let (done, point, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (longest, datagrams) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let mut upgrades = 0;
    std::thread::scope(|scope| {
        let ends = Ends(&is_over);
        let mut clients = Vec::new();
        for client in 0..CLIENTS[usize::from(target > REQUESTS)] {
            let (url, is_over, done, point) = (&url, &is_over, &done, &point);
            let (acknowledged, longest) = (&acknowledged, &longest);
            clients.push(scope.spawn(move || {
                let mut failed = Vec::new();
                while !is_over.load(Ordering::Relaxed) && failed.len() < 5 {
                    let number = point.fetch_add(1, Ordering::Relaxed);
                    let reads = client % 3 == 2;
                    let (method, path, expected) = match reads {
                        true => (
                            "GET",
                            "query?db=telegraf&q=SELECT+v+FROM+m+WHERE+time+%3D+1",
                            200,
                        ),
                        false => ("POST", "write?db=telegraf", 204),
                    };
                    let body = match reads {
                        true => String::new(),
                        false => format!("m v={number} {number}"),
                    };
                    let begun = Instant::now();
                    let url = format!("{url}/{path}");
                    match http::try_request(method, &url, &[], body.as_bytes()) {
                        Ok(answer) if answer.status == expected => {
                            acknowledged.fetch_add(u64::from(!reads), Ordering::Relaxed);
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => failed.push(format!("{}: {}", answer.status, answer.text())),
                        Err(error) => failed.push(error.to_string()),
                    }
                    let took = u64::try_from(begun.elapsed().as_millis()).expect("a short time");
                    longest.fetch_max(took, Ordering::Relaxed);
                }
                failed
            }));
        }
        let (is_over, datagrams) = (&is_over, &datagrams);
        let sender = scope.spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            while !is_over.load(Ordering::Relaxed) {
                let number = datagrams.fetch_add(1, Ordering::Relaxed);
                let line = format!("u v={number} {number}");
                let sent = socket.send_to(line.as_bytes(), ("127.0.0.1", port));
                sent.expect("a socket that is bound");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let begun = Instant::now();
        while done.load(Ordering::Relaxed) < target || upgrades < UPGRADES {
            let before = process();
            let id = held.id().to_string();
            let told = Command::new("kill").args(["-USR1", &id]).status();
            assert!(told.expect("kill").success());
            wait_until("another process", SOON, || process() != before);
            upgrades += 1;
            std::thread::sleep(Duration::from_millis(700));
        }
        drop(ends);
        for client in clients {
            assert_eq!(client.join().expect("a client"), [""; 0]);
        }
        sender.join().expect("the sender");
        println!(
            "{} requests and {} datagrams over {upgrades} upgrades in {:?}, none failed; the longest request took {} ms",
            done.load(Ordering::Relaxed),
            datagrams.load(Ordering::Relaxed),
            begun.elapsed(),
            longest.load(Ordering::Relaxed)
        );
    });
    for node in [&lab.node1, &lab.node2] {
        let (written, sent) = (&acknowledged, &datagrams);
        wait_until("every acknowledged point, and every datagram", SOON, || {
            node.count("telegraf", "m", "v") == written.load(Ordering::Relaxed)
                && node.count("telegraf", "u", "v") == sent.load(Ordering::Relaxed)
        });
    }
    assert_eq!(same_points(&lab.node1, &lab.node2, "telegraf"), [""; 0]);
    assert!(held.terminate(SOON).success());
}
