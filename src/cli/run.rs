//! `haflux run`.

use std::path::Path;
use std::process::ExitCode;

use super::output::tell;
use crate::config::Config;
use crate::logging;
use crate::server::{Prepared, RunError, Source, prepare};

/// Loads the configuration, then serves until the process is told to stop.
pub(super) fn run(file: &Path) -> ExitCode {
    let loaded = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(errors) => {
            tell!("{errors}\nhaflux: nothing was started");
            return ExitCode::FAILURE;
        }
    };
    // Before the files of the log are made: they belong to whom haflux becomes.
    let prepared = prepare(&loaded, file);
    if let Err(error) = &prepared {
        // Nor does a start that failed before that leave any to root: the next one could not write them.
        let became = loaded.config.identity().and_then(|user| user.take_on());
        if became.is_err() {
            tell!("haflux: {error}");
            return ExitCode::FAILURE;
        }
    }
    let server = &loaded.config.server;
    let says_all = logging::reaches_stderr(server);
    let wrong = match logging::start(server, std::env::var("RUST_LOG").ok().as_deref()) {
        Ok(wrong) => wrong,
        Err(error) => {
            tell!("{error}\nhaflux: nothing was started");
            return ExitCode::FAILURE;
        }
    };
    log::info!(
        "haflux {} runs {}",
        env!("CARGO_PKG_VERSION"),
        file.display()
    );
    if let Some(error) = wrong {
        log::warn!("RUST_LOG changes nothing: {error}");
    }
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let done = prepared.and_then(|prepared| serve(loaded.config, prepared, file));
    if let Err(error) = &done {
        log::error!("{error}");
        if !says_all {
            tell!("haflux: {error}");
        }
    }
    logging::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Serves until the process is told to stop.
fn serve(config: Config, prepared: Prepared, file: &Path) -> Result<(), RunError> {
    let source = Source {
        file: file.to_owned(),
        set_levels: logging::reload_levels,
    };
    crate::server::run(config, prepared, source)
}
