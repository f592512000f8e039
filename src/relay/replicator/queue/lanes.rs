//! All lanes of one replica, and whose turn it is: no lane waits longer than one turn of each of the others.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::journal::Sequence;
use crate::relay::replica::backoff::Backoff;
use crate::relay::replicator::queue::lane::{Lane, Queued};

/// The lanes that have a record without a verdict.
#[derive(Debug)]
pub(in crate::relay::replicator) struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Their names, in the order of their turns.
    order: VecDeque<String>,
    /// Lanes and the records with which they began, until that is told.
    begun: Vec<(String, Sequence)>,
    /// What a lane that begins waits with.
    backoff: Backoff,
}

impl Lanes {
    /// None; one that begins waits with this backoff.
    pub(in crate::relay::replicator) fn new(backoff: Backoff) -> Lanes {
        Lanes {
            lanes: HashMap::new(),
            order: VecDeque::new(),
            begun: Vec::new(),
            backoff,
        }
    }

    /// Puts a record at the end of its lane.
    pub(in crate::relay::replicator) fn push(&mut self, queued: Queued) {
        let name = &queued.record.destination.database;
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.push(queued);
            return;
        }
        let name = name.clone();
        self.begun.push((name.clone(), queued.sequence));
        self.order.push_back(name.clone());
        let mut lane = Lane::new(self.backoff.clone());
        lane.push(queued);
        self.lanes.insert(name, lane);
    }

    /// A record of this lane has no verdict, and stands somewhere else.
    pub(in crate::relay::replicator) fn began_elsewhere(&mut self, name: &str, sequence: Sequence) {
        self.begun.push((name.to_owned(), sequence));
    }

    /// The lanes that began since this was asked last.
    pub(in crate::relay::replicator) fn take_begun(&mut self) -> Vec<(String, Sequence)> {
        std::mem::take(&mut self.begun)
    }

    /// The lane whose turn it is; it stands at the end then.
    pub(in crate::relay::replicator) fn next_turn(&mut self) -> Option<String> {
        let name = self.order.pop_front()?;
        self.order.push_back(name.clone());
        Some(name)
    }

    pub(in crate::relay::replicator) fn get(&self, name: &str) -> Option<&Lane> {
        self.lanes.get(name)
    }

    pub(in crate::relay::replicator) fn get_mut(&mut self, name: &str) -> Option<&mut Lane> {
        self.lanes.get_mut(name)
    }

    pub(in crate::relay::replicator) fn contains(&self, name: &str) -> bool {
        self.lanes.contains_key(name)
    }

    /// How many there are.
    pub(in crate::relay::replicator) fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(in crate::relay::replicator) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(in crate::relay::replicator) fn iter(&self) -> impl Iterator<Item = (&String, &Lane)> {
        self.lanes.iter()
    }

    /// Those whose oldest record has waited longest, the slowest first: at most so many.
    pub(in crate::relay::replicator) fn slowest(
        &self,
        most: usize,
        now: Instant,
    ) -> Vec<(&String, &Lane)> {
        let slowness = |(_, lane): &(&String, &Lane)| Reverse(lane.waits(now));
        let mut lanes: Vec<(&String, &Lane)> = self.lanes.iter().collect();
        if lanes.len() > most {
            lanes.select_nth_unstable_by_key(most, slowness);
            lanes.truncate(most);
        }
        lanes
            .sort_unstable_by(|one, other| (slowness(one), one.0).cmp(&(slowness(other), other.0)));
        lanes
    }

    /// Takes a record out that is not under way.
    pub(in crate::relay::replicator) fn take(&mut self, sequence: Sequence) -> Option<Queued> {
        let mut lanes = self.lanes.values_mut();
        lanes.find_map(|lane| lane.take(sequence))
    }

    /// Ends the lane if nothing stands in it. Returns whether it ended.
    pub(in crate::relay::replicator) fn end_if_empty(&mut self, name: &str) -> bool {
        let is_over = self.lanes.get(name).is_some_and(Lane::is_empty);
        if is_over {
            self.lanes.remove(name);
            self.order.retain(|known| known != name);
        }
        is_over
    }

    /// Ends all lanes.
    pub(in crate::relay::replicator) fn clear(&mut self) {
        self.lanes.clear();
        self.order.clear();
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::relay::record::samples::write_record;
    use crate::relay::replicator::queue::lane::tests::queued;

    fn queued_in(database: &str, sequence: u64) -> Queued {
        let mut record = write_record("m v=1");
        record.destination.database = database.to_owned();
        queued(sequence, record)
    }

    #[test]
    fn lanes_take_turns_and_end_when_nothing_stands_in_them() {
        let pause = Duration::from_secs(1);
        let mut lanes = Lanes::new(Backoff::new(pause, pause));
        for (number, name) in ["a", "b", "a", "c"].into_iter().enumerate() {
            lanes.push(queued_in(name, number as u64));
        }
        let begun: Vec<(String, u64)> = lanes
            .take_begun()
            .into_iter()
            .map(|(name, sequence)| (name, sequence.get()))
            .collect();
        let expected = [("a", 0), ("b", 1), ("c", 3)];
        assert_eq!(
            begun,
            expected.map(|(name, number)| (name.to_owned(), number))
        );
        let mut turns = || lanes.next_turn().expect("a lane");
        assert_eq!([turns(), turns(), turns(), turns()], ["a", "b", "c", "a"]);
        assert!(lanes.take(Sequence::new(1)).is_some());
        assert!(!lanes.end_if_empty("a") && lanes.end_if_empty("b"));
        let mut turns = || lanes.next_turn().expect("a lane");
        assert_eq!([turns(), turns(), turns()], ["c", "a", "c"]);
        lanes.clear();
        assert!(lanes.is_empty() && lanes.next_turn().is_none());
    }

    #[test]
    fn the_slowest_lanes_are_those_whose_oldest_record_has_waited_longest() {
        let pause = Duration::from_secs(1);
        let mut lanes = Lanes::new(Backoff::new(pause, pause));
        let start = Instant::now();
        for (number, (name, seconds)) in [("a", 3), ("b", 1), ("c", 3), ("d", 2), ("d", 0)]
            .into_iter()
            .enumerate()
        {
            let mut queued = queued_in(name, number as u64);
            queued.since = start + Duration::from_secs(seconds);
            lanes.push(queued);
        }
        let names = |most| -> Vec<&str> {
            let now = start + Duration::from_secs(9);
            let slowest = lanes.slowest(most, now);
            slowest.iter().map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!(names(9), ["b", "d", "a", "c"]);
        assert_eq!(names(4), ["b", "d", "a", "c"]);
        assert_eq!(names(2), ["b", "d"]);
        assert!(names(0).is_empty());
    }
}
