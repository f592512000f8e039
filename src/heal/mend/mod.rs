//! Makes nodes hold the same where they differ: what `haflux mend` does.
//!
//! | | |
//! | --- | --- |
//! | `schemas` | databases, policies and continuous queries that nodes lack |
//! | `statements` | what makes a database of a node what the source has |
//! | `strip` | the times of a series that are mended together, and batches of them |
//! | `plan` | what has to be done to a node for the points of a series |
//! | `batch` | under the relay's gate: reads again, keeps what it changes, deletes and writes |
//! | `deletion` | deletes points of one series |
//! | `write` | lines to a node: joined, and apart again where some are refused |
//! | `held` | what nodes hold of the series of a batch |
//! | `refusal` | lines that a node refuses |
//! | `types` | copies a measurement whole in which a field has another type |
//! | `kept` | the files with what was overwritten or deleted |
//! | `limits` | write limits are lifted while points are written that they refuse, and set again, by the next mend if need be |
//! | `lines` | points as lines |
//! | `tally` | what was done, for a person |
//!
//! A mend that is ended anywhere, by a kill too, is begun again by the next one: it leaves what is the same alone.

mod batch;
mod deletion;
mod held;
mod kept;
mod limits;
mod lines;
mod plan;
mod refusal;
mod schemas;
mod statements;
mod strip;
mod tally;
mod types;
mod write;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bstr::BString;
use tokio::sync::mpsc;

use self::kept::Kept;
pub(super) use self::limits::LiftedLimits;
use self::plan::{Change, Held, like_source, union};
use self::strip::{Strip, batches};
use self::tally::Tally;
use self::types::Conflict;
use super::compare::{self, Look, Unread, Words};
use super::error::WorkError;
use super::gate;
use super::node::{Node, NodeError};
use super::place::{Finding, SeriesDifference};
use super::progress::Progress;
use crate::control::Compared;
use crate::relay::dead_letters::Settled;
use crate::relay::{GateClosed, Relay};

/// Findings that wait to be taken.
const FINDINGS: usize = 16;

/// A pause before what could not be done now is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a node that is away or busy is asked again, and a single point that is not done in time is tried.
const TRIES: u32 = 5;

/// What is said of dead letters that stay open though the nodes hold the same; a number stands before it.
pub(super) const UNSEEN_LETTERS: &str = "dead letters stay open, because a comparison does not see what they are about, as passwords and subscriptions: haflux dead-letters list names them, replay sends them again, drop closes them";

/// One mend.
struct Mend<'work> {
    relay: &'work Relay,
    nodes: &'work [Node],
    /// The same without [limits](Node::at_once): for what is done while clients wait.
    prompt: &'work [Node],
    names: &'work [String],
    /// The node that is right; none: all are.
    source: Option<usize>,
    places: &'work Compared,
    progress: &'work Progress,
    kept: Kept,
    limits: LiftedLimits,
    tally: Tally,
    /// Where a field has another type than the source's.
    conflicts: BTreeSet<Conflict>,
    /// Node, database and measurement of refusals that were told.
    told_refusals: BTreeSet<(usize, String, BString)>,
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
    let known = relay.nodes();
    if let Some(source) = order.source
        && known.iter().all(|node| node.name != source)
    {
        let known = known.iter().map(|node| node.name.as_str());
        return Err(WorkError::unknown("there is no node", source, known));
    }
    let (able, left_out) = compare::able(relay, nodes, order.places, progress).await?;
    if let Some(source) = order.source
        && able.iter().all(|node| node.name() != source)
    {
        let what = format!("{source} cannot be copied from");
        return Err(WorkError::without(what, &left_out));
    }
    if able.len() < 2 {
        return Err(WorkError::no_two(relay, "mend", &left_out));
    }
    let mended = between(relay, &able, folder, order, progress).await;
    mended.map_err(|error| error.of_source(order.source))?;
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
    let prompt: Vec<Node> = nodes.iter().map(Node::at_once).collect();
    let mut mend = Mend {
        relay,
        nodes,
        prompt: &prompt,
        names: &names,
        source: order
            .source
            .and_then(|source| names.iter().position(|name| name == source)),
        places: order.places,
        progress,
        kept: Kept::new(folder, nodes.len()),
        limits: LiftedLimits::of(folder),
        tally: Tally::default(),
        conflicts: BTreeSet::new(),
        told_refusals: BTreeSet::new(),
    };
    // Before what one node has is what another gets.
    let known = relay.nodes();
    let restored = mend.limits.restore(&prompt, &known, dry_run, progress);
    restored.await?;
    mend.schemas(dry_run).await?;
    let mended = mend.all_points(dry_run).await;
    // A node that was away then has not got back what was lifted there.
    let limits = &mend.limits;
    let restored = match dry_run {
        true => Ok(()),
        false => limits.restore(&prompt, &known, dry_run, progress).await,
    };
    for path in mend.kept.paths() {
        progress.note(format!(
            "what was overwritten or deleted is in {}",
            path.display()
        ));
    }
    mend.tally.say(&names, dry_run, progress);
    let unread = mended?;
    restored?;
    match dry_run {
        true => unread.all_read("not everything could be compared"),
        false => mend.compare_again(folder).await,
    }
}

impl<'work> Mend<'work> {
    /// Closes the relay's gate, with all that the journal holds on the nodes that are mended.
    async fn close_gate(&self) -> Result<GateClosed<'work>, WorkError> {
        // Before clients wait: a node that was away, or is not what it was, holds no gate.
        let ready = self.prompt.iter().map(Node::make_ready);
        futures_util::future::try_join_all(ready).await?;
        gate::close(self.relay, self.names, self.progress).await
    }
}

impl Mend<'_> {
    /// What of the gate's time a change must have left to be begun.
    fn reserve(&self) -> Duration {
        self.relay.settings().heal.gate / 4
    }

    async fn all_points(&mut self, dry_run: bool) -> Result<Unread, WorkError> {
        let unread = self.points(dry_run).await?;
        match self.copy_measurements().await? {
            // What clients wrote while the gate opened on a copy.
            true => self.points(dry_run).await,
            false => Ok(unread),
        }
    }

    /// Names what differs still; if nothing does, the dead letters of these places are closed.
    async fn compare_again(&self, folder: &Path) -> Result<(), WorkError> {
        let (relay, progress) = (self.relay, self.progress);
        // By a mend that was part of the same rebuild.
        let before = progress.differing();
        progress.step("comparing again");
        let head = relay.head();
        let settled = relay.settled(gate::PATIENCE).await;
        let (found, findings) = mpsc::channel(FINDINGS);
        let (done, ()) = tokio::join!(
            compare::find(relay, self.nodes, self.places, progress, Look::Sure, found),
            compare::tell(findings, self.names, progress)
        );
        done?.all_read("not everything could be mended")?;
        let differences = progress.differing().saturating_sub(before);
        compare::keep_result(relay, folder, self.names, self.places, differences);
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
        let Settled { closed, left } = relay.settle_dead_letters(names, databases, head).await;
        if closed > 0 {
            progress.note(format!(
                "{closed} dead letters are closed, because the nodes hold the same"
            ));
        }
        if left > 0 {
            progress.note(format!("{left} {UNSEEN_LETTERS}"));
        }
        Ok(())
    }

    /// Finds the points that differ, and ends that as they are found.
    async fn points(&mut self, dry_run: bool) -> Result<Unread, WorkError> {
        let (found, findings) = mpsc::channel(FINDINGS);
        let (relay, nodes, places, progress) = (self.relay, self.nodes, self.places, self.progress);
        // Each point is read once more before it is changed, under the gate.
        let (done, mended) = tokio::join!(
            compare::find(relay, nodes, places, progress, Look::Likely, found),
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
            self.tally.would_do(node, &strip.slice.database, &change);
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

/// Asks a node, and asks again a few times if it is away or busy.
///
/// # Errors
/// What the node refuses, or why it could not be asked the last time.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, NodeError>
where
    F: Future<Output = Result<T, NodeError>>,
{
    let mut tried = 0;
    loop {
        match ask().await {
            Err(error) if error.may_pass() && tried < TRIES => {
                tried += 1;
                tokio::time::sleep(PAUSE).await;
            }
            asked => return asked,
        }
    }
}
