//! Whom to believe while nobody can be asked (rule W6).
//!
//! A write that comes while no replica is in reach is journaled before any node has seen its credentials. It is taken only
//! if the same credentials (none counts too) wrote to the same database lately; else a stranger could fill the journal with
//! what every node will refuse.
//!
//! For the same reason the journal alone acknowledges nobody's first write: for a [stranger](Sender::Stranger) a replica must vouch.
//!
//! That is known over a restart, too: [`file`] keeps it beside the journal. Credentials are not stored, neither there nor in
//! memory, only a keyed hash of each pair of credentials and database, and how long ago a replica took a write of theirs.
//!
//! Ages only grow. In one life they follow the monotonic clock; over a restart the wall clock adds what it says has passed
//! since the file was written. A file from the future is not believed. So a clock that is put back may hide the time during
//! which haflux did not run, but never the time during which it did.

mod file;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io};

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, Mac};
use rustix::rand::{GetRandomFlags, getrandom};

use super::acknowledge::Sender;
use crate::influx::Credentials;
use file::{Saved, TrustFile};

/// Pairs of credentials and database that are remembered.
const MAX_KNOWN: usize = 4096;

/// What makes the hashes of this journal its own.
const KEY_SIZE: usize = 32;

/// Acceptances of who is known already are saved this many times while they last.
const SAVES_WHILE_IT_LASTS: u32 = 16;

/// Where writes wait for no replica's verdict, who is known is looked at again so often while that lasts.
const RENEWALS_WHILE_IT_LASTS: u32 = 16;

type Key = [u8; KEY_SIZE];
/// Whose write it is, and to which database.
pub(super) type Tag = [u8; 16];

/// Who wrote where, and when.
pub(super) struct Trust {
    lasts: Duration,
    key: Key,
    known: Mutex<Known>,
    file: TrustFile,
}

#[derive(Debug)]
struct Known {
    writers: HashMap<Tag, Acceptance>,
    /// Somebody is new since the last save.
    is_new: bool,
    /// Somebody was accepted again since the last save.
    is_touched: bool,
    saved: Instant,
}

/// When a write was last accepted: `before` this moment.
#[derive(Debug, Clone, Copy)]
struct Acceptance {
    at: Instant,
    before: Duration,
}

impl Acceptance {
    fn age(&self, now: Instant) -> Duration {
        self.before
            .saturating_add(now.saturating_duration_since(self.at))
    }
}

impl Trust {
    /// Whoever the file in this folder knows is known; without a sound file nobody is.
    ///
    /// # Errors
    /// The system has no random numbers, so there can be no key.
    pub(super) fn open(folder: &Path, lasts: Duration, relay: &str) -> io::Result<Trust> {
        let file = TrustFile::new(folder);
        let saved = file.read().unwrap_or_else(|error| {
            log::warn!(
                "relay {relay}: who wrote lately is not known any more, and is learned anew: {error}"
            );
            None
        });
        Trust::restore(file, saved, lasts, Instant::now(), SystemTime::now())
    }

    fn restore(
        file: TrustFile,
        saved: Option<Saved>,
        lasts: Duration,
        now: Instant,
        wall: SystemTime,
    ) -> io::Result<Trust> {
        let (key, passed, ages) = match saved {
            Some(saved) => {
                let passed = wall.duration_since(saved.moment).ok();
                (saved.key, passed, saved.ages)
            }
            None => (new_key()?, None, Vec::new()),
        };
        let restored = passed.into_iter().flat_map(|passed| {
            ages.iter().map(move |(tag, age)| {
                let before = age.saturating_add(passed);
                (*tag, Acceptance { at: now, before })
            })
        });
        let writers = restored
            .filter(|(_, acceptance)| acceptance.before < lasts)
            .take(MAX_KNOWN)
            .collect();
        Ok(Trust {
            lasts,
            key,
            known: Mutex::new(Known {
                writers,
                is_new: false,
                is_touched: false,
                saved: now,
            }),
            file,
        })
    }

    /// A replica applied a write of theirs.
    pub(super) fn accepted(&self, tag: Tag, now: Instant) {
        let acceptance = Acceptance {
            at: now,
            before: Duration::ZERO,
        };
        let mut known = self.known();
        if let Some(writer) = known.writers.get_mut(&tag) {
            *writer = acceptance;
            known.is_touched = true;
            return;
        }
        if known.writers.len() >= MAX_KNOWN {
            self.forget(&mut known.writers, now);
        }
        known.writers.insert(tag, acceptance);
        known.is_new = true;
    }

    /// Whether they may write although nobody can be asked, and whether it is time to ask again.
    pub(super) fn sender(&self, tag: Tag, now: Instant) -> Sender {
        let writer = self.known().writers.get(&tag).copied();
        match writer.map(|writer| writer.age(now)) {
            Some(age) if age < self.lasts / RENEWALS_WHILE_IT_LASTS => Sender::Known,
            Some(age) if age < self.lasts => Sender::Ageing,
            Some(_) | None => Sender::Stranger,
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

    /// Saves it for the next life, if anybody is known. Waits for the disk.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn save_at_the_end(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        let is_empty = self.known().writers.is_empty();
        if is_empty {
            return Ok(());
        }
        self.write(now, wall)
    }

    fn write(&self, now: Instant, wall: SystemTime) -> io::Result<()> {
        let saved = {
            let mut known = self.known();
            (known.is_new, known.is_touched) = (false, false);
            known.saved = now;
            let ages = known
                .writers
                .iter()
                .map(|(tag, writer)| (*tag, writer.age(now)))
                .filter(|(_, age)| *age < self.lasts);
            Saved {
                key: self.key,
                moment: wall,
                ages: ages.collect(),
            }
        };
        let written = self.file.write(&saved);
        if written.is_err() {
            self.known().is_new = true;
        }
        written
    }

    /// The same for two requests only if both credentials and database are.
    pub(super) fn tag(&self, credentials: &Credentials, database: &str) -> Tag {
        let (kind, first, second) = match credentials {
            Credentials::None => (0_u8, &[][..], &[][..]),
            Credentials::Parameters { user, password } => (1, user.as_slice(), password.as_slice()),
            Credentials::Authorization(value) => (2, value.as_slice(), &[][..]),
        };
        let mut hash = <Blake2sMac<U16> as Mac>::new(&self.key.into());
        hash.update(&[kind]);
        for field in [first, second, database.as_bytes()] {
            // The length keeps the fields apart.
            hash.update(&(field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        hash.finalize_fixed().into()
    }

    /// Those whose time is over; and if that is nobody, all: they will be known again with their next write.
    fn forget(&self, writers: &mut HashMap<Tag, Acceptance>, now: Instant) {
        writers.retain(|_, writer| writer.age(now) < self.lasts);
        if writers.len() >= MAX_KNOWN {
            writers.clear();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key is left out.
impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trust")
            .field("lasts", &self.lasts)
            .field("known", &self.known().writers.len())
            .finish_non_exhaustive()
    }
}

fn new_key() -> io::Result<Key> {
    let mut key = [0; KEY_SIZE];
    let mut filled = 0;
    while filled < KEY_SIZE {
        let rest = key.get_mut(filled..).unwrap_or_default();
        filled += getrandom(rest, GetRandomFlags::empty())?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests;
