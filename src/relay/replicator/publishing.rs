//! What others read of a replicator: the pending clients, who balances reads, the status page, and the next life.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Replicator;
use super::link::LinkState;
use crate::stats::{LaneReading, LanesReading, ReplicaStatus};

/// Lanes of a replica that are shown; the description of the figure names the number.
const MOST_LANES: usize = 16;

/// How often lanes are shown. A lane that ends sooner is not seen, and costs nothing.
const LANES_PACE: Duration = Duration::from_secs(1);

impl Replicator {
    /// While the saved cursor is behind, it moves on with the time of a node that answers.
    pub(super) fn next_save(&self) -> Option<Instant> {
        let behind =
            self.is_linked() && self.saved.position.sequence != self.tracker.cursor().sequence;
        behind.then(|| Instant::now() + self.rewind.pace())
    }

    /// Puts where it stands where others read it, and saves the cursor: as far back as would have to be sent again.
    pub(super) async fn publish(&mut self) {
        let now = Instant::now();
        if self.replica.is_in_maint() {
            self.close();
        }
        self.show_doubt();
        self.show_held(now);
        self.show_lanes(now);
        self.tell_of_long_statement(now);
        self.heads.look(now, self.journal.durable().sequence);
        let is_slow = self.stall_slow_lanes(now);
        self.pending_clients
            .set_reach(self.replica.index, self.reach(now));
        let cursor = self.tracker.cursor();
        self.show_cursor(cursor.sequence);
        self.unanswered
            .take_if(|unanswered| unanswered.is_behind(cursor.sequence));
        // While a node is away, what it accepted last grows no older: it had no time to make it last.
        if self.is_linked() {
            let last_accepted = &mut self.last_accepted;
            let identity_point = || last_accepted.identity_point(cursor.sequence);
            self.rewind.checkpoint(now, cursor, identity_point);
        }
        let back = self.back();
        let is_moved = back.position.sequence != self.saved.position.sequence;
        if (is_moved || self.is_known_unsaved)
            && let Err(error) = self.save(back).await
        {
            self.replica
                .note_error(format!("its cursor is not saved: {error}"));
        }
        let status = match self.link.state() {
            LinkState::Unasked | LinkState::Away { .. } | LinkState::Handshake { .. } => {
                ReplicaStatus::Down
            }
            LinkState::Closed => ReplicaStatus::Maint,
            LinkState::Linked
                if self.keeps_up(now) && !is_slow && !self.barriers.have_skipped() =>
            {
                ReplicaStatus::Fresh
            }
            LinkState::Linked => ReplicaStatus::Lagging,
        };
        self.replica
            .publish(status, cursor, self.tracker.oldest_pending());
        // After the cursor: who reads that nothing is in doubt reads where it has been set back to.
        let in_doubt = u64::from(self.is_in_doubt());
        self.replica.stats.in_doubt.set(in_doubt);
        let tried = self.attempts.tried();
        self.replica.stats.tried.set(tried as u64);
    }

    /// Shows which lanes there are: that there are none at once, others at their pace.
    pub(super) fn show_lanes(&mut self, now: Instant) {
        let stats = &self.replica.stats;
        if self.lanes.is_empty() {
            self.next_lanes = None;
            if stats.lanes.load().waiting > 0 {
                stats.lanes.store(Arc::default());
            }
            return;
        }
        let is_due = self.next_lanes.is_some_and(|due| due <= now);
        if is_due || self.next_lanes.is_none() {
            self.next_lanes = Some(now + LANES_PACE);
        }
        if is_due {
            let slowest = self.lanes.slowest(MOST_LANES, now);
            let time = SystemTime::now();
            stats.lanes.store(Arc::new(LanesReading {
                waiting: self.lanes.len() as u64,
                slowest: slowest
                    .into_iter()
                    .map(|(name, lane)| LaneReading {
                        database: name.clone(),
                        records: lane.len() as u64,
                        under_way: lane.count_under_way() as u64,
                        since: time.checked_sub(lane.waits(now)).unwrap_or(time),
                        is_held: lane.is_held(),
                    })
                    .collect(),
            }));
        }
    }
}
