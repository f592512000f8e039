//! Each attack alone beside the good client, with nothing dying: what it costs the client, and what memory it takes.
//!
//! haflux is started anew before each, so that the memory is the attack's own.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::attacks::{Attack, CONNECTIONS};
use super::good::{Came, Good};
use super::support::long_run::Events;
use super::support::long_run::plan::number;
use super::support::long_run::{CATCH_UP, Plan};
use super::support::{Lab, beside, lock, wait_until};
use super::tally::{Served, Tally};
use super::watch::Watch;
use super::{MAX_COST, MAX_RESIDENT, MAX_STALL, attacks, house, node_ends, settle, targets};

/// How long the good client is measured without an attack.
const CALM: Duration = Duration::from_secs(3);

/// A saved cursor has come to the head this much later than `rewind`.
const REST: Duration = Duration::from_secs(1);

/// What was measured.
struct Row {
    name: &'static str,
    calm: Served,
    attacked: Served,
    peak: u64,
    /// Until both nodes had all that was taken.
    level: Option<Duration>,
    node_ends: usize,
    answers: String,
}

impl Row {
    fn cost(&self) -> Duration {
        let (calm, attacked) = (self.calm.quantile(0.99), self.attacked.quantile(0.99));
        attacked.saturating_sub(calm)
    }

    fn told(&self) -> String {
        let millis = |served: &Served, share| served.quantile(share).as_secs_f64() * 1000.0;
        format!(
            "{:28}{:9.0}{:9.0}{:9.0}{:9.0}{:7}/{:<6}{:6}{:>8}  {}",
            self.name,
            millis(&self.calm, 0.99),
            millis(&self.attacked, 0.5),
            millis(&self.attacked, 0.99),
            millis(&self.attacked, 1.0),
            self.attacked.failures(),
            self.attacked.requests(),
            self.peak / 1_000_000,
            self.level.map_or("never".to_owned(), |level| format!(
                "{:.1}",
                level.as_secs_f64()
            )),
            self.answers
        )
    }

    fn is_bad(&self) -> bool {
        self.cost() > MAX_COST
            || self.node_ends > 0
            || self.peak > MAX_RESIDENT
            || self.attacked.failures() > 0
            || self.level.is_none()
    }
}

#[test]
#[ignore = "measures, which needs the machine: scripts/soak --run neighbours"]
fn each_attack_beside_a_good_client() {
    let plan = Plan::from_environment("neighbours alone");
    let seconds = Duration::from_secs(number("HAFLUX_NEIGHBOURS_SECONDS").unwrap_or(4));
    println!(
        "{:28}{:>9}{:>9}{:>9}{:>9}{:>14}{:>6}{:>8}  answers",
        "attack", "calm p99", "p50 ms", "p99 ms", "worst", "failures", "MB", "level s"
    );
    let mut lab = house::start();
    // The good client's points are numbered through.
    let (mut bad, mut first) = (Vec::new(), 0);
    for attack in attacks() {
        let row = measure(&mut lab, attack, seconds, plan.seed, &mut first);
        println!("{}", row.told());
        if row.is_bad() {
            bad.push(row.told());
        }
        if row.level.is_none() {
            // What is stuck would be measured with the next attack as well.
            lab = house::start();
        }
    }
    println!(
        "{} attacks cost the good client more than {MAX_COST:?} or a failure, haflux more than {} MB, or a lane",
        bad.len(),
        MAX_RESIDENT / 1_000_000
    );
    if number("HAFLUX_NEIGHBOURS_JUDGE") == Some(1) {
        assert!(
            bad.is_empty(),
            "HAFLUX_SOAK_SEED={}\n{}",
            plan.seed,
            bad.join("\n")
        );
    }
}

fn measure(lab: &mut Lab, attack: Attack, seconds: Duration, seed: u64, first: &mut u64) -> Row {
    // Once `rewind` is over, a new start does not send the nodes the last attack once more.
    std::thread::sleep(house::REWIND + REST);
    lab.haflux.terminate();
    lab.haflux.restart();
    let targets = targets(lab);
    let begun = Instant::now();
    let (good, tally) = (Good::beginning_at(begun, *first), Tally::default());
    let watch = Watch::new(begun, lab.haflux.shared_id());
    let calm = beside(
        3,
        |number, over| match number {
            0 => good.write_until(over, &targets.influx),
            1 => good.read_until(over, &targets.influx),
            _ => watch.memory(over),
        },
        || {
            wait_until("the good client to be served", CATCH_UP, || {
                // In a row: a haflux that is new turns reads away until it knows what the nodes have.
                let attempts = lock(&good.attempts);
                let last = attempts.iter().rev().take(10);
                last.filter(|attempt| attempt.came == Came::Well).count() == 10
            });
            lock(&good.attempts).clear();
            std::thread::sleep(CALM);
            let calm = Served::of(lock(&good.attempts).drain(..).collect::<Vec<_>>().iter());
            let until = Instant::now() + seconds;
            beside(
                CONNECTIONS,
                |number, over| {
                    let rng = Rng::with_seed(seed.wrapping_add(number as u64));
                    attack.go_on_until(until, over, &targets, &tally, number, rng);
                },
                || std::thread::sleep(seconds),
            );
            calm
        },
    );
    let ended = Instant::now();
    let events = Events::new(begun);
    let level = settle(lab, &events, MAX_STALL)
        .ok()
        .map(|()| ended.elapsed());
    *first = lock(&good.known).end();
    let attacked = Served::of(lock(&good.attempts).iter());
    let mut answers = tally.line(attack.name);
    for (when, served) in [("calm", &calm), ("attacked", &attacked)] {
        if served.failures() > 0 {
            answers.push_str(&format!("; {when}: {}", served.told_failures()));
        }
    }
    for end in node_ends(&events) {
        answers.push_str(&format!("; {}", end.trim_start()));
    }
    for stale in lock(&good.known).stale.iter().take(3) {
        answers.push_str(&format!("; STALE: {stale}"));
    }
    Row {
        name: attack.name,
        calm,
        attacked,
        peak: watch.peak(),
        level,
        node_ends: node_ends(&events).len(),
        answers,
    }
}
