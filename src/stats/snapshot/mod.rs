//! One reading of everything that is counted, as plain values that a view can write.
//!
//! The counters go on while they are read, so two numbers of a snapshot may be a moment apart; where one is taken from
//! another (a lag), the order of reading keeps the result from being too good.
//!
//! Each function that reads takes its counters apart without a `..`: a counter that no view shows does not compile.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::counters::{BudgetStats, Stats};
use super::units::{Bytes, Count, Moment};

mod backend;
mod frontend;
mod logs;
mod notices;
mod problems;
mod process;
mod relay;
mod replica;
mod spread;
mod status;
mod tls;
mod traffic;
mod udp;

pub use backend::{BackendView, BarrierView, CheckView, ServerView};
pub use frontend::{FrontendView, Http2View, QueriesOfFrontend, ThrottledView};
pub use logs::{LogTargetView, LogView};
pub use notices::Notice;
pub use problems::{Problem, Severity};
pub use process::ProcessView;
pub use relay::{ComparedView, JournalView, MissedRunsView, RelayView, WorkView};
pub use replica::{ErrorView, LagView, LaneView, LanesView, ReplicaView};
pub use spread::Spread;
pub use status::Status;
pub use tls::{
    CertificateView, HandshakeFailuresView, ServerHandshakeFailuresView, ServerTlsView, StapleView,
    TlsView,
};
pub use traffic::{LastTimesView, ResponsesView, SessionsView, TimeView, TimesView, TrafficView};
pub use udp::UdpView;

/// The longest text of an error or a check that is shown, in characters; what follows is cut off with an ellipsis.
const LONGEST_TEXT: usize = 400;

/// Everything, at one moment. Serialised it is the JSON view, from which a command that asks a running haflux reads it back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// What is wrong and what to do, the worst first; empty when all is well.
    pub problems: Vec<Problem>,
    /// Servers that a person has taken out of service.
    pub notices: Vec<Notice>,
    /// How many nodes have what was written, over all relays.
    pub spread: Spread,
    /// haflux's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// What the system says of the process.
    pub process: ProcessView,
    /// When this was read.
    pub now: Moment,
    /// When the process started.
    pub started: Moment,
    /// Bytes of requests to replicated pools that are held now.
    pub query_inflight: Bytes,
    /// The most there have been at once.
    pub query_inflight_max: Bytes,
    /// Bodies of such requests that waited for room.
    pub query_inflight_waits: Count,
    /// Bodies of such requests that were refused for want of room.
    pub query_inflight_refused: Count,
    /// Requests that were refused for holding more than a limit lets them.
    pub queries_refused: Count,
    /// Fingerprints of queries that are counted.
    pub query_fingerprints: Count,
    /// Queries whose fingerprint had no room among them.
    pub query_fingerprints_left_out: Count,
    /// `KILL QUERY` that haflux sent, because a node went on with a query whose connection was closed.
    pub query_kills: Count,
    /// The log.
    pub log: LogView,
    /// In the order of the configuration.
    pub frontends: Vec<FrontendView>,
    /// In the order of the configuration.
    pub relays: Vec<RelayView>,
    /// In the order of the configuration.
    pub backends: Vec<BackendView>,
    /// In the order of the configuration.
    pub udp: Vec<UdpView>,
}

impl Snapshot {
    /// Reads all counters. Ages are seen from `now`.
    pub fn take(stats: &Stats, now: SystemTime) -> Self {
        let Stats {
            started,
            frontends,
            backends,
            relays,
            udp,
            query_inflight,
            queries_refused,
            query_table,
            log,
        } = stats;
        let BudgetStats {
            held,
            waits,
            refused,
        } = &**query_inflight;
        let relays: Vec<RelayView> = relays.iter().map(|r| relay::read(r, now)).collect();
        let mut all = Snapshot {
            problems: Vec::new(),
            notices: Vec::new(),
            spread: relays.iter().map(|relay| relay.spread).sum(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            process: ProcessView::read(),
            now: Moment::new(now, now),
            started: Moment::new(*started, now),
            query_inflight: Bytes(held.get()),
            query_inflight_max: Bytes(held.highest()),
            query_inflight_waits: Count(waits.get()),
            query_inflight_refused: Count(refused.get()),
            queries_refused: Count(queries_refused.get()),
            query_fingerprints: Count(query_table.len() as u64),
            query_fingerprints_left_out: Count(query_table.left_out.get()),
            query_kills: Count(query_table.kills.get()),
            log: logs::read(log),
            frontends: frontends.iter().map(|f| frontend::read(f, now)).collect(),
            relays,
            backends: backends.iter().map(|b| backend::read(b, now)).collect(),
            udp: udp.iter().map(|listener| udp::read(listener)).collect(),
        };
        all.problems = problems::of(&all);
        all.notices = notices::of(&all);
        all
    }

    /// How many servers the backends have.
    pub fn servers(&self) -> Count {
        count(self.backends.iter().flat_map(|backend| &backend.servers))
    }

    /// How many of them are up or not checked.
    pub fn servers_up(&self) -> Count {
        Count(self.backends.iter().map(|one| one.servers_up.0).sum())
    }

    /// Backends that can serve.
    pub fn backends_up(&self) -> Count {
        count(self.backends.iter().filter(|backend| backend.up))
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> Count {
    Count(items.count().try_into().unwrap_or(u64::MAX))
}

/// A server's error text may be as long as the server likes; a view stays small.
fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
