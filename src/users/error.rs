//! What is wrong with a file of users. No error shows what a line holds: it may be a password.

use std::path::PathBuf;

use thiserror::Error;

use crate::small_file::SmallFileError;

/// Why there are no users.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UsersError {
    /// The file is not there, or larger than any list of users.
    #[error(transparent)]
    File(#[from] SmallFileError),
    /// It is no text.
    #[error("{}, line {line}: not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where, from 1 on.
        line: usize,
    },
    /// A line means nothing.
    #[error("{}, line {line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which one, from 1 on.
        line: usize,
        /// Why.
        fault: LineFault,
    },
    /// The operating system has no randomness for the key under which passwords are remembered.
    #[error("the operating system gives no random bytes: {reason}")]
    NoKey {
        /// The operating system's reason.
        reason: String,
    },
}

/// Why a line means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineFault {
    /// No name, or nothing behind it.
    #[error(
        "expected NAME:HASH, with a name of 1 to 255 bytes without control characters; \"haflux users hash NAME\" prints such a line"
    )]
    NotAPair,
    /// What stands behind the name is of no kind that is known, such as a password in the clear, MD5 or SHA-1.
    #[error(
        "expected a hash by bcrypt ($2y$…) or Argon2 ($argon2id$…), $token$… or $certificate$NAME; \"haflux users hash NAME\" makes a hash"
    )]
    Kind,
    /// A hash that is cut off or holds what no such hash holds.
    #[error("expected a whole hash by {algorithm}")]
    Malformed {
        /// By what it should be.
        algorithm: &'static str,
    },
    /// A hash that would take many seconds to check, or gigabytes.
    #[error("expected a hash by {algorithm} with {cost}")]
    Cost {
        /// By what it is.
        algorithm: &'static str,
        /// What it may cost.
        cost: &'static str,
    },
    /// The hash of a token has another length, or other characters.
    #[error(
        "expected 64 hexadecimal digits behind $token$; \"haflux users token NAME\" prints such a line"
    )]
    Token,
    /// `$certificate$` names nobody.
    #[error("expected the name in a client's certificate behind $certificate$")]
    Certificate,
    /// A user has one password.
    #[error("this user has a password in line {first}; expected one")]
    SecondPassword {
        /// Where the other one stands.
        first: usize,
    },
    /// A token or a certificate's name stands for one user.
    #[error("stands in line {first} already")]
    Twice {
        /// Where.
        first: usize,
    },
}
