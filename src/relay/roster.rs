//! Which replicas are no replicas for now: kept on disk, for a restart must not forget that a node lacks something.
//!
//! The file `replicas.json` beside the journal names only those that diverged (R3–R5); whoever is not in it follows the
//! journal. It is written whole under another name, synced, and renamed, so it is there or not, but never in half.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::journal::{Position, Sequence};

const FILE: &str = "replicas.json";

/// How a replica stands to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It follows the journal.
    Following,
    /// It missed records for good, or is not the node it was.
    Diverged(Divergence),
    /// As diverged; the journal is kept from a place on, because its data is being copied from another replica.
    Rebuilding {
        /// Why it diverged.
        divergence: Divergence,
        /// From where it will follow.
        pin: Position,
    },
}

/// Why a replica is none, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// For a person.
    pub reason: String,
    /// Unix time in seconds.
    pub since: u64,
}

impl Divergence {
    /// Now, for this reason.
    pub fn now(reason: impl Into<String>) -> Divergence {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Divergence {
            reason: reason.into(),
            since: since.map_or(0, |since| since.as_secs()),
        }
    }
}

impl Place {
    /// Why it is no replica, if it is none.
    pub fn divergence(&self) -> Option<&Divergence> {
        match self {
            Place::Following => None,
            Place::Diverged(divergence) | Place::Rebuilding { divergence, .. } => Some(divergence),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    divergence: Divergence,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rebuild: Option<Pin>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Pin {
    sequence: u64,
    offset: u64,
}

impl Entry {
    /// `None` for who follows: it is not in the file.
    fn of(place: &Place) -> Option<Entry> {
        let (divergence, pin) = match place {
            Place::Following => return None,
            Place::Diverged(divergence) => (divergence, None),
            Place::Rebuilding { divergence, pin } => (divergence, Some(pin)),
        };
        Some(Entry {
            divergence: divergence.clone(),
            rebuild: pin.map(|pin| Pin {
                sequence: pin.sequence.get(),
                offset: pin.offset,
            }),
        })
    }
}

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct Roster {
    folder: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Roster {
    /// Reads the file in this folder; none means that all replicas follow.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written: then nobody can say who may be trusted.
    pub(super) fn open(folder: &Path) -> io::Result<Roster> {
        let entries = match fs::read(folder.join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{FILE}: {error}"))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Roster {
            folder: folder.to_owned(),
            entries: Mutex::new(entries),
        })
    }

    /// How the replica of this name stands.
    pub(super) fn place(&self, name: &str) -> Place {
        let entries = self.entries();
        let Some(entry) = entries.get(name) else {
            return Place::Following;
        };
        let divergence = entry.divergence.clone();
        match entry.rebuild {
            None => Place::Diverged(divergence),
            Some(pin) => Place::Rebuilding {
                divergence,
                pin: Position {
                    sequence: Sequence::new(pin.sequence),
                    offset: pin.offset,
                },
            },
        }
    }

    /// Notes how the replica stands; on disk when it returns.
    ///
    /// # Errors
    /// It could not be written; nothing has changed then.
    pub(super) fn note(&self, name: &str, place: &Place) -> io::Result<()> {
        let mut entries = self.entries();
        let mut changed = entries.clone();
        match Entry::of(place) {
            None => changed.remove(name),
            Some(entry) => changed.insert(name.to_owned(), entry),
        };
        self.write(&changed)?;
        *entries = changed;
        Ok(())
    }

    /// Notes that the replica diverged, but only if another one of `everyone` follows: of two that ask at once, one is told
    /// that it is the last. What could not be written counts all the same as long as the process lives.
    ///
    /// `None`: it is the last one, and follows on. Otherwise, whether it is on disk.
    pub(super) fn diverge_unless_last<'name>(
        &self,
        name: &str,
        divergence: &Divergence,
        mut everyone: impl Iterator<Item = &'name str>,
    ) -> Option<io::Result<()>> {
        let mut entries = self.entries();
        let another_follows = everyone.any(|other| other != name && !entries.contains_key(other));
        if !another_follows {
            return None;
        }
        let entry = Entry {
            divergence: divergence.clone(),
            rebuild: None,
        };
        entries.insert(name.to_owned(), entry);
        Some(self.write(&entries))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, entries: &BTreeMap<String, Entry>) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(entries).map_err(io::Error::other)?;
        let written = self.folder.join(format!("{FILE}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&written)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&written, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_knows_who_diverged_and_where_the_journal_is_pinned() {
        let folder = tempfile::tempdir().expect("a folder");
        let roster = Roster::open(folder.path()).expect("no file yet");
        assert_eq!(roster.place("a"), Place::Following);
        let diverged = Place::Diverged(Divergence::now("its backlog grew too large"));
        roster.note("a", &diverged).expect("written");
        let pin = Position {
            sequence: Sequence::new(7),
            offset: 700,
        };
        let rebuilding = Place::Rebuilding {
            divergence: Divergence::now("new"),
            pin,
        };
        roster.note("b", &rebuilding).expect("written");

        let again = Roster::open(folder.path()).expect("a file");
        assert_eq!((again.place("a"), again.place("b")), (diverged, rebuilding));
        again.note("a", &Place::Following).expect("written");
        let again = Roster::open(folder.path()).expect("a file");
        assert_eq!(again.place("a"), Place::Following);
    }

    #[test]
    fn the_last_one_that_follows_does_not_diverge() {
        let folder = tempfile::tempdir().expect("a folder");
        let roster = Roster::open(folder.path()).expect("no file yet");
        let diverge = |name| {
            let everyone = ["a", "b", "c"].into_iter();
            let divergence = Divergence::now("it is empty");
            let written = roster.diverge_unless_last(name, &divergence, everyone);
            written.map(|written| written.expect("written"))
        };
        assert_eq!(diverge("b"), Some(()));
        assert_eq!(diverge("a"), Some(()));
        assert_eq!(diverge("c"), None);
        let again = Roster::open(folder.path()).expect("a file");
        assert!(again.place("a").divergence().is_some());
        assert_eq!(again.place("c"), Place::Following);
    }

    #[test]
    fn a_file_that_is_none_is_an_error_and_not_an_all_clear() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), "{\"a\": {").expect("written");
        assert!(Roster::open(folder.path()).is_err());
    }
}
