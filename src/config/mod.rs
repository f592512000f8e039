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
//!   asked by [`Config::load`] alone: can the journal's folder be written, and by nobody else ([`Config::check_paths`]), are
//!   password files there, certificates and users, and who can read them?

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
pub(crate) mod log_parts;
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
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use data_dir::{DataDirError, create as create_data_dir};
pub use difference::{Change, changes};
pub use error::{Error, Errors, Located, Notice, Position, Problem, Suggestion, Warning};
pub use model::Config;
pub use password_file::{PasswordFileError, read as read_password};
pub(crate) use suggest::nearest;

use error::{Origin, Sink};
use model::RunAs;

use crate::identity::{Identity, IdentityError, name_of_user};
use crate::tls::{Acceptor, Certificate, Connector};
use crate::users::Users;

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

    /// The same for somebody who only wants to know. Root may ask on behalf of the user to whom `data_dir` belongs, with a warning.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn load_to_check(path: &Path) -> Result<Loaded, Errors> {
        Config::load_file(path, Asked::AsToCheck)
    }

    /// The same without asking the machine: for commands that only look, on a disk that may be full, read-only or ill.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once.
    pub fn load_unprobed(path: &Path) -> Result<Loaded, Errors> {
        Config::load_file(path, Asked::Nothing)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    AsToRun,
    AsToCheck,
}

/// The user to whom `data_dir` belongs, if that is another one than root, who asks.
fn owner_in_place_of_root(config: &Config, identity: &Identity) -> Option<Identity> {
    if config.server.run_as.is_some() || identity.user() != 0 {
        return None;
    }
    let found = std::fs::metadata(&config.server.data_dir).ok()?;
    let (user, group) = (found.uid().to_string(), found.gid().to_string());
    // Root itself is no user that haflux could become.
    Identity::named(&user, Some(&group)).ok()
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
    environment::replace(&mut root, environment, &sink);
    let decode::Decoded {
        config,
        data_dir,
        run_as,
        password_files,
        tls,
        server_tls,
        users,
    } = decode::decode(&root, &sink);
    if asked != Asked::Nothing {
        match (config.identity(), data_dir) {
            (Ok(mut identity), Some(origin)) => {
                if asked == Asked::AsToCheck
                    && let Some(owner) = owner_in_place_of_root(&config, &identity)
                {
                    let (user, path) = (name_of_user(owner.user()), &config.server.data_dir);
                    let path = path.display().to_string();
                    sink.warn_from(&origin, Notice::CheckedForOwner { path, user });
                    identity = owner;
                }
                if let Err(error) = config.check_paths(&identity) {
                    sink.report_from(&origin, Problem::DataDir(error));
                }
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                let origin = run_as.unwrap_or_else(|| Origin::file(file_name));
                sink.report_from(&origin, Problem::Identity(error));
            }
        }
        let whole = Origin::file(file_name);
        secret_files::warn_of_configuration(Path::new(file_name), &whole, &sink);
        for (path, origin) in password_files {
            match read_password(&path) {
                Ok(_) => secret_files::warn_of(&path, &origin, &sink),
                Err(error) => sink.report_from(&origin, Problem::PasswordFile(error)),
            }
        }
        if let (Some(settings), Some(origin)) = (&config.users, users) {
            match Users::read(settings) {
                Ok(_) => secret_files::warn_of(&settings.file, &origin, &sink),
                Err(error) => sink.report_from(&origin, Problem::Users(error)),
            }
        }
        for path in sink.secret_files() {
            secret_files::warn_of(&path, &whole, &sink);
        }
        for (tls, origin) in tls {
            for files in &tls.certificates {
                secret_files::warn_of(&files.key, &origin, &sink);
            }
            match Acceptor::build(&tls) {
                Ok(acceptor) => {
                    for certificate in acceptor.certificates() {
                        warn_of_end(certificate, &origin, &sink, |file| {
                            Notice::CertificateExpired { file }
                        });
                    }
                }
                Err(error) => sink.report_from(&origin, Problem::Tls(error)),
            }
        }
        for (tls, origin) in server_tls {
            if let Some(files) = &tls.certificate {
                secret_files::warn_of(&files.key, &origin, &sink);
            }
            match Connector::build(&tls) {
                Ok(connector) => {
                    if let Some(certificate) = connector.certificate() {
                        warn_of_end(certificate, &origin, &sink, |file| {
                            Notice::OwnCertificateExpired { file }
                        });
                    }
                }
                Err(error) => sink.report_from(&origin, Problem::Tls(error)),
            }
        }
    }
    let secret_files = sink.secret_files();
    let warnings = sink.finish()?;
    Ok(Loaded {
        config,
        secret_files,
        warnings,
    })
}

/// Warns of a certificate that ends soon, or has ended, which `expired` says.
fn warn_of_end(
    certificate: &Certificate,
    origin: &Origin,
    sink: &Sink,
    expired: impl Fn(String) -> Notice,
) {
    let file = certificate.file().display().to_string();
    match certificate.ends_soon(SystemTime::now()) {
        None => {}
        Some(Duration::ZERO) => sink.warn_from(origin, expired(file)),
        Some(left) => sink.warn_from(
            origin,
            Notice::CertificateExpires {
                file,
                days: left.as_secs() / (24 * 60 * 60),
            },
        ),
    }
}

/// Reads one byte more than allowed at most, so that a file that is too large is recognised.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_SIZE + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
