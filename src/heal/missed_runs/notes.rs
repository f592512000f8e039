//! What outlives haflux of this: until when each node held everything, since when it misses runs, and since when each query is
//! there. One small file in the relay's folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::durable_file;

/// The file's name.
const NAME: &str = "missed_runs";

/// How often it is written while nothing happens: after a restart of haflux, so much more is made up for.
const PACE: Duration = Duration::from_secs(10);

/// Of one node. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Noted {
    /// It held all that had been written up to then.
    pub(super) complete: Option<i64>,
    /// It may miss what its queries write from then on.
    pub(super) missed: Option<i64>,
    /// Where the journal is pinned for it.
    pub(super) pin: Option<u64>,
}

/// A query, as a node lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Listed {
    /// The database that it belongs to.
    pub(super) database: String,
    /// The whole `CREATE CONTINUOUS QUERY` statement.
    pub(super) text: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    nodes: BTreeMap<String, Noted>,
    /// Each with a time at which it was not there yet.
    queries: Vec<(Listed, i64)>,
    /// When they were listed last.
    listed: Option<i64>,
}

/// The file, and what is in it.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    document: Document,
    written: Instant,
}

impl Notes {
    /// Reads what is there of these nodes. A file that cannot be read counts as none.
    pub(super) fn open(folder: &Path, nodes: &[&str]) -> Notes {
        let path = folder.join(NAME);
        let mut document = read(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!("{}: {error}", path.display());
            }
            Document::default()
        });
        document
            .nodes
            .retain(|name, _| nodes.contains(&name.as_str()));
        let known = Mutex::new(Known {
            document,
            written: Instant::now(),
        });
        Notes { path, known }
    }

    /// Forgets all: what is missed while nobody looks is not known.
    pub(super) fn forget(folder: &Path) {
        let path = folder.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!("{}: {error}", path.display());
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Of this node.
    pub(super) fn of(&self, node: &str) -> Noted {
        let known = self.known.lock();
        known.document.nodes.get(node).copied().unwrap_or_default()
    }

    /// Notes it: on disk at once if the node begins or ceases to miss runs, or held all for the first time; else when it is time.
    pub(super) fn note(&self, node: &str, noted: Noted) {
        let mut known = self.known.lock();
        let before = known.document.nodes.insert(node.to_owned(), noted);
        let before = before.unwrap_or_default();
        let stands = |noted: Noted| (noted.missed.is_some(), noted.pin, noted.complete.is_some());
        let is_news = stands(before) != stands(noted);
        if is_news || known.written.elapsed() >= PACE {
            known.write(&self.path);
        }
    }

    /// Whether the queries should be listed again.
    pub(super) fn wants_list(&self, now: i64) -> bool {
        let listed = self.known.lock().document.listed;
        // A clock that was set back makes it due.
        listed.is_none_or(|listed| now < listed || nanoseconds(PACE) <= now - listed)
    }

    /// These, and no others, are there now. It goes to disk with the next note.
    pub(super) fn list(&self, mut queries: Vec<Listed>, now: i64) {
        let mut known = self.known.lock();
        let document = &mut known.document;
        queries.sort_unstable();
        document
            .queries
            .retain(|(query, _)| queries.binary_search(query).is_ok());
        // Those of the first list may be as old as anything.
        let before = document.listed.unwrap_or(i64::MIN);
        for query in queries {
            if !document.queries.iter().any(|(known, _)| *known == query) {
                document.queries.push((query, before));
            }
        }
        document.listed = Some(now);
    }

    /// A time at which this query was not there yet.
    pub(super) fn since(&self, query: &Listed) -> i64 {
        let Document {
            queries, listed, ..
        } = &self.known.lock().document;
        let found = queries.iter().find(|(known, _)| known == query);
        match found {
            Some((_, since)) => *since,
            None => listed.unwrap_or(i64::MIN),
        }
    }
}

impl Known {
    fn write(&mut self, path: &Path) {
        self.written = Instant::now();
        let written = serde_json::to_vec(&self.document)
            .map_err(io::Error::from)
            .and_then(|text| durable_file::replace(path, &[&text]));
        if let Err(error) = written {
            warn!("{}: {error}", path.display());
        }
    }
}

fn read(path: &Path) -> io::Result<Document> {
    let text = fs::read(path)?;
    serde_json::from_slice(&text).map_err(io::Error::from)
}

/// As many as there are, or as many as can be told.
pub(super) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_on_disk_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(folder.path(), &["a"]);
        assert_eq!(notes.of("a"), Noted::default());
        let complete = |time| Noted {
            complete: Some(time),
            ..Noted::default()
        };
        notes.note("a", complete(4));
        notes.note("a", complete(5));
        assert_eq!(Notes::open(folder.path(), &["a"]).of("a"), complete(4));
        let missed = Noted {
            missed: Some(5),
            ..complete(5)
        };
        notes.note("a", missed);
        assert_eq!(Notes::open(folder.path(), &["a"]).of("a"), missed);
        assert_eq!(Notes::open(folder.path(), &["b"]).of("a"), Noted::default());
        Notes::forget(folder.path());
        Notes::forget(folder.path());
        assert_eq!(Notes::open(folder.path(), &["a"]).of("a"), Noted::default());
        fs::write(folder.path().join(NAME), "{").unwrap();
        assert_eq!(Notes::open(folder.path(), &["a"]).of("a"), Noted::default());
    }

    #[test]
    fn a_query_is_as_old_as_the_last_list_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(folder.path(), &["a"]);
        let query = |text: &str| Listed {
            database: "d".to_owned(),
            text: text.to_owned(),
        };
        let list = |queries: &[&str], now| {
            let queries = queries.iter().map(|text| query(text));
            notes.list(queries.collect(), now);
        };
        list(&["old"], 100);
        list(&["old"], 200);
        list(&["old", "new"], 300);
        list(&["old", "new"], 400);
        assert_eq!(notes.since(&query("old")), i64::MIN);
        assert_eq!(notes.since(&query("new")), 200);
        assert_eq!(notes.since(&query("newer")), 400);
        list(&["new"], 500);
        list(&["new", "old"], 600);
        assert_eq!(notes.since(&query("old")), 500);
        let soon = 600 + nanoseconds(PACE);
        assert!(!notes.wants_list(soon - 1) && notes.wants_list(soon));
        assert!(notes.wants_list(0));
    }
}
