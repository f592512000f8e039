//! What can be wrong with a configuration, and where. One line an error:
//!
//! ```text
//! conf/haflux.toml:12:3: backend "influx_back", servers[0].adress: unknown key; did you mean "address"?
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error as ThisError;

use super::data_dir::DataDirError;
use super::left_journals::{RenamedRelay, listed};
use super::password_file::PasswordFileError;
use super::tree::MAX_DEPTH;
use super::{Format, MAX_FILE_SIZE};
use crate::identity::IdentityError;
use crate::tls::{StapleError, TlsError};
use crate::users::UsersError;

/// A place in a file, counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Position {
    /// Where every file begins.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// Something to say about a place in a file. Prints as `FILE:LINE:COLUMN: KEY: MESSAGE`, without what is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<What> {
    file: Arc<str>,
    /// Where it is; none if it concerns the file as a whole.
    pub position: Option<Position>,
    /// The key that it concerns, with the way to it; empty for the whole file.
    pub key: String,
    /// What there is to say.
    pub what: What,
}

impl<What: fmt::Display> fmt::Display for Located<What> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        self.what.fmt(f)
    }
}

/// One error of a configuration.
pub type Error = Located<Problem>;

/// Something allowed in a configuration that is probably not meant.
pub type Warning = Located<Notice>;

/// Everything that is wrong with a configuration, in the order of the file. Prints one error a line, then how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// The errors; there is at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Errors {
        Errors(vec![error])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "{error}")?;
        }
        let file = self.0.first().map_or("configuration", |error| &error.file);
        match self.0.len() {
            1 => write!(f, "{file}: 1 error"),
            count => write!(f, "{file}: {count} errors"),
        }
    }
}

impl std::error::Error for Errors {}

/// `; did you mean "…"?`, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion(
    /// What may have been meant.
    pub Option<String>,
);

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "; did you mean \"{name}\"?"),
            None => Ok(()),
        }
    }
}

/// What is wrong. Texts of the user in it are as they stand in the file, never what the environment made of them.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    /// The operating system's reason.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file's name ends in something else.
    #[error("expected a file name that ends in .toml, .yaml or .yml")]
    UnknownFormat,
    /// Larger than [`MAX_FILE_SIZE`].
    #[error("larger than {MAX_FILE_SIZE} bytes")]
    FileTooLarge,
    /// Not a text.
    #[error("not UTF-8 in line {line}")]
    NotUtf8 { line: usize },
    /// The text does not parse.
    #[error("not valid {format}: {reason}")]
    Syntax { format: Format, reason: String },
    /// A key twice in one table.
    #[error("the key \"{key}\" is given twice")]
    DuplicateKey { key: String },
    /// More than one YAML document.
    #[error("a second YAML document begins; a configuration is one document")]
    SeveralDocuments,
    /// Lists and tables in each other without end.
    #[error("more than {MAX_DEPTH} lists and tables inside each other")]
    TooDeep,
    /// Aliases that stand for too much.
    #[error("YAML anchors and aliases stand for too much")]
    TooManyAliases,
    /// A YAML tag.
    #[error("YAML tags other than !!str are not supported")]
    Tag,
    /// `${` without `}`.
    #[error("\"${{\" without \"}}\"; write \"$$\" for a \"$\" that stands for itself")]
    VariableNotClosed,
    /// `${…}` around something that names no variable. It may be a piece of a password.
    #[error(
        "expected the name of an environment variable in \"${{…}}\"; write \"$$\" for a \"$\" that stands for itself"
    )]
    VariableName,
    /// `${NAME}` of a variable that is not set.
    #[error("the environment variable {name} is not set")]
    VariableUnset { name: String },
    /// Variables that hold too much.
    #[error("environment variables put too much into this file")]
    VariablesTooLarge,
    /// `${file:…}` of a path that depends on where haflux was started.
    #[error("expected an absolute path behind \"file:\"")]
    SecretPath,
    /// `${credential:…}` of a name that leads out of the folder.
    #[error("expected the name of a credential behind \"credential:\"")]
    CredentialName,
    /// `${credential:…}` without a folder of credentials.
    #[error(
        "there is no credential {name}, because CREDENTIALS_DIRECTORY is not set: it is where LoadCredential= in the unit puts credentials"
    )]
    NoCredentials { name: String },
    /// `${file:…}` or `${credential:…}` in a value that `haflux check` and others show.
    #[error(
        "what a file holds is a secret, and this value is shown to whoever asks; expected a value without \"${{file:…}}\" and \"${{credential:…}}\""
    )]
    SecretShown,
    /// A key that does not exist here.
    #[error("unknown key{}", .suggestion.or_list(.known))]
    UnknownKey {
        suggestion: Suggestion,
        known: &'static [&'static str],
    },
    /// A key of this table and a colon, with more behind it that is taken for a part of the key.
    #[error("unknown key; a space is missing behind \"{key}:\"")]
    NoSpace { key: &'static str },
    /// A key that must be there.
    #[error("\"{key}\" is missing; expected {expected}")]
    Missing {
        key: &'static str,
        expected: &'static str,
    },
    /// A value of the wrong type, out of range, or that does not parse.
    #[error("expected {expected}, found {found}{suggestion}")]
    Expected {
        expected: String,
        found: String,
        suggestion: Suggestion,
    },
    /// A number of something without saying of what.
    #[error(
        "expected a duration with its unit, such as \"{number}s\" or \"{number}ms\", found {found}"
    )]
    NoUnit { number: String, found: String },
    /// The regular expression does not compile.
    #[error("{found} is not a valid regular expression{reason}")]
    Regex { found: String, reason: String },
    /// `use_backend`, `default_backend`, `replicate_to` or `relay` of a name that nobody has.
    #[error("no {what} is named {found}{suggestion}")]
    UnknownName {
        what: &'static str,
        found: String,
        suggestion: Suggestion,
    },
    /// A relay that replicates to a relay.
    #[error("{found} is a relay; a relay replicates to a backend")]
    RelayOntoRelay { found: String },
    /// A UDP listener that would write to a pool.
    #[error("{found} is a backend; UDP goes to a relay")]
    UdpOntoBackend { found: String },
    /// Two relays for one pool: each would have its own order of writes.
    #[error(
        "{other} in line {line} replicates to {found} already; a backend has one relay at most"
    )]
    TwoRelays {
        found: String,
        other: String,
        line: usize,
    },
    /// A name that is taken.
    #[error("the name {found} is taken by {other} in line {line}")]
    NameTaken {
        found: String,
        other: String,
        line: usize,
    },
    /// A server that replaces one user twice.
    #[error("{found} is already replaced in line {line}")]
    ReplacedTwice { found: String, line: usize },
    /// An address that is taken.
    #[error("{found} is in the way of {taken} of {other} in line {line}")]
    AddressTaken {
        found: String,
        taken: String,
        other: String,
        line: usize,
    },
    /// Two servers of a pool that are one.
    #[error("{found} is the address of the server in line {line}, {taken}")]
    SameAddress {
        found: String,
        taken: String,
        line: usize,
    },
    /// A node that two relays replicate to.
    #[error(
        "{found} is the address of a server in line {line}, {taken}, to which {other} replicates; a node has one relay at most"
    )]
    TwoRelaysToNode {
        found: String,
        taken: String,
        other: String,
        line: usize,
    },
    /// `send_proxy` of a pool that a relay replicates to.
    #[error(
        "InfluxDB reads no PROXY header, and a relay speaks with its nodes themselves; expected a backend without a relay"
    )]
    ProxyHeaderToReplicas,
    /// A frontend that leads nowhere.
    #[error("leads nowhere; expected default_backend, use_backend, stats_uri or metrics_uri")]
    LeadsNowhere,
    /// A key that means nothing without another one.
    #[error("needs {other} beside it")]
    Needs { other: &'static str },
    /// `stats_auth` without a user or a password. What is there is a secret.
    #[error("expected \"user:password\"")]
    NoUser,
    /// Both `if` and `unless`.
    #[error("has both \"if\" and \"unless\"; expected one of them")]
    IfAndUnless,
    /// Neither `if` nor `unless`.
    #[error(
        "has neither \"if\" nor \"unless\"; what takes every request is the frontend's default_backend"
    )]
    NoCondition,
    /// `rules = {}`.
    #[error("an empty rule; expected at least one of {}", list_of(.known))]
    EmptyRule { known: &'static [&'static str] },
    /// `write` beside `read_only = true`.
    #[error("read_only is true beside it, so nothing may be written; expected one of them")]
    WriteBesideReadOnly,
    /// None of the things that a rule can do, or several.
    #[error("expected one of {actions}")]
    NotOneAction { actions: &'static str },
    /// A header that belongs to the connection.
    #[error("this header is the connection's, or says how a body is read, and cannot be changed")]
    HeaderOfConnections,
    /// The value of no header. It may be a secret.
    #[error("expected a value that a header can hold")]
    HeaderValue,
    /// The name of no header.
    #[error("expected the name of a header, such as \"X-Frame-Options\"")]
    HeaderName,
    /// `if = {}`.
    #[error("an empty condition; expected at least one of {}", list_of(.known))]
    EmptyCondition { known: &'static [&'static str] },
    /// Both `http` and `tcp`.
    #[error("has both \"http\" and \"tcp\"; expected one of them")]
    HttpAndTcp,
    /// A key of HTTP checks in another check.
    #[error("applies to HTTP checks only; expected \"http\" beside it")]
    HttpOnly,
    /// A value that another one bounds.
    #[error("expected at least {bound}, which is {limit}, found {found}")]
    Below {
        bound: &'static str,
        limit: String,
        found: String,
    },
    /// A value that another one bounds.
    #[error("expected at most {bound}, which is {limit}, found {found}")]
    Above {
        bound: &'static str,
        limit: String,
        found: String,
    },
    /// The journal's folder.
    #[error(transparent)]
    DataDir(DataDirError),
    /// A relay that would begin a journal, and one that seems to be its own.
    #[error("{0}")]
    RenamedRelay(Box<RenamedRelay>),
    /// What haflux writes as the user that it becomes.
    #[error("{} cannot be written by the user that haflux becomes: {reason}", path.display())]
    NotWritable { path: PathBuf, reason: String },
    /// A socket for a group that haflux's user cannot give it to.
    #[error(
        "stats_socket cannot be given to the group {group:?}, because {user} is no member of it"
    )]
    NotAMember { user: String, group: String },
    /// The user or the group that haflux is to become.
    #[error(transparent)]
    Identity(IdentityError),
    /// A file with a password.
    #[error(transparent)]
    PasswordFile(PasswordFileError),
    /// The file of users.
    #[error(transparent)]
    Users(UsersError),
    /// A certificate, or what belongs to it.
    #[error(transparent)]
    Tls(TlsError),
}

/// What is odd.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Notice {
    /// A backend or relay that nothing leads to.
    #[error("nothing leads here")]
    Unused,
    /// An earlier rule takes everything that this one would.
    #[error("never reached: use_backend[{earlier}] in line {line} takes every such request")]
    Unreachable { earlier: usize, line: usize },
    /// A rule takes everything, so `default_backend` gets nothing.
    #[error("never reached: use_backend[{earlier}] in line {line} takes every request")]
    DefaultUnreachable { earlier: usize, line: usize },
    /// A wait that ends before InfluxDB's own.
    #[error(
        "{found} is not longer than InfluxDB's own write timeout (10s by default): a slow write will be sent again while InfluxDB still works on it"
    )]
    ShortRelayTimeout { found: String },
    /// A pool that nothing replicates to, with a node that a relay replicates to.
    #[error(
        "{found} is the address of a server in line {line}, to which {relay} replicates: reads that come to this backend do not wait for what was acknowledged, and changes that come to it reach this node alone"
    )]
    BesideRelay {
        found: String,
        relay: String,
        line: usize,
    },
    /// A pool in which no server takes balanced requests.
    #[error("every server has weight 0: none of them takes balanced requests")]
    AllWeightsZero,
    /// A server's certificate that nobody looks at.
    #[error(
        "the certificates of servers are not verified: whoever is in between can read and change what is sent to them, credentials included"
    )]
    ServerNotVerified,
    /// A certificate for servers whose end has passed.
    #[error("the certificate in {file} has expired: servers that ask for one turn haflux away")]
    OwnCertificateExpired { file: String },
    /// A certificate whose end has passed.
    #[error("the certificate in {file} has expired: clients that verify it are turned away")]
    CertificateExpired { file: String },
    /// What is to be shown with a certificate, and is not.
    #[error("the OCSP response in {file} is not stapled: {fault}")]
    NotStapled { file: String, fault: StapleError },
    /// A certificate that is valid for a short time.
    #[error("the certificate in {file} expires in {days} days")]
    CertificateExpires { file: String, days: u64 },
    /// Root asks about a folder that belongs to whom haflux runs as.
    #[error(
        "{path} belongs to {user}, so this is what haflux finds that runs as {user}; one that runs as root does not start"
    )]
    CheckedForOwner { path: String, user: String },
    /// The journal of a relay that was renamed, or taken out of the configuration.
    #[error(
        "{} holds the journal of a relay that is not configured, and what it keeps for {} is not sent: give the folder the name of its relay while haflux is stopped, or move it away if that relay is not needed any more", folder.display(), listed(.servers)
    )]
    LeftJournal {
        folder: PathBuf,
        servers: Vec<String>,
    },
    /// A file with a secret that others can read.
    #[error(
        "{file} holds a secret, and everybody on this machine can read it: \"chmod o-rwx {file}\""
    )]
    OthersRead { file: String },
    /// A file that others can write, on which haflux relies.
    #[error(
        "everybody on this machine can write {file}, and with it decide what haflux does: \"chmod o-w {file}\""
    )]
    OthersWrite { file: String },
    /// A folder on the way to such a file that others can write.
    #[error(
        "everybody on this machine can write the folder {folder}, and so put something else in the place of {file}: \"chmod o-w {folder}\""
    )]
    OthersReplace { file: String, folder: String },
    /// A part of a value that only the process has which runs as a service.
    #[error("{problem}; what it is for is not looked at")]
    Withheld { problem: Box<Problem> },
}

impl Suggestion {
    /// The suggestion, or else all that is known.
    fn or_list(&self, known: &[&str]) -> String {
        match self.0 {
            Some(_) => self.to_string(),
            None => format!("; known here: {}", known.join(", ")),
        }
    }
}

fn list_of(known: &[&str]) -> String {
    known.join(", ")
}

/// Where something stands, to be able to say something about it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    file: Arc<str>,
    position: Option<Position>,
    key: String,
}

impl Origin {
    /// A file as a whole.
    pub(super) fn file(name: &str) -> Origin {
        Origin {
            file: Arc::from(name),
            position: None,
            key: String::new(),
        }
    }

    pub(super) fn locate<What>(&self, what: What) -> Located<What> {
        Located {
            file: Arc::clone(&self.file),
            position: self.position,
            key: self.key.clone(),
            what,
        }
    }
}

/// Collects what is said about one file.
pub(super) struct Sink {
    file: Arc<str>,
    errors: RefCell<Vec<Error>>,
    warnings: RefCell<Vec<Warning>>,
    /// Whether a secret stands in the file itself.
    holds_secret: Cell<bool>,
    /// The files that `${file:…}` and `${credential:…}` name.
    secret_files: RefCell<Vec<PathBuf>>,
    /// Names of files, as they stand in the file, that are not to be had here.
    withheld: RefCell<Vec<PathBuf>>,
}

impl Sink {
    pub(super) fn new(file: &str) -> Sink {
        Sink {
            file: Arc::from(file),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            holds_secret: Cell::default(),
            secret_files: RefCell::default(),
            withheld: RefCell::default(),
        }
    }

    /// Notes that a secret stands in the file.
    pub(super) fn note_secret(&self) {
        self.holds_secret.set(true);
    }

    /// Whether one does.
    pub(super) fn holds_secret(&self) -> bool {
        self.holds_secret.get()
    }

    /// Notes a file that a secret came from.
    pub(super) fn note_secret_file(&self, path: PathBuf) {
        self.secret_files.borrow_mut().push(path);
    }

    /// The files that secrets came from.
    pub(super) fn secret_files(&self) -> Vec<PathBuf> {
        self.secret_files.borrow().clone()
    }

    /// Notes the name of a file that is not to be had here.
    pub(super) fn note_withheld(&self, path: PathBuf) {
        self.withheld.borrow_mut().push(path);
    }

    /// Whether that is the name of one.
    pub(super) fn is_withheld(&self, path: &Path) -> bool {
        self.withheld.borrow().iter().any(|one| one == path)
    }

    pub(super) fn origin(&self, position: Option<Position>, key: String) -> Origin {
        Origin {
            file: Arc::clone(&self.file),
            position,
            key,
        }
    }

    pub(super) fn report(&self, position: Position, key: &str, problem: Problem) {
        let origin = self.origin(Some(position), key.to_owned());
        self.errors.borrow_mut().push(origin.locate(problem));
    }

    /// An error whose place is all that is known.
    pub(super) fn report_at(&self, position: Option<Position>, problem: Problem) {
        let origin = self.origin(position, String::new());
        self.errors.borrow_mut().push(origin.locate(problem));
    }

    pub(super) fn report_from(&self, origin: &Origin, problem: Problem) {
        self.errors.borrow_mut().push(origin.locate(problem));
    }

    pub(super) fn warn(&self, position: Position, key: &str, notice: Notice) {
        let origin = self.origin(Some(position), key.to_owned());
        self.warnings.borrow_mut().push(origin.locate(notice));
    }

    pub(super) fn warn_from(&self, origin: &Origin, notice: Notice) {
        self.warnings.borrow_mut().push(origin.locate(notice));
    }

    /// Whether nothing was found to be wrong so far.
    pub(super) fn is_right(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// The errors, if there are any, else the warnings.
    pub(super) fn finish(self) -> Result<Vec<Warning>, Errors> {
        if self.errors.borrow().is_empty() {
            let mut warnings = self.warnings.into_inner();
            warnings.sort_by_key(|warning| warning.position);
            return Ok(warnings);
        }
        Err(self.into_errors())
    }

    /// The errors.
    pub(super) fn into_errors(self) -> Errors {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| error.position);
        Errors(errors)
    }
}
