//! `server.stats_socket`: where a socket is, and what whoever may connect to it may do.

use std::path::PathBuf;
use std::time::Duration;

/// What may be done on a socket, in HAProxy's words. Each level may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Read statistics.
    User,
    /// Read everything.
    Operator,
    /// Give orders.
    Admin,
}

impl Level {
    /// The words for them.
    pub const WORDS: [(&str, Level); 3] = [
        ("user", Level::User),
        ("operator", Level::Operator),
        ("admin", Level::Admin),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Level::User => "user",
            Level::Operator => "operator",
            Level::Admin => "admin",
        }
    }
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSettings {
    /// Where it is.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// The name or the number of the group that it is given to.
    pub group: Option<String>,
    /// What may be done on it.
    pub level: Level,
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// How long a connection may last; in interactive mode, how long its silence and each answer may.
    pub timeout: Duration,
}
