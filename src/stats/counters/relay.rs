//! A relay, and its journal.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;

use super::{BudgetStats, Counter, Gauge, ReplicaStats, Traffic};
use crate::stats::releases;
use crate::stats::times::Latency;
use crate::stats::work::WorkStats;

/// One relay, with its replicas.
#[derive(Debug, Default)]
pub struct RelayStats {
    /// Its name.
    pub name: String,
    /// The pool it replicates to.
    pub pool: String,
    /// What passed it.
    pub traffic: Traffic,
    /// Sequence of the newest durable record.
    pub head: Gauge,
    /// Bytes of the journal's records up to the head, since its birth.
    pub head_offset: Gauge,
    /// Each two numbers between which no record lies; known when the journal is open.
    pub jumps: OnceLock<Vec<(u64, u64)>>,
    /// Most bytes that a replica may be behind (`max_backlog`).
    pub max_backlog: u64,
    /// Most dead letters that are kept (`max_dead_letters`).
    pub dead_letter_limit: u64,
    /// How long writes waited from the end of their body until they were acknowledged.
    pub acknowledgement: Latency,
    /// Bytes of bodies held for clients now.
    pub inflight: Arc<BudgetStats>,
    /// Lines that were made ones that every node refuses, because they would harm it.
    pub defused_lines: Counter,
    /// Appends that waited for a mend.
    pub gate_waits: Counter,
    /// Records appended.
    pub records: Counter,
    /// Statements among them.
    pub statements: Counter,
    /// Lines in them.
    pub lines: Counter,
    /// Lines that were stamped.
    pub stamped_lines: Counter,
    /// Writes acknowledged.
    pub acknowledged: Counter,
    /// Writes answered with a refusal of the replicas.
    pub refused: Counter,
    /// Writes turned away before the append: no room, policy out of reach, too many in flight.
    pub rejected: Counter,
    /// Questions to nodes about credentials that no node had accepted lately.
    pub judged: Counter,
    /// Requests that were answered with a node's refusal of their credentials; nothing of them was stored.
    pub judged_refused: Counter,
    /// Requests turned away because too many waited to be judged.
    pub judging_overflows: Counter,
    /// Accepted credentials that found no room to be remembered (`judging.max_known`).
    pub known_overflows: Counter,
    /// Statements under way or waiting.
    pub statements_open: Arc<Gauge>,
    /// Statements turned away because too many were under way (`max_statements`).
    pub statements_overflows: Counter,
    /// Writes answered 504: journaled, or parts of them, and not vouched for in time.
    pub timeouts: Counter,
    /// Records that one replica refused for good while another accepted them.
    pub dead_letters: Counter,
    /// Dead letters that nobody has settled yet.
    pub open_dead_letters: Arc<Gauge>,
    /// How long a replica may be behind (`max_backlog_age`).
    pub max_backlog_age: Duration,
    /// Refused records that are remembered: another replica has not judged them, or may be sent them again.
    pub pending_refusals: Gauge,
    /// 1 while what a replica refused cannot be put on disk, and cursors are not saved for it.
    pub unwritten_refusals: Gauge,
    /// Tasks that failed and were begun again: a fault of haflux, which the log shows.
    pub failed_tasks: Counter,
    /// Answers to statements that went to their clients while they came, because they were long.
    pub streamed_answers: Counter,
    /// Of those, answers whose client was too slow and was given up.
    pub slow_answers: Counter,
    /// Bytes of such answers that wait for their clients now.
    pub answer_buffer: Gauge,
    /// Bytes of long refusals that are held for clients now.
    pub refusal_texts: Gauge,
    /// Comparisons of its nodes.
    pub compared: ComparedStats,
    /// Runs of continuous queries that nodes missed.
    pub missed_runs: MissedRunsStats,
    /// The comparison, mend or rebuild that was begun last; nothing since the start if none was.
    pub work: ArcSwapOption<WorkStats>,
    /// Its journal.
    pub journal: JournalStats,
    /// Its replicas, in the order of the pool's servers.
    pub replicas: Vec<Arc<ReplicaStats>>,
}

impl RelayStats {
    /// The journal has come this far.
    pub fn show_head(&self, sequence: u64, offset: u64) {
        self.head_offset.raise(offset);
        self.head.raise(sequence);
    }

    /// Which replica runs which release of InfluxDB; nothing if they do not differ.
    pub fn differing_releases(&self) -> Option<String> {
        let version = |replica: &ReplicaStats| replica.version.load().as_deref().cloned();
        let replicas = self.replicas.iter();
        releases::differing(replicas.map(|one| (one.name.clone(), version(one))))
    }

    /// The numbers that the journal left out, when it is open.
    pub fn show_jumps(&self, jumps: impl Iterator<Item = (u64, u64)>) {
        // A relay opens its journal once.
        let _ = self.jumps.set(jumps.collect());
    }

    /// Records above the one with this number, up to the head. Read the number before: the head only grows.
    pub fn records_above(&self, cursor: u64) -> u64 {
        self.records_between(cursor, self.head.get())
    }

    /// Records above the one number, up to the other.
    pub fn records_between(&self, above: u64, last: u64) -> u64 {
        let jumps = self.jumps.get().map_or(&[][..], Vec::as_slice);
        let missing = jumps.iter().map(|&(before, next)| {
            let (from, to) = (before.max(above), next.saturating_sub(1).min(last));
            to.saturating_sub(from)
        });
        last.saturating_sub(above)
            .saturating_sub(missing.sum::<u64>())
    }
}

/// Comparisons of a relay's nodes.
#[derive(Debug, Default)]
pub struct ComparedStats {
    /// Under way now.
    pub running: Arc<Gauge>,
    /// When the last one ended that compared all nodes, and how many differences it found.
    pub last: ArcSwapOption<(SystemTime, u64)>,
    /// Why the last one that haflux began by itself has not compared everything; nothing once one has.
    pub failed: ArcSwapOption<String>,
}

/// Runs of continuous queries that nodes missed.
#[derive(Debug, Default)]
pub struct MissedRunsStats {
    /// Made up for.
    pub done: Counter,
    /// Tried, and refused by the node.
    pub failed: Counter,
}

/// The journal of a relay, as far as its disk is concerned.
#[derive(Debug, Default)]
pub struct JournalStats {
    /// It takes nothing new: its disk is full, ill or gone.
    pub refuses: AtomicBool,
    /// Bytes of its files.
    pub on_disk: Gauge,
    /// Bytes that are free on its file system; nothing while that is not known.
    pub disk_free: ArcSwapOption<u64>,
    /// Failures of its disk.
    pub errors: Gauge,
    /// What failed last, with the time.
    pub last_error: ArcSwapOption<(SystemTime, String)>,
}
