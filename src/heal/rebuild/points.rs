//! Points, slice by slice, from the source to the target; a whole shard at once where it can be had as files.
//!
//! Slices go in the order of their shard groups' times, several at once. Of each, one stream is read while what came before is
//! written, so memory holds a few batches of each. A slice whose stream breaks off is read again from its beginning.
//!
//! A field has one type within a shard, and may have another in the next. So the target's shard groups are given the times of the
//! source's, whatever their policy's shard duration is by now.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use log::info;
use tokio::sync::{Mutex, mpsc};

use super::files::{Files, Lengths, Taken};
use super::finished::Finished;
use super::patience::Patience;
use super::refusals::Refusals;
use super::target_schema;
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, PointStream, Series, Slice, Written, append_lines};
use crate::heal::progress::Progress;
use crate::heal::schema::{Beginnings, Schema, ShardGroup, measurements, shards};
use crate::influx::line_protocol::split;
use crate::stats::units::{Count, Span, per_second};

/// Bytes of a batch with which it is full. It is longer where [`ROWS`] have more.
const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes of one write, but for a line that is longer. A node takes 25 MB (`max-body-size`) by default.
const MOST_BYTES: usize = 8 << 20;

/// Lines of one write: what InfluxDB advises.
const BATCH_LINES: usize = 5_000;

/// Rows of a series that become lines before it is looked whether a batch is full.
const ROWS: usize = 500;

/// Batches of a slice that are read and wait to be written.
const WAITING: usize = 2;

/// Copies points.
pub(super) struct Copier<'a> {
    pub(super) source: &'a Node,
    pub(super) target: &'a Node,
    pub(super) patience: &'a Patience<'a>,
    /// Slices at once.
    pub(super) parallel: usize,
    pub(super) progress: &'a Progress,
    pub(super) finished: Finished,
    /// Points that were sent to the target.
    pub(super) copied: AtomicU64,
    /// Points that lie beyond what their policies keep.
    pub(super) expired: AtomicU64,
    /// Points that the target does not take.
    pub(super) refusals: Refusals,
}

/// What is copied at once.
enum Work<'f, 'a> {
    Slice(Slice),
    /// All slices of a group.
    Shard(&'f Files<'f>, &'a ShardGroup, Vec<Slice>),
}

/// A shard group of which slices are to be copied.
type OpenGroup<'a> = (&'a ShardGroup, Vec<Slice>);

/// Lines that are written by one request.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    count: usize,
    /// What was read of the source for them.
    read: u64,
}

impl Batch {
    /// How many values were left out, because no line can express their names.
    fn append(&mut self, measurement: &BStr, series: &Series) -> u64 {
        self.count = self.count.saturating_add(series.rows.len());
        append_lines(&mut self.lines, measurement, series)
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_BYTES || self.count >= BATCH_LINES
    }
}

impl Copier<'_> {
    /// Copies all that the target has a place for, but for what is finished.
    pub(super) async fn all(&self) -> Result<(), WorkError> {
        let patience = self.patience;
        let target = patience.until_done(|| Schema::of(self.target)).await?;
        // Of each policy, how long the shard groups are that the target makes, in nanoseconds.
        let mut lengths = Lengths::new();
        let mut names: HashMap<&str, Vec<BString>> = HashMap::new();
        for database in &target.databases {
            let name = database.name.as_str();
            for policy in &database.policies {
                let length = target_schema::nanoseconds(&policy.shard_duration);
                lengths.insert((name, &policy.name), length);
            }
            let listed = patience.until_done(|| async {
                match measurements(self.source, name).await {
                    Err(error) if is_gone(&error) => Ok(Vec::new()),
                    listed => listed,
                }
            });
            names.insert(name, listed.await?);
        }
        let mut shards = patience.until_done(|| shards(self.source)).await?;
        // What the target has no place for was made after the pin.
        shards.retain(|group, _| {
            lengths.contains_key(&(group.database.as_str(), group.policy.as_str()))
        });
        let mut groups: Vec<&ShardGroup> = shards.keys().collect();
        groups.sort_by(|one, other| {
            let key = |group: &ShardGroup| (group.from, group.until);
            key(one).cmp(&key(other)).then_with(|| one.cmp(other))
        });
        let of_group = |group: &ShardGroup| {
            let names = names.get(group.database.as_str());
            names.map_or(&[][..], Vec::as_slice)
        };
        let beginnings = Beginnings::of(shards.keys());
        let slices_of = |group: &ShardGroup| {
            let names = of_group(group).iter();
            let slices = names.map(|measurement| Slice {
                database: group.database.clone(),
                policy: group.policy.clone(),
                measurement: measurement.clone(),
                from: group.from,
                until: beginnings.reach(group),
            });
            slices.collect::<Vec<Slice>>()
        };
        let all: usize = groups.iter().map(|group| of_group(group).len()).sum();
        self.progress.begin_pass();
        self.progress.expect(u64::try_from(all).unwrap_or(u64::MAX));
        // Of one that was begun by its points the rest is copied so.
        let untouched = shards.iter().filter_map(|(group, numbers)| {
            let [number] = numbers.as_slice() else {
                return None;
            };
            let slices = slices_of(group);
            let is_open = |slice: &Slice| !self.finished.has(slice);
            let is_untouched = !slices.is_empty() && slices.iter().all(is_open);
            is_untouched.then(|| (group.clone(), *number))
        });
        let untouched: BTreeMap<ShardGroup, u64> = untouched.collect();
        let files = Files::begin(
            self.source,
            self.target,
            &untouched,
            &mut lengths,
            patience,
            self.progress,
        )
        .await?;
        let slices = groups.into_iter().map(|group| (group, slices_of(group)));
        let began = Instant::now();
        let copied = self.groups(slices, files.as_ref(), &mut lengths).await;
        if let Some(files) = &files {
            files.tidy_all().await;
        }
        let skipped = copied?;

        if let Some(summary) = files.as_ref().and_then(Files::summary) {
            self.progress.note(summary);
        }
        let copied = self.copied.load(Ordering::Relaxed);
        if copied > 0 || files.is_none() {
            let took = began.elapsed();
            self.progress.note(format!(
                "{} points were copied in {} ({}/s).",
                Count(copied),
                Span(took),
                Count(per_second(copied, took))
            ));
        }
        let expired = self.expired.load(Ordering::Relaxed);
        if expired > 0 {
            self.progress.note(format!(
                "{expired} points were not copied, because their policies keep them no longer."
            ));
        }
        if skipped > 0 {
            let line = format!("{skipped} slices were copied by a run before.");
            info!("{line}");
            self.progress.note(line);
        }
        Ok(())
    }

    /// Copies what is not finished of these groups. Returns how many slices were finished.
    async fn groups<'a>(
        &self,
        groups: impl Iterator<Item = OpenGroup<'a>>,
        files: Option<&Files<'_>>,
        lengths: &mut Lengths<'a>,
    ) -> Result<u64, WorkError> {
        let (skipped, left) = self.in_order(groups, files, lengths).await?;
        // By their points: the target makes their shards again, one length after the other.
        self.in_order(left.into_iter(), None, lengths).await?;
        Ok(skipped)
    }

    /// The same in their order, but for those whose shards the target has no more, which are given back.
    async fn in_order<'a>(
        &self,
        groups: impl Iterator<Item = OpenGroup<'a>>,
        files: Option<&Files<'_>>,
        lengths: &mut Lengths<'a>,
    ) -> Result<(u64, Vec<OpenGroup<'a>>), WorkError> {
        let mut under_way = FuturesUnordered::new();
        let mut left = Vec::new();
        let mut skipped: u64 = 0;
        for (group, slices) in groups {
            let (finished, open): (Vec<Slice>, Vec<Slice>) = slices
                .into_iter()
                .partition(|slice| self.finished.has(slice));
            for _ in &finished {
                self.progress.slice_skipped();
                skipped += 1;
            }
            if open.is_empty() {
                continue;
            }
            let files = files.filter(|files| files.have(group));
            let length = group.until.saturating_sub(group.from);
            let made = lengths.get_mut(&(group.database.as_str(), group.policy.as_str()));
            if let Some(made) = made.filter(|made| files.is_none() && **made != Some(length)) {
                // Those of the groups before are made with the length before.
                while let Some(copied) = under_way.next().await {
                    left.extend(copied?);
                }
                target_schema::shard_duration(self.target, group, self.patience, self.progress)
                    .await?;
                *made = Some(length);
            }
            let work = match files {
                Some(files) => vec![Work::Shard(files, group, open)],
                None => open.into_iter().map(Work::Slice).collect(),
            };
            for work in work {
                if under_way.len() >= self.parallel.max(1)
                    && let Some(copied) = under_way.next().await
                {
                    left.extend(copied?);
                }
                under_way.push(self.carry_out(work));
            }
        }
        while let Some(copied) = under_way.next().await {
            left.extend(copied?);
        }
        Ok((skipped, left))
    }

    /// A group whose shard the target has no more is given back.
    async fn carry_out<'a>(&self, work: Work<'_, 'a>) -> Result<Option<OpenGroup<'a>>, WorkError> {
        let (files, group, slices) = match work {
            Work::Slice(slice) => return self.slice(slice).await.map(|()| None),
            Work::Shard(files, group, slices) => (files, group, slices),
        };
        let taken = files.copy(group).await?;
        if taken == Taken::PointsAnew {
            return Ok(Some((group, slices)));
        }
        for slice in slices {
            if taken == Taken::Files {
                self.finished.note(&slice)?;
                self.progress.slice_done();
            } else {
                self.slice(slice).await?;
            }
        }
        Ok(None)
    }

    async fn slice(&self, slice: Slice) -> Result<(), WorkError> {
        match self.patience.until_done(|| self.once(&slice)).await {
            Err(WorkError::Node(error)) if error.is_of_these_points() => {
                self.progress.note(format!(
                    "Points of {}.{} {:?} were not copied: {error}.",
                    slice.database, slice.policy, slice.measurement
                ));
                return Ok(());
            }
            copied => copied??,
        }
        self.finished.note(&slice)?;
        self.progress.slice_done();
        Ok(())
    }

    /// The outer error is the source's.
    async fn once(&self, slice: &Slice) -> Result<Result<(), WorkError>, NodeError> {
        let mut stream = match self.source.points(slice).await {
            Ok(stream) => stream,
            Err(error) if is_gone(&error) => return Ok(Ok(())),
            Err(error) => return Err(error),
        };
        let (into, from) = mpsc::channel(WAITING);
        let from = Mutex::new(from);
        // It ends the channel when it is done.
        let read = async move { self.read(&mut stream, slice, into).await };
        // Two, so that the target has work while an answer is on its way.
        let written =
            async { tokio::try_join!(self.write(slice, &from), self.write(slice, &from)) };
        tokio::pin!(read, written);
        tokio::select! {
            read = &mut read => {
                let written = written.as_mut().await;
                match read {
                    Err(error) if !is_gone(&error) => Err(error),
                    Ok(()) | Err(_) => Ok(written.map(drop)),
                }
            }
            written = &mut written => match written {
                Err(error) => Ok(Err(error)),
                // All that was read is written only after the last was read.
                Ok(_) => match read.as_mut().await {
                    Err(error) if !is_gone(&error) => Err(error),
                    Ok(()) | Err(_) => Ok(Ok(())),
                },
            },
        }
    }

    async fn read(
        &self,
        stream: &mut PointStream,
        slice: &Slice,
        into: mpsc::Sender<Batch>,
    ) -> Result<(), NodeError> {
        let mut batch = Batch::default();
        let mut paid = 0;
        while let Some(mut series) = stream.next().await? {
            batch.read += stream.bytes() - paid;
            paid = stream.bytes();
            while !series.rows.is_empty() {
                let later = match series.rows.len() > ROWS {
                    true => series.rows.split_off(ROWS),
                    false => Vec::new(),
                };
                if batch.append(slice.measurement.as_bstr(), &series) > 0 {
                    self.progress.note(format!(
                        "Points of {}.{} {:?} were left out, because no line can express their names.",
                        slice.database, slice.policy, slice.measurement
                    ));
                }
                series.rows = later;
                if batch.is_full() && !self.hand_on(&mut batch, &into).await {
                    return Ok(());
                }
            }
        }
        if batch.count > 0 {
            self.hand_on(&mut batch, &into).await;
        }
        Ok(())
    }

    /// False: nobody writes any more.
    async fn hand_on(&self, batch: &mut Batch, into: &mpsc::Sender<Batch>) -> bool {
        let batch = std::mem::take(batch);
        into.send(batch).await.is_ok()
    }

    async fn write(
        &self,
        slice: &Slice,
        from: &Mutex<mpsc::Receiver<Batch>>,
    ) -> Result<(), WorkError> {
        loop {
            let next = from.lock().await.recv().await;
            let Some(batch) = next else {
                return Ok(());
            };
            let (bytes, count) = (batch.read, batch.count);
            for lines in split(&Bytes::from(batch.lines), MOST_BYTES) {
                let write = || {
                    self.target
                        .write(&slice.database, &slice.policy, lines.clone())
                };
                match self.patience.until_done(write).await {
                    Ok(Written::All) => {}
                    Ok(Written::Expired(expired)) => {
                        self.expired.fetch_add(expired, Ordering::Relaxed);
                    }
                    Err(error) => self.refusals.note(slice, error, self.progress)?,
                }
            }
            let points = u64::try_from(count).unwrap_or(u64::MAX);
            self.copied.fetch_add(points, Ordering::Relaxed);
            self.progress.points(points, bytes);
        }
    }
}

/// Whether an error says that there is no such database or policy.
pub(super) fn is_gone(error: &NodeError) -> bool {
    let NodeError::Refused { reason, .. } = error else {
        return false;
    };
    reason.starts_with("database not found") || reason.starts_with("retention policy not found")
}
