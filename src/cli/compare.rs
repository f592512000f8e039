//! `haflux compare`: where the nodes of a running haflux differ.
//!
//! Exit status: 0 if they hold the same, 1 if they differ, 2 if that is not known of all of them.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;

use super::moment::moment;
use super::output::tell;
use super::text::one_line;
use super::{DEFAULT_CONFIG, output, running, work};
use crate::control::{Compared, Difference, HealOrder, HealReport, HealState};
use crate::stats::units::{Bytes, Count, Span};

const EXAMPLES: &str = "\
Examples:
  haflux compare                             everything, by sums of each series and hour
  haflux compare --db telegraf --from -1d    one database, since yesterday
  haflux compare --full                      every point of every node, to the last bit
  haflux compare --json | jq '.differences'  for scripts; exit status 0 the same, 1 different, 2 not known
  haflux compare --follow                    show the one that is under way, and what it finds
  haflux compare --cancel                    end the one that is under way

A comparison goes on in haflux when this command is interrupted. docs/healing.md says what sums see and what only --full sees;
haflux mend ends differences.";

/// What `haflux compare` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Compare this database only; may be given several times. Users, who belong to none, are left out then
    #[arg(long = "db", value_name = "NAME")]
    databases: Vec<String>,
    /// Compare points from this time on: RFC 3339, a day, nanoseconds since 1970, or how long ago, as -1d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment)]
    from: Option<i64>,
    /// Compare points before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = moment)]
    to: Option<i64>,
    /// Read every point of every node instead of sums
    #[arg(long)]
    full: bool,
    /// Begin nothing, and follow the comparison that is under way, also one that haflux began by itself
    #[arg(long, conflicts_with_all = ["databases", "from", "to", "full", "cancel"])]
    follow: bool,
    /// End the comparison that is under way
    #[arg(long, conflicts_with_all = ["databases", "from", "to", "full"])]
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

/// Compares, prints what differs, and gives the exit status that is documented above.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Ok(config) = running::configuration(&arguments.config) else {
        return ExitCode::from(work::UNKNOWN);
    };
    let data_dir = config.server.data_dir;
    let relay = arguments.relay.as_deref();
    if arguments.cancel {
        return match work::cancel(&data_dir, relay, "compare") {
            Ok(report) => {
                let said = format!("the comparison of relay {} ends\n", one_line(&report.relay));
                output::print(&said, 0, work::UNKNOWN)
            }
            Err(error) => work::not_cancelled(&error),
        };
    }
    if arguments.follow
        && let Err(error) = work::is_under_way(&data_dir, relay, "compare")
    {
        return work::refused(&error);
    }
    if io::stderr().is_terminal() {
        tell!(
            "Ctrl-C leaves the comparison going on in haflux: haflux compare --follow shows it again, --cancel ends it"
        );
    }
    let places = Compared {
        databases: arguments.databases.clone(),
        from: arguments.from,
        until: arguments.to,
        full: arguments.full,
    };
    let order = match arguments.follow {
        true => HealOrder::Progress {},
        false => HealOrder::Compare(places),
    };
    match work::to_its_end(&data_dir, relay, order) {
        Ok(report) => work::said(&report, arguments.json, lines),
        Err(error) => work::refused(&error),
    }
}

/// A line for each difference, each note, and what it comes to.
fn lines(report: &HealReport) -> String {
    let differences = report.differences.iter().map(line);
    let more = report
        .differing
        .saturating_sub(report.differences.len() as u64);
    let more = (more > 0).then(|| format!("… and {} more\n", Count(more)));
    let notes = report.notes.iter();
    let notes = notes.map(|note| format!("note: {}\n", one_line(note)));
    let differs = differences_of(report);
    let end = match &report.state {
        HealState::Done if report.differing == 0 => "the nodes hold the same".to_owned(),
        HealState::Done => "the nodes differ".to_owned(),
        HealState::Running => "still under way".to_owned(),
        HealState::Cancelled => "it was cancelled".to_owned(),
        HealState::Failed(reason) => format!("not compared to the end: {}", one_line(reason)),
    };
    let sum = format!(
        "{end}: {differs}, {} slices, {} rows and {} read in {}\n",
        Count(report.figures.slices.0),
        Count(report.figures.points),
        Bytes(report.figures.bytes),
        Span(work::elapsed(report, SystemTime::now()))
    );
    differences.chain(more).chain(notes).chain([sum]).collect()
}

/// How many differences there are.
pub(super) fn differences_of(report: &HealReport) -> String {
    match report.differing {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        several => format!("{} differences", Count(several)),
    }
}

pub(super) fn line(difference: &Difference) -> String {
    let holds = difference.holds.iter();
    let holds = holds.map(|(node, held)| format!("{}: {}", one_line(node), one_line(held)));
    let holds: Vec<String> = holds.collect();
    format!(
        "{} {}: {}\n",
        one_line(&difference.kind),
        one_line(&difference.place),
        holds.join(" | ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::WorkFigures;

    fn report(state: HealState, differing: u64) -> HealReport {
        let difference = Difference {
            kind: "point".to_owned(),
            place: "d.p.m,host=a\x1b[2J 2026-11-29T09:00:00Z".to_owned(),
            holds: vec![
                ("one".to_owned(), "v=1i".to_owned()),
                ("two".to_owned(), "-".to_owned()),
            ],
        };
        HealReport {
            relay: "relay".to_owned(),
            work: "compare".to_owned(),
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
            differences: vec![difference; usize::from(differing > 0)],
            differing,
            notes: vec!["still\nmoving".to_owned()],
            goes_on: false,
        }
    }

    #[test]
    fn differences_come_line_by_line() {
        assert_eq!(
            lines(&report(HealState::Done, 3)),
            "\
point d.p.m,host=a\\u{1b}[2J 2026-11-29T09:00:00Z: one: v=1i | two: -
… and 2 more
note: still\\nmoving
the nodes differ: 3 differences, 12 slices, 1,234 rows and 2.0 KiB read in 2.0 s
"
        );
        assert!(
            lines(&report(HealState::Done, 0)).contains("the nodes hold the same: no difference, ")
        );
        let failed = HealState::Failed("two is down".to_owned());
        assert!(lines(&report(failed, 1)).contains("not compared to the end: two is down: 1 diff"));
    }
}
