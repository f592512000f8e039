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
//! | `marks` | what is kept of points that differ until they are read again |
//! | `fields` | the fields of such a point |
//! | `words` | differences for a person |
//! | `unread` | what could not be compared, and why |
//!
//! Nothing here changes a node, and a comparison that is dropped leaves nothing behind.

mod fields;
mod marks;
mod merge;
mod order;
mod plan;
mod questions;
mod schemas;
mod settle;
mod survey;
mod unread;
mod verify;
mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bstr::{BString, ByteSlice};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::error::WorkError;
use super::last_comparison::LastComparison;
use super::node::{Node, Slice, text};
use super::one_node;
use super::place::Finding;
use super::progress::Progress;
use super::schema::{Schema, ShardGroup, measurements, shard_groups};
use crate::control::{Compared, Difference};
use crate::relay::Relay;
pub(super) use order::same;
use plan::{Piece, leave_out_expired, pieces};
use survey::Unit;
pub(super) use unread::Unread;
pub(super) use words::Words;

/// Findings that wait to be taken.
const FINDINGS: usize = 16;

/// Slices whose sums are asked for before what they make suspect is read.
const SLICES_AT_ONCE: usize = 64;

/// How often a database that is asked for is looked for before nobody has it, and the time between two looks.
const DATABASE_LOOKS: u32 = 20;
const DATABASE_PACE: Duration = Duration::from_millis(50);

/// How sure it has to be that what is told differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It was seen twice, and may be a change that clients make again and again.
    Likely,
    /// It was also seen while nothing moved, unless that would have kept clients waiting for too long.
    Sure,
}

/// One comparison.
struct Comparison<'work> {
    relay: &'work Relay,
    nodes: &'work [Node],
    places: &'work Compared,
    progress: &'work Progress,
    look: Look,
    found: mpsc::Sender<Finding>,
    unread: &'work Mutex<Unread>,
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
    let (able, left_out) = able(relay, nodes, places, progress).await?;
    if able.len() < 2 {
        return Err(WorkError::no_two(relay, "compare", &left_out));
    }
    let _running = relay.stats().compared.running.enter();
    let names: Vec<String> = able.iter().map(|node| node.name().to_owned()).collect();
    let (found, findings) = mpsc::channel(FINDINGS);
    let (done, ()) = tokio::join!(
        find(relay, &able, places, progress, Look::Sure, found),
        tell(findings, &names, progress)
    );
    done?.all_read("not everything could be compared")?;
    if left_out.is_empty() {
        tell_of_letters(relay, progress);
        keep_result(relay, folder, &names, places, progress.differing());
        Ok(())
    } else {
        let what = "not every node could be compared";
        Err(WorkError::without(what, &left_out))
    }
}

/// Keeps how many differences were found between these nodes, unless that says nothing of the whole: these are not all places, or not
/// all of the relay's nodes. `folder`: the relay's.
pub(super) fn keep_result(
    relay: &Relay,
    folder: &Path,
    names: &[String],
    places: &Compared,
    differences: u64,
) {
    let nodes = relay.nodes();
    let mut nodes = nodes.iter();
    if !is_all(places) || !nodes.all(|node| node.follows && names.contains(&node.name)) {
        return;
    }
    let kept = LastComparison {
        at: SystemTime::now(),
        nodes: names.to_vec(),
        differences,
    };
    let stats = &relay.stats().compared;
    stats
        .last
        .store(Some(Arc::new((kept.at, kept.differences))));
    stats.failed.store(None);
    kept.write(folder);
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
///
/// # Errors
/// None of them has these places, or two of them are one.
pub(super) async fn able(
    relay: &Relay,
    nodes: &[Node],
    places: &Compared,
    progress: &Progress,
) -> Result<(Vec<Node>, Vec<String>), WorkError> {
    if let (Some(from), Some(until)) = (places.from, places.until)
        && until <= from
    {
        let reason = "the time that is asked for ends before it begins";
        return Err(WorkError::Impossible(reason.to_owned()));
    }
    progress.step("asking the nodes");
    if !places.databases.is_empty() {
        progress.note("users and rights were not compared, because databases were named (--db)");
    }
    let known = relay.nodes();
    let mut able = Vec::new();
    let mut left_out = Vec::new();
    let mut databases = BTreeSet::new();
    for node in nodes {
        if !node.lasts() {
            left_out.push(format!("{} is diverged, or being rebuilt", node.name()));
            continue;
        }
        match node.ask("", "SHOW DATABASES").await {
            Ok(rows) => {
                databases.extend(rows.iter().map(|row| text(row, "name").to_owned()));
                able.push(node.clone());
            }
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
    one_node::are_apart(&able).await?;
    are_there(&places.databases, databases, &able).await?;
    Ok((able, left_out))
}

/// Whether any of these nodes has each of the databases. `seen`: those that one had just now. Clients may make and drop a database all
/// the time, so one that is not seen is looked for again.
async fn are_there(
    databases: &[String],
    mut seen: BTreeSet<String>,
    nodes: &[Node],
) -> Result<(), WorkError> {
    let mut looks = 1;
    while let Some(missing) = databases.iter().find(|name| !seen.contains(*name)) {
        // Without a node nothing is known.
        if nodes.is_empty() {
            break;
        }
        if looks == DATABASE_LOOKS {
            let known = seen.iter().map(String::as_str);
            return Err(WorkError::unknown("no node has a database", missing, known));
        }
        looks += 1;
        tokio::time::sleep(DATABASE_PACE).await;
        for node in nodes {
            let rows = node.ask("", "SHOW DATABASES").await?;
            seen.extend(rows.iter().map(|row| text(row, "name").to_owned()));
        }
    }
    Ok(())
}

/// Compares these nodes and sends what differs and stays so. Returns what could not be read.
///
/// # Errors
/// [`WorkError`]: it ended early. What was sent until then is sound.
pub(super) async fn find(
    relay: &Relay,
    nodes: &[Node],
    places: &Compared,
    progress: &Progress,
    look: Look,
    found: mpsc::Sender<Finding>,
) -> Result<Unread, WorkError> {
    let unread = Mutex::default();
    let comparison = Comparison {
        relay,
        nodes,
        places,
        progress,
        look,
        found,
        unread: &unread,
    };
    tokio::select! {
        () = progress.cancelled() => return Err(WorkError::Cancelled),
        done = comparison.compare() => done?,
    }
    Ok(unread.into_inner())
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
        let mut listed: Option<(&str, BTreeSet<BString>)> = None;
        for piece in &pieces {
            if listed
                .as_ref()
                .is_none_or(|(database, _)| *database != piece.database)
            {
                let names = self.measurements(&schemas, &piece.database).await?;
                listed = Some((&piece.database, names));
            }
            let names = listed.iter().flat_map(|(_, names)| names);
            slices.extend(names.map(|name| Piece::slice(piece, name.as_bstr())));
        }
        self.progress
            .expect(u64::try_from(slices.len()).unwrap_or(u64::MAX));
        self.progress.step("comparing points");
        for slices in slices.chunks(SLICES_AT_ONCE) {
            self.slices(slices).await?;
        }
        Ok(())
    }

    /// Tells what differs between schemas twice, and then while nothing moves.
    async fn schemas(&self) -> Result<Vec<Schema>, WorkError> {
        let began = Instant::now();
        let schemas = self.each_schema().await?;
        let first = self.schema_differences(&schemas);
        if first.is_empty() {
            return Ok(schemas);
        }
        self.settle(began).await?;
        let schemas = self.each_schema().await?;
        let mut differences = self.schema_differences(&schemas);
        differences.retain(|difference| first.contains(difference));
        if !differences.is_empty() {
            let look = || self.while_nothing_moves(self.schema_differences_at_once());
            differences = self.patiently(look).await?.unwrap_or(differences);
        }
        for difference in differences {
            self.tell(Finding::Schema(difference)).await?;
        }
        Ok(schemas)
    }

    /// What differs right now, however much the nodes have to do.
    async fn schema_differences_at_once(&self) -> Result<Vec<Difference>, WorkError> {
        let prompt: Vec<Node> = self.nodes.iter().map(Node::at_once).collect();
        let schemas = prompt.iter().map(Schema::of);
        let schemas = futures_util::future::try_join_all(schemas).await?;
        Ok(self.schema_differences(&schemas))
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
    ) -> Result<BTreeSet<BString>, WorkError> {
        let mut names = BTreeSet::new();
        for (node, schema) in self.nodes.iter().zip(schemas) {
            if schema.databases.iter().any(|known| known.name == database) {
                names.extend(self.patiently(|| measurements(node, database)).await?);
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
        let units = self.patiently(|| self.survey(slice)).await;
        let units = self.unless_unread(slice, units)?;
        self.progress.slice_done();
        Ok(units.unwrap_or_default())
    }

    /// Of each node, in their order.
    async fn each_schema(&self) -> Result<Vec<Schema>, WorkError> {
        let mut schemas = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            schemas.push(self.patiently(|| Schema::of(node)).await?);
        }
        Ok(schemas)
    }

    /// Of each node, in their order.
    async fn shard_groups(&self) -> Result<Vec<Vec<ShardGroup>>, WorkError> {
        let mut groups = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            groups.push(self.patiently(|| shard_groups(node)).await?);
        }
        Ok(groups)
    }

    async fn tell(&self, finding: Finding) -> Result<(), WorkError> {
        let sent = self.found.send(finding).await;
        // Whoever listened has ended, and with it the work.
        sent.map_err(|_| WorkError::Cancelled)
    }
}
