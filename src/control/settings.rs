//! The socket that no key describes.

use std::path::Path;

use super::{DEADLINE, MOST_CONNECTIONS, SOCKET_NAME};
use crate::config::model::{Level, SocketSettings};

/// The socket of a `data_dir`, for haflux's own user.
pub fn of_data_dir(data_dir: &Path) -> SocketSettings {
    SocketSettings {
        path: data_dir.join(SOCKET_NAME),
        mode: 0o600,
        group: None,
        level: Level::Admin,
        connections: MOST_CONNECTIONS,
        timeout: DEADLINE,
    }
}
