//! The writer: the only one that changes the disk.
//!
//! It is a state machine: [`Writer::step`] does what can be done now and says when to come again. A thread drives it; tests
//! drive it by hand.

mod carry;
mod cursors;
mod records;
mod room;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{DiskFile, LockGuard};
use super::shared::{Pending, Phase, Plan, Shared};
use super::{Position, Sequence, Ticket};

pub(super) use cursors::TableFile;
pub(super) use room::Spare;

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the folder is looked at, and spare room is asked for when there is none.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    file: Arc<dyn DiskFile>,
    serial: u64,
    identity: super::frame::Identity,
    first: Sequence,
    /// Where the next frame goes.
    position: u64,
    size: u64,
}

/// Failures in a row, and the pause that they call for.
#[derive(Debug, Default)]
struct Trouble {
    in_a_row: u32,
    until: Option<Instant>,
}

impl Trouble {
    fn pauses(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    fn again(&mut self, now: Instant) {
        let pause = FIRST_PAUSE
            .saturating_mul(1 << self.in_a_row.min(16))
            .min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.until = Some(now + pause);
    }
}

/// What recovery hands to the writer.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) journal: [u8; 16],
    pub(super) lock: Box<dyn LockGuard>,
    /// The newest record that the lives before are known to have synced.
    pub(super) synced: Position,
    /// Those above it.
    pub(super) unproven: VecDeque<Pending>,
    /// Segments that hold nothing but those.
    pub(super) sources: Vec<String>,
    pub(super) next_serial: u64,
    pub(super) spares: Vec<Spare>,
    pub(super) leftovers: Vec<String>,
    pub(super) tables: [TableFile; 2],
    pub(super) generation: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: [u8; 16],
    lock: Option<Box<dyn LockGuard>>,
    next_serial: u64,
    active: Option<Active>,
    spares: Vec<Spare>,
    /// Segments that do not count and are still there.
    leftovers: Vec<String>,
    /// Not synced, in order. The first `written` of them are in the active segment; the first `published` are durable by the
    /// policy.
    pending: VecDeque<Pending>,
    /// So many of the first of them are of the life before; see [`carry`].
    carried: usize,
    /// The segments that these were found in, but for one that holds others too.
    sources: Vec<String>,
    written: usize,
    published: usize,
    synced: Position,
    /// When the oldest unsynced record was written.
    unsynced_since: Option<Instant>,
    trouble: Trouble,
    checked: Option<Instant>,
    next_allocation: Option<Instant>,
    /// The names that recovery found are on disk.
    names_synced: bool,
    tables: [TableFile; 2],
    generation: u64,
    next_save: Option<Instant>,
    save_trouble: Trouble,
    close_by: Option<Instant>,
    scratch: Vec<u8>,
    /// What the observer is told.
    committed: Vec<(Ticket, Position)>,
}

/// When [`Writer::step`] is to be called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// At once.
    Now,
    /// Then, or when something happens.
    At(Instant),
    /// When something happens.
    WhenCalled,
    /// Never.
    Ended,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, start: Start) -> Self {
        shared.segments.lock().set_synced(start.synced.sequence);
        Self {
            shared,
            journal: start.journal,
            lock: Some(start.lock),
            next_serial: start.next_serial,
            active: None,
            spares: start.spares,
            leftovers: start.leftovers,
            carried: start.unproven.len(),
            pending: start.unproven,
            sources: start.sources,
            written: 0,
            published: 0,
            synced: start.synced,
            unsynced_since: None,
            trouble: Trouble::default(),
            checked: None,
            next_allocation: None,
            names_synced: false,
            tables: start.tables,
            generation: start.generation,
            next_save: None,
            save_trouble: Trouble::default(),
            close_by: None,
            scratch: Vec::new(),
            committed: Vec::new(),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Does what can be done now.
    pub(super) fn step(&mut self, now: Instant) -> Again {
        let phase = self.take(now);
        if phase == Phase::Closed {
            return Again::Ended;
        }
        if !self.trouble.pauses(now)
            && let Err(error) = self.write(now, phase != Phase::Open)
        {
            self.poison(now, "write records", &error);
        }
        self.save_cursors(now, phase);
        self.release();
        self.prepare_room(now);
        self.tell_status();
        self.again(now, phase)
    }

    /// Takes records over from the queue.
    fn take(&mut self, now: Instant) -> Phase {
        let mut admission = self.shared.admission.lock();
        admission.news = false;
        let fits = super::shared::MAX_WAITING.saturating_sub(self.pending.len());
        let count = admission.queue.len().min(fits);
        self.pending.extend(admission.queue.drain(..count));
        if admission.phase == Phase::Closing && self.close_by.is_none() {
            self.close_by = Some(now + self.shared.options.close_timeout);
        }
        admission.phase
    }

    /// Notes a failure of the disk.
    fn failed(&self, action: &str, error: &io::Error) {
        let mut status = self.shared.status.lock();
        status.errors += 1;
        status.last_error = Some(format!("cannot {action}: {error}"));
        log::warn!("journal: cannot {action}: {error}");
    }

    fn tell_status(&self) {
        let bytes = self.shared.segments.lock().bytes();
        let takes_records = self.shared.admission.lock().room;
        let mut status = self.shared.status.lock();
        status.takes_records = takes_records;
        status.bytes_on_disk = bytes + self.spares.iter().map(|spare| spare.size).sum::<u64>();
    }

    /// Whether everything that has to be on disk before the end is there.
    fn is_settled(&self, phase: Phase) -> bool {
        let admission = self.shared.admission.lock();
        let saved = self.is_saved_clean(admission.cursors_version);
        admission.queue.is_empty()
            && self.pending.is_empty()
            && (saved || phase == Phase::Abandoned)
    }

    fn again(&mut self, now: Instant, phase: Phase) -> Again {
        if phase != Phase::Open {
            let out_of_time =
                phase == Phase::Abandoned || self.close_by.is_some_and(|by| now >= by);
            if self.is_settled(phase) || out_of_time {
                self.end();
                return Again::Ended;
            }
        }
        let admission = self.shared.admission.lock();
        if !self.trouble.pauses(now)
            && (!admission.queue.is_empty() || self.written < self.pending.len())
        {
            return Again::Now;
        }
        let changed = self
            .tables
            .iter()
            .any(|table| table.version < admission.cursors_version)
            || !admission.cursor_waiters.is_empty();
        let begun = admission.floor_saved;
        drop(admission);
        let mut at = [
            self.trouble.until.filter(|_| !self.pending.is_empty()),
            self.sync_due().filter(|_| !self.trouble.pauses(now)),
            self.save_trouble
                .until
                .or(self.next_save)
                .filter(|_| changed || !begun || phase != Phase::Open),
            self.next_allocation,
            self.close_by,
        ];
        at.sort_unstable();
        match at.into_iter().flatten().next() {
            Some(at) if at <= now => Again::Now,
            Some(at) => Again::At(at),
            None => Again::WhenCalled,
        }
    }

    /// Ends: the observer is told so, the lock is given up.
    fn end(&mut self) {
        self.active = None;
        self.lock = None;
        self.pending.clear();
        let mut admission = self.shared.admission.lock();
        admission.phase = Phase::Closed;
        admission.room = false;
        admission.queue.clear();
        admission.cursor_waiters.clear();
        admission.plan = Plan::default();
        admission.waiting_bytes = 0;
        drop(admission);
        if let Some(observer) = self.shared.observer.get() {
            observer.closed();
        }
        self.shared.ended.send_replace(true);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The writer thread.
pub(super) fn run(mut writer: Writer) {
    loop {
        let until = match writer.step(Instant::now()) {
            Again::Ended => return,
            Again::Now => continue,
            Again::At(at) => Some(at),
            Again::WhenCalled => None,
        };
        let shared = Arc::clone(&writer.shared);
        let mut admission = shared.admission.lock();
        while !admission.news {
            admission.asleep = true;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    shared.wake.wait_for(&mut admission, left);
                }
                None => shared.wake.wait(&mut admission),
            }
        }
        admission.asleep = false;
    }
}
