//! The consistency run: clients change and read through haflux while everything dies again and again, and no answer may be older
//! than it must not be.
//!
//! Each client owns things that only it changes ([`book`]): by writes, `DELETE`, `DROP MEASUREMENT`, `SELECT … INTO`, `CREATE
//! DATABASE`, `DROP DATABASE`. All clients read all of them, in every form that a query can have ([`asks`]). Meanwhile haflux is
//! killed with `kill -9` or stopped, and the nodes are killed, stopped and paused, sometimes both at once ([`trouble`]).
//!
//! Every answer to a read is judged when it comes ([`model`]):
//!
//! - it shows what was acknowledged before the read began, or something newer;
//! - nothing that was never sent, and nothing that was deleted before;
//! - nothing older than what any read had shown before this one began.
//!
//! haflux is told to turn reads away that it cannot answer so. Those are counted; they break no rule. In the end everything is up
//! and quiet: then each node holds what is known to be there ([`finish`]), and both hold the same.
//!
//! Short, this is a test like any other. For as long as you like: `scripts/soak --run consistency`.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_SOAK_SECONDS` | how long there is trouble; default 15 |
//! | `HAFLUX_SOAK_SEED` | seeds all choices; default random. Instants are the machine's, so a seed brings back the mix, not the run |
//! | `HAFLUX_SOAK_ACK` | the relay's `ack`; default `any` |
//! | `HAFLUX_SOAK_CALM` | if `1`, nothing dies |

#[path = "../support/mod.rs"]
mod support;

mod asks;
mod book;
mod changes;
mod clients;
mod connection;
mod finish;
mod model;
mod names;
mod selftest;
mod tally;
mod trouble;
mod violations;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use support::{Influxd, Lab, Options};

use book::Book;
use clients::Run;
use tally::Tally;
use trouble::Events;
use violations::Violations;

/// Databases that are there from the beginning, and stay.
const DATABASES: [&str; 2] = ["telegraf", "with space"];

/// Clients; each owns things.
const OWNERS: usize = 6;

/// haflux's patience with a replica: short, so that a paused node is given up within the run.
const RELAY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longer than any pause.
const REWIND: Duration = Duration::from_secs(4);

/// What the run is told from outside.
struct Plan {
    trouble: Duration,
    seed: u64,
    ack: String,
    calm: bool,
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
            ack: std::env::var("HAFLUX_SOAK_ACK").unwrap_or_else(|_| "any".to_owned()),
            calm: number("HAFLUX_SOAK_CALM") == Some(1),
        }
    }

    /// So that all that happened can be told.
    fn is_short(&self) -> bool {
        self.trouble < Duration::from_secs(120)
    }
}

fn start_lab(plan: &Plan) -> Lab {
    // These logs tell which node answered a read, and what each was told when; of a long run they would fill the disk.
    let detailed_logs = plan.is_short();
    let options = Options::default().set("data", "query-log-enabled", &detailed_logs.to_string());
    let lab = Lab::start_with(options, |text| {
        replace(
            text,
            &[
                (
                    "replicate_to = \"influx_back\"",
                    &format!(
                        "replicate_to = \"influx_back\"\nack = \"{ack}\"\ntimeout = \"{timeout}s\"\nstatement_timeout = \"10s\"\nretry = {{ min = \"50ms\", max = \"1s\" }}\nrewind = \"{rewind}s\"",
                        ack = plan.ack,
                        timeout = RELAY_TIMEOUT.as_secs(),
                        rewind = REWIND.as_secs()
                    ),
                ),
                (
                    "balance = \"roundrobin\"",
                    "balance = \"roundrobin\"\non_stale = \"reject\"\nread_wait = \"1s\"",
                ),
                (
                    "# access_log = true",
                    &format!("access_log = {detailed_logs}\nstop_timeout = \"5s\"\n#"),
                ),
                ("interval = \"2s\"", "interval = \"200ms\""),
            ],
        )
    });
    for database in DATABASES {
        lab.create_database(database);
    }
    lab
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

/// Clients are busy while `meanwhile` has its way.
fn run<T>(run: Run<'_>, seed: u64, meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..OWNERS {
            let rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(client as u64));
            let over = &over;
            scope.spawn(move || clients::go_on_until(over, run, client, rng));
        }
        // Also when it panics, so that the clients end and the panic is seen.
        let _over = SetWhenDropped(&over);
        meanwhile()
    })
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_answer_is_older_than_what_was_acknowledged_whatever_dies() {
    let plan = Plan::from_environment();
    println!(
        "consistency run: {:?} of trouble, HAFLUX_SOAK_SEED={}",
        plan.trouble, plan.seed
    );
    let mut lab = start_lab(&plan);
    let address = lab.haflux.address("influx_front");
    let begun = Instant::now();
    let (book, tally, events) = (Book::new(begun), Tally::default(), Events::new(begun));
    let violations = Violations::new(&events);
    let all = Run {
        address: &address,
        book: &book,
        tally: &tally,
        violations: &violations,
        alone: false,
    };
    run(all, plan.seed, || {
        if plan.calm {
            std::thread::sleep(plan.trouble);
        } else {
            trouble::make(&mut lab, plan.trouble, plan.seed, &tally, &events);
        }
    });
    println!("{tally}");
    if plan.is_short() {
        let all = events.between(Duration::ZERO, Duration::MAX);
        println!("{}", all.join("\n"));
    }
    if finish::wait_until_level(&lab, plan.trouble, &violations) {
        finish::check([&lab.node1, &lab.node2], all);
        if !finish::read_all(all) {
            violations.add("not readable in the end", || {
                "haflux does not answer all that it is asked, though both nodes are level"
                    .to_owned()
            });
        }
    }
    if !violations.is_empty() {
        let folder = lab.keep();
        panic!(
            "HAFLUX_SOAK_SEED={}; everything is kept in {}\n{violations}",
            plan.seed,
            folder.display()
        );
    }
    finish::did_something(all);
}

/// The rules are InfluxDB's own: a node on its own keeps them.
#[test]
fn a_node_alone_breaks_no_rule() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = Influxd::start(folder.path());
    for database in DATABASES {
        node.create_database(database);
    }
    let address = node.address();
    let begun = Instant::now();
    let (book, tally, events) = (Book::new(begun), Tally::default(), Events::new(begun));
    let violations = Violations::new(&events);
    let all = Run {
        address: &address,
        book: &book,
        tally: &tally,
        violations: &violations,
        alone: true,
    };
    run(all, 11, || {
        support::wait_until("some thousand requests", support::wait::SOON, || {
            tally.sum("", "acknowledged") > 800 && tally.sum("read", "ok") > 1600
        });
    });
    println!("{tally}");
    finish::check([&node, &node], all);
    assert!(violations.is_empty(), "{violations}");
}
