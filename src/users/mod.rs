//! haflux's own users: whom a client may be, and how it proves it.
//!
//! They stand in a [file](mod@file) of lines, in htpasswd's form, which the configuration names and a reload reads again. A user has a
//! password, tokens, names of client certificates, or several of these.
//!
//! # Passwords
//!
//! A file's hashes are slow on purpose: a check takes as long as its author chose, tens of milliseconds by default. So checks are made on
//! threads that serve nobody, a few at once, and what was right is remembered for a while: under a keyed hash of name and password whose
//! key dies with this process, never the password itself. As nothing but what was right is remembered, there is one entry a user at most,
//! and nobody can fill the memory with guesses.
//!
//! A name that nobody has is checked against the hash of somebody who is there, always the same one for the same name, so that the time
//! of a refusal does not tell who there is.
//!
//! Tokens are drawn at random and as long as keys, so a fast hash of them is enough.

mod error;
mod file;
mod password;
mod registry;
mod settings;
mod token;

pub use error::{LineFault, UsersError};
pub use file::is_name;
pub use password::{HashError, hash_password};
pub use registry::Users;
pub use settings::UserSettings;
pub use token::Token;
