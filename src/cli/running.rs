//! The haflux that runs, for commands that ask it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::output::tell;
use crate::config::Config;

/// How long it may take to answer: more than it allows itself.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Its configuration, which says where it listens. Errors of the file are on standard error, and the exit status says so.
pub(super) fn configuration(file: &Path) -> Result<Config, ExitCode> {
    Config::load_to_look(file)
        .map(|loaded| loaded.config)
        .map_err(|errors| {
            tell!("{errors}");
            ExitCode::FAILURE
        })
}
