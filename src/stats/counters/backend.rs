//! A pool, its servers, their states, and the read barrier before them.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Counter, Gauge, Traffic};
use crate::stats::admin_state::AdminState;
use crate::stats::check_code::CheckCode;
use crate::stats::outages::Outages;
use crate::stats::tls::ServerTlsStats;

/// One backend, with its servers.
#[derive(Debug, Clone)]
pub struct BackendStats {
    /// Its name.
    pub name: String,
    /// `balance`, as the configuration says it.
    pub balance: String,
    /// What passed it.
    pub traffic: Traffic,
    /// Requests answered 503 because no server was up.
    pub no_server: Counter,
    /// Times in which none of its servers was up.
    pub outages: Arc<Outages>,
    /// The read barrier, where a relay replicates to it.
    pub barrier: BarrierStats,
    /// Its servers, in the order of the configuration.
    pub servers: Vec<Arc<ServerStats>>,
}

/// What the read barrier of a replicated backend did.
#[derive(Debug, Default, Clone)]
pub struct BarrierStats {
    /// Reads that wait for a fresh replica now.
    pub waiting: Arc<Gauge>,
    /// Reads that had to wait for a fresh replica.
    pub waits: Counter,
    /// How long they waited, in microseconds.
    pub waited_micros: Counter,
    /// Reads answered by a replica that was not fresh, and said so.
    pub stale: Counter,
    /// Reads answered 503 because no replica was fresh in time.
    pub rejected: Counter,
    /// Answers that were thrown away because their replica was set back while it executed the read; the read was sent again.
    pub repeated: Counter,
}

/// One server of a backend.
#[derive(Debug, Clone)]
pub struct ServerStats {
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Its weight now: the configuration's until a person changes it.
    pub weight: Arc<AtomicU32>,
    /// Whether it is a backup.
    pub backup: bool,
    /// What passed it.
    pub traffic: Traffic,
    /// Connections that were tried to be made.
    pub connects: Counter,
    /// Requests that went over a connection that was idle.
    pub reuses: Counter,
    /// Connections that could not be made.
    pub connect_errors: Counter,
    /// Answers that broke off or never came.
    pub response_errors: Counter,
    /// Times that it ended while it had a request, whose client then got 502 unless another server was asked.
    pub ends: Counter,
    /// Requests that were moved from this server to another one.
    pub redispatches: Counter,
    /// Its state and since when.
    pub state: Arc<ArcSwap<ServerState>>,
    /// Failed checks.
    pub check_failures: Counter,
    /// Times in which it was down.
    pub outages: Arc<Outages>,
    /// The last check.
    pub last_check: Arc<ArcSwapOption<LastCheck>>,
    /// TLS towards it.
    pub tls: ServerTlsStats,
}

impl ServerStats {
    /// A request has got a connection that was idle, or one is tried to be made for it.
    pub fn count_connection(&self, is_reused: bool) {
        match is_reused {
            true => self.reuses.increment(),
            false => self.connects.increment(),
        }
    }
}

/// Whether a server is up, and since when.
#[derive(Debug, Clone)]
pub struct ServerState {
    /// What its checks say and a person ordered, in one word.
    pub status: ServerStatus,
    /// What a person ordered.
    pub admin: AdminState,
    /// Since when.
    pub since: SystemTime,
    /// Why, as the log said it.
    pub reason: String,
}

/// HAProxy's words for a server's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerStatus {
    /// Checked and well (or not yet found otherwise).
    Up,
    /// Checked and not well.
    Down,
    /// Not checked: counts as up.
    NoCheck,
    /// Up or not checked, and gets no new requests because a person ordered so.
    Drain,
    /// Gets nothing because a person ordered so.
    Maint,
}

/// The outcome of one health check.
#[derive(Debug, Clone)]
pub struct LastCheck {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The URL that it asked, without a query, which may hold a secret.
    pub asked: String,
    /// HAProxy's code.
    pub code: CheckCode,
    /// The HTTP status that the check was answered with, if any.
    pub status: Option<u16>,
    /// For a person: what was wrong.
    pub detail: String,
}
