//! `haflux run`.

use std::path::Path;
use std::process::ExitCode;

use super::logger;
use crate::config::{Config, create_data_dir};

/// Loads the configuration, then serves until the process is told to stop.
pub(super) fn run(file: &Path) -> ExitCode {
    let loaded = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}\nhaflux: nothing was started");
            return ExitCode::FAILURE;
        }
    };
    logger::start(
        &loaded.config.server,
        std::env::var("RUST_LOG").ok().as_deref(),
    );
    log::info!(
        "haflux {} runs {}",
        env!("CARGO_PKG_VERSION"),
        file.display()
    );
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let config = loaded.config;
    if !config.relays.is_empty()
        && let Err(error) = create_data_dir(&config.server.data_dir)
    {
        log::error!("{error}");
        return ExitCode::FAILURE;
    }
    match crate::server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
