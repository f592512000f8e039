//! A relay, its journal, and the work of healing that is under way.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::replica::error_view;
use super::traffic::{last_times, traffic_view};
use super::{
    ErrorView, LastTimesView, ReplicaView, Spread, Status, TrafficView, clip, count, replica,
};
use crate::stats::counters::{ComparedStats, JournalStats, RelayStats};
use crate::stats::releases;
use crate::stats::times::HistogramReading;
use crate::stats::units::{Bytes, Count, Moment, Span};
use crate::stats::work::{WorkFigures, WorkStats};

/// One relay, with its replicas.
#[derive(Debug, Serialize, Deserialize)]
pub struct RelayView {
    /// Its name.
    pub name: String,
    /// The pool it replicates to.
    pub pool: String,
    /// How many of its replicas are fresh.
    pub replicas_fresh: Count,
    /// How many nodes have what was written.
    pub spread: Spread,
    /// How far the replica is behind that is farthest behind, of those that follow.
    pub backlog: Bytes,
    /// Most bytes that are kept for a replica that is behind; past it, it is diverged. 0: not known.
    pub max_backlog: Bytes,
    /// How long a replica may be behind; past it, it is diverged. 0: not known.
    pub max_backlog_age: Span,
    /// What passed it.
    pub traffic: TrafficView,
    /// Sequence of the newest durable record.
    pub head: Count,
    /// Bytes of the journal's records up to the head, since its birth.
    pub head_offset: Bytes,
    /// How long writes waited from the end of their body until they were acknowledged.
    pub acknowledgement: HistogramReading,
    /// The same of the last writes.
    pub acknowledgement_last: LastTimesView,
    /// Records appended since the start.
    pub records: Count,
    /// Statements among them.
    pub statements: Count,
    /// Lines in them.
    pub lines: Count,
    /// Lines that were stamped.
    pub stamped_lines: Count,
    /// Writes acknowledged.
    pub acknowledged: Count,
    /// Writes answered with a refusal of the replicas.
    pub refused: Count,
    /// Writes turned away before the append.
    pub rejected: Count,
    /// Questions to nodes about credentials that no node had accepted lately.
    pub judged: Count,
    /// Requests answered with a node's refusal of their credentials.
    pub judged_refused: Count,
    /// Requests turned away because too many waited to be judged.
    pub judging_overflows: Count,
    /// Accepted credentials that found no room to be remembered.
    pub known_overflows: Count,
    /// Statements under way or waiting.
    pub statements_open: Count,
    /// Statements turned away because too many were under way.
    pub statements_overflows: Count,
    /// Writes whose policy was not met in time.
    pub timeouts: Count,
    /// Records that one replica refused for good while another accepted them.
    pub dead_letters: Count,
    /// Dead letters that nobody has settled.
    pub open_dead_letters: Count,
    /// Most dead letters that are kept.
    pub dead_letter_limit: Count,
    /// Refused records that are remembered, because a replica may still be sent them.
    pub pending_refusals: Count,
    /// Whether refusals cannot be put on disk, so that cursors are not saved.
    pub refusals_unwritten: bool,
    /// Tasks that failed and were begun again.
    pub failed_tasks: Count,
    /// Answers to statements that went to their clients while they came.
    pub streamed_answers: Count,
    /// Of those, answers whose client was too slow and was given up.
    pub slow_answers: Count,
    /// Bytes of such answers that wait for their clients now.
    pub answer_buffer: Bytes,
    /// The most bytes that waited at once.
    pub answer_buffer_max: Bytes,
    /// Bytes of long refusals that are held for clients now.
    pub refusal_texts: Bytes,
    /// The most bytes of them at once.
    pub refusal_texts_max: Bytes,
    /// Bytes of bodies held for clients now.
    pub inflight: Bytes,
    /// The most bytes held at once.
    pub inflight_max: Bytes,
    /// Bodies that waited for room.
    pub inflight_waits: Count,
    /// Bodies that were refused for want of room.
    pub inflight_refused: Count,
    /// Lines that were made ones that every node refuses, because they would harm it.
    pub defused_lines: Count,
    /// Records that waited for a mend.
    pub gate_waits: Count,
    /// Comparisons of its nodes.
    pub compared: ComparedView,
    /// Runs of continuous queries that nodes missed.
    pub missed_runs: MissedRunsView,
    /// The comparison, mend or rebuild that was begun last; nothing since the start if none was.
    pub work: Option<WorkView>,
    /// Its journal.
    pub journal: JournalView,
    /// In the order of the pool's servers.
    pub replicas: Vec<ReplicaView>,
}

impl RelayView {
    /// The comparison, mend or rebuild that is under way.
    pub fn work_under_way(&self) -> Option<&WorkView> {
        self.work.as_ref().filter(|work| work.running)
    }

    /// Whether its nodes differed when they were compared last.
    pub fn differs(&self) -> bool {
        self.compared
            .differences
            .is_some_and(|differences| !differences.is_zero())
    }

    /// Which node runs which release of InfluxDB; nothing if they do not differ.
    pub fn differing_releases(&self) -> Option<String> {
        let nodes = self.replicas.iter();
        releases::differing(nodes.map(|node| (node.name.clone(), node.version.clone())))
    }
}

/// Comparisons of a relay's nodes.
#[derive(Debug, Serialize, Deserialize)]
pub struct ComparedView {
    /// One is under way.
    pub running: bool,
    /// When the last one ended that compared all nodes; nothing if there was none.
    pub last: Option<Moment>,
    /// How many differences it found.
    pub differences: Option<Count>,
    /// Why the last one that haflux began by itself has not compared everything; nothing once one has.
    pub failed: Option<String>,
}

/// Runs of continuous queries that nodes missed.
#[derive(Debug, Serialize, Deserialize)]
pub struct MissedRunsView {
    /// Those that were made up for.
    pub done: Count,
    /// Those that a node refused.
    pub failed: Count,
}

/// A comparison, a mend or a rebuild of a relay's nodes.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkView {
    /// `compare`, `mend` or `rebuild`.
    pub name: String,
    /// The replica that a rebuild fills.
    pub target: Option<String>,
    /// It is under way.
    pub running: bool,
    /// When it began.
    pub began: Moment,
    /// What it is at, or was last, for a person.
    pub step: String,
    /// Why it did not come to its end; nothing if it did, was cancelled, or is under way.
    pub failed: Option<String>,
    /// Slices that are done in this pass over the data.
    pub slices_done: Count,
    /// All of them, as far as they are known.
    pub slices: Count,
    /// How many of a hundred are done; nothing while none are known.
    pub percent: Option<Count>,
    /// Points that were copied or written, and rows that were read to compare.
    pub points: Count,
    /// The same a second: of the last ten seconds, or of the whole when it is over.
    pub points_per_second: Count,
    /// Bytes that were read from nodes.
    pub bytes: Bytes,
    /// The same a second.
    pub bytes_per_second: Bytes,
    /// How long this pass takes on at its pace; nothing while that cannot be told.
    pub left: Option<Span>,
    /// Differences that were found.
    pub differences: Count,
}

impl WorkView {
    /// How it stands, in one line.
    pub fn line(&self) -> String {
        let figures = WorkFigures {
            slices: (self.slices_done.0, self.slices.0),
            percent: self.percent.map(u64::from),
            points: self.points.0,
            points_per_second: self.points_per_second.0,
            bytes: self.bytes.0,
            bytes_per_second: self.bytes_per_second.0,
            seconds_left: self.left.map(|left| left.0.as_secs()),
        };
        figures.line(&self.step)
    }
}

/// The journal of a relay, as far as its disk is concerned.
#[derive(Debug, Serialize, Deserialize)]
pub struct JournalView {
    /// New records are taken: the disk is not full, ill or gone.
    pub takes_records: bool,
    /// Bytes of its files.
    pub on_disk: Bytes,
    /// Bytes that are free on its file system; nothing while that is not known.
    pub disk_free: Option<Bytes>,
    /// Failures of the disk since the start.
    pub errors: Count,
    /// What failed last, if anything did.
    pub last_error: Option<ErrorView>,
}

pub(super) fn read(stats: &RelayStats, now: SystemTime) -> RelayView {
    let RelayStats {
        name,
        pool,
        traffic,
        head,
        head_offset,
        jumps: _,
        max_backlog,
        max_backlog_age,
        dead_letter_limit,
        acknowledgement,
        inflight,
        defused_lines,
        gate_waits,
        records,
        statements,
        lines,
        stamped_lines,
        acknowledged,
        refused,
        rejected,
        judged,
        judged_refused,
        judging_overflows,
        known_overflows,
        statements_open,
        statements_overflows,
        timeouts,
        dead_letters,
        open_dead_letters,
        pending_refusals,
        unwritten_refusals,
        failed_tasks,
        streamed_answers,
        slow_answers,
        answer_buffer,
        refusal_texts,
        compared,
        missed_runs,
        work,
        journal,
        replicas,
    } = stats;
    let replicas: Vec<ReplicaView> = replicas
        .iter()
        .map(|replica_stats| replica::read(replica_stats, stats, now))
        .collect();
    let following = || replicas.iter().filter(|r| r.status != Status::Diverged);
    let open_dead_letters = Count(open_dead_letters.get());
    RelayView {
        spread: Spread::of(
            &replicas,
            head.get(),
            head_offset.get(),
            open_dead_letters,
            |above, last| stats.records_between(above, last),
        ),
        backlog: following()
            .map(|replica| replica.lag.bytes)
            .max()
            .unwrap_or(Bytes(0)),
        name: name.clone(),
        pool: pool.clone(),
        replicas_fresh: count(replicas.iter().filter(|r| r.status == Status::Fresh)),
        traffic: traffic_view(traffic),
        head: Count(head.get()),
        head_offset: Bytes(head_offset.get()),
        max_backlog: Bytes(*max_backlog),
        max_backlog_age: Span(*max_backlog_age),
        acknowledgement: acknowledgement.histogram(),
        acknowledgement_last: last_times(acknowledgement.last()),
        records: Count(records.get()),
        lines: Count(lines.get()),
        statements: Count(statements.get()),
        stamped_lines: Count(stamped_lines.get()),
        acknowledged: Count(acknowledged.get()),
        refused: Count(refused.get()),
        rejected: Count(rejected.get()),
        judged: Count(judged.get()),
        judged_refused: Count(judged_refused.get()),
        judging_overflows: Count(judging_overflows.get()),
        known_overflows: Count(known_overflows.get()),
        statements_open: Count(statements_open.get()),
        statements_overflows: Count(statements_overflows.get()),
        timeouts: Count(timeouts.get()),
        dead_letters: Count(dead_letters.get()),
        open_dead_letters,
        dead_letter_limit: Count(*dead_letter_limit),
        pending_refusals: Count(pending_refusals.get()),
        refusals_unwritten: unwritten_refusals.get() > 0,
        inflight: Bytes(inflight.held.get()),
        inflight_max: Bytes(inflight.held.highest()),
        inflight_waits: Count(inflight.waits.get()),
        inflight_refused: Count(inflight.refused.get()),
        defused_lines: Count(defused_lines.get()),
        gate_waits: Count(gate_waits.get()),
        failed_tasks: Count(failed_tasks.get()),
        streamed_answers: Count(streamed_answers.get()),
        slow_answers: Count(slow_answers.get()),
        answer_buffer: Bytes(answer_buffer.get()),
        answer_buffer_max: Bytes(answer_buffer.highest()),
        refusal_texts: Bytes(refusal_texts.get()),
        refusal_texts_max: Bytes(refusal_texts.highest()),
        compared: compared_view(compared, now),
        missed_runs: MissedRunsView {
            done: Count(missed_runs.done.get()),
            failed: Count(missed_runs.failed.get()),
        },
        work: work.load().as_deref().map(|work| work_view(work, now)),
        journal: journal_view(journal, now),
        replicas,
    }
}

fn compared_view(stats: &ComparedStats, now: SystemTime) -> ComparedView {
    let ComparedStats {
        running,
        last,
        failed,
    } = stats;
    let last = last.load();
    let last = last.as_deref();
    ComparedView {
        running: running.get() > 0,
        last: last.map(|(at, _)| Moment::new(*at, now)),
        differences: last.map(|(_, differences)| Count(*differences)),
        failed: failed.load().as_deref().map(|reason| clip(reason)),
    }
}

fn work_view(stats: &WorkStats, now: SystemTime) -> WorkView {
    let WorkFigures {
        slices: (slices_done, slices),
        percent,
        points,
        points_per_second,
        bytes,
        bytes_per_second,
        seconds_left,
    } = stats.figures();
    WorkView {
        name: stats.name.to_owned(),
        target: stats.target.clone(),
        running: stats.ended().is_none(),
        began: Moment::new(stats.began, now),
        step: clip(&stats.step()),
        failed: stats.failed().map(|reason| clip(&reason)),
        slices_done: Count(slices_done),
        slices: Count(slices),
        percent: percent.map(Count),
        points: Count(points),
        points_per_second: Count(points_per_second),
        bytes: Bytes(bytes),
        bytes_per_second: Bytes(bytes_per_second),
        left: seconds_left.map(|seconds| Span(Duration::from_secs(seconds))),
        differences: Count(stats.differing()),
    }
}

fn journal_view(stats: &JournalStats, now: SystemTime) -> JournalView {
    let JournalStats {
        refuses,
        on_disk,
        disk_free,
        errors,
        last_error,
    } = stats;
    JournalView {
        takes_records: !refuses.load(Ordering::Relaxed),
        on_disk: Bytes(on_disk.get()),
        disk_free: disk_free.load().as_deref().map(|free| Bytes(*free)),
        errors: Count(errors.get()),
        last_error: last_error
            .load()
            .as_deref()
            .map(|error| error_view(error, now)),
    }
}
