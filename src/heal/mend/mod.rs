//! Makes nodes hold the same where they differ: what `haflux mend` does.
//!
//! | | |
//! | --- | --- |
//! | `schemas` | databases, policies and continuous queries that nodes lack |
//! | `strip` | the times of a series that are mended together, and batches of them |
//! | `plan` | what has to be done to a node for the points of a series |
//! | `batch` | under the relay's gate: reads again, keeps what it changes, deletes and writes |
//! | `held` | what nodes hold of the series of a batch |
//! | `types` | copies a measurement whole in which a field has another type |
//! | `kept` | the files with what was overwritten or deleted |
//! | `limits` | write limits are lifted while points are written that they refuse |
//! | `lines` | points as lines |
//! | `tally` | what was done, for a person |
//!
//! A mend that is ended anywhere, by a kill too, is begun again by the next one: it leaves what is the same alone.

mod batch;
mod held;
mod kept;
mod limits;
mod lines;
mod plan;
mod schemas;
mod strip;
mod tally;
mod types;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::kept::Kept;
use self::plan::{Change, Held, like_source, union};
use self::strip::{Strip, batches};
use self::tally::Tally;
use self::types::Conflict;
use super::compare::{self, Words};
use super::error::WorkError;
use super::node::Node;
use super::place::{Finding, SeriesDifference};
use super::progress::Progress;
use crate::control::Compared;
use crate::relay::{GateClosed, GateError, Relay};

/// Findings that wait to be taken.
const FINDINGS: usize = 16;

/// How long nodes that are behind are waited for before a batch.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pause before what could not be done now is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// One mend.
struct Mend<'work> {
    relay: &'work Relay,
    nodes: &'work [Node],
    names: &'work [String],
    /// The node that is right; none: all are.
    source: Option<usize>,
    places: &'work Compared,
    progress: &'work Progress,
    kept: Kept,
    tally: Tally,
    /// Where a field has another type than the source's.
    conflicts: BTreeSet<Conflict>,
}

/// What is to be mended.
pub(super) struct Order<'order> {
    /// Where.
    pub(super) places: &'order Compared,
    /// The node that is right; none: all are.
    pub(super) source: Option<&'order str>,
    /// Nothing is changed.
    pub(super) dry_run: bool,
}

/// Mends the relay's nodes, of which `nodes` have an address.
///
/// # Errors
/// [`WorkError`]: not all of it is mended.
pub(super) async fn run(
    relay: &Arc<Relay>,
    nodes: &[Node],
    folder: &Path,
    order: &Order<'_>,
    progress: &Progress,
) -> Result<(), WorkError> {
    let (able, left_out) = compare::able(relay, nodes, progress).await;
    if let Some(source) = order.source
        && able.iter().all(|node| node.name() != source)
    {
        let what = format!("{source} cannot be copied from");
        return Err(WorkError::without(what, &left_out));
    }
    if able.len() < 2 {
        return Err(WorkError::no_two(relay, "mend", &left_out));
    }
    between(relay, &able, folder, order, progress).await?;
    match left_out.is_empty() {
        true => Ok(()),
        false => {
            let what = "not every node could be mended";
            Err(WorkError::without(what, &left_out))
        }
    }
}

/// Makes these nodes hold what the source, which is one of them, holds where they differ; without one, what any of them holds. A dry run changes
/// nothing. The differences that are counted are those that a dry run finds, and else those that are left.
///
/// # Errors
/// [`WorkError`]: not all of it is mended.
pub(super) async fn between(
    relay: &Arc<Relay>,
    nodes: &[Node],
    folder: &Path,
    order: &Order<'_>,
    progress: &Progress,
) -> Result<(), WorkError> {
    let dry_run = order.dry_run;
    let names: Vec<String> = nodes.iter().map(|node| node.name().to_owned()).collect();
    let mut mend = Mend {
        relay,
        nodes,
        names: &names,
        source: order
            .source
            .and_then(|source| names.iter().position(|name| name == source)),
        places: order.places,
        progress,
        kept: Kept::new(folder, nodes.len()),
        tally: Tally::default(),
        conflicts: BTreeSet::new(),
    };
    mend.schemas(dry_run).await?;
    let mended = mend.all_points(dry_run).await;
    for path in mend.kept.paths() {
        progress.note(format!(
            "what was overwritten or deleted is in {}",
            path.display()
        ));
    }
    mend.tally.say(&names, dry_run, progress);
    mended?;
    match dry_run {
        true => Ok(()),
        false => mend.compare_again().await,
    }
}

impl Mend<'_> {
    /// What of the gate's time a change must have left to be begun.
    fn reserve(&self) -> Duration {
        self.relay.settings().heal.gate / 4
    }

    async fn all_points(&mut self, dry_run: bool) -> Result<(), WorkError> {
        self.points(dry_run).await?;
        if self.copy_measurements().await? {
            // What clients wrote while the gate opened on a copy.
            self.points(dry_run).await?;
        }
        Ok(())
    }

    /// Names what differs still; if nothing does, the dead letters of these places are closed.
    async fn compare_again(&self) -> Result<(), WorkError> {
        let (relay, progress) = (self.relay, self.progress);
        progress.step("comparing again");
        let head = relay.head();
        let settled = relay.settled(PATIENCE).await;
        let (found, findings) = mpsc::channel(FINDINGS);
        let (done, ()) = tokio::join!(
            compare::find(relay, self.nodes, self.places, progress, found),
            compare::tell(findings, self.names, progress)
        );
        done?;
        let Compared {
            databases,
            from,
            until,
            full: _,
        } = self.places;
        // Of a record on which a node has no verdict no letter says anything.
        if progress.differing() > 0 || settled.is_err() || from.is_some() || until.is_some() {
            return Ok(());
        }
        let names = self.names;
        let closed = relay.settle_dead_letters(names, databases, head).await;
        if closed > 0 {
            progress.note(format!(
                "{closed} dead letters are closed, because the nodes hold the same"
            ));
        }
        Ok(())
    }

    /// Finds the points that differ, and ends that as they are found.
    async fn points(&mut self, dry_run: bool) -> Result<(), WorkError> {
        let (found, findings) = mpsc::channel(FINDINGS);
        let (relay, nodes, places, progress) = (self.relay, self.nodes, self.places, self.progress);
        let (done, mended) = tokio::join!(
            compare::find(relay, nodes, places, progress, found),
            self.take(findings, dry_run)
        );
        // If mending fails nobody listens to what is found, and that is no reason.
        mended?;
        done
    }

    async fn take(
        &mut self,
        mut findings: mpsc::Receiver<Finding>,
        dry_run: bool,
    ) -> Result<(), WorkError> {
        let names = self.names;
        let mut words = Words::new(names);
        let mut found = Vec::new();
        while findings.recv_many(&mut found, FINDINGS).await > 0 {
            let mut strips = Vec::new();
            for finding in found.drain(..) {
                match finding {
                    Finding::Points(series) if dry_run => {
                        self.count(&series);
                        for difference in words.differences(&series) {
                            self.progress.differs(difference);
                        }
                    }
                    Finding::Points(series) => strips.push(Strip::of(&series)),
                    Finding::Schema(difference) if dry_run => self.progress.differs(difference),
                    // Those that are left are found again at the end.
                    Finding::Schema(_) => {}
                }
            }
            for batch in batches(strips) {
                self.batch(batch).await?;
            }
        }
        Ok(())
    }

    /// Counts what would be done.
    fn count(&mut self, series: &SeriesDifference) {
        let mut holds = vec![Held::new(); self.nodes.len()];
        for point in &series.points {
            for (held, fields) in holds.iter_mut().zip(&point.holds) {
                held.extend(fields.iter().map(|fields| (point.time, fields.clone())));
            }
        }
        let strip = Strip::of(series);
        let (changes, contradictory) = self.changes(&strip, &holds.iter().collect::<Vec<_>>());
        self.tally.contradict(contradictory);
        for (node, change) in changes {
            self.tally.done(node, &strip.slice.database, &change);
        }
    }

    /// What is to be done to which node for a strip, from what they hold of its series, and how many of its points contradict.
    fn changes(&self, strip: &Strip, holds: &[&Held]) -> (Vec<(usize, Change)>, u64) {
        let mut contradictory = 0;
        let source = self.source.and_then(|at| Some((at, *holds.get(at)?)));
        let changes: Vec<Change> = match source {
            Some((source, wanted)) => {
                let spans = strip.spans();
                let holds = holds.iter().copied().enumerate();
                let change = |(at, held)| match at == source {
                    true => Change::default(),
                    false => like_source(wanted, held, &strip.times, &spans),
                };
                holds.map(change).collect()
            }
            None => {
                let (changes, contradict) = union(holds, &strip.times);
                contradictory = contradict;
                changes
            }
        };
        let changes = changes.into_iter().enumerate();
        let changes = changes.filter(|(_, change)| !change.is_empty());
        (changes.collect(), contradictory)
    }
}

/// Closes the relay's gate, as soon as these nodes are near enough.
async fn close_gate<'relay>(
    relay: &'relay Relay,
    nodes: &[String],
    progress: &Progress,
) -> Result<GateClosed<'relay>, WorkError> {
    // A node that is not mended need not have come so far.
    let awaited = |name: &str| nodes.iter().any(|node| node == name);
    let tried = async {
        loop {
            match relay.close_gate(PATIENCE, awaited).await {
                Ok(closed) => return Ok(closed),
                Err(GateError::IsClosed) => tokio::time::sleep(PAUSE).await,
                Err(GateError::NotSettled(error)) => {
                    return Err(WorkError::Impossible(error.to_string()));
                }
            }
        }
    };
    tokio::select! {
        () = progress.cancelled() => Err(WorkError::Cancelled),
        closed = tried => closed,
    }
}
