//! Whose credentials a node has accepted lately (rule N1).
//!
//! What comes is judged by a node before it is journaled ([`judge`](crate::relay::intake::judge)). The table remembers whom a node accepted, for
//! which database, so that they need not be judged each time, and may go on while no node can be asked: for `trust_for`.
//!
//! | age of the acceptance | [`Trust`] | |
//! | --- | --- | --- |
//! | less than a sixteenth of `trust_for` | `Known` | goes on |
//! | less than `trust_for` | `Due` | goes on, and is judged again beside that |
//! | more, or none | `Unknown` | waits for a node's verdict |
//!
//! The table is bounded by `judging.max_known`. A newcomer never takes the place of anybody who came more than once: of those
//! who came once the older half makes room, because a crowd that comes once each would otherwise push out everybody else. Where
//! that makes no room either, a newcomer is not remembered, and judged each time.
//!
//! A statement that takes rights, a password or a database away ends what was heard before it: its relay has what it concerns
//! forgotten ([`TrustTable::withdraw`]) once it is in the journal, and again once a node has carried it out, because a node may have
//! accepted somebody in between. Only a node that is past it can make somebody known again. With no node up, they are strangers.
//!
//! The table outlives a restart: [`mod@file`] keeps it beside the journal. Credentials are not stored, neither there nor in memory, only a
//! keyed hash of credentials and [`Scope`], another one of the database, and how long ago a node accepted them.
//!
//! Ages only grow. While haflux runs they follow the monotonic clock; over a restart the wall clock adds what it says has passed
//! since the file was written. A file from the future is not believed. So a clock that is put back may hide the time during
//! which haflux did not run, but never the time during which it did.

mod file;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, Mac};
use parking_lot::{Mutex, MutexGuard};

use crate::influx::Credentials;
use crate::random;
use crate::relay::record::withdrawal::Withdrawal;
use file::{Saved, SavedEntry, TrustFile};

/// What makes the hashes of this journal its own.
const KEY_SIZE: usize = 32;

/// Acceptances of who is known already are saved this many times while they last.
const SAVES_WHILE_IT_LASTS: u32 = 16;

/// Known credentials are judged again this many times while an acceptance lasts.
const RENEWALS_WHILE_IT_LASTS: u32 = 16;

type Key = [u8; KEY_SIZE];
/// Credentials and their scope, hashed with the key of this journal.
type Who = [u8; 16];
/// The name of a database, hashed with the same key.
type DatabaseTag = NonZeroU64;

/// What an entry of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag {
    who: Who,
    database: DatabaseTag,
}

/// What a node's acceptance of credentials is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope<'a> {
    /// Writing to this database, which is there.
    Write(&'a str),
    /// A statement for who may write to this database, there or not.
    Change(&'a str),
    /// A statement for who may read this database, there or not.
    Read(&'a str),
    /// What only an administrator may do.
    Administer,
    /// Being a user at all.
    Identify,
}

impl<'a> Scope<'a> {
    /// The database that it is about; empty for none.
    pub(super) fn database(self) -> &'a str {
        match self {
            Scope::Write(database) | Scope::Change(database) | Scope::Read(database) => database,
            Scope::Administer | Scope::Identify => "",
        }
    }

    /// The same, about the same database in another place.
    pub(super) fn about(self, database: &str) -> Scope<'_> {
        match self {
            Scope::Write(_) => Scope::Write(database),
            Scope::Change(_) => Scope::Change(database),
            Scope::Read(_) => Scope::Read(database),
            Scope::Administer => Scope::Administer,
            Scope::Identify => Scope::Identify,
        }
    }
}

/// How credentials stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// A node accepted them lately.
    Known,
    /// A node accepted them a while ago; it is time to ask again.
    Due,
    /// No node has accepted them within `trust_for`.
    Unknown,
}

/// Whose credentials were accepted, and when.
pub(super) struct TrustTable {
    lasts: Duration,
    most: usize,
    key: Key,
    known: Mutex<Known>,
    /// Held while the file is written, so that no older table replaces a newer one.
    saving: Mutex<()>,
    file: TrustFile,
}

#[derive(Debug)]
struct Known {
    entries: HashMap<Who, Acceptance>,
    /// How often something was withdrawn.
    withdrawals: u64,
    /// Somebody is new since the last save.
    is_new: bool,
    /// Somebody was accepted again since the last save.
    is_touched: bool,
    saved: Instant,
}

/// The last acceptance: `before` this moment.
#[derive(Debug, Clone, Copy)]
struct Acceptance {
    /// None where the file does not tell.
    database: Option<DatabaseTag>,
    at: Instant,
    before: Duration,
    /// More than one request came.
    again: bool,
}

impl Acceptance {
    fn age(&self, now: Instant) -> Duration {
        self.before
            .saturating_add(now.saturating_duration_since(self.at))
    }
}

impl TrustTable {
    /// Restores what the file in this folder holds, at most `most` entries; without a sound file the table is empty.
    ///
    /// # Errors
    /// The system has no random numbers, so there can be no key.
    pub(super) fn open(
        folder: &Path,
        lasts: Duration,
        most: usize,
        relay: &str,
    ) -> io::Result<TrustTable> {
        let file = TrustFile::new(folder, most);
        let saved = file.read().unwrap_or_else(|error| {
            log::warn!(
                "relay {relay}: whose credentials were accepted lately is forgotten, and is learned anew: {error}"
            );
            None
        });
        TrustTable::restore(file, saved, lasts, most, Instant::now(), SystemTime::now())
    }

    fn restore(
        file: TrustFile,
        saved: Option<Saved>,
        lasts: Duration,
        most: usize,
        now: Instant,
        wall: SystemTime,
    ) -> io::Result<TrustTable> {
        let (key, passed, entries) = match saved {
            Some(saved) => {
                let passed = wall.duration_since(saved.moment).ok();
                (saved.key, passed, saved.entries)
            }
            None => (random::bytes()?, None, Vec::new()),
        };
        let restored = passed.into_iter().flat_map(|passed| {
            entries.iter().map(move |entry| {
                let acceptance = Acceptance {
                    database: entry.database,
                    at: now,
                    before: entry.age.saturating_add(passed),
                    again: entry.again,
                };
                (entry.who, acceptance)
            })
        });
        let entries = restored
            .filter(|(_, acceptance)| acceptance.before < lasts)
            .take(most)
            .collect();
        Ok(TrustTable {
            lasts,
            most,
            key,
            known: Mutex::new(Known {
                entries,
                withdrawals: 0,
                is_new: false,
                is_touched: false,
                saved: now,
            }),
            saving: Mutex::default(),
            file,
        })
    }

    /// How often something was withdrawn, for who asks a node now.
    pub(super) fn withdrawals(&self) -> u64 {
        self.known().withdrawals
    }

    /// A node accepted them that was asked when so much had been withdrawn. Returns false if there is no room to remember it.
    pub(super) fn accepted(&self, tag: Tag, withdrawals: u64, now: Instant) -> bool {
        let mut known = self.known();
        if known.withdrawals != withdrawals {
            return true;
        }
        let is_known = known.entries.contains_key(&tag.who);
        if !is_known && known.entries.len() >= self.most {
            self.make_room(&mut known.entries, now);
            if known.entries.len() >= self.most {
                return false;
            }
        }
        let acceptance = Acceptance {
            database: Some(tag.database),
            at: now,
            before: Duration::ZERO,
            again: is_known,
        };
        known.entries.insert(tag.who, acceptance);
        if is_known {
            known.is_touched = true;
        } else {
            known.is_new = true;
        }
        true
    }

    /// A node refused them.
    pub(super) fn refused(&self, tag: Tag) {
        let mut known = self.known();
        if known.entries.remove(&tag.who).is_some() {
            known.is_new = true;
        }
    }

    /// A statement withdraws this: what nodes accepted before says nothing any more.
    pub(super) fn withdraw(&self, withdrawal: &Withdrawal) {
        let mut known = self.known();
        let before = known.entries.len();
        match withdrawal {
            Withdrawal::Nothing => return,
            Withdrawal::Databases(names) => {
                let tags: Vec<DatabaseTag> = names
                    .iter()
                    .map(|database| self.database_tag(database))
                    .collect();
                let is_other = |tag: DatabaseTag| !tags.contains(&tag);
                let entries = &mut known.entries;
                entries.retain(|_, acceptance| acceptance.database.is_some_and(is_other));
            }
            Withdrawal::All => known.entries.clear(),
        }
        known.withdrawals += 1;
        known.is_new |= known.entries.len() < before;
    }

    /// Sees to it that nobody is known after a crash whose acceptance was withdrawn. Waits for the disk.
    ///
    /// # Errors
    /// The file could not be replaced, nor removed.
    pub(super) fn save_withdrawal(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        // A full disk has the room for that.
        self.write(now, wall).or_else(|_| self.file.remove())
    }

    /// How they stand, for one more request of theirs.
    pub(super) fn trust(&self, tag: Tag, now: Instant) -> Trust {
        let mut known = self.known();
        let entry = known.entries.get_mut(&tag.who);
        let age = entry.map(|entry| {
            entry.again = true;
            entry.age(now)
        });
        match age {
            Some(age) if age < self.lasts / RENEWALS_WHILE_IT_LASTS => Trust::Known,
            Some(age) if age < self.lasts => Trust::Due,
            Some(_) | None => Trust::Unknown,
        }
    }

    /// Saves what changed, if it is worth it by now. Waits for the disk.
    ///
    /// # Errors
    /// It could not be written; it is still to be saved then.
    pub(super) fn save(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        {
            let known = self.known();
            let pace = self.lasts / SAVES_WHILE_IT_LASTS;
            let is_old = now.saturating_duration_since(known.saved) >= pace;
            if !(known.is_new || known.is_touched && is_old) {
                return Ok(());
            }
        }
        self.write(now, wall)
    }

    /// Saves it for the next run, if anybody is known. Waits for the disk.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn save_at_the_end(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        let is_empty = self.known().entries.is_empty();
        if is_empty {
            return Ok(());
        }
        self.write(now, wall)
    }

    fn write(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        let _saving = self.saving.lock();
        let saved = {
            let mut known = self.known();
            (known.is_new, known.is_touched) = (false, false);
            known.saved = now;
            let entries = known
                .entries
                .iter()
                .map(|(who, acceptance)| SavedEntry {
                    who: *who,
                    database: acceptance.database,
                    age: acceptance.age(now),
                    again: acceptance.again,
                })
                .filter(|entry| entry.age < self.lasts);
            Saved {
                key: self.key,
                moment: wall,
                entries: entries.collect(),
            }
        };
        let written = self.file.write(&saved);
        if written.is_err() {
            self.known().is_new = true;
        }
        written
    }

    /// The same for two requests only if both credentials and scope are.
    pub(super) fn tag(&self, credentials: &Credentials, scope: Scope<'_>) -> Tag {
        let (kind, first, second) = match credentials {
            Credentials::None => (0_u8, &[][..], &[][..]),
            Credentials::Parameters { user, password } => (1, user.as_slice(), password.as_slice()),
            Credentials::Authorization(value) => (2, value.as_slice(), &[][..]),
        };
        let (scope, database) = match scope {
            Scope::Write(database) => (0, database),
            Scope::Administer => (0x10, ""),
            Scope::Identify => (0x20, ""),
            Scope::Change(database) => (0x30, database),
            Scope::Read(database) => (0x40, database),
        };
        let mut hash = <Blake2sMac<U16> as Mac>::new(&self.key.into());
        hash.update(&[kind | scope]);
        for field in [first, second, database.as_bytes()] {
            // The length keeps the fields apart.
            hash.update(&(field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        Tag {
            who: hash.finalize_fixed().into(),
            database: self.database_tag(database),
        }
    }

    fn database_tag(&self, database: &str) -> DatabaseTag {
        let mut hash = <Blake2sMac<U16> as Mac>::new(&self.key.into());
        // No kind of credentials begins with this.
        hash.update(&[0xFF]);
        hash.update(database.as_bytes());
        let hash: Who = hash.finalize_fixed().into();
        let first = hash.first_chunk().copied().map_or(0, u64::from_le_bytes);
        DatabaseTag::new(first).unwrap_or(DatabaseTag::MIN)
    }

    /// Removes what has expired; and if that is nothing, the older half of those who came once.
    fn make_room(&self, entries: &mut HashMap<Who, Acceptance>, now: Instant) {
        entries.retain(|_, acceptance| acceptance.age(now) < self.lasts);
        if entries.len() < self.most {
            return;
        }
        let once = entries.values().filter(|acceptance| !acceptance.again);
        let mut ages: Vec<Duration> = once.map(|acceptance| acceptance.age(now)).collect();
        let half = ages.len() / 2;
        if ages.is_empty() {
            return;
        }
        let (_, median, _) = ages.select_nth_unstable(half);
        let median = *median;
        entries.retain(|_, acceptance| acceptance.again || acceptance.age(now) < median);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}

/// The key is left out.
impl fmt::Debug for TrustTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TrustTable")
            .field("lasts", &self.lasts)
            .field("known", &self.known().entries.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
