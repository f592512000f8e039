//! How a replica follows the journal: no database waits behind others, no client waits for a replica that is slow or silent,
//! and one that is too slow is dropped like one that is away. On real nodes, behind a network that is slow.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::http;
use crate::support::lab::relay_keys;
use crate::support::long_run::network::Network;
use crate::support::wait::SOON;
use crate::support::{Lab, Options, status, wait_until};

const DATABASES: usize = 40;
const WRITERS: usize = 3;

/// A body of about 256 KiB.
fn large(number: usize) -> String {
    let line = |part: usize| {
        format!(
            "large,part={part} v={number},padding=\"{}\" {number}\n",
            "x".repeat(960)
        )
    };
    (0..256).map(line).collect()
}

/// The lab, whose second node is behind a network that becomes slow once both nodes are known.
fn with_a_slow_second_node(keys: &str) -> Lab {
    let mut slow = None;
    let lab = Lab::start_with(Options::default(), |text| {
        let mut text = relay_keys(keys)(text);
        slow = Some(Network::before("influxlab2", &mut text));
        text
    });
    lab.create_database("db");
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("db", "known v=1 1").status == 204
            && [0, 1]
                .map(|number| status::replica(&lab.influx_url(), number)["lag"]["records"] == 0)
                == [true; 2]
    });
    if let Some(network) = slow {
        network.slow_to(120_000);
    }
    lab
}

#[test]
fn a_replica_that_is_too_slow_is_diverged_like_one_that_is_away() {
    let lab = with_a_slow_second_node("max_backlog = \"8MiB\"");
    for number in 0..64 {
        assert_eq!(lab.write("db", large(number)).status, 204);
    }
    wait_until("the slow replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    lab.haflux.says("more than max_backlog");
    assert_eq!(lab.write("db", large(65)).status, 204);
}

#[test]
fn nobody_waits_for_a_replica_that_is_far_behind() {
    let mut lab = with_a_slow_second_node("");
    for number in 0..16 {
        assert_eq!(lab.write("db", large(number)).status, 204);
    }
    wait_until("the slow replica to be shown as behind", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "lagging"
    });
    lab.node1.kill9();
    for number in 0..5 {
        let begun = Instant::now();
        assert_eq!(
            lab.write("db", format!("after v={number} {number}")).status,
            204
        );
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "write {number}: {took:?}");
    }
}

#[test]
fn databases_take_turns() {
    let mut ways = Vec::new();
    let lab = Lab::start_with(Options::default(), |mut text| {
        let front = "name = \"influx_front\"\n";
        text = text.replace(front, &format!("{front}maxconn_per_source = 1000\n"));
        for name in ["influxlab", "influxlab2"] {
            ways.push(Network::before(name, &mut text));
        }
        text
    });
    let names: Vec<String> = (0..DATABASES).map(|number| format!("db{number}")).collect();
    for name in &names {
        lab.create_database(name);
    }
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("db0", "known v=1 1").status == 204
            && [0, 1]
                .map(|number| status::replica(&lab.influx_url(), number)["lag"]["records"] == 0)
                == [true; 2]
    });
    // From then on nobody is unknown, and must be judged first.
    for name in &names {
        assert_eq!(lab.write(name, "known v=1 1").status, 204);
    }
    for way in &ways {
        way.delay(Duration::from_millis(100));
    }
    let written: Vec<AtomicU64> = names.iter().map(|_| AtomicU64::new(0)).collect();
    let failed = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (name, written) in names.iter().zip(&written) {
            for writer in 0..WRITERS {
                let (lab, stop, failed) = (&lab, &stop, &failed);
                scope.spawn(move || {
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        number += 1;
                        let line = format!("m,writer={writer} v={number} {number}");
                        match lab.write(name, &line).status {
                            204 => written.fetch_add(1, Ordering::Relaxed),
                            _ => failed.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                });
            }
        }
        // How long is measured.
        std::thread::sleep(Duration::from_secs(10));
        stop.store(true, Ordering::Relaxed);
    });
    let counts: Vec<u64> = written
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect();
    assert_eq!(failed.load(Ordering::Relaxed), 0, "{counts:?}");
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(least.map(|least| least * 3) >= most.copied(), "{counts:?}");
}

#[test]
fn a_start_waits_for_a_silent_node_once() {
    let mut lab = Lab::start();
    lab.create_database("db");
    wait_until("both nodes to be in reach", SOON, || {
        lab.write("db", "known v=1 1").status == 204
            && [0, 1]
                .map(|number| status::replica(&lab.influx_url(), number)["lag"]["records"] == 0)
                == [true; 2]
    });
    lab.haflux.terminate();
    // It accepts connections, and says nothing.
    lab.node2.pause();
    lab.haflux.restart();
    let begun = Instant::now();
    assert_eq!(lab.write("db", "first v=1 1").status, 204);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "the first write: {took:?}");
    for number in 0..5 {
        let begun = Instant::now();
        assert_eq!(
            lab.write("db", format!("next v={number} {number}")).status,
            204
        );
        let read = http::get(&format!(
            "{}/query?db=db&q=SELECT+count(v)+FROM+next",
            lab.influx_url()
        ));
        assert_eq!(read.status, 200, "{}", read.text());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(1), "round {number}: {took:?}");
    }
    lab.node2.resume();
}
