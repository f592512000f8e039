//! `[server.stats_socket]`.

use std::time::Duration;

use super::server::{absolute_path, who};
use crate::config::field::{Field, Keys, Table};
use crate::config::model::{Level, SocketSettings};

const KEYS: Keys = Keys::of(&["path", "mode", "group", "level", "maxconn", "timeout"]);

/// The longest path that fits into an address of a Unix socket.
const LONGEST_PATH: usize = 100;

/// HAProxy's `stats maxconn` and `stats timeout`.
const CONNECTIONS: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn decode(field: &Field<'_>) -> Option<SocketSettings> {
    let table = field.table(KEYS, "a table with the key path")?;
    const PATH: &str = "an absolute path of a socket, of up to 100 bytes";
    let path = table.require("path", PATH);
    let path = path.and_then(|field| {
        let path = absolute_path(&field, PATH)?;
        if path.as_os_str().len() > LONGEST_PATH {
            field.expected(PATH);
            return None;
        }
        Some(path)
    });
    let settings = SocketSettings {
        path: path.clone().unwrap_or_default(),
        mode: mode(&table).unwrap_or(0o600),
        group: table
            .get("group")
            .and_then(|field| who(&field, "the name or the number of a group")),
        level: table.choice("level", &Level::WORDS, Level::Operator),
        connections: table.whole("maxconn", 1..=1000, CONNECTIONS),
        timeout: table.duration("timeout", TIMEOUT),
    };
    path.map(|_| settings)
}

/// Octal, as HAProxy and `chmod` write it.
fn mode(table: &Table<'_>) -> Option<u32> {
    const EXPECTED: &str = "permissions as chmod takes them, such as \"660\"";
    let field = table.get("mode")?;
    // A number would be octal in one format and decimal in another.
    let text = field.text(EXPECTED)?;
    let mode = u32::from_str_radix(&text.value, 8).ok();
    let mode = mode.filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        field.expected(EXPECTED);
    }
    mode
}
