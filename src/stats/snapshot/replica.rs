//! A replica: how far it is behind, what it was sent, and what it answered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Status, clip};
use crate::shown;
use crate::stats::counters::{Gauge, LaneReading, LanesReading, RelayStats, ReplicaStats};
use crate::stats::units::{Bytes, Count, Moment, Span};

/// One replica of a relay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplicaView {
    /// The server's name.
    pub name: String,
    /// The release of InfluxDB that it named last; nothing before its first answer.
    pub version: Option<String>,
    /// Fresh, lagging or down.
    pub status: Status,
    /// Since when it is so.
    pub since: Moment,
    /// Whether something that it was sent and did not answer may still be carried out, or is to be sent again for it.
    pub in_doubt: bool,
    /// Every record up to this sequence has a verdict here.
    pub cursor: Count,
    /// Bytes of the journal's records up to the cursor, since its birth.
    pub cursor_offset: Bytes,
    /// How far it is behind.
    pub lag: LagView,
    /// Requests sent.
    pub requests: Count,
    /// Requests that must be sent again.
    pub retries: Count,
    /// Requests that were larger than it takes.
    pub too_large: Count,
    /// Bytes of a request that it is sent at once since it refused a larger one; 0 while it has not.
    pub request_limit: Bytes,
    /// Records applied.
    pub applied: Count,
    /// Records refused for good.
    pub refused: Count,
    /// Records whose points were too old for their retention policy.
    pub expired: Count,
    /// Records that ended without a verdict and are tried again.
    pub tried: Count,
    /// Records that were set aside because they ended without a verdict too often, or by a person.
    pub set_aside: Count,
    /// What went wrong last, if anything did.
    pub last_error: Option<ErrorView>,
    /// Its lanes.
    pub lanes: LanesView,
}

/// The lanes of a replica, one for each database of which records were read for it and have no verdict.
#[derive(Debug, Serialize, Deserialize)]
pub struct LanesView {
    /// How many there are.
    pub waiting: Count,
    /// Those whose oldest record has waited longest, the slowest first; the others are not shown.
    pub slowest: Vec<LaneView>,
}

/// One lane of a replica.
#[derive(Debug, Serialize, Deserialize)]
pub struct LaneView {
    /// The database.
    pub database: String,
    /// Records of it that were read and have no verdict.
    pub records: Count,
    /// Of those, the ones in the request that is under way.
    pub under_way: Count,
    /// Since when the oldest one has waited.
    pub since: Moment,
    /// Whether the oldest one is tried again and again, because the replica does not take it as things are.
    pub held: bool,
}

/// How far a replica is behind the head.
#[derive(Debug, Serialize, Deserialize)]
pub struct LagView {
    /// Records without a verdict.
    pub records: Count,
    /// Their bytes in the journal.
    pub bytes: Bytes,
    /// How long the oldest of them has waited.
    pub seconds: Span,
    /// How long it will take to catch up at the pace of the last seconds; nothing when that cannot be said.
    pub catch_up: Option<Span>,
}

impl LagView {
    /// Whether nothing is behind.
    pub fn is_zero(&self) -> bool {
        self.records.is_zero() && self.bytes.is_zero() && self.seconds.is_zero()
    }
}

/// What went wrong, and when.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// When.
    pub at: Moment,
    /// What.
    pub text: String,
}

pub(super) fn error_view((at, text): &(SystemTime, String), now: SystemTime) -> ErrorView {
    ErrorView {
        at: Moment::new(*at, now),
        text: clip(text),
    }
}

pub(super) fn read(stats: &ReplicaStats, relay: &RelayStats, now: SystemTime) -> ReplicaView {
    let ReplicaStats {
        name,
        version,
        cursor,
        cursor_offset,
        oldest_pending,
        catch_up,
        state,
        in_doubt,
        requests,
        retries,
        too_large,
        request_limit,
        applied,
        refused,
        expired,
        tried,
        set_aside,
        last_error,
        lanes,
    } = stats;
    let state = state.load();
    let in_doubt = in_doubt.get() != 0;
    // The replica's position is read before the head: in between the head can only grow, so the lag is never too small.
    let cursor = cursor.get();
    let cursor_offset = cursor_offset.get();
    ReplicaView {
        name: name.clone(),
        version: version.load().as_deref().map(|version| clip(version)),
        status: state.status.into(),
        since: Moment::new(state.since, now),
        in_doubt,
        cursor: Count(cursor),
        cursor_offset: Bytes(cursor_offset),
        lag: LagView {
            records: Count(relay.records_above(cursor)),
            bytes: Bytes(relay.head_offset.get().saturating_sub(cursor_offset)),
            seconds: Span(waiting_since(oldest_pending, now)),
            catch_up: match catch_up.get() {
                0 => None,
                left => Some(Span(Duration::from_millis(left))),
            },
        },
        requests: Count(requests.get()),
        retries: Count(retries.get()),
        too_large: Count(too_large.get()),
        request_limit: Bytes(request_limit.get()),
        applied: Count(applied.get()),
        refused: Count(refused.get()),
        expired: Count(expired.get()),
        tried: Count(tried.get()),
        set_aside: Count(set_aside.get()),
        last_error: last_error
            .load()
            .as_deref()
            .map(|error| error_view(error, now)),
        lanes: lanes_view(&lanes.load(), now),
    }
}

fn lanes_view(reading: &LanesReading, now: SystemTime) -> LanesView {
    let LanesReading { waiting, slowest } = reading;
    let lane = |lane: &LaneReading| {
        let LaneReading {
            database,
            records,
            under_way,
            since,
            is_held,
        } = lane;
        LaneView {
            database: shown::name(database).to_owned(),
            records: Count(*records),
            under_way: Count(*under_way),
            since: Moment::new(*since, now),
            held: *is_held,
        }
    };
    LanesView {
        waiting: Count(*waiting),
        slowest: slowest.iter().map(lane).collect(),
    }
}

/// How long ago the moment in `unix_milliseconds` was; none when it is 0, which stands for "nothing waits".
fn waiting_since(unix_milliseconds: &Gauge, now: SystemTime) -> Duration {
    match unix_milliseconds.get() {
        0 => Duration::ZERO,
        milliseconds => UNIX_EPOCH
            .checked_add(Duration::from_millis(milliseconds))
            .and_then(|at| now.duration_since(at).ok())
            .unwrap_or_default(),
    }
}
