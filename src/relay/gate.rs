//! The gate before the journal: whoever changes nodes past the journal closes it for a moment, so that no change of a client
//! overtakes, or is overtaken by, that change.
//!
//! A closed gate makes appends wait, and they wait briefly: it opens when its [holder](GateClosed) lets it go, or by itself when
//! its time is over. An append holds the gate's state for as long as it lasts, so a gate that is closed has no append under way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::journal::AppendError;
use crate::relay::intake::relay::Relay;
use crate::relay::tenure::{Tenure, TenureEnded};
use crate::stats::Counter;

/// Before the journal of one relay.
#[derive(Debug)]
pub(in crate::relay) struct Gate {
    /// A closed one is open from then on, whatever becomes of its holder.
    closed_until: watch::Sender<Option<Instant>>,
    /// Counts appends that wait.
    waits: Counter,
}

/// Closes a relay's gate for as long as it lives, and no longer than it was asked for.
#[derive(Debug)]
pub struct GateClosed<'relay> {
    gate: &'relay Gate,
    until: Instant,
}

/// Some replica has not applied all that the journal holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSettled {
    /// The journal did not commit in time what it was given.
    #[error("the journal does not get on")]
    Journal,
    /// The journal has ended.
    #[error("the journal takes no more: {0}")]
    Ended(AppendError),
    /// These replicas follow, and have not applied all of it.
    #[error("{} has not applied all writes in time", .0.join(", "))]
    Behind(Vec<String>),
}

/// Why the gate is open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Somebody else has closed it.
    #[error("the relay's gate is closed already")]
    IsClosed,
    /// A node that is to hold all of it does not follow the journal.
    #[error(transparent)]
    Ended(#[from] TenureEnded),
    /// With the gate open or closed, the replicas did not come so far.
    #[error(transparent)]
    NotSettled(#[from] NotSettled),
}

impl Gate {
    /// An open one.
    pub(in crate::relay) fn new(waits: Counter) -> Gate {
        Gate {
            closed_until: watch::Sender::default(),
            waits,
        }
    }

    /// Runs `append` while the gate is open: at once, or when it is opened. `append` must neither block nor come here again.
    pub(in crate::relay) async fn pass<T>(&self, append: impl FnOnce() -> T) -> T {
        let mut waits = false;
        loop {
            let until = {
                // Held across the append: a gate cannot be closed before it has ended.
                let closed = self.closed_until.borrow();
                match *closed {
                    Some(until) if Instant::now() < until => until,
                    Some(_) | None => return append(),
                }
            };
            if !std::mem::replace(&mut waits, true) {
                self.waits.increment();
            }
            let mut closed = self.closed_until.subscribe();
            let opened = closed.wait_for(Option::is_none);
            // Over or opened: the loop looks.
            drop(timeout_at(until.into(), opened).await);
        }
    }

    /// Closes it for no longer than this, unless it is closed: when this returns, no append is under way.
    fn close(&self, longest: Duration) -> Option<GateClosed<'_>> {
        let mut is_own = false;
        let now = Instant::now();
        let until = now + longest;
        self.closed_until.send_if_modified(|closed| {
            is_own = closed.is_none_or(|until| until <= now);
            if is_own {
                *closed = Some(until);
            }
            is_own
        });
        is_own.then_some(GateClosed { gate: self, until })
    }
}

impl GateClosed<'_> {
    /// Whether it is closed: whoever holds it changes nothing any more once it is open.
    pub fn is_closed(&self) -> bool {
        !self.left().is_zero()
    }

    /// For how long it stays closed.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Drop for GateClosed<'_> {
    fn drop(&mut self) {
        // Over, it may be somebody else's by now.
        let is_own = |until: &mut Instant| *until == self.until;
        let closed = &self.gate.closed_until;
        closed.send_if_modified(|closed| closed.take_if(is_own).is_some());
    }
}

impl Relay {
    /// Returns once every replica that follows has a verdict on all that was appended before this call, and nothing that may
    /// still change its data behind its back. A replica that is diverged or being rebuilt is not waited for.
    ///
    /// # Errors
    /// [`NotSettled`]: not within this time.
    pub async fn settled(&self, within: Duration) -> Result<(), NotSettled> {
        self.are_settled(within, |_| true).await
    }

    /// The same of those whose names are `awaited`.
    async fn are_settled(
        &self,
        within: Duration,
        awaited: impl Fn(&str) -> bool,
    ) -> Result<(), NotSettled> {
        let began = Instant::now();
        let flushed = tokio::time::timeout(within, self.journal.flush()).await;
        flushed
            .map_err(|_| NotSettled::Journal)?
            .map_err(NotSettled::Ended)?;
        let mark = self.journal.barrier().sequence;
        let behind = || {
            let replicas = self.replicas.iter().filter(|replica| {
                replica.follows()
                    && awaited(&replica.stats.name)
                    && !self.freshness.is_settled(replica.index, mark)
            });
            replicas
                .map(|replica| replica.stats.name.clone())
                .collect::<Vec<_>>()
        };
        let left = within.saturating_sub(began.elapsed());
        let settled = self
            .freshness
            .wait_for(left, || behind().is_empty().then_some(()));
        match settled.await {
            Some(()) => Ok(()),
            None => match behind() {
                behind if behind.is_empty() => Ok(()),
                behind => Err(NotSettled::Behind(behind)),
            },
        }
    }

    /// Closes the gate: while what is returned lives, nothing is appended to the journal, and each replica that follows and whose
    /// name is `awaited` has applied all of it. Clients whose writes come meanwhile wait. It opens by itself after `heal.gate`; the
    /// replicas may take `within` to come near before it is closed, and must come to the end while it is.
    ///
    /// # Errors
    /// [`GateError`]: the gate is open.
    pub async fn close_gate(
        &self,
        within: Duration,
        awaited: impl Fn(&str) -> bool,
    ) -> Result<GateClosed<'_>, GateError> {
        self.all_follow(&awaited)?;
        // Replicas that are far behind keep no client waiting.
        self.are_settled(within, &awaited).await?;
        let longest = self.settings.heal.gate;
        let closed = self.gate.close(longest).ok_or(GateError::IsClosed)?;
        self.are_settled(closed.left(), &awaited).await?;
        // Nothing is awaited of one that does not follow, and nothing may be taken from it.
        self.all_follow(&awaited)?;
        Ok(closed)
    }

    fn all_follow(&self, awaited: impl Fn(&str) -> bool) -> Result<(), TenureEnded> {
        let replicas = self.replicas.iter();
        let mut awaited = replicas.filter(|replica| awaited(&replica.stats.name));
        awaited.try_for_each(|replica| Tenure::of(replica).map(drop))
    }

    /// Returns when points of these databases may be changed on the replicas of these names past the journal, while its gate is
    /// closed: from then on none of them is sent again what the journal holds now, or asked for what may be removed, also after
    /// a crash.
    ///
    /// # Errors
    /// [`NotSettled`]: that is not noted on disk in the gate's time.
    pub async fn will_change(
        &self,
        closed: &GateClosed<'_>,
        names: &[String],
        databases: &BTreeSet<String>,
    ) -> Result<(), NotSettled> {
        let replicas = self.replicas.iter();
        let replicas: Vec<_> = replicas
            .filter(|replica| names.contains(&replica.stats.name))
            .collect();
        for replica in &replicas {
            let changed = replica.changed_past();
            changed.send_modify(|waiting| waiting.extend(databases.iter().cloned()));
        }
        let mut behind = Vec::new();
        for replica in replicas {
            let mut waiting = replica.changed_past().subscribe();
            let noted = waiting.wait_for(|waiting| waiting.is_disjoint(databases));
            // Its sender is the replica's, which this holds.
            if tokio::time::timeout(closed.left(), noted).await.is_err() {
                behind.push(replica.stats.name.clone());
                // Later it would be noted at another place.
                let changed = replica.changed_past();
                changed.send_modify(|waiting| waiting.retain(|name| !databases.contains(name)));
            }
        }
        match behind.is_empty() {
            true => Ok(()),
            false => Err(NotSettled::Behind(behind)),
        }
    }
}

#[cfg(test)]
mod tests;
