//! `haflux dead-letters`: the records that one replica refused for good while another accepted them.
//!
//! Works on the letters' files, whether or not haflux runs; a running haflux finds out what was settled. Exit status: 0 if
//! everything that was asked for is done, 1 if something failed, 2 if the command line lacks something.

mod list;
mod settle;
mod show;

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::USAGE;
use super::place::{Chosen, Place};
use crate::cli::output::tell;
use crate::relay::dead_letters::{BadLetterId, FOLDER, FoundLetter, LetterFolder, LetterId};

/// What `haflux dead-letters` is told.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print every letter: who refused what, when and why
    List {
        #[command(flatten)]
        place: Place,
        /// Only letters of this replica
        #[arg(long, value_name = "NAME")]
        replica: Option<String>,
    },
    /// Print one letter and the lines that it holds; credentials are never shown
    Show {
        #[command(flatten)]
        place: Place,
        /// As list prints it
        id: LetterId,
        /// Only the body, byte for byte, for a file or another program
        #[arg(long)]
        body: bool,
    },
    /// Send letters to the replicas that refused them, once more
    ///
    /// A letter that is applied is removed, one that is refused again stays. What was written since to the same points is
    /// replaced by the letter's older values on that replica: without --yes this is said, and nothing is sent.
    Replay {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Remove letters: their replicas stay without these records
    ///
    /// Without --yes nothing is removed.
    Drop {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        wanted: Wanted,
    },
}

/// The letters that a command is about.
#[derive(Debug, Args)]
struct Wanted {
    /// As list prints them, or "all"
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Choice>,
    /// With "all": only letters of this replica
    #[arg(long, value_name = "NAME")]
    replica: Option<String>,
    /// Go on
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    All,
    One(LetterId),
}

impl FromStr for Choice {
    type Err = BadLetterId;

    fn from_str(text: &str) -> Result<Choice, BadLetterId> {
        match text {
            "all" => Ok(Choice::All),
            id => id.parse().map(Choice::One),
        }
    }
}

/// Runs it.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::List { place, replica } => place
            .choose()
            .and_then(|chosen| list::list(&chosen, replica.as_deref())),
        Command::Show { place, id, body } => place
            .choose()
            .and_then(|chosen| show::show(&chosen, &id, body)),
        Command::Replay { place, wanted } => place
            .choose()
            .and_then(|chosen| settle::replay(&chosen, &wanted)),
        Command::Drop { place, wanted } => place
            .choose()
            .and_then(|chosen| settle::drop_letters(&chosen, &wanted)),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

fn folder(chosen: &Chosen) -> LetterFolder {
    LetterFolder::new(&chosen.folder().join(FOLDER))
}

/// All letters, or those of a replica.
fn letters(chosen: &Chosen, replica: Option<&str>) -> Result<Vec<FoundLetter>, ExitCode> {
    match folder(chosen).list() {
        Ok(mut letters) => {
            letters.retain(|letter| replica.is_none_or(|replica| letter.id.replica == replica));
            Ok(letters)
        }
        Err(error) => {
            let folder = chosen.folder().join(FOLDER);
            tell!("cannot read {}: {error}", folder.display());
            Err(ExitCode::FAILURE)
        }
    }
}

impl Wanted {
    /// The letters that are meant and there, and the names of those that are not.
    fn find(&self, chosen: &Chosen) -> Result<(Vec<FoundLetter>, Vec<LetterId>), ExitCode> {
        let ids: Vec<&LetterId> = self
            .ids
            .iter()
            .filter_map(|choice| match choice {
                Choice::All => None,
                Choice::One(id) => Some(id),
            })
            .collect();
        let all = ids.len() < self.ids.len();
        if all && !ids.is_empty() {
            tell!("say either \"all\" or which ones");
            return Err(ExitCode::from(USAGE));
        }
        if !all && self.replica.is_some() {
            tell!("--replica goes with \"all\"");
            return Err(ExitCode::from(USAGE));
        }
        let mut letters = letters(chosen, self.replica.as_deref())?;
        if all {
            return Ok((letters, Vec::new()));
        }
        letters.retain(|letter| ids.contains(&&letter.id));
        let missing = ids
            .into_iter()
            .filter(|id| !letters.iter().any(|letter| letter.id == **id))
            .cloned()
            .collect();
        Ok((letters, missing))
    }
}
