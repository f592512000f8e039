//! A pool, its servers, their checks, and the read barrier before them.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::tls::server_tls_view;
use super::traffic::traffic_view;
use super::{ServerTlsView, Status, TrafficView, clip, count};
use crate::stats::admin_state::AdminState;
use crate::stats::check_code::CheckCode;
use crate::stats::counters::{BackendStats, BarrierStats, ServerStats};
use crate::stats::units::{Count, Moment, Span};

/// One backend, with its servers.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackendView {
    /// Its name.
    pub name: String,
    /// `balance`, as the configuration says it.
    pub balance: String,
    /// Whether a request can be served now: some server with a weight is up.
    pub up: bool,
    /// How many of its servers take requests: they are up or not checked, and no order stands against it.
    pub servers_up: Count,
    /// How often its last server that was up went down.
    pub downs: Count,
    /// How long none of its servers was up, in all.
    pub down_for: Span,
    /// How long ago its first server went up, or its last one down.
    pub changed: Span,
    /// What passed it.
    pub traffic: TrafficView,
    /// Requests answered 503 because no server was up.
    pub no_server: Count,
    /// What the read barrier did, where a relay replicates to it.
    pub barrier: BarrierView,
    /// In the order of the configuration.
    pub servers: Vec<ServerView>,
}

/// What the read barrier of a backend did since the start.
#[derive(Debug, Serialize, Deserialize)]
pub struct BarrierView {
    /// Reads that wait for a fresh replica now.
    pub waiting: Count,
    /// The most that waited at once.
    pub waiting_max: Count,
    /// Reads that had to wait for a fresh replica.
    pub waits: Count,
    /// How long they waited, together; seconds when serialised.
    pub waited: Span,
    /// Reads answered by a replica that was not fresh.
    pub stale: Count,
    /// Reads answered 503 because no replica was fresh in time.
    pub rejected: Count,
    /// Answers that were thrown away because their replica was set back meanwhile.
    pub repeated: Count,
}

/// One server of a backend.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerView {
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Up, down, not checked, or what a person ordered.
    pub status: Status,
    /// What a person ordered.
    pub admin: AdminState,
    /// Since when it is so.
    pub since: Moment,
    /// Why it is so.
    pub reason: String,
    /// Its weight now.
    pub weight: u32,
    /// Whether it is a backup.
    pub backup: bool,
    /// What passed it.
    pub traffic: TrafficView,
    /// Connections that were tried to be made.
    pub connects: Count,
    /// Requests that went over a connection that was idle.
    pub reuses: Count,
    /// Connections that could not be made.
    pub connect_errors: Count,
    /// Answers that broke off or never came.
    pub response_errors: Count,
    /// Times that it ended while it had a request.
    pub ends: Count,
    /// Requests that were moved to another server.
    pub redispatches: Count,
    /// The last check, if one was made.
    pub last_check: Option<CheckView>,
    /// Failed checks.
    pub check_failures: Count,
    /// Times it went from up to down.
    pub downs: Count,
    /// How long it was down, in all.
    pub down_for: Span,
    /// TLS towards it.
    pub tls: ServerTlsView,
}

impl ServerView {
    /// Its URL, without a path.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_spoken { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// The outcome of one health check.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckView {
    /// The URL that it asked, without a query; of a check that only connects, that of the server's root.
    pub asked: String,
    /// HAProxy's code.
    pub code: CheckCode,
    /// The HTTP status that it was answered with, if any.
    pub status: Option<u16>,
    /// When it ended.
    pub at: Moment,
    /// How long it took; seconds when serialised.
    pub took: Span,
    /// For a person: what was wrong.
    pub detail: String,
}

pub(super) fn read(stats: &BackendStats, now: SystemTime) -> BackendView {
    let BackendStats {
        name,
        balance,
        traffic,
        no_server,
        outages,
        barrier,
        servers,
    } = stats;
    let servers: Vec<ServerView> = servers.iter().map(|s| server(s, now)).collect();
    let running = || servers.iter().filter(|s| s.status.takes_requests());
    let outages = outages.read();
    BackendView {
        name: name.clone(),
        balance: balance.clone(),
        up: running().any(|server| server.weight > 0),
        servers_up: count(running()),
        downs: Count(outages.count),
        down_for: Span(outages.time),
        changed: Span(outages.since_change),
        traffic: traffic_view(traffic),
        no_server: Count(no_server.get()),
        barrier: barrier_view(barrier),
        servers,
    }
}

fn barrier_view(stats: &BarrierStats) -> BarrierView {
    let BarrierStats {
        waiting,
        waits,
        waited_micros,
        stale,
        rejected,
        repeated,
    } = stats;
    BarrierView {
        waiting: Count(waiting.get()),
        waiting_max: Count(waiting.highest()),
        waits: Count(waits.get()),
        waited: Span(Duration::from_micros(waited_micros.get())),
        stale: Count(stale.get()),
        rejected: Count(rejected.get()),
        repeated: Count(repeated.get()),
    }
}

pub(super) fn server(stats: &ServerStats, now: SystemTime) -> ServerView {
    let ServerStats {
        name,
        address,
        weight,
        backup,
        traffic,
        connects,
        reuses,
        connect_errors,
        response_errors,
        ends,
        redispatches,
        state,
        check_failures,
        outages,
        last_check,
        tls,
    } = stats;
    let state = state.load();
    let outages = outages.read();
    ServerView {
        name: name.clone(),
        address: address.clone(),
        status: state.status.into(),
        admin: state.admin,
        since: Moment::new(state.since, now),
        reason: clip(&state.reason),
        weight: weight.load(Ordering::Relaxed),
        backup: *backup,
        traffic: traffic_view(traffic),
        connects: Count(connects.get()),
        reuses: Count(reuses.get()),
        connect_errors: Count(connect_errors.get()),
        response_errors: Count(response_errors.get()),
        ends: Count(ends.get()),
        redispatches: Count(redispatches.get()),
        last_check: last_check.load().as_deref().map(|check| CheckView {
            asked: check.asked.clone(),
            code: check.code,
            status: check.status,
            at: Moment::new(check.at, now),
            took: Span(check.took),
            detail: clip(&check.detail),
        }),
        check_failures: Count(check_failures.get()),
        downs: Count(outages.count),
        down_for: Span(outages.time),
        tls: server_tls_view(tls, now),
    }
}
