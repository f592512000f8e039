//! Makes an empty node hold all that another holds, while clients write and read.
//!
//! | step | what a restart finds | what it does |
//! | --- | --- | --- |
//! | `pin` | the journal is pinned, or not | pins it, if it is not |
//! | `wipe` | some of the target's databases, or of those of the source | drops all of them and makes them again |
//! | `points` | some slices are copied | copies those that are not noted as finished |
//! | `readmit` | the target is taken back, or not | takes it back, if it is not |
//! | `proof` | the target follows | waits until it is fresh, makes the continuous queries, compares |
//!
//! The step is [noted](plan) before it begins, so each may begin any number of times. Nothing that was written since the pin has to
//! be copied, because the target is sent it when it is taken back; so whatever appears on the source meanwhile is left to that.

mod files;
mod finished;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod patience;
mod plan;
mod points;
mod proof;
mod shard_tar;
mod source;
mod standing;
mod target_schema;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{info, warn};

use super::error::WorkError;
use super::node::{Node, NodeError};
use super::progress::Progress;
use super::schema::{Schema, User};
use crate::control::{HealOrder, Passwords};
use crate::relay::{Membership, Readmission, Relay, ReplicaError};

use finished::Finished;
use patience::Patience;
use plan::{Plan, PlanFile, Step};
use points::Copier;
use source::{choose_source, find};
use standing::{Standing, standing};

/// Between two looks at how the target stands to the journal.
const LOOK_PACE: Duration = Duration::from_millis(200);

/// How often the relay checks a target that answers before it is refused.
const MAX_CHECKS: u32 = 5;

/// Between two of these checks.
const CHECK_PACE: Duration = Duration::from_secs(1);

/// How often a target that loses its data while it is filled is filled from the beginning.
const MAX_BEGINNINGS: u32 = 3;

/// What is to be rebuilt.
pub(super) struct Rebuild<'a> {
    /// The node to fill.
    pub(super) target: &'a str,
    /// The one to copy from; none: one that is fresh.
    pub(super) source: Option<&'a str>,
    /// Passwords of users.
    pub(super) users: &'a Passwords,
}

/// The rebuild that a run before this one left unfinished, and nobody stopped. `folder`: the relay's.
pub(super) fn unfinished(relay: &Relay, folder: &Path) -> Option<HealOrder> {
    let plan = PlanFile::of(folder).read().ok().flatten()?;
    let fits = plan.stopped.is_none() && plan.fits(&standing(relay, &plan.target).membership);
    if fits && !is_replica(relay, &plan.source) {
        warn!(
            "relay {}: the rebuild of {} does not go on, because {} is no replica any more; from another one: haflux replica rebuild {}",
            relay.stats().name,
            plan.target,
            plan.source,
            plan.target
        );
        return None;
    }
    fits.then(|| HealOrder::Rebuild {
        target: plan.target,
        source: Some(plan.source),
        users: Passwords::default(),
    })
}

fn is_replica(relay: &Relay, name: &str) -> bool {
    relay.memberships().iter().any(|(known, _)| known == name)
}

/// Fills the target, and returns when it serves again and holds what the source holds.
///
/// # Errors
/// [`WorkError`]: what stands against it. Begun again it goes on where it ended.
pub(super) async fn run(
    relay: &Arc<Relay>,
    nodes: &[Node],
    folder: &Path,
    order: &Rebuild<'_>,
    progress: &Progress,
) -> Result<(), WorkError> {
    let file = PlanFile::of(folder);
    let plan = begin(relay, nodes, &file, order, progress).await?;
    let mut run = Run {
        relay,
        target: find(nodes, &plan.target)?,
        source: find(nodes, &plan.source)?,
        users: order.users,
        progress,
        file,
        plan,
    };
    match run.finish().await {
        Ok(()) => run.file.remove(),
        Err(error) => {
            run.plan.stopped = Some(error.to_string());
            run.file.write(&run.plan)?;
            Err(error)
        }
    }
}

/// Names the users that the target would lack, because only their passwords, which cannot be read out of the source, would make them.
///
/// # Errors
/// [`WorkError`]: one of the two does not answer, or there is no node to copy from.
pub(super) async fn lacking_users(
    relay: &Relay,
    nodes: &[Node],
    folder: &Path,
    order: &Rebuild<'_>,
) -> Result<Vec<String>, WorkError> {
    let target = find(nodes, order.target)?;
    let noted = goes_on(relay, &PlanFile::of(folder), order)?;
    let source = match noted {
        Some(plan) => find(nodes, &plan.source)?,
        None => choose_source(relay, nodes, order, &Progress::new("", "rebuild")).await?,
    };
    let wanted = Schema::of(source).await?.users;
    let held = match Schema::of(target).await {
        Ok(schema) => schema.users,
        // Without any user it lets nobody in but who makes its first one.
        Err(NodeError::Unauthorized { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let asker = target.asker().map(|(name, _)| name);
    let is_there =
        |user: &User| asker == Some(&user.name) || held.iter().any(|held| held.name == user.name);
    let lacking = wanted.into_iter().filter(|user| !is_there(user));
    Ok(lacking.map(|user| user.name).collect())
}

/// What was noted of this rebuild, if it can go on.
fn goes_on(relay: &Relay, file: &PlanFile, order: &Rebuild<'_>) -> Result<Option<Plan>, WorkError> {
    let membership = standing(relay, order.target).membership;
    let noted = file.read()?;
    Ok(noted.filter(|plan| {
        plan.target == order.target
            && order.source.is_none_or(|source| plan.source == source)
            && is_replica(relay, &plan.source)
            && plan.fits(&membership)
    }))
}

/// What was noted by whoever began this rebuild before, if it can go on; else a new one, for which nothing has been done.
async fn begin(
    relay: &Relay,
    nodes: &[Node],
    file: &PlanFile,
    order: &Rebuild<'_>,
    progress: &Progress,
) -> Result<Plan, WorkError> {
    let target = find(nodes, order.target)?;
    if let Some(mut plan) = goes_on(relay, file, order)? {
        progress.note(format!(
            "It goes on where it was: step {}, from {}.",
            plan.step, plan.source
        ));
        plan.stopped = None;
        return Ok(plan);
    }
    let source = choose_source(relay, nodes, order, progress).await?;
    // Nothing is touched before both have been asked for all that will be needed.
    Schema::of(source).await?;
    target_schema::first_administrator(target).await?;
    Schema::of(target).await?;
    let plan = Plan::new(target.name(), source.name());
    Finished::forget(file.folder())?;
    file.write(&plan)?;
    Ok(plan)
}

/// One rebuild under way.
struct Run<'a> {
    relay: &'a Arc<Relay>,
    target: &'a Node,
    source: &'a Node,
    users: &'a Passwords,
    progress: &'a Progress,
    file: PlanFile,
    plan: Plan,
}

impl Run<'_> {
    async fn finish(&mut self) -> Result<(), WorkError> {
        let mut beginnings = 1;
        loop {
            match self.plan.step {
                Step::Pin => self.pin().await?,
                Step::Wipe => self.wipe().await?,
                Step::Points if self.points().await? => self.enter(Step::Readmit)?,
                Step::Points if beginnings < MAX_BEGINNINGS => {
                    beginnings += 1;
                    self.progress.note(format!(
                        "{} lost what was copied to it: it is copied again from the beginning.",
                        self.target.name()
                    ));
                    self.enter(Step::Wipe)?;
                }
                Step::Points => {
                    return Err(WorkError::Impossible(format!(
                        "{} loses what is copied to it",
                        self.target.name()
                    )));
                }
                Step::Readmit => self.readmit().await?,
                Step::Proof => return self.prove().await,
            }
        }
    }

    /// Notes that this step begins.
    fn enter(&mut self, step: Step) -> Result<(), WorkError> {
        self.plan.step = step;
        self.file.write(&self.plan)
    }

    /// What is tried until it is done, or a person ends it.
    fn patience(&self, phase: &str) -> Patience<'_> {
        info!(
            "relay {}: rebuild of {}: {phase}",
            self.relay.stats().name,
            self.target.name()
        );
        let settings = self.relay.settings();
        Patience::new(self.progress, phase, settings.retry_min, settings.retry_max)
    }

    /// From here on the journal is kept for the target, which gets nothing and answers nothing.
    async fn pin(&mut self) -> Result<(), WorkError> {
        self.progress.step("pinning the journal");
        let end = Instant::now() + self.relay.settings().timeout;
        loop {
            match self.relay.begin_rebuild(self.target.name()).await {
                // By a run of this rebuild that ended right then, or by a person.
                Ok(()) | Err(ReplicaError::UnderWay { .. }) => break,
                // The source lags for a moment.
                Err(ReplicaError::NothingToCopy) if Instant::now() < end => {
                    self.sleep(LOOK_PACE).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Membership::Rebuilding { pin, .. } = self.standing().membership else {
            return Err(WorkError::Impossible(format!(
                "{} was taken back while its rebuild began",
                self.target.name()
            )));
        };
        self.plan.pin = pin.sequence.get();
        self.enter(Step::Wipe)
    }

    fn standing(&self) -> Standing {
        standing(self.relay, self.target.name())
    }

    async fn wipe(&mut self) -> Result<(), WorkError> {
        self.settle().await?;
        let patience = self.patience("dropping what it holds");
        // Before the wipe, which may take long: a database that is dropped on the source meanwhile has to be there when the journal is
        // replayed.
        let schema = patience.until_done(|| Schema::of(self.source)).await?;
        Finished::forget(self.file.folder())?;
        target_schema::wipe(self.target, &schema, &patience).await?;
        let patience = self.patience("making databases, policies and users");
        target_schema::databases(self.target, &schema, &patience).await?;
        target_schema::users(self.target, &schema, self.users, &patience, self.progress).await?;
        let databases = schema.databases.into_iter();
        self.plan.databases = databases.map(|database| database.name).collect();
        self.enter(Step::Points)
    }

    /// Waits until nothing that the target was sent before the pin can arrive there any more.
    async fn settle(&self) -> Result<(), WorkError> {
        let membership = self.standing().membership;
        let since = membership
            .divergence()
            .map_or(0, |divergence| divergence.since);
        // Seconds are told: one that has begun counts as whole.
        let until = UNIX_EPOCH + Duration::from_secs(since.saturating_add(1));
        let until = until + self.relay.settings().rewind;
        if let Ok(left) = until.duration_since(SystemTime::now()) {
            self.progress
                .step("waiting until nothing is under way to it any more");
            self.sleep(left.min(self.relay.settings().rewind)).await?;
        }
        Ok(())
    }

    async fn sleep(&self, time: Duration) -> Result<(), WorkError> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.progress.cancelled() => Err(WorkError::Cancelled),
        }
    }

    async fn target_has_its_databases(&self) -> Result<bool, WorkError> {
        let patience = self.patience("looking what it holds");
        let held = patience.until_done(|| Schema::of(self.target)).await?;
        let names: HashSet<&str> = held
            .databases
            .iter()
            .map(|database| database.name.as_str())
            .collect();
        let mut made = self.plan.databases.iter();
        Ok(made.all(|database| names.contains(database.as_str())))
    }

    /// False: the target has lost what was copied to it, as a node whose disk is another one.
    async fn points(&self) -> Result<bool, WorkError> {
        if !self.target_has_its_databases().await? {
            return Ok(false);
        }
        let patience = self.patience("copying points");
        self.source_has_the_pin().await?;
        self.given_users(&patience).await?;
        let settings = &self.relay.settings().heal;
        let finished = Finished::open(self.file.folder())?;
        let copier = Copier {
            source: self.source,
            target: self.target,
            patience: &patience,
            parallel: settings.parallel,
            progress: self.progress,
            finished,
            copied: AtomicU64::new(0),
            expired: AtomicU64::new(0),
        };
        match copier.all().await {
            Err(WorkError::Node(error)) if is_gone(&error) => return Ok(false),
            copied => copied?,
        }
        let schema = patience.until_done(|| Schema::of(self.source)).await?;
        target_schema::last_settings(self.target, &schema, &patience).await?;
        Ok(true)
    }

    /// Waits until the source has applied all that stands before the pin, which the target is not sent.
    async fn source_has_the_pin(&self) -> Result<(), WorkError> {
        loop {
            let source = standing(self.relay, self.source.name());
            if !matches!(source.membership, Membership::Following) {
                return Err(WorkError::Impossible(format!(
                    "{} does not follow the journal any more: it lacks what others have; choose another with --from",
                    self.source.name()
                )));
            }
            if source.cursor >= self.plan.pin {
                return Ok(());
            }
            self.progress.step(format!(
                "waiting for {}, which has applied {} records of {}",
                self.source.name(),
                source.cursor,
                self.plan.pin
            ));
            self.sleep(LOOK_PACE).await?;
        }
    }

    /// Makes the users whose passwords a person has given only now.
    async fn given_users(&self, patience: &Patience<'_>) -> Result<(), WorkError> {
        if self.users.0.is_empty() {
            return Ok(());
        }
        let schema = patience.until_done(|| Schema::of(self.source)).await?;
        target_schema::users(self.target, &schema, self.users, patience, self.progress).await
    }

    async fn readmit(&mut self) -> Result<(), WorkError> {
        let patience = self.patience("taking it back");
        let mut tries = 1;
        while matches!(self.standing().membership, Membership::Rebuilding { .. }) {
            self.given_users(&patience).await?;
            // The check of the relay does not wait for a node that is away.
            patience.until_done(|| Schema::of(self.target)).await?;
            let target = self.target.name();
            match self.relay.readmit(target, Readmission::Copied).await {
                Ok(_) => {}
                Err(ReplicaError::NotCopied { .. }) if tries < MAX_CHECKS => {
                    tries += 1;
                    self.sleep(CHECK_PACE).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.enter(Step::Proof)
    }

    async fn prove(&self) -> Result<(), WorkError> {
        loop {
            self.catch_up().await?;
            let patience = self.patience("making continuous queries");
            target_schema::queries(self.source, self.target, &patience, self.progress).await?;
            self.patience("comparing");
            let folder = self.file.folder();
            let proof = proof::of(self.relay, self.source, self.target, folder, self.progress);
            match proof.await {
                // One was away for a while.
                Err(WorkError::Node(
                    error @ (NodeError::Unreachable { .. } | NodeError::Busy { .. }),
                )) => {
                    self.progress
                        .step(format!("comparing, and waiting: {error}"));
                    self.sleep(self.relay.settings().retry_max).await?;
                }
                proven => return proven,
            }
        }
    }

    /// Waits until the target is fresh.
    async fn catch_up(&self) -> Result<(), WorkError> {
        self.patience("it is sent what was written meanwhile");
        loop {
            let standing = self.standing();
            match &standing.membership {
                Membership::Following if standing.is_fresh() => return Ok(()),
                Membership::Following => {}
                Membership::Diverged(divergence) | Membership::Rebuilding { divergence, .. } => {
                    return Err(WorkError::Impossible(format!(
                        "{} was set aside before it had caught up: {}",
                        self.target.name(),
                        divergence.reason
                    )));
                }
            }
            self.progress.step(format!(
                "it is sent what was written meanwhile: {} records to go",
                standing.behind
            ));
            self.sleep(LOOK_PACE).await?;
        }
    }
}

/// Whether an error says that there is no such database or policy.
fn is_gone(error: &NodeError) -> bool {
    let NodeError::Refused { reason, .. } = error else {
        return false;
    };
    reason.starts_with("database not found") || reason.starts_with("retention policy not found")
}
