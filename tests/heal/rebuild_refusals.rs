//! `haflux replica rebuild` where the target does not take every point, or not as many bytes at once.

use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{Lab, Options, status, wait_until, wait_until_level};

const REBUILD: [&str; 4] = ["replica", "rebuild", "influxlab2", "--yes"];

/// The second node has these options, and is set aside without anything; the first one has a point of `known`.
fn lab(second: Options) -> Lab {
    // One slice after the other: a limit counts what was there before a request.
    let keys = "rewind = \"1s\"\nretry = { max = \"500ms\" }\nheal = { parallel = 1 }";
    let mut lab = Lab::start_each(Options::default(), second, Vec::new(), relay_keys(keys));
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "known v=1 1").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    lab.node2.kill9();
    lab.node2.wipe();
    lab.node2.restart();
    wait_until("the second replica to be diverged", SOON, || {
        status::replica(&lab.influx_url(), 1)["status"] == "diverged"
    });
    lab
}

#[test]
fn points_that_a_limit_of_the_target_forbids_are_named_and_all_others_are_copied() {
    const WEEKS: &str = "1209600000000000";
    let lab = lab(Options::default().set("data", "max-values-per-tag", "50"));
    let line = |number, time: &str| format!("m,host=h{number} v=1 {time}\n");
    let early = (0..60).map(|number| line(number, "1"));
    // One of the later points is of a series that is there.
    let later = [0].into_iter().chain(60..90);
    let later = later.map(|number| line(number, WEEKS));
    let lines: String = early.chain(later).collect();
    assert_eq!(lab.node1.write("telegraf", &lines).status, 204);
    let z = format!("z,host=h v=1 {WEEKS}");
    assert_eq!(lab.node1.write("telegraf", &z).status, 204);
    let said = lab.haflux.told(&REBUILD);
    assert!(!said.status.success(), "{said:?}");
    let said = format!("{said:?}");
    for words in [
        "influxlab2 does not take some points of telegraf.autogen",
        "max-values-per-tag limit exceeded",
        "influxlab2 serves, and differs from influxlab in 30 points",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Once in each round of the proof, not for each point.
    let told = said.matches("m in telegraf is not mended").count();
    assert!((1..5).contains(&told), "{said}");
    assert_eq!(status::replica(&lab.influx_url(), 1)["status"], "fresh");
    for (measurement, points) in [("m", 61), ("z", 1), ("known", 1)] {
        assert_eq!(lab.node2.count("telegraf", measurement, "v"), points);
    }
}

/// A node takes 25 MB by one request.
#[test]
fn long_texts_are_copied_in_pieces() {
    let lab = lab(Options::default());
    let text = "x".repeat(60_000);
    let times: Vec<u64> = (0..600).collect();
    for times in times.chunks(50) {
        let lines: String = times
            .iter()
            .map(|time| format!("long text=\"{text}\" {time}\n"))
            .collect();
        assert_eq!(lab.node1.write("telegraf", &lines).status, 204);
    }
    let said = lab.haflux.order(&REBUILD);
    assert!(said.contains("influxlab2 is rebuilt, "), "{said}");
    assert_eq!(lab.node2.count("telegraf", "long", "text"), 600);
}
