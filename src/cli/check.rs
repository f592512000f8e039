//! `haflux check`.

use std::path::Path;
use std::process::ExitCode;

use super::describe::Description;
use super::output::{self, tell};
use crate::config::Config;
use crate::identity::Identity;

/// Says what would run, or what is wrong.
pub(super) fn check(file: &Path) -> ExitCode {
    let checked = Config::load_to_check(file, Identity::take_on);
    match checked {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tell!("warning: {warning}");
            }
            let text = format!(
                "{}\n{} is right.\n",
                Description(&loaded.config),
                file.display()
            );
            output::print(&text, 0, 1)
        }
        Err(errors) => {
            tell!("{errors}");
            ExitCode::FAILURE
        }
    }
}
