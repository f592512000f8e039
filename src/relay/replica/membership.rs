//! Which replicas are no replicas for now: kept on disk, for a restart must not forget that a node lacks something.
//!
//! The file `replicas.json` beside the journal names only those that diverged (R3–R5); whoever is not in it follows the
//! journal. It is [replaced](crate::durable_file) as a whole. A checksum
//! shows when the disk gives back something else than was written: a flipped bit in a name would take one replica for another.
//!
//! A damaged file is set aside, as `replicas.json.damaged`, and stops nothing. Whoever diverged has given up its place in the
//! journal, so it is still known by that who follows.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use log::error;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::durable_file;
use crate::journal::{Position, Sequence};

const FILE: &str = "replicas.json";
const DAMAGED: &str = "replicas.json.damaged";

/// How a replica stands to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
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

impl Membership {
    /// Why it is no replica, if it is none.
    pub fn divergence(&self) -> Option<&Divergence> {
        match self {
            Membership::Following => None,
            Membership::Diverged(divergence) | Membership::Rebuilding { divergence, .. } => {
                Some(divergence)
            }
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
    fn of(membership: &Membership) -> Option<Entry> {
        let (divergence, pin) = match membership {
            Membership::Following => return None,
            Membership::Diverged(divergence) => (divergence, None),
            Membership::Rebuilding { divergence, pin } => (divergence, Some(pin)),
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

type Entries = BTreeMap<String, Entry>;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// CRC32C of the replicas as JSON without spaces.
    checksum: u32,
    replicas: Entries,
}

/// The file, and what stands in it.
#[derive(Debug)]
pub(in crate::relay) struct MembershipFile {
    folder: PathBuf,
    entries: Mutex<Entries>,
    was_damaged: bool,
}

impl MembershipFile {
    /// Reads the file in this folder; none means that all replicas follow.
    ///
    /// # Errors
    /// It may not be read, or is damaged and cannot be set aside.
    pub(in crate::relay) fn open(folder: &Path) -> io::Result<MembershipFile> {
        let read = match fs::read(folder.join(FILE)) {
            Ok(text) => decode(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entries::new()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(error) => Err(error),
        };
        let was_damaged = read.is_err();
        if let Err(error) = &read {
            fs::rename(folder.join(FILE), folder.join(DAMAGED))?;
            error!(
                "{} is damaged ({error}) and was set aside as {DAMAGED}; who follows the journal is taken from the journal itself",
                folder.join(FILE).display()
            );
        }
        Ok(MembershipFile {
            folder: folder.to_owned(),
            entries: Mutex::new(read.unwrap_or_default()),
            was_damaged,
        })
    }

    /// Whether the file was damaged, so that nothing is known from it.
    pub(in crate::relay) fn was_damaged(&self) -> bool {
        self.was_damaged
    }

    /// The names of those that it knows: replicas that diverged, under the names that they had then.
    pub(in crate::relay) fn names(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    /// How the replica of this name stands.
    pub(in crate::relay) fn membership(&self, name: &str) -> Membership {
        let entries = self.entries();
        let Some(entry) = entries.get(name) else {
            return Membership::Following;
        };
        let divergence = entry.divergence.clone();
        match entry.rebuild {
            None => Membership::Diverged(divergence),
            Some(pin) => Membership::Rebuilding {
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
    pub(in crate::relay) fn record(&self, name: &str, membership: &Membership) -> io::Result<()> {
        self.record_in(&mut self.entries(), name, membership)
    }

    /// The same, but only if another one of `everyone` follows; `None` if it is the last.
    pub(in crate::relay) fn record_unless_last<'name>(
        &self,
        name: &str,
        membership: &Membership,
        everyone: impl Iterator<Item = &'name str>,
    ) -> Option<io::Result<()>> {
        let mut entries = self.entries();
        another_follows(&entries, name, everyone)
            .then(|| self.record_in(&mut entries, name, membership))
    }

    fn record_in(
        &self,
        entries: &mut Entries,
        name: &str,
        membership: &Membership,
    ) -> io::Result<()> {
        let mut changed = entries.clone();
        match Entry::of(membership) {
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
    pub(in crate::relay) fn diverge_unless_last<'name>(
        &self,
        name: &str,
        divergence: &Divergence,
        everyone: impl Iterator<Item = &'name str>,
    ) -> Option<io::Result<()>> {
        let mut entries = self.entries();
        if !another_follows(&entries, name, everyone) {
            return None;
        }
        let entry = Entry {
            divergence: divergence.clone(),
            rebuild: None,
        };
        entries.insert(name.to_owned(), entry);
        Some(self.write(&entries))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }

    fn write(&self, entries: &Entries) -> io::Result<()> {
        let written = Written {
            checksum: checksum(entries)?,
            replicas: entries.clone(),
        };
        let text = serde_json::to_vec_pretty(&written).map_err(io::Error::other)?;
        durable_file::replace(&self.folder.join(FILE), &[&text])
    }
}

fn another_follows<'name>(
    entries: &Entries,
    name: &str,
    mut everyone: impl Iterator<Item = &'name str>,
) -> bool {
    everyone.any(|other| other != name && !entries.contains_key(other))
}

fn decode(text: &[u8]) -> io::Result<Entries> {
    let written: Written = serde_json::from_slice(text).map_err(io::Error::other)?;
    if checksum(&written.replicas)? != written.checksum {
        return Err(io::Error::other("its checksum is wrong"));
    }
    Ok(written.replicas)
}

fn checksum(entries: &Entries) -> io::Result<u32> {
    let text = serde_json::to_vec(entries).map_err(io::Error::other)?;
    Ok(crc32c::crc32c(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_knows_who_diverged_and_where_the_journal_is_pinned() {
        let folder = tempfile::tempdir().expect("a folder");
        let membership_file = MembershipFile::open(folder.path()).expect("no file yet");
        assert_eq!(membership_file.membership("a"), Membership::Following);
        let diverged = Membership::Diverged(Divergence::now("its backlog grew too large"));
        membership_file.record("a", &diverged).expect("written");
        let pin = Position {
            sequence: Sequence::new(7),
            offset: 700,
        };
        let rebuilding = Membership::Rebuilding {
            divergence: Divergence::now("new"),
            pin,
        };
        membership_file.record("b", &rebuilding).expect("written");

        let again = MembershipFile::open(folder.path()).expect("a file");
        assert_eq!(
            (again.membership("a"), again.membership("b")),
            (diverged, rebuilding)
        );
        again.record("a", &Membership::Following).expect("written");
        let again = MembershipFile::open(folder.path()).expect("a file");
        assert_eq!(again.membership("a"), Membership::Following);
    }

    #[test]
    fn the_last_one_that_follows_does_not_diverge() {
        let folder = tempfile::tempdir().expect("a folder");
        let membership_file = MembershipFile::open(folder.path()).expect("no file yet");
        let diverge = |name| {
            let everyone = ["a", "b", "c"].into_iter();
            let divergence = Divergence::now("it is empty");
            let written = membership_file.diverge_unless_last(name, &divergence, everyone);
            written.map(|written| written.expect("written"))
        };
        assert_eq!(diverge("b"), Some(()));
        assert_eq!(diverge("a"), Some(()));
        assert_eq!(diverge("c"), None);
        let rebuilding = Membership::Rebuilding {
            divergence: Divergence::now("it is being rebuilt"),
            pin: Position::default(),
        };
        let rebuild = |name| {
            let everyone = ["a", "b", "c"].into_iter();
            let written = membership_file.record_unless_last(name, &rebuilding, everyone);
            written.map(|written| written.expect("written"))
        };
        assert_eq!(rebuild("c"), None);
        assert_eq!(rebuild("b"), Some(()));
        let again = MembershipFile::open(folder.path()).expect("a file");
        assert!(again.membership("a").divergence().is_some());
        assert_eq!(again.membership("c"), Membership::Following);
    }

    #[test]
    fn any_flipped_bit_is_found_and_stops_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let membership_file = MembershipFile::open(folder.path()).expect("no file yet");
        let diverged = Membership::Diverged(Divergence::now("its backlog grew too large"));
        membership_file.record("node1", &diverged).expect("written");
        let file = folder.path().join(FILE);
        let sound = fs::read(&file).expect("a file");
        for bit in 0..8 * sound.len() {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &flipped).expect("written");
            let membership_file =
                MembershipFile::open(folder.path()).expect("a damaged file is no stop");
            if membership_file.was_damaged() {
                assert_eq!(membership_file.membership("node1"), Membership::Following);
                assert_eq!(
                    fs::read(folder.path().join(DAMAGED)).expect("kept"),
                    flipped
                );
            } else {
                // White space, perhaps.
                assert_eq!(membership_file.membership("node1"), diverged, "bit {bit}");
            }
        }
    }
}
