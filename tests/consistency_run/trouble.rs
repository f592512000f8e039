//! Trouble: haflux and both nodes die, stop and stand still at random, each on its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::RELAY_TIMEOUT;
use super::book::lock;
use super::support::{Haflux, Influxd, Lab};
use super::tally::Tally;

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

    fn note(&self, what: &str) {
        lock(&self.events).push((self.begun.elapsed(), what.to_owned()));
    }

    /// Those between two moments, one a line.
    pub fn between(&self, from: Duration, to: Duration) -> Vec<String> {
        lock(&self.events)
            .iter()
            .filter(|(at, _)| (from..=to).contains(at))
            .map(|(at, what)| format!("{:10.4} {what}", at.as_secs_f64()))
            .collect()
    }
}

/// Makes trouble for so long; afterwards everything runs.
pub fn make(lab: &mut Lab, during: Duration, seed: u64, tally: &Tally, events: &Events) {
    let end = Instant::now() + during;
    let away = AtomicUsize::new(0);
    let rng = |number: u64| Rng::with_seed(seed.wrapping_mul(7_000_003).wrapping_add(number));
    let Lab {
        haflux,
        node1,
        node2,
        ..
    } = lab;
    std::thread::scope(|scope| {
        scope.spawn(|| trouble_haflux(haflux, end, rng(0), tally, events));
        for (number, node) in [(1, node1), (2, node2)] {
            let (away, rng) = (&away, rng(number));
            scope.spawn(move || {
                let note = |what: &str| events.note(&format!("node {number}: {what}"));
                trouble_node(node, end, away, rng, tally, note);
            });
        }
    });
}

fn trouble_haflux(haflux: &mut Haflux, end: Instant, mut rng: Rng, tally: &Tally, events: &Events) {
    while rest(&mut rng, 20_000, end) {
        if rng.u8(..4) == 0 {
            events.note("haflux: graceful stop");
            haflux.terminate();
            tally.count("haflux", "graceful stop");
        } else {
            events.note("haflux: kill -9");
            haflux.kill9();
            tally.count("haflux", "kill -9");
        }
        rest(&mut rng, 1000, end);
        haflux.restart();
        events.note("haflux: runs");
    }
}

fn trouble_node(
    node: &mut Influxd,
    end: Instant,
    away: &AtomicUsize,
    mut rng: Rng,
    tally: &Tally,
    note: impl Fn(&str),
) {
    while rest(&mut rng, 12_000, end) {
        if away.fetch_add(1, Ordering::Relaxed) == 1 {
            tally.count("nodes", "both away");
        }
        let what = match rng.u8(..8) {
            0..3 => "kill -9",
            3 => "stop",
            4..6 => "short pause",
            _ => "pause beyond the timeout",
        };
        note(what);
        tally.count("nodes", what);
        match what {
            "kill -9" => node.kill9(),
            "stop" => node.stop(),
            _ => node.pause(),
        }
        match what {
            "short pause" => {
                rest(&mut rng, 1800, end);
                node.resume();
            }
            "kill -9" | "stop" => {
                rest(&mut rng, 5000, end);
                node.restart();
            }
            _ => {
                // The whole of the timeout, whenever the run ends: that is what this trouble is.
                let least = Instant::now() + RELAY_TIMEOUT;
                rest(&mut rng, 1500, end.max(least));
                std::thread::sleep(least.saturating_duration_since(Instant::now()));
                node.resume();
            }
        }
        note("runs");
        away.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Rests for a random while of at most `most` milliseconds, but not past `end`. Half of them are shorter than an eighth of that:
/// much dies young, and some lives to see the others' timeouts. False when it is over. The while is the trouble itself, no wait
/// for something.
fn rest(rng: &mut Rng, most: u32, end: Instant) -> bool {
    let wish = Duration::from_millis(u64::from(most)).mul_f64(rng.f64().powi(3));
    std::thread::sleep(wish.min(end.saturating_duration_since(Instant::now())));
    Instant::now() < end
}
