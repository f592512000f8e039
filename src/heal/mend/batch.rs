//! One batch: while the relay's gate is closed, its points are read again, and what still differs is ended.
//!
//! Clients wait meanwhile, so a batch that does not end in the gate's time is done again in halves, which find the same what is
//! done. What a `DELETE` took too much is always written again, even if the gate has opened: the source has it, and whatever a
//! client wrote meanwhile the next try takes from the source.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;

use super::held::{held, held_of_all, of_one_measurement};
use super::kept::text_of;
use super::limits::Lifted;
use super::lines::lines_of;
use super::plan::{Change, Held, Span};
use super::strip::{Strip, halves};
use super::{Mend, PAUSE, close_gate};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, Slice, Written, text};
use crate::heal::place::Tags;
use crate::heal::schema::policy_names;
use crate::influx::influxql::{identifier, string};
use crate::relay::GateClosed;

/// How often a node that is away or busy is asked again, and a single point that is not done in time is tried.
pub(super) const TRIES: u32 = 5;

/// Bytes that are written at once.
const MOST_BYTES: usize = 1 << 20;

/// Tag keys that a condition of a `DELETE` takes for something else.
const SPECIAL_KEYS: [&str; 6] = [
    "_name",
    "_measurement",
    "_field",
    "_fieldKey",
    "_tagKey",
    "time",
];

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Done,
    /// The gate has opened, or is about to.
    NotInTime,
}

/// Lines of one measurement.
pub(super) struct Piece {
    pub(super) measurement: String,
    pub(super) lines: Vec<u8>,
}

/// What is to be done to one node for one strip.
struct Task<'batch> {
    strip: &'batch Strip,
    change: Change,
    /// What a `DELETE` takes from the series in other policies: the policy, what the source holds there, and what the node does.
    others: Vec<(Slice, Held, Held)>,
    deletes: Vec<String>,
}

/// What must be known to delete points of a measurement on a node.
#[derive(Default)]
struct Known {
    /// The tag keys of all its series.
    keys: BTreeSet<String>,
    /// The policies that the node or the source has.
    policies: BTreeSet<String>,
}

impl Mend<'_> {
    /// Ends the differences of a batch.
    pub(super) async fn batch(&mut self, batch: Vec<Strip>) -> Result<(), WorkError> {
        // Halves that are to be done, the next one last; each with how often it was tried.
        let mut left = vec![(batch, 0)];
        while let Some((batch, tried)) = left.pop() {
            if self.progress.is_cancelled() {
                return Err(WorkError::Cancelled);
            }
            let points = batch.iter().map(|strip| strip.times.len()).sum::<usize>();
            let points = u64::try_from(points).unwrap_or(u64::MAX);
            self.progress.step(format!("mending {points} points"));
            let attempt = match self.attempt(&batch).await {
                Err(WorkError::Node(error)) if error.may_pass() && tried < TRIES => {
                    self.progress.note(format!("asked again: {error}"));
                    tokio::time::sleep(PAUSE * (tried + 1)).await;
                    left.push((batch, tried + 1));
                    continue;
                }
                attempt => attempt?,
            };
            if attempt == Attempt::Done {
                self.progress.points(points, 0);
                continue;
            }
            match halves(batch.clone()) {
                Some([first, second]) => left.extend([(second, 0), (first, 0)]),
                None if tried < TRIES => {
                    tokio::time::sleep(PAUSE).await;
                    left.push((batch, tried + 1));
                }
                None => self.tally.give_up(points),
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, batch: &[Strip]) -> Result<Attempt, WorkError> {
        let closed = close_gate(self.relay, self.names, self.progress).await?;
        let began = Instant::now();
        let attempt = self.under_gate(batch, &closed).await;
        drop(closed);
        // So clients wait for half of the time at most.
        tokio::time::sleep(began.elapsed()).await;
        attempt
    }

    async fn under_gate(
        &mut self,
        batch: &[Strip],
        closed: &GateClosed<'_>,
    ) -> Result<Attempt, WorkError> {
        let planned = tokio::time::timeout(closed.left(), self.plan(batch)).await;
        let Ok(tasks) = planned else {
            return Ok(Attempt::NotInTime);
        };
        let (tasks, contradictory) = tasks?;
        if self.source.is_some() && !tasks.is_empty() {
            let tasks = tasks.values().flatten();
            let databases = tasks.map(|task| task.strip.slice.database.clone());
            let databases: BTreeSet<String> = databases.collect();
            // What a union adds contradicts nothing that the journal may send again.
            let noted = self.relay.will_change(closed, self.names, &databases).await;
            if noted.is_err() {
                return Ok(Attempt::NotInTime);
            }
        }
        for (node, tasks) in tasks {
            if closed.left() < self.reserve() {
                return Ok(Attempt::NotInTime);
            }
            if self.carry_out(node, tasks, closed).await? == Attempt::NotInTime {
                return Ok(Attempt::NotInTime);
            }
        }
        if !closed.is_closed() {
            return Ok(Attempt::NotInTime);
        }
        self.tally.contradict(contradictory);
        Ok(Attempt::Done)
    }

    /// Reads the points again: what is to be done, node by node, and how many points contradict.
    async fn plan<'batch>(
        &self,
        batch: &'batch [Strip],
    ) -> Result<(BTreeMap<usize, Vec<Task<'batch>>>, u64), WorkError> {
        let mut tasks: BTreeMap<usize, Vec<Task<'batch>>> = BTreeMap::new();
        let mut contradictory = 0;
        for strips in of_one_measurement(batch) {
            let nodes = self.nodes.iter();
            let reads = nodes.map(|node| held_of_all(node, strips));
            let holds = futures_util::future::try_join_all(reads).await?;
            let nothing = Held::new();
            let mut known: BTreeMap<usize, Known> = BTreeMap::new();
            for strip in strips {
                // Other strips may be of the same series, in other shard groups.
                let of_series = holds.iter();
                let of_series = of_series.map(|held| held.get(&strip.tags).unwrap_or(&nothing));
                let of_series: Vec<&Held> = of_series.collect();
                let (changes, contradict) = self.changes(strip, &of_series);
                contradictory += contradict;
                for (node, change) in changes {
                    let mut task = Task {
                        strip,
                        change,
                        others: Vec::new(),
                        deletes: Vec::new(),
                    };
                    if !task.change.removals.is_empty() {
                        let known = match known.entry(node) {
                            Entry::Occupied(known) => known.into_mut(),
                            Entry::Vacant(place) => {
                                place.insert(self.known(node, &strip.slice).await?)
                            }
                        };
                        if !self.complete(node, &mut task, known).await? {
                            continue;
                        }
                    }
                    tasks.entry(node).or_default().push(task);
                }
            }
        }
        Ok((tasks, contradictory))
    }

    /// What a task that deletes needs besides. False if it cannot delete these points and no others.
    async fn complete(
        &self,
        node: usize,
        task: &mut Task<'_>,
        Known { keys, policies }: &Known,
    ) -> Result<bool, WorkError> {
        let strip = task.strip;
        let special = |key: &&String| SPECIAL_KEYS.contains(&key.as_str());
        if let Some(key) = keys.iter().find(special) {
            self.progress.note(format!(
                "{} in {}: no point can be deleted alone, because a tag is called {key}",
                strip.slice.measurement, strip.slice.database
            ));
            return Ok(false);
        }
        let spans = &task.change.removals;
        let deletes = spans
            .iter()
            .map(|span| delete(&strip.slice.measurement, &strip.tags, keys, *span));
        task.deletes = deletes.collect();
        let (Some(target), Some(source)) = (
            self.nodes.get(node),
            self.source.and_then(|at| self.nodes.get(at)),
        ) else {
            return Ok(false);
        };
        for policy in policies {
            if *policy == strip.slice.policy {
                continue;
            }
            let slice = Slice {
                policy: policy.clone(),
                ..strip.slice.clone()
            };
            let (wanted, there) = futures_util::future::try_join(
                held(source, &slice, &strip.tags, spans),
                held(target, &slice, &strip.tags, spans),
            )
            .await?;
            if !wanted.is_empty() || !there.is_empty() {
                task.others.push((slice, wanted, there));
            }
        }
        Ok(true)
    }

    /// What a node that is to lose points of a measurement has, while nothing is on its way.
    async fn known(&self, node: usize, slice: &Slice) -> Result<Known, WorkError> {
        let mut known = Known::default();
        let Slice {
            database,
            measurement,
            ..
        } = slice;
        let statement = format!(
            "SHOW TAG KEYS ON {} FROM {}",
            identifier(database),
            identifier(measurement)
        );
        if let Some(target) = self.nodes.get(node) {
            let rows = target.ask(database, &statement).await?;
            let keys = rows.iter().map(|row| text(row, "tagKey").to_owned());
            known.keys = keys.collect();
        }
        let both = [Some(node), self.source].into_iter().flatten();
        for node in both.filter_map(|at| self.nodes.get(at)) {
            let policies = policy_names(node, database).await?;
            known.policies.extend(policies);
        }
        Ok(known)
    }

    /// Does to one node as much of it as there is time for: keeps what is changed, deletes, and writes.
    async fn carry_out(
        &mut self,
        at: usize,
        tasks: Vec<Task<'_>>,
        closed: &GateClosed<'_>,
    ) -> Result<Attempt, WorkError> {
        let Some(node) = self.nodes.get(at) else {
            return Ok(Attempt::Done);
        };
        let mut kept = Vec::new();
        for Task {
            strip,
            change,
            others,
            deletes: _,
        } in &tasks
        {
            kept.extend(text_of(
                node.name(),
                &strip.slice,
                &strip.tags,
                &change.before,
            ));
            for (slice, _, there) in others {
                kept.extend(text_of(node.name(), slice, &strip.tags, there));
            }
        }
        self.kept.keep(at, node.name(), &kept)?;
        let mut lines: BTreeMap<(String, String), Vec<Piece>> = BTreeMap::new();
        let (mut failed, mut attempt) = (None, Attempt::Done);
        for task in tasks {
            if !task.deletes.is_empty() && closed.left() < self.reserve() {
                attempt = Attempt::NotInTime;
                continue;
            }
            let Slice {
                database,
                policy,
                measurement,
                ..
            } = &task.strip.slice;
            for statement in &task.deletes {
                if let Err(error) = node.ask(database, statement).await {
                    failed = Some(error);
                }
            }
            self.tally.done(at, database, &task.change);
            let own = (policy, &task.change.writes);
            let others = task.others.iter();
            let others = others.map(|(slice, wanted, _)| (&slice.policy, wanted));
            for (policy, held) in std::iter::once(own).chain(others) {
                let (text, left_out) = lines_of(measurement, &task.strip.tags, held);
                if left_out > 0 {
                    self.tally.inexpressible(at, database, left_out);
                }
                let of_policy = lines.entry((database.clone(), policy.clone())).or_default();
                if !text.is_empty() {
                    of_policy.push(Piece {
                        measurement: measurement.clone(),
                        lines: text,
                    });
                }
            }
        }
        for ((database, policy), pieces) in lines {
            self.write(at, node, (&database, &policy), pieces).await?;
        }
        failed.map_or(Ok(attempt), |error| Err(error.into()))
    }

    /// Writes lines, whatever it takes: some may have been deleted.
    pub(super) async fn write(
        &mut self,
        at: usize,
        node: &Node,
        place: (&str, &str),
        pieces: Vec<Piece>,
    ) -> Result<(), WorkError> {
        let mut lifted = None;
        let written = self.write_all(at, node, place, pieces, &mut lifted).await;
        if let Some(lifted) = lifted {
            lifted.set_again(node).await?;
        }
        written
    }

    async fn write_all(
        &mut self,
        at: usize,
        node: &Node,
        (database, policy): (&str, &str),
        pieces: Vec<Piece>,
        lifted: &mut Option<Lifted>,
    ) -> Result<(), WorkError> {
        // What is to be written, the next one last.
        let mut left = joined(pieces);
        left.reverse();
        let mut asked_for_limits = false;
        while let Some(pieces) = left.pop() {
            let lines: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| &piece.lines)
                .copied()
                .collect();
            let written = write_patiently(node, database, policy, lines.into()).await;
            if matches!(written, Err(NodeError::Refused { .. })) && !asked_for_limits {
                asked_for_limits = true;
                *lifted = Lifted::of(node, database, policy).await?;
                if lifted.is_some() {
                    left.push(pieces);
                    continue;
                }
            }
            match written {
                Ok(Written::All) => {}
                Ok(Written::Expired(points)) => self.tally.expired(at, database, points),
                Err(NodeError::Refused { .. }) if pieces.len() > 1 => {
                    left.extend(pieces.into_iter().map(|piece| vec![piece]));
                }
                Err(error @ NodeError::Refused { .. }) => {
                    let measurement = pieces.first().map(|piece| piece.measurement.clone());
                    self.refused(at, database, measurement.unwrap_or_default(), &error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Pieces that are written at once.
fn joined(pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    let mut joined: Vec<Vec<Piece>> = Vec::new();
    let mut bytes = 0;
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if bytes + piece.lines.len() <= MOST_BYTES => {
                bytes += piece.lines.len();
                last.push(piece);
            }
            _ => {
                bytes = piece.lines.len();
                joined.push(vec![piece]);
            }
        }
    }
    joined
}

async fn write_patiently(
    node: &Node,
    database: &str,
    policy: &str,
    lines: Bytes,
) -> Result<Written, NodeError> {
    let mut tried = 0;
    loop {
        match node.write(database, policy, lines.clone()).await {
            Err(error) if error.may_pass() && tried < TRIES => {
                tried += 1;
                tokio::time::sleep(PAUSE).await;
            }
            written => return written,
        }
    }
}

/// Deletes the points of one series, in every policy. `keys`: those of all series of the measurement.
fn delete(measurement: &str, tags: &Tags, keys: &BTreeSet<String>, (from, until): Span) -> String {
    let mut statement = format!(
        "DELETE FROM {} WHERE time >= {from} AND time <= {until}",
        identifier(measurement)
    );
    let mut condition = |key: &str, value: &str| {
        // Untyped, a key that is a field's name too would match every series.
        let condition = format!(" AND {}::tag = {}", identifier(key), string(value));
        statement.push_str(&condition);
    };
    for (key, value) in tags {
        condition(key, value);
    }
    for key in keys {
        if tags.iter().all(|(known, _)| known != key) {
            condition(key, "");
        }
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_of_one_series() {
        let keys = ["host", "rack's"].map(str::to_owned).into();
        let tags = vec![("host".to_owned(), "it's".to_owned())];
        assert_eq!(
            delete("m\"", &tags, &keys, (1, 2)),
            "DELETE FROM \"m\\\"\" WHERE time >= 1 AND time <= 2 AND \"host\"::tag = 'it\\'s' AND \"rack's\"::tag = ''"
        );
    }

    #[test]
    fn lines_are_joined_up_to_a_bound() {
        let piece = |bytes| Piece {
            measurement: "m".to_owned(),
            lines: vec![0; bytes],
        };
        let pieces = [1, 1, 1].map(|_| piece(MOST_BYTES / 2));
        let lengths: Vec<usize> = joined(pieces.into()).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert_eq!(joined(vec![piece(2 * MOST_BYTES)]).len(), 1);
    }
}
