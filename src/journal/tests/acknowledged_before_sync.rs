//! Power failures under `sync = "interval"` and `"never"`: what may be lost, and what may not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use tokio::sync::oneshot;

use super::Told;
use super::simulated::{SimulatedDisk, Tear};
use crate::journal::handle::request_save;
use crate::journal::writer::Writer;
use crate::journal::{Cursor, Kind, Options, Reader, Recovery, Sequence, Sync, recovery};

const PLENTY: usize = 1 << 24;
const LIVES: u32 = 6;

/// One journal through some lives. Everything is kept, for a cursor stays at its beginning.
struct Lives {
    rng: Rng,
    disk: SimulatedDisk,
    options: Options,
    writer: Writer,
    observed: Arc<Told>,
    now: Instant,
    /// Every sequence that was ever given.
    given: BTreeSet<Sequence>,
    /// Records that the journal holds, or will.
    held: BTreeMap<Sequence, Bytes>,
    /// When they were told committed.
    told: BTreeMap<Sequence, Instant>,
    saves: Vec<(oneshot::Receiver<()>, Sequence)>,
    /// The highest cursor whose save was confirmed.
    saved: Sequence,
    /// Acknowledged records that were lost, over all lives.
    lost: usize,
}

impl Lives {
    fn new(seed: u64, sync: Sync) -> Self {
        let mut rng = Rng::with_seed(seed);
        let disk = SimulatedDisk::new(rng.u64(..), PLENTY);
        let options = Options {
            sync,
            segment_size: 4096 * rng.u64(1..=3),
            cache_size: rng.usize(0..3000),
            max_record: 600,
            max_queued: 10_000,
            // Saves of cursors sync, too: often, or never.
            cursor_interval: Duration::from_millis([5, 1_000_000][rng.usize(0..2)]),
            spare_segments: rng.usize(0..4),
            close_timeout: Duration::from_millis(100),
        };
        let now = Instant::now();
        let opened = recovery::open(Arc::new(disk.clone()), options.clone(), now);
        let (writer, _) = opened.unwrap();
        let mut lives = Self {
            rng,
            disk,
            options,
            observed: Told::observe(writer.shared()),
            writer,
            now,
            given: BTreeSet::new(),
            held: BTreeMap::new(),
            told: BTreeMap::new(),
            saves: Vec::new(),
            saved: Sequence::ZERO,
            lost: 0,
        };
        lives.set_cursor("stays", Sequence::ZERO);
        lives
    }

    fn run(&mut self) {
        for _ in 0..LIVES {
            for _ in 0..self.rng.u32(1..60) {
                match self.rng.u8(0..20) {
                    0..=9 => self.append(),
                    10..=16 => self.step(),
                    17 => self.move_cursor(),
                    18 => self.save(),
                    _ if self.rng.u8(0..4) == 0 => self.disk.cut_power_after(self.rng.u32(0..12)),
                    _ => {}
                }
            }
            self.fail();
        }
    }

    fn append(&mut self) {
        for _ in 0..self.rng.u32(1..6) {
            let length = self.rng.usize(0..=self.options.max_record);
            let payload: Bytes = std::iter::repeat_with(|| self.rng.u8(..))
                .take(length)
                .collect();
            let checksum = crc32c::crc32c(&payload);
            let shared = Arc::clone(self.writer.shared());
            let mut admission = shared.admission.lock();
            let admitted = admission.admit(&shared.options, Kind(1), 7, payload.clone(), checksum);
            let sequence = admission.head.sequence;
            drop(admission);
            if admitted.is_ok() {
                assert!(self.given.insert(sequence), "{sequence} was given twice");
                self.held.insert(sequence, payload);
            }
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(0..15));
        self.writer.step(self.now);
        for (_, position) in self.observed.take() {
            self.told.insert(position.sequence, self.now);
        }
        let saved = &mut self.saved;
        self.saves.retain_mut(|(save, cursor)| {
            let confirmed = save.try_recv();
            if confirmed == Ok(()) {
                *saved = (*saved).max(*cursor);
            }
            confirmed.is_err()
        });
        let synced = self.synced();
        let Sync::Interval(interval) = self.options.sync else {
            return;
        };
        if self.disk.is_off() {
            return;
        }
        for (sequence, at) in self.told.range(synced.next()..) {
            assert!(
                self.now < *at + interval,
                "{sequence} is not synced after an interval"
            );
        }
    }

    /// The newest record that a sync has reached, as the journal says itself.
    fn synced(&self) -> Sequence {
        self.writer.shared().segments.lock().synced()
    }

    fn set_cursor(&mut self, name: &str, sequence: Sequence) {
        let mut admission = self.writer.shared().admission.lock();
        let cursor = Cursor {
            name: name.into(),
            sequence,
            offset: 0,
            metadata: Bytes::new(),
        };
        admission.cursors.insert(name.into(), cursor);
        admission.cursors_version += 1;
    }

    /// A replica has applied what it was given, which needs not be synced.
    fn move_cursor(&mut self) {
        let durable = self.writer.shared().durable.borrow().sequence;
        self.set_cursor("moves", durable);
    }

    fn save(&mut self) {
        let mut admission = self.writer.shared().admission.lock();
        let save = request_save(&mut admission).unwrap();
        let cursor = admission.cursors.get("moves");
        let cursor = cursor.map_or(Sequence::ZERO, |cursor| cursor.sequence);
        drop(admission);
        self.saves.push((save, cursor));
    }

    /// The power fails and comes back.
    fn fail(&mut self) {
        let synced = self.synced();
        let tears = [Tear::Lost, Tear::Prefix, Tear::Sectors, Tear::Garbage];
        let mut tear = tears[self.rng.usize(0..tears.len())];
        let recovery = loop {
            self.disk.restart(tear);
            // It may fail while the journal is recovered, too.
            if self.rng.u8(0..4) == 0 {
                self.disk.cut_power_after(self.rng.u32(0..6));
            }
            match recovery::open(Arc::new(self.disk.clone()), self.options.clone(), self.now) {
                Ok((writer, recovery)) => {
                    // Dropping the old life must not disturb the lock of the new one.
                    std::mem::forget(std::mem::replace(&mut self.writer, writer));
                    self.observed = Told::observe(self.writer.shared());
                    // It may have been lost before it was saved the first time.
                    self.set_cursor("stays", Sequence::ZERO);
                    break recovery;
                }
                Err(_) if self.disk.is_off() => tear = Tear::Lost,
                Err(error) => panic!("{error}"),
            }
        };
        self.check(&recovery, synced);
    }

    fn check(&mut self, recovery: &Recovery, synced: Sequence) {
        let head = recovery.head.sequence;
        assert!(
            head >= synced.min(self.newest_held()),
            "{synced} was synced, and the journal ends at {head}"
        );
        assert_eq!(recovery.gaps, vec![], "nothing that was synced is missing");
        assert_eq!(recovery.cursors_beyond_head, vec![]);
        let newest_given = self.given.last().copied();
        assert!(
            newest_given.is_none_or(|given| recovery.next > given),
            "{newest_given:?} would be given again"
        );
        let moved = recovery
            .cursors
            .iter()
            .find(|cursor| cursor.name == "moves");
        let moved = moved.map_or(Sequence::ZERO, |cursor| cursor.sequence);
        assert!(moved >= self.saved, "a confirmed cursor is back at {moved}");
        let lost = self.held.split_off(&head.next());
        let was_told = |sequence: &&Sequence| self.told.contains_key(*sequence);
        self.lost += lost.keys().filter(was_told).count();
        self.told.clear();
        self.saves.clear();
        if !self.disk.is_off() {
            assert_eq!(
                self.read(),
                self.held,
                "all up to the end, and nothing else"
            );
        }
    }

    fn newest_held(&self) -> Sequence {
        let newest = self.held.last_key_value();
        newest.map_or(Sequence::ZERO, |(sequence, _)| *sequence)
    }

    fn read(&self) -> BTreeMap<Sequence, Bytes> {
        let mut reader = Reader::new(Arc::clone(self.writer.shared()), Sequence::ZERO);
        let mut found = BTreeMap::new();
        loop {
            let records = reader.read_blocking(4000, false).unwrap();
            if records.is_empty() {
                return found;
            }
            found.extend(
                records
                    .into_iter()
                    .map(|record| (record.sequence, record.payload)),
            );
        }
    }
}

#[track_caller]
fn losses_are_only_what_was_not_synced(sync: Sync) {
    let base = fastrand::u64(..) >> 16;
    let mut lost = 0;
    for seed in base..base + 80 {
        let outcome = std::panic::catch_unwind(move || {
            let mut lives = Lives::new(seed, sync);
            lives.run();
            lives.lost
        });
        lost += outcome.unwrap_or_else(|panic| {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic)
        });
    }
    assert!(lost > 0, "the power never took anything: nothing was tried");
}

#[test]
fn with_an_interval_power_takes_only_the_end_that_was_not_synced() {
    losses_are_only_what_was_not_synced(Sync::Interval(Duration::from_millis(20)));
}

#[test]
fn without_syncs_power_takes_only_the_end_that_was_not_synced() {
    losses_are_only_what_was_not_synced(Sync::Never);
}

#[test]
fn with_a_sync_for_each_power_takes_nothing_acknowledged() {
    let base = fastrand::u64(..) >> 16;
    for seed in base..base + 40 {
        let mut lives = Lives::new(seed, Sync::Always);
        lives.run();
        assert_eq!(lives.lost, 0, "seed {seed}");
    }
}
