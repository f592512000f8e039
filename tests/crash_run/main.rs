//! The crash run: two real nodes, haflux before them, many clients, and everything dies again and again.
//!
//! Clients write and note what was acknowledged ([`ledger`]). Meanwhile haflux is killed with `kill -9` at random instants and
//! started again, and the nodes are killed, stopped, paused and started again, sometimes both at once ([`trouble`]). In the end
//! everything is up and the nodes have caught up; then ([`check`]):
//!
//! - every acknowledged point is on both nodes, with the value that was sent;
//! - a point that was overwritten with rising values has at least its last acknowledged value on both, and none that was never
//!   sent;
//! - a line without a time was stamped once: it is there once, at the same time on both;
//! - nothing differs between the nodes, acknowledged or not.
//!
//! A write that was answered otherwise, or not at all, may or may not be there: but on both nodes or on neither.
//!
//! Short, this is a test like any other. For as long as you like: `scripts/soak`.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_SOAK_SECONDS` | how long there is trouble; default 15 |
//! | `HAFLUX_SOAK_SEED` | seeds all choices; default random. Instants are the machine's, so a seed brings back the mix, not the run |
//! | `HAFLUX_SOAK_LATE` | if `0`, the [`network`] before each node does not deliver late |

#[path = "../support/mod.rs"]
mod support;

mod check;
mod clients;
mod connection;
mod ledger;
mod network;
mod tally;
mod trouble;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::{Lab, Options};

use ledger::Ledger;
use network::Network;
use tally::Tally;
use trouble::Events;

const DATABASES: [&str; 3] = ["telegraf", "energy", "with space"];
const CLIENTS: usize = 8;

/// haflux's patience with a replica: short, so that a paused node is given up within the run.
const RELAY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longer than anything here is late.
const REWIND: Duration = Duration::from_secs(8);

/// What the run is told from outside.
struct Plan {
    trouble: Duration,
    seed: u64,
    late: bool,
}

impl Plan {
    fn from_environment() -> Plan {
        let number = |name: &str| {
            std::env::var(name).ok().map(|text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
            })
        };
        Plan {
            trouble: Duration::from_secs(number("HAFLUX_SOAK_SECONDS").unwrap_or(15)),
            seed: number("HAFLUX_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
            late: number("HAFLUX_SOAK_LATE") != Some(0),
        }
    }
}

/// The lab, and the ways to its nodes if the network is to deliver late.
fn start_lab(late: bool) -> (Lab, Vec<Network>) {
    let mut networks = Vec::new();
    let lab = Lab::start_with(Options::default(), |mut text| {
        if late {
            let nodes: Vec<String> = ["influxlab", "influxlab2"]
                .map(|name| address_of(&text, name))
                .into();
            for node in nodes {
                let network = Network::to(&node);
                text = text.replace(&node, &network.address());
                networks.push(network);
            }
        }
        replace(
            text,
            &[
                (
                    "replicate_to = \"influx_back\"",
                    &format!(
                        "replicate_to = \"influx_back\"\ntimeout = \"{}s\"\nretry = {{ min = \"50ms\", max = \"1s\" }}\nrewind = \"{}s\"",
                        RELAY_TIMEOUT.as_secs(),
                        REWIND.as_secs()
                    ),
                ),
                (
                    "# access_log = true",
                    "access_log = false\nstop_timeout = \"5s\"\n#",
                ),
                ("interval = \"2s\"", "interval = \"500ms\""),
            ],
        )
    });
    for database in DATABASES {
        lab.create_database(database);
    }
    (lab, networks)
}

/// The address of a replica in the configuration.
fn address_of(configuration: &str, name: &str) -> String {
    let server = format!("{{ name = \"{name}\"");
    configuration
        .split_once("name = \"influx_back\"")
        .and_then(|(_, pool)| {
            let (_, server) = pool.split_once(&server)?;
            server.split('"').nth(1).map(str::to_owned)
        })
        .unwrap_or_else(|| panic!("no {name} in the configuration"))
}

fn replace(mut text: String, changes: &[(&str, &str)]) -> String {
    for (shipped, here) in changes {
        assert!(
            text.contains(shipped),
            "the configuration has no {shipped} any more"
        );
        text = text.replace(shipped, here);
    }
    text
}

/// Clients write for `during` while `troubles` has its way with the lab.
fn run<T>(
    lab: &mut Lab,
    ledger: &Ledger,
    tally: &Tally,
    seed: u64,
    troubles: impl FnOnce(&mut Lab) -> T,
) -> T {
    let address = lab.haflux.address("influx_front");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(client as u64));
            let (address, over) = (&address, &over);
            scope.spawn(move || clients::write_until(over, address, client, ledger, tally, rng));
        }
        // Also when it panics, so that the clients end and the panic is seen.
        let _over = SetWhenDropped(&over);
        troubles(lab)
    })
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_acknowledged_is_lost_whatever_dies() {
    let plan = Plan::from_environment();
    println!(
        "crash run: {:?} of trouble, HAFLUX_SOAK_SEED={}",
        plan.trouble, plan.seed
    );
    let (mut lab, networks) = start_lab(plan.late);
    let begun = Instant::now();
    let (ledger, tally) = (Ledger::new(begun), Tally::default());
    let events = Events::new(begun);
    run(&mut lab, &ledger, &tally, plan.seed, |lab| {
        trouble::make(lab, &networks, plan.trouble, plan.seed, &tally, &events)
    });
    let behind = check::wait_until_equal(&lab, plan.trouble);
    let mut violations = check::check(&lab, &ledger, &events);
    violations.extend(behind);
    println!("{tally}");
    println!("{}", violations.summary());
    if !violations.is_empty() {
        let folder = lab.keep();
        panic!(
            "HAFLUX_SOAK_SEED={}; everything is kept in {}\n{violations}",
            plan.seed,
            folder.display()
        );
    }
    assert!(
        tally.acknowledged() > 0,
        "nothing was acknowledged, so nothing was proven"
    );
}

/// Each kind of damage that the run is there to find is done by hand, and found.
#[test]
fn the_check_finds_what_it_looks_for() {
    let (mut lab, _) = start_lab(false);
    let begun = Instant::now();
    let (ledger, tally, events) = (Ledger::new(begun), Tally::default(), Events::new(begun));
    run(&mut lab, &ledger, &tally, 7, |_| {
        support::wait_until("some thousand writes", support::wait::SOON, || {
            tally.acknowledged() > 1500
        });
    });
    assert!(check::wait_until_equal(&lab, Duration::ZERO).is_empty());
    let clean = check::check(&lab, &ledger, &events);
    assert!(clean.is_empty(), "{clean}");

    let database = DATABASES[0];
    let damage = |statement: &str, both: bool| {
        lab.node2.query(database, statement);
        if both {
            lab.node1.query(database, statement);
        }
        check::check(&lab, &ledger, &events)
    };
    let lowered = "rising,place=0 v=0i 0";
    assert_eq!(lab.node1.write(database, lowered).status, 204);
    assert_eq!(lab.node2.write(database, lowered).status, 204);
    let found = check::check(&lab, &ledger, &events);
    assert_eq!((found.lower, found.differing), (2, 0), "{found}");
    let found = damage("DELETE FROM rising WHERE place = '1'", true);
    assert!(found.missing > 1 && found.differing == 0, "{found}");
    let found = damage("DELETE FROM counted WHERE client = '0'", false);
    assert!(found.missing > 2 && found.differing > 0, "{found}");
    let lines = "stamped,client=0,line=0 v=0i 1\nstamped,client=0,line=0 v=0i 2";
    assert_eq!(lab.node1.write(database, lines).status, 204);
    assert_eq!(lab.node2.write(database, lines).status, 204);
    assert!(check::check(&lab, &ledger, &events).doubled > 0);
    let never = "counted,client=1 v=77i 1";
    assert_eq!(lab.node1.write(database, never).status, 204);
    assert_eq!(lab.node2.write(database, never).status, 204);
    assert!(check::check(&lab, &ledger, &events).never_sent > 0);
}
