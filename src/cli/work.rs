//! Begins a comparison, a mend or a rebuild in the haflux that runs, and follows it to its end.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ratatui::crossterm::terminal::size;

use super::output::tell;
use super::text::one_line;
use super::{output, running};
use crate::control::{
    Answer, AskError, ControlError, HealOrder, HealReport, HealState, Request, ask,
};

/// Exit status of a command if nodes differ, or are left so.
const DIFFERENT: u8 = 1;

/// Exit status if it is not known whether they do, or the work did not come to its end.
pub(super) const UNKNOWN: u8 = 2;

/// How often it is asked how it stands.
const PACE: Duration = Duration::from_millis(250);

/// Columns of a terminal that does not say how many it has.
const DEFAULT_WIDTH: u16 = 80;

/// How often a line is written where there is no terminal.
const LINE_PACE: Duration = Duration::from_secs(10);

/// Why it could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    /// There was no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It was not begun.
    #[error("{}", one_line(&.0.to_string()))]
    Refused(ControlError),
    /// There is none to end, or to follow.
    #[error("no {} is under way", if *.0 == "compare" { "comparison" } else { .0 })]
    NoneUnderWay(&'static str),
    /// Its end was not seen: haflux may begin a comparison by itself.
    #[error(
        "it has ended, and another work has begun since: the log of haflux says what became of it"
    )]
    Overtaken,
    /// It answered something else than was asked.
    #[error("haflux did not understand it; is the one that runs of another version?")]
    Misunderstood,
}

/// What haflux answers to what it has taken.
fn answered(data_dir: &Path, request: &Request) -> Result<Answer, WorkError> {
    match ask(data_dir, request, running::LIMIT)? {
        Answer::Refused(error) => Err(WorkError::Refused(error)),
        answer => Ok(answer),
    }
}

/// Puts one order.
pub(super) fn order(
    data_dir: &Path,
    relay: Option<&str>,
    order: HealOrder,
) -> Result<Box<HealReport>, WorkError> {
    let request = Request::Heal {
        order,
        relay: relay.map(str::to_owned),
    };
    let Answer::Heal(report) = answered(data_dir, &request)? else {
        return Err(WorkError::Misunderstood);
    };
    Ok(report)
}

/// The users that `target` would lack after a rebuild, because their passwords cannot be read out of `source`.
pub(super) fn lacking_users(
    data_dir: &Path,
    relay: Option<&str>,
    target: &str,
    source: Option<&str>,
) -> Result<Vec<String>, WorkError> {
    let request = Request::LackingUsers {
        target: target.to_owned(),
        source: source.map(str::to_owned),
        relay: relay.map(str::to_owned),
    };
    let Answer::Users(users) = answered(data_dir, &request)? else {
        return Err(WorkError::Misunderstood);
    };
    Ok(users)
}

/// That a work of this name is under way.
pub(super) fn is_under_way(
    data_dir: &Path,
    relay: Option<&str>,
    work: &'static str,
) -> Result<(), WorkError> {
    let report = order(data_dir, relay, HealOrder::Progress {})?;
    match report.work == work && report.state == HealState::Running {
        true => Ok(()),
        false => Err(WorkError::NoneUnderWay(work)),
    }
}

/// Ends the work of this name that is under way, and no other one.
pub(super) fn cancel(
    data_dir: &Path,
    relay: Option<&str>,
    work: &'static str,
) -> Result<Box<HealReport>, WorkError> {
    is_under_way(data_dir, relay, work)?;
    order(data_dir, relay, HealOrder::Cancel {})
}

/// Says why a work was not begun or followed.
pub(super) fn refused(error: &WorkError) -> ExitCode {
    tell!("haflux: {error}");
    ExitCode::from(UNKNOWN)
}

/// Says why a work was not ended, with the exit status of an order that was not carried out.
pub(super) fn not_cancelled(error: &WorkError) -> ExitCode {
    tell!("haflux: {error}");
    ExitCode::FAILURE
}

/// Prints what became of a work, as one JSON document or as `lines` tells it, and gives its exit status.
pub(super) fn said(
    report: &HealReport,
    as_json: bool,
    lines: impl FnOnce(&HealReport) -> String,
) -> ExitCode {
    let text = match as_json {
        true => serde_json::to_string(report).map(|text| text + "\n"),
        false => Ok(lines(report)),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            tell!("haflux: {error}");
            return ExitCode::from(UNKNOWN);
        }
    };
    output::print(&text, status(report), UNKNOWN)
}

fn status(report: &HealReport) -> u8 {
    match report.state {
        HealState::Done if report.differing == 0 => 0,
        HealState::Done => DIFFERENT,
        HealState::Running | HealState::Cancelled | HealState::Failed(_) => UNKNOWN,
    }
}

/// Begins a work and returns when it is over, with what became of it. How it stands goes to standard error: on a terminal a line
/// that is written over, else one every ten seconds. Whoever interrupts this ends nothing.
pub(super) fn to_its_end(
    data_dir: &Path,
    relay: Option<&str>,
    work: HealOrder,
) -> Result<Box<HealReport>, WorkError> {
    let mut report = order(data_dir, relay, work)?;
    let relay = report.relay.clone();
    let mut line = ProgressLine::new();
    while report.state == HealState::Running {
        line.show(&report);
        std::thread::sleep(PACE);
        let now = order(data_dir, Some(&relay), HealOrder::Progress {})?;
        if (&now.work, now.began) != (&report.work, report.began) {
            line.clear();
            return Err(WorkError::Overtaken);
        }
        report = now;
    }
    line.clear();
    Ok(report)
}

/// The line that says how a work stands.
struct ProgressLine {
    on_terminal: bool,
    shown: Option<Instant>,
}

impl ProgressLine {
    fn new() -> ProgressLine {
        ProgressLine {
            on_terminal: io::stderr().is_terminal(),
            shown: None,
        }
    }

    fn show(&mut self, report: &HealReport) {
        let is_due = self
            .shown
            .is_none_or(|shown| self.on_terminal || shown.elapsed() >= LINE_PACE);
        if !is_due {
            return;
        }
        self.shown = Some(Instant::now());
        let mut text = progress(report);
        if self.on_terminal {
            // A line that is wrapped cannot be written over.
            let width = size().map_or(DEFAULT_WIDTH, |(columns, _)| columns);
            text = text
                .chars()
                .take(usize::from(width).saturating_sub(1))
                .collect();
        }
        let mut stderr = io::stderr().lock();
        // Nobody is helped by an error about it.
        drop(match self.on_terminal {
            true => write!(stderr, "\r\x1b[K{text}"),
            false => writeln!(stderr, "{text}"),
        });
        drop(stderr.flush());
    }

    fn clear(&self) {
        if self.on_terminal && self.shown.is_some() {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

/// `copying points: 37 %, 120 of 324 slices, …`
fn progress(report: &HealReport) -> String {
    report.figures.line(&one_line(&report.step))
}

/// How long the work took, or has taken until now.
pub(super) fn elapsed(report: &HealReport, now: SystemTime) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = report.ended.map_or(now, Duration::from_millis);
    until.saturating_sub(Duration::from_millis(report.began))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::WorkFigures;

    fn sample() -> HealReport {
        HealReport {
            relay: "relay".to_owned(),
            work: "rebuild".to_owned(),
            state: HealState::Running,
            step: "copying points\x1b[2J".to_owned(),
            began: 1_000,
            ended: None,
            figures: WorkFigures {
                slices: (120, 324),
                percent: Some(37),
                ..WorkFigures::default()
            },
            differences: Vec::new(),
            differing: 0,
            notes: Vec::new(),
            goes_on: false,
        }
    }

    #[test]
    fn a_line_tells_how_it_stands() {
        let mut report = sample();
        assert_eq!(
            progress(&report),
            "copying points\\u{1b}[2J: 37 %, 120 of 324 slices"
        );
        report.figures = WorkFigures::default();
        assert_eq!(progress(&report), "copying points\\u{1b}[2J");
        report.ended = Some(3_000);
        assert_eq!(elapsed(&report, SystemTime::now()), Duration::from_secs(2));
    }

    #[test]
    fn the_exit_status_is_for_scripts() {
        let report = |state, differing| HealReport {
            state,
            differing,
            ..sample()
        };
        assert_eq!(status(&report(HealState::Done, 0)), 0);
        assert_eq!(status(&report(HealState::Done, 1)), DIFFERENT);
        for state in [HealState::Cancelled, HealState::Failed(String::new())] {
            for differing in [0, 1] {
                assert_eq!(status(&report(state.clone(), differing)), UNKNOWN);
            }
        }
    }
}
