//! `haflux check`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::describe::Description;
use crate::config::Config;
use crate::identity::Identity;

/// Says what would run, or what is wrong.
pub(super) fn check(file: &Path) -> ExitCode {
    let checked = Config::load_to_check(file, Identity::take_on);
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    // A reader that has gone away changes nothing about the answer.
    match checked {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                let _ = writeln!(err, "warning: {warning}");
            }
            let _ = write!(out, "{}", Description(&loaded.config));
            let _ = writeln!(out, "\n{} is right.", file.display());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            let _ = writeln!(err, "{errors}");
            ExitCode::FAILURE
        }
    }
}
