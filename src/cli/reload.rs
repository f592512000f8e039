//! `haflux reload`.

use std::process::ExitCode;

use clap::Args;

use super::output::tell;
use super::text::lines;
use super::{ConfigFile, output, running};
use crate::control::{Answer, Request, ask};

/// What `haflux reload` is told.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Change nothing; say what a reload would change, and what needs a restart
    #[arg(long)]
    dry_run: bool,
}

/// Asks the haflux that runs, unless the file is wrong already.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let file = &arguments.file.config;
    let config = match running::configuration(file) {
        Ok(config) => config,
        Err(status) => {
            tell!("haflux: nothing was changed");
            return status;
        }
    };
    let request = Request::Reload {
        dry_run: arguments.dry_run,
    };
    match ask(&config.server.data_dir, &request, running::LIMIT) {
        Ok(Answer::Done(said)) => return output::print(&(lines(said.as_bytes()) + "\n"), 0, 1),
        Ok(Answer::Refused(error)) => tell!("{}", lines(error.to_string().as_bytes())),
        Ok(
            Answer::Misunderstood(_)
            | Answer::Heal(_)
            | Answer::Users(_)
            | Answer::Replicas(_)
            | Answer::Servers(_)
            | Answer::Statistics(_)
            | Answer::Process(_)
            | Answer::Snapshot(_)
            | Answer::Queries(_),
        ) => {
            tell!("haflux did not understand it; is the one that runs of another version?");
        }
        Err(error) => tell!("haflux: {error}"),
    }
    ExitCode::FAILURE
}
