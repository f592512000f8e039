//! What the control socket may do to the replicas of all relays.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::config::model;
use crate::control::{ControlError, ReplicaReport, Replicas};
use crate::proxy::Proxy;
use crate::relay::{HeldBy, Membership, Readmission, Relay, ReplicaError};
use crate::stats::units::Span;
use crate::stats::{ReplicaStats, ReplicaStatus};

/// The relays, with the configuration that counts now.
pub(super) struct AllReplicas {
    pub(super) proxy: Arc<Proxy>,
    pub(super) relays: Vec<Arc<Relay>>,
}

impl AllReplicas {
    /// The one relay that is meant.
    fn find(&self, relay: Option<&str>, name: &str) -> Result<&Arc<Relay>, ControlError> {
        let meant = |candidate: &&Arc<Relay>| {
            relay.is_none_or(|relay| candidate.stats().name == relay)
                && candidate
                    .memberships()
                    .iter()
                    .any(|(replica, _)| replica == name)
        };
        let found: Vec<&Arc<Relay>> = self.relays.iter().filter(meant).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(ControlError::UnknownReplica {
                name: name.to_owned(),
                known: self.names(),
            }),
            several => Err(ControlError::Ambiguous {
                name: name.to_owned(),
                relays: several
                    .iter()
                    .map(|relay| relay.stats().name.clone())
                    .collect(),
            }),
        }
    }

    fn names(&self) -> Vec<String> {
        let places = self.relays.iter().flat_map(|relay| relay.memberships());
        places.map(|(name, _)| name).collect()
    }
}

fn refused(error: ReplicaError) -> ControlError {
    let reason = error.to_string();
    match error {
        ReplicaError::Disk(_) => ControlError::Failed { reason },
        ReplicaError::Unknown { .. }
        | ReplicaError::NothingToCopy
        | ReplicaError::Follows(_)
        | ReplicaError::NotFollowing(_)
        | ReplicaError::Judged { .. }
        | ReplicaError::NoSuchRecord { .. }
        | ReplicaError::UnderWay { .. }
        | ReplicaError::NotCopied { .. }
        | ReplicaError::HalfCopied(_)
        | ReplicaError::OthersFollow { .. }
        | ReplicaError::Copies(_)
        | ReplicaError::Ordered(_)
        | ReplicaError::NotBegun(_) => ControlError::NotNow { reason },
    }
}

/// For one that is catching up.
fn to_go(replica: &ReplicaStats) -> Option<String> {
    let left = Duration::from_millis(replica.catch_up.get());
    (!left.is_zero()).then(|| {
        format!(
            "it is catching up; at this pace it takes {} more",
            Span(left)
        )
    })
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether what failed at this time may be tried again and again still: each try fails anew, after the longest wait and the time of a
/// request at most.
fn is_still_tried(failed: SystemTime, settings: &model::Relay) -> bool {
    let longest = settings.retry_max.saturating_add(settings.timeout);
    // A clock that was set back says nothing.
    failed.elapsed().map_or(true, |ago| ago <= longest)
}

fn report(
    relay: &Relay,
    address: String,
    replica: &ReplicaStats,
    place: &Membership,
) -> ReplicaReport {
    let stats = relay.stats();
    let state = replica.state.load();
    let (cursor, offset) = (replica.cursor.get(), replica.cursor_offset.get());
    let oldest = replica.oldest_pending.get();
    let now = milliseconds(SystemTime::now());
    let name = match (place, state.status) {
        (Membership::Rebuilding { .. }, _) => "rebuilding",
        (Membership::Diverged(_), _) | (_, ReplicaStatus::Diverged) => "diverged",
        (_, ReplicaStatus::Fresh) => "fresh",
        (_, ReplicaStatus::Lagging) => "lagging",
        (_, ReplicaStatus::Down) => "down",
        (_, ReplicaStatus::Maint) => "maint",
    };
    let lag_records = stats.records_above(cursor);
    let is_behind = lag_records > 0;
    let trouble = || {
        let error = replica.last_error.load();
        let (at, text) = error.as_deref()?;
        let is_now = match state.status {
            ReplicaStatus::Down => true,
            // A single statement that waits is near enough to the head to be fresh for other databases.
            ReplicaStatus::Lagging | ReplicaStatus::Fresh => {
                is_behind && is_still_tried(*at, relay.settings())
            }
            ReplicaStatus::Maint | ReplicaStatus::Diverged => false,
        };
        is_now.then(|| text.clone())
    };
    let maint = || {
        let is_in_maint = state.status == ReplicaStatus::Maint;
        is_in_maint.then(|| {
            "its server is in maint: nothing is sent to it, and its backlog grows until: haflux server ready"
                .to_owned()
        })
    };
    ReplicaReport {
        relay: stats.name.clone(),
        name: replica.name.clone(),
        address,
        state: name.to_owned(),
        since: place.divergence().map_or_else(
            || milliseconds(state.since),
            |divergence| divergence.since.saturating_mul(1000),
        ),
        cursor,
        lag_records,
        lag_bytes: stats.head_offset.get().saturating_sub(offset),
        oldest_pending_ms: if oldest == 0 {
            0
        } else {
            now.saturating_sub(oldest)
        },
        reason: place
            .divergence()
            .map(|divergence| divergence.reason.clone())
            .or_else(maint)
            .or_else(trouble)
            .or_else(|| to_go(replica)),
    }
}

#[async_trait]
impl Replicas for AllReplicas {
    async fn status(&self) -> Vec<ReplicaReport> {
        let mut reports = Vec::new();
        let config = self.proxy.config();
        for relay in &self.relays {
            let mut settings = config.relays.iter();
            let Some(settings) = settings.find(|one| one.name == relay.stats().name) else {
                continue;
            };
            let servers = &config.backend(settings.pool).servers;
            let replicas = relay
                .stats()
                .replicas
                .iter()
                .zip(servers)
                .zip(relay.memberships());
            for ((replica, server), (_, place)) in replicas {
                reports.push(report(relay, server.address.to_string(), replica, &place));
            }
        }
        reports
    }

    async fn rebuild_begin(&self, relay: Option<&str>, name: &str) -> Result<String, ControlError> {
        let relay = self.find(relay, name)?;
        let hold = relay
            .hold_for_rebuild(name, HeldBy::Order)
            .map_err(refused)?;
        relay.begin_rebuild(&hold).await.map_err(refused)?;
        Ok(format!(
            "The journal is kept for {name} from here on. Copy the data of a fresh replica to it now (docs/operation.md), then: haflux replica readmit {name}"
        ))
    }

    async fn readmit(
        &self,
        relay: Option<&str>,
        name: &str,
        as_it_is: bool,
    ) -> Result<String, ControlError> {
        let readmission = match as_it_is {
            true => Readmission::AsItIs,
            false => Readmission::Checked,
        };
        let relay = self.find(relay, name)?;
        let hold = relay
            .hold_for_rebuild(name, HeldBy::Order)
            .map_err(refused)?;
        relay.readmit(&hold, readmission).await.map_err(refused)
    }

    async fn skip(
        &self,
        relay: Option<&str>,
        name: &str,
        sequence: u64,
    ) -> Result<String, ControlError> {
        let relay = self.find(relay, name)?;
        let is_done = relay.skip(name, sequence).await.map_err(refused)?;
        Ok(match is_done {
            true => format!(
                "Record {sequence} is set aside for {name}. If another replica took it, it is dead letter {sequence}-{name}: haflux dead-letters show {sequence}-{name}"
            ),
            false => format!(
                "Record {sequence} is noted: {name} passes over it when it comes to it, or when the request under way with it has ended."
            ),
        })
    }
}
