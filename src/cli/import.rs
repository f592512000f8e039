//! `haflux import`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::output::{self, tell};
use crate::config::MAX_FILE_SIZE;
use crate::import::{Source, import};

/// What clap shows beneath the options.
pub(super) const EXAMPLES: &str = "\
From HAProxy and influxdb-relay to haflux, on the machine that runs HAProxy:

  haflux import --haproxy /etc/haproxy/haproxy.cfg --relay relay.toml > haflux.toml
  less haflux.toml                      comments quote what has no counterpart, with file and line
  haflux check --config haflux.toml     is it right, and what would run?
  systemctl stop haproxy                the ports must be free; the relays may stop after that
  haflux run --config haflux.toml
  systemctl start haproxy               the way back, once haflux is stopped

Give every influxdb-relay's file that HAProxy sends writes to (copy it from the machine that it runs on). A backend whose servers
are such relays becomes a [[relay]], and their outputs the pool that it replicates to.

Exit status: 0 if a configuration was printed, 1 if a file cannot be read or nothing is left to serve (standard error says why),
2 if the command line is not understood. Warnings say what the result does not do though the files ask for it; they do not change
the exit status. Passwords are shown in neither. haflux check takes what is printed, if the environment has the variables
that the files name.";

/// What `haflux import` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// HAProxy's configuration; several are read one after the other, as with several -f
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    haproxy: Vec<PathBuf>,
    /// The configuration of an influxdb-relay
    #[arg(long, value_name = "FILE", num_args = 1..)]
    relay: Vec<PathBuf>,
}

/// Prints the configuration.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut failed = false;
    let mut sources = |paths: &[PathBuf]| -> Vec<Source> {
        let sources = paths.iter().filter_map(|path| match source(path) {
            Ok(source) => Some(source),
            Err(reason) => {
                failed = true;
                tell!("{}: {reason}", path.display());
                None
            }
        });
        sources.collect()
    };
    let (haproxy, relays) = (sources(&arguments.haproxy), sources(&arguments.relay));
    if failed {
        return ExitCode::FAILURE;
    }
    let folder = arguments.haproxy.first().and_then(|path| path.parent());
    let read = |name: &str| patterns(Path::new(name), folder.unwrap_or(Path::new("")));
    match import(&haproxy, &relays, &read, &|name| std::env::var(name).ok()) {
        Ok(imported) => {
            for warning in &imported.warnings {
                tell!("warning: {warning}");
            }
            output::print(&imported.text, 0, 1)
        }
        Err(errors) => {
            for error in errors {
                tell!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn source(path: &Path) -> Result<Source, String> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(Source {
        name: name.to_string_lossy().into_owned(),
        text: text(path)?,
    })
}

/// A file of patterns: where HAProxy finds it, or beside haproxy.cfg.
fn patterns(name: &Path, folder: &Path) -> Result<String, String> {
    match text(name) {
        Err(_) if name.is_relative() => text(&folder.join(name)),
        result => result,
    }
}

fn text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_SIZE {
        return Err(format!("larger than {MAX_FILE_SIZE} bytes"));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
