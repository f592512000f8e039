//! Who else on this machine can read what must stay secret, or write what haflux relies on.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{Notice, Origin, Sink};

const READABLE_FOR_ALL: u32 = 0o004;
const WRITABLE_FOR_ALL: u32 = 0o002;

/// Warns of the configuration file at `path` if everybody can write it, or read it although a secret stands in it.
pub(super) fn warn_of_configuration(path: &Path, origin: &Origin, sink: &Sink) {
    warn(path, sink.holds_secret(), origin, sink);
}

/// Warns of the file at `path`, which holds a secret, if everybody can read or write it.
pub(super) fn warn_of(path: &Path, origin: &Origin, sink: &Sink) {
    warn(path, true, origin, sink);
}

fn warn(path: &Path, holds_secret: bool, origin: &Origin, sink: &Sink) {
    // Whoever needs the file says that it cannot be had.
    let Ok(found) = path.metadata() else {
        return;
    };
    let file = path.display().to_string();
    if found.mode() & WRITABLE_FOR_ALL != 0 {
        sink.warn_from(origin, Notice::OthersWrite { file: file.clone() });
    }
    if holds_secret && found.mode() & READABLE_FOR_ALL != 0 {
        sink.warn_from(origin, Notice::OthersRead { file });
    }
}
