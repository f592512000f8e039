//! `haflux mend`: makes the nodes of a running haflux hold the same.
//!
//! Exit status: 0 if nothing differs any more, 1 if something is left or would be done, 2 if it could not be done.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{ArgGroup, Args};

use super::moment::moment;
use super::output::tell;
use super::text::one_line;
use super::{DEFAULT_CONFIG, compare, output, running, work};
use crate::control::{Compared, HealOrder, HealReport, HealState};
use crate::stats::units::{Count, Span};

/// Differences that are shown.
const SHOWN: usize = 20;

const EXAMPLES: &str = "\
Examples:
  haflux mend --from influxlab                      what would make the others hold what influxlab holds
  haflux mend --from influxlab --yes                does it
  haflux mend --union --db telegraf --yes           every node gets each point of telegraf that any node holds
  haflux mend --from influxlab --since -1d --yes    only points since yesterday
  haflux mend --cancel                              end the one that is under way

Clients write and read meanwhile; their writes wait for moments, and none is overwritten. What is overwritten or deleted is kept in a
file in data_dir. A mend goes on in haflux when this command is interrupted.";

/// What `haflux mend` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("right").required(true).args(["from", "union", "cancel"]))]
pub(super) struct Arguments {
    /// Make the other nodes hold what this one holds
    #[arg(long, value_name = "NODE")]
    from: Option<String>,
    /// Make all nodes hold each point that any of them holds; what contradicts stays
    #[arg(long)]
    union: bool,
    /// Mend this database only; may be given several times
    #[arg(long = "db", value_name = "NAME")]
    databases: Vec<String>,
    /// Mend points from this time on: RFC 3339, a day, nanoseconds since 1970, or how long ago, as -1d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment)]
    since: Option<i64>,
    /// Mend points before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment)]
    until: Option<i64>,
    /// Compare every point of every node instead of sums
    #[arg(long)]
    full: bool,
    /// Do it; without this, it is only shown
    #[arg(long)]
    yes: bool,
    /// End the mend that is under way
    #[arg(long, conflicts_with_all = ["databases", "since", "until", "full", "yes"])]
    cancel: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The relay, if there are several
    #[arg(long, value_name = "NAME")]
    relay: Option<String>,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Mends, or shows what would be done, and gives the exit status that is documented above.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Ok(config) = running::configuration(&arguments.config) else {
        return ExitCode::from(work::UNKNOWN);
    };
    let data_dir = config.server.data_dir;
    let relay = arguments.relay.as_deref();
    if arguments.cancel {
        return match work::cancel(&data_dir, relay, "mend") {
            Ok(report) => {
                let said = format!("the mend of relay {} ends\n", one_line(&report.relay));
                output::print(&said, 0, work::UNKNOWN)
            }
            Err(error) => work::not_cancelled(&error),
        };
    }
    if io::stderr().is_terminal() {
        tell!("Ctrl-C leaves the mend going on in haflux; haflux mend --cancel ends it");
    }
    let places = Compared {
        databases: arguments.databases.clone(),
        from: arguments.since,
        until: arguments.until,
        full: arguments.full,
    };
    let order = HealOrder::Mend {
        places,
        source: arguments.from.clone(),
        dry_run: !arguments.yes,
    };
    match work::to_its_end(&data_dir, relay, order) {
        Ok(report) => work::said(&report, arguments.json, |report| {
            lines(report, arguments.yes)
        }),
        Err(error) => work::refused(&error),
    }
}

/// A line for each of the first differences, each note, and what it comes to.
fn lines(report: &HealReport, was_done: bool) -> String {
    let differences = report.differences.iter().take(SHOWN).map(compare::line);
    let shown = report.differences.len().min(SHOWN);
    let more = report.differing.saturating_sub(shown as u64);
    let more = (more > 0).then(|| format!("… and {} more\n", Count(more)));
    let notes = report.notes.iter();
    let notes = notes.map(|note| format!("{}\n", one_line(note)));
    let end = match &report.state {
        HealState::Done if report.differing == 0 => "the nodes hold the same".to_owned(),
        HealState::Done if was_done => {
            format!("left: {}", compare::differences_of(report))
        }
        HealState::Done => format!(
            "{}; nothing was done: --yes does it",
            compare::differences_of(report)
        ),
        HealState::Running => "still under way".to_owned(),
        HealState::Cancelled => "it was cancelled".to_owned(),
        HealState::Failed(reason) => format!("not mended to the end: {}", one_line(reason)),
    };
    let sum = format!(
        "{end}; it took {}\n",
        Span(work::elapsed(report, SystemTime::now()))
    );
    differences.chain(more).chain(notes).chain([sum]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Difference;
    use crate::stats::WorkFigures;

    fn report(state: HealState, differing: u64) -> HealReport {
        let difference = Difference {
            kind: "point".to_owned(),
            place: "d.p.m,host=a 2026-11-29T09:00:00Z".to_owned(),
            holds: vec![("one".to_owned(), "-".to_owned())],
        };
        HealReport {
            relay: "relay".to_owned(),
            work: "mend".to_owned(),
            state,
            step: "comparing points".to_owned(),
            began: 1_000,
            ended: Some(3_000),
            figures: WorkFigures {
                slices: (12, 12),
                points: 1_234,
                bytes: 2_048,
                ..WorkFigures::default()
            },
            differences: vec![difference; usize::try_from(differing).unwrap_or(0)],
            differing,
            notes: vec!["two, database d: 3 points written, 1 removed".to_owned()],
            goes_on: false,
        }
    }

    #[test]
    fn the_first_differences_are_shown_and_what_it_comes_to() {
        let text = lines(&report(HealState::Done, 23), false);
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("point "))
                .count(),
            SHOWN
        );
        assert!(text.ends_with(
            "… and 3 more\ntwo, database d: 3 points written, 1 removed\n23 differences; nothing was done: --yes does it; it took 2.0 s\n"
        ), "{text}");
        let text = lines(&report(HealState::Done, 0), true);
        assert_eq!(
            text,
            "two, database d: 3 points written, 1 removed\nthe nodes hold the same; it took 2.0 s\n"
        );
    }
}
