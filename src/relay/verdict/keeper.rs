//! The keeper puts refusals on disk: the [log](crate::relay::dead_letters) of those that another replica may still take, and the dead
//! letters of those that one took. [`Refusals`](crate::relay::verdict::refusals) says what is to be done; one thing is done at a time.
//!
//! What cannot be written is tried again, and nothing is forgotten meanwhile: the cursors that must not pass it stand still on
//! disk, the log says so once, and the relay's `unwritten_refusals` is not 0.

mod records;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::{error, info};
use parking_lot::Mutex;

use crate::journal::{Cursor, CursorError, Journal, Sequence};
use crate::relay::dead_letters::{
    DeadLetter, DeadLetterError, DeadLetters, Found, Line, PendingLog, Said,
};
use crate::relay::replica::handle::Replica;
use crate::relay::verdict::pending::PendingClients;
use crate::relay::verdict::refusals::{Due, Entry, Refusal, Refusals, Unsaved};
use crate::stats::RelayStats;
use records::Records;

/// How long nothing is tried after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Records whose refusals are copied at once when the log is written anew.
const COPIED: usize = 4096;

/// Why refusals are not on disk.
#[derive(Debug, thiserror::Error)]
pub(in crate::relay) enum KeepError {
    /// The log of pending refusals could not be written.
    #[error("cannot write the log of refusals: {0}")]
    Log(std::io::Error),
    /// A dead letter could not be written.
    #[error(transparent)]
    Letter(#[from] DeadLetterError),
    /// The record of a dead letter could not be read.
    #[error("cannot read the record of a dead letter: {0}")]
    Read(std::io::Error),
    /// The cursors could not be saved.
    #[error(transparent)]
    Cursors(#[from] CursorError),
    /// It failed a moment ago.
    #[error("a refusal could not be written a moment ago")]
    Failed,
    /// Another refusal came between, or the journal does not take the cursor.
    #[error(transparent)]
    Unsaved(#[from] Unsaved),
    /// The runtime is stopping.
    #[error("haflux is stopping")]
    Stopping,
}

/// Puts the refusals of one relay on disk.
pub(in crate::relay) struct Keeper {
    pending_clients: Arc<PendingClients>,
    journal: Journal,
    letters: DeadLetters,
    stats: Arc<RelayStats>,
    log: Arc<Mutex<PendingLog>>,
    /// Held by whoever does something.
    work: tokio::sync::Mutex<Work>,
}

struct Work {
    records: Records,
    /// Since the last thing that was tried failed: not before this moment.
    not_before: Option<Instant>,
    /// Replicas whose cursors wait, and where they are to be saved.
    waiting: BTreeMap<usize, Sequence>,
}

impl Keeper {
    /// Takes back what the log says, but for records that no replica is sent any more, or that the journal has lost.
    pub(in crate::relay) fn new(
        pending_clients: Arc<PendingClients>,
        journal: Journal,
        letters: DeadLetters,
        stats: Arc<RelayStats>,
        (log, found): (PendingLog, Found),
        replicas: &[Arc<Replica>],
    ) -> Keeper {
        if found.damaged > 0 {
            error!(
                "relay {}: {} lines of the log of refusals are damaged: where a replica refused one of these records and another one takes it, that is not noticed",
                stats.name, found.damaged
            );
        }
        let floor = pending_clients.refusals(Refusals::floor);
        let newest = journal.barrier().sequence;
        for ((record, replica), said) in found.refusals {
            let sequence = Sequence::new(record);
            let refusal = Refusal::new(said.status, &said.words);
            let known = replicas.iter().find(|known| known.stats.name == replica);
            if let Some(replica) = known.filter(|known| known.follows())
                && (floor.next()..=newest).contains(&sequence)
            {
                pending_clients.change_refusals(|refusals| {
                    refusals.restore(replica.index, sequence, &refusal);
                });
            }
        }
        let work = Work {
            records: Records::new(journal.clone()),
            not_before: None,
            waiting: BTreeMap::new(),
        };
        Keeper {
            pending_clients,
            journal,
            letters,
            stats,
            log: Arc::new(Mutex::new(log)),
            work: tokio::sync::Mutex::new(work),
        }
    }

    /// Keeps what dead letters are due now. One that cannot be kept is tried again by [`Keeper::tidy`].
    pub(in crate::relay) async fn keep_letters(&self) {
        if self.pending_clients.refusals(Refusals::has_due) {
            let mut work = self.work.lock().await;
            let kept = self.keep_due(&mut work).await;
            // Told already.
            drop(self.tell(&mut work, kept));
        }
    }

    /// Saves a replica's cursor.
    ///
    /// # Errors
    /// A refusal before it is not on disk, and cannot be put there now; the cursor stays where it was saved last.
    pub(in crate::relay) async fn save(
        &self,
        replica: usize,
        cursor: Cursor,
    ) -> Result<(), KeepError> {
        let sequence = cursor.sequence;
        let save = |cursor: Cursor| {
            let set = || self.journal.set_cursor(cursor);
            self.pending_clients.save(replica, sequence, set)
        };
        match save(cursor.clone()) {
            Err(Unsaved::Refusal(_)) => {}
            done => return Ok(done?),
        }
        let mut work = self.work.lock().await;
        if work.is_paused() {
            return Err(KeepError::Failed);
        }
        // A dead letter that cannot be written holds up those cursors only that must not pass it.
        let kept = self.keep_due(&mut work).await;
        let unnoted = |refusals: &Refusals| refusals.unnoted(replica, sequence);
        let written = self.write(self.pending_clients.refusals(unnoted)).await;
        match &written {
            Ok(()) => work.waiting.remove(&replica),
            Err(_) => work.waiting.insert(replica, sequence),
        };
        let done = self.tell(&mut work, kept.and(written));
        save(cursor).map_err(|unsaved| done.err().unwrap_or(KeepError::Unsaved(unsaved)))
    }

    /// Does what is left to do, now and then: forgets what every replica has passed, and tries again what failed.
    pub(in crate::relay) async fn tidy(&self) {
        let mut work = self.work.lock().await;
        let tidied = self.try_to_tidy(&mut work).await;
        // Told already.
        drop(self.tell(&mut work, tidied));
    }

    async fn try_to_tidy(&self, work: &mut Work) -> Result<(), KeepError> {
        self.show();
        self.keep_due(work).await?;
        for (replica, sequence) in &work.waiting {
            let unnoted = self
                .pending_clients
                .refusals(|refusals| refusals.unnoted(*replica, *sequence));
            self.write(unnoted).await?;
        }
        work.waiting.clear();
        let floor = self.pending_clients.refusals(Refusals::floor);
        if self
            .pending_clients
            .refusals(Refusals::first)
            .is_some_and(|first| first <= floor)
        {
            self.journal.sync_cursors().await?;
            self.pending_clients
                .change_refusals(|refusals| refusals.forget(floor));
        }
        self.show();
        let retracted = self.pending_clients.refusals(Refusals::retractions);
        if self.pending_clients.refusals(Refusals::len) > 0 {
            return self.write(retracted).await;
        }
        let log = Arc::clone(&self.log);
        let pending_clients = Arc::clone(&self.pending_clients);
        blocking(move || {
            let mut log = log.lock();
            if !log.is_empty() && pending_clients.refusals(Refusals::len) == 0 {
                log.clear();
                pending_clients.change_refusals(|refusals| refusals.noted(&retracted));
            }
            Ok(())
        })
        .await
    }

    fn show(&self) {
        let remembered = self.pending_clients.refusals(Refusals::len);
        self.stats.pending_refusals.set(remembered as u64);
    }

    async fn keep_due(&self, work: &mut Work) -> Result<(), KeepError> {
        if work.is_paused() {
            return Err(KeepError::Failed);
        }
        while let Some(due) = self.pending_clients.refusals(Refusals::next_due) {
            match due {
                Due::Letter {
                    sequence,
                    replica,
                    refusal,
                } => {
                    self.keep(work, sequence, replica, refusal).await?;
                    self.pending_clients
                        .change_refusals(|refusals| refusals.kept(replica, sequence));
                }
                Due::Moot { sequence, replicas } => {
                    for replica in replicas {
                        self.letters
                            .settle(self.name(replica), sequence.get())
                            .await;
                    }
                    self.pending_clients
                        .change_refusals(|refusals| refusals.mooted(sequence));
                }
            }
        }
        Ok(())
    }

    async fn keep(
        &self,
        work: &mut Work,
        sequence: Sequence,
        replica: usize,
        refusal: Refusal,
    ) -> Result<(), KeepError> {
        let (relay, name) = (&self.stats.name, self.name(replica));
        let status = refusal.status;
        let Some(record) = work.records.find(sequence).await.map_err(KeepError::Read)? else {
            error!(
                "relay {relay}: record {sequence} was accepted by one replica and refused for good by {name} ({status}), but the journal has lost it: the replicas differ, and there is no dead letter"
            );
            return Ok(());
        };
        let letter = DeadLetter {
            replica: name.to_owned(),
            sequence: sequence.get(),
            record,
            status,
            reason: refusal.words().to_owned(),
            time: SystemTime::now(),
        };
        self.letters.keep(letter).await?;
        self.stats.dead_letters.increment();
        error!(
            "relay {relay}: record {sequence} was accepted by one replica and refused for good by {name} ({status}): the replicas differ"
        );
        Ok(())
    }

    /// Writes to the log of refusals.
    async fn write(&self, entries: Vec<Entry>) -> Result<(), KeepError> {
        if entries.is_empty() {
            return Ok(());
        }
        let (log, pending_clients, stats) = (
            Arc::clone(&self.log),
            Arc::clone(&self.pending_clients),
            Arc::clone(&self.stats),
        );
        blocking(move || {
            let mut log = log.lock();
            if !log.wants_rewrite(pending_clients.refusals(Refusals::len)) {
                let lines = entries
                    .iter()
                    .map(|entry| line(&stats, entry))
                    .collect::<Vec<_>>();
                match log.append(&lines) {
                    Ok(()) => {
                        pending_clients.change_refusals(|refusals| refusals.noted(&entries));
                        return Ok(());
                    }
                    Err(error) if !log.wants_rewrite(pending_clients.refusals(Refusals::len)) => {
                        return Err(KeepError::Log(error));
                    }
                    Err(_) => {}
                }
            }
            rewrite(&mut log, &pending_clients, &stats).map_err(KeepError::Log)
        })
        .await
    }

    /// Says that refusals cannot be written, or can again.
    fn tell(&self, work: &mut Work, result: Result<(), KeepError>) -> Result<(), KeepError> {
        let relay = &self.stats.name;
        let was_ill = self.stats.unwritten_refusals.get() > 0;
        match &result {
            Err(KeepError::Failed) => {}
            Err(error) => {
                work.not_before = Some(Instant::now() + PAUSE);
                self.stats.unwritten_refusals.set(1);
                if !was_ill {
                    error!(
                        "relay {relay}: what a replica refused cannot be put on disk, so the replicas' places are not saved: {error}"
                    );
                }
            }
            Ok(()) => {
                work.not_before = None;
                if !work.waiting.is_empty() {
                    return result;
                }
                self.stats.unwritten_refusals.set(0);
                if was_ill {
                    info!("relay {relay}: what replicas refused is on disk");
                }
            }
        }
        result
    }

    fn name(&self, replica: usize) -> &str {
        name(&self.stats, replica)
    }
}

impl Work {
    fn is_paused(&self) -> bool {
        let paused = |moment| moment > Instant::now();
        self.not_before.is_some_and(paused)
    }
}

/// Writes the log anew, of everything that counts.
fn rewrite(
    log: &mut PendingLog,
    pending_clients: &PendingClients,
    stats: &RelayStats,
) -> std::io::Result<()> {
    let mut after = Some(Sequence::ZERO);
    let mut written = Vec::new();
    let pieces = std::iter::from_fn(|| {
        let place = after?;
        let (entries, last) =
            pending_clients.refusals(|refusals| refusals.entries_after(place, COPIED));
        after = last;
        last?;
        let lines = entries.iter().map(|entry| line(stats, entry)).collect();
        written.push(entries);
        Some(lines)
    });
    let retracted = pending_clients.refusals(Refusals::retractions);
    log.rewrite(pieces)?;
    pending_clients.change_refusals(|refusals| refusals.noted(&retracted));
    for entries in written {
        pending_clients.change_refusals(|refusals| refusals.noted(&entries));
    }
    Ok(())
}

fn line(stats: &RelayStats, entry: &Entry) -> Line {
    Line {
        record: entry.sequence.get(),
        replica: name(stats, entry.replica).to_owned(),
        said: entry.said.as_ref().map(|refusal| Said {
            status: refusal.status,
            words: refusal.words().to_owned(),
        }),
    }
}

fn name(stats: &RelayStats, replica: usize) -> &str {
    let replica = stats.replicas.get(replica);
    replica.map_or("?", |stats| stats.name.as_str())
}

async fn blocking(
    work: impl FnOnce() -> Result<(), KeepError> + Send + 'static,
) -> Result<(), KeepError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| KeepError::Stopping)?
}
