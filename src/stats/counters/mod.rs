//! What is counted. Plain atomics, `Relaxed`: a view may be a moment apart from another.
//!
//! A clone counts the same things: the counters of a server or backend outlive a reload that changes its facts, such as a weight.

use std::sync::Arc;
use std::time::SystemTime;

use crate::stats::queries::QueryTable;

mod backend;
mod frontend;
mod log;
mod number;
mod relay;
mod replica;
mod traffic;
mod udp;

pub use backend::{BackendStats, BarrierStats, LastCheck, ServerState, ServerStats, ServerStatus};
pub use frontend::{FrontendStats, ThrottleStats};
pub use log::{LogStats, LogTargetStats};
pub use number::{BudgetStats, Counter, Gauge, GaugeGuard};
pub use relay::{ComparedStats, JournalStats, MissedRunsStats, RelayStats};
pub use replica::{LaneReading, LanesReading, ReplicaState, ReplicaStats, ReplicaStatus};
pub use traffic::{Abort, Durations, Finished, RequestTimes, Responses, Traffic};
pub use udp::UdpStats;

/// Everything that is counted, for the views.
#[derive(Debug)]
pub struct Stats {
    /// When the process started.
    pub started: SystemTime,
    /// In the order of the configuration.
    pub frontends: Vec<Arc<FrontendStats>>,
    /// In the order of the configuration.
    pub backends: Vec<Arc<BackendStats>>,
    /// In the order of the configuration.
    pub relays: Vec<Arc<RelayStats>>,
    /// In the order of the configuration.
    pub udp: Vec<Arc<UdpStats>>,
    /// Bytes of requests to replicated pools that are held now.
    pub query_inflight: Arc<BudgetStats>,
    /// Requests to replicated pools that were refused for holding more than a limit lets them.
    pub queries_refused: Counter,
    /// The fingerprints of queries.
    pub query_table: Arc<QueryTable>,
    /// The log.
    pub log: Arc<LogStats>,
}
