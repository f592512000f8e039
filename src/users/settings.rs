//! `[users]`: where haflux's own users stand, and within which bounds they are looked for.

use std::path::PathBuf;
use std::time::Duration;

/// `[users]`, checked. Only [`crate::config`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSettings {
    /// `file`: absolute path of the file of users.
    pub file: PathBuf,
    /// `remember_for`: how long a password that was right is not checked again. Default 5 min.
    pub remember_for: Duration,
    /// `at_once`: passwords that are checked at once. Default half of the cores, at least 1.
    pub at_once: usize,
    /// `max_waiting`: requests whose passwords are checked or wait for it, a quarter of them from one address; more get 503. Default 256.
    pub max_waiting: usize,
    /// `max_failures`: wrong passwords and tokens of one address in a minute; more get 429 unchecked. Default 30.
    pub max_failures: u32,
}
