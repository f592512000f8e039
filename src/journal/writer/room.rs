//! Room: spares, recycling, admission.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::super::disk::DiskFile;
use super::super::segment::{FileName, Segment};
use super::super::shared::Plan;
use super::{CHECK_INTERVAL, Writer};

/// A preallocated file.
#[derive(Debug)]
pub(in super::super) struct Spare {
    pub(in super::super) name: String,
    pub(in super::super) file: Arc<dyn DiskFile>,
    pub(in super::super) size: u64,
}

impl Writer {
    fn spare_name(&mut self) -> String {
        let serial = self.next_serial;
        self.next_serial += 1;
        FileName::Spare { serial }.to_string()
    }

    fn make_spare(&mut self, size: u64) -> io::Result<()> {
        let name = self.spare_name();
        let file = self.shared.disk.create(&name, size)?;
        self.spares.push(Spare { name, file, size });
        Ok(())
    }

    /// Makes a spare of at least `size` bytes the segment with this name, which bears the next serial. The name is durable
    /// before anything is written.
    pub(super) fn take_spare(&mut self, name: &str, size: u64) -> io::Result<Spare> {
        self.next_serial += 1;
        if self.spares.last().is_none_or(|spare| spare.size < size) {
            self.make_spare(size.max(self.shared.options.segment_size))?;
        }
        let mut spare = self.spares.pop().ok_or(io::ErrorKind::StorageFull)?;
        let disk = Arc::clone(&self.shared.disk);
        if let Err(error) = disk.rename(&spare.name, name) {
            if error.kind() != io::ErrorKind::NotFound {
                self.spares.push(spare);
            }
            return Err(error);
        }
        spare.name = name.to_owned();
        if let Err(error) = disk.sync_directory() {
            self.give_back(spare);
            return Err(error);
        }
        Ok(spare)
    }

    /// Makes what bears a segment's name and never was one a spare again.
    fn give_back(&mut self, mut spare: Spare) {
        let name = self.spare_name();
        match self.shared.disk.rename(&spare.name, &name) {
            Ok(()) => {
                self.leftovers
                    .push(std::mem::replace(&mut spare.name, name));
                self.spares.push(spare);
            }
            Err(error) => {
                self.failed("take a segment's name back", &error);
                self.leftovers.push(spare.name);
            }
        }
    }

    /// Releases the segments that the caller does not need and every saved cursor has passed. One stays until a
    /// later one is synced: it says where the journal is.
    pub(super) fn release(&mut self) {
        let trimmed = self.shared.admission.lock().trimmed;
        let saved = self
            .tables
            .iter()
            .flat_map(|table| &table.cursors)
            .map(|cursor| cursor.sequence)
            .min();
        let Some(passed) = saved.map(|saved| saved.min(trimmed)) else {
            return;
        };
        loop {
            let Some(oldest) = self.shared.segments.lock().witnessed_oldest() else {
                return;
            };
            if oldest.last.is_none_or(|last| last > passed) {
                return;
            }
            if let Err(error) = self.remove_leftovers() {
                self.failed("remove a failed segment", &error);
                return;
            }
            if let Err(error) = self.release_segment(&oldest) {
                if error.kind() != io::ErrorKind::NotFound {
                    self.failed("release a segment", &error);
                    return;
                }
                log::warn!(
                    "journal: segment {} was gone when it was to be released",
                    oldest.name()
                );
            }
            self.shared.segments.lock().remove(oldest.serial);
        }
    }

    /// Removes the segments that do not count, for good. That comes before any release and any save of the cursor table: what
    /// shows that they do not count is the segments around them, and that nothing proves that they were synced.
    pub(super) fn remove_leftovers(&mut self) -> io::Result<()> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        for name in &self.leftovers {
            match self.shared.disk.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.shared.disk.sync_directory()?;
        self.leftovers.clear();
        Ok(())
    }

    fn release_segment(&mut self, segment: &Segment) -> io::Result<()> {
        let disk = Arc::clone(&self.shared.disk);
        let size = self.shared.options.segment_size;
        if self.spares.len() >= self.shared.options.spare_segments || segment.bytes != size {
            return disk.remove(&segment.name());
        }
        let file = disk.open(&segment.name())?;
        let name = self.spare_name();
        disk.rename(&segment.name(), &name)?;
        self.spares.push(Spare { name, file, size });
        self.replan();
        Ok(())
    }

    /// Keeps enough spares, and says whether new records are taken.
    pub(super) fn prepare_room(&mut self, now: Instant) {
        let wanted = self.shared.options.spare_segments;
        let wanted_size = self.shared.options.segment_size;
        while self.spares.len() < wanted && self.next_allocation.is_none_or(|next| now >= next) {
            let cleared = self
                .shared
                .disk
                .verify()
                .and_then(|()| self.remove_leftovers());
            match cleared.and_then(|()| self.make_spare(wanted_size)) {
                Ok(()) => {
                    self.next_allocation = None;
                    self.replan();
                }
                Err(error) => {
                    self.failed("prepare a segment", &error);
                    self.next_allocation = Some(now + CHECK_INTERVAL);
                }
            }
        }
        if self.spares.len() >= wanted {
            self.next_allocation = None;
        }
        let short = self.next_allocation.is_some() && self.spares.len() < 2;
        let mut admission = self.shared.admission.lock();
        admission.room = admission.floor_saved && !short && self.trouble.in_a_row < 2;
    }

    /// Plans anew where admitted records go, after the active segment or the spares changed.
    pub(in super::super) fn replan(&self) {
        let left = self
            .active
            .as_ref()
            .map_or(0, |active| active.size.saturating_sub(active.position));
        let mut plan = Plan {
            left,
            spares: self.spares.len(),
        };
        let capacity = self.shared.options.capacity();
        let mut admission = self.shared.admission.lock();
        let unwritten = self.pending.iter().skip(self.written);
        let fits = unwritten
            .chain(&admission.queue)
            .all(|pending| plan.place(pending.size(), capacity));
        admission.plan = if fits { plan } else { Plan::default() };
    }
}
