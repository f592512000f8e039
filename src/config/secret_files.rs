//! Who else on this machine can read what must stay secret, or write what haflux relies on, or put something else in its place.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{Notice, Origin, Sink};

const READABLE_FOR_ALL: u32 = 0o004;
const WRITABLE_FOR_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Warns of the configuration file at `path` if everybody can write it, or read it although a secret stands in it.
pub(super) fn warn_of_configuration(path: &Path, origin: &Origin, sink: &Sink) {
    warn(path, sink.holds_secret(), origin, sink);
}

/// Warns of the file at `path`, which holds a secret, if everybody can read, write or replace it.
pub(super) fn warn_of(path: &Path, origin: &Origin, sink: &Sink) {
    warn(path, true, origin, sink);
}

/// Warns of each file of a certificate if everybody can write or replace it, or read it although it holds the `key`.
pub(super) fn warn_of_certificate<'a>(
    files: impl Iterator<Item = &'a Path>,
    key: impl Fn(&Path) -> bool,
    origin: &Origin,
    sink: &Sink,
) {
    let files: BTreeSet<&Path> = files.collect();
    for file in files {
        warn(file, key(file), origin, sink);
    }
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
    } else if let Some(folder) = replaceable_in(path) {
        let (file, folder) = (file.clone(), folder.display().to_string());
        notices.push(Notice::OthersReplace { file, folder });
    }
    if holds_secret && mode & READABLE_FOR_ALL != 0 {
        notices.push(Notice::OthersRead { file });
    }
    notices
}

/// The folder on the way to the file in which everybody can put something else in its place. In a sticky one only owners can.
fn replaceable_in(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let is_open = |folder: &&Path| {
        let mode = folder.metadata().map_or(0, |found| found.mode());
        mode & WRITABLE_FOR_ALL != 0 && mode & STICKY == 0
    };
    let folder = path.ancestors().skip(1).find(is_open);
    folder.map(Path::to_owned)
}
