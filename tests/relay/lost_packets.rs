//! Packets between haflux and a node are lost for a while: what was sent meanwhile never arrives behind what is newer, because
//! the system drops it together with the request that sent it.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::relay::relay_over_addresses;
use crate::support::wait::SOON;
use crate::support::wire::{Wire, has_unacknowledged};
use crate::support::{Haflux, Influxd, Options, same_points, wait_until};

/// How long packets are lost. A system that has one to send again does so after 0.2 s, and then each time after twice as long:
/// about 6 s after the first time, and not again before 12 s.
const LOST: Duration = Duration::from_secs(9);

/// When all would have been sent again that was sent before the wire was mended.
const LAST: Duration = Duration::from_secs(19);

/// How long haflux waits for the node: less than the packets are lost, so that each request that they are part of has ended.
const KEYS: &str = "rewind = \"500ms\"\ntimeout = \"2s\"";

/// `x=1` is sent while packets are lost, and `x=2` after it, with or without an end of haflux in between.
#[track_caller]
fn nothing_arrives_late(test: &str, kill: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    Wire::lay(test, folder.path(), |wire| {
        let far = Options::default().on_host(wire.address(), wire.launcher());
        let far = Influxd::start_with(&folder.path().join("far"), far);
        let near = Influxd::start(&folder.path().join("near"));
        let nodes = [&far, &near];
        for node in nodes {
            node.create_database("db");
        }
        let addresses = nodes.map(Influxd::address);
        let configuration = relay_over_addresses(&addresses, KEYS);
        let mut haflux = Haflux::start(&folder.path().join("haflux"), &configuration);
        wait_until("both nodes to be known", SOON, || {
            let taken = haflux.write("db", "known v=1 1").status == 204;
            taken && nodes.iter().all(|node| node.count("db", "known", "v") == 1)
        });

        wire.cut();
        let begun = Instant::now();
        let socket = far.address().parse().expect("an address and a port");
        let refused = TcpStream::connect_timeout(&socket, Duration::from_millis(300));
        let error = refused.expect_err("the wire is cut").kind();
        assert_eq!(error, std::io::ErrorKind::TimedOut, "packets are lost");
        assert_eq!(haflux.write("db", "m x=1 1").status, 204);
        wait_until("the far node to be sent the first one", SOON, || {
            has_unacknowledged(&far.address())
        });
        if kill {
            haflux.kill9();
            haflux.restart();
        }
        wait_until("the second one to be taken", SOON, || {
            haflux.write("db", "m x=2 1").status == 204
        });
        // The history itself, not a wait for something.
        std::thread::sleep(LOST.saturating_sub(begun.elapsed()));
        wire.mend();
        wait_until("the far node to have the second one", SOON, || {
            let found = far.query("db", "SELECT x FROM m");
            found["results"][0]["series"][0]["values"][0][1] == 2
        });
        // No condition says that something does not come.
        while begun.elapsed() < LAST {
            assert_eq!(same_points(&far, &near, "db"), [""; 0]);
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(!haflux.log().contains("is diverged"));
    });
}

#[test]
fn a_request_that_was_given_up_does_not_arrive_when_packets_do_again() {
    nothing_arrives_late(
        "lost_packets::a_request_that_was_given_up_does_not_arrive_when_packets_do_again",
        false,
    );
}

#[test]
fn a_request_of_a_killed_haflux_does_not_arrive_when_packets_do_again() {
    nothing_arrives_late(
        "lost_packets::a_request_of_a_killed_haflux_does_not_arrive_when_packets_do_again",
        true,
    );
}
