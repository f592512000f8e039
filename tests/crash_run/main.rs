//! The crash run: two real nodes, haflux before them, many clients, and everything dies again and again.
//!
//! Clients write and note what was acknowledged ([`ledger`]). Meanwhile haflux is killed with `kill -9` at random instants and
//! started again, and the nodes are killed, stopped, paused and started again, sometimes both at once ([`support::long_run`]).
//! In the end everything is up and the nodes have caught up; then ([`check`]):
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
//! | `HAFLUX_SOAK_LATE` | if `0`, the network before each node does not deliver late |
//! | `HAFLUX_SOAK_NODES` | how many nodes; default 2 |
//! | `HAFLUX_SOAK_ACK` | the relay's `ack`; default `any` |

#[path = "../support/mod.rs"]
mod support;

mod check;
mod clients;
mod ledger;
mod outcome;
mod tally;

use std::time::{Duration, Instant};

use support::long_run::clients::busy;
use support::long_run::network::Network;
use support::long_run::plan::number;
use support::long_run::setup::RELAY_TIMEOUT;
use support::long_run::{CATCH_UP, Events, Measure, Plan, Setup, trouble};
use support::{Lab, Options, wait_until_level};

use ledger::Ledger;
use tally::Tally;

const DATABASES: [&str; 3] = ["telegraf", "energy", "with space"];
const CLIENTS: usize = 8;

/// Longer than anything here is late.
const REWIND: Duration = Duration::from_secs(8);

/// Much dies young: what was under way must survive. In a long run some lives outlast [`REWIND`], as they must for what is saved
/// to move on; in a short one they end all the more often.
fn measure(plan: &Plan) -> Measure {
    let life = Duration::from_secs(if plan.is_short() { 8 } else { 40 });
    Measure {
        timeout: RELAY_TIMEOUT,
        haflux_life: life,
        haflux_away: Duration::from_millis(1500),
        haflux_stops: 8,
        node_life: life,
        network: life / 2,
        youth: 4,
    }
}

fn start_lab(late: bool) -> (Lab, Vec<Network>) {
    let ack = std::env::var("HAFLUX_SOAK_ACK").unwrap_or_else(|_| "any".to_owned());
    let setup = Setup {
        count: number("HAFLUX_SOAK_NODES").map_or(2, |count| usize::try_from(count).unwrap_or(2)),
        nodes: Options::default(),
        databases: &DATABASES,
        timeout: RELAY_TIMEOUT,
        rewind: REWIND,
        relay: &format!("ack = \"{ack}\""),
        pool: "",
        check: Duration::from_millis(500),
        access_log: false,
        late,
        grafana: None,
        certificate: None,
        nodes_run: &|_| {},
    };
    setup.start()
}

/// Clients write while `troubles` has its way with the lab.
fn run<T>(
    lab: &mut Lab,
    ledger: &Ledger,
    tally: &Tally,
    seed: u64,
    troubles: impl FnOnce(&mut Lab) -> T,
) -> T {
    let address = lab.haflux.address("influx_front");
    busy(
        CLIENTS,
        seed,
        |client, rng, over| clients::write_until(over, &address, client, ledger, tally, rng),
        || troubles(lab),
    )
}

#[test]
fn nothing_acknowledged_is_lost_whatever_dies() {
    let plan = Plan::from_environment("crash");
    let (mut lab, networks) = start_lab(number("HAFLUX_SOAK_LATE") != Some(0));
    let begun = Instant::now();
    let (ledger, tally, events) = (Ledger::new(begun), Tally::default(), Events::new(begun));
    run(&mut lab, &ledger, &tally, plan.seed, |lab| {
        let count = |trouble| tally.trouble(trouble);
        trouble::make(lab, &networks, &plan, measure(&plan), &events, count);
    });
    let level = wait_until_level(&lab, CATCH_UP + plan.trouble);
    let mut violations = check::check(&lab, &ledger, &events);
    if let Err(told) = level {
        violations.never_level(told);
    }
    println!("{tally}");
    println!("{}", violations.summary());
    if !violations.is_empty() {
        plan.fail(&mut lab, &violations);
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
    wait_until_level(&lab, CATCH_UP).expect("both nodes catch up");
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
