//! Lanes that are read again: what a lane was sent is sent to it once more, in order, while all other lanes go on.
//!
//! A lane whose [doubt](super::doubts) is over is sent again from the doubt's place. A reader of its own goes through the journal from
//! there, and takes the records of its lanes only; the replicator's reader passes these lanes by until the other one has come as
//! far. A statement that stands in between was carried out already, or waits until the lanes have been sent again; it is not sent
//! again for them.
//!
//! # Invariants
//!
//! - A lane begins to be read again when nothing of it is under way, so that nothing old can arrive behind what is sent again.
//! - At each moment one reader puts records into a lane: so a lane is always in the journal's order.
//! - The saved cursor stands before what is read again and has no verdict. It moves on with the verdicts, so that a crash in the
//!   middle does not begin at the doubt's place again.
//! - What waits behind a statement was sent to nobody: it is not read again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use log::info;

use super::Replicator;
use crate::journal::{Position, Reader, Record, Sequence};
use crate::relay::record::change::Change;
use crate::relay::record::removal::Removal;
use crate::relay::record::write::WriteRecord;
use crate::relay::replicator::queue::lanes::Lanes;
use crate::relay::replicator::rewind::Checkpoint;
use crate::shown;

/// Readers at once. Lanes that come when there are more wait for one of them.
const MOST: usize = 4;

/// Lanes on their way from one place to where the replicator stands.
pub(super) struct Reread {
    /// Right before everything that is read again and has no verdict.
    from: Checkpoint,
    /// The places of the records that are read again behind `from`.
    passed: VecDeque<Position>,
    /// When `from` moved last.
    moved: Instant,
    /// Those that have not been sent everything.
    lanes: BTreeSet<String>,
    reader: Reader,
    /// The newest record among what is read again, once that is known: then the replicator reads what comes behind it.
    until: Option<Sequence>,
}

impl Replicator {
    /// Sends lanes again whose doubt is over.
    pub(super) fn begin_rereads(&mut self) {
        if !self.is_linked() || self.going_back.is_some() || self.rereads.len() >= MOST {
            return;
        }
        let (lanes, rereads) = (&self.lanes, &self.rereads);
        let is_idle = |name: &str| {
            lanes.get(name).is_none_or(|lane| !lane.is_under_way())
                && !rereads.iter().any(|reread| reread.lanes.contains(name))
        };
        let read = self.tracker.newest();
        let settled = self.doubts.settle(is_idle);
        if settled.is_empty() {
            return;
        }
        self.is_doubt_changed = true;
        // What was set back further already, and has not come there again, is sent in any case.
        let settled = settled
            .into_iter()
            .filter(|(_, from)| from.position.sequence < read);
        let (lanes, places): (BTreeSet<String>, Vec<Checkpoint>) = settled.unzip();
        let from = places.into_iter().min_by_key(|from| from.position.sequence);
        if let Some(from) = from {
            self.reread(lanes, from);
        }
    }

    fn reread(&mut self, lanes: BTreeSet<String>, from: Checkpoint) {
        info!(
            "replica {}: what had no answer in {} is sent again, from record {} on",
            self.replica.stats.name,
            shown(&lanes),
            from.position.sequence.next()
        );
        for name in &lanes {
            if let Some(lane) = self.lanes.get_mut(name) {
                for queued in lane.begin_again() {
                    self.window.remove_queued(&queued);
                }
            }
        }
        self.rereads.push(Reread {
            reader: self.journal.reader(from.position.sequence),
            from,
            passed: VecDeque::new(),
            moved: Instant::now(),
            lanes,
            until: None,
        });
    }

    /// Reads what is to be sent again; says when there is more to read.
    pub(super) async fn read_again(&mut self) -> Option<Instant> {
        let mut more = None;
        for number in 0..self.rereads.len() {
            let now = Instant::now();
            if self.blocked || !self.window.has_room_again() {
                break;
            }
            if let Some(moment) = self.read_not_before.filter(|moment| *moment > now) {
                return Some(moment);
            }
            let newest = self.tracker.newest();
            let Some(reread) = self.rereads.get_mut(number) else {
                break;
            };
            if reread.until.is_some() {
                continue;
            }
            if reread.reader.position() >= newest {
                reread.until = Some(newest);
                continue;
            }
            match reread.reader.read(self.pace.max_batch).await {
                Ok(records) if records.is_empty() => reread.until = Some(newest),
                Ok(records) => self.take_again(number, records, newest),
                Err(error) => self.cannot_read(error),
            }
            more = Some(now);
        }
        self.end_rereads();
        more
    }

    /// Takes what of these records is read again; what is newer than `newest` the replicator has not read yet.
    fn take_again(&mut self, number: usize, records: Vec<Record>, newest: Sequence) {
        for record in records {
            let sequence = record.sequence;
            let Some(reread) = self.rereads.get_mut(number) else {
                return;
            };
            if sequence > newest {
                reread.until = Some(newest);
                return;
            }
            let position = Position {
                sequence,
                offset: record.offset,
            };
            let Ok(Change::Write(write)) = Change::decode(record.kind, record.payload) else {
                continue;
            };
            if !reread.lanes.contains(&write.destination.database) {
                continue;
            }
            reread.passed.push_back(position);
            self.enqueue_again(sequence, write);
        }
    }

    fn enqueue_again(&mut self, sequence: Sequence, write: WriteRecord) {
        if self.attempts.is_set_aside(sequence) {
            self.pass_over(sequence);
        } else if !self.barriers.hold(sequence, &write.destination.database) {
            self.enqueue_in_lane(sequence, write, true);
        }
    }

    /// Whether the replicator's own reader passes this lane by.
    pub(super) fn is_read_again(&self, lane: &str) -> bool {
        let mut reading = self.rereads.iter().filter(|reread| reread.until.is_none());
        reading.any(|reread| reread.lanes.contains(lane))
    }

    /// Lanes that have been sent everything again go on as all others.
    fn end_rereads(&mut self) {
        let mut ended = Vec::new();
        let (now, pace) = (Instant::now(), self.rewind.pace());
        for reread in &mut self.rereads {
            if now.saturating_duration_since(reread.moved) >= pace {
                reread.moved = now;
                reread.advance(&self.lanes);
            }
            let Some(until) = reread.until else {
                continue;
            };
            let lanes = &self.lanes;
            ended.extend(reread.lanes.extract_if(.., |name| {
                let oldest = lanes.get(name).and_then(|lane| lane.oldest_after(0));
                oldest.is_none_or(|oldest| oldest > until)
            }));
        }
        if ended.is_empty() {
            return;
        }
        self.rereads.retain(|reread| !reread.lanes.is_empty());
        self.is_doubt_changed = true;
        for name in ended {
            self.show_judged(&name, 0);
            self.lanes.end_if_empty(&name);
        }
    }

    /// All lanes are read again by the replicator itself, from a place before these.
    pub(super) fn forget_rereads(&mut self) {
        self.is_doubt_changed |= !self.rereads.is_empty();
        self.rereads.clear();
    }

    /// The places before what is read again.
    pub(super) fn reread_from(&self) -> impl Iterator<Item = &Checkpoint> {
        self.rereads.iter().map(|reread| &reread.from)
    }

    /// The place before what is read again of this lane.
    pub(super) fn lane_reread_from(&self, lane: &str) -> Option<&Checkpoint> {
        let mut rereads = self.rereads.iter();
        let reread = rereads.find(|reread| reread.lanes.contains(lane))?;
        Some(&reread.from)
    }

    /// The lanes that are read again.
    pub(super) fn reread_lanes(&self) -> impl Iterator<Item = &str> {
        let lanes = self.rereads.iter().flat_map(|reread| &reread.lanes);
        lanes.map(String::as_str)
    }
}

impl Reread {
    /// Moves its place on to the newest record that was passed with all before it having their verdict.
    fn advance(&mut self, lanes: &Lanes) {
        let oldest = |name: &String| lanes.get(name)?.oldest_after(0);
        let oldest = self.lanes.iter().filter_map(oldest).min();
        let is_judged =
            |position: &mut Position| oldest.is_none_or(|oldest| position.sequence < oldest);
        while let Some(position) = self.passed.pop_front_if(is_judged) {
            self.from.position = position;
        }
    }

    /// A point that may be removed proves nothing.
    pub(super) fn forget_identity_point(&mut self, removal: &Removal) {
        self.from.forget_identity_point(removal);
    }
}

/// A few lanes, for a log.
fn shown(lanes: &BTreeSet<String>) -> String {
    match lanes.first() {
        Some(lane) if lanes.len() == 1 => format!("database {:?}", shown::name(lane)),
        _ => format!("{} databases", lanes.len()),
    }
}
