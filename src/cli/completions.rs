//! `haflux completions`: what a shell needs to complete haflux's commands and options, from their one definition.

use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use super::output;

const EXAMPLES: &str = "\
The Debian package installs all three. By hand:
  haflux completions bash > /etc/bash_completion.d/haflux
  haflux completions zsh  > /usr/local/share/zsh/site-functions/_haflux
  haflux completions fish > ~/.config/fish/completions/haflux.fish";

/// What `haflux completions` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The shell
    shell: Known,
}

/// The shells whose completions are tested.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Prints them. The exit status is 1 if standard output takes no more.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let shell = match arguments.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    let mut command = super::Arguments::command();
    generate(shell, &mut command, "haflux", &mut text);
    let written = output::write(|out| out.write_all(&text));
    written.err().unwrap_or(ExitCode::SUCCESS)
}
