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
mod obstacle;
mod patience;
mod plan;
mod points;
mod proof;
mod refusals;
mod run;
mod shard_tar;
mod source;
mod standing;
mod target_schema;

use std::path::Path;
use std::sync::Arc;

use log::warn;

use super::error::WorkError;
use super::mend::LiftedLimits;
use super::node::{Node, NodeError};
use super::one_node;
use super::progress::Progress;
use super::schema::{Schema, User};
use crate::control::{HealOrder, Passwords};
use crate::relay::{HeldBy, RebuildHold, Relay, TenureEnded};

use finished::Finished;
use plan::{Plan, PlanFile, Step};
use run::Run;
use source::{choose_source, find, target_of};
use standing::standing;

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
    if fits && let Err(ended) = relay.tenure_since(&plan.source, plan.incarnation) {
        warn!(
            "relay {}: {}",
            relay.stats().name,
            source_ended(&plan, &ended)
        );
        return None;
    }
    fits.then(|| HealOrder::Rebuild {
        target: plan.target,
        source: Some(plan.source),
        users: Passwords::default(),
    })
}

/// What a person is to know where the source of a rebuild is not the node any more that it was.
fn source_ended(plan: &Plan, ended: &TenureEnded) -> String {
    let Plan { target, source, .. } = plan;
    let end = match plan.step {
        Step::Proof => format!("{target} serves, and was not compared to the end: haflux compare"),
        Step::Pin | Step::Wipe | Step::Points | Step::Readmit => format!(
            "{target} holds what was copied until then; from another node: haflux replica rebuild {target} --from NODE, which drops that and begins again; or, if no node has more: haflux replica readmit {target} --as-it-is"
        ),
    };
    format!(
        "{source} cannot be copied from any more: {}; {end}",
        ended.reason
    )
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
    let prepared = prepare(relay, nodes, &file, order, progress).await;
    let (hold, mut plan) = prepared.inspect_err(|_| {
        progress.note("Nothing was begun, and nothing that the node holds was dropped.");
    })?;
    progress.set_goes_on(true);
    let finished = async {
        let tenure = relay.tenure_since(&plan.source, plan.incarnation);
        let tenure = tenure.map_err(NodeError::from)?;
        let mut run = Run {
            relay,
            hold: &hold,
            target: &target_of(nodes, &plan.target)?.at_once(),
            nodes,
            source: &find(nodes, &plan.source)?.during(Some(tenure)),
            users: order.users,
            progress,
            file: &file,
            plan: &mut plan,
        };
        run.finish().await
    };
    match finished.await {
        Ok(()) => file.remove(),
        // All else is done: begun again, a rebuild begins with its first step.
        Err(error @ WorkError::Unread(_)) => {
            progress.set_goes_on(false);
            file.remove()?;
            Err(error)
        }
        Err(error) => {
            let error = match error {
                WorkError::Node(NodeError::Ended(ended)) if ended.name == plan.source => {
                    progress.set_goes_on(false);
                    WorkError::Impossible(source_ended(&plan, &ended))
                }
                error => error,
            };
            plan.stopped = Some(error.to_string());
            file.write(&plan)?;
            Err(error)
        }
    }
}

/// Holds the target, and finds out what is to be done.
async fn prepare(
    relay: &Arc<Relay>,
    nodes: &[Node],
    file: &PlanFile,
    order: &Rebuild<'_>,
    progress: &Progress,
) -> Result<(RebuildHold, Plan), WorkError> {
    target_schema::are_sayable(&target_of(nodes, order.target)?, order.users)?;
    let hold = relay.hold_for_rebuild(order.target, HeldBy::Rebuild)?;
    let plan = begin(relay, nodes, file, order, progress).await?;
    Ok((hold, plan))
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
    let target = &target_of(nodes, order.target)?;
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
    let own = target.own_accounts();
    let is_there = |user: &User| {
        asker == Some(&user.name)
            || own.contains_key(&user.name)
            || held.iter().any(|held| held.name == user.name)
    };
    let lacking = wanted.into_iter().filter(|user| !is_there(user));
    Ok(lacking.map(|user| user.name).collect())
}

/// What was noted of this rebuild, if it can go on. One that stopped, because its source is not the node that it was, is begun anew
/// only if a person names a source.
fn goes_on(relay: &Relay, file: &PlanFile, order: &Rebuild<'_>) -> Result<Option<Plan>, WorkError> {
    let membership = standing(relay, order.target).membership;
    let noted = file.read()?;
    Ok(noted.filter(|plan| {
        let is_done_with = plan.stopped.is_some()
            && order.source.is_some()
            && relay.tenure_since(&plan.source, plan.incarnation).is_err();
        !is_done_with
            && plan.target == order.target
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
    let target = &target_of(nodes, order.target)?;
    if let Some(mut plan) = goes_on(relay, file, order)? {
        progress.note(format!(
            "It goes on where it was: step {}, from {}.",
            plan.step, plan.source
        ));
        plan.stopped = None;
        return Ok(plan);
    }
    let source = choose_source(relay, nodes, order, progress).await?;
    let Some(tenure) = relay.tenure(source.name()) else {
        let reason = format!("{} does not follow the journal any more", source.name());
        return Err(WorkError::Impossible(reason));
    };
    let plan = Plan::new(target.name(), source.name(), tenure.incarnation());
    let source = &source.during(Some(tenure));
    // A mend that was cut off may have left limits lifted there.
    let limits = LiftedLimits::of(file.folder());
    let of_source = std::slice::from_ref(source);
    let known = relay.nodes();
    let restored = limits.restore(of_source, &known, false, progress);
    restored.await?;
    // Nothing is touched before both have been asked for all that will be needed.
    Schema::of(source).await?;
    target_schema::first_administrator(target).await?;
    Schema::of(target).await?;
    one_node::is_apart(target, &target.process().await?, nodes).await?;
    Finished::forget(file.folder())?;
    file.write(&plan)?;
    Ok(plan)
}
