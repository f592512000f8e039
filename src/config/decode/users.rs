//! `[users]`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use super::server::file_path;
use crate::config::error::Origin;
use crate::config::field::{Field, Keys};
use crate::config::model::UserSettings;

const KEYS: Keys = Keys::with_secret(&[
    "file",
    "remember_for",
    "at_once",
    "max_waiting",
    "max_failures",
]);

const FILE: &str = "the absolute path of a file of users";

/// The table, and where it names its file.
pub(super) struct UsersDraft {
    pub(super) settings: UserSettings,
    pub(super) origin: Origin,
}

pub(super) fn decode(field: &Field<'_>) -> Option<UsersDraft> {
    let table = field.table(KEYS, "a table with \"file\"")?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let settings = UserSettings {
        file: PathBuf::new(),
        remember_for: table.duration("remember_for", Duration::from_secs(5 * 60)),
        at_once: table.whole("at_once", 1..=1000, (cores / 2).max(1)),
        max_waiting: table.whole("max_waiting", 1..=100_000, 256),
        max_failures: table.whole("max_failures", 1..=1_000_000, 30),
    };
    let file = table.require("file", FILE)?;
    Some(UsersDraft {
        settings: UserSettings {
            file: file_path(&file, FILE)?,
            ..settings
        },
        origin: file.origin(),
    })
}
