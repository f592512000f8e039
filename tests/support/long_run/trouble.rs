//! Trouble: haflux and its nodes die, stop and stand still at random, and the network delivers late, each on its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::events::Events;
use super::network::Network;
use super::plan::Plan;
use crate::support::{Haflux, Influxd, Lab};

/// The longest that a node is away, and that it pauses without being given up.
const NODE_AWAY: Duration = Duration::from_secs(5);
const SHORT_PAUSE: Duration = Duration::from_millis(1800);

/// How much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// haflux's patience with a replica.
    pub timeout: Duration,
    /// The longest life of haflux.
    pub haflux_life: Duration,
    /// The longest that it is away.
    pub haflux_away: Duration,
    /// One in so many of its lives ends by a graceful stop.
    pub haflux_stops: u8,
    /// The longest that a node is left alone.
    pub node_life: Duration,
    /// The longest that the network does well, and that it does not.
    pub network: Duration,
    /// Of all that lasts for a random while, half lasts less than the longest such while times 0.5 to this power: much dies
    /// young, and some lives to see the others' timeouts.
    pub youth: i32,
}

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    HafluxKilled,
    HafluxStopped,
    NodeKilled,
    NodeStopped,
    NodePausedBriefly,
    /// For longer than haflux waits.
    NodePausedLong,
    /// By itself: nobody told it to.
    NodeEnded,
    /// Two nodes at least do not answer.
    BothAway,
    /// What was sent arrives after haflux has given it up.
    NetworkLate,
}

impl Trouble {
    /// All kinds, in their order.
    pub const ALL: [Trouble; 9] = [
        Trouble::HafluxKilled,
        Trouble::HafluxStopped,
        Trouble::NodeKilled,
        Trouble::NodeStopped,
        Trouble::NodePausedBriefly,
        Trouble::NodePausedLong,
        Trouble::NodeEnded,
        Trouble::BothAway,
        Trouble::NetworkLate,
    ];

    /// Whom it befalls.
    pub fn whom(self) -> &'static str {
        match self {
            Trouble::HafluxKilled | Trouble::HafluxStopped => "haflux",
            _ => "nodes",
        }
    }

    /// What it is.
    pub fn what(self) -> &'static str {
        match self {
            Trouble::HafluxKilled | Trouble::NodeKilled => "kill -9",
            Trouble::HafluxStopped => "graceful stop",
            Trouble::NodeStopped => "stop",
            Trouble::NodePausedBriefly => "short pause",
            Trouble::NodePausedLong => "pause beyond the timeout",
            Trouble::NodeEnded => "end by itself",
            Trouble::BothAway => "two away",
            Trouble::NetworkLate => "late delivery",
        }
    }
}

/// Makes trouble for as long as the plan says, and counts it; afterwards everything runs.
pub fn make(
    lab: &mut Lab,
    networks: &[Network],
    plan: &Plan,
    measure: Measure,
    events: &Events,
    count: impl Fn(Trouble) + Sync,
) {
    let maker = &Maker {
        measure,
        end: Instant::now() + plan.trouble,
        events,
        count,
        away: AtomicUsize::new(0),
    };
    let rng = |number: u64| Rng::with_seed(plan.seed.wrapping_mul(7_000_003).wrapping_add(number));
    let Lab {
        haflux,
        node1,
        node2,
        further,
        ..
    } = lab;
    let nodes = [node1, node2].into_iter().chain(further);
    std::thread::scope(|scope| {
        scope.spawn(|| maker.trouble_haflux(haflux, rng(0)));
        for (number, node) in (1..).zip(nodes) {
            let rng = rng(number);
            scope.spawn(move || maker.trouble_node(node, number, rng));
        }
        for (number, network) in (1..).zip(networks) {
            let rng = rng(10 + number);
            scope.spawn(move || maker.trouble_network(network, number, rng));
        }
    });
}

struct Maker<'a, C> {
    measure: Measure,
    end: Instant,
    events: &'a Events,
    count: C,
    /// Nodes that do not answer.
    away: AtomicUsize,
}

impl<C: Fn(Trouble)> Maker<'_, C> {
    fn trouble_haflux(&self, haflux: &mut Haflux, mut rng: Rng) {
        while self.rest(&mut rng, self.measure.haflux_life) {
            if rng.u8(..self.measure.haflux_stops) == 0 {
                self.begin("haflux", Trouble::HafluxStopped);
                haflux.terminate();
            } else {
                self.begin("haflux", Trouble::HafluxKilled);
                haflux.kill9();
            }
            self.rest(&mut rng, self.measure.haflux_away);
            haflux.restart();
            self.events.note("haflux: runs".to_owned());
        }
    }

    fn trouble_node(&self, node: &mut Influxd, number: u64, mut rng: Rng) {
        let name = format!("node {number}");
        while self.rest_beside(&mut rng, node, &name) {
            if self.away.fetch_add(1, Ordering::Relaxed) >= 1 {
                (self.count)(Trouble::BothAway);
            }
            let trouble = match rng.u8(..8) {
                0..3 => Trouble::NodeKilled,
                3 => Trouble::NodeStopped,
                4..6 => Trouble::NodePausedBriefly,
                _ => Trouble::NodePausedLong,
            };
            self.begin(&name, trouble);
            match trouble {
                Trouble::NodeKilled => node.kill9(),
                Trouble::NodeStopped => node.stop(),
                _ => node.pause(),
            }
            match trouble {
                Trouble::NodePausedBriefly => {
                    self.rest(&mut rng, SHORT_PAUSE);
                    node.resume();
                }
                Trouble::NodePausedLong => {
                    // The whole of the timeout, whenever the run ends: that is what this trouble is.
                    let least = Instant::now() + self.measure.timeout;
                    self.rest_until(&mut rng, Duration::from_millis(1500), self.end.max(least));
                    std::thread::sleep(least.saturating_duration_since(Instant::now()));
                    node.resume();
                }
                _ => {
                    self.rest(&mut rng, NODE_AWAY);
                    node.restart();
                }
            }
            self.events.note(format!("{name}: runs"));
            self.away.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Rests as long as a node is left alone. A node that ends meanwhile is started again at once, as a supervisor would do it.
    fn rest_beside(&self, rng: &mut Rng, node: &mut Influxd, name: &str) -> bool {
        const LOOK: Duration = Duration::from_millis(200);
        let wish = self
            .measure
            .node_life
            .mul_f64(rng.f64().powi(self.measure.youth));
        let end = self.end.min(Instant::now() + wish);
        loop {
            if node.has_ended() {
                self.begin(name, Trouble::NodeEnded);
                node.kill9();
                node.restart();
                self.events.note(format!("{name}: runs"));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Instant::now() < self.end;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn trouble_network(&self, network: &Network, number: u64, mut rng: Rng) {
        while self.rest(&mut rng, self.measure.network) {
            let delay = self.measure.timeout + Duration::from_millis(rng.u64(100..1500));
            let held = network.hold(delay);
            self.events.note(format!(
                "network to node {number}: {held} connections deliver {delay:?} late"
            ));
            (self.count)(Trouble::NetworkLate);
            self.rest(&mut rng, self.measure.network);
        }
    }

    fn begin(&self, whom: &str, trouble: Trouble) {
        self.events.note(format!("{whom}: {}", trouble.what()));
        (self.count)(trouble);
    }

    /// Rests for a random while of at most `most`, but not past the end. False when it is over. The while is the trouble itself,
    /// no wait for something.
    fn rest(&self, rng: &mut Rng, most: Duration) -> bool {
        self.rest_until(rng, most, self.end)
    }

    fn rest_until(&self, rng: &mut Rng, most: Duration, end: Instant) -> bool {
        let wish = most.mul_f64(rng.f64().powi(self.measure.youth));
        std::thread::sleep(wish.min(end.saturating_duration_since(Instant::now())));
        Instant::now() < end
    }
}
