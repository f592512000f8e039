//! `haflux run`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use crate::config::{Config, create_data_dir};
use crate::logging;
use crate::server::Source;

/// Loads the configuration, then serves until the process is told to stop.
pub(super) fn run(file: &Path) -> ExitCode {
    let loaded = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}\nhaflux: nothing was started");
            return ExitCode::FAILURE;
        }
    };
    let server = &loaded.config.server;
    let says_all = logging::reaches_stderr(server);
    let wrong = match logging::start(server, std::env::var("RUST_LOG").ok().as_deref()) {
        Ok(wrong) => wrong,
        Err(error) => {
            eprintln!("{error}\nhaflux: nothing was started");
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
    let done = serve(loaded.config, file);
    if let Err(error) = &done {
        log::error!("{error}");
        if !says_all {
            eprintln!("haflux: {error}");
        }
    }
    logging::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Serves until the process is told to stop.
fn serve(config: Config, file: &Path) -> Result<(), Box<dyn Error>> {
    if !config.relays.is_empty() {
        create_data_dir(&config.server.data_dir)?;
    }
    let source = Source {
        file: file.to_owned(),
        set_levels: logging::reload_levels,
    };
    Ok(crate::server::run(config, source)?)
}
