//! Random lives of a journal on a bad disk, against what must be true of any of them.
//!
//! `HAFLUX_JOURNAL_CASES` says how many lives, `HAFLUX_JOURNAL_SEED` which one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::Told;
use super::simulated::{SimulatedDisk, Tear};
use crate::journal::handle::request_save;
use crate::journal::shared::Shared;
use crate::journal::writer::{Again, Writer};
use crate::journal::{
    Cursor, Kind, Options, Position, ReadError, Reader, Record, Recovery, Sequence, Sync, Ticket,
    recovery,
};

const PLENTY: usize = 1 << 22;
const CURSORS: [&str; 3] = ["a", "b", "pin"];

/// What may happen in a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Power failures only.
    Power,
    /// And failing syncs and writes, and a full disk.
    Ill,
    /// And flipped bits in segments, and missing ones.
    Worn,
    /// And the same of cursor tables.
    Rotten,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Process,
    Power(Tear),
}

impl End {
    fn may_forget(self) -> bool {
        !matches!(self, Self::Process | Self::Power(Tear::Kept))
    }
}

type Saved = oneshot::Receiver<()>;

/// A record that was given a sequence.
#[derive(Debug)]
struct Appended {
    kind: Kind,
    payload: Bytes,
    offset: u64,
    durable: bool,
    /// Until it is told where the record is, or that nobody will tell.
    ticket: Option<Ticket>,
    /// Recovery found it, and has not made it durable yet.
    hidden: Option<Hidden>,
}

/// What may become of a record that recovery found and has not made durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// It was durable: it must come back.
    Promised,
    /// It may.
    Possible,
}

/// One journal through all its lives, and what is known of it.
struct Model {
    rng: Rng,
    /// Chooses when the process is killed; `None`: never.
    kills: Option<Rng>,
    weather: Weather,
    disk: SimulatedDisk,
    options: Options,
    writer: Writer,
    told: Arc<Told>,
    now: Instant,
    appended: BTreeMap<Sequence, Appended>,
    /// Every value that each cursor was ever set to.
    ever_set: BTreeMap<String, BTreeSet<Sequence>>,
    /// What the cursors were when the last confirmed save was asked for, and each change since.
    confirmed: BTreeMap<String, Sequence>,
    changes: BTreeMap<String, Vec<(u64, Option<Sequence>)>>,
    saves: Vec<(Saved, u64, BTreeMap<String, Sequence>)>,
    /// Counts changes of cursors.
    ticks: u64,
    /// Up to here nobody needs the records.
    trimmed: Sequence,
    /// Records up to here may have been released.
    released: Sequence,
    /// Sequences that were told lost.
    lost: BTreeSet<Sequence>,
    /// Up to here the journal said that it is synced.
    synced: Sequence,
    /// What a saved table proves to have been synced.
    proven: Sequence,
    lives: u32,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Model")
            .field("weather", &self.weather)
            .field("sync", &self.options.sync)
            .field("life", &self.lives)
            .field("released", &self.released)
            .field("segments", &*self.shared().segments.lock())
            .field("status", &*self.shared().status.lock())
            .finish_non_exhaustive()
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weather = [
            Weather::Power,
            Weather::Power,
            Weather::Ill,
            Weather::Ill,
            Weather::Worn,
            Weather::Rotten,
        ][rng.usize(0..6)];
        let options = Options {
            sync: [
                Sync::Always,
                Sync::Always,
                Sync::Always,
                Sync::Interval(Duration::from_millis(20)),
                Sync::Never,
            ][rng.usize(0..5)],
            segment_size: 4096 * rng.u64(1..=3),
            cache_size: rng.usize(0..3000),
            max_record: rng.usize(100..2500),
            max_queued: rng.usize(1000..10_000),
            cursor_interval: Duration::from_millis(rng.u64(1..50)),
            spare_segments: rng.usize(0..4),
            close_timeout: Duration::from_millis(100),
        };
        let disk = SimulatedDisk::new(rng.u64(..), PLENTY);
        let now = Instant::now();
        let opened = recovery::open(Arc::new(disk.clone()), options.clone(), now);
        let (writer, recovery) = opened.unwrap();
        assert_eq!(
            (recovery.head.sequence, recovery.next),
            (Sequence::ZERO, Sequence::new(1))
        );
        Self {
            kills: Some(Rng::with_seed(!seed)),
            rng,
            weather,
            disk,
            options,
            told: Told::observe(writer.shared()),
            writer,
            now,
            appended: BTreeMap::new(),
            ever_set: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            changes: BTreeMap::new(),
            saves: Vec::new(),
            ticks: 0,
            trimmed: Sequence::ZERO,
            released: Sequence::ZERO,
            lost: BTreeSet::new(),
            synced: Sequence::ZERO,
            proven: Sequence::ZERO,
            lives: 1,
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.writer.shared()
    }

    fn run(&mut self) {
        for _ in 0..self.rng.u32(5..80) {
            match self.rng.u8(0..100) {
                0..=39 => self.append(),
                40..=64 => self.step(),
                65..=74 => self.set_cursor(),
                75..=77 => self.remove_cursor(),
                78..=80 => self.request_save(),
                81..=88 => self.read(),
                89..=92 => self.disturb(),
                93 => self.close(),
                _ => self.crash(),
            }
            if self
                .kills
                .as_mut()
                .is_some_and(|kills| kills.u8(0..20) == 0)
            {
                self.kill();
            }
        }
        // Whatever it was, it passes, and nothing admitted is left behind.
        self.disk.set_failures(0, 0);
        self.disk.set_capacity(PLENTY);
        self.disk.set_away(false);
        if !self.disk.is_off() {
            for _ in 0..40 {
                self.now += Duration::from_millis(500);
                self.step();
            }
            if !self.disk.is_off() {
                let admission = self.shared().admission.lock();
                assert!(admission.room, "it heals");
                assert_eq!(
                    (admission.queue.len(), admission.waiting_bytes),
                    (0, 0),
                    "all is durable in the end"
                );
            }
        }
        self.crash();
        self.read_all();
    }

    fn append(&mut self) {
        for _ in 0..self.rng.u32(1..8) {
            let length = match self.rng.u8(0..4) {
                0 => self.rng.usize(0..=self.options.max_record),
                _ => self.rng.usize(0..100.min(self.options.max_record)),
            };
            let payload: Bytes = std::iter::repeat_with(|| self.rng.u8(..))
                .take(length)
                .collect();
            let kind = Kind(self.rng.u8(..));
            let checksum = crc32c::crc32c(&payload);
            let shared = Arc::clone(self.shared());
            let mut admission = shared.admission.lock();
            let admitted = admission.admit(&shared.options, kind, 7, payload.clone(), checksum);
            let Position { sequence, offset } = admission.head;
            drop(admission);
            if let Ok(ticket) = admitted {
                let appended = Appended {
                    kind,
                    payload,
                    offset,
                    durable: false,
                    ticket: Some(ticket),
                    hidden: None,
                };
                let before = self.appended.insert(sequence, appended);
                let excused = self.weather == Weather::Rotten;
                assert!(
                    before.is_none() || excused,
                    "sequence {sequence} was used twice"
                );
            }
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(0..30));
        // Nobody needs what all cursors have passed.
        let passed = self.cursors().into_values().min();
        let mut admission = self.shared().admission.lock();
        admission.trimmed = admission.trimmed.max(passed.unwrap_or_default());
        let trimmed = admission.trimmed;
        drop(admission);
        self.trimmed = self.trimmed.max(trimmed);
        let again = self.writer.step(self.now);
        assert_ne!(again, Again::Ended);
        self.note();
    }

    /// Notes what became durable and what was saved.
    fn note(&mut self) {
        for (ticket, position) in self.told.take() {
            let appended = self.appended.get_mut(&position.sequence);
            let appended = appended.expect("a record that was never appended");
            assert_eq!(appended.ticket.take(), Some(ticket), "{position:?}");
            assert_eq!(appended.offset, position.offset);
            appended.durable = true;
        }
        if self.told.is_closed() {
            let appended = self.appended.values_mut();
            appended.for_each(|appended| appended.ticket = None);
        }
        self.reveal();
        let mut waiting = Vec::new();
        // A table that was saved in this step says so much, for nothing is synced after it.
        let synced = self.shared().segments.lock().synced();
        self.synced = self.synced.max(synced);
        for (mut saved, asked, cursors) in std::mem::take(&mut self.saves) {
            match saved.try_recv() {
                Ok(()) => {
                    // Each change up to the confirmed one is settled.
                    for changes in self.changes.values_mut() {
                        changes.retain(|(tick, _)| *tick > asked);
                    }
                    self.confirmed = cursors;
                    self.proven = self.proven.max(synced);
                }
                Err(TryRecvError::Empty) => waiting.push((saved, asked, cursors)),
                Err(TryRecvError::Closed) => {}
            }
        }
        self.saves = waiting;
        self.note_released();
    }

    /// Reads what recovery had not made durable, once it is.
    fn reveal(&mut self) {
        let hidden = |(sequence, appended): (&Sequence, &Appended)| {
            appended.hidden.is_some().then_some(*sequence)
        };
        let durable = self.shared().durable.borrow().sequence;
        let (first, last) = {
            let mut hidden = self.appended.iter().filter_map(hidden);
            let Some(first) = hidden.next() else { return };
            (first, hidden.next_back().unwrap_or(first))
        };
        if durable < last || self.disk.is_off() {
            return;
        }
        let mut reader = Reader::new(Arc::clone(self.shared()), first.previous());
        let found = self.collect(&mut reader, false);
        for (sequence, appended) in self.appended.range_mut(first..=last) {
            let is_there = found.contains_key(sequence);
            assert!(
                is_there || appended.hidden != Some(Hidden::Promised),
                "record {sequence} was durable and does not come back"
            );
            if appended.hidden.take().is_some() {
                appended.durable = is_there;
            }
        }
    }

    fn note_released(&mut self) {
        let (oldest, synced) = {
            let segments = self.shared().segments.lock();
            (segments.oldest(), segments.synced())
        };
        let released = oldest.map_or(synced, |oldest| oldest.previous_last);
        let is_let_go = released <= self.trimmed || released <= self.released;
        assert!(
            is_let_go || oldest.is_none() || self.decays(),
            "{released} is released, {} was let go: {self:?}",
            self.trimmed
        );
        self.released = self.released.max(released);
    }

    fn cursors(&self) -> BTreeMap<String, Sequence> {
        let admission = self.shared().admission.lock();
        admission
            .cursors
            .values()
            .map(|cursor| (cursor.name.clone(), cursor.sequence))
            .collect()
    }

    fn set_cursor(&mut self) {
        let name = CURSORS[self.rng.usize(0..CURSORS.len())];
        let durable = self.shared().durable.borrow().sequence;
        let lowest = self.cursors().get(name).copied().unwrap_or(self.released);
        // Back a little sometimes, but never to what may be released.
        let back = if self.rng.u8(0..5) == 0 {
            self.rng.u64(0..10)
        } else {
            0
        };
        let floor = self
            .cursors()
            .values()
            .min()
            .copied()
            .unwrap_or(self.released)
            .max(self.released);
        let low = lowest.get().saturating_sub(back).max(floor.get());
        let low = Sequence::new(low);
        let records = self.appended.range(low.min(durable)..=durable);
        let choice: Vec<Sequence> = records
            .filter(|(_, appended)| appended.durable)
            .map(|(sequence, _)| *sequence)
            .filter(|sequence| *sequence >= low)
            .collect();
        let sequence = self.rng.choice(choice).unwrap_or(low);
        let note = Bytes::from(sequence.get().to_string());
        let record = self.appended.get(&sequence);
        let offset = record.map_or(0, |record| record.offset);
        {
            let mut admission = self.shared().admission.lock();
            admission.cursors.insert(
                name.into(),
                Cursor {
                    name: name.into(),
                    sequence,
                    offset,
                    metadata: note,
                },
            );
            admission.cursors_version += 1;
        }
        self.ever_set
            .entry(name.into())
            .or_default()
            .insert(sequence);
        self.ticks += 1;
        self.changes
            .entry(name.into())
            .or_default()
            .push((self.ticks, Some(sequence)));
    }

    fn remove_cursor(&mut self) {
        let name = CURSORS[self.rng.usize(0..CURSORS.len())];
        {
            let mut admission = self.shared().admission.lock();
            admission.cursors.remove(name);
            admission.cursors_version += 1;
        }
        self.ticks += 1;
        self.changes
            .entry(name.into())
            .or_default()
            .push((self.ticks, None));
    }

    fn request_save(&mut self) {
        let saved = request_save(&mut self.shared().admission.lock());
        let cursors = self.cursors();
        self.saves.push((saved.unwrap(), self.ticks, cursors));
    }

    fn disturb(&mut self) {
        if self.weather == Weather::Power {
            return self.disk.cut_power_after(self.rng.u32(0..12));
        }
        match self.rng.u8(0..6) {
            0 => self.disk.set_failures(self.rng.u32(1..4), 0),
            1 => self.disk.set_failures(0, self.rng.u32(1..4)),
            2 => self.disk.set_failures(0, 0),
            3 => self
                .disk
                .set_capacity(self.disk.used() + self.rng.usize(0..20_000)),
            4 => self.disk.set_capacity(PLENTY),
            _ => self.disk.cut_power_after(self.rng.u32(0..12)),
        }
    }

    fn close(&mut self) {
        self.shared().admission.lock().phase = crate::journal::shared::Phase::Closing;
        while self.writer.step(self.now) != Again::Ended {
            self.now += Duration::from_millis(10);
            self.note();
        }
        self.note();
        assert!(self.told.is_closed());
        self.reopen(Tear::Kept);
    }

    fn crash(&mut self) {
        let tear = [
            Tear::Lost,
            Tear::Kept,
            Tear::Prefix,
            Tear::Sectors,
            Tear::Garbage,
        ][self.rng.usize(0..5)];
        self.reopen(tear);
    }

    /// The process dies; the machine, its memory of files and its ills stay.
    fn kill(&mut self) {
        if self.disk.is_off() {
            return self.crash();
        }
        let forgets = self.kills.as_mut().is_some_and(|kills| kills.bool());
        self.disk.kill(forgets);
        match recovery::open(Arc::new(self.disk.clone()), self.options.clone(), self.now) {
            Ok((writer, recovery)) => self.begin_life(writer, &recovery, End::Process),
            Err(_) if self.disk.is_off() => self.crash(),
            Err(error) => panic!("{error}"),
        }
    }

    fn begin_life(&mut self, writer: Writer, recovery: &Recovery, end: End) {
        // Dropping the old life must not disturb the lock of the new one.
        std::mem::forget(std::mem::replace(&mut self.writer, writer));
        self.told = Told::observe(self.shared());
        self.check_recovery(recovery, end);
    }

    fn reopen(&mut self, mut tear: Tear) {
        loop {
            self.disk.restart(tear);
            if self.decays() && self.rng.bool() {
                self.rot();
            }
            // The power may fail while it recovers, too.
            if self.rng.u8(0..4) == 0 {
                self.disk.cut_power_after(self.rng.u32(0..6));
            }
            match recovery::open(Arc::new(self.disk.clone()), self.options.clone(), self.now) {
                Ok((writer, recovery)) => {
                    return self.begin_life(writer, &recovery, End::Power(tear));
                }
                Err(_) if self.disk.is_off() => tear = Tear::Lost,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn decays(&self) -> bool {
        matches!(self.weather, Weather::Worn | Weather::Rotten)
    }

    /// Damages something on the platter.
    fn rot(&mut self) {
        let mut names = self.disk.names();
        names.retain(|name| self.weather == Weather::Rotten || name.ends_with(".segment"));
        let Some(name) = self.rng.choice(&names).cloned() else {
            return;
        };
        if self.rng.u8(0..8) == 0 {
            return self.disk.delete(&name);
        }
        for _ in 0..self.rng.u32(1..4) {
            let (size, bits) = (self.disk.size_of(&name), self.rng.u8(1..));
            let at = if self.rng.bool() {
                self.rng.usize(0..size)
            } else {
                self.rng.usize(0..size.min(700))
            };
            self.disk.flip(&name, at, bits);
        }
    }

    fn check_recovery(&mut self, recovery: &Recovery, end: End) {
        self.lives += 1;
        self.note_released();
        self.saves.clear();
        self.appended
            .values_mut()
            .for_each(|appended| appended.ticket = None);
        if self
            .appended
            .keys()
            .next_back()
            .is_some_and(|highest| recovery.next <= *highest)
        {
            assert_eq!(
                self.weather,
                Weather::Rotten,
                "next {} is not above what was handed out",
                recovery.next
            );
        }
        assert!(recovery.next > recovery.head.sequence);
        for cursor in &recovery.cursors {
            assert!(recovery.next > cursor.sequence);
            assert!(
                self.ever_set[&cursor.name].contains(&cursor.sequence),
                "{cursor:?} was never set"
            );
            assert_eq!(
                cursor.metadata,
                cursor.sequence.get().to_string(),
                "cursor and note are saved as one"
            );
        }
        // Short of `Always`, what a failed sync or a power failure takes is lost.
        let acknowledged_before_sync = self.options.sync != Sync::Always
            && (end.may_forget() || self.weather != Weather::Power);
        let (synced, rotten) = (self.synced, self.weather == Weather::Rotten);
        let loses = |sequence| rotten || (acknowledged_before_sync && sequence > synced);
        if !self.decays() {
            assert_eq!(
                recovery.gaps,
                vec![],
                "nothing that was synced is lost: {:?} {recovery:?}",
                (&self, end)
            );
            assert_eq!(recovery.cursors_beyond_head, vec![]);
        }
        if self.weather != Weather::Rotten {
            for name in CURSORS {
                let found = recovery
                    .cursors
                    .iter()
                    .find(|cursor| cursor.name == name)
                    .map(|cursor| cursor.sequence);
                let confirmed = self.confirmed.get(name).copied();
                let changes = self.changes.entry(name.into()).or_default();
                assert!(
                    found == confirmed || changes.iter().any(|(_, change)| *change == found),
                    "{name}: {found:?}, not {confirmed:?} or {changes:?}"
                );
            }
        }
        let recovered: BTreeMap<String, Sequence> = recovery
            .cursors
            .iter()
            .map(|cursor| (cursor.name.clone(), cursor.sequence))
            .collect();
        if end != End::Process || self.shared().admission.lock().floor_saved {
            self.changes.clear();
            self.confirmed = recovered;
        } else {
            // Read from memory, and the first save has failed: the platter may hold others.
            self.ticks += 1;
            for name in CURSORS {
                let change = (self.ticks, recovered.get(name).copied());
                self.changes.entry(name.into()).or_default().push(change);
            }
        }
        for gap in &recovery.gaps {
            self.lose(gap.after.next(), gap.before.previous());
        }
        for (sequence, appended) in self.appended.range_mut(recovery.head.sequence.next()..) {
            let unproven = self.weather == Weather::Worn && *sequence > self.proven;
            let loses = loses(*sequence) || unproven || self.lost.contains(sequence);
            appended.hidden = None;
            let was_durable = std::mem::take(&mut appended.durable);
            assert!(
                !was_durable || loses,
                "record {sequence} was durable and is above the head"
            );
        }
        let durable = self.shared().durable.borrow().sequence;
        assert!(rotten || durable >= self.proven, "{durable}: {self:?}");
        assert!(
            durable >= recovery.head.sequence
                || self.weather != Weather::Power
                || self.disk.is_off(),
            "what was found is made durable: {durable}, {recovery:?}"
        );
        let hidden = durable.next()..recovery.head.sequence.next();
        // What is not there now was never durable and will never be.
        let mut reader = Reader::new(Arc::clone(self.shared()), Sequence::ZERO);
        let found = self.collect(&mut reader, false);
        for (sequence, appended) in &self.appended {
            let missing = appended.durable
                && !found.contains_key(sequence)
                && *sequence > self.released
                && !hidden.contains(sequence);
            let unproven = self.weather == Weather::Worn && *sequence > self.proven;
            let excused = loses(*sequence) || unproven || self.lost.contains(sequence);
            assert!(
                !missing || excused,
                "record {sequence} was durable and is gone: {self:?}"
            );
        }
        let (worn, proven) = (self.weather == Weather::Worn, self.proven);
        for (sequence, appended) in &mut self.appended {
            let was_durable = std::mem::take(&mut appended.durable);
            appended.durable = found.contains_key(sequence);
            appended.hidden = hidden.contains(sequence).then(|| {
                let excused = loses(*sequence)
                    || (worn && *sequence > proven)
                    || self.lost.contains(sequence);
                match was_durable && !excused {
                    true => Hidden::Promised,
                    false => Hidden::Possible,
                }
            });
        }
        // Recovery serves nothing that is not synced.
        self.synced = self.synced.max(durable);
    }

    fn lose(&mut self, from: Sequence, to: Sequence) {
        for (sequence, _) in self.appended.range(from..=to) {
            self.lost.insert(*sequence);
        }
    }

    fn read(&mut self) {
        if self.disk.is_off() {
            return;
        }
        let durable = self.shared().durable.borrow().sequence;
        let low = self.released.get();
        let after = Sequence::new(if low >= durable.get() {
            low
        } else {
            self.rng.u64(low..=durable.get())
        });
        let cached = self.rng.bool();
        let mut reader = Reader::new(Arc::clone(self.shared()), after);
        let found = self.collect(&mut reader, cached);
        for (sequence, appended) in self.appended.range(after.next()..) {
            let is_lost = self.lost.contains(sequence) || *sequence <= self.released;
            // Unsynced records may be away from the files between a failure and the next attempt.
            let excused = is_lost || self.options.sync != Sync::Always;
            assert!(
                !appended.durable || excused || found.contains_key(sequence),
                "durable record {sequence} is not read: {self:?}"
            );
        }
    }

    fn read_all(&mut self) {
        let mut reader = Reader::new(Arc::clone(self.shared()), Sequence::ZERO);
        self.collect(&mut reader, true);
    }

    /// Reads to the end; checks each record.
    fn collect(&mut self, reader: &mut Reader, cached: bool) -> BTreeMap<Sequence, Record> {
        let mut found: BTreeMap<Sequence, Record> = BTreeMap::new();
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 100_000, "reading does not end");
            let max_bytes = self.rng.usize(0..5000);
            match reader.read_blocking(max_bytes, cached) {
                Ok(records) if records.is_empty() => return found,
                Ok(records) => {
                    for record in records {
                        let appended = &self
                            .appended
                            .get(&record.sequence)
                            .expect("a record that was never appended");
                        assert_eq!(
                            (record.kind, &record.payload),
                            (appended.kind, &appended.payload)
                        );
                        assert_eq!(record.unix_nanos, 7);
                        let last = found.last_key_value();
                        assert!(
                            last.is_none_or(|(last, _)| *last < record.sequence),
                            "order"
                        );
                        // What was cut may come back when the header that vouched for the cut is damaged later.
                        let excused = self.decays();
                        assert!(
                            excused || last.is_none_or(|(_, last)| last.offset < record.offset),
                            "offsets"
                        );
                        found.insert(record.sequence, record);
                    }
                }
                Err(ReadError::Gap { from, to }) => {
                    let known = to <= self.released;
                    assert!(known || self.decays(), "gap {from} to {to}: {self:?}");
                    if !known {
                        self.lose(from, to);
                    }
                }
                Err(ReadError::Io(error)) => {
                    assert!(self.disk.is_off(), "{error}");
                    return self
                        .appended
                        .iter()
                        .filter(|(_, appended)| appended.durable)
                        .map(|(sequence, appended)| {
                            let payload = appended.payload.clone();
                            (
                                *sequence,
                                Record {
                                    sequence: *sequence,
                                    kind: appended.kind,
                                    unix_nanos: 7,
                                    offset: 0,
                                    payload,
                                },
                            )
                        })
                        .collect();
                }
            }
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Lives that went wrong once.
#[test]
fn lives_that_went_wrong_go_well() {
    for seed in [
        15219355637188,
        66915181192318,
        231589586538670,
        250520719134136,
        40396733965131,
        55989807493581,
        60161839641859,
        60875598492100,
        75702010776516,
    ] {
        let mut model = Model::new(seed);
        model.kills = None;
        model.run();
    }
    // A cursor table, or its name, was in the memory of the system only.
    for seed in [31587541243545, 219938816439440] {
        Model::new(seed).run();
    }
}

#[test]
fn any_life_keeps_what_was_promised() {
    if let Some(seed) = number("HAFLUX_JOURNAL_SEED") {
        return Model::new(seed).run();
    }
    let base = fastrand::u64(..) >> 16;
    eprintln!("seeds from {base} on");
    let mut lives = 0;
    for seed in base..base + number("HAFLUX_JOURNAL_CASES").unwrap_or(1000) {
        let outcome = std::panic::catch_unwind(move || {
            let mut model = Model::new(seed);
            model.run();
            model.lives
        });
        match outcome {
            Ok(more) => lives += more,
            Err(panic) => {
                eprintln!("HAFLUX_JOURNAL_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(lives > number("HAFLUX_JOURNAL_CASES").unwrap_or(1000) as u32);
}
