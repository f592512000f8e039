//! Makes up for runs of continuous queries that a node missed.
//!
//! Each node runs its queries by its own clock on what it has. One that was away, or was far behind, ran none or computed from a
//! hole. So it is watched until when each node held all that had been written; once a node that did not holds everything again, each
//! run that fell into that time is executed there, past the journal, with the bounds that InfluxDB gives it ([`runs`]).
//!
//! Nothing waits for this: not freshness, not writes, not reads. One node of a relay at a time, one run at a time, and as long a
//! pause behind each as it took. It stops where the node is away again, and goes on from there.

mod notes;
mod runs;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{error, info, warn};

use super::jobs::{Healer, thread};
use super::node::{Node, NodeError, text};
use super::schema::{Policy, policies};
use crate::control::{HealOrder, HealState};
use crate::influx::influxql::ContinuousQuery;
use crate::influx::query_answer::{Row, policy_duration};
use crate::journal::Sequence;
use crate::relay::Membership;
use crate::stats::Counter;
use notes::{Listed, Noted, Notes, nanoseconds};
use runs::{Run, Runs};

/// How often it is looked how far the nodes have come.
const PACE: Duration = Duration::from_secs(1);

/// A node misses runs if it does not hold what was written so long ago. A run may come so much later than it is due, because
/// InfluxDB looks once a second, and executes one query at a time.
const LATE: Duration = Duration::from_secs(5);

/// Pause behind a trouble of a node that answers.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);

/// How long queries that a node began while it lacked writes are waited for: they overwrite what is made up for.
const LONGEST_QUERY: Duration = Duration::from_secs(600);

impl Healer {
    /// Makes up for what nodes miss from now on, and what they missed since haflux noted it, if it is to.
    pub fn make_up_for_missed_runs(self: &Arc<Self>) {
        let Some(longest) = self.relay().settings().rerun_continuous_queries else {
            Notes::forget(self.folder());
            return;
        };
        let thread = match thread() {
            Ok(thread) => thread,
            Err(error) => {
                error!("missed continuous queries are not made up for: no thread for it: {error}");
                return;
            }
        };
        let nodes = self.relay().nodes();
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let notes = Arc::new(Notes::open(self.folder(), &names));
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        for node in nodes {
            let watch = Watch {
                noted: notes.of(&node.name),
                healer: Arc::clone(self),
                longest: nanoseconds(longest),
                notes: Arc::clone(&notes),
                name: node.name,
                retries: 0,
                breaks: 0,
                mark: None,
            };
            thread.spawn(watch.run(Arc::clone(&turn)));
        }
    }
}

/// Watches one node.
struct Watch {
    healer: Arc<Healer>,
    name: String,
    /// Most nanoseconds that are made up for.
    longest: i64,
    notes: Arc<Notes>,
    noted: Noted,
    /// Requests to the node that had to be sent again.
    retries: u64,
    /// How often that became more.
    breaks: u64,
    /// What the journal held at some time.
    mark: Option<(Sequence, i64)>,
}

/// Why making up has ended early.
enum Stopped {
    /// The node is away again, or behind.
    Incomplete,
    /// It does not do what it is asked.
    Node(NodeError),
}

impl From<NodeError> for Stopped {
    fn from(error: NodeError) -> Stopped {
        Stopped::Node(error)
    }
}

/// What was made up for.
#[derive(Default)]
struct Tally {
    done: u64,
    failed: u64,
    /// Runs over points that the node's policies had dropped when it was sent them.
    expired: u64,
}

/// A query whose missed runs are made up for.
struct Query {
    listed: Listed,
    parsed: ContinuousQuery,
    runs: Runs,
    /// Runs over what is older would compute from a hole.
    kept_from: i64,
}

impl Watch {
    async fn run(mut self, turn: Arc<tokio::sync::Mutex<()>>) {
        loop {
            tokio::time::sleep(PACE).await;
            self.look();
            if !self.is_due() {
                self.list_queries().await;
                continue;
            }
            let turn = turn.lock().await;
            self.look();
            // Another node's turn may have taken long, and the next look brings it up to now.
            if !self.is_due() {
                continue;
            }
            let stopped = self.make_up().await;
            drop(turn);
            if let Err(Stopped::Node(error)) = stopped {
                warn!(
                    "relay {}: {}: missed continuous queries wait: {error}",
                    self.relay(),
                    self.name
                );
                tokio::time::sleep(TROUBLE_PAUSE).await;
            }
        }
    }

    fn relay(&self) -> &str {
        &self.healer.relay().stats().name
    }

    /// Looks how far the node has come, and since when it misses runs.
    fn look(&mut self) {
        let now = now();
        let relay = Arc::clone(self.healer.relay());
        let memberships = relay.memberships();
        let membership = memberships.into_iter().find(|(name, _)| *name == self.name);
        match membership {
            Some((_, Membership::Rebuilding { pin, .. })) => {
                let pin = Some(pin.sequence.get());
                if self.noted.pin != pin {
                    self.noted.pin = pin;
                    // What it is filled with has what other nodes' queries wrote until here.
                    self.noted.missed = Some(now);
                }
            }
            Some((_, Membership::Following)) => self.noted.pin = None,
            Some((_, Membership::Diverged(_))) | None => {}
        }
        let replicas = &relay.stats().replicas;
        let replica = replicas.iter().find(|replica| replica.name == self.name);
        let retries = replica.map_or(0, |replica| replica.retries.get());
        let is_broken = std::mem::replace(&mut self.retries, retries) != retries;
        if is_broken {
            self.breaks += 1;
            self.mark = None;
        }
        if let Some((_, at)) = self
            .mark
            .take_if(|(head, _)| relay.holds(&self.name, *head))
        {
            self.noted.complete = Some(at);
        }
        if self.mark.is_none() {
            self.mark = Some((relay.head(), now));
        }
        if let Some(complete) = self.noted.complete
            && (is_broken || !self.is_complete(now))
        {
            self.noted.missed.get_or_insert(complete);
        }
        self.notes.note(&self.name, self.noted);
    }

    /// Whether the node holds all that had been written a moment ago.
    fn is_complete(&self, now: i64) -> bool {
        let complete = self.noted.complete;
        complete.is_some_and(|complete| now - complete <= nanoseconds(LATE))
    }

    fn is_due(&self) -> bool {
        self.noted.missed.is_some_and(|missed| {
            let complete = self.noted.complete;
            complete.is_some_and(|complete| missed < complete)
        }) && self.is_complete(now())
            && !self.is_changed_now()
    }

    /// Whether nodes are rebuilt or mended, which make up for all by themselves.
    fn is_changed_now(&self) -> bool {
        let report = self.healer.order(HealOrder::Progress {});
        report.is_ok_and(|report| report.state == HealState::Running && report.work != "compare")
    }

    /// So that a query that is made while some node is away is known to be no older.
    async fn list_queries(&self) {
        if !self.is_complete(now()) || !self.notes.wants_list(now()) {
            return;
        }
        let Some(node) = self.node() else {
            return;
        };
        match queries(&node).await {
            Ok(queries) => self.notes.list(queries, now()),
            Err(error) => warn!(
                "relay {}: {}: continuous queries are not listed: {error}",
                self.relay(),
                self.name
            ),
        }
    }

    fn node(&self) -> Option<Node> {
        match self.healer.nodes() {
            Ok(nodes) => nodes.into_iter().find(|node| node.name() == self.name),
            Err(error) => {
                warn!("relay {}: {error}", self.relay());
                None
            }
        }
    }

    async fn make_up(&mut self) -> Result<(), Stopped> {
        let (Some(node), Some(missed), Some(until)) =
            (self.node(), self.noted.missed, self.noted.complete)
        else {
            return Err(Stopped::Incomplete);
        };
        let breaks = self.breaks;
        self.await_queries(&node).await?;
        let oldest = until.saturating_sub(self.longest);
        if missed < oldest {
            warn!(
                "relay {}: {} missed continuous queries for {:?}: what is beyond rerun_continuous_queries is not made up for",
                self.relay(),
                self.name,
                between(missed, until)
            );
        }
        let from = missed.saturating_sub(nanoseconds(LATE)).max(oldest);
        let mut queries = self.queries(&node, from, until).await?;
        let began = Instant::now();
        let mut tally = Tally::default();
        let stopped = self.execute(&node, &mut queries, until, &mut tally).await;
        if stopped.is_ok() && self.breaks == breaks {
            self.noted.missed = None;
            self.notes.note(&self.name, self.noted);
        }
        if tally.done + tally.failed + tally.expired > 0 || stopped.is_err() {
            info!(
                "relay {}: {}: continuous queries that it missed in {:?}: {} runs made up for in {:?}, {} refused, {} over points that its policies do not keep any more{}",
                self.relay(),
                self.name,
                between(from, until),
                tally.done,
                began.elapsed(),
                tally.failed,
                tally.expired,
                if stopped.is_err() {
                    "; the rest follows"
                } else {
                    ""
                }
            );
        }
        stopped
    }

    /// Returns when nothing runs on the node any more that runs now and writes what it selects: the node may have begun it before it
    /// held all.
    async fn await_queries(&mut self, node: &Node) -> Result<(), Stopped> {
        let end = Instant::now() + LONGEST_QUERY;
        let mut awaited = writing_queries(node).await?;
        while !awaited.is_empty() && Instant::now() < end {
            tokio::time::sleep(PACE).await;
            let running = writing_queries(node).await?;
            awaited.retain(|query| running.contains(query));
            self.look();
            if !self.is_complete(now()) {
                return Err(Stopped::Incomplete);
            }
        }
        Ok(())
    }

    /// The node's queries, each with its runs behind `from`.
    async fn queries(&self, node: &Node, from: i64, until: i64) -> Result<Vec<Query>, Stopped> {
        let mut known = HashMap::new();
        let mut all = Vec::new();
        for listed in queries(node).await? {
            let since = self.notes.since(&listed);
            let cannot = |reason: &dyn std::fmt::Display| {
                self.failed().increment();
                warn!(
                    "relay {}: {}: a continuous query that it missed is not made up for: {reason}: {}",
                    self.relay(),
                    self.name,
                    listed.text
                );
            };
            let parsed = match ContinuousQuery::parse(&listed.text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    cannot(&error);
                    continue;
                }
            };
            let runs = match Runs::of(&parsed, from.max(since)) {
                Ok(runs) => runs,
                Err(error) => {
                    cannot(&error);
                    continue;
                }
            };
            let kept = self.kept(node, &mut known, &listed.database, &parsed);
            let kept_from = kept
                .await?
                .map_or(i64::MIN, |kept| until.saturating_sub(kept));
            all.push(Query {
                listed,
                parsed,
                runs,
                kept_from,
            });
        }
        Ok(all)
    }

    /// For how long each of the policies that a query reads or writes keeps points; none: for ever.
    async fn kept(
        &self,
        node: &Node,
        known: &mut HashMap<String, Vec<Policy>>,
        database: &str,
        query: &ContinuousQuery,
    ) -> Result<Option<i64>, NodeError> {
        let mut shortest: Option<i64> = None;
        for (of, policy) in &query.places {
            let of: &str = of.as_deref().unwrap_or(database);
            if !known.contains_key(of) {
                let policies = match policies(node, of).await {
                    Err(error) if error.is_absent() => Vec::new(),
                    policies => policies?,
                };
                known.insert(of.to_owned(), policies);
            }
            let named = |known: &&Policy| match policy {
                Some(name) => known.name == *name,
                None => known.is_default,
            };
            let policy = known.get(of).and_then(|known| known.iter().find(named));
            let kept = policy.and_then(|policy| policy_duration(&policy.duration));
            if let Some(kept) = kept.filter(|kept| !kept.is_zero()) {
                let kept = nanoseconds(kept);
                shortest = Some(shortest.map_or(kept, |shortest| shortest.min(kept)));
            }
        }
        Ok(shortest)
    }

    /// Executes the runs that are due up to `until`: in the order of time, as InfluxDB did on the other nodes, and at one time in
    /// the order in which it lists the queries, so that one that reads what another writes comes behind it here if it does there.
    async fn execute(
        &mut self,
        node: &Node,
        queries: &mut [Query],
        until: i64,
        tally: &mut Tally,
    ) -> Result<(), Stopped> {
        let mut due: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        let mut next: Vec<Option<Run>> = Vec::with_capacity(queries.len());
        for (index, query) in queries.iter_mut().enumerate() {
            let run = query.runs.next().filter(|run| run.at <= until);
            due.extend(run.map(|run| Reverse((run.at, index))));
            next.push(run);
        }
        let mut told = HashSet::new();
        while let Some(Reverse((at, index))) = due.pop() {
            let (Some(query), Some(slot)) = (queries.get_mut(index), next.get_mut(index)) else {
                break;
            };
            let run = std::mem::replace(slot, query.runs.next().filter(|run| run.at <= until));
            due.extend(slot.map(|run| Reverse((run.at, index))));
            let Some(run) = run.filter(|run| run.from < run.until) else {
                continue;
            };
            self.look();
            if !self.is_complete(now()) {
                return Err(Stopped::Incomplete);
            }
            if run.from < query.kept_from {
                tally.expired += 1;
                continue;
            }
            let began = Instant::now();
            let statement = query.parsed.between(run.from, run.until);
            match node.ask(&query.listed.database, &statement).await {
                Ok(_) => {
                    tally.done += 1;
                    self.healer.relay().stats().missed_runs.done.increment();
                }
                Err(error @ NodeError::Refused { .. }) => {
                    tally.failed += 1;
                    self.failed().increment();
                    if told.insert(index) {
                        warn!("relay {}: {error}: {statement}", self.relay());
                    }
                }
                Err(error) => return Err(error.into()),
            }
            // Those before it are made up for. Those of the same time are among the last moments, which are done again.
            let missed = self.noted.missed;
            self.noted.missed = missed.map(|missed| missed.max(at));
            tokio::time::sleep(began.elapsed()).await;
        }
        Ok(())
    }

    fn failed(&self) -> &Counter {
        &self.healer.relay().stats().missed_runs.failed
    }
}

/// A node's continuous queries, in the order in which it runs them.
async fn queries(node: &Node) -> Result<Vec<Listed>, NodeError> {
    let mut all = Vec::new();
    for (database, rows) in node.ask_by_series("", "SHOW CONTINUOUS QUERIES").await? {
        all.extend(rows.iter().map(|row| Listed {
            database: database.clone(),
            text: text(row, "query").to_owned(),
        }));
    }
    Ok(all)
}

/// The numbers of the queries that run now and write what they select.
async fn writing_queries(node: &Node) -> Result<HashSet<u64>, NodeError> {
    let rows = node.ask("", "SHOW QUERIES").await?;
    let writing = rows
        .iter()
        .filter(|row| text(row, "query").to_ascii_uppercase().contains(" INTO "));
    let number = |row: &Row| {
        let found = row.iter().find(|(column, _)| column == "qid");
        found.and_then(|(_, value)| value.as_u64())
    };
    Ok(writing.filter_map(number).collect())
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    nanoseconds(since.unwrap_or_default())
}

fn between(from: i64, until: i64) -> Duration {
    let between = until.saturating_sub(from);
    Duration::from_secs(u64::try_from(between / 1_000_000_000).unwrap_or(0))
}
