//! How a relay starts: its journal is opened, its replicas are given their places, its tasks are made.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use log::{error, info, warn};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::budget::Budget;
use crate::config::model::{self, SyncPolicy};
use crate::dial::ServerLink;
use crate::journal::{self, DirectoryDisk, Journal, Sequence};
use crate::per_source::PerSource;
use crate::relay::dead_letters::{
    DeadLetterError, DeadLetters, FOLDER, Limits, PENDING, PendingLog,
};
use crate::relay::disk_room::watch_room;
use crate::relay::gate::Gate;
use crate::relay::intake::judge::Judge;
use crate::relay::intake::relay::Relay;
use crate::relay::record::MAX_HEADER;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::membership::{Membership, MembershipFile};
use crate::relay::replicator::turns::Turns;
use crate::relay::replicator::{Common, Pace, Replicator, SavedPlace};
use crate::relay::restore::{
    OtherNames, restore_cursors, restore_notes, restore_rebuilding, tell, tell_of_letters,
    tell_of_power,
};
use crate::relay::supervisor::supervise;
use crate::relay::trust::TrustTable;
use crate::relay::verdict::catch_up::Progress;
use crate::relay::verdict::freshness::Freshness;
use crate::relay::verdict::keeper::Keeper;
use crate::relay::verdict::pending::PendingClients;
use crate::relay::verdict::policy::Policy;
use crate::relay::verdict::refusals::Refusals;
use crate::stats::{RelayStats, ReplicaStatus};

/// The pace at which the folder of dead letters is looked at.
const RESCAN_PACE: Duration = Duration::from_secs(5);

/// The pace at which new writers are saved.
const TRUST_PACE: Duration = Duration::from_secs(2);

/// The pace at which waits that have lasted too long are ended.
const EXPIRY_PACE: Duration = Duration::from_millis(100);

/// How long the replicas may take to answer for the first time after a start, before nobody waits for them any more.
const FIRST_MEETING: Duration = Duration::from_secs(2);

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Its journal's folder cannot be used.
    #[error("relay {relay}: cannot use {folder}: {source}")]
    Folder {
        /// The relay.
        relay: String,
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its journal cannot be opened.
    #[error("relay {relay}: cannot open the journal in {folder}: {source}")]
    Journal {
        /// The relay.
        relay: String,
        /// The folder.
        folder: String,
        /// Why.
        source: journal::OpenError,
    },
    /// None of its servers has the name that its node had: nothing tells which node lacks what.
    #[error(
        "relay {relay}: the journal in {folder} does not fit the configuration: {names}. haflux knows by a server's name what its node has: give the servers their old names (an address may change). Or, if these are other nodes and hold the same data, move {folder} away; what it holds for nodes that lack it is lost then"
    )]
    OtherNames {
        /// The relay.
        relay: String,
        /// The folder.
        folder: String,
        /// Which names.
        names: OtherNames,
    },
    /// Its dead letters cannot be read.
    #[error("relay {relay}: cannot open the dead letters: {source}")]
    DeadLetters {
        /// The relay.
        relay: String,
        /// Why.
        source: DeadLetterError,
    },
}

impl Relay {
    /// Opens the relay's journal below `data_dir` and makes its replicators. The returned tasks run the relay until `stop`
    /// is true; they must be spawned where the relay's requests are served.
    ///
    /// # Errors
    /// [`RelayError`] when the journal cannot be opened.
    pub fn open(
        settings: model::Relay,
        data_dir: &Path,
        servers: Vec<ServerLink>,
        stats: Arc<RelayStats>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(Arc<Relay>, Vec<BoxFuture<'static, ()>>), RelayError> {
        let folder = data_dir.join(&settings.name);
        let failed = |source| RelayError::Folder {
            relay: settings.name.clone(),
            folder: folder.display().to_string(),
            source,
        };
        let disk = DirectoryDisk::new(&folder)
            .map_err(failed)?
            .acknowledges_before_sync(settings.sync != SyncPolicy::Always);
        let disk = Arc::new(disk);
        let opened = Journal::open(
            Arc::clone(&disk) as Arc<dyn journal::Disk>,
            options(&settings),
        );
        let (journal, recovery) = opened.map_err(|source| RelayError::Journal {
            relay: settings.name.clone(),
            folder: folder.display().to_string(),
            source,
        })?;
        tell(&settings.name, &recovery);
        stats.show_jumps(journal.jumps().into_iter().map(|(a, b)| (a.get(), b.get())));
        if disk.may_lack_records() {
            tell_of_power(&recovery, &stats);
        }
        let limits = Limits {
            letters: settings.max_dead_letters,
            bytes: settings.max_dead_letter_bytes as u64,
        };
        let dead_letters = DeadLetters::open(&folder.join(FOLDER), limits).map_err(|source| {
            RelayError::DeadLetters {
                relay: settings.name.clone(),
                source,
            }
        })?;
        dead_letters.show_in(Arc::clone(&stats.open_dead_letters));
        let membership_file = Arc::new(MembershipFile::open(&folder).map_err(failed)?);
        let configured = stats.replicas.iter().map(|replica| replica.name.clone());
        if let Some(names) =
            OtherNames::find(&journal, membership_file.names(), configured.collect())
        {
            return Err(RelayError::OtherNames {
                relay: settings.name.clone(),
                folder: folder.display().to_string(),
                names,
            });
        }
        let replicas = replicas(&settings, servers, &stats, &membership_file);
        if membership_file.was_damaged() {
            restore_rebuilding(&journal, &replicas);
        }
        let cursors = restore_cursors(&journal, &settings.name, &replicas);
        tell_of_letters(&dead_letters, &settings.name, &replicas);
        let policy = Policy {
            ack: settings.ack,
            on_unavailable: settings.on_unavailable,
        };
        let sequences = cursors.iter().map(|cursor| cursor.sequence).collect();
        let names = replicas.iter().map(|replica| replica.stats.name.clone());
        let head = journal.barrier().sequence;
        let freshness = Freshness::new(names.collect(), dead_letters.clone(), head);
        let freshness = Arc::new(freshness);
        let pending_clients = PendingClients::new(
            policy,
            settings.timeout,
            sequences,
            settings.max_pending_refusals,
            Arc::clone(&stats),
            Arc::clone(&freshness),
        );
        let places = restore_notes(&journal, &pending_clients, &replicas, cursors);
        let pending_clients = Arc::new(pending_clients);
        journal.observe(Arc::clone(&pending_clients) as Arc<dyn journal::Observer>);
        for replica in replicas.iter().filter(|replica| !replica.follows()) {
            pending_clients.change_refusals(|refusals| refusals.leave(replica.index));
            if let Membership::Rebuilding { pin, .. } = replica.membership() {
                pending_clients.change_refusals(|refusals| {
                    refusals.pin(replica.index, Some(pin.sequence));
                });
            }
        }
        let pending = folder.join(FOLDER).join(PENDING);
        let log = PendingLog::open(&pending).map_err(|source| RelayError::Folder {
            relay: settings.name.clone(),
            folder: pending.display().to_string(),
            source,
        })?;
        let keeper = Arc::new(Keeper::new(
            Arc::clone(&pending_clients),
            journal.clone(),
            dead_letters.clone(),
            Arc::clone(&stats),
            log,
            &replicas,
        ));
        let most = settings.judging.max_known;
        let trust =
            TrustTable::open(&folder, settings.trust_for, most, &settings.name).map_err(failed)?;
        let trust = Arc::new(trust);
        let parts = Parts {
            settings: &settings,
            journal: &journal,
            pending_clients: &pending_clients,
            freshness: &freshness,
            dead_letters: &dead_letters,
            keeper: &keeper,
            trust: &trust,
            disk: &disk,
            stats: &stats,
        };
        let tasks = parts.tasks(&replicas, places, stop);
        let judge = Judge::new(
            settings.judging,
            Arc::clone(&trust),
            replicas.clone(),
            Arc::clone(&freshness),
            Arc::clone(&stats),
        );
        let relay = Relay {
            inflight: Budget::new(settings.budget(), Arc::clone(&stats.inflight)),
            last_piece: Mutex::default(),
            judge,
            statements: PerSource::new(settings.max_statements, settings.max_statements_per_source),
            settings,
            journal,
            gate: Gate::new(stats.gate_waits.clone()),
            pending_clients,
            freshness,
            replicas,
            stats,
        };
        Ok((Arc::new(relay), tasks))
    }
}

fn options(settings: &model::Relay) -> journal::Options {
    journal::Options {
        sync: match settings.sync {
            SyncPolicy::Always => journal::Sync::Always,
            SyncPolicy::Interval(interval) => journal::Sync::Interval(interval),
            SyncPolicy::Never => journal::Sync::Never,
        },
        // A single line of a gzip body is one record, however long it unfolds.
        max_record: settings
            .max_body
            .max(settings.max_unpacked_body)
            .saturating_add(MAX_HEADER),
        max_queued: settings.max_inflight,
        ..journal::Options::default()
    }
}

fn replicas(
    settings: &model::Relay,
    servers: Vec<ServerLink>,
    stats: &Arc<RelayStats>,
    membership_file: &Arc<MembershipFile>,
) -> Vec<Arc<Replica>> {
    servers
        .into_iter()
        .zip(&stats.replicas)
        .enumerate()
        .map(|(index, (server, replica))| {
            Arc::new(Replica::new(
                index,
                server,
                settings.timeout,
                Arc::clone(replica),
                Arc::clone(stats),
                Arc::clone(membership_file),
            ))
        })
        .collect()
}

/// What the relay's tasks share.
struct Parts<'a> {
    settings: &'a model::Relay,
    journal: &'a Journal,
    pending_clients: &'a Arc<PendingClients>,
    freshness: &'a Arc<Freshness>,
    dead_letters: &'a DeadLetters,
    keeper: &'a Arc<Keeper>,
    trust: &'a Arc<TrustTable>,
    disk: &'a Arc<DirectoryDisk>,
    stats: &'a Arc<RelayStats>,
}

impl Parts<'_> {
    fn tasks(
        &self,
        replicas: &[Arc<Replica>],
        places: Vec<SavedPlace>,
        stop: &watch::Receiver<bool>,
    ) -> Vec<BoxFuture<'static, ()>> {
        let settings = self.settings;
        let pace = Pace {
            max_batch: settings.max_batch,
            retry_min: settings.retry_min,
            retry_max: settings.retry_max,
            max_attempts: settings.max_attempts,
            rewind: settings.rewind,
            hold: settings.hold_for,
            max_refusal_texts: settings.max_refusal_texts,
            max_backlog: settings.max_backlog as u64,
            max_backlog_age: settings.max_backlog_age,
            near: settings.near,
        };
        let turns = Turns::new(settings.statement_timeout / 2);
        let common = Common {
            journal: self.journal.clone(),
            pending_clients: Arc::clone(self.pending_clients),
            freshness: Arc::clone(self.freshness),
            dead_letters: self.dead_letters.clone(),
            keeper: Arc::clone(self.keeper),
            trust: Arc::clone(self.trust),
            turns,
            pace,
            replicas: replicas.into(),
        };
        let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
        for (replica, place) in replicas.iter().zip(places) {
            let name = format!("replica {}: its task", replica.stats.name);
            let (replica, common, stop) = (Arc::clone(replica), common.clone(), stop.clone());
            let mut place = Some(place);
            tasks.push(self.supervised(name, &stop.clone(), move || {
                let (replica, common) = (Arc::clone(&replica), common.clone());
                let replicator = match place.take() {
                    Some(place) => Replicator::new(replica, common, place),
                    None => Replicator::again(replica, common),
                };
                Box::pin(replicator.run(stop.clone()))
            }));
        }
        let (pending_clients, journal) = (Arc::clone(self.pending_clients), self.journal.clone());
        let (stats, stopped) = (Arc::clone(self.stats), stop.clone());
        tasks.push(self.supervised(self.task("of time"), stop, move || {
            let (pending_clients, journal) = (Arc::clone(&pending_clients), journal.clone());
            Box::pin(keep_time(
                pending_clients,
                journal,
                Arc::clone(&stats),
                stopped.clone(),
            ))
        }));
        let (letters, keeper) = (self.dead_letters.clone(), Arc::clone(self.keeper));
        let journal = self.journal.clone();
        let (stats, stopped) = (Arc::clone(self.stats), stop.clone());
        tasks.push(
            self.supervised(self.task("of dead letters"), stop, move || {
                Box::pin(watch_letters(
                    letters.clone(),
                    Arc::clone(&keeper),
                    journal.clone(),
                    Arc::clone(&stats),
                    stopped.clone(),
                ))
            }),
        );
        let (trust, stopped) = (Arc::clone(self.trust), stop.clone());
        let relay = settings.name.clone();
        tasks.push(self.supervised(self.task("of trust"), stop, move || {
            Box::pin(keep_trust(
                Arc::clone(&trust),
                relay.clone(),
                stopped.clone(),
            ))
        }));
        let (disk, stats) = (Arc::clone(self.disk), Arc::clone(self.stats));
        let stopped = stop.clone();
        tasks.push(self.supervised(self.task("of the disk"), stop, move || {
            Box::pin(watch_room(
                Arc::clone(&disk),
                Arc::clone(&stats),
                stopped.clone(),
            ))
        }));
        tasks
    }

    fn task(&self, what: &str) -> String {
        format!("relay {}: its task {what}", self.settings.name)
    }

    fn supervised(
        &self,
        name: String,
        stop: &watch::Receiver<bool>,
        make: impl FnMut() -> BoxFuture<'static, ()> + Send + 'static,
    ) -> BoxFuture<'static, ()> {
        Box::pin(supervise(name, stop.clone(), Arc::clone(self.stats), make))
    }
}

/// Saves the places that the start gave; then finds out which dead letters were settled from outside, whose sequences it
/// keeps out of use (rule J3), and has the keeper do what is left to do.
async fn watch_letters(
    dead_letters: DeadLetters,
    keeper: Arc<Keeper>,
    journal: Journal,
    stats: Arc<RelayStats>,
    mut stop: watch::Receiver<bool>,
) {
    // A crash in the first second would else find no places at all, and send everything again.
    if let Err(error) = journal.sync_cursors().await {
        warn!(
            "relay {}: the replicas' places could not be saved: {error}",
            stats.name
        );
    }
    let highest = Sequence::new(dead_letters.highest_sequence());
    if let Err(error) = journal.skip_past(highest).await {
        error!(
            "relay {}: sequences of dead letters may be used again: {error}",
            stats.name
        );
    }
    let mut pace = tokio::time::interval(RESCAN_PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !*stop.borrow_and_update() {
        tokio::select! {
            _ = pace.tick() => {}
            _ = stop.changed() => {}
        }
        keeper.tidy().await;
        let letters = dead_letters.clone();
        // A rescan that failed has said so.
        let _ = tokio::task::spawn_blocking(move || letters.rescan()).await;
    }
}

/// Saves who wrote lately, now and then and at the end.
async fn keep_trust(trust: Arc<TrustTable>, relay: String, mut stop: watch::Receiver<bool>) {
    let mut pace = tokio::time::interval(TRUST_PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        let left_alone = tokio::select! {
            _ = pace.tick() => false,
            changed = stop.changed() => changed.is_err(),
        };
        let ends = left_alone || *stop.borrow_and_update();
        let trust = Arc::clone(&trust);
        let saved = tokio::task::spawn_blocking(move || {
            let (now, wall) = (Instant::now(), SystemTime::now());
            match ends {
                true => trust.save_at_the_end(now, wall),
                false => trust.save(now, wall),
            }
        });
        let saved = saved.await.map_err(std::io::Error::other).flatten();
        if let Err(error) = &saved
            && well
        {
            warn!(
                "relay {relay}: who wrote lately cannot be saved, and is not known after a restart: {error}"
            );
        }
        well = saved.is_ok();
        if ends {
            return;
        }
    }
}

/// Puts how the journal is where others read it, and says when it begins or ceases to take records.
fn show_journal(stats: &RelayStats, status: journal::Status) {
    let shown = &stats.journal;
    shown.on_disk.set(status.bytes_on_disk);
    let reason = status.last_error.unwrap_or_default();
    let refuses = !status.takes_records;
    if shown.refuses.swap(refuses, Ordering::Relaxed) != refuses {
        match refuses {
            true => error!(
                "relay {}: the journal takes no writes: {reason}",
                stats.name
            ),
            false => info!("relay {}: the journal takes writes again", stats.name),
        }
    }
    if shown.errors.get() != status.errors {
        shown.errors.set(status.errors);
        let error = (SystemTime::now(), reason);
        shown.last_error.store(Some(Arc::new(error)));
    }
}

/// Ends waits that have lasted too long, that for the first answers included, says to the journal what nobody needs any more,
/// and keeps its gauges; one task for all clients of a relay.
async fn keep_time(
    pending_clients: Arc<PendingClients>,
    journal: Journal,
    stats: Arc<RelayStats>,
    mut stop: watch::Receiver<bool>,
) {
    let begun = Instant::now();
    let mut progress: Vec<Progress> = stats.replicas.iter().map(|_| Progress::default()).collect();
    let mut pace = tokio::time::interval(EXPIRY_PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !*stop.borrow_and_update() {
        tokio::select! {
            _ = pace.tick() => {}
            _ = stop.changed() => {}
        }
        if begun.elapsed() >= FIRST_MEETING {
            pending_clients.end_first_meeting();
        }
        pending_clients.expire(Instant::now());
        journal.trim(pending_clients.refusals(Refusals::passed));
        let durable = journal.durable();
        stats.show_head(durable.sequence.get(), durable.offset);
        show_journal(&stats, journal.status());
        for (replica, progress) in stats.replicas.iter().zip(&mut progress) {
            let behind = durable.offset.saturating_sub(replica.cursor_offset.get());
            let left = match replica.state.load().status {
                ReplicaStatus::Lagging => progress.look(Instant::now(), behind),
                ReplicaStatus::Fresh
                | ReplicaStatus::Down
                | ReplicaStatus::Maint
                | ReplicaStatus::Diverged => {
                    *progress = Progress::default();
                    None
                }
            };
            let left = left.map_or(0, |left| left.as_millis());
            replica
                .catch_up
                .set(u64::try_from(left).unwrap_or(u64::MAX));
        }
    }
}
