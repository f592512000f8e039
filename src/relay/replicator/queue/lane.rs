//! A lane of one replica: the records of one database that wait for this replica, in order, and what may travel together.
//!
//! Rule W3, joining never mixes: only line protocol with an equal destination is joined, and only bodies that end closed; a
//! newline stands between them. Where neighbours differ in precision only, their timestamps are sent in nanoseconds: the same
//! points; a record that travels alone goes as it came. A joined request that was refused is sent again in pieces, and a piece that is refused in
//! smaller ones, until each record that is at fault travels alone: one bad write among hundreds costs its neighbours a few
//! requests, not one each. A record that the replica finds too large goes in [`Parts`], and a line that it finds too large goes
//! in gzip: the limit of InfluxDB counts the bytes that arrive.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::collections::vec_deque::Drain;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::influx::line_protocol::in_nanoseconds;
use crate::influx::{Credentials, Ending, Precision};
use crate::journal::Sequence;

use crate::relay::record::write::{Destination, Form, WriteRecord};
use crate::relay::replica::backoff::Backoff;
use crate::relay::replica::request::Pieces;
use crate::relay::replicator::queue::split::Parts;
use crate::relay::verdict::pending::Report;

/// Pieces that a refused joined request is sent again in. With two, a lane in which every record is refused would need twice
/// as many requests as records; with eight, hardly more than records, and the search for a single one is about as quick.
const PIECES: usize = 8;

/// The same, for a request that ended without a verdict only after `timeout`: each round of the search costs as much again.
const PIECES_OF_A_SLOW_ONE: usize = 64;

/// A record on its way to this replica.
#[derive(Debug)]
pub(in crate::relay) struct Queued {
    pub(in crate::relay) sequence: Sequence,
    pub(in crate::relay) record: WriteRecord,
    /// Since when it stands in the lane.
    pub(in crate::relay) since: Instant,
    /// It ended without a verdict before: no neighbour travels with it.
    pub(in crate::relay) is_tried: bool,
    /// It was sent before, and is sent again for a doubt.
    pub(in crate::relay) is_again: bool,
}

/// How a joined request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum Failure {
    /// An answer, or the end of the connection.
    Quick,
    /// Nothing at all, for as long as a request may take.
    Slow,
}

/// A joined request that was refused.
#[derive(Debug)]
struct Suspect {
    /// Its last record.
    until: Sequence,
    /// Up to there, most records of a request.
    most: usize,
}

/// One database's queue.
#[derive(Debug)]
pub(in crate::relay) struct Lane {
    queue: VecDeque<Queued>,
    /// Records of the request under way; 0 when there is none.
    in_flight: usize,
    /// Bytes of the body of the request that went out last.
    sent: usize,
    /// The first record, if it goes in pieces.
    parts: Option<Parts>,
    /// The same bytes as the first record, or as its piece that is next, in gzip: the replica takes no more plain ones at once.
    packed: Option<Bytes>,
    /// Joined requests that were refused, each inside the one before it.
    suspects: Vec<Suspect>,
    /// Not before this moment: the lane's first record is held.
    not_before: Option<Instant>,
    /// Since when its first record is held.
    held_since: Option<Instant>,
    backoff: Backoff,
}

impl Lane {
    pub(in crate::relay) fn new(backoff: Backoff) -> Lane {
        Lane {
            queue: VecDeque::new(),
            in_flight: 0,
            sent: 0,
            parts: None,
            packed: None,
            suspects: Vec::new(),
            not_before: None,
            held_since: None,
            backoff,
        }
    }

    pub(in crate::relay) fn push(&mut self, queued: Queued) {
        self.queue.push_back(queued);
    }

    pub(in crate::relay) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// For how long its oldest record has been waiting for its verdict.
    pub(in crate::relay) fn waits(&self, now: Instant) -> Duration {
        let oldest = self.queue.front();
        oldest.map_or(Duration::ZERO, |oldest| {
            now.saturating_duration_since(oldest.since)
        })
    }

    /// How many records stand in it.
    pub(in crate::relay) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many of them are in the request under way.
    pub(in crate::relay) fn count_under_way(&self) -> usize {
        self.in_flight
    }

    /// Whether its first record is tried again and again: the replica does not take it as things are, or gives no verdict.
    pub(in crate::relay) fn is_held(&self) -> bool {
        self.held_since.is_some() || self.queue.front().is_some_and(|first| first.is_tried)
    }

    /// When the lane can send again: `None` if it has nothing to send or is sending.
    pub(in crate::relay) fn ready_at(&self, now: Instant) -> Option<Instant> {
        if self.in_flight > 0 || self.queue.is_empty() {
            return None;
        }
        Some(self.not_before.map_or(now, |moment| moment.max(now)))
    }

    /// Takes the next request out: where it goes, and the pieces of all joined bodies. The records stay in the queue
    /// until [`Lane::settled`]. Joined bodies are kept within `max_batch`, and everything that can be cut within `largest`.
    pub(in crate::relay) fn start(
        &mut self,
        max_batch: usize,
        largest: usize,
    ) -> Option<(Cow<'_, Destination>, Pieces)> {
        let first = self.queue.front()?;
        if self.parts.is_none() && first.record.body.len() > largest {
            self.parts = Parts::of(&first.record, largest);
        }
        let mut precision = first.record.destination.precision;
        let mut body = Pieces::default();
        self.in_flight = match &self.parts {
            _ if self.packed.is_some() => {
                body.push(self.packed.clone().unwrap_or_default());
                1
            }
            Some(parts) => {
                body.push(parts.next());
                1
            }
            None => {
                let bodies = self.batch(max_batch.min(largest), &mut precision);
                let count = bodies.len();
                body = joined(bodies);
                count
            }
        };
        self.sent = body.length();
        self.not_before = None;
        let destination = &self.queue.front()?.record.destination;
        let destination = match destination.precision == precision {
            true => Cow::Borrowed(destination),
            false => Cow::Owned(Destination {
                precision,
                ..destination.clone()
            }),
        };
        Some((destination, body))
    }

    /// The bodies of the next request, one a record, with timestamps in `precision`, which is the first one's and becomes the
    /// whole request's.
    fn batch(&mut self, max_batch: usize, precision: &mut Precision) -> Vec<Bytes> {
        let count = self.batch_length(max_batch);
        let unit = *precision;
        let alike = self.queue.iter().take(count);
        let alike = alike
            .take_while(|queued| queued.record.destination.precision == unit)
            .count();
        if alike < count {
            let mut room = max_batch;
            let records = self.queue.iter().take(count);
            let bodies: Vec<Bytes> = records
                .map_while(|queued| {
                    let body = nanoseconds(&queued.record)?;
                    room = room.checked_sub(body.len() + 1)?;
                    Some(body)
                })
                .collect();
            if bodies.len() > alike {
                *precision = Precision::Nanoseconds;
                return bodies;
            }
        }
        let records = self.queue.iter().take(alike);
        records.map(|queued| queued.record.body.clone()).collect()
    }

    fn batch_length(&mut self, max_batch: usize) -> usize {
        let Some(first) = self.queue.front() else {
            return 0;
        };
        if !may_be_joined(first) {
            return 1;
        }
        while self
            .suspects
            .pop_if(|suspect| suspect.until < first.sequence)
            .is_some()
        {}
        let (until, most) = match self.suspects.last() {
            Some(suspect) => (Some(suspect.until), suspect.most),
            None => (None, usize::MAX),
        };
        let mut bytes = 0_usize;
        let joined = self
            .queue
            .iter()
            .take(most)
            .take_while(|queued| {
                if until.is_some_and(|until| queued.sequence > until) {
                    return false;
                }
                bytes = bytes.saturating_add(queued.record.body.len() + 1);
                bytes <= max_batch
                    && may_be_joined(queued)
                    && queued
                        .record
                        .destination
                        .may_join(&first.record.destination)
            })
            .count();
        joined.max(1)
    }

    /// The sequences of the request under way, in order.
    pub(in crate::relay) fn under_way(&self) -> Vec<Sequence> {
        self.queue
            .iter()
            .take(self.in_flight)
            .map(|queued| queued.sequence)
            .collect()
    }

    /// The newest record of the request under way.
    pub(in crate::relay) fn last_under_way(&self) -> Option<Sequence> {
        let last = self.queue.get(self.in_flight.checked_sub(1)?)?;
        Some(last.sequence)
    }

    /// The record under way, if it is alone.
    pub(in crate::relay) fn alone_under_way(&self) -> Option<Sequence> {
        (self.in_flight == 1).then(|| self.last_under_way())?
    }

    /// The oldest record behind the first `count`.
    pub(in crate::relay) fn oldest_after(&self, count: usize) -> Option<Sequence> {
        self.queue.get(count).map(|queued| queued.sequence)
    }

    /// A record that waits or is under way.
    pub(in crate::relay) fn record(&self, sequence: Sequence) -> Option<&WriteRecord> {
        let position = self
            .queue
            .binary_search_by_key(&sequence, |queued| queued.sequence);
        let queued = self.queue.get(position.ok()?)?;
        Some(&queued.record)
    }

    /// Where the lane's next request goes, and how many bytes its first record has.
    pub(in crate::relay) fn next(&self) -> Option<(&Destination, usize)> {
        let record = &self.queue.front()?.record;
        Some((&record.destination, record.body.len()))
    }

    /// Takes a record out that is not under way.
    pub(in crate::relay) fn take(&mut self, sequence: Sequence) -> Option<Queued> {
        let position = self
            .queue
            .binary_search_by_key(&sequence, |queued| queued.sequence);
        let position = position.ok()?;
        if position < self.in_flight {
            return None;
        }
        if position == 0 {
            self.parts = None;
            self.packed = None;
        }
        self.queue.remove(position)
    }

    /// Puts a record back in its place.
    pub(in crate::relay) fn put_back(&mut self, queued: Queued) {
        let place = self
            .queue
            .partition_point(|known| known.sequence < queued.sequence);
        self.queue.insert(place, queued);
    }

    /// The first `count` records of the request under way have their verdict, and are handed over; the request is over.
    pub(in crate::relay) fn settled(&mut self, count: usize) -> Drain<'_, Queued> {
        if count > 0 {
            self.parts = None;
            self.packed = None;
            self.held_since = None;
            self.backoff.reset();
        }
        self.in_flight = 0;
        self.queue.drain(..count.min(self.queue.len()))
    }

    /// Whether a request is under way.
    pub(in crate::relay) fn is_under_way(&self) -> bool {
        self.in_flight > 0
    }

    /// The first record of the request under way.
    pub(in crate::relay) fn first_under_way(&self) -> Option<Sequence> {
        let first = self.queue.front().filter(|_| self.is_under_way())?;
        Some(first.sequence)
    }

    /// Whether the request under way is one of Prometheus.
    pub(in crate::relay) fn is_of_prometheus(&self) -> bool {
        let first = self.queue.front().filter(|_| self.is_under_way());
        first.is_some_and(|first| first.record.destination.form == Form::Prometheus)
    }

    /// Everything that stands in the lane comes once more, from further back.
    pub(in crate::relay) fn begin_again(&mut self) -> Drain<'_, Queued> {
        self.in_flight = 0;
        self.parts = None;
        self.packed = None;
        self.suspects.clear();
        self.held_since = None;
        self.queue.drain(..)
    }

    /// The request under way came to nothing and will be sent again.
    pub(in crate::relay) fn failed(&mut self) {
        self.in_flight = 0;
    }

    /// Bytes of the body that went out last.
    pub(in crate::relay) fn sent(&self) -> usize {
        self.sent
    }

    /// The request under way was too large for the replica, which takes at most `largest` bytes, less than it was. Whether it
    /// goes again in smaller ones; if not, what was sent cannot be cut.
    pub(in crate::relay) fn cut(&mut self, largest: usize) -> bool {
        if self.in_flight == 1 {
            let is_cut = match (&mut self.parts, self.queue.front()) {
                (Some(parts), _) => parts.cut(largest),
                (parts, Some(first)) => {
                    *parts = Parts::of(&first.record, largest);
                    parts.is_some()
                }
                (None, None) => false,
            };
            if !is_cut {
                return false;
            }
        }
        self.in_flight = 0;
        true
    }

    /// Whether the request that goes out next, or is under way, is gzipped.
    pub(in crate::relay) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// What was sent and cannot be cut, with the record's sequence, if it may go again in gzip: once, and as line protocol only,
    /// because Prometheus' bodies are compressed as they come.
    pub(in crate::relay) fn to_pack(&self) -> Option<(Sequence, Bytes)> {
        let first = self.queue.front()?;
        if self.in_flight != 1
            || self.is_packed()
            || first.record.destination.form != Form::LineProtocol
        {
            return None;
        }
        let plain = match &self.parts {
            Some(parts) => parts.next(),
            None => first.record.body.clone(),
        };
        Some((first.sequence, plain))
    }

    /// What was too large goes again like this.
    pub(in crate::relay) fn pack(&mut self, packed: Bytes) {
        self.packed = Some(packed);
        self.in_flight = 0;
    }

    /// The verdict on the request under way. Returns the one on its records; `None` if they are one, in pieces, and others of
    /// its pieces wait.
    pub(in crate::relay) fn piece_judged(&mut self, report: Report) -> Option<Report> {
        self.packed = None;
        let Some(parts) = &mut self.parts else {
            return Some(report);
        };
        let whole = parts.judged(report);
        if whole.is_none() {
            self.in_flight = 0;
            self.held_since = None;
            self.backoff.reset();
        }
        whole
    }

    /// The joined request under way was refused, or ended without a verdict: its records travel in pieces.
    pub(in crate::relay) fn separate(&mut self, failure: Failure) {
        let pieces = match failure {
            Failure::Quick => PIECES,
            Failure::Slow => PIECES_OF_A_SLOW_ONE,
        };
        if let Some(last) = self.queue.get(self.in_flight.saturating_sub(1)) {
            self.suspects.push(Suspect {
                until: last.sequence,
                most: self.in_flight.div_ceil(pieces),
            });
        }
        self.in_flight = 0;
    }

    /// The record under way, which is alone, ended without a verdict: it stays alone.
    pub(in crate::relay) fn keep_alone(&mut self) {
        if let Some(first) = self.queue.front_mut() {
            first.is_tried = true;
        }
    }

    /// The request under way ended without a verdict: not at once again. Returns whether this wait is longer than the last.
    pub(in crate::relay) fn wait(&mut self, now: Instant) -> bool {
        let grows = self.backoff.grows();
        self.in_flight = 0;
        self.not_before = Some(now + self.backoff.next());
        grows
    }

    /// Something of the lane got a verdict.
    pub(in crate::relay) fn forget_waits(&mut self) {
        self.backoff.reset();
    }

    /// The first record stays where it is and is tried again later. Returns since when it has been held.
    pub(in crate::relay) fn hold(&mut self, now: Instant) -> Instant {
        self.in_flight = 0;
        self.not_before = Some(now + self.backoff.next());
        *self.held_since.get_or_insert(now)
    }
}

/// Bodies one after the other, a newline between them.
fn joined(bodies: Vec<Bytes>) -> Pieces {
    let mut pieces = Pieces::default();
    let last = bodies.len().saturating_sub(1);
    for (position, body) in bodies.into_iter().enumerate() {
        let needs_newline = position < last && !body.is_empty() && !body.ends_with(b"\n");
        pieces.push(body);
        if needs_newline {
            pieces.push(Bytes::from_static(b"\n"));
        }
    }
    pieces
}

/// The record's body with timestamps in nanoseconds, if that can be.
fn nanoseconds(record: &WriteRecord) -> Option<Bytes> {
    match record.destination.precision {
        Precision::Nanoseconds => Some(record.body.clone()),
        precision => in_nanoseconds(&record.body, precision),
    }
}

fn may_be_joined(queued: &Queued) -> bool {
    let Queued {
        record, is_tried, ..
    } = queued;
    record.destination.form == Form::LineProtocol && record.ending == Ending::Closed && !is_tried
}

/// What a queued record counts for in a replicator's window: its body, its destination (once as it was read, once as it is
/// used), and its own bookkeeping.
pub(in crate::relay) fn weight(record: &WriteRecord) -> usize {
    const BOOKKEEPING: usize = 256;
    let destination = &record.destination;
    let credentials = match &destination.credentials {
        Credentials::None => 0,
        Credentials::Parameters { user, password } => user.len() + password.len(),
        Credentials::Authorization(value) => value.len(),
    };
    let names = destination.database.len() + destination.retention_policy.len();
    record.body.len() + 2 * (names + credentials) + BOOKKEEPING
}

#[cfg(test)]
pub(in crate::relay::replicator::queue) mod tests;
