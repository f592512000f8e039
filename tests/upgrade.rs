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
use support::{Crowd, Lab, Length, Options, beside, http, same_points, status, wait_until};

/// Upgrades, at least.
const UPGRADES: u64 = 3;

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

    let length = Length::from_environment("HAFLUX_UPGRADE_REQUESTS", 300);
    let mut upgrades = 0;
    let datagrams = AtomicU64::new(0);
    let send = |_: usize, is_over: &AtomicBool| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        while !is_over.load(Ordering::Relaxed) {
            let number = datagrams.fetch_add(1, Ordering::Relaxed);
            let line = format!("u v={number} {number}");
            let sent = socket.send_to(line.as_bytes(), ("127.0.0.1", port));
            sent.expect("a socket that is bound");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let begun = Instant::now();
    let steps = |crowd: &Crowd| {
        while crowd.answered() < length.requests || upgrades < UPGRADES {
            let before = process();
            let id = held.id().to_string();
            let told = Command::new("kill").args(["-USR1", &id]).status();
            assert!(told.expect("kill").success());
            wait_until("another process", SOON, || process() != before);
            upgrades += 1;
            std::thread::sleep(Duration::from_millis(700));
        }
    };
    let crowd = beside(1, send, || Crowd::work_beside(&url, &length, steps));
    let sent = datagrams.load(Ordering::Relaxed);
    println!(
        "{} requests and {sent} datagrams over {upgrades} upgrades in {:?}, none failed; the longest request took {:?}, {} took over a second",
        crowd.answered(),
        begun.elapsed(),
        crowd.longest(),
        crowd.over_a_second()
    );
    for node in [&lab.node1, &lab.node2] {
        wait_until("every acknowledged point, and every datagram", SOON, || {
            node.count("telegraf", "m", "v") == crowd.acknowledged()
                && node.count("telegraf", "u", "v") == sent
        });
    }
    assert_eq!(same_points(&lab.node1, &lab.node2, "telegraf"), [""; 0]);
    assert!(held.terminate(SOON).success());
}
