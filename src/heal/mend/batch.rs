//! One batch: while the relay's gate is closed, its points are read again, and what still differs is ended.
//!
//! Clients wait meanwhile, so a batch that does not end in the gate's time is done again in halves, which find the same what is
//! done. What a `DELETE` took too much is always written again, even if the gate has opened: the source has it, and whatever a
//! client wrote meanwhile the next try takes from the source.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bstr::{BString, ByteSlice};

use super::deletion::{delete, obstacle};
use super::held::{Cuts, held, held_of_all, of_one_measurement};
use super::kept::text_of;
use super::lines::lines_of;
use super::plan::{Change, Held};
use super::refusal::Refusal;
use super::strip::{Strip, halves};
use super::write::Piece;
use super::{Mend, PAUSE, TRIES};
use crate::heal::error::WorkError;
use crate::heal::node::{Slice, is_sayable};
use crate::heal::place::Name;
use crate::heal::schema::{policy_names, shard_groups};
use crate::influx::influxql::identifier;
use crate::relay::GateClosed;

/// How a try ended.
#[derive(Debug)]
enum Attempt {
    /// But for what nodes refused.
    Done(Vec<Refusal>),
    /// The gate has opened, or is about to.
    NotInTime,
}

/// What is to be done to one node for one strip.
struct Task<'batch> {
    strip: &'batch Strip,
    change: Change,
    /// What a `DELETE` takes from the series in other policies: the policy, what the source holds there, and what the node does.
    others: Vec<(Slice, Held, Held)>,
    deletes: Vec<String>,
}

impl Task<'_> {
    /// Whether no line can say some of what is to be written behind the deletion: it would be lost.
    fn is_unwritable(&self) -> bool {
        let Strip { slice, tags, .. } = self.strip;
        let others = self.others.iter().map(|(_, wanted, _)| wanted);
        let mut written = std::iter::once(&self.change.writes).chain(others);
        written.any(|held| lines_of(slice.measurement.as_bstr(), tags, held).1 > 0)
    }
}

/// What must be known to delete points of a measurement on a node.
#[derive(Default)]
struct Known {
    /// The tag keys of all its series.
    keys: BTreeSet<BString>,
    /// The policies that the node or the source has.
    policies: BTreeSet<String>,
    /// Of both.
    cuts: Cuts,
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
            match self.attempt(&batch).await {
                Err(WorkError::Node(error)) if error.may_pass() && tried < TRIES => {
                    self.progress.note(format!("asked again: {error}"));
                    tokio::time::sleep(PAUSE * (tried + 1)).await;
                    left.push((batch, tried + 1));
                }
                Err(WorkError::Node(error)) if error.is_of_these_points() => match halves(batch) {
                    Some([first, second]) if first.len() + second.len() > 2 => {
                        left.extend([(second, 0), (first, 0)]);
                    }
                    _ => self
                        .progress
                        .note(format!("points are not mended: {error}")),
                },
                Err(error) => return Err(error),
                Ok(Attempt::Done(refusals)) => {
                    for refusal in refusals {
                        self.refused(refusal);
                    }
                    self.progress.points(points, 0);
                }
                Ok(Attempt::NotInTime) => match halves(batch.clone()) {
                    Some([first, second]) => left.extend([(second, 0), (first, 0)]),
                    None if tried < TRIES => {
                        tokio::time::sleep(PAUSE).await;
                        left.push((batch, tried + 1));
                    }
                    None => self.tally.give_up(points),
                },
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, batch: &[Strip]) -> Result<Attempt, WorkError> {
        let closed = self.close_gate().await?;
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
        let mut refusals = Vec::new();
        for (node, tasks) in tasks {
            if closed.left() < self.reserve() {
                return Ok(Attempt::NotInTime);
            }
            match self.carry_out(node, tasks, closed).await? {
                Attempt::Done(of_node) => refusals.extend(of_node),
                Attempt::NotInTime => return Ok(Attempt::NotInTime),
            }
        }
        if !closed.is_closed() {
            return Ok(Attempt::NotInTime);
        }
        self.tally.contradict(contradictory);
        Ok(Attempt::Done(refusals))
    }

    /// Reads the points again: what is to be done, node by node, and how many points contradict.
    async fn plan<'batch>(
        &self,
        batch: &'batch [Strip],
    ) -> Result<(BTreeMap<usize, Vec<Task<'batch>>>, u64), WorkError> {
        let mut tasks: BTreeMap<usize, Vec<Task<'batch>>> = BTreeMap::new();
        let mut contradictory = 0;
        for strips in of_one_measurement(batch) {
            let nodes = self.prompt.iter();
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
        Known {
            keys,
            policies,
            cuts,
        }: &Known,
    ) -> Result<bool, WorkError> {
        let strip = task.strip;
        let measurement = strip.slice.measurement.as_bstr();
        if let Some(obstacle) = obstacle(measurement, &strip.tags, keys) {
            self.progress.note(format!(
                "{} in {}: no point can be deleted alone, because {obstacle}",
                Name(measurement),
                strip.slice.database
            ));
            return Ok(false);
        }
        let spans = &task.change.removals;
        let deletes = spans
            .iter()
            .map(|span| delete(measurement, &strip.tags, keys, *span));
        task.deletes = deletes.collect();
        let (Some(target), Some(source)) = (
            self.prompt.get(node),
            self.source.and_then(|at| self.prompt.get(at)),
        ) else {
            return Ok(false);
        };
        for policy in policies {
            if *policy == strip.slice.policy {
                continue;
            }
            // Its time is not that of a shard group of this policy: `cuts` are.
            let slice = Slice {
                policy: policy.clone(),
                ..strip.slice.clone()
            };
            let (wanted, there) = futures_util::future::try_join(
                held(source, &slice, &strip.tags, spans, cuts),
                held(target, &slice, &strip.tags, spans, cuts),
            )
            .await?;
            if !wanted.is_empty() || !there.is_empty() {
                task.others.push((slice, wanted, there));
            }
        }
        if task.is_unwritable() {
            self.progress.note(format!(
                "{} in {}: points are not deleted, because no line can write again what else a DELETE takes",
                Name(measurement),
                strip.slice.database
            ));
            return Ok(false);
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
        if !is_sayable(measurement.as_bstr()) {
            return Ok(known);
        }
        let statement = format!(
            "SHOW TAG KEYS ON {} FROM {}",
            identifier(database),
            identifier(&measurement.to_str_lossy())
        );
        if let Some(target) = self.prompt.get(node) {
            known.keys = target
                .names(database, &statement)
                .await?
                .into_iter()
                .collect();
        }
        let both = [Some(node), self.source].into_iter().flatten();
        for node in both.filter_map(|at| self.prompt.get(at)) {
            let policies = policy_names(node, database).await?;
            known.policies.extend(policies);
            known.cuts.add(&shard_groups(node).await?, database);
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
        let Some(node) = self.prompt.get(at) else {
            return Ok(Attempt::Done(Vec::new()));
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
        let (mut failed, mut is_whole) = (None, true);
        for task in tasks {
            if !task.deletes.is_empty() && closed.left() < self.reserve() {
                is_whole = false;
                continue;
            }
            let Slice {
                database,
                policy,
                measurement,
                ..
            } = &task.strip.slice;
            let mut are_deleted = true;
            for statement in &task.deletes {
                if let Err(error) = node.ask(database, statement).await {
                    failed = Some(error);
                    are_deleted = false;
                }
            }
            if are_deleted {
                self.tally.removed(at, database, &task.change);
            }
            let writes = &task.change.writes;
            let own = (policy, writes, true);
            let others = task.others.iter();
            let others = others.map(|(slice, wanted, _)| (&slice.policy, wanted, false));
            for (policy, held, are_told) in std::iter::once(own).chain(others) {
                let (text, left_out) = lines_of(measurement.as_bstr(), &task.strip.tags, held);
                if left_out > 0 {
                    self.tally.inexpressible(at, database, left_out);
                }
                let of_policy = lines.entry((database.clone(), policy.clone())).or_default();
                of_policy.extend(Piece::cut(measurement.as_bstr(), text, are_told));
            }
        }
        let mut refusals = Vec::new();
        for ((database, policy), pieces) in lines {
            refusals.extend(self.write(at, node, (&database, &policy), pieces).await?);
        }
        match failed {
            Some(error) => Err(error.into()),
            None if is_whole => Ok(Attempt::Done(refusals)),
            None => Ok(Attempt::NotInTime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::node::Value;

    #[test]
    fn what_no_line_can_say_is_not_deleted() {
        let held = |field: &str| Held::from([(1, vec![(field.into(), Value::Integer(1))])]);
        let is_unwritable = |value: &str, writes: Held, wanted: Held| {
            let strip = Strip {
                slice: Slice {
                    database: "d".to_owned(),
                    policy: "p".to_owned(),
                    measurement: "m".into(),
                    from: 0,
                    until: 9,
                },
                tags: vec![("host".into(), value.into())],
                times: vec![1],
            };
            let change = Change {
                writes,
                ..Change::default()
            };
            let other = strip.slice.clone();
            let task = Task {
                strip: &strip,
                change,
                // What only the node holds is to be lost.
                others: vec![(other, wanted, held("odd\n"))],
                deletes: Vec::new(),
            };
            task.is_unwritable()
        };
        let nothing = Held::new;
        assert!(!is_unwritable("a", held("v"), held("v")));
        assert!(!is_unwritable("a\\", nothing(), nothing()));
        assert!(is_unwritable("a\\", held("v"), nothing()));
        assert!(is_unwritable("a\nb", nothing(), held("v")));
        assert!(is_unwritable("a", held("odd\n"), held("v")));
        assert!(is_unwritable("a", held("v"), held("odd\n")));
    }
}
