//! The figures of the process and of its log.

use super::figure::{About, Figure, Kind, Readable, Reading, figure, figure_by, text};
use super::group::{Part, Typed};
use crate::stats::snapshot::{LogTargetView, Notice, Problem, Snapshot};

pub(super) fn process() -> Typed<Snapshot> {
    Typed {
        part: Part {
            title: "The process",
            path: "",
            prefix: "haflux_",
            labels: &[],
        },
        each: |snapshot| vec![(Vec::new(), snapshot)],
        figures: vec![
            figure_by!(
                Info,
                "version",
                "build_info",
                "",
                "The version of haflux, as the label `version`.",
                |snapshot: &Snapshot| Reading::Info(snapshot.version.clone())
            ),
            figure!(Gauge, pid, "", "process id", "The id of the process."),
            figure!(Moment, now, "", "", "When all of this was read."),
            figure!(
                Moment,
                started,
                "start_time_seconds",
                "",
                "When the process started."
            ),
            figure!(
                Gauge,
                process.resident,
                "resident_memory_bytes",
                "bytes",
                "Memory of the process that is resident."
            ),
            figure!(
                Gauge,
                process.open_files,
                "open_files",
                "files",
                "File descriptors that are open, connections among them."
            ),
            figure!(
                Gauge,
                process.open_files_limit,
                "open_files_limit",
                "files",
                "Most file descriptors that may be open."
            ),
            figure!(
                Counter,
                process.cpu,
                "cpu_seconds_total",
                "seconds",
                "Processor time that the process used."
            ),
            figure!(
                Gauge,
                query_inflight,
                "query_inflight_bytes",
                "bytes",
                "Bodies of requests to replicated pools that are held now."
            ),
            figure!(
                Gauge,
                query_inflight_max,
                "query_inflight_max_bytes",
                "bytes",
                "The most bytes of such bodies that were held at once."
            ),
            figure!(
                Counter,
                query_inflight_waits,
                "query_inflight_waits_total",
                "bodies",
                "Bodies of such requests that waited for room within `max_query_inflight`."
            ),
            figure!(
                Counter,
                query_inflight_refused,
                "query_inflight_refused_total",
                "bodies",
                "Bodies of such requests that were refused for want of room."
            ),
            figure!(
                Counter,
                queries_refused,
                "queries_refused_total",
                "requests",
                "Requests to replicated pools that were refused because they hold more than a `max_query_…` limit lets them."
            ),
            figure!(
                Gauge,
                query_fingerprints,
                "query_fingerprints",
                "fingerprints",
                "Different queries that `haflux queries` counts."
            ),
            figure!(
                Counter,
                query_fingerprints_left_out,
                "query_fingerprints_left_out_total",
                "queries",
                "Queries that it does not count, because `max_query_fingerprints` others are counted."
            ),
            figure!(
                Counter,
                query_kills,
                "query_kills_total",
                "queries",
                "Queries that a node went on with although their connection was closed, and that were ended there by `KILL QUERY`."
            ),
            figure!(
                Counter,
                log.held_back,
                "log_held_back_messages_total",
                "messages",
                "Messages of the log that were held back because they repeat."
            ),
            figure!(
                Gauge,
                spread.one_node,
                "one_node_records",
                "records",
                "Records that one node has and no other, of all relays."
            ),
            figure!(
                Gauge,
                spread.one_node_bytes,
                "one_node_bytes",
                "bytes",
                "Size of those records in the journals."
            ),
            figure!(
                Gauge,
                spread.no_node,
                "no_node_records",
                "records",
                "Records that stand in a journal and at no node."
            ),
            figure!(
                Gauge,
                spread.no_node_bytes,
                "no_node_bytes",
                "bytes",
                "Size of those records in the journals."
            ),
            figure!(
                Gauge,
                spread.at_least,
                "one_node_records_at_least",
                "1 or 0",
                "Whether there may be more records on one node only, because a replica is diverged (in JSON true or false)."
            ),
        ],
    }
}

pub(super) fn problems() -> Typed<Problem> {
    Typed {
        part: Part {
            title: "What is wrong",
            path: "problems[].",
            prefix: "haflux_problem_",
            labels: &[],
        },
        each: |snapshot| {
            let each = snapshot.problems.iter();
            each.map(|problem| (Vec::new(), problem)).collect()
        },
        figures: vec![
            text!("severity", "How bad it is: error or warning."),
            text!("what", "What is wrong; the worst stands first."),
            text!("why", "Why, as far as that is known."),
            text!("action", "What to do."),
            text!("commands", "The commands for it."),
        ],
    }
}

pub(super) fn notices() -> Typed<Notice> {
    Typed {
        part: Part {
            title: "What is ordered",
            path: "notices[].",
            prefix: "haflux_notice_",
            labels: &[],
        },
        each: |snapshot| {
            let each = snapshot.notices.iter();
            each.map(|notice| (Vec::new(), notice)).collect()
        },
        figures: vec![
            text!("what", "Which server is out of service by order."),
            text!("why", "What it means."),
            text!("action", "What to do."),
            text!("commands", "The command that ends the order."),
        ],
    }
}

pub(super) fn log_targets() -> Typed<LogTargetView> {
    Typed {
        part: Part {
            title: "Targets of the log",
            path: "log.targets[].",
            prefix: "haflux_log_",
            labels: &["target"],
        },
        each: |snapshot| {
            let each = snapshot.log.targets.iter();
            each.map(|target| (vec![target.to.clone()], target))
                .collect()
        },
        figures: vec![
            text!("to", "Where its lines go."),
            figure!(
                Counter,
                dropped,
                "dropped_lines_total",
                "lines",
                "Lines that were dropped because the target did not take them."
            ),
        ],
    }
}
