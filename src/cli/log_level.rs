//! `haflux log-level`: how much a running haflux logs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::names::OneLine;
use super::output::tell;
use super::{DEFAULT_CONFIG, output, running};
use crate::control::{Answer, ControlError, Request, ask};

const EXAMPLES: &str = "\
Examples:
  haflux log-level                            which levels count now?
  haflux log-level relay=debug,proxy=info     more of the relay, for as long as the process runs
  haflux log-level warn                       all parts without a level of their own
  haflux log-level relay=default              as much of the relay as of other parts again
  haflux log-level access=off                 no access log; access=on brings it back

Levels: off, error, warn, info, debug. Parts are haflux's modules, as the lines of the log name them, and libraries (pingora).";

/// What `haflux log-level` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// LEVEL, or PART=LEVEL, separated by commas; without any, the levels that count now are printed
    #[arg(
        value_name = "[PART=]LEVEL",
        default_value = "",
        hide_default_value = true
    )]
    levels: String,
    /// The configuration of the haflux that runs: its data_dir says where it listens
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Asks the haflux that runs. The exit status is 0 if it did what was asked, and 1 otherwise.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match running::configuration(&arguments.config) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let request = Request::LogLevel {
        levels: arguments.levels.clone(),
    };
    let error = match ask(&config.server.data_dir, &request, running::LIMIT) {
        Ok(Answer::Done(levels)) => return output::print(&(levels + "\n"), 0, 1),
        Ok(Answer::Refused(ControlError::Failed { reason })) => reason,
        Ok(Answer::Refused(error)) => error.to_string(),
        Ok(_) => {
            "haflux did not understand it; is the one that runs of another version?".to_owned()
        }
        Err(error) => error.to_string(),
    };
    tell!("haflux: {}", OneLine(&error));
    ExitCode::FAILURE
}
