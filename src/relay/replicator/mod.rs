//! A replicator: follows the journal for one replica, from its cursor on, at the replica's own pace.
//!
//! One task a replica, so that none can delay another. It [reads](reading) durable records into a bounded window, sorts them
//! into lanes, keeps at most one request of a lane under way (order), several lanes at once, which take turns, and joins what has
//! gathered in a lane meanwhile. Trouble of the whole replica (no connection, no answer, "try again") stops everything and
//! backs off; trouble of one record holds its lane only. The way to the node is in [`link`], whether clients wait for it in
//! [`distance`], what answers mean to the records in [`verdicts`], what others read of it in [`publishing`], and what becomes of a replica that is none in [`diverged`].
//!
//! **Who is there (R1).** An address does not prove that the node still has its data. So before the first request to a node, and
//! whenever the way to it was interrupted, a [handshake] asks the node for a point that it accepted
//! ([`IdentityPoint`](crate::relay::replica::identity_point)), or for its [databases](crate::relay::replica::known). Each checkpoint of the [`Rewind`] carries one, so that what is asked for belongs to the place that the
//! replicator would go back to: what came later would be sent again in any case. A node without that point is diverged,
//! and its successor gets nothing. But the last replica that follows goes on, with an error in the log: to refuse both would
//! serve nobody. While nothing is sent, a [connection of its own](crate::relay::replica::liveness) tells that the way is interrupted.
//!
//! **[Going back](going_back).** A node that restarted may have lost its last seconds (R2; one whose process is still the same, and
//! that has the newest point, has not). So a node that returns gets again what came since `rewind` before: all lanes, in the
//! journal's order. [`Rewind`] knows how far back.
//!
//! **[Doubts](doubts).** A request without an answer may be carried out after newer ones (W7). Once `rewind` has passed after it, its
//! lane is [sent again](reread) from that request on: what landed late is written over, in order. Other lanes go on meanwhile.
//!
//! **[Statements](statements)** are [barriers](barrier) for the lanes that they touch: what is behind one in these waits for its verdict, and
//! nothing of them goes back past it, and nothing at all past what a mend [changes](changed_past). One waits until nothing from before it is in doubt. What reads may lean on is shown in the [view](freshness) of the replica.

mod attempts;
mod barrier;
mod changed_past;
pub(in crate::relay) mod copied;
pub(in crate::relay) mod cursor_metadata;
mod distance;
mod diverged;
mod doubts;
mod freshness;
mod given_up;
mod going_back;
mod handshake;
mod identity;
mod in_doubt;
mod last_accepted;
mod link;
mod linking;
mod publishing;
pub(in crate::relay) mod queue;
mod reading;
mod reread;
pub(in crate::relay) mod rewind;
mod saving;
mod set_aside;
mod statement_verdicts;
mod statements;
mod too_large;
pub(in crate::relay) mod turns;
mod verdicts;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use crate::config::model::Near;
use crate::relay::dead_letters::DeadLetters;
use crate::relay::replica::answer::ReplicaAnswer;
use crate::relay::replica::backoff::Backoff;
use crate::relay::replica::client::SendError;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::known::Known;
use crate::relay::replica::membership::Membership;
use crate::relay::replica::request::write_request_header;
use crate::relay::replicator::attempts::{Attempts, SavedAttempts};
use crate::relay::replicator::last_accepted::LastAccepted;
use crate::relay::replicator::queue::tracker::Tracker;
use crate::relay::replicator::rewind::{Checkpoint, Rewind};
use crate::relay::replicator::turns::Turns;
use crate::relay::trust::TrustTable;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::verdict::keeper::Keeper;
use crate::relay::verdict::pending::PendingClients;
use barrier::Barriers;
use distance::Heads;
use doubts::Doubts;
use given_up::GivenUp;
use link::{Link, LinkState};
use queue::lanes::Lanes;
use queue::window::Window;
use reread::Reread;
use statements::Unanswered;

use crate::journal::{Journal, Position, Reader, Sequence};

/// Lanes of one replica that may have a request under way at once.
const MAX_LANES_UNDER_WAY: usize = 16;

/// Records read beyond the cursor.
const MAX_TRACKED: usize = 65_536;

/// What a statement that was read ahead counts for in the window, beside its body.
const STATEMENT_WEIGHT: usize = 4096;

/// How long a stop waits for requests under way.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a replicator keeps to.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub(super) max_batch: usize,
    pub(super) retry_min: Duration,
    pub(super) retry_max: Duration,
    /// How often a record may end without a verdict.
    pub(super) max_attempts: usize,
    /// How far a node that was away is set back.
    pub(super) rewind: Duration,
    /// How long a record that this replica refuses as things are is tried again while another one accepted it.
    pub(super) hold: Duration,
    /// Bytes of refusals that are held in full for clients.
    pub(super) max_refusal_texts: usize,
    /// Bytes, and time, that a replica may be behind while another one is not.
    pub(super) max_backlog: u64,
    pub(super) max_backlog_age: Duration,
    /// How far it may be from the head for clients to wait for it.
    pub(super) near: Near,
}

/// Follows the journal for one replica.
pub(super) struct Replicator {
    replica: Arc<Replica>,
    journal: Journal,
    pending_clients: Arc<PendingClients>,
    freshness: Arc<Freshness>,
    dead_letters: DeadLetters,
    keeper: Arc<Keeper>,
    /// Credentials that every replica refuses are not known any longer.
    trust: Arc<TrustTable>,
    pace: Pace,
    reader: Reader,
    tracker: Tracker,
    rewind: Rewind,
    /// What got no answer, and may still be carried out.
    doubts: Doubts,
    /// Lanes that are sent again for that.
    rereads: Vec<Reread>,
    /// The read barrier is to be told of another set of lanes in doubt.
    is_doubt_changed: bool,
    /// Records that ended without a verdict.
    attempts: Attempts,
    /// What it lacks, and was waited for.
    given_up: GivenUp,
    /// Lanes whose clients do not wait for this replica.
    stalled: HashSet<String>,
    /// Where the next identity point comes from.
    last_accepted: LastAccepted,
    /// The databases that it must have, and whether the saved note lacks one of them.
    known: Known,
    is_known_unsaved: bool,
    /// It answers, and may be another one: that was told.
    is_held: bool,
    /// The relay's other replicas.
    others: Vec<Arc<Replica>>,
    /// What was saved last as the cursor.
    saved: Checkpoint,
    /// Whether the saved cursor says that nothing is under way or in doubt: only between two runs of haflux.
    is_settled: bool,
    /// Bytes that it may be behind beyond `max_backlog` until it has caught up: what came while it was rebuilt.
    allowance: u64,
    /// The newest record that may be in the data that was copied to it: a statement up to this one may meet what a later one left.
    copied: Sequence,
    /// To go back to as soon as nothing is under way.
    going_back: Option<Checkpoint>,
    /// What was read and has no verdict.
    lanes: Lanes,
    /// When the lanes are shown next; nothing while there are none.
    next_lanes: Option<Instant>,
    /// Statements that it stands before, and what waits for them.
    barriers: Barriers,
    /// The lanes of which the pending clients were told that nobody need wait for them.
    held: BTreeSet<String>,
    turns: Arc<Turns>,
    /// A statement that went out and got no answer.
    unanswered: Option<Unanswered>,
    /// What is in the lanes' queues.
    window: Window,
    link: Link,
    /// Where the head stood, to say how far it is.
    heads: Heads,
    /// Since when there has been what it lacks, while it is away, behind or late.
    behind_since: Option<Instant>,
    /// Until then a statement kept what is behind it waiting, or another replica was first at one: that makes this one not late.
    held_up_until: Instant,
    /// A record that cannot be read: nothing after it may overtake it.
    blocked: bool,
    /// A ping is under way.
    is_pinged: bool,
    /// The journal's disk did not answer: not before this moment again.
    read_not_before: Option<Instant>,
    durable: watch::Receiver<Position>,
    under_way: FuturesUnordered<BoxFuture<'static, Finished>>,
}

/// Where a replica stood when the previous run of haflux ended.
#[derive(Debug, Clone)]
pub(super) struct SavedPlace {
    pub(super) checkpoint: Checkpoint,
    /// The databases that it must have.
    pub(super) known: Known,
    /// Nothing was under way or in doubt then.
    pub(super) settled: bool,
    /// Bytes that it may be behind beyond `max_backlog`.
    pub(super) allowance: u64,
    /// The newest record that may be in the data that was copied to it.
    pub(super) copied: Sequence,
    /// Records that it left without a verdict.
    pub(super) attempts: SavedAttempts,
}

/// What all replicators of a relay share.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) journal: Journal,
    pub(super) pending_clients: Arc<PendingClients>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) dead_letters: DeadLetters,
    pub(super) keeper: Arc<Keeper>,
    pub(super) trust: Arc<TrustTable>,
    pub(super) turns: Arc<Turns>,
    pub(super) pace: Pace,
    pub(super) replicas: Arc<[Arc<Replica>]>,
}

enum Finished {
    Handshake(Box<handshake::Completed>),
    Request {
        lane: String,
        result: Result<ReplicaAnswer, SendError>,
    },
    /// What is too large for the replica as it is, gzipped if that made it smaller.
    Packed {
        lane: String,
        sequence: Sequence,
        packed: Option<Bytes>,
    },
    /// What the replica runs, asked before a statement is sent again.
    Running(Result<ReplicaAnswer, SendError>),
    Statement(Result<ReplicaAnswer, SendError>),
    /// A write that holds no point, sent when these records of the lane got no verdict; nothing if it took too long.
    Check {
        lane: String,
        sequences: Vec<Sequence>,
        answer: Option<Result<ReplicaAnswer, SendError>>,
    },
    /// So that the node is heard of; nothing if it took too long to count.
    Ping(Option<Result<ReplicaAnswer, SendError>>),
}

impl Replicator {
    pub(super) fn new(replica: Arc<Replica>, common: Common, place: SavedPlace) -> Replicator {
        let Common {
            journal,
            pending_clients,
            freshness,
            dead_letters,
            keeper,
            trust,
            turns,
            pace,
            replicas: all,
        } = common;
        let SavedPlace {
            checkpoint,
            known,
            settled,
            allowance,
            copied,
            attempts,
        } = place;
        dead_letters.set_follows(&replica.stats.name, replica.follows());
        let now = Instant::now();
        let cursor = checkpoint.position;
        let rewind = Rewind::new(pace.rewind, now, checkpoint.clone());
        let mut doubts = Doubts::new(pace.rewind);
        let mut unanswered = None;
        // A place at the journal's beginning says nothing: a run shorter than `rewind` leaves it there.
        let newest = journal.barrier().sequence;
        let had_a_run_before = newest > Sequence::ZERO;
        if had_a_run_before && !settled {
            // What that run had under way when it ended may still be carried out.
            doubts.begin_after_crash(now, newest);
            unanswered = Some(Unanswered::before_the_start(newest));
        }
        Replicator {
            reader: journal.reader(cursor.sequence),
            durable: journal.watch(),
            tracker: Tracker::new(cursor),
            rewind,
            doubts,
            rereads: Vec::new(),
            is_doubt_changed: false,
            attempts: Attempts::new(pace.max_attempts, attempts),
            given_up: GivenUp::default(),
            stalled: HashSet::new(),
            last_accepted: LastAccepted::default(),
            known,
            is_known_unsaved: false,
            is_held: false,
            others: all
                .iter()
                .filter(|other| other.index != replica.index)
                .cloned()
                .collect(),
            saved: checkpoint,
            is_settled: settled,
            allowance,
            copied,
            going_back: None,
            lanes: Lanes::new(Backoff::new(pace.retry_min, pace.retry_max)),
            next_lanes: None,
            barriers: Barriers::new(pace.max_batch),
            held: BTreeSet::new(),
            turns,
            unanswered,
            window: Window::new(pace.max_batch),
            link: Link::new(now, pace.retry_min, pace.retry_max),
            heads: Heads::new(pace.near, journal.durable().sequence),
            behind_since: None,
            held_up_until: now,
            blocked: false,
            is_pinged: false,
            read_not_before: None,
            under_way: FuturesUnordered::new(),
            replica,
            journal,
            pending_clients,
            freshness,
            dead_letters,
            keeper,
            trust,
            pace,
        }
    }

    /// Runs until `stop` says so; then waits a little for what is under way. What is abandoned is sent again after the next
    /// start: its records are past the cursor.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut place = self.replica.watch_membership();
        self.unsettle(&mut stop).await;
        while !*stop.borrow_and_update() {
            let follows = *place.borrow_and_update() == Membership::Following;
            if follows {
                self.follow(&mut stop, &mut place).await;
                continue;
            }
            self.stand_aside().await;
            tokio::select! {
                _ = place.changed() => {}
                _ = stop.changed() => {}
            }
            if self.replica.follows() {
                self.come_back();
            }
        }
        self.drain().await;
        self.leave().await;
    }

    /// Follows the journal until the stop, or until the replica is none any more.
    async fn follow(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        place: &mut watch::Receiver<Membership>,
    ) {
        let mut server_changed = self.replica.watch_server();
        let mut skips = self.replica.watch_skips();
        let mut changed_past = self.replica.changed_past().subscribe();
        let mut turns_changed = self.turns.watch();
        self.publish().await;
        while !*stop.borrow_and_update() && self.replica.follows() {
            turns_changed.mark_unchanged();
            self.go_back_if_due();
            self.begin_rereads();
            let more = self.read_again().await;
            self.read_ahead().await;
            // Nothing may wake it for long, as in maint.
            self.replica
                .show_oldest_pending(self.tracker.oldest_pending());
            self.set_aside_due().await;
            self.note_changed_past().await;
            let wake = [
                more,
                self.start_requests(),
                self.start_statement().await,
                self.link.next_liveness(),
                self.next_read(),
                self.keep_hearing(),
                self.next_save(),
                self.next_distance(),
                self.next_lanes,
            ];
            let wake = wake.into_iter().flatten().min();
            let may_read = self.may_read();
            tokio::select! {
                Some(finished) = self.under_way.next() => self.finished(finished).await,
                () = self.link.liveness_ended() => self.liveness_ended(Instant::now()),
                // The sender is the journal's, which this holds.
                _ = self.durable.changed(), if may_read => {}
                () = sleep_until(wake) => {}
                // The sender is the server's, which this holds.
                _ = server_changed.changed() => self.server_changed(),
                // The sender is the replica's, which this holds.
                _ = skips.changed() => self.take_skips(),
                // The sender is the replica's, which this holds.
                _ = changed_past.changed() => {}
                // The sender is the turns', which this holds.
                _ = turns_changed.changed() => {}
                _ = place.changed() => {}
                _ = stop.changed() => {}
            }
            self.publish().await;
            self.diverge_if_too_far_behind();
        }
    }

    async fn drain(&mut self) {
        let deadline = tokio::time::Instant::now() + STOP_GRACE;
        while let Ok(Some(finished)) =
            tokio::time::timeout_at(deadline, self.under_way.next()).await
        {
            self.finished(finished).await;
        }
    }

    /// Starts what can be started; says when there will be more to start.
    fn start_requests(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.replica.is_in_maint() {
            return None;
        }
        match self.link.state() {
            LinkState::Handshake { .. } => return None,
            LinkState::Away { until } if until > now => return Some(until),
            LinkState::Linked if !self.link.needs_handshake(now, self.replica.address()) => {}
            LinkState::Unasked | LinkState::Away { .. } | LinkState::Closed | LinkState::Linked => {
                self.begin_handshake(now);
                return self.link.away_until();
            }
        }
        if self.going_back.is_some() {
            return None;
        }
        let Some(address) = self.replica.trusted_address() else {
            self.lost(now, self.replica.why_nowhere().to_owned(), None);
            return self.link.away_until();
        };
        let mut wake: Option<Instant> = None;
        for _ in 0..self.lanes.len() {
            if self.under_way.len() >= MAX_LANES_UNDER_WAY {
                break;
            }
            let Some(name) = self.lanes.next_turn() else {
                break;
            };
            let may_send = self.doubts.has_room_for(&name) && !self.is_to_be_reread(&name);
            let Some(lane) = self.lanes.get_mut(&name) else {
                continue;
            };
            if !may_send {
                continue;
            }
            let Some(ready_at) = lane.ready_at(now) else {
                continue;
            };
            if ready_at > now {
                wake = Some(wake.map_or(ready_at, |earlier| earlier.min(ready_at)));
                continue;
            }
            let is_packed = lane.is_packed();
            let Some((destination, mut request)) =
                lane.start(self.pace.max_batch, self.link.largest())
            else {
                continue;
            };
            let length = request.length();
            request.push_front(write_request_header(
                &destination,
                self.replica.client.recipient(address),
                length,
                is_packed,
            ));
            self.replica.stats.requests.increment();
            if let Some(last) = lane.last_under_way() {
                self.freshness
                    .update(self.replica.index, |view| view.send(&name, last));
            }
            let alone = lane.alone_under_way();
            let replica = Arc::clone(&self.replica);
            let lane = name;
            self.under_way.push(Box::pin(async move {
                let exchange = replica.client.exchange(address, request);
                Finished::Request {
                    lane,
                    result: unless_given_up(&replica, alone, exchange).await,
                }
            }));
        }
        wake
    }
}

/// The exchange about a record that is alone in it ends when a person wants that record to be passed over.
async fn unless_given_up(
    replica: &Replica,
    alone: Option<Sequence>,
    exchange: impl Future<Output = Result<ReplicaAnswer, SendError>>,
) -> Result<ReplicaAnswer, SendError> {
    let Some(alone) = alone else {
        return exchange.await;
    };
    let mut skips = replica.watch_skips();
    let given_up = skips.wait_for(|skips| skips.contains(&alone));
    tokio::select! {
        biased;
        result = exchange => result,
        // The sender is the replica's.
        _ = given_up => Err(SendError::GivenUp),
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
