//! `username` and `password_file`.

use super::server::absolute_path;
use crate::config::error::Problem;
use crate::config::field::Table;
use crate::config::model::Login;

/// The longest name of a user, database or retention policy, in bytes: InfluxDB keeps the latter two in folders of their names.
pub(super) const LONGEST_NAME: usize = 255;

/// Both, which need each other.
pub(super) fn login(table: &Table<'_>) -> Option<Login> {
    const USER: &str = "the name of a user, of up to 255 bytes, without \":\"";
    const FILE: &str = "an absolute path of a file";
    let (username, password_file) = (table.get("username"), table.get("password_file"));
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
    // HTTP's Basic authentication ends the name at the first colon.
    let is_name = |name: &String| name.len() <= LONGEST_NAME && !name.contains(':');
    if name.as_ref().is_some_and(|name| !is_name(name)) {
        username.expected(USER);
    }
    Some(Login {
        username: name?,
        password_file: absolute_path(password_file, FILE)?,
    })
}
