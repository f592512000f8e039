//! Configuration: what the user wrote (TOML or YAML), checked whole, becomes what the program uses.
//!
//! A file goes through four steps, each in files of its own:
//!
//! 1. *Read*: [`Config::load`] reads at most [`MAX_FILE_SIZE`] bytes; the file's ending says which format it is in.
//! 2. *Parse*: `from_toml` and `from_yaml` turn the text into one tree (`tree`) in which every key and value knows its
//!    line and column. `environment` then replaces `${NAME}` and `${file:…}` in its texts. From here on the two formats are the same.
//! 3. *Decode*: `decode` reads the tree table by table, through the readers of `field`, which know durations, sizes,
//!    addresses and the like (`units`, `address`).
//! 4. *Resolve*: names become positions in [`Config`], and what concerns several tables is checked: names taken twice,
//!    backends that nobody defined, frontends in each other's way.
//!
//! # Invariants
//!
//! - Every error of a file is reported at once, in the order of the file, each with line, column, key, what was found
//!   and what was expected. Only a text that does not parse at all hides what else is wrong with it.
//! - A [`Config`] exists only if there was no error. What reading could not make sense of never gets a default instead.
//! - No input makes it panic, run away or grow without bound: files, nesting, YAML aliases and what the environment puts
//!   in have limits.
//! - What came from the environment is never printed: messages show the text as it stands in the file. (The one exception
//!   is a `data_dir` that cannot be used: which folder it was is the message.) What came from a file is a secret: only keys take it
//!   whose values nobody is shown.
//! - Parsing touches nothing but its arguments and the files with secrets that they name. What can only be known from the machine is
//!   asked by [`Config::load`] alone: can the journal's folder be written, and by nobody else ([`Config::check_paths`]), did a
//!   renamed relay leave its journal there, are password files there, certificates and users, and who can read them?

mod access_list;
mod accounts;
pub(crate) mod address;
mod data_dir;
mod decode;
mod difference;
mod environment;
mod error;
mod field;
mod from_toml;
mod from_yaml;
mod key_path;
mod left_journals;
pub(crate) mod log_parts;
mod machine;
pub mod model;
mod password_file;
mod secret_files;
mod stats_user;
mod suggest;
mod tree;
mod trusted_path;
pub mod units;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use data_dir::{DataDirError, create as create_data_dir};
pub use difference::{Change, changes};
pub use error::{Error, Errors, Located, Notice, Position, Problem, Suggestion, Warning};
pub use machine::BecomeUser;
pub use model::Config;
pub use password_file::{PasswordFileError, read as read_password};
pub(crate) use secret_files::notices as who_else_reads;
pub(crate) use suggest::nearest;

use environment::Lacking;
use error::{Origin, Sink};
use model::RunAs;

use crate::identity::{Identity, IdentityError};

/// The largest configuration file that is read, in bytes: 1 MiB.
pub const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// The languages in which a configuration can be written. Both have the same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML: a file name that ends in `.toml`.
    Toml,
    /// YAML: a file name that ends in `.yaml` or `.yml`.
    Yaml,
}

impl Format {
    /// The format that a file's name promises; none if it ends in neither `.toml`, `.yaml` nor `.yml`.
    pub fn of(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?;
        if ending.eq_ignore_ascii_case("toml") {
            Some(Format::Toml)
        } else if ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml") {
            Some(Format::Yaml)
        } else {
            None
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Toml => "TOML",
            Format::Yaml => "YAML",
        })
    }
}

/// A configuration without errors, and what is odd about it all the same.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the program runs on.
    pub config: Config,
    /// The files with secrets from which texts in it were taken.
    pub secret_files: Vec<PathBuf>,
    /// What is allowed but probably not meant, in the order of the file.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// Reads and checks the configuration file at `path`, with the environment of the process, and checks what only the
    /// machine knows ([`Config::check_paths`]).
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn load(path: &Path) -> Result<Loaded, Errors> {
        Config::load_file(path, Asked::AsToRun)
    }

    /// The same for somebody who only wants to know. Root may ask on behalf of the user to whom `data_dir` belongs, with a warning. What
    /// needs a credential that only the service has is warned of, and not looked at. What haflux does as the user that it becomes is
    /// looked at as that user: root becomes it by `become_user`, for good.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn load_to_check(path: &Path, become_user: BecomeUser) -> Result<Loaded, Errors> {
        Config::load_file(path, Asked::AsToCheck(become_user))
    }

    /// The same for commands that ask the haflux that runs, or look at what it left on a disk that may be full, read-only or ill. Nothing is
    /// asked of the machine, and passwords, secrets and the names of files with them may be out of reach: they need a variable or a
    /// file that only the service has. What these commands go by, such as `data_dir`, must be there.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn load_to_look(path: &Path) -> Result<Loaded, Errors> {
        Config::load_file(path, Asked::AsToLook)
    }

    /// The same as [`Config::load`] for a process that runs, to which the folder of the journals belongs. Of the machine is asked only who
    /// else can read and write the files that it names.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn load_to_reload(path: &Path) -> Result<Loaded, Errors> {
        Config::load_file(path, Asked::AsToReload)
    }

    fn load_file(path: &Path, asked: Asked) -> Result<Loaded, Errors> {
        let name = path.display().to_string();
        let whole_file = |problem| Errors::from(Origin::file(&name).locate(problem));
        let format = Format::of(path).ok_or_else(|| whole_file(Problem::UnknownFormat))?;
        let bytes =
            read(path).map_err(|error| whole_file(Problem::Unreadable(error.to_string())))?;
        if bytes.len() as u64 > MAX_FILE_SIZE {
            return Err(whole_file(Problem::FileTooLarge));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let sound = error
                .as_bytes()
                .get(..error.utf8_error().valid_up_to())
                .unwrap_or_default();
            let line = sound.iter().filter(|byte| **byte == b'\n').count() + 1;
            whole_file(Problem::NotUtf8 { line })
        })?;
        let environment = |variable: &str| std::env::var(variable).ok();
        read_text(&text, format, &name, &environment, asked)
    }

    /// Checks a configuration that is already in memory, and nothing outside of it. `file_name` is what errors call it;
    /// `environment` gives the value of an environment variable, or none if it is not set.
    ///
    /// # Errors
    /// Everything that is wrong with the text, at once.
    pub fn parse(
        text: &str,
        format: Format,
        file_name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, Errors> {
        read_text(text, format, file_name, environment, Asked::Nothing)
    }

    /// Checks what only the machine knows: with a relay, the journal's folder must exist or be creatable, and be
    /// writable for `identity`; and for nobody else, wherever it is used. Leaves nothing behind.
    ///
    /// # Errors
    /// What went wrong, and with which folder.
    pub fn check_paths(&self, identity: &Identity) -> Result<(), DataDirError> {
        let data_dir = &self.server.data_dir;
        if self.relays.is_empty() {
            return match data_dir.is_dir() {
                true => data_dir::check_trust(data_dir, identity),
                false => Ok(()),
            };
        }
        data_dir::check_trust(data_dir, identity)?;
        data_dir::probe(data_dir, identity)
    }

    /// Whom haflux runs as once its sockets are bound.
    ///
    /// # Errors
    /// This machine does not know the user or the group of the configuration.
    pub fn identity(&self) -> Result<Identity, IdentityError> {
        match &self.server.run_as {
            Some(RunAs { user, group }) => Identity::named(user, group.as_deref()),
            None => Identity::current(),
        }
    }
}

/// What the machine is asked about a file.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Nothing,
    AsToRun,
    AsToCheck(BecomeUser),
    AsToLook,
    AsToReload,
}

impl Asked {
    fn lacking(self) -> Lacking {
        match self {
            Self::Nothing | Self::AsToRun | Self::AsToReload => Lacking::Error,
            Self::AsToCheck(_) => Lacking::ErrorButForCredentials,
            Self::AsToLook => Lacking::Allowed,
        }
    }
}

fn read_text(
    text: &str,
    format: Format,
    file_name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    asked: Asked,
) -> Result<Loaded, Errors> {
    let sink = Sink::new(file_name);
    if text.len() as u64 > MAX_FILE_SIZE {
        return Err(Errors::from(
            Origin::file(file_name).locate(Problem::FileTooLarge),
        ));
    }
    let parsed = match format {
        Format::Toml => from_toml::parse(text, &sink),
        Format::Yaml => from_yaml::parse(text, &sink),
    };
    let Some(mut root) = parsed else {
        return Err(sink.into_errors());
    };
    environment::replace(&mut root, environment, asked.lacking(), &sink);
    let decoded = decode::decode(&root, &sink);
    match asked {
        Asked::Nothing | Asked::AsToLook => {}
        Asked::AsToReload => machine::warn_of_open_files(&decoded, file_name, &sink),
        Asked::AsToRun => machine::ask(&decoded, file_name, None, &sink),
        Asked::AsToCheck(become_user) => {
            machine::ask(&decoded, file_name, Some(become_user), &sink);
        }
    }
    let config = decoded.config;
    let secret_files = sink.secret_files();
    let warnings = sink.finish()?;
    Ok(Loaded {
        config,
        secret_files,
        warnings,
    })
}

/// Reads one byte more than allowed at most, so that a file that is too large is recognised.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_SIZE + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
