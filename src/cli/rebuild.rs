//! `haflux replica rebuild`: fills a replica with what another holds, in the haflux that runs, and follows that to its end.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use super::hidden;
use super::output::tell;
use super::text::one_line;
use super::work::{self, WorkError};
use crate::config::who_else_reads;
use crate::control::{HealOrder, HealReport, HealState, Passwords};
use crate::influx::influxql::can_be_said;
use crate::stats::units::Span;

/// What is rebuilt, and how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The replica: a server of the pool that the relay replicates to
    #[arg(value_name = "NAME", required_unless_present_any = ["cancel", "follow"])]
    replica: Option<String>,
    /// The replica to copy from; without it one that is fresh
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Passwords of users, which cannot be read out of a node: lines NAME:PASSWORD. Without it and --yes they are asked for
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Do not ask whether what the replica holds may be dropped
    #[arg(long)]
    yes: bool,
    /// End the rebuild that is under way; begun again it goes on where it was
    #[arg(long)]
    cancel: bool,
    /// Begin nothing, and follow the rebuild that is under way
    #[arg(long, conflicts_with = "cancel")]
    follow: bool,
}

/// Why the replica is not rebuilt.
#[derive(Debug, thiserror::Error)]
pub(super) enum RebuildError {
    /// It was not begun, or cannot be followed.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The file with passwords cannot be read.
    #[error("{}: {source}", path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line of it is of no use. The line is not shown.
    #[error("{}, line {}: {}", path.display(), line.number, line.fault)]
    Line {
        /// The file.
        path: PathBuf,
        /// Which one, and why.
        line: BadLine,
    },
    /// No node can be given a password that was typed.
    #[error("the password of {}: {}", one_line(.0), UNSAYABLE)]
    Unsayable(String),
    /// The terminal does not give what is typed.
    #[error("the terminal failed: {0}")]
    Terminal(#[source] io::Error),
    /// The person gave up where a password was asked for.
    #[error("nothing was done")]
    GivenUp,
    /// Nobody has said that it may.
    #[error("nothing is done without a yes: all that {0} holds would be dropped (--yes)")]
    NotAllowed(String),
    /// It came to an end that is none.
    #[error("{0}")]
    Ended(String),
}

/// A line of the file with passwords that is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// From 1 on.
    number: usize,
    fault: LineFault,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum LineFault {
    /// It has no name or no password.
    #[error("it is not NAME:PASSWORD")]
    NoPassword,
    /// No node can be given it.
    #[error("{}", UNSAYABLE)]
    Unsayable,
}

/// Why no node can be given a password.
const UNSAYABLE: &str =
    "a carriage return or a NUL is in it, and no statement can give a user such a password";

/// Does it; what to print when it is over.
///
/// # Errors
/// [`RebuildError`]
pub(super) fn run(
    data_dir: &Path,
    relay: Option<&str>,
    arguments: &Arguments,
) -> Result<String, RebuildError> {
    if arguments.cancel {
        work::cancel(data_dir, relay, "rebuild")?;
        return Ok(
            "It is being ended. haflux replica status says how the replica stands: for one that is rebuilding the journal is kept, and haflux replica rebuild goes on with it."
                .to_owned(),
        );
    }
    let target = arguments.replica.clone();
    let target = target.unwrap_or_else(|| "the replica".to_owned());
    if arguments.follow {
        work::is_under_way(data_dir, relay, "rebuild")?;
        let report = work::to_its_end(data_dir, relay, HealOrder::Progress {})?;
        return told(&target, &report);
    }
    let source = arguments.from.as_deref();
    let given = arguments.users.as_deref().map(passwords).transpose()?;
    for notice in arguments
        .users
        .iter()
        .flat_map(|file| who_else_reads(file, true))
    {
        tell!("haflux: {notice}");
    }
    if !arguments.yes && !is_allowed(&target, source) {
        return Err(RebuildError::NotAllowed(one_line(&target)));
    }
    let users = match given {
        Some(users) => users,
        None if arguments.yes => Passwords::default(),
        None => asked_for(data_dir, relay, &target, source)?,
    };
    if io::stderr().is_terminal() {
        tell!(
            "Ctrl-C leaves the rebuild going on in haflux: haflux replica rebuild --follow shows it again, --cancel ends it"
        );
    }
    let order = HealOrder::Rebuild {
        target: target.clone(),
        source: arguments.from.clone(),
        users,
    };
    let report = work::to_its_end(data_dir, relay, order)?;
    told(&target, &report)
}

/// What became of it.
fn told(target: &str, report: &HealReport) -> Result<String, RebuildError> {
    let target = one_line(target);
    let mut said: Vec<String> = report.notes.iter().map(|note| one_line(note)).collect();
    let again = match report.goes_on {
        true => format!("; begun again it goes on where it was: haflux replica rebuild {target}"),
        false => String::new(),
    };
    let elapsed = work::elapsed(report, SystemTime::now());
    let (is_done, last) = match &report.state {
        HealState::Done => (true, format!("{target} is rebuilt, in {}.", Span(elapsed))),
        HealState::Failed(reason) => (
            false,
            format!("{target} is not rebuilt: {}{again}", one_line(reason)),
        ),
        HealState::Cancelled => (false, format!("it was cancelled{again}")),
        HealState::Running => (false, "it goes on".to_owned()),
    };
    said.push(last);
    let said = said.join("\n");
    match is_done {
        true => Ok(said),
        false => Err(RebuildError::Ended(said)),
    }
}

/// Asks the person at the terminal; who is not at one has not allowed it.
fn is_allowed(target: &str, source: Option<&str>) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    let source = source.map_or_else(|| "a replica that is fresh".to_owned(), one_line);
    let mut stderr = io::stderr().lock();
    let asked = write!(
        stderr,
        "All that {} holds is dropped, and copied anew from {source}. Go on? [y/N] ",
        one_line(target)
    );
    drop(asked.and_then(|()| stderr.flush()));
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Asks the person at the terminal for the passwords of the users that the target lacks; one that is left empty is left out.
fn asked_for(
    data_dir: &Path,
    relay: Option<&str>,
    target: &str,
    source: Option<&str>,
) -> Result<Passwords, RebuildError> {
    let lacking = match work::lacking_users(data_dir, relay, target, source) {
        Ok(lacking) => lacking,
        Err(error) => {
            // The rebuild says it again, if it stands against it, and at its end which users are missing.
            tell!(
                "haflux: it is not known which users {} lacks: {error}",
                one_line(target)
            );
            return Ok(Passwords::default());
        }
    };
    let mut users = Vec::new();
    if let [_, ..] = lacking.as_slice() {
        tell!(
            "Passwords cannot be read out of a node. Type those of the users that {} lacks; Enter alone leaves one out.",
            one_line(target)
        );
    }
    for user in lacking {
        let asked = hidden::ask(&format!("Password of {}: ", one_line(&user)));
        match asked.map_err(RebuildError::Terminal)? {
            None => return Err(RebuildError::GivenUp),
            Some(password) if password.is_empty() => {
                tell!("{} is left out.", one_line(&user));
            }
            Some(password) if !can_be_said(&password) => return Err(RebuildError::Unsayable(user)),
            Some(password) => users.push((user, password)),
        }
    }
    Ok(Passwords(users))
}

/// The users of a file; empty lines and those that begin with `#` are left out.
fn passwords(path: &Path) -> Result<Passwords, RebuildError> {
    let text = fs::read_to_string(path).map_err(|source| RebuildError::Users {
        path: path.to_owned(),
        source,
    })?;
    parse(&text)
        .map(Passwords)
        .map_err(|line| RebuildError::Line {
            path: path.to_owned(),
            line,
        })
}

/// Lines end with `\n` or `\r\n`. A `\r` elsewhere is an error in a comment, too, which may hold lines that end with it.
fn parse(text: &str) -> Result<Vec<(String, String)>, BadLine> {
    let lines = text.lines().enumerate();
    let is_of_use = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    let lines = lines.filter(|(_, line)| is_of_use(line) || !can_be_said(line));
    let users = lines.map(|(at, line)| {
        let bad = |fault| BadLine {
            number: at.saturating_add(1),
            fault,
        };
        match line.split_once(':') {
            _ if !can_be_said(line) => Err(bad(LineFault::Unsayable)),
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                Ok((name.to_owned(), password.to_owned()))
            }
            Some(_) | None => Err(bad(LineFault::NoPassword)),
        }
    });
    users.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_what_a_name_may_not() {
        let users = parse("# people\nada:se:cr et \n\ncarl:#x\n").unwrap();
        let user = |name: &str, password: &str| (name.to_owned(), password.to_owned());
        assert_eq!(users, [user("ada", "se:cr et "), user("carl", "#x")]);
        let bad = |number, fault| Err(BadLine { number, fault });
        assert_eq!(parse("ada:x\ncarl\n"), bad(2, LineFault::NoPassword));
        assert_eq!(parse("ada:\n"), bad(1, LineFault::NoPassword));
        assert_eq!(parse(":x\n"), bad(1, LineFault::NoPassword));
    }

    #[test]
    fn what_no_statement_can_say_is_no_password() {
        let users = parse("# people\r\nada:x\r\n\r\n").unwrap();
        assert_eq!(users, [("ada".to_owned(), "x".to_owned())]);
        let bad = |number| {
            let fault = LineFault::Unsayable;
            Err(BadLine { number, fault })
        };
        assert_eq!(parse("ada:x\rcarl:y\r"), bad(1));
        assert_eq!(parse("ada:x\n# people\rcarl:y\r"), bad(2));
        assert_eq!(parse("ada:x\ncarl:\0y\n"), bad(2));
    }
}
