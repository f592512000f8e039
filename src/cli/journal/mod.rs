//! `haflux journal`: for a person with a broken machine. Reads and never writes; haflux may run meanwhile.
//!
//! Exit status: 0 if the journal could be read and, for `verify`, nothing is lost; 1 if not; 2 for a command line that is not
//! understood.

mod inspect;
mod range;
mod records;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::place::Place;
use range::Range;

/// What `haflux journal` is told.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is there: owner, segments, newest record, and how far behind each replica is
    Inspect {
        #[command(flatten)]
        place: Place,
        /// List these records instead; either end may be left out
        #[arg(long, value_name = "FROM..TO", conflicts_with = "show")]
        records: Option<Range>,
        /// Print this record instead; credentials are never shown
        #[arg(long, value_name = "SEQUENCE")]
        show: Option<u64>,
        /// With --show: only the body, byte for byte
        #[arg(long, requires = "show")]
        body: bool,
    },
    /// Read every record, and say what is damaged and what that means
    ///
    /// Exit status 1 if a record is lost to a replica that has not had it.
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

/// Runs it.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Inspect {
            place,
            records,
            show,
            body,
        } => place.choose().and_then(|chosen| match (records, show) {
            (Some(range), _) => records::list(&chosen.folder(), range),
            (None, Some(sequence)) => records::show(&chosen.folder(), sequence, body),
            (None, None) => inspect::inspect(&chosen),
        }),
        Command::Verify { place } => place.choose().and_then(|chosen| verify::verify(&chosen)),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}
