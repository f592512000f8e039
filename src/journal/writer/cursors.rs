//! Saving cursors.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::super::cursors::CursorTable;
use super::super::disk::{Disk, DiskFile};
use super::super::shared::Phase;
use super::super::{Cursor, Sequence};
use super::{Trouble, Writer};

/// What a new table file allocates; it grows by doubling.
const SMALLEST_TABLE: u64 = 64 << 10;

/// One of the two files of the cursor table.
#[derive(Debug)]
pub(in super::super) struct TableFile {
    pub(in super::super) name: &'static str,
    /// `None` until it is there.
    pub(in super::super) file: Option<Arc<dyn DiskFile>>,
    /// Bytes allocated.
    pub(in super::super) size: u64,
    /// The generation it holds; 0 if none that can be read.
    pub(in super::super) generation: u64,
    /// The cursors it holds.
    pub(in super::super) cursors: Vec<Cursor>,
    /// The version of the cursors that it holds; 0: of a life before.
    pub(in super::super) version: u64,
    /// It says that the journal was closed, in this life.
    pub(in super::super) clean: bool,
    /// What it held when it was found, if that may be in the memory of the system only.
    pub(in super::super) unproven: Option<Vec<u8>>,
}

impl Writer {
    /// The newest version of the cursors that is on disk.
    pub(super) fn newest_saved(&self) -> u64 {
        self.tables
            .iter()
            .map(|table| table.version)
            .max()
            .unwrap_or(0)
    }

    /// Saves the cursors if it is time, or somebody waits for it.
    pub(super) fn save_cursors(&mut self, now: Instant, phase: Phase) {
        let Some(wish) = self.wish(now, phase) else {
            return;
        };
        if wish.version > self.newest_saved() && !self.sync_up_to(now, &wish) {
            self.save_trouble.again(now);
            return;
        }
        match self.save(&wish) {
            Ok(()) => {
                self.save_trouble = Trouble::default();
                self.next_save = Some(now + self.shared.options.cursor_interval);
                self.tell_cursor_waiters();
            }
            Err(error) => {
                self.failed("save the cursors", &error);
                self.save_trouble.again(now);
            }
        }
    }

    /// What to save, if anything.
    fn wish(&self, now: Instant, phase: Phase) -> Option<Wish> {
        let admission = self.shared.admission.lock();
        let urgent = !admission.cursor_waiters.is_empty() || !admission.floor_saved;
        let changed = self
            .tables
            .iter()
            .any(|table| table.version < admission.cursors_version);
        let ended = phase != Phase::Open && self.pending.is_empty() && admission.queue.is_empty();
        let closes = phase != Phase::Open && !self.is_saved_clean(admission.cursors_version);
        let due = changed && self.next_save.is_none_or(|next| now >= next);
        if !(urgent || closes || due) || self.save_trouble.pauses(now) {
            return None;
        }
        Some(Wish {
            version: admission.cursors_version,
            next: admission.next,
            clean: ended,
            cursors: admission.cursors.values().cloned().collect(),
        })
    }

    /// Whether the last save of this life is on disk.
    pub(super) fn is_saved_clean(&self, version: u64) -> bool {
        self.tables
            .iter()
            .any(|table| table.clean && table.version >= version)
    }

    /// Syncs the journal up to the cursors. False: that cannot be done now.
    fn sync_up_to(&mut self, now: Instant, wish: &Wish) -> bool {
        let is_lasting = |cursor: &Cursor| self.is_lasting(cursor.sequence);
        if wish.cursors.iter().all(is_lasting) {
            return true;
        }
        if self.trouble.pauses(now) {
            return false;
        }
        match self.write(now, true) {
            Ok(()) => true,
            Err(error) => {
                self.poison(now, "sync records up to the cursors", &error);
                false
            }
        }
    }

    fn save(&mut self, wish: &Wish) -> io::Result<()> {
        self.shared.disk.verify()?;
        self.remove_leftovers()?;
        if !self.names_synced {
            // A table's file may have been made just before the life before ended.
            self.shared.disk.sync_directory()?;
            self.names_synced = true;
        }
        for table in &mut self.tables {
            table.prove()?;
        }
        let [first, second] = &self.tables;
        let (index, newest) = if first.generation <= second.generation {
            (0, second)
        } else {
            (1, first)
        };
        let saved = newest.version;
        let mut held_back = false;
        // A cursor ahead of what is synced keeps its saved place.
        let kept =
            wish.cursors
                .iter()
                .filter_map(|cursor| match self.is_lasting(cursor.sequence) {
                    true => Some(cursor.clone()),
                    false => {
                        held_back = true;
                        newest
                            .cursors
                            .iter()
                            .find(|saved| saved.name == cursor.name)
                            .cloned()
                    }
                });
        let cursors: Vec<Cursor> = kept.collect();
        self.generation += 1;
        let table = CursorTable {
            journal: self.journal,
            generation: self.generation,
            synced: self.synced,
            floor: wish.next,
            clean: wish.clean,
            cursors,
        };
        let bytes = table.encode();
        let Some(target) = self.tables.get_mut(index) else {
            return Ok(());
        };
        let file = target.ready(
            &*self.shared.disk,
            u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        )?;
        // From here on it may be torn: then it is the one to be written again.
        target.generation = 0;
        target.clean = false;
        file.write_at(&mut [IoSlice::new(&bytes)], 0)?;
        file.sync()?;
        target.generation = table.generation;
        target.cursors = table.cursors;
        target.clean = table.clean;
        target.version = if held_back && !wish.clean {
            saved
        } else {
            wish.version
        };
        let mut admission = self.shared.admission.lock();
        admission.floor_saved |= admission.next == wish.next;
        Ok(())
    }

    /// Answers those whose cursors are saved.
    fn tell_cursor_waiters(&self) {
        let saved = self.newest_saved();
        let mut admission = self.shared.admission.lock();
        let waiters = mem::take(&mut admission.cursor_waiters).into_iter();
        let (told, waiting): (Vec<_>, _) = waiters.partition(|waiter| waiter.version <= saved);
        admission.cursor_waiters = waiting;
        drop(admission);
        for waiter in told {
            // Nobody waiting any more is fine.
            let _ = waiter.tell.send(());
        }
    }
}

/// One save.
#[derive(Debug)]
struct Wish {
    version: u64,
    next: Sequence,
    /// Nothing will be appended after it.
    clean: bool,
    cursors: Vec<Cursor>,
}

impl TableFile {
    /// Makes sure that what was found is on disk, so that the other file may be overwritten. The same bytes are written once
    /// more, for a sync alone may hide an earlier failure; should the power fail meanwhile, old and new are the same.
    fn prove(&mut self) -> io::Result<()> {
        if let (Some(bytes), Some(file)) = (&self.unproven, &self.file) {
            file.write_at(&mut [IoSlice::new(bytes)], 0)?;
            file.sync()?;
        }
        self.unproven = None;
        Ok(())
    }

    /// The file, with room for this many bytes.
    fn ready(&mut self, disk: &dyn Disk, size: u64) -> io::Result<Arc<dyn DiskFile>> {
        match &self.file {
            Some(file) if size <= self.size => Ok(Arc::clone(file)),
            Some(file) => {
                let grown = size.next_power_of_two();
                file.allocate(grown)?;
                self.size = grown;
                Ok(Arc::clone(file))
            }
            None => {
                let grown = size.next_power_of_two().max(SMALLEST_TABLE);
                let file = match disk.create(self.name, grown) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        let file = disk.open(self.name)?;
                        file.allocate(grown)?;
                        file
                    }
                    created => created?,
                };
                disk.sync_directory()?;
                self.size = grown;
                self.file = Some(Arc::clone(&file));
                Ok(file)
            }
        }
    }
}
