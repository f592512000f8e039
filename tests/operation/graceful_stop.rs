//! SIGTERM under load: every request that was taken is answered, and what was acknowledged is on both nodes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::http;
use crate::support::wait::SOON;
use crate::support::{Haflux, Lab, same_points, wait_until};

#[test]
fn no_request_is_dropped_and_nothing_acknowledged_is_lost() {
    let mut lab = Lab::start();
    lab.create_database("telegraf");
    let url = lab.influx_url();
    let stopping = AtomicBool::new(false);
    let acknowledged = AtomicU64::new(0);
    let point = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut clients = Vec::new();
        for client in 0..8 {
            let (url, stopping, acknowledged, point) = (&url, &stopping, &acknowledged, &point);
            clients.push(scope.spawn(move || {
                let mut dropped = Vec::new();
                loop {
                    let number = point.fetch_add(1, Ordering::Relaxed);
                    let result = if client % 4 == 3 {
                        http::try_request(
                            "GET",
                            &format!("{url}/query?db=telegraf&q=SHOW+MEASUREMENTS"),
                            &[],
                            b"",
                        )
                    } else {
                        http::try_request(
                            "POST",
                            &format!("{url}/write?db=telegraf"),
                            &[],
                            format!("stop v={number} {number}").as_bytes(),
                        )
                    };
                    match result {
                        Ok(answer) if answer.status == 204 => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) if answer.status == 200 => {}
                        Ok(answer) => {
                            dropped.push(format!("answered {}: {}", answer.status, answer.text()))
                        }
                        // A connection that could not be made was never a request.
                        Err(error)
                            if stopping.load(Ordering::Relaxed)
                                && error.to_string().contains("refused") =>
                        {
                            return dropped;
                        }
                        Err(error) => {
                            dropped.push(error.to_string());
                            return dropped;
                        }
                    }
                }
            }));
        }
        wait_until("some load", SOON, || {
            acknowledged.load(Ordering::Relaxed) > 200
        });
        stopping.store(true, Ordering::Relaxed);
        let status = lab.haflux.terminate();
        assert!(status.success(), "{status}");
        for client in clients {
            assert_eq!(client.join().expect("a client"), Vec::<String>::new());
        }
    });
    lab.haflux.restart();
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    for node in [&lab.node1, &lab.node2] {
        wait_until("every acknowledged point", SOON, || {
            node.count("telegraf", "stop", "v") >= acknowledged
        });
    }
    wait_until("both nodes to be equal", Duration::from_secs(10), || {
        same_points(&lab.node1, &lab.node2, "telegraf").is_empty()
    });
}

#[test]
fn sigint_stops_as_sigterm_does() {
    let mut lab = Lab::start();
    let id = lab.haflux.id();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id.to_string()])
        .status()
        .expect("kill");
    assert!(sent.success());
    assert!(lab.haflux.wait().success());
    assert!(lab.haflux.log().contains("stopped"), "{}", lab.haflux.log());
}

#[test]
fn a_stop_that_cuts_nobody_off_says_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = "[server]\ndata_dir = \"FOLDER/data\"\nstop_timeout = \"1s\"\n\
         [[frontend]]\nname = \"front\"\nbind = \"127.0.0.1:PORT(front)\"\ndefault_backend = \"back\"\n\
         [[backend]]\nname = \"back\"\ncheck = false\nservers = [{ name = \"one\", address = \"127.0.0.1:1\" }]\n";
    // The sockets are open for a second, and the requests have no longer.
    let mut haflux = Haflux::start(folder.path(), configuration);
    assert!(haflux.terminate().success());
    let log = haflux.log();
    assert!(!log.contains("in flight"), "{log}");
}
