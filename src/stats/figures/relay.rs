//! The figures of relays and replicas.

use super::figure::{About, Figure, Kind, Readable, Reading, figure, figure_by, text};
use super::group::{Part, Typed};
use super::traffic;
use crate::stats::snapshot::{ErrorView, LaneView, RelayView, ReplicaView, Status};

fn at(error: &Option<ErrorView>) -> Reading {
    error
        .as_ref()
        .map_or(Reading::Nothing, |error| error.at.reading())
}

pub(super) fn relays() -> Typed<RelayView> {
    let mut figures: Vec<Figure<RelayView>> = vec![
        text!("name", "Its name."),
        text!("pool", "The backend that it replicates to."),
        figure!(
            Gauge,
            replicas_fresh,
            "replicas_fresh",
            "replicas",
            "Replicas that have applied every acknowledged record."
        ),
    ];
    figures.extend(traffic::figures());
    let own: Vec<Figure<RelayView>> = vec![
        figure!(
            Gauge,
            head,
            "head_sequence",
            "sequence",
            "Sequence of the newest durable record of the journal."
        ),
        figure!(
            Gauge,
            max_backlog,
            "backlog_limit_bytes",
            "bytes",
            "Most bytes that a replica may be behind before it is diverged (`max_backlog`)."
        ),
        figure!(
            Gauge,
            max_backlog_age,
            "backlog_age_limit_seconds",
            "seconds",
            "How long a replica may be behind before it is diverged (`max_backlog_age`)."
        ),
        figure!(
            Gauge,
            backlog,
            "backlog_bytes",
            "bytes",
            "How far the replica that is furthest behind, and not diverged, is behind."
        ),
        figure!(
            Gauge,
            head_offset,
            "head_offset_bytes",
            "bytes",
            "Bytes of the journal's records up to the head, since its birth."
        ),
        figure!(
            Gauge,
            spread.one_node,
            "one_node_records",
            "records",
            "Records that one node has and no other."
        ),
        figure!(
            Gauge,
            spread.one_node_bytes,
            "one_node_bytes",
            "bytes",
            "Size of those records in the journal."
        ),
        figure!(
            Gauge,
            spread.no_node,
            "no_node_records",
            "records",
            "Records that stand in the journal and at no node."
        ),
        figure!(
            Gauge,
            spread.no_node_bytes,
            "no_node_bytes",
            "bytes",
            "Size of those records in the journal."
        ),
        figure!(
            Gauge,
            spread.at_least,
            "one_node_records_at_least",
            "1 or 0",
            "Whether there may be more records on one node only, because a replica is diverged (in JSON true or false)."
        ),
        figure!(
            Histogram,
            acknowledgement,
            "acknowledgement_duration_seconds",
            "seconds",
            "Time of acknowledged writes from the end of their body to the acknowledgement."
        ),
        figure!(
            Gauge,
            acknowledgement_last.count,
            "",
            "writes",
            "The last acknowledged writes that the next figures are of: 1024, or fewer after a start. Prometheus has the histogram."
        ),
        figure!(
            Gauge,
            acknowledgement_last.median,
            "",
            "seconds",
            "The time that half of those writes did not exceed; nothing without a write."
        ),
        figure!(
            Gauge,
            acknowledgement_last.p99,
            "",
            "seconds",
            "The time that 99 of 100 of those writes did not exceed."
        ),
        figure!(
            Gauge,
            acknowledgement_last.max,
            "",
            "seconds",
            "The longest time of those writes."
        ),
        figure!(
            Counter,
            records,
            "records_total",
            "records",
            "Records that were appended to the journal."
        ),
        figure!(
            Counter,
            statements,
            "statements_total",
            "records",
            "Statements among them."
        ),
        figure!(Counter, lines, "lines_total", "lines", "Lines in them."),
        figure!(
            Counter,
            stamped_lines,
            "stamped_lines_total",
            "lines",
            "Lines that came without a time and were stamped."
        ),
        figure!(
            Counter,
            acknowledged,
            "acknowledged_writes_total",
            "writes",
            "Writes that were acknowledged."
        ),
        figure!(
            Counter,
            refused,
            "refused_writes_total",
            "writes",
            "Writes that were answered with a refusal of the replicas."
        ),
        figure!(
            Counter,
            rejected,
            "rejected_writes_total",
            "writes",
            "Writes that were turned away before anything of them was stored."
        ),
        figure!(
            Counter,
            judged,
            "judged_questions_total",
            "questions",
            "Questions to nodes about credentials that no node had accepted lately."
        ),
        figure!(
            Counter,
            judged_refused,
            "judged_refused_requests_total",
            "requests",
            "Requests that were answered with a node's refusal of their credentials."
        ),
        figure!(
            Counter,
            judging_overflows,
            "judging_overflows_total",
            "requests",
            "Requests that were turned away because too many waited to be judged."
        ),
        figure!(
            Counter,
            known_overflows,
            "known_overflows_total",
            "credentials",
            "Accepted credentials that found no room to be remembered (`judging.max_known`)."
        ),
        figure!(
            Gauge,
            statements_open,
            "statements_open",
            "statements",
            "Statements under way or waiting."
        ),
        figure!(
            Counter,
            statements_overflows,
            "statements_overflows_total",
            "statements",
            "Statements that were turned away because too many were under way (`max_statements`)."
        ),
        figure!(
            Counter,
            timeouts,
            "timeouts_total",
            "writes",
            "Writes that were answered 504: they are in the journal, and `ack` was not met in time."
        ),
        figure!(
            Counter,
            dead_letters,
            "dead_letters_total",
            "records",
            "Records that one replica refused for good while another one accepted them."
        ),
        figure!(
            Gauge,
            open_dead_letters,
            "open_dead_letters",
            "records",
            "Dead letters that nobody has settled."
        ),
        figure!(
            Gauge,
            dead_letter_limit,
            "dead_letter_limit",
            "records",
            "Most dead letters that are kept (`max_dead_letters`)."
        ),
        figure!(
            Gauge,
            pending_refusals,
            "pending_refusals",
            "records",
            "Refused records that are remembered, because a replica may still be sent them."
        ),
        figure!(
            Gauge,
            refusals_unwritten,
            "refusals_unwritten",
            "1 or 0",
            "Whether refusals cannot be put on disk, so that cursors are not saved (in JSON true or false)."
        ),
        figure!(
            Counter,
            failed_tasks,
            "failed_tasks_total",
            "tasks",
            "Tasks that failed and were begun again: a fault of haflux, which the log shows."
        ),
        figure!(
            Counter,
            streamed_answers,
            "streamed_answers_total",
            "answers",
            "Answers to statements that went to their clients while they came, because they were long."
        ),
        figure!(
            Counter,
            slow_answers,
            "slow_answers_total",
            "answers",
            "Of those, answers whose client was too slow and was given up."
        ),
        figure!(
            Gauge,
            answer_buffer,
            "answer_buffer_bytes",
            "bytes",
            "Such answers that wait for their clients now."
        ),
        figure!(
            Gauge,
            answer_buffer_max,
            "answer_buffer_max_bytes",
            "bytes",
            "The most bytes of such answers that waited at once."
        ),
        figure!(
            Gauge,
            refusal_texts,
            "refusal_texts_bytes",
            "bytes",
            "Long refusals that are held for clients now."
        ),
        figure!(
            Gauge,
            refusal_texts_max,
            "refusal_texts_max_bytes",
            "bytes",
            "The most bytes of long refusals that were held at once."
        ),
        figure!(
            Gauge,
            inflight,
            "inflight_bytes",
            "bytes",
            "Bodies of writes that are held for clients now."
        ),
        figure!(
            Gauge,
            inflight_max,
            "inflight_max_bytes",
            "bytes",
            "The most bytes of such bodies that were held at once."
        ),
        figure!(
            Counter,
            inflight_waits,
            "inflight_waits_total",
            "bodies",
            "Bodies that waited for room within `max_inflight`."
        ),
        figure!(
            Counter,
            inflight_refused,
            "inflight_refused_total",
            "bodies",
            "Bodies that were refused for want of room."
        ),
        figure!(
            Counter,
            defused_lines,
            "defused_lines_total",
            "lines",
            "Lines that were made ones that every node refuses, because they would harm it."
        ),
        figure!(
            Counter,
            gate_waits,
            "gate_waits_total",
            "records",
            "Records that waited while a mend changed nodes (`heal.gate`)."
        ),
        figure!(
            Gauge,
            journal.takes_records,
            "journal_takes_records",
            "1 or 0",
            "Whether the journal takes records: its disk is not full, ill or gone (in JSON true or false)."
        ),
        figure!(
            Gauge,
            journal.on_disk,
            "journal_disk_bytes",
            "bytes",
            "Size of the journal's files."
        ),
        figure!(
            Gauge,
            journal.disk_free,
            "journal_disk_free_bytes",
            "bytes",
            "Free space of the journal's file system; nothing while that is not known."
        ),
        figure!(
            Counter,
            journal.errors,
            "journal_errors_total",
            "failures",
            "Failures of the journal's disk."
        ),
        figure_by!(
            Moment,
            "journal.last_error.at",
            "journal_last_error_timestamp_seconds",
            "",
            "When the journal's disk failed last.",
            |relay: &RelayView| at(&relay.journal.last_error)
        ),
        text!("journal.last_error.text", "What failed last."),
        figure!(
            Gauge,
            compared.running,
            "compare_running",
            "1 or 0",
            "Whether its nodes are being compared (in JSON true or false)."
        ),
        figure!(
            Moment,
            compared.last,
            "compare_last_timestamp_seconds",
            "",
            "When the last comparison of all nodes ended; nothing if there was none."
        ),
        figure!(
            Gauge,
            compared.differences,
            "compare_differences",
            "differences",
            "How many differences it found."
        ),
        text!(
            "compared.failed",
            "Why the last comparison that haflux began by itself has not compared everything; nothing once one has."
        ),
        figure!(
            Counter,
            missed_runs.done,
            "missed_runs_done_total",
            "runs",
            "Runs of continuous queries that a node missed and that were made up for (`rerun_continuous_queries`)."
        ),
        figure!(
            Counter,
            missed_runs.failed,
            "missed_runs_failed_total",
            "runs",
            "Such runs that the node refused."
        ),
    ];
    figures.extend(own);
    Typed {
        part: Part {
            title: "Relays",
            path: "relays[].",
            prefix: "haflux_relay_",
            labels: &["relay"],
        },
        each: |snapshot| {
            let each = snapshot.relays.iter();
            each.map(|relay| (vec![relay.name.clone()], relay))
                .collect()
        },
        figures,
    }
}

/// The states of a replica.
const REPLICA_STATES: &[Status] = &[
    Status::Fresh,
    Status::Lagging,
    Status::Down,
    Status::Maint,
    Status::Diverged,
];

pub(super) fn replicas() -> Typed<ReplicaView> {
    let figures: Vec<Figure<ReplicaView>> = vec![
        text!("name", "The name of its server."),
        figure_by!(
            Info,
            "version",
            "info",
            "",
            "The release of InfluxDB that it named last, as the label `version`; nothing before its first answer.",
            |replica: &ReplicaView| match &replica.version {
                Some(version) => Reading::Info(version.clone()),
                None => Reading::Nothing,
            }
        ),
        figure_by!(
            State,
            "status",
            "state",
            "",
            "Whether it has applied everything, is catching up, cannot be reached, is sent nothing by order, or has diverged.",
            |replica: &ReplicaView| Reading::State(replica.status, REPLICA_STATES)
        ),
        figure!(
            Moment,
            since,
            "state_since_timestamp_seconds",
            "",
            "Since when it is in this state."
        ),
        figure!(
            Gauge,
            in_doubt,
            "in_doubt",
            "1 or 0",
            "Whether something that it was sent and did not answer may still be carried out (in JSON true or false)."
        ),
        figure!(
            Gauge,
            cursor,
            "cursor_sequence",
            "sequence",
            "Every record up to this sequence has a verdict here."
        ),
        figure!(
            Gauge,
            cursor_offset,
            "cursor_offset_bytes",
            "bytes",
            "Bytes of the journal's records up to the cursor, since the journal's birth."
        ),
        figure!(
            Gauge,
            lag.records,
            "lag_records",
            "records",
            "Records of the journal without a verdict here."
        ),
        figure!(
            Gauge,
            lag.bytes,
            "lag_bytes",
            "bytes",
            "Size of those records in the journal."
        ),
        figure!(
            Gauge,
            lag.seconds,
            "lag_seconds",
            "seconds",
            "How long the oldest of those records has waited."
        ),
        figure!(
            Gauge,
            lag.catch_up,
            "catch_up_seconds",
            "seconds",
            "How long it will take to catch up at the pace of the last seconds; nothing when that cannot be said."
        ),
        figure!(
            Counter,
            requests,
            "requests_total",
            "requests",
            "Requests that were sent to it."
        ),
        figure!(
            Counter,
            retries,
            "retries_total",
            "requests",
            "Requests that must be sent again."
        ),
        figure!(
            Counter,
            too_large,
            "too_large_requests_total",
            "requests",
            "Requests that were larger than it takes."
        ),
        figure!(
            Gauge,
            request_limit,
            "request_limit_bytes",
            "bytes",
            "Most bytes of a request that it is sent since it refused a larger one; 0 while it has refused none."
        ),
        figure!(
            Counter,
            applied,
            "applied_records_total",
            "records",
            "Records that it applied."
        ),
        figure!(
            Counter,
            refused,
            "refused_records_total",
            "records",
            "Records that it refused for good."
        ),
        figure!(
            Counter,
            expired,
            "expired_records_total",
            "records",
            "Records whose points were too old for their retention policy."
        ),
        figure!(
            Gauge,
            tried,
            "tried_records",
            "records",
            "Records that ended without a verdict and are tried again."
        ),
        figure!(
            Counter,
            set_aside,
            "set_aside_records_total",
            "records",
            "Records that were set aside because they ended without a verdict too often, or by a person."
        ),
        figure_by!(
            Moment,
            "last_error.at",
            "last_error_timestamp_seconds",
            "",
            "When something went wrong last.",
            |replica: &ReplicaView| at(&replica.last_error)
        ),
        text!("last_error.text", "What went wrong last."),
        figure!(
            Gauge,
            lanes.waiting,
            "lanes",
            "databases",
            "Databases of which records were read for it and have no verdict: its lanes."
        ),
    ];
    Typed {
        part: Part {
            title: "Replicas",
            path: "relays[].replicas[].",
            prefix: "haflux_replica_",
            labels: &["relay", "replica"],
        },
        each: |snapshot| {
            let each = snapshot.relays.iter().flat_map(|relay| {
                let replicas = relay.replicas.iter();
                replicas.map(|replica| (vec![relay.name.clone(), replica.name.clone()], replica))
            });
            each.collect()
        },
        figures,
    }
}

/// Prometheus does not get them: their names are those of databases, of which there may be any number.
pub(super) fn lanes() -> Typed<LaneView> {
    let figures: Vec<Figure<LaneView>> = vec![
        text!(
            "database",
            "The database. Of a replica's lanes those are here whose oldest record has waited longest, at most 16, as they stood up to a second ago."
        ),
        figure!(
            Gauge,
            records,
            "",
            "records",
            "Records of it that were read for the replica and have no verdict; those that wait for a statement are not counted."
        ),
        figure!(
            Gauge,
            under_way,
            "",
            "records",
            "Of those records, the ones in the request that is under way."
        ),
        figure!(
            Moment,
            since,
            "",
            "",
            "Since when the oldest one has waited."
        ),
        figure!(
            Gauge,
            held,
            "",
            "true or false",
            "Whether the oldest one is tried again and again, because the replica does not take it as things are."
        ),
    ];
    Typed {
        part: Part {
            title: "Lanes",
            path: "relays[].replicas[].lanes.slowest[].",
            prefix: "haflux_lane_",
            labels: &[],
        },
        each: |snapshot| {
            let replicas = snapshot.relays.iter().flat_map(|relay| &relay.replicas);
            let lanes = replicas.flat_map(|replica| &replica.lanes.slowest);
            lanes.map(|lane| (Vec::new(), lane)).collect()
        },
        figures,
    }
}
