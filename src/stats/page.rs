//! The status page: what is wrong and what to do, the relays as a picture, and what HAProxy's users expect to read at a glance.
//!
//! It needs no other file. Without script it shows everything and loads itself anew; with script it asks for its inner part
//! ([`Shown::Inside`]) each second and changes only what has changed, so that focus, scroll, filter and order stay. Style and
//! script bear the nonce of the answer's Content-Security-Policy, which allows no other. Every state is said in words as well as in
//! colour. The templates are compiled in; every value in them is escaped by their engine.

use std::time::{Duration, SystemTime};

use askama::Template;

use super::counters::Stats;
use super::picture::Picture;
use super::snapshot::{RelayView, ReplicaView, Snapshot, Status};
use super::units::{Count, Span};

const STYLE: &str = include_str!("../../templates/status.css");
const SCRIPT: &str = include_str!("../../templates/status.js");

/// What is asked for beside the numbers.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Where the page is: `stats_uri`.
    pub uri: &'a str,
    /// How often a page without script loads itself anew; never if nothing.
    pub refresh: Option<Duration>,
    /// Stands in the answer's Content-Security-Policy.
    pub nonce: &'a str,
    /// What orders for servers bear; nothing where none are taken.
    pub token: Option<&'a str>,
}

/// The whole page, or what changes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The page.
    Page,
    /// What its script replaces.
    Inside,
}

#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    inside: Inside<'a>,
    style: &'static str,
    script: &'static str,
}

#[derive(Template)]
#[template(path = "status_inside.html")]
struct Inside<'a> {
    all: &'a Snapshot,
    view: View<'a>,
}

/// The page, or its inside, as seen at `now`.
pub fn html(stats: &Stats, now: SystemTime, view: View<'_>, shown: Shown) -> String {
    let all = Snapshot::take(stats, now);
    let inside = Inside { all: &all, view };
    let written = match shown {
        Shown::Inside => inside.render(),
        Shown::Page => Page {
            inside,
            style: STYLE,
            script: SCRIPT,
        }
        .render(),
    };
    // Writing to a `String` does not fail, and no value of the page refuses to be written.
    written.unwrap_or_default()
}

impl Inside<'_> {
    /// The page's title: how much is wrong.
    fn title(&self) -> String {
        match self.all.problems.len() {
            0 => "haflux".to_owned(),
            1 => "(1 problem) haflux".to_owned(),
            several => format!("({several} problems) haflux"),
        }
    }

    fn picture<'b>(&self, relay: &'b RelayView) -> Picture<'b> {
        Picture::of(relay)
    }

    /// How bad it is that records are on one node only. A moment's difference between nodes that follow is none.
    fn spread_mood(&self) -> &'static str {
        let replicas = || self.all.relays.iter().flat_map(|relay| &relay.replicas);
        let is_away = |r: &ReplicaView| matches!(r.status, Status::Down | Status::Diverged);
        let spread = self.all.spread;
        if spread.at_least || (!spread.is_safe() && replicas().any(is_away)) {
            "bad"
        } else if replicas().any(|replica| replica.status != Status::Fresh) && !spread.is_safe() {
            "warn"
        } else {
            "good"
        }
    }

    /// Replicas that cannot be reached.
    fn down(&self, relay: &RelayView) -> usize {
        let down = |replica: &&ReplicaView| replica.status == Status::Down;
        relay.replicas.iter().filter(down).count()
    }

    /// When the last replica that catches up is fresh; nothing if none does or that cannot be said of one.
    fn catch_up(&self, relay: &RelayView) -> Option<Span> {
        let behind = relay
            .replicas
            .iter()
            .filter(|replica| replica.status == Status::Lagging && !replica.lag.is_zero());
        let times: Option<Vec<Duration>> = behind
            .map(|replica| Some(replica.lag.catch_up?.0))
            .collect();
        times?.into_iter().max().map(Span)
    }

    /// How long the slow ones of the last acknowledgements took.
    fn slow_acknowledgements(&self, relay: &RelayView) -> String {
        let last = &relay.acknowledgement_last;
        match (last.p99, last.max) {
            (Some(p99), Some(max)) => format!("99 of 100 within {p99}, the slowest {max}"),
            _ => String::new(),
        }
    }

    /// Records that were set aside for any replica.
    fn set_aside(&self, relay: &RelayView) -> Count {
        Count(
            relay
                .replicas
                .iter()
                .map(|replica| replica.set_aside.0)
                .sum(),
        )
    }
}
