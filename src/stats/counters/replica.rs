//! A replica, and its state.

use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Counter, Gauge};

/// One replica of a relay.
#[derive(Debug)]
pub struct ReplicaStats {
    /// The server's name.
    pub name: String,
    /// Every record up to this sequence has a verdict here.
    pub cursor: Gauge,
    /// Bytes of the journal's records up to the cursor, since its birth.
    pub cursor_offset: Gauge,
    /// When the oldest record without a verdict was appended, Unix time in milliseconds; 0 when there is none.
    pub oldest_pending: Gauge,
    /// How long it will take to catch up at the pace of the last seconds, in milliseconds; 0 when that cannot be said.
    pub catch_up: Gauge,
    /// The release of InfluxDB that it named last, e.g. `1.8.10`; nothing before its first answer.
    pub version: ArcSwapOption<String>,
    /// Its state.
    pub state: ArcSwap<ReplicaState>,
    /// 1 while something that it was sent and did not answer may still be carried out, or is to be sent again for it.
    pub in_doubt: Gauge,
    /// Requests sent.
    pub requests: Counter,
    /// Requests that must be sent again.
    pub retries: Counter,
    /// Requests that were larger than it takes, and went again in smaller ones or were refused for it.
    pub too_large: Counter,
    /// Bytes of a request that it is sent at once since it refused a larger one; 0 while it has not.
    pub request_limit: Gauge,
    /// Records applied.
    pub applied: Counter,
    /// Records refused for good.
    pub refused: Counter,
    /// Records whose points were too old for their retention policy when they came.
    pub expired: Counter,
    /// Records that ended without a verdict and are tried again.
    pub tried: Gauge,
    /// Records that were set aside because they ended without a verdict too often, or by a person.
    pub set_aside: Counter,
    /// What went wrong last, with the time.
    pub last_error: ArcSwapOption<(SystemTime, String)>,
    /// Its lanes, as they stood a moment ago.
    pub lanes: ArcSwap<LanesReading>,
}

/// The lanes of a replica, one for each database of which records were read for it and have no verdict.
#[derive(Debug, Default)]
pub struct LanesReading {
    /// How many there are.
    pub waiting: u64,
    /// Those whose oldest record has waited longest, the slowest first.
    pub slowest: Vec<LaneReading>,
}

/// One lane of a replica.
#[derive(Debug)]
pub struct LaneReading {
    /// The database.
    pub database: String,
    /// Records of it that were read and have no verdict.
    pub records: u64,
    /// Of those, the ones in the request that is under way.
    pub under_way: u64,
    /// Since when the oldest one has waited.
    pub since: SystemTime,
    /// Whether the oldest one is tried again and again, because the replica does not take it as things are.
    pub is_held: bool,
}

/// The states of a replica, in DESIGN's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// Has applied everything.
    Fresh,
    /// Is applying what it missed.
    Lagging,
    /// Cannot be reached or does not accept.
    Down,
    /// Its server is in maint: nothing is sent to it because a person ordered so.
    Maint,
    /// Missed records for good, or is not the node it was: to be rebuilt.
    Diverged,
}

/// A replica's state and since when.
#[derive(Debug, Clone)]
pub struct ReplicaState {
    /// The state.
    pub status: ReplicaStatus,
    /// Since when.
    pub since: SystemTime,
}
