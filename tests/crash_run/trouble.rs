//! Trouble: haflux and both nodes die, stop and stand still at random, each on its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::RELAY_TIMEOUT;
use super::ledger::lock;
use super::network::Network;
use super::support::{Haflux, Influxd, Lab};
use super::tally::Tally;

/// How long trouble may let things be.
#[derive(Clone, Copy)]
struct Pace {
    /// The longest life of haflux or a node, in milliseconds.
    life: u32,
    end: Instant,
}

impl Pace {
    /// In a long run some lives outlast `rewind`, as they must for what is saved to move on; in a short one they end all the more
    /// often.
    fn of(during: Duration) -> Self {
        let is_long = during >= Duration::from_secs(120);
        Self {
            life: if is_long { 40_000 } else { 8000 },
            end: Instant::now() + during,
        }
    }
}

/// What was done when, to explain what went wrong.
pub struct Events {
    begun: Instant,
    events: Mutex<Vec<(Duration, String)>>,
}

impl Events {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            events: Mutex::default(),
        }
    }

    fn note(&self, what: String) {
        lock(&self.events).push((self.begun.elapsed(), what));
    }

    /// Those between two moments, one a line.
    pub fn between(&self, from: Duration, to: Duration) -> Vec<String> {
        lock(&self.events)
            .iter()
            .filter(|(at, _)| (from..=to).contains(at))
            .map(|(at, what)| format!("{:10.3} {what}", at.as_secs_f64()))
            .collect()
    }
}

/// Makes trouble for so long; afterwards everything runs.
pub fn make(
    lab: &mut Lab,
    networks: &[Network],
    during: Duration,
    seed: u64,
    tally: &Tally,
    events: &Events,
) {
    let pace = Pace::of(during);
    let away = AtomicUsize::new(0);
    let rng = |number: u64| Rng::with_seed(seed.wrapping_mul(7_000_003).wrapping_add(number));
    let Lab {
        haflux,
        node1,
        node2,
        ..
    } = lab;
    std::thread::scope(|scope| {
        scope.spawn(|| trouble_haflux(haflux, pace, rng(0), tally, events));
        for (number, network) in (1..).zip(networks) {
            let rng = rng(10 + number);
            scope.spawn(move || trouble_network(network, number, pace, rng, tally, events));
        }
        for (number, node) in [(1, node1), (2, node2)] {
            let away = &away;
            scope.spawn(move || {
                trouble_node(
                    node,
                    number,
                    pace,
                    away,
                    rng(u64::from(number)),
                    tally,
                    events,
                );
            });
        }
    });
}

fn trouble_haflux(
    haflux: &mut Haflux,
    Pace { life, end }: Pace,
    mut rng: Rng,
    tally: &Tally,
    events: &Events,
) {
    while rest(&mut rng, life, end) {
        if rng.u8(..8) == 0 {
            events.note("haflux: graceful stop".to_owned());
            haflux.terminate();
            tally.haflux_stopped.add(1);
        } else {
            events.note("haflux: kill -9".to_owned());
            haflux.kill9();
            tally.haflux_killed.add(1);
        }
        rest(&mut rng, 1500, end);
        haflux.restart();
        events.note("haflux: runs".to_owned());
    }
}

fn trouble_network(
    network: &Network,
    number: u64,
    Pace { life, end }: Pace,
    mut rng: Rng,
    tally: &Tally,
    events: &Events,
) {
    while rest(&mut rng, life / 2, end) {
        let delay = RELAY_TIMEOUT + Duration::from_millis(rng.u64(100..1500));
        let held = network.hold(delay);
        events.note(format!(
            "network to node {number}: {held} connections deliver {delay:?} late"
        ));
        tally.network_late.add(1);
        rest(&mut rng, life / 2, end);
    }
}

fn trouble_node(
    node: &mut Influxd,
    number: u8,
    Pace { life, end }: Pace,
    away: &AtomicUsize,
    mut rng: Rng,
    tally: &Tally,
    events: &Events,
) {
    while rest(&mut rng, life, end) {
        if away.fetch_add(1, Ordering::Relaxed) == 1 {
            tally.both_away.add(1);
        }
        let note = |what: &str| events.note(format!("node {number}: {what}"));
        match rng.u8(..8) {
            0..3 => {
                note("kill -9");
                node.kill9();
                tally.node_killed.add(1);
                rest(&mut rng, 5000, end);
                node.restart();
            }
            3 => {
                note("stop");
                node.stop();
                tally.node_stopped.add(1);
                rest(&mut rng, 5000, end);
                node.restart();
            }
            4..6 => {
                note("short pause");
                node.pause();
                tally.node_paused_briefly.add(1);
                rest(&mut rng, 1800, end);
                node.resume();
            }
            _ => {
                note("pause beyond the timeout");
                node.pause();
                tally.node_paused_long.add(1);
                let least = Instant::now() + RELAY_TIMEOUT;
                rest(&mut rng, 1500, end.max(least));
                // The whole of the timeout, whenever the run ends: that is what this trouble is.
                std::thread::sleep(least.saturating_duration_since(Instant::now()));
                node.resume();
            }
        }
        note("runs");
        away.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Rests for a random while of at most `most` milliseconds, but not past `end`. Half of them are shorter than a sixteenth of
/// that, and every fifth is longer than two fifths: much dies young, and some lives to see the others' timeouts. False when it
/// is over. The while is the trouble itself, no wait for something.
fn rest(rng: &mut Rng, most: u32, end: Instant) -> bool {
    let wish = Duration::from_millis(u64::from(most)).mul_f64(rng.f64().powi(4));
    std::thread::sleep(wish.min(end.saturating_duration_since(Instant::now())));
    Instant::now() < end
}
