//! Where two or more nodes differ: what `haflux compare` does.
//!
//! | | |
//! | --- | --- |
//! | `schemas` | compares databases, policies, continuous queries and users |
//! | `plan` | the pieces of time that no shard group crosses |
//! | `questions` | what nodes are asked for a slice |
//! | `merge` | their answers, row by row side by side |
//! | `survey` | finds by sums which series may differ |
//! | `verify` | reads the points of those, and tells what stays from what moves |
//! | `words` | differences for a person |
//!
//! Nothing here changes a node, and a comparison that is dropped leaves nothing behind.

mod merge;
mod order;
mod plan;
mod questions;
mod schemas;
mod settle;
mod survey;
mod verify;
mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::error::WorkError;
use super::last_comparison::LastComparison;
use super::node::{Node, Slice};
use super::place::Finding;
use super::progress::Progress;
use super::schema::{Schema, ShardGroup, measurements, shard_groups};
use crate::control::{Compared, Difference};
use crate::relay::Relay;
pub(super) use order::same;
use plan::{Piece, leave_out_expired, pieces};
use settle::Patience;
use survey::Unit;
pub(super) use words::Words;

/// Findings that wait to be taken.
const FINDINGS: usize = 16;

/// Slices whose sums are asked for before what they make suspect is read.
const SLICES_AT_ONCE: usize = 64;

/// One comparison.
struct Comparison<'work> {
    relay: &'work Relay,
    nodes: &'work [Node],
    places: &'work Compared,
    progress: &'work Progress,
    found: mpsc::Sender<Finding>,
}

/// Compares the relay's nodes and tells what differs. `folder`: the relay's, in which the result is kept.
///
/// # Errors
/// [`WorkError`]: not all of it is compared. What was told until then is sound.
pub(super) async fn run(
    relay: &Arc<Relay>,
    nodes: &[Node],
    folder: &Path,
    places: &Compared,
    progress: &Progress,
) -> Result<(), WorkError> {
    let (able, left_out) = able(relay, nodes, progress).await;
    if able.len() < 2 {
        return Err(WorkError::no_two(relay, "compare", &left_out));
    }
    let stats = &relay.stats().compared;
    let _running = stats.running.enter();
    let names: Vec<String> = able.iter().map(|node| node.name().to_owned()).collect();
    let (found, findings) = mpsc::channel(FINDINGS);
    let (done, ()) = tokio::join!(
        find(relay, &able, places, progress, found),
        tell(findings, &names, progress)
    );
    done?;
    if left_out.is_empty() {
        tell_of_letters(relay, progress);
        // What was compared in parts says nothing of the whole.
        if is_all(places) {
            let kept = LastComparison {
                at: SystemTime::now(),
                nodes: names,
                differences: progress.differing(),
            };
            stats
                .last
                .store(Some(Arc::new((kept.at, kept.differences))));
            kept.write(folder);
        }
        Ok(())
    } else {
        let what = "not every node could be compared";
        Err(WorkError::without(what, &left_out))
    }
}

/// A dead letter is a difference that haflux knows of.
fn tell_of_letters(relay: &Relay, progress: &Progress) {
    let open = relay.open_dead_letters();
    if open == 0 {
        return;
    }
    let so_what = match progress.differing() {
        0 => {
            "the nodes hold the same where they were compared; if that is everywhere, haflux mend --union --yes closes them"
        }
        _ => {
            "they may be why the nodes differ; haflux mend closes them once the nodes hold the same"
        }
    };
    progress.note(format!(
        "open dead letters: {open} (haflux dead-letters list); {so_what}"
    ));
}

/// Whether these are all places.
fn is_all(places: &Compared) -> bool {
    let Compared {
        databases,
        from,
        until,
        full: _,
    } = places;
    databases.is_empty() && from.is_none() && until.is_none()
}

/// The nodes that can be compared, and why the relay's others cannot.
pub(super) async fn able(
    relay: &Relay,
    nodes: &[Node],
    progress: &Progress,
) -> (Vec<Node>, Vec<String>) {
    progress.step("asking the nodes");
    let known = relay.nodes();
    let follows = |node: &Node| {
        let known = known.iter().find(|known| known.name == node.name());
        known.is_some_and(|known| known.follows)
    };
    let mut able = Vec::new();
    let mut left_out = Vec::new();
    for node in nodes {
        if !follows(node) {
            left_out.push(format!("{} is diverged, or being rebuilt", node.name()));
            continue;
        }
        match node.ask("", "SHOW DATABASES").await {
            Ok(_) => able.push(node.clone()),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    let have_no_address = known
        .iter()
        .filter(|known| nodes.iter().all(|node| node.name() != known.name));
    left_out.extend(have_no_address.map(|node| {
        format!(
            "{} has no address now: its name is not resolved, or its server is in maint",
            node.name
        )
    }));
    (able, left_out)
}

/// Compares these nodes and sends what differs and stays so.
///
/// # Errors
/// [`WorkError`]: not all of it is compared. What was sent until then is sound.
pub(super) async fn find(
    relay: &Relay,
    nodes: &[Node],
    places: &Compared,
    progress: &Progress,
    found: mpsc::Sender<Finding>,
) -> Result<(), WorkError> {
    let comparison = Comparison {
        relay,
        nodes,
        places,
        progress,
        found,
    };
    tokio::select! {
        () = progress.cancelled() => Err(WorkError::Cancelled),
        done = comparison.compare() => done,
    }
}

/// Tells what is found in words.
pub(super) async fn tell(
    mut findings: mpsc::Receiver<Finding>,
    nodes: &[String],
    progress: &Progress,
) {
    let mut words = Words::new(nodes);
    while let Some(finding) = findings.recv().await {
        let differences = match finding {
            Finding::Schema(difference) => vec![difference],
            Finding::Points(series) => words.differences(&series),
        };
        for difference in differences {
            progress.differs(difference);
        }
    }
}

impl Comparison<'_> {
    async fn compare(&self) -> Result<(), WorkError> {
        self.progress.begin_pass();
        self.progress.step("comparing schemas");
        let schemas = self.schemas().await?;
        self.progress.step("listing slices");
        let groups = self.shard_groups().await?;
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let pieces = leave_out_expired(pieces(&groups, self.places), &schemas, now);
        let mut slices = Vec::new();
        let mut listed: Option<(&str, BTreeSet<String>)> = None;
        for piece in &pieces {
            if listed
                .as_ref()
                .is_none_or(|(database, _)| *database != piece.database)
            {
                let names = self.measurements(&schemas, &piece.database).await?;
                listed = Some((&piece.database, names));
            }
            let names = listed.iter().flat_map(|(_, names)| names);
            slices.extend(names.map(|name| Piece::slice(piece, name)));
        }
        self.progress
            .expect(u64::try_from(slices.len()).unwrap_or(u64::MAX));
        self.progress.step("comparing points");
        for slices in slices.chunks(SLICES_AT_ONCE) {
            self.slices(slices).await?;
        }
        Ok(())
    }

    /// What differs between schemas twice.
    async fn schemas(&self) -> Result<Vec<Schema>, WorkError> {
        let began = Instant::now();
        let schemas = self.each_schema().await?;
        let first = self.schema_differences(&schemas);
        if first.is_empty() {
            return Ok(schemas);
        }
        self.settle(began).await?;
        let schemas = self.each_schema().await?;
        for difference in self.schema_differences(&schemas) {
            if first.contains(&difference) {
                self.tell(Finding::Schema(difference)).await?;
            }
        }
        Ok(schemas)
    }

    fn schema_differences(&self, schemas: &[Schema]) -> Vec<Difference> {
        let names: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.name().to_owned())
            .collect();
        schemas::differences(&names, schemas, self.places)
    }

    /// The measurements that any node has in a database.
    async fn measurements(
        &self,
        schemas: &[Schema],
        database: &str,
    ) -> Result<BTreeSet<String>, WorkError> {
        let mut names = BTreeSet::new();
        for (node, schema) in self.nodes.iter().zip(schemas) {
            if schema.databases.iter().any(|known| known.name == database) {
                let mut patience = Patience::new(self.progress);
                loop {
                    match measurements(node, database).await {
                        Ok(of_node) => break names.extend(of_node),
                        Err(error) => patience.bear(error.into()).await?,
                    }
                }
            }
        }
        Ok(names)
    }

    /// Compares slices: the sums of all, then the points of what they make suspect.
    async fn slices(&self, slices: &[Slice]) -> Result<(), WorkError> {
        let parallel = self.relay.settings().heal.parallel;
        let surveys: Vec<_> = slices.iter().map(|slice| self.surveyed(slice)).collect();
        let surveys = stream::iter(surveys).buffered(parallel.max(1));
        let units: Vec<Vec<_>> = surveys.try_collect().await?;
        self.verify(units.into_iter().flatten().collect()).await
    }

    async fn surveyed(&self, slice: &Slice) -> Result<Vec<Unit>, WorkError> {
        let mut patience = Patience::new(self.progress);
        loop {
            match self.survey(slice).await {
                Err(error) => patience.bear(error).await?,
                Ok(units) => {
                    self.progress.slice_done();
                    return Ok(units);
                }
            }
        }
    }

    /// Of each node, in their order.
    async fn each_schema(&self) -> Result<Vec<Schema>, WorkError> {
        let mut schemas = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            let mut patience = Patience::new(self.progress);
            loop {
                match Schema::of(node).await {
                    Ok(schema) => break schemas.push(schema),
                    Err(error) => patience.bear(error.into()).await?,
                }
            }
        }
        Ok(schemas)
    }

    /// Of each node, in their order.
    async fn shard_groups(&self) -> Result<Vec<Vec<ShardGroup>>, WorkError> {
        let mut groups = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            let mut patience = Patience::new(self.progress);
            loop {
                match shard_groups(node).await {
                    Ok(of_node) => break groups.push(of_node),
                    Err(error) => patience.bear(error.into()).await?,
                }
            }
        }
        Ok(groups)
    }

    async fn tell(&self, finding: Finding) -> Result<(), WorkError> {
        let sent = self.found.send(finding).await;
        // Whoever listened has ended, and with it the work.
        sent.map_err(|_| WorkError::Cancelled)
    }
}
