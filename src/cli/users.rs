//! `haflux users`: lines for the file of haflux's own users.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::output::tell;
use super::{hidden, output};
use crate::users::{Token, hash_password, is_name};

/// The longest password that is hashed, in bytes.
const LONGEST: u64 = 1024;

const EXAMPLES: &str = "\
Examples:
  haflux users hash telegraf >> /etc/haflux/users      asks twice for the password
  haflux users hash telegraf < password-file           reads one line
  haflux users token grafana >> /etc/haflux/users      the token itself goes to standard error
  haflux reload                                        has the haflux that runs read the file again";

/// What `haflux users` is told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the line of a user with a password, hashed with Argon2id
    ///
    /// Asks for the password at the terminal, or else reads one line of standard input, of up to 1024 bytes.
    Hash(User),
    /// Draw a token for a user, and print its line
    ///
    /// The line goes to standard output, the token to standard error. Nothing shows the token again.
    Token(User),
}

#[derive(Debug, Args)]
struct User {
    /// The user's name, without a colon
    name: String,
}

/// Prints a line. The exit status is 1 if there is none.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (Command::Hash(user) | Command::Token(user)) = &arguments.command;
    if !is_name(&user.name) {
        tell!(
            "haflux: expected a name of 1 to 255 bytes without \":\", control characters and blanks around it"
        );
        return ExitCode::FAILURE;
    }
    output::said(match &arguments.command {
        Command::Hash(user) => hash(&user.name),
        Command::Token(user) => token(&user.name),
    })
}

fn hash(name: &str) -> Result<String, String> {
    let password = match io::stdin().is_terminal() {
        true => asked(name)?,
        false => read()?,
    };
    if password.is_empty() {
        return Err("an empty password is none: InfluxDB's clients do not send it".to_owned());
    }
    let hash = hash_password(&password).map_err(|error| error.to_string())?;
    Ok(format!("{name}:{hash}\n"))
}

fn token(name: &str) -> Result<String, String> {
    let token = Token::draw().map_err(|error| format!("no random bytes: {error}"))?;
    writeln!(io::stderr(), "{}", token.text())
        .map_err(|error| format!("the token cannot be shown: {error}"))?;
    Ok(format!("{name}:{}\n", token.proof()))
}

fn asked(name: &str) -> Result<Vec<u8>, String> {
    let ask = |question: &str| {
        let typed = hidden::ask(question).map_err(|error| error.to_string())?;
        typed.ok_or_else(|| "nothing was typed".to_owned())
    };
    let password = ask(&format!("Password of {name}: "))?;
    match ask("Once more: ")? == password {
        true => Ok(password.into_bytes()),
        false => Err("the two passwords differ".to_owned()),
    }
}

/// The first line of standard input, without its end.
fn read() -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(LONGEST + 2);
    input
        .read_until(b'\n', &mut line)
        .map_err(|error| error.to_string())?;
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    match line.len() as u64 <= LONGEST {
        true => Ok(line),
        false => Err(format!("the password is longer than {LONGEST} bytes")),
    }
}
