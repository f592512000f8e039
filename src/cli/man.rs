//! `haflux man`: the manual, a page a command, from the one definition of the command line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::output::{self, tell};

/// What `haflux man` is told.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write the pages of all commands into this folder, which is made if it is missing, as haflux.1, haflux-check.1 and so on
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Prints haflux(1), or writes all pages. The exit status is 1 if they cannot be written.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut command = super::Arguments::command().disable_help_subcommand(true);
    command.build();
    let command = with_values_in_line(command);
    let done = match &arguments.folder {
        Some(folder) => std::fs::create_dir_all(folder)
            .and_then(|()| write_all(&command, folder))
            .map_err(|error| {
                tell!(
                    "the manual cannot be written: {}: {error}",
                    folder.display()
                );
                ExitCode::FAILURE
            }),
        None => output::write(|out| out.write_all(&page(&command)?)),
    };
    done.err().unwrap_or(ExitCode::SUCCESS)
}

/// The values that an option takes at the end of its text: the list that clap_mangen would make has breaks that mandoc rejects.
fn with_values_in_line(command: Command) -> Command {
    let command = command.mut_args(|option| {
        let values = option.get_possible_values();
        let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        if names.is_empty() || option.is_hide_possible_values_set() {
            return option;
        }
        let text = option.get_long_help().or_else(|| option.get_help());
        let text = text.map(ToString::to_string).unwrap_or_default();
        let text = format!("{text} ({})", names.join(", "));
        option.hide_possible_values(true).long_help(text)
    });
    command.mut_subcommands(with_values_in_line)
}

/// Writes the page of a command, and those of the commands below it.
fn write_all(command: &Command, folder: &Path) -> io::Result<()> {
    for below in shown(command) {
        write_all(below, folder)?;
    }
    let name = Man::new(command.clone()).get_filename();
    std::fs::write(folder.join(name), page(command)?)
}

/// The sections of a page. What stands below a command's help are examples, whose lines must not be joined.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .date(date())
        .source(format!("haflux {}", env!("CARGO_PKG_VERSION")))
        .manual("haflux");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|one| !one.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if shown(command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(examples) = command.get_after_help() {
        let mut roff = Roff::new();
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for line in examples.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.to_writer(&mut page)?;
    }
    Ok(page)
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// The day that the page names: today's, or that of `SOURCE_DATE_EPOCH`, so that a package can be built twice and be the same.
fn date() -> String {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let epoch = epoch.and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok());
    let now = epoch.unwrap_or_else(Timestamp::now);
    now.to_zoned(TimeZone::UTC).date().to_string()
}
