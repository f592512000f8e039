//! haproxy.cfg, and the files of the influxdb-relays behind it, as a configuration of haflux.
//!
//! 1. *Read*: `word` cuts lines into words as HAProxy does; `statement` puts them into sections. `relay_file` reads TOML.
//! 2. *Understand*: `global`, `front` and `pool` read the directives of a section, `page`, `stats_socket` and `log_target` those of
//!    one part of it; `criterion`, `condition` and `decision` turn ACLs and `use_backend` into rules, on the algebra of `formula`.
//! 3. *Put together*: `plan` resolves names and leaves out what haflux would refuse; `recognise` finds the relays, `track` the checks
//!    of servers that follow others.
//! 4. *Account*: `unread` speaks for the lines that nobody read.
//! 5. *Write*: `write` prints TOML, and in comments whatever `ledger` has no other place for.
//!
//! # Invariants
//!
//! - Every statement is used or quoted in a comment with its file and line: the ledger quotes what nobody speaks for.
//! - A statement that is quoted is a warning, unless a list names it as harmless to lose (`unread`) or its reader says so by a note.
//! - What is written is a configuration that [`Config::parse`] takes, or nothing is.
//! - Nothing is weakened: a server with TLS is left out, and so is an address with TLS that haflux cannot speak.
//! - Passwords and tokens are shown neither in comments nor in warnings (`secrets`). Those that haflux asks for itself stand once,
//!   as values of the configuration.

mod bandwidth;
mod bind;
mod condition;
mod criterion;
mod decision;
mod directives;
mod error;
mod formula;
mod front;
mod global;
mod http_check;
mod ledger;
mod log_target;
mod page;
mod plan;
mod pool;
mod recognise;
mod relay_file;
mod secrets;
mod server;
mod server_tls;
mod statement;
mod stats_socket;
mod tls;
mod track;
mod unread;
mod value;
mod word;
mod write;

pub use directives::{DIRECTIVES, Directive};
pub use error::ImportError;
pub use statement::Source;
pub use word::WordError;

use crate::config::{Config, Format};
use ledger::Ledger;
use relay_file::RelayFile;
use statement::Script;

/// What to say of `grace`.
const GRACE: &str =
    "haflux listens for a second more; server.stop_timeout is how long requests in flight have";

/// What an import gives.
#[derive(Debug)]
pub struct Imported {
    /// A configuration of haflux, in TOML.
    pub text: String,
    /// What of it does not do what the files ask for.
    pub warnings: Vec<String>,
}

/// Reads `haproxy` (several are one after the other, as with several `-f`) and `relays`. `read` gives the text of a file that an
/// ACL names with `-f`; `environment` is that of the process.
///
/// # Errors
/// What cannot be read, each with file and line; or that nothing is left to serve.
pub fn import(
    haproxy: &[Source],
    relays: &[Source],
    read: &dyn Fn(&str) -> Result<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Imported, Vec<ImportError>> {
    let script = Script::read(haproxy);
    let (files, errors): (Vec<_>, Vec<_>) =
        relays.iter().map(relay_file::read).partition(Result::is_ok);
    let mut errors: Vec<ImportError> = errors.into_iter().filter_map(Result::err).collect();
    let script = match script {
        Ok(script) if errors.is_empty() => script,
        Ok(_) => return Err(errors),
        Err(more) => {
            errors.splice(0..0, more);
            return Err(errors);
        }
    };
    let files: Vec<RelayFile> = files.into_iter().filter_map(Result::ok).collect();
    let mut ledger = Ledger::default();
    let plan = plan::plan(&script, &files, read, &mut ledger);
    unread::finish(&script, &mut ledger);
    for statement in &script.statements {
        for name in &statement.defaulted {
            let note = format!("haflux knows no default for a variable: that of {name} is written");
            ledger.note(statement, note);
        }
    }
    let names: Vec<String> = haproxy
        .iter()
        .chain(relays)
        .map(|source| secrets::one_line(&source.name))
        .collect();
    if plan.frontends.is_empty() {
        return Err(vec![ImportError::NothingToServe {
            file: names.first().cloned().unwrap_or_default(),
            notes: ledger.warnings().to_vec(),
        }]);
    }
    let text = write::write(&plan, &script, &ledger, &names);
    let mut missing = Vec::new();
    let checked = {
        let lookup = std::cell::RefCell::new(&mut missing);
        Config::parse(&text, Format::Toml, "output", &|name| {
            let value = environment(name);
            if value.is_none() {
                lookup.borrow_mut().push(name.to_owned());
            }
            value
        })
    };
    let mut warnings = ledger.into_warnings();
    if missing.is_empty() {
        if let Err(errors) = checked {
            return Err(vec![ImportError::NotAccepted(errors.to_string())]);
        }
    } else {
        missing.sort();
        missing.dedup();
        warnings.push(format!(
            "haflux needs these variables in its environment: {}",
            missing.join(", ")
        ));
    }
    Ok(Imported { text, warnings })
}
