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
    for notice in notices(path, holds_secret) {
        sink.warn_from(origin, notice);
    }
}

/// What everybody on this machine can do with the file at `path`, and should not.
pub(crate) fn notices(path: &Path, holds_secret: bool) -> Vec<Notice> {
    // Whoever needs the file says that it cannot be had.
    let mode = path.metadata().map_or(0, |found| found.mode());
    let file = path.display().to_string();
    let mut notices = Vec::new();
    if mode & WRITABLE_FOR_ALL != 0 {
        notices.push(Notice::OthersWrite { file: file.clone() });
    }
    if holds_secret && mode & READABLE_FOR_ALL != 0 {
        notices.push(Notice::OthersRead { file });
    }
    notices
}
