//! The relay's side: letters are kept, counted, bounded, and asked for by the read barrier.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use log::{error, warn};
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::folder::LetterFolder;
use super::header::{LetterHeader, shorten};
use super::id::LetterId;
use crate::relay::record::change::Change;
use crate::relay::record::reason::without_secrets;
use crate::relay::record::write::FieldTooLong;
use crate::stats::Gauge;
use crate::stats::units::Moment;

/// The folder's name, below the relay's own.
pub const FOLDER: &str = "dead-letters";

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Letters.
    pub letters: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

/// What became of letters of nodes that hold the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// They are removed.
    pub closed: usize,
    /// They stay: a comparison does not show what their records did, or they cannot be read or removed.
    pub left: usize,
}

/// A record that a replica refused for good while another one accepted it, or that was set aside there without a verdict.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The replica that refused it.
    pub replica: String,
    /// The record's sequence.
    pub sequence: u64,
    /// The record.
    pub record: Change,
    /// The HTTP status of the refusal; [`NO_VERDICT`] if there was none.
    pub status: u16,
    /// The text of the refusal, or why there was none.
    pub reason: String,
    /// When it was given up.
    pub time: SystemTime,
}

/// The status of a record that was set aside without a verdict.
pub const NO_VERDICT: u16 = 0;

/// Why letters cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The folder cannot be used, or a file cannot be written.
    #[error("cannot {action} in {folder}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The folder.
        folder: String,
        /// What the system said.
        source: io::Error,
    },
    /// The record does not fit the format; none that came out of a journal is so.
    #[error(transparent)]
    Record(#[from] FieldTooLong),
    /// The header cannot be written as JSON.
    #[error("cannot write the letter's header: {0}")]
    Header(#[from] serde_json::Error),
    /// The runtime is stopping.
    #[error("haflux is stopping")]
    Stopping,
}

/// The dead letters of one relay. Clones are the same store.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: LetterFolder,
    path: String,
    relay: String,
    limits: Limits,
    /// Held by whoever changes files and index together. Never by who only asks.
    disk: Mutex<()>,
    index: RwLock<Index>,
}

/// What there is, in memory.
#[derive(Debug, Default)]
struct Index {
    letters: BTreeMap<LetterId, Entry>,
    /// By replica.
    open: HashMap<String, Open>,
    /// The replicas that have a letter of a record.
    holders: BTreeMap<u64, BTreeSet<String>>,
    /// The replicas that follow the journal.
    followers: BTreeSet<String>,
    bytes: u64,
    highest: u64,
    dropped: u64,
    /// Where others read how many letters there are.
    shown: Arc<Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// `None` if it cannot be told.
    database: Option<String>,
    bytes: u64,
    damaged: bool,
}

/// A replica's letters.
#[derive(Debug, Default)]
struct Open {
    databases: HashMap<String, usize>,
    unknown: usize,
}

impl Open {
    fn open(&mut self, database: Option<&str>) {
        match database {
            Some(database) => *self.databases.entry(database.to_owned()).or_default() += 1,
            None => self.unknown += 1,
        }
    }

    fn close(&mut self, database: Option<&str>) {
        let Some(database) = database else {
            self.unknown = self.unknown.saturating_sub(1);
            return;
        };
        if let Some(count) = self.databases.get_mut(database) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.databases.remove(database);
            }
        }
    }
}

impl DeadLetters {
    /// Opens the store in `folder`, which is made if it is not there; the folder above it is called as the relay. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// The folder cannot be made or read. Damaged letters are no error.
    pub fn open(folder: &Path, limits: Limits) -> Result<DeadLetters, DeadLetterError> {
        let relay = folder.parent().and_then(Path::file_name);
        let shared = Shared {
            folder: LetterFolder::new(folder),
            path: folder.display().to_string(),
            relay: relay.unwrap_or_default().to_string_lossy().into_owned(),
            limits,
            disk: Mutex::new(()),
            index: RwLock::default(),
        };
        let failed = |action| shared.failed(action);
        shared.folder.create().map_err(failed("make the folder"))?;
        shared
            .folder
            .remove_unfinished()
            .map_err(failed("remove an unfinished letter"))?;
        shared.find().map_err(failed("list the letters"))?;
        shared.drop_oldest();
        Ok(DeadLetters {
            shared: Arc::new(shared),
        })
    }

    /// Keeps a letter: durable when it returns, and open from then on. The disk is worked on elsewhere. Dropping the future
    /// does not undo it.
    ///
    /// # Errors
    /// The letter could not be written; it may be tried again.
    pub async fn keep(&self, letter: DeadLetter) -> Result<(), DeadLetterError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.keep(letter))
            .await
            .map_err(|_| DeadLetterError::Stopping)?
    }

    /// A replica follows the journal, or does so no longer. A record of which every follower has a letter makes none of them differ
    /// from the others.
    pub fn set_follows(&self, replica: &str, follows: bool) {
        self.shared.write().set_follows(replica, follows);
    }

    /// Removes the letter of a record that no replica took: nothing differs. One that cannot be removed stays open.
    pub async fn settle(&self, replica: &str, sequence: u64) {
        let shared = Arc::clone(&self.shared);
        let id = LetterId {
            sequence,
            replica: replica.to_owned(),
        };
        // A runtime that stops leaves the letter where it is.
        let _ = tokio::task::spawn_blocking(move || shared.settle(&id)).await;
    }

    /// Removes the letters of these replicas, of records up to this one and of these databases (none: all), because the replicas
    /// are known to hold the same as the others, with `users` the same users and rights, too. The letter of what a comparison does not
    /// show stays open, as does one that cannot be removed.
    pub async fn settle_compared(
        &self,
        replicas: &[String],
        databases: &[String],
        users: bool,
        up_to: u64,
    ) -> Settled {
        let is_meant = |(id, entry): &(&LetterId, &Entry)| {
            let database = entry.database.as_ref();
            id.sequence <= up_to
                && replicas.contains(&id.replica)
                && (databases.is_empty() || database.is_some_and(|name| databases.contains(name)))
        };
        let meant: Vec<LetterId> = {
            let index = self.shared.read();
            let letters = index.letters.iter().filter(is_meant);
            letters.map(|(id, _)| id.clone()).collect()
        };
        let shared = Arc::clone(&self.shared);
        let settle = move || {
            let mut settled = Settled::default();
            for id in &meant {
                if shared.is_compared(id, users) && shared.settle(id) {
                    settled.closed += 1;
                } else {
                    settled.left += 1;
                }
            }
            settled
        };
        // A runtime that stops leaves the letters where they are.
        let settled = tokio::task::spawn_blocking(settle).await;
        settled.unwrap_or_default()
    }

    /// Whether this replica has an open letter for the database. In memory.
    pub fn open_for(&self, replica: &str, database: &str) -> bool {
        let index = self.shared.read();
        index
            .open
            .get(replica)
            .is_some_and(|open| open.unknown > 0 || open.databases.contains_key(database))
    }

    /// Whether this replica has any open letter. In memory.
    pub fn any_open(&self, replica: &str) -> bool {
        let index = self.shared.read();
        index
            .open
            .get(replica)
            .is_some_and(|open| open.unknown > 0 || !open.databases.is_empty())
    }

    /// Open letters, those included that are damaged.
    pub fn count(&self) -> usize {
        self.shared.read().letters.len()
    }

    /// From now on this says how many there are, as [`DeadLetters::count`] does.
    pub fn show_in(&self, gauge: Arc<Gauge>) {
        let mut index = self.shared.write();
        index.shown = gauge;
        index.show();
    }

    /// How many records of these databases this replica lacks by its open letters; of all databases where none are given. A letter
    /// that does not tell its database counts for each. In memory.
    pub fn missing(&self, replica: &str, databases: Option<&[&str]>) -> usize {
        let index = self.shared.read();
        let Some(open) = index.open.get(replica) else {
            return 0;
        };
        let known: usize = match databases {
            None => open.databases.values().sum(),
            Some(names) => names
                .iter()
                .filter_map(|name| open.databases.get(*name))
                .sum(),
        };
        open.unknown + known
    }

    /// How many there are of each replica, those included that are damaged.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for id in self.shared.read().letters.keys() {
            *counts.entry(id.replica.clone()).or_default() += 1;
        }
        counts
    }

    /// Bytes of their files.
    pub fn bytes(&self) -> u64 {
        self.shared.read().bytes
    }

    /// Letters dropped since the start, because there were too many.
    pub fn dropped(&self) -> u64 {
        self.shared.read().dropped
    }

    /// The highest sequence that a letter has or had since the start; 0 if there was none.
    pub fn highest_sequence(&self) -> u64 {
        self.shared.read().highest
    }

    /// Looks at the folder again: letters that are gone are settled. If it cannot be read, everything stays as it was. Blocks
    /// on the disk, shortly: not for async threads.
    pub fn rescan(&self) {
        if let Err(error) = self.shared.find() {
            warn!(
                "relay {}: cannot look for settled dead letters in {}: {error}",
                self.shared.relay, self.shared.path
            );
        }
    }
}

impl Shared {
    fn read(&self) -> parking_lot::RwLockReadGuard<'_, Index> {
        self.index.read()
    }

    fn write(&self) -> parking_lot::RwLockWriteGuard<'_, Index> {
        self.index.write()
    }

    fn disk(&self) -> MutexGuard<'_, ()> {
        self.disk.lock()
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> DeadLetterError {
        let folder = self.path.clone();
        move |source| DeadLetterError::Io {
            action,
            folder,
            source,
        }
    }

    fn keep(&self, letter: DeadLetter) -> Result<(), DeadLetterError> {
        let DeadLetter {
            replica,
            sequence,
            record,
            status,
            reason,
            time,
        } = letter;
        let head = record.encode_head()?;
        let body = record.body();
        let mut header = LetterHeader {
            relay: self.relay.clone(),
            replica: replica.clone(),
            sequence,
            time: Moment::new(time, time).to_string(),
            status,
            reason: shorten(without_secrets(&reason, &record)),
            statement: None,
            database: record.database().unwrap_or_default().to_owned(),
            retention_policy: String::new(),
            precision: String::new(),
            lines: 0,
            bytes: body.len() as u64,
            payload_bytes: (head.len() + body.len()) as u64,
            payload_crc32c: crc32c::crc32c_append(crc32c::crc32c(&head), body),
        };
        match &record {
            Change::Write(write) => {
                header
                    .retention_policy
                    .clone_from(&write.destination.retention_policy);
                header.precision = write.destination.precision.v1_name().to_owned();
                header.lines = write.lines;
            }
            Change::Statement(statement) => header.statement = Some(statement.shown.clone()),
        }
        let lines = header.encode()?;
        let id = LetterId { sequence, replica };
        {
            let _disk = self.disk();
            self.folder
                .write(&id, &[&lines, &head, body])
                .map_err(self.failed("write a letter"))?;
            let entry = Entry {
                database: record.database().map(str::to_owned),
                bytes: lines.len() as u64 + header.payload_bytes,
                damaged: false,
            };
            let before = self.read().letters.get(&id).cloned();
            self.write().insert(id.clone(), entry);
            if before.is_some_and(|before| before.damaged)
                && let Err(error) = self.folder.remove(&id, true)
            {
                warn!(
                    "relay {}: the damaged dead letter {id} was written anew, but cannot be removed: {error}",
                    self.relay
                );
            }
        }
        self.drop_oldest();
        Ok(())
    }

    /// Whether it is gone.
    fn settle(&self, id: &LetterId) -> bool {
        let _disk = self.disk();
        let is_known = self.read().letters.contains_key(id);
        if !is_known {
            return true;
        }
        match self.folder.remove(id, false) {
            Ok(()) => {
                self.write().remove(id);
                true
            }
            Err(error) => {
                warn!(
                    "relay {}: dead letter {id} is settled, but cannot be removed: {error}",
                    self.relay
                );
                false
            }
        }
    }

    /// Whether a comparison, with `users` of users too, shows what the letter's record did; not if the letter cannot be read.
    fn is_compared(&self, id: &LetterId, users: bool) -> bool {
        match self.folder.read_header(id) {
            Ok(header) if header.statement.is_none() => true,
            // The header does not tell where the statement was sent.
            Ok(_) => match self.folder.read(id).map(|letter| letter.record) {
                Ok(Change::Statement(statement)) => statement.is_compared(users),
                Ok(Change::Write(_)) | Err(_) => false,
            },
            Err(_) => false,
        }
    }

    /// Brings the index to what the folder holds.
    fn find(&self) -> io::Result<()> {
        let _disk = self.disk();
        let found = self.folder.list_existing()?;
        let mut letters = BTreeMap::new();
        for letter in found {
            let known = self.read().letters.get(&letter.id).cloned();
            let known = known
                .filter(|known| known.bytes == letter.bytes && known.damaged == letter.damaged);
            let entry = match known {
                Some(known) => known,
                None => self.look_at(&letter.id, letter.damaged, letter.bytes),
            };
            // Of two with one name the sound one comes first, and says more.
            letters.entry(letter.id).or_insert(entry);
        }
        let mut index = self.write();
        let settled: Vec<LetterId> = index
            .letters
            .keys()
            .filter(|id| !letters.contains_key(id))
            .cloned()
            .collect();
        for id in settled {
            index.remove(&id);
        }
        for (id, entry) in letters {
            index.insert(id, entry);
        }
        Ok(())
    }

    /// What a letter that is not in the index is about. One that is damaged is set aside.
    fn look_at(&self, id: &LetterId, damaged: bool, bytes: u64) -> Entry {
        let mut entry = Entry {
            database: None,
            bytes,
            damaged,
        };
        if damaged {
            return entry;
        }
        match self.folder.read_header(id) {
            Ok(header) => entry.database = header.only_database(),
            Err(error) => {
                error!(
                    "relay {}: dead letter {id}: {error}; until it is dropped, {} is not fresh for any database",
                    self.relay, id.replica
                );
                if error.is_damage() {
                    match self.folder.set_aside(id) {
                        Ok(()) => entry.damaged = true,
                        Err(error) => warn!(
                            "relay {}: dead letter {id} cannot be set aside: {error}",
                            self.relay
                        ),
                    }
                }
            }
        }
        entry
    }

    /// Removes until the rest is within the limits, first what every follower lacks: then they do not differ in it.
    fn drop_oldest(&self) {
        let _disk = self.disk();
        loop {
            let excess = self.read().excess(self.limits);
            if excess.is_empty() {
                return;
            }
            for (id, damaged) in excess {
                if let Err(error) = self.folder.remove(&id, damaged) {
                    error!(
                        "relay {}: there are too many dead letters, and {id} cannot be removed: {error}",
                        self.relay
                    );
                    return;
                }
                let mut index = self.write();
                index.remove(&id);
                index.dropped += 1;
                drop(index);
                error!(
                    "relay {}: too many dead letters (max_dead_letters, max_dead_letter_bytes): {id} was dropped unseen; {} lacks that record for good",
                    self.relay, id.replica
                );
            }
        }
    }
}

impl Index {
    fn insert(&mut self, id: LetterId, entry: Entry) {
        self.take_out(&id);
        self.highest = self.highest.max(id.sequence);
        self.bytes += entry.bytes;
        let sequence = id.sequence;
        self.count_record(sequence, Open::close);
        let holders = self.holders.entry(sequence).or_default();
        holders.insert(id.replica.clone());
        self.letters.insert(id, entry);
        self.count_record(sequence, Open::open);
        self.show();
    }

    fn remove(&mut self, id: &LetterId) {
        self.take_out(id);
        self.show();
    }

    fn show(&self) {
        self.shown.set(self.letters.len() as u64);
    }

    fn take_out(&mut self, id: &LetterId) {
        if !self.letters.contains_key(id) {
            return;
        }
        self.count_record(id.sequence, Open::close);
        if let Some(entry) = self.letters.remove(id) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
        if let Some(holders) = self.holders.get_mut(&id.sequence) {
            holders.remove(&id.replica);
            if holders.is_empty() {
                self.holders.remove(&id.sequence);
            }
        }
        self.count_record(id.sequence, Open::open);
    }

    fn set_follows(&mut self, replica: &str, follows: bool) {
        if self.followers.contains(replica) == follows {
            return;
        }
        if follows {
            self.followers.insert(replica.to_owned());
        } else {
            self.followers.remove(replica);
        }
        self.open.clear();
        let sequences: Vec<u64> = self.holders.keys().copied().collect();
        for sequence in sequences {
            self.count_record(sequence, Open::open);
        }
    }

    /// Counts the letters of a record, unless every follower has one.
    fn count_record(&mut self, sequence: u64, count: fn(&mut Open, Option<&str>)) {
        let Some(holders) = self.holders.get(&sequence) else {
            return;
        };
        if self.is_missed_by_all(holders) {
            return;
        }
        for replica in holders {
            let id = LetterId {
                sequence,
                replica: replica.clone(),
            };
            if let Some(entry) = self.letters.get(&id) {
                let open = self.open.entry(id.replica).or_default();
                count(open, entry.database.as_deref());
            }
        }
    }

    /// Whether every follower has a letter of the record whose letters these have.
    fn is_missed_by_all(&self, holders: &BTreeSet<String>) -> bool {
        !self.followers.is_empty() && self.followers.is_subset(holders)
    }

    /// What goes if there is too much: the letters of the oldest record that every follower lacks, else the oldest letter.
    fn excess(&self, limits: Limits) -> Vec<(LetterId, bool)> {
        let too_many = self.letters.len() > limits.letters || self.bytes > limits.bytes;
        if !too_many || self.letters.len() <= 1 {
            return Vec::new();
        }
        let mut records = self.holders.iter();
        let of = |(id, entry): (&LetterId, &Entry)| (id.clone(), entry.damaged);
        match records.find(|(_, holders)| self.is_missed_by_all(holders)) {
            Some((sequence, _)) => {
                let letters = self.letters.iter();
                letters
                    .filter(|(id, _)| id.sequence == *sequence)
                    .map(of)
                    .collect()
            }
            None => self.letters.first_key_value().map(of).into_iter().collect(),
        }
    }
}
