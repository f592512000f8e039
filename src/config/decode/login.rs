//! `username` and `password_file`, and a backend's `login`, which is tables of them.

use std::path::PathBuf;

use super::access::patterns;
use super::server::file_path;
use crate::config::error::{Origin, Problem};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{Login, NodeLogin};

const KEYS: Keys = Keys::with_secret(&["users", "username", "password_file"]);

const EXPECTED: &str = "a table with \"username\" and \"password_file\", or a list of them";

/// The longest name of a user, database or retention policy, in bytes: InfluxDB keeps the latter two in folders of their names.
pub(super) const LONGEST_NAME: usize = 255;

/// Both, which need each other.
pub(super) fn login(table: &Table<'_>) -> Option<Login> {
    const USER: &str = "the name of a user, of up to 255 bytes, without \":\"";
    const FILE: &str = "an absolute path of a file";
    // A password may stand in place of either.
    let hidden = |key| table.get(key).map(|field| field.hidden());
    let (username, password_file) = (hidden("username"), hidden("password_file"));
    let (username, password_file) = match (&username, &password_file) {
        (Some(username), Some(file)) => (username, file),
        (Some(alone), None) => {
            alone.report(Problem::Needs {
                other: "password_file",
            });
            return None;
        }
        (None, Some(alone)) => {
            alone.report(Problem::Needs { other: "username" });
            return None;
        }
        (None, None) => return None,
    };
    let name = username.text(USER).map(|text| text.value.clone());
    if name.as_ref().is_some_and(|name| !is_username(name)) {
        username.expected(USER);
    }
    Some(Login {
        username: name?,
        password_file: file_path(password_file, FILE)?,
    })
}

/// Whether a node's user can have this name: HTTP's Basic authentication ends the name at the first colon.
pub(super) fn is_username(name: &str) -> bool {
    name.len() <= LONGEST_NAME && !name.contains(':')
}

/// Who haflux's users are on the nodes of a backend, and the files with the passwords.
pub(super) fn logins(field: &Field<'_>) -> (Vec<NodeLogin>, Vec<(PathBuf, Origin)>) {
    let fields = field.one_or_more(EXPECTED).unwrap_or_default();
    let tables = fields
        .iter()
        .filter_map(|field| field.table(KEYS, EXPECTED));
    let each = tables.filter_map(|table| {
        let users = patterns(&table, "users").unwrap_or_default();
        table.require("username", "the name of a user of the nodes")?;
        let file = table.require("password_file", "an absolute path of a file")?;
        let login = login(&table)?;
        let named = (login.password_file.clone(), file.origin());
        Some((NodeLogin { users, login }, named))
    });
    each.unzip()
}
