//! A node that loses its data while it is copied from, and one node under two names: nothing that a node which is not the one it was says
//! counts, and nothing is deleted for it. On real nodes.

use std::fs;
use std::time::Duration;

use crate::support::lab::relay_keys;
use crate::support::wait::SOON;
use crate::support::{
    Haflux, Influxd, Lab, Options, same_points, status, wait_until, wait_until_level,
};

/// The second node is filled.
const REBUILD: [&str; 4] = ["replica", "rebuild", "influxlab2", "--yes"];

const HOURS: u64 = 60;
const POINTS: u64 = 300;

/// So many nodes that hold the same points, which are read slowly. The third one and those behind it follow, too.
fn lab(nodes: usize) -> Lab {
    let keys = "rewind = \"1s\"\nretry = { max = \"500ms\" }\nheal = { max_rate = \"64KiB\", parallel = 1 }";
    let lab = Lab::start_of(nodes, Options::default(), relay_keys(keys));
    lab.carry_out("", "CREATE DATABASE telegraf WITH SHARD DURATION 1h");
    for hour in 0..HOURS {
        let time = |number| (hour * 3_600 + number) * 1_000_000_000;
        let lines = (0..POINTS).map(|number| format!("m v={number} {}\n", time(number)));
        let lines: String = lines.collect();
        assert_eq!(lab.write("telegraf", &lines).status, 204);
    }
    wait_until_level(&lab, SOON).expect("all have it");
    lab
}

fn points(node: &Influxd) -> u64 {
    let has_it = node.query("", "SHOW DATABASES").to_string();
    match has_it.contains("telegraf") {
        true => node.count("telegraf", "m", "v"),
        false => 0,
    }
}

fn lose_the_disk(node: &mut Influxd) {
    node.kill9();
    node.wipe();
    node.restart();
}

fn standing(lab: &Lab, number: usize) -> String {
    let replica = status::replica(&lab.influx_url(), number);
    replica["status"].as_str().unwrap_or_default().to_owned()
}

fn is_being_rebuilt(lab: &Lab) -> bool {
    let standing = lab.haflux.order(&["replica", "status"]);
    standing.contains("rebuilding")
}

/// Rebuilds the second node from the first, which loses its data when some of it is copied. Returns what the command says in the end.
fn rebuild_from_a_node_that_loses_its_data(lab: &mut Lab) -> String {
    let file = lab.haflux.file().display().to_string();
    let order = [&REBUILD[..], &["--from", "influxlab", "--config", &file]].concat();
    let slices = lab.haflux.folder().join("data/influx_relay/rebuild.slices");
    std::thread::scope(|scope| {
        let command = scope.spawn(|| Haflux::command(&order));
        wait_until("some slices to be copied", SOON, || {
            fs::read_to_string(&slices).is_ok_and(|text| text.lines().count() > 5)
        });
        lose_the_disk(&mut lab.node1);
        let output = command.join().expect("it ends");
        assert!(!output.status.success(), "{output:?}");
        format!("{output:?}")
    })
}

#[test]
fn a_rebuild_whose_source_loses_its_data_stops_and_goes_on_from_another() {
    let mut lab = lab(3);
    let said = rebuild_from_a_node_that_loses_its_data(&mut lab);
    assert!(
        said.contains("influxlab cannot be copied from any more") && said.contains("--from"),
        "{said}"
    );
    assert!(is_being_rebuilt(&lab), "{said}");
    lab.haflux.edit(&[("64KiB", "1GiB")]);
    lab.haflux.restart();
    lab.haflux
        .order(&[&REBUILD[..], &["--from", "influxlab3"]].concat());
    wait_until_level(&lab, SOON).expect("both have it");
    assert_eq!(points(&lab.node2), HOURS * POINTS);
    assert_eq!(
        same_points(&lab.further[0], &lab.node2, "telegraf"),
        [""; 0]
    );
}

#[test]
fn what_was_copied_from_the_only_other_node_before_it_lost_its_data_stays() {
    let mut lab = lab(2);
    let said = rebuild_from_a_node_that_loses_its_data(&mut lab);
    assert!(
        said.contains("influxlab cannot be copied from any more") && said.contains("--as-it-is"),
        "{said}"
    );
    assert!(is_being_rebuilt(&lab), "{said}");
    // Neither by itself nor without a word about the source is it begun again, which would drop what is left.
    lab.haflux.restart();
    let copied = points(&lab.node2);
    assert!(copied > POINTS, "{copied}");
    let why = lab.haflux.refuses(&REBUILD);
    assert!(why.contains("--as-it-is"), "{why}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(points(&lab.node2), copied);
    lab.haflux
        .order(&["replica", "readmit", "influxlab2", "--as-it-is"]);
    wait_until_level(&lab, SOON).expect("both have it");
    // And what the journal had from the pin on.
    assert!(points(&lab.node2) >= copied);
}

#[test]
fn a_mend_whose_source_loses_its_data_ends_and_deletes_nothing() {
    for nodes in [2, 3] {
        let mut lab = lab(nodes);
        // Enough that it takes long.
        for hour in 0..HOURS {
            let time = |number| (hour * 3_600 + number) * 1_000_000_000 + 1;
            let lines = (0..POINTS).map(|number| format!("m v={number} {}\n", time(number)));
            let lines: String = lines.collect();
            assert_eq!(lab.node1.write("telegraf", &lines).status, 204);
        }
        let file = lab.haflux.file().display().to_string();
        let order = ["mend", "--from", "influxlab", "--yes", "--config", &file];
        let said = std::thread::scope(|scope| {
            let command = scope.spawn(|| Haflux::command(&order));
            wait_until("some points to be mended", SOON, || {
                points(&lab.node2) > HOURS * POINTS
            });
            lose_the_disk(&mut lab.node1);
            let output = command.join().expect("it ends");
            assert!(!output.status.success(), "{output:?}");
            format!("{output:?}")
        });
        assert!(
            said.contains("influxlab cannot be copied from any more"),
            "{said}"
        );
        assert!(points(&lab.node2) > HOURS * POINTS, "{said}");
    }
}

/// A lab whose first node is also found at another address.
fn lab_with_two_addresses() -> (Lab, String) {
    let everywhere = Options::default().on_host("0.0.0.0", Vec::new());
    let keys = relay_keys("rewind = \"1s\"\nretry = { max = \"500ms\" }");
    let lab = Lab::start_each(everywhere, Options::default(), Vec::new(), |text| {
        keys(text).replace("0.0.0.0:", "127.0.0.1:")
    });
    lab.carry_out("", "CREATE DATABASE telegraf");
    assert_eq!(lab.write("telegraf", "m v=1 1\nm v=2 2").status, 204);
    wait_until_level(&lab, SOON).expect("both have it");
    let other = lab.node1.address().replace("0.0.0.0", "127.0.0.2");
    (lab, other)
}

#[test]
fn a_target_that_is_the_source_under_another_address_is_not_wiped() {
    let (mut lab, other) = lab_with_two_addresses();
    let second = format!(
        "  {{ name = \"influxlab2\", address = \"{}\" }},\n",
        lab.node2.address()
    );
    lab.haflux.edit(&[(&second, "")]);
    lab.haflux.restart();
    assert_eq!(lab.write("telegraf", "m v=3 3").status, 204);
    let first = format!(
        "address = \"{}\" }},\n",
        lab.node1.address().replace("0.0.0.0", "127.0.0.1")
    );
    let alias = format!("{first}  {{ name = \"influxlab2\", address = \"{other}\" }},\n");
    lab.haflux.edit(&[(&first, &alias)]);
    lab.haflux.restart();
    wait_until("it to be diverged", SOON, || {
        standing(&lab, 1) == "diverged"
    });
    for more in [&[][..], &["--from", "influxlab"]] {
        let why = lab.haflux.refuses(&[&REBUILD[..], more].concat());
        assert!(
            why.contains("influxlab and influxlab2 are one node")
                && why.contains("Nothing was begun"),
            "{why}"
        );
        assert_eq!(points(&lab.node1), 3);
        assert_eq!(standing(&lab, 1), "diverged");
    }
}

#[test]
fn one_node_under_two_addresses_is_neither_compared_nor_mended() {
    let (mut lab, other) = lab_with_two_addresses();
    let second = lab.node2.address();
    lab.haflux.edit(&[(&second, &other)]);
    lab.haflux.restart();
    wait_until("both to follow", SOON, || {
        standing(&lab, 0) == "fresh" && standing(&lab, 1) == "fresh"
    });
    for order in [&["compare"][..], &["mend", "--from", "influxlab", "--yes"]] {
        let said = format!("{:?}", lab.haflux.told(order));
        assert!(
            said.contains("influxlab and influxlab2 are one node"),
            "{said}"
        );
    }
}

#[test]
fn of_a_mend_that_was_cancelled_and_has_not_ended_it_is_said_so() {
    let mut lab = lab(2);
    let lines: String = (0..20_000)
        .map(|number| format!("other v={number} {number}\n"))
        .collect();
    assert_eq!(lab.node1.write("telegraf", &lines).status, 204);
    let file = lab.haflux.file().display().to_string();
    let order = ["mend", "--from", "influxlab", "--yes", "--config", &file];
    std::thread::scope(|scope| {
        let command = scope.spawn(|| Haflux::command(&order));
        let report = || lab.haflux.order(&["status"]);
        wait_until("a batch to be under way", SOON, || {
            report().contains("mending ")
        });
        lab.node2.pause();
        std::thread::sleep(Duration::from_millis(500));
        lab.haflux.order(&["mend", "--cancel"]);
        let why = lab
            .haflux
            .refuses(&["mend", "--from", "influxlab", "--yes"]);
        lab.node2.resume();
        assert!(
            why.contains("a mend that was cancelled is ending") && !why.contains("--cancel"),
            "{why}"
        );
        command.join().expect("it ends");
    });
}
