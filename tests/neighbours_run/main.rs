//! The run of bad neighbours: a good client on its own database beside attackers of every kind, while haflux and both nodes die
//! again and again.
//!
//! The lab asks for credentials ([`house`]). The good client ([`good`]) writes and reads ten times a second; each of its reads is
//! judged when it comes. Beside it three gangs of attackers ([`attacks`]), with credentials of their own and without, go from
//! one kind of attack to the next, each with eight connections. In the end they are gone and everything is up; then
//! ([`finish`]):
//!
//! - every point that was acknowledged to the good client is on both nodes, and no read of it went back in time;
//! - the nodes hold the same, in every database: but for what a dead letter says, and none is the good client's;
//! - no lane stood still for longer than [`MAX_STALL`] while its node was there, haflux never had more than [`MAX_MIXED`]
//!   bytes, and neither haflux nor a node ended without being told to ([`watch`]).
//!
//! How fast the good client is served is printed. `each_attack_beside_a_good_client` measures it for one attack after the other
//! with nothing dying.
//!
//! Short, this is a test like any other. For as long as you like: `scripts/soak --run neighbours`.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `HAFLUX_SOAK_SECONDS` | how long there is trouble; default 20 |
//! | `HAFLUX_SOAK_SEED` | seeds all choices; default random. Instants are the machine's, so a seed brings back the mix, not the run |
//! | `HAFLUX_SOAK_CALM` | if `1`, nothing dies |
//! | `HAFLUX_SOAK_TLS` | if `1`, the good client and the attackers come inside TLS, and there are the attacks that only TLS and HTTP/2 have |
//! | `HAFLUX_NEIGHBOURS_ATTACK` | only the attack of this name; several with commas |
//! | `HAFLUX_NEIGHBOURS_SECONDS` | how long each attack lasts where they come one after the other; default 4 |
//! | `HAFLUX_NEIGHBOURS_JUDGE` | if `1`, that run fails where an attack costs the good client more than [`MAX_COST`] |

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod attacks;
mod finish;
mod good;
mod house;
mod tally;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use fastrand::Rng;

use support::door::Door;
use support::long_run::plan::number;
use support::long_run::{CATCH_UP, Events, Measure, Plan, Trouble, trouble};
use support::{Lab, beside, lock, wait_until_level};

use attacks::{Attack, CONNECTIONS, Targets};
use finish::Violations;
use good::{Attempt, Good};
use tally::{Served, Tally};
use watch::Watch;

/// haflux's patience with a node here: longer than a node ever takes for an honest request on a machine this busy.
const RELAY_TIMEOUT: Duration = Duration::from_secs(5);

/// Tries after which a record without a verdict is set aside: the relay's `max_attempts`.
const MAX_ATTEMPTS: u32 = 3;

/// The longest that a lane may stand still: the tries, and their backoff.
const MAX_STALL: Duration = Duration::from_secs(RELAY_TIMEOUT.as_secs() * MAX_ATTEMPTS as u64 + 3);

/// The most that haflux should have resident under one attack.
const MAX_RESIDENT: u64 = 128_000_000;

/// The most that it may ever have: three attacks at the same time, in a debug build.
const MAX_MIXED: u64 = 240_000_000;

/// What an attack may add to the good client's p99.
const MAX_COST: Duration = Duration::from_millis(100);

/// Attacks that go on at the same time.
const GANGS: usize = 3;

/// The longest that a gang stays with an attack.
const ATTACK: Duration = Duration::from_secs(4);

/// A node takes a moment to be there again once its process runs, and so does haflux.
const RETURN: Duration = Duration::from_millis(2500);

const MEASURE: Measure = Measure {
    timeout: RELAY_TIMEOUT,
    haflux_life: Duration::from_secs(45),
    haflux_away: Duration::from_secs(1),
    haflux_stops: 3,
    node_life: Duration::from_secs(30),
    network: Duration::ZERO,
    youth: 1,
};

/// The attacks that are asked for.
fn attacks() -> Vec<Attack> {
    let mut all = attacks::ALL.to_vec();
    if house::SECURE.is_some() {
        all.extend(attacks::SECURE);
    }
    let Ok(names) = std::env::var("HAFLUX_NEIGHBOURS_ATTACK") else {
        return all;
    };
    let wanted = names.split(',').map(|name| {
        let found = all.iter().find(|attack| attack.name == name.trim());
        *found.unwrap_or_else(|| panic!("HAFLUX_NEIGHBOURS_ATTACK: there is no {name}"))
    });
    wanted.collect()
}

fn targets(lab: &Lab) -> Targets {
    let [influx, streams] = match &*house::SECURE {
        Some(secure) => ["http/1.1", "h2"].map(|protocol| {
            let address = lab.haflux.address("secure");
            Door::secure(address, Path::new(&secure.authority), &[protocol])
        }),
        None => [(); 2].map(|()| Door::plain(lab.haflux.address("influx_front"))),
    };
    Targets {
        influx,
        streams,
        plain: Door::plain(lab.haflux.address("http_front")),
    }
}

/// One connection of a gang: all of a gang go through the same attacks in the same order.
fn go_through(
    attacks: &[Attack],
    over: &AtomicBool,
    targets: &Targets,
    tally: &Tally,
    member: usize,
    seed: u64,
) {
    let gang = (member / CONNECTIONS) as u64;
    let mut order = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(gang));
    let mut own = Rng::with_seed(seed.wrapping_mul(1_000_033).wrapping_add(member as u64));
    let mut until = Instant::now();
    let mut left = Vec::new();
    while !over.load(std::sync::atomic::Ordering::Relaxed) {
        if left.is_empty() {
            left = attacks.to_vec();
            order.shuffle(&mut left);
        }
        let Some(attack) = left.pop() else { return };
        // Each member computes the same moments, so that all of a gang are at the same attack.
        until += ATTACK.mul_f64(0.3 + 0.7 * order.f64());
        let rng = own.fork();
        attack.go_on_until(until, over, targets, tally, member, rng);
    }
}

#[test]
fn the_good_client_is_served_whatever_its_neighbours_do() {
    let plan = Plan::from_environment_or("neighbours", 20);
    let calm = number("HAFLUX_SOAK_CALM") == Some(1);
    let mut lab = house::start();
    let targets = targets(&lab);
    let pages = lab.haflux.address("influx_front");
    let begun = Instant::now();
    let (good, tally, events) = (Good::new(begun), Tally::default(), Events::new(begun));
    let watch = Watch::new(begun, lab.haflux.shared_id());
    let troubles: std::sync::Mutex<BTreeMap<(&str, &str), u64>> = std::sync::Mutex::default();
    let attacks = attacks();

    // The good client leaves last, and then there is an end to be level at.
    beside(
        4,
        |number, over| match number {
            0 => good.write_until(over, &targets.influx),
            1 => good.read_until(over, &targets.influx),
            2 => watch.memory(over),
            _ => watch.lanes(over, &pages),
        },
        || {
            beside(
                GANGS * CONNECTIONS,
                |member, over| go_through(&attacks, over, &targets, &tally, member, plan.seed),
                || {
                    if calm {
                        std::thread::sleep(plan.trouble);
                    } else {
                        trouble::make(&mut lab, &[], &plan, MEASURE, &events, |trouble| {
                            let what = (trouble.whom(), trouble.what());
                            *lock(&troubles).entry(what).or_default() += 1;
                        });
                    }
                },
            );
            println!("the attackers are gone after {:.1?}", begun.elapsed());
        },
    );
    let mut violations = Violations::default();
    match settle(&mut lab, &events, CATCH_UP + plan.trouble) {
        Ok(()) => finish::check(&lab, &good, &mut violations),
        // What nodes lack that do not catch up says nothing, and one that dies over a request again and again cannot be asked.
        Err(told) => {
            violations.add("the nodes do not catch up", told);
            finish::check_reads(&good, &mut violations);
        }
    }

    println!("\nwhat the attackers were answered:\n{tally}");
    let told = lock(&troubles);
    let told = told
        .iter()
        .map(|((whom, what), count)| format!("{whom}: {count} {what}"));
    println!("trouble: {}", told.collect::<Vec<_>>().join(", "));
    tell_served(&good, &events);
    judge_watch(&watch, &events, &mut violations);
    if plan.is_short() {
        println!(
            "{}",
            events.between(Duration::ZERO, Duration::MAX).join("\n")
        );
    }
    if !violations.is_empty() {
        plan.fail(&mut lab, &violations);
    }
    assert!(
        tally.requests() > 0,
        "there was no attack, so nothing was proven"
    );
    let well = lock(&good.attempts)
        .iter()
        .any(|attempt| attempt.came == good::Came::Well);
    assert!(
        well,
        "the good client was never served, so nothing was proven"
    );
}

/// Waits until both nodes are level. One that ends meanwhile, over what an attacker left, is started again.
fn settle(lab: &mut Lab, events: &Events, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        revive(lab, events);
        match wait_until_level(lab, Duration::from_secs(1)) {
            Err(told) if Instant::now() > end => return Err(told),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
}

fn node_ends(events: &Events) -> Vec<String> {
    let all = events.between(Duration::ZERO, Duration::MAX).into_iter();
    all.filter(|event| event.ends_with(Trouble::NodeEnded.what()))
        .collect()
}

/// Starts what has ended by itself.
fn revive(lab: &mut Lab, events: &Events) {
    for (name, node) in [("node 1", &mut lab.node1), ("node 2", &mut lab.node2)] {
        if node.has_ended() {
            events.note(format!("{name}: {}", Trouble::NodeEnded.what()));
            node.kill9();
            node.restart();
            events.note(format!("{name}: runs"));
        }
    }
}

type Absences = Vec<(Duration, Duration)>;

/// Absences with the moments that a return takes.
fn absences(events: &Events, whom: &str) -> Absences {
    let absences = events.absences(whom).into_iter();
    absences
        .map(|(from, until)| (from, until.saturating_add(RETURN)))
        .collect()
}

fn during(attempt: &Attempt, absences: &Absences) -> bool {
    let ended = attempt.begun + attempt.took;
    absences
        .iter()
        .any(|(from, until)| attempt.begun < *until && ended > *from)
}

fn tell_served(good: &Good, events: &Events) {
    let haflux = absences(events, "haflux");
    let [one, two] = ["node 1", "node 2"].map(|node| absences(events, node));
    let attempts = lock(&good.attempts);
    let of = |wanted: &dyn Fn(&Attempt) -> bool| {
        Served::of(attempts.iter().filter(|attempt| wanted(attempt)))
    };
    let all_up = of(&|attempt| {
        !during(attempt, &haflux) && !during(attempt, &one) && !during(attempt, &two)
    });
    let one_up = of(&|attempt| {
        !during(attempt, &haflux) && (during(attempt, &one) != during(attempt, &two))
    });
    let none_up =
        of(&|attempt| !during(attempt, &haflux) && during(attempt, &one) && during(attempt, &two));
    println!("the good client, everything up:      {all_up}");
    println!("the good client, a node away:        {one_up}");
    println!("the good client, both nodes troubled: {none_up}");
    println!(
        "the good client, haflux away:        {}",
        of(&|attempt| during(attempt, &haflux))
    );
}

fn judge_watch(watch: &Watch, events: &Events, violations: &mut Violations) {
    let mut away = BTreeMap::new();
    for (name, whom) in [
        ("haflux", "haflux"),
        ("influxlab", "node 1"),
        ("influxlab2", "node 2"),
    ] {
        away.insert(name.to_owned(), absences(events, whom));
    }
    println!("haflux: {} MB resident at most", watch.peak() / 1_000_000);
    if watch.peak() > MAX_MIXED {
        violations.add("too much memory", format!("{} bytes at most", watch.peak()));
    }
    if watch.ends() > 0 {
        violations.add("haflux ended by itself", format!("{} times", watch.ends()));
    }
    for event in node_ends(events) {
        violations.add("a node ended by itself", event);
    }
    if let Some(stall) = watch.longest_stall(&away) {
        let told = format!(
            "{} from {:.1?} on for {:.1?}; {}",
            stall.replica,
            stall.from,
            stall.length(),
            stall.error
        );
        println!("longest stall: {told}");
        if stall.length() > MAX_STALL {
            violations.add("a lane stood still", told);
        }
    }
}

/// Each kind of damage that the run is there to find is done by hand, and found.
#[test]
fn the_check_finds_what_it_looks_for() {
    let lab = house::start();
    let Targets { influx: door, .. } = targets(&lab);
    let good = Good::new(Instant::now());
    beside(
        2,
        |number, over| match number {
            0 => good.write_until(over, &door),
            _ => good.read_until(over, &door),
        },
        || {
            support::wait_until("some requests", support::wait::SOON, || {
                lock(&good.attempts).len() > 30
            });
        },
    );
    wait_until_level(&lab, CATCH_UP).expect("both nodes catch up");
    let check = || {
        let mut violations = Violations::default();
        finish::check(&lab, &good, &mut violations);
        violations
    };
    let clean = check();
    assert!(clean.is_empty(), "{clean}");
    lab.node2
        .query(house::GOOD, "DELETE FROM pulse WHERE time = 3s");
    let found = check();
    assert!(
        found.count(finish::LOST) == 1 && found.count(finish::DIFFERING) > 0,
        "{found}"
    );
    assert_eq!(lab.node1.write(house::GOOD, "pulse v=-1i 5").status, 204);
    assert_eq!(check().count(finish::STRANGE), 1);
    lab.node1.query("", "CREATE DATABASE odd");
    assert!(check().count(finish::DIFFERING) > found.count(finish::DIFFERING));
    // What was acknowledged is taken away behind haflux's back: the next read goes back in time.
    for node in [&lab.node1, &lab.node2] {
        node.query(house::GOOD, "DROP MEASUREMENT pulse");
    }
    beside(
        1,
        |_, over| good.read_until(over, &door),
        || {
            support::wait_until("a read", support::wait::SOON, || {
                !lock(&good.known).stale.is_empty()
            });
        },
    );
    assert!(check().count(finish::STALE) > 0);
}
