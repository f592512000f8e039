//! Requests without an answer, which may still be carried out (rule W7): a place and a time for each lane.
//!
//! A request that got no answer may land after newer ones of its lane. That is mended by sending the lane again, in order, from
//! right before the request, once the request can land no more. Until then the lane's data at this replica may change behind
//! haflux's back, so the replica serves no reads of it. Other lanes have no part in it.
//!
//! A request can land for `rewind` of the time in which its node works. A node that stands still holds the request back for as long
//! as it does, so only time counts that lies between two answers of the node, and of each such stretch a part at most. What got no
//! answer while an earlier request is in doubt begins a second doubt of its lane, so a node that now and then leaves a request
//! without an answer is not kept at the first of them for ever.
//!
//! haflux does not know after a crash what it had under way. So the first record that is read of each lane, up to the head of then,
//! puts its lane in doubt.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::journal::Sequence;
use crate::relay::record::removal::Removal;
use crate::relay::replicator::rewind::Checkpoint;

/// Lanes in doubt at once. A lane that finds no room sends nothing until there is some.
const MOST_LANES: usize = 4096;

/// `rewind` divided by this: how often a node is to be heard of while something is in doubt.
const STEPS: u32 = 8;

/// What may still be carried out at one replica.
#[derive(Debug)]
pub(super) struct Doubts {
    rewind: Duration,
    lanes: HashMap<String, Lane>,
    /// What the previous run of haflux may have had under way.
    before_start: Option<BeforeStart>,
    /// For how long the node has worked.
    worked: Duration,
    /// When the node answered last, unless the way to it was interrupted since.
    heard: Option<Instant>,
    /// The earliest place of all.
    oldest: Option<Checkpoint>,
    /// When the first one is over, in time that the node works.
    next: Option<Duration>,
}

/// A lane in doubt.
#[derive(Debug)]
struct Lane {
    first: Doubt,
    /// What got no answer after that, as one.
    later: Option<Doubt>,
}

/// Requests that may still be carried out.
#[derive(Debug, Clone)]
struct Doubt {
    /// Right before them.
    from: Checkpoint,
    /// When they can land no more, in time that the node works.
    until: Duration,
}

#[derive(Debug)]
struct BeforeStart {
    /// The journal's newest record at the start.
    head: Sequence,
    until: Duration,
}

impl Doubts {
    /// Nothing is in doubt; what will be can land for `rewind`.
    pub(super) fn new(rewind: Duration) -> Doubts {
        Doubts {
            rewind,
            lanes: HashMap::new(),
            before_start: None,
            worked: Duration::ZERO,
            heard: None,
            oldest: None,
            next: None,
        }
    }

    /// The previous run of haflux ended without a word; the journal's newest record was `head` then.
    pub(super) fn begin_after_crash(&mut self, now: Instant, head: Sequence) {
        self.before_start = Some(BeforeStart {
            head,
            until: self.over_at(now),
        });
        self.review();
    }

    /// A record of this lane is read for the first time in this run. Returns whether that puts the lane in doubt.
    pub(super) fn read(
        &mut self,
        lane: &str,
        sequence: Sequence,
        before: impl FnOnce() -> Checkpoint,
    ) -> bool {
        match &self.before_start {
            Some(start) if sequence <= start.head && !self.lanes.contains_key(lane) => {
                let until = start.until;
                let from = before();
                self.add(lane, Doubt { from, until });
                true
            }
            _ => false,
        }
    }

    /// A request of this lane that followed this place got no answer.
    pub(super) fn doubt(&mut self, now: Instant, lane: &str, from: Checkpoint) {
        let until = self.over_at(now);
        self.add(lane, Doubt { from, until });
    }

    fn add(&mut self, lane: &str, doubt: Doubt) {
        let Some(known) = self.lanes.get_mut(lane) else {
            let first = doubt;
            self.lanes
                .insert(lane.to_owned(), Lane { first, later: None });
            self.review();
            return;
        };
        if doubt.from.position.sequence < known.first.from.position.sequence {
            known.first.from = doubt.from.clone();
        }
        match &mut known.later {
            Some(later) => later.add(doubt),
            None => known.later = Some(doubt),
        }
        self.review();
    }

    /// The node answered.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(before) = self.heard.replace(now) {
            self.worked += now
                .saturating_duration_since(before)
                .min(self.longest_stretch());
        }
        let worked = self.worked;
        if self
            .before_start
            .take_if(|start| start.until <= worked)
            .is_some()
        {
            self.review();
        }
    }

    /// The way to the node was interrupted, so the node may be standing still.
    pub(super) fn interrupted(&mut self) {
        self.heard = None;
    }

    /// When what gets no answer now can land no more.
    fn over_at(&self, now: Instant) -> Duration {
        let since = self
            .heard
            .map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard));
        self.worked + since.min(self.longest_stretch()) + self.rewind
    }

    /// So much counts of the time between two answers.
    fn longest_stretch(&self) -> Duration {
        2 * self.step()
    }

    /// The time between two hearings.
    pub(super) fn step(&self) -> Duration {
        (self.rewind / STEPS).max(Duration::from_millis(10))
    }

    /// When the node should be heard of again, so that the time of what is in doubt goes on.
    pub(super) fn next_hearing(&self) -> Option<Instant> {
        let left = self.next?.saturating_sub(self.worked);
        Some(self.heard? + self.step().min(left))
    }

    /// Whether the lane's first doubt is over, so that the lane is to be sent again.
    pub(super) fn is_over(&self, lane: &str) -> bool {
        self.any_is_over()
            && self
                .lanes
                .get(lane)
                .is_some_and(|lane| lane.first.until <= self.worked)
    }

    fn any_is_over(&self) -> bool {
        self.next.is_some_and(|next| next <= self.worked)
    }

    /// Takes out what is over, of those lanes for which `is_idle` holds: the place from which each of them is to be sent again.
    pub(super) fn settle(&mut self, is_idle: impl Fn(&str) -> bool) -> Vec<(String, Checkpoint)> {
        if !self.any_is_over() {
            return Vec::new();
        }
        let mut settled = Vec::new();
        let worked = self.worked;
        self.lanes.retain(|name, lane| {
            if lane.first.until > worked || !is_idle(name) {
                return true;
            }
            settled.push((name.clone(), lane.first.from.clone()));
            match lane.later.take() {
                Some(later) => {
                    lane.first = later;
                    true
                }
                None => false,
            }
        });
        self.review();
        settled
    }

    /// The process that had the requests is gone: none of them can land any more.
    pub(super) fn forget(&mut self) {
        self.lanes.clear();
        self.before_start = None;
        self.review();
    }

    /// Points that may be removed prove nothing.
    pub(super) fn forget_identity_points(&mut self, removal: &Removal) {
        for lane in self.lanes.values_mut() {
            lane.first.from.forget_identity_point(removal);
            if let Some(later) = &mut lane.later {
                later.from.forget_identity_point(removal);
            }
        }
        self.review();
    }

    /// The lanes in doubt.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &str> {
        self.lanes.keys().map(String::as_str)
    }

    /// Whether nothing is in doubt.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.before_start.is_none()
    }

    /// Whether this lane may be put in doubt.
    pub(super) fn has_room_for(&self, lane: &str) -> bool {
        self.lanes.len() < MOST_LANES || self.lanes.contains_key(lane)
    }

    /// Whether a lane that is read for the first time may be put in doubt.
    pub(super) fn has_room(&self) -> bool {
        self.before_start.is_none() || self.lanes.len() < MOST_LANES
    }

    /// The earliest place from which a lane is to be sent again.
    pub(super) fn oldest(&self) -> Option<&Checkpoint> {
        self.oldest.as_ref()
    }

    fn review(&mut self) {
        let firsts = || self.lanes.values().map(|lane| &lane.first);
        let oldest = firsts()
            .map(|doubt| &doubt.from)
            .min_by_key(|from| from.position.sequence)
            .cloned();
        let start = self.before_start.as_ref().map(|start| start.until);
        let next = firsts().map(|doubt| doubt.until).chain(start).min();
        self.oldest = oldest;
        self.next = next;
    }
}

impl Doubt {
    /// What got no answer later is one with it.
    fn add(&mut self, other: Doubt) {
        if other.from.position.sequence < self.from.position.sequence {
            self.from = other.from;
        }
        self.until = self.until.max(other.until);
    }
}

#[cfg(test)]
mod tests;
