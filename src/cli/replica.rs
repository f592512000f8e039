//! `haflux replica`: how the replicas of a running haflux stand, and a person's decisions about those that diverged.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};

use super::names::{DidYouMean, Names, OneLine, Quoted};
use super::output::tell;
use super::{DEFAULT_CONFIG, output, rebuild, running};
use crate::config::Config;
use crate::control::{Answer, AskError, ControlError, ReplicaReport, Request, ask};
use crate::stats::units::{Bytes, Count, Span};

const EXAMPLES: &str = "\
Rebuilding a replica whose data differs, or that is empty, while the others serve:
  haflux replica status                     which one, and why?
  haflux replica rebuild influxlab2         all that it holds is dropped, and copied anew from one that is fresh

The same by hand, with InfluxDB's own backup:
  haflux replica rebuild-begin influxlab2   from here on the journal is kept for it
  …                                         copy the data of a fresh node to it: influxd backup, influxd restore
  haflux replica readmit influxlab2         it is sent what was written since, and serves again

Passing over a record that a replica never answers:
  haflux replica skip influxlab2 41         a dead letter, and the database goes on; the log and the page name the record

docs/operation.md has the whole way.";

/// What `haflux replica` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Order,
    /// The relay, if several have a replica of that name
    #[arg(long, value_name = "NAME", global = true)]
    relay: Option<String>,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG, global = true)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Say how every replica stands
    Status,
    /// Fill a replica with what another holds, while clients write and read: drops what it holds, copies, compares, takes it back
    Rebuild(rebuild::Arguments),
    /// Keep the journal from here on for a diverged replica, whose data is copied from another next
    RebuildBegin {
        /// The replica: a server of the pool that the relay replicates to
        #[arg(value_name = "NAME")]
        replica: String,
    },
    /// Take a replica back whose data was copied: it is sent what was written since rebuild-begin
    Readmit {
        /// The replica: a server of the pool that the relay replicates to
        #[arg(value_name = "NAME")]
        replica: String,
        /// Whatever it lacks, or cannot prove: a copy that was looked at, a node that is held, or the last data that is left
        #[arg(long)]
        as_it_is: bool,
    },
    /// Set a record aside that a replica leaves without a verdict: it becomes a dead letter there
    Skip {
        /// The replica: a server of the pool that the relay replicates to
        #[arg(value_name = "NAME")]
        replica: String,
        /// The record, as the log and the status page name it
        #[arg(value_name = "SEQUENCE")]
        sequence: u64,
    },
}

/// Asks the haflux that runs. The exit status is 0 if it did what was asked, and 1 otherwise.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match running::configuration(&arguments.config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    if config.relays.is_empty() {
        tell!(
            "{}: there is no relay, so there are no replicas",
            arguments.config.display()
        );
        return ExitCode::FAILURE;
    }
    output::said(carry_out(arguments, &config).map(|said| said + "\n"))
}

/// Why the order came to nothing.
#[derive(Debug, thiserror::Error)]
enum OrderError {
    /// There was no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There is no such replica.
    #[error("there is no replica {}; there are: {}{}", Quoted(name), Names(known), DidYouMean { found: name, known })]
    UnknownReplica {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// There is no such relay.
    #[error("there is no relay {}; there are: {}{}", Quoted(name), Names(known), DidYouMean { found: name, known })]
    UnknownRelay {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// There are several.
    #[error(
        "replica {} is in several relays: say --relay and one of: {}",
        Quoted(name),
        Names(relays)
    )]
    Ambiguous {
        /// The name that was given.
        name: String,
        /// The relays that have one.
        relays: Vec<String>,
    },
    /// The rebuild did not come to its end.
    #[error(transparent)]
    Rebuild(#[from] rebuild::RebuildError),
    /// It was refused, or failed.
    #[error("{}", OneLine(&.0.to_string()))]
    Refused(ControlError),
    /// It answered something else than was asked.
    #[error("haflux did not understand it; is the one that runs of another version?{}", .0.as_deref().map(|why| format!(" ({})", OneLine(why))).unwrap_or_default())]
    Misunderstood(Option<String>),
}

/// What to print.
fn carry_out(arguments: &Arguments, config: &Config) -> Result<String, OrderError> {
    if let Some(relay) = &arguments.relay
        && config.relays.iter().all(|known| known.name != *relay)
    {
        return Err(OrderError::UnknownRelay {
            name: relay.clone(),
            known: config
                .relays
                .iter()
                .map(|known| known.name.clone())
                .collect(),
        });
    }
    let relay = arguments.relay.clone();
    let request = match &arguments.order {
        Order::Rebuild(rebuild) => {
            let data_dir = &config.server.data_dir;
            return Ok(rebuild::run(data_dir, relay.as_deref(), rebuild)?);
        }
        Order::Status => Request::Status {},
        Order::RebuildBegin { replica } => Request::RebuildBegin {
            name: replica.clone(),
            relay,
        },
        Order::Readmit { replica, as_it_is } => Request::Readmit {
            name: replica.clone(),
            relay,
            as_it_is: *as_it_is,
        },
        Order::Skip { replica, sequence } => Request::Skip {
            name: replica.clone(),
            sequence: *sequence,
            relay,
        },
    };
    match (
        ask(&config.server.data_dir, &request, running::LIMIT)?,
        &request,
    ) {
        (Answer::Replicas(mut replicas), Request::Status {}) => {
            if let Some(relay) = &arguments.relay {
                replicas.retain(|replica| replica.relay == *relay);
            }
            Ok(table(&replicas, SystemTime::now()))
        }
        (
            Answer::Done(next),
            Request::RebuildBegin { .. } | Request::Readmit { .. } | Request::Skip { .. },
        ) => Ok(next),
        (Answer::Refused(error), _) => Err(match error {
            ControlError::UnknownReplica { name, known } => {
                OrderError::UnknownReplica { name, known }
            }
            ControlError::Ambiguous { name, relays } => OrderError::Ambiguous { name, relays },
            ControlError::NotNow { .. }
            | ControlError::Failed { .. }
            | ControlError::Configuration { .. }
            | ControlError::Invalid { .. }
            | ControlError::NotAllowed { .. }
            | ControlError::UnknownBackend { .. }
            | ControlError::UnknownServer { .. } => OrderError::Refused(error),
        }),
        (Answer::Misunderstood(why), _) => Err(OrderError::Misunderstood(Some(why))),
        (_, _) => Err(OrderError::Misunderstood(None)),
    }
}

const HEADER: [&str; 9] = [
    "REPLICA", "RELAY", "STATE", "SINCE", "CURSOR", "RECORDS", "BYTES", "AGE", "REASON",
];

/// One line for each replica, its columns under those of the others.
fn table(replicas: &[ReplicaReport], now: SystemTime) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(replicas.iter().map(|replica| row(replica, now)));
    let widths: [usize; HEADER.len()] = std::array::from_fn(|column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    });
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

fn row(replica: &ReplicaReport, now: SystemTime) -> [String; HEADER.len()] {
    let since = UNIX_EPOCH.checked_add(Duration::from_millis(replica.since));
    let age = since.map(|since| Span(now.duration_since(since).unwrap_or_default()));
    let pending = replica.lag_records > 0;
    let waited = Span(Duration::from_millis(replica.oldest_pending_ms));
    [
        OneLine(&replica.name).to_string(),
        OneLine(&replica.relay).to_string(),
        OneLine(&replica.state).to_string(),
        age.map_or_else(|| "-".to_owned(), |age| age.to_string()),
        Count(replica.cursor).to_string(),
        Count(replica.lag_records).to_string(),
        Bytes(replica.lag_bytes).to_string(),
        if pending {
            waited.to_string()
        } else {
            "-".to_owned()
        },
        OneLine(replica.reason.as_deref().unwrap_or("-")).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, state: &str) -> ReplicaReport {
        ReplicaReport {
            relay: "relay".to_owned(),
            name: name.to_owned(),
            address: "127.0.0.1:8086".to_owned(),
            state: state.to_owned(),
            since: 1_000_000,
            cursor: 12_345,
            lag_records: 0,
            lag_bytes: 0,
            oldest_pending_ms: 0,
            reason: None,
        }
    }

    #[test]
    fn the_table_lines_up() {
        let mut behind = report("influxlab2", "diverged");
        behind.lag_records = 1_200;
        behind.lag_bytes = 1_258_291;
        behind.oldest_pending_ms = 192_000;
        behind.reason = Some("its last point\nis gone\x1b[2J".to_owned());
        let now = UNIX_EPOCH + Duration::from_secs(1_090);
        assert_eq!(
            table(&[report("influxlab", "fresh"), behind], now),
            "\
REPLICA     RELAY  STATE     SINCE       CURSOR  RECORDS  BYTES    AGE         REASON
influxlab   relay  fresh     1 min 30 s  12,345  0        0 B      -           -
influxlab2  relay  diverged  1 min 30 s  12,345  1,200    1.1 MiB  3 min 12 s  its last point is gone [2J"
        );
    }

    #[test]
    fn any_report_can_be_shown() {
        let mut odd = report("", "");
        (odd.since, odd.cursor, odd.lag_records) = (u64::MAX, u64::MAX, u64::MAX);
        (odd.lag_bytes, odd.oldest_pending_ms) = (u64::MAX, u64::MAX);
        assert_eq!(table(&[odd], UNIX_EPOCH).lines().count(), 2);
    }
}
