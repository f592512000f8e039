//! Shards as files, by InfluxDB's backup protocol: the fast way, where both nodes' ports for RPC can be reached.
//!
//! The target makes each shard itself, when it is written a line that it then drops, so that databases, policies and users come
//! as they do for points, and subscriptions and continuous queries not at all. The source's files then replace the shard's.
//!
//! The protocol says nothing of what became of a request. So both nodes are asked how many files and bytes the shard has
//! (`SHOW STATS`): the source when its files begin to come, and the target when it has taken them. A shard of which that cannot be
//! had is copied by its points, as is one of which something was deleted and the files still hold it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use log::{info, warn};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::obstacle::obstacle;
use super::patience::Patience;
use super::shard_tar::{END, Held, ShardTar, Step};
use super::target_schema;
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, text};
use crate::heal::progress::Progress;
use crate::heal::schema::{ShardGroup, shards};
use crate::influx::query_answer::Row;
use crate::stats::units::Count;

/// How often a shard is tried before it is copied by its points.
const TRIES: u32 = 3;

/// Between two of them: the source may be writing what it holds in memory, or what is left where something was deleted.
const PAUSE: Duration = Duration::from_secs(1);

/// So many shards in a row that could not be had: no more are tried.
const MAX_FAILURES: u32 = 3;

/// How long a target may take to drop what a copy that broke off has left, when no other follows.
const CLEARING: Duration = Duration::from_secs(10);

/// How long the shard groups are that a target makes now, in nanoseconds, by database and policy.
pub(super) type Lengths<'a> = HashMap<(&'a str, &'a str), Option<i64>>;

/// The numbers of a shard group's shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    source: u64,
    target: u64,
}

/// Copies shards.
pub(super) struct Files<'a> {
    source: &'a Node,
    target: &'a Node,
    patience: &'a Patience<'a>,
    progress: &'a Progress,
    numbers: HashMap<ShardGroup, Numbers>,
    /// The target's shards in which a copy that broke off may have left something.
    unclear: Mutex<HashSet<u64>>,
    copied: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU32,
}

/// How a shard has come, or comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Its files are there.
    Files,
    /// It has to be copied by its points.
    Points,
    /// The same, and the target has no shard for it any more.
    PointsAnew,
}

/// What became of a shard.
enum Outcome {
    Copied(Held),
    /// Something in its files is deleted.
    Deleted,
}

impl<'a> Files<'a> {
    /// Makes the target ready for these shards of the source; none if they cannot be had as files, which is said. `lengths` follows what
    /// the target is told.
    ///
    /// # Errors
    /// [`WorkError`]: a reason that would stop any copy.
    pub(super) async fn begin<'l>(
        source: &'a Node,
        target: &'a Node,
        wanted: &'l BTreeMap<ShardGroup, u64>,
        lengths: &mut Lengths<'l>,
        patience: &'a Patience<'a>,
        progress: &'a Progress,
    ) -> Result<Option<Files<'a>>, WorkError> {
        let Some((first, _)) = wanted.first_key_value() else {
            return Ok(None);
        };
        if let Some(obstacle) = obstacle(source, target, &first.database, patience).await? {
            say(
                progress,
                format!("Points are copied over HTTP: {obstacle}."),
            );
            return Ok(None);
        }
        say(
            progress,
            format!(
                "Shards are copied as files, because the ports for RPC of {} and {} can be reached.",
                source.name(),
                target.name()
            ),
        );
        let made = make(target, wanted, lengths, patience, progress).await?;
        let numbers = wanted.iter().filter_map(|(group, source)| {
            let [target] = made.get(group)?.as_slice() else {
                return None;
            };
            let numbers = Numbers {
                source: *source,
                target: *target,
            };
            Some((group.clone(), numbers))
        });
        Ok(Some(Files {
            source,
            target,
            patience,
            progress,
            numbers: numbers.collect(),
            unclear: Mutex::default(),
            copied: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        }))
    }

    /// Whether it has a shard for a group's.
    pub(super) fn have(&self, group: &ShardGroup) -> bool {
        self.numbers.contains_key(group)
    }

    /// Copies the shard of a group, if it can be had.
    ///
    /// # Errors
    /// A person has ended it, or a reason that would stop any copy.
    pub(super) async fn copy(&self, group: &ShardGroup) -> Result<Taken, WorkError> {
        let Some(numbers) = self.numbers.get(group).copied() else {
            return Ok(Taken::Points);
        };
        let mut reason = "others could not be had".to_owned();
        let mut tries = 0;
        while tries < TRIES && self.failures.load(Ordering::Relaxed) < MAX_FAILURES {
            tries += 1;
            let tried = tokio::select! {
                tried = self.once(group, numbers) => tried,
                () = self.progress.cancelled() => return Err(WorkError::Cancelled),
            };
            match tried {
                Ok(Outcome::Copied(held)) => {
                    self.failures.store(0, Ordering::Relaxed);
                    self.copied.fetch_add(1, Ordering::Relaxed);
                    self.bytes.fetch_add(held.bytes, Ordering::Relaxed);
                    return Ok(Taken::Files);
                }
                // InfluxDB compacts such files soon.
                Ok(Outcome::Deleted) => {
                    reason = "what was deleted of it is in its files still".to_owned();
                }
                Err(error) => {
                    reason = error.to_string();
                    if tries == TRIES {
                        self.failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            // One that is away is waited for.
            for node in [self.source, self.target] {
                self.patience
                    .until_done(|| node.ask("", "SHOW DATABASES"))
                    .await?;
            }
            if tries < TRIES {
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    () = self.progress.cancelled() => {}
                }
            }
        }
        say(
            self.progress,
            format!(
                "Shard {} of {}.{} is copied by its points: {reason}.",
                numbers.source, group.database, group.policy
            ),
        );
        match self.tidy(numbers.target).await {
            Ok(()) => Ok(Taken::Points),
            // It would take no point.
            Err(error) => {
                self.drop_shard(numbers.target, &error).await?;
                Ok(Taken::PointsAnew)
            }
        }
    }

    /// Lets the target forget a shard that it does not open. Some of its files may stay in the target's folder, where they are of no
    /// shard.
    async fn drop_shard(&self, shard: u64, why: &NodeError) -> Result<(), WorkError> {
        info!(
            "{} drops its shard {shard} before its points are copied: {why}",
            self.target.name()
        );
        let statement = format!("DROP SHARD {shard}");
        let mut tries = 1;
        loop {
            let dropped = self.patience.until_done(|| self.target.ask("", &statement));
            match dropped.await {
                // InfluxDB 1.6 fails on a shard that is closed, and has none of that number the next time (`tsdb/store.go`,
                // `DeleteShard`).
                Err(WorkError::Node(NodeError::Refused { .. })) if tries < TRIES => tries += 1,
                dropped => return dropped.map(drop),
            }
        }
    }

    /// How many were copied, and how many bytes, for a person; nothing if none were.
    pub(super) fn summary(&self) -> Option<String> {
        let copied = self.copied.load(Ordering::Relaxed);
        let bytes = Count(self.bytes.load(Ordering::Relaxed));
        (copied > 0).then(|| format!("{copied} shards of {bytes} bytes were copied as files."))
    }

    /// Lets the target drop what copies that broke off have left.
    pub(super) async fn tidy_all(&self) {
        let unclear: Vec<u64> = self.unclear.lock().iter().copied().collect();
        for shard in unclear {
            if let Err(error) = self.tidy(shard).await {
                // It drops them when it starts.
                warn!(
                    "{} may keep temporary files in shard {shard}: {error}",
                    self.target.name()
                );
            }
        }
    }

    async fn once(&self, group: &ShardGroup, numbers: Numbers) -> Result<Outcome, NodeError> {
        self.unclear.lock().insert(numbers.target);
        clear(self.target, numbers.target).await?;
        let mut from = self.source.back_up(numbers.source).await?;
        let source = held(self.source, numbers.source).await?;
        let mut into = self.target.restore(numbers.target).await?;
        let folder = format!("{}/{}/{}", group.database, group.policy, numbers.target);
        let mut tar = ShardTar::new(&folder);
        loop {
            let piece = from.piece().await?;
            if piece.is_empty() {
                return Err(from.unreadable("the shard's files break off"));
            }
            let taken = tar.take(piece);
            let (taken, step) = match taken {
                Ok(taken) => taken,
                Err(error) => return Err(from.unreadable(error)),
            };
            match step {
                Step::Nothing => {}
                Step::Same => into.send(piece.get(..taken).unwrap_or(piece)).await?,
                Step::Instead(bytes) => into.send(&bytes).await?,
                Step::Deleted => return Ok(Outcome::Deleted),
                Step::End => break,
            }
            from.take(taken).await;
            self.progress.points(0, taken as u64);
        }
        let sent = tar.sent();
        // One file too few, if it was writing what it held in memory when it was asked.
        if source.held != sent || source.is_writing {
            let reason = format!("it has {} of the shard, and sent {sent}", source.held);
            return Err(from.unreadable(reason));
        }
        into.send(&END).await?;
        into.finish().await?;
        let target = held(self.target, numbers.target).await?;
        if target.held != sent {
            let reason = format!("it has {} of the shard, and was sent {sent}", target.held);
            return Err(self.target.unreadable(reason));
        }
        self.unclear.lock().remove(&numbers.target);
        Ok(Outcome::Copied(sent))
    }

    /// Lets the target drop what a copy that broke off has left in a shard.
    ///
    /// # Errors
    /// [`NodeError`]: it does not do so soon, or does not open the shard any more.
    async fn tidy(&self, shard: u64) -> Result<(), NodeError> {
        if !self.unclear.lock().remove(&shard) {
            return Ok(());
        }
        // What became of it only its statistics say: a shard that is closed has none.
        let clearing = async {
            clear(self.target, shard).await?;
            held(self.target, shard).await.map(drop)
        };
        let cleared = timeout(CLEARING, clearing).await;
        cleared.unwrap_or_else(|_| {
            let reason = format!("it takes longer than {CLEARING:?} to open shard {shard}");
            Err(self.target.unreadable(reason))
        })
    }
}

fn say(progress: &Progress, line: String) {
    info!("{line}");
    progress.note(line);
}

/// Makes shard groups on the target as the source has them, and gives the numbers of its shards.
///
/// InfluxDB makes a group and its shard for a point before it looks at the point; it then drops one with a tag `time`, before it makes a
/// series of it (`tsdb/shard.go`, `validateSeriesAndFields`).
async fn make<'l>(
    target: &Node,
    wanted: &'l BTreeMap<ShardGroup, u64>,
    lengths: &mut Lengths<'l>,
    patience: &Patience<'_>,
    progress: &Progress,
) -> Result<BTreeMap<ShardGroup, Vec<u64>>, WorkError> {
    let there = patience.until_done(|| shards(target)).await?;
    for group in wanted.keys().filter(|group| !there.contains_key(group)) {
        let length = group.until.saturating_sub(group.from);
        let made = lengths.get_mut(&(group.database.as_str(), group.policy.as_str()));
        if let Some(made) = made.filter(|made| **made != Some(length)) {
            target_schema::shard_duration(target, group, patience, progress).await?;
            *made = Some(length);
        }
        let time = group.until.saturating_sub(1);
        let line = Bytes::from(format!("haflux,time=none v=1 {time}"));
        let write = || target.write(&group.database, &group.policy, line.clone());
        match patience.until_done(write).await {
            Ok(_) | Err(WorkError::Node(NodeError::Refused { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    patience.until_done(|| shards(target)).await
}

/// Lets the target open a shard again, as it is: it drops what a restore left that broke off, which would keep it from writing the shard's
/// points to the disk (`compaction in progress: … file exists`).
async fn clear(target: &Node, shard: u64) -> Result<(), NodeError> {
    let mut connection = target.restore(shard).await?;
    connection.send(&END).await?;
    connection.finish().await
}

/// What a node counts of a shard.
struct Counted {
    held: Held,
    /// It is writing what it holds in memory to a file.
    is_writing: bool,
}

async fn held(node: &Node, shard: u64) -> Result<Counted, NodeError> {
    let id = shard.to_string();
    let of_shard = |rows: Vec<Row>| rows.into_iter().find(|row| text(row, "id") == id);
    let number = |row: &Row, column: &str| {
        let found = row.iter().find(|(name, _)| name == column);
        found.and_then(|(_, value)| value.as_u64())
    };
    let files = of_shard(node.ask("", "SHOW STATS FOR 'tsm1_filestore'").await?);
    let cache = of_shard(node.ask("", "SHOW STATS FOR 'tsm1_cache'").await?);
    let counted = files.zip(cache).and_then(|(files, cache)| {
        Some(Counted {
            held: Held {
                files: number(&files, "numFiles")?,
                bytes: number(&files, "diskBytes")?,
            },
            is_writing: number(&cache, "diskBytes")? > 0,
        })
    });
    counted.ok_or_else(|| node.unreadable(format_args!("it does not count shard {shard}")))
}
