//! The consistency run: clients change and read through haflux while everything dies again and again, and no answer may be older
//! than it must not be.
//!
//! Each client owns things that only it changes ([`book`]): by writes, `DELETE`, `DROP MEASUREMENT`, `SELECT … INTO`, `CREATE
//! DATABASE`, `DROP DATABASE`. All clients read all of them, in every form that a query can have ([`asks`]). Meanwhile haflux is
//! killed with `kill -9` or stopped, and the nodes are killed, stopped and paused, sometimes both at once ([`support::long_run`]).
//!
//! Every answer to a read is judged when it comes ([`support::long_run::model`]):
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
mod finish;
mod names;
mod selftest;

use std::time::{Duration, Instant};

use support::long_run::clients::busy;
use support::long_run::plan::number;
use support::long_run::setup::RELAY_TIMEOUT;
use support::long_run::{
    CATCH_UP, Events, Measure, Plan, Setup, Tally, Trouble, Violations, trouble,
};
use support::{Influxd, Lab, Options, wait_until_level};

use book::Book;
use clients::Run;

/// Databases that are there from the beginning, and stay.
const DATABASES: [&str; 2] = ["telegraf", "with space"];

/// Clients; each owns things.
const OWNERS: usize = 6;

/// Longer than any pause.
const REWIND: Duration = Duration::from_secs(4);

/// Longer lives than the crash run's: much can be read between two deaths.
const MEASURE: Measure = Measure {
    timeout: RELAY_TIMEOUT,
    haflux_life: Duration::from_secs(20),
    haflux_away: Duration::from_secs(1),
    haflux_stops: 4,
    node_life: Duration::from_secs(12),
    network: Duration::ZERO,
    youth: 3,
};

fn start_lab(plan: &Plan) -> Lab {
    let ack = std::env::var("HAFLUX_SOAK_ACK");
    let ack = ack.as_deref().unwrap_or("any");
    // These logs tell which node answered a read, and what each was told when; of a long run they would fill the disk.
    let detailed_logs = plan.is_short();
    let setup = Setup {
        count: 2,
        nodes: Options::default().set("data", "query-log-enabled", &detailed_logs.to_string()),
        databases: &DATABASES,
        timeout: RELAY_TIMEOUT,
        rewind: REWIND,
        relay: &format!("ack = \"{ack}\"\nstatement_timeout = \"10s\""),
        pool: "on_stale = \"reject\"\nread_wait = \"1s\"",
        check: Duration::from_millis(200),
        access_log: detailed_logs,
        late: false,
        grafana: None,
        certificate: None,
        nodes_run: &|_| {},
    };
    setup.start().0
}

/// Clients are busy while `meanwhile` has its way.
fn run<T>(run: Run<'_>, seed: u64, meanwhile: impl FnOnce() -> T) -> T {
    busy(
        OWNERS,
        seed,
        |client, rng, over| clients::go_on_until(over, run, client, rng),
        meanwhile,
    )
}

#[test]
fn no_answer_is_older_than_what_was_acknowledged_whatever_dies() {
    let plan = Plan::from_environment("consistency");
    let calm = number("HAFLUX_SOAK_CALM") == Some(1);
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
        if calm {
            std::thread::sleep(plan.trouble);
        } else {
            let count = |trouble: Trouble| tally.count(trouble.whom(), trouble.what());
            trouble::make(&mut lab, &[], &plan, MEASURE, &events, count);
        }
    });
    println!("{tally}");
    if plan.is_short() {
        let all = events.between(Duration::ZERO, Duration::MAX);
        println!("{}", all.join("\n"));
    }
    match wait_until_level(&lab, CATCH_UP + plan.trouble) {
        Err(told) => violations.add("the nodes do not catch up", || told),
        Ok(()) => {
            finish::check([&lab.node1, &lab.node2], all);
            if !finish::read_all(all) {
                violations.add("not readable in the end", || {
                    "haflux does not answer all that it is asked, though both nodes are level"
                        .to_owned()
                });
            }
        }
    }
    if !violations.is_empty() {
        plan.fail(&mut lab, &violations);
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
