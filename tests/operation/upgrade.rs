//! One haflux takes the place of another on sockets that outlive both, as under systemd's socket activation: nobody is refused, and nothing
//! acknowledged, nor any datagram, is lost.
//!
//! For a longer run:
//!
//! ```text
//! HAFLUX_UPGRADE_REQUESTS=1000000 cargo test --release --test operation upgrade:: -- --nocapture
//! ```

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::wait::SOON;
use crate::support::{Crowd, Held, Lab, Length, Options, beside, same_points, wait_until};

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
    let folder = lab.folder().to_owned();
    let held = Held::start(&mut lab.haflux, &url, &folder);

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
            held.upgrade();
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
    held.end();
}
