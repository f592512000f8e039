//! One rebuild under way: its steps.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::info;

use super::finished::Finished;
use super::patience::Patience;
use super::plan::{Plan, PlanFile, Step};
use super::points::{Copier, is_gone};
use super::refusals::Refusals;
use super::standing::{LOOK_PACE, Standing, standing};
use super::{proof, target_schema};
use crate::control::Passwords;
use crate::heal::error::WorkError;
use crate::heal::mend::LiftedLimits;
use crate::heal::node::{Node, NodeError};
use crate::heal::one_node;
use crate::heal::progress::Progress;
use crate::heal::schema::Schema;
use crate::relay::{Membership, Readmission, RebuildHold, Relay, ReplicaError};
use crate::stats::units::Span;

/// How often the relay checks a target that answers before it is refused.
const MAX_CHECKS: u32 = 5;

/// Between two of these checks.
const CHECK_PACE: Duration = Duration::from_secs(1);

/// How often a target that loses its data while it is filled is filled from the beginning.
const MAX_BEGINNINGS: u32 = 3;

/// One rebuild under way.
pub(super) struct Run<'a> {
    pub(super) relay: &'a Arc<Relay>,
    /// Of the target.
    pub(super) hold: &'a RebuildHold,
    pub(super) target: &'a Node,
    pub(super) source: &'a Node,
    /// All nodes of the relay that have an address.
    pub(super) nodes: &'a [Node],
    pub(super) users: &'a Passwords,
    pub(super) progress: &'a Progress,
    pub(super) file: &'a PlanFile,
    pub(super) plan: &'a mut Plan,
}

impl<'a> Run<'a> {
    /// Does the step that is noted, and those behind it.
    ///
    /// # Errors
    /// [`WorkError`]: what stands against it.
    pub(super) async fn finish(&mut self) -> Result<(), WorkError> {
        let mut beginnings = 1;
        loop {
            let step = self.plan.step;
            match step {
                Step::Pin => self.pin().await?,
                Step::Wipe => self.wipe().await?,
                Step::Points if self.points().await? => {}
                Step::Readmit if self.readmit().await? => {}
                Step::Points | Step::Readmit if beginnings < MAX_BEGINNINGS => {
                    beginnings += 1;
                    self.progress.note(format!(
                        "{} lost what was copied to it: it is copied again from the beginning.",
                        self.target.name()
                    ));
                    self.enter(Step::Wipe)?;
                }
                Step::Points | Step::Readmit => {
                    return Err(WorkError::Impossible(format!(
                        "{} loses what is copied to it",
                        self.target.name()
                    )));
                }
                Step::Proof => return self.prove().await,
            }
        }
    }

    /// Notes that this step begins.
    fn enter(&mut self, step: Step) -> Result<(), WorkError> {
        self.plan.step = step;
        self.file.write(self.plan)
    }

    /// What is tried until it is done, or a person ends it.
    fn patience(&self, phase: &str) -> Patience<'a> {
        info!(
            "relay {}: rebuild of {}: {phase}",
            self.relay.stats().name,
            self.target.name()
        );
        let settings = self.relay.settings();
        Patience::new(
            self.progress,
            [self.source, self.target],
            phase,
            settings.retry_min,
            settings.retry_max,
        )
    }

    /// From here on the journal is kept for the target, which gets nothing and answers nothing.
    async fn pin(&mut self) -> Result<(), WorkError> {
        self.progress.step("pinning the journal");
        let end = Instant::now() + self.relay.settings().timeout;
        loop {
            match self.relay.begin_rebuild(self.hold).await {
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
        let process = patience.until_done(|| self.target.process()).await?;
        one_node::is_apart(self.target, &process, self.nodes).await?;
        Finished::forget(self.file.folder())?;
        self.relay.begin_copy(self.hold).await?;
        target_schema::wipe(self.target, &schema, &patience).await?;
        LiftedLimits::of(self.file.folder()).forget_node(self.target.name())?;
        let patience = self.patience("making databases, policies and users");
        target_schema::databases(self.target, &schema, &patience).await?;
        self.make_users(&schema, &patience).await?;
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
            let left = left.min(self.relay.settings().rewind);
            self.progress.waits(format!(
                "waiting until nothing is under way to it any more, {} at most",
                Span(left)
            ));
            self.sleep(left).await?;
        }
        Ok(())
    }

    async fn sleep(&self, time: Duration) -> Result<(), WorkError> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.progress.cancelled() => Err(WorkError::Cancelled),
        }
    }

    async fn target_has_its_databases(&self, patience: &Patience<'_>) -> Result<bool, WorkError> {
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
    async fn points(&mut self) -> Result<bool, WorkError> {
        let patience = self.patience("copying points");
        if !self.target_has_its_databases(&patience).await? {
            return Ok(false);
        }
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
            refusals: Refusals::default(),
        };
        match copier.all().await {
            Err(WorkError::Node(error)) if is_gone(&error) => return Ok(false),
            copied => copied?,
        }
        let schema = patience.until_done(|| Schema::of(self.source)).await?;
        target_schema::last_settings(self.target, &schema, &patience).await?;
        self.enter(Step::Readmit)?;
        Ok(true)
    }

    /// Waits until the source has applied all that stands before the pin, which the target is not sent.
    async fn source_has_the_pin(&self) -> Result<(), WorkError> {
        loop {
            self.source.is_itself()?;
            let source = standing(self.relay, self.source.name());
            if source.cursor >= self.plan.pin {
                return Ok(());
            }
            self.progress.waits(format!(
                "waiting for {}, which has applied {} records of {}",
                self.source.name(),
                source.cursor,
                self.plan.pin
            ));
            self.sleep(LOOK_PACE).await?;
        }
    }

    /// Makes the users whose passwords a person has given only now.
    async fn given_users(&mut self, patience: &Patience<'_>) -> Result<(), WorkError> {
        if self.users.0.is_empty() {
            return Ok(());
        }
        let schema = patience.until_done(|| Schema::of(self.source)).await?;
        self.make_users(&schema, patience).await
    }

    /// Makes users, and notes those that are made.
    async fn make_users(
        &mut self,
        schema: &Schema,
        patience: &Patience<'_>,
    ) -> Result<(), WorkError> {
        let made = &mut self.plan.users;
        let users = target_schema::users(
            self.target,
            schema,
            self.users,
            made,
            patience,
            self.progress,
        );
        let done = users.await;
        self.file.write(self.plan)?;
        done
    }

    /// False: as [`points`](Self::points).
    async fn readmit(&mut self) -> Result<bool, WorkError> {
        let patience = self.patience("taking it back");
        let mut tries = 1;
        while matches!(self.standing().membership, Membership::Rebuilding { .. }) {
            self.given_users(&patience).await?;
            // This waits for a node that is away, as the check of the relay does not.
            if !self.target_has_its_databases(&patience).await? {
                return Ok(false);
            }
            match self.relay.readmit(self.hold, Readmission::Copied).await {
                Ok(_) => {}
                Err(ReplicaError::NotCopied { .. }) if tries < MAX_CHECKS => {
                    tries += 1;
                    self.sleep(CHECK_PACE).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.enter(Step::Proof)?;
        Ok(true)
    }

    async fn prove(&self) -> Result<(), WorkError> {
        loop {
            self.catch_up().await?;
            let patience = self.patience("making continuous queries");
            let queries =
                target_schema::queries(self.source, self.target, &patience, self.progress);
            let refused = queries.await?;
            self.patience("comparing");
            let folder = self.file.folder();
            let Some(tenure) = self.relay.tenure(self.target.name()) else {
                continue;
            };
            let nodes = [self.source.clone(), self.target.during(Some(tenure))];
            match proof::of(self.relay, &nodes, folder, &refused, self.progress).await {
                // One was away for a while.
                Err(WorkError::Node(
                    error @ (NodeError::Unreachable { .. } | NodeError::Busy { .. }),
                )) => {
                    self.progress
                        .waits(format!("comparing, and waiting: {error}"));
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
