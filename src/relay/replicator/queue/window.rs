//! What a replicator has read of the journal and not settled: bounded in bytes.
//!
//! A record that is larger than a joined request, a single long line, would fill the window alone, and the other lanes' records
//! behind it would wait until the node is done with it. So such records are counted by themselves, and while there is one the
//! journal is read up to the next one, which stays on disk.

use crate::relay::record::MAX_HEADER;
use crate::relay::record::write::WriteRecord;
use crate::relay::replicator::queue::lane::{Queued, weight};

/// Joined requests' worth of records that the window holds.
pub(in crate::relay::replicator) const BATCHES: usize = 4;

/// The records in the lanes' queues.
#[derive(Debug)]
pub(in crate::relay::replicator) struct Window {
    max_batch: usize,
    /// Bytes of those that fit into a joined request.
    bytes: usize,
    /// How many there are of the others.
    large: usize,
    /// Bytes of what is read again.
    again: usize,
}

impl Window {
    pub(in crate::relay::replicator) fn new(max_batch: usize) -> Self {
        Self {
            max_batch,
            bytes: 0,
            large: 0,
            again: 0,
        }
    }

    /// Bytes that it holds of records that are not large.
    pub(in crate::relay::replicator) fn limit(max_batch: usize) -> usize {
        max_batch.saturating_mul(BATCHES)
    }

    pub(in crate::relay::replicator) fn has_room(&self) -> bool {
        self.bytes < Self::limit(self.max_batch)
    }

    /// The longest payload that it has room for.
    pub(in crate::relay::replicator) fn longest(&self) -> usize {
        match self.large {
            0 => usize::MAX,
            _ => self.max_batch.saturating_add(MAX_HEADER),
        }
    }

    /// Whether more may be read again: half as much, beside what is read for the first time.
    pub(in crate::relay::replicator) fn has_room_again(&self) -> bool {
        self.again < Self::limit(self.max_batch) / 2
    }

    pub(in crate::relay::replicator) fn add_queued(&mut self, queued: &Queued) {
        match queued.is_again {
            true => self.again = self.again.saturating_add(weight(&queued.record)),
            false => self.add(&queued.record),
        }
    }

    pub(in crate::relay::replicator) fn remove_queued(&mut self, queued: &Queued) {
        match queued.is_again {
            true => self.again = self.again.saturating_sub(weight(&queued.record)),
            false => self.remove(&queued.record),
        }
    }

    pub(in crate::relay::replicator) fn add(&mut self, record: &WriteRecord) {
        if self.is_large(record) {
            self.large += 1;
        } else {
            self.add_bytes(weight(record));
        }
    }

    pub(in crate::relay::replicator) fn remove(&mut self, record: &WriteRecord) {
        if self.is_large(record) {
            self.large = self.large.saturating_sub(1);
        } else {
            self.remove_bytes(weight(record));
        }
    }

    /// What is no write counts as so many bytes.
    pub(in crate::relay::replicator) fn add_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(in crate::relay::replicator) fn remove_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(in crate::relay::replicator) fn clear(&mut self) {
        *self = Self::new(self.max_batch);
    }

    fn is_large(&self, record: &WriteRecord) -> bool {
        record.body.len() > self.max_batch
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    use crate::relay::record::samples::write_record;

    fn record(bytes: usize) -> WriteRecord {
        write_record(vec![b'x'; bytes])
    }

    #[test]
    fn a_large_record_leaves_room_for_small_ones_but_for_no_second_one() {
        let mut window = Window::new(1000);
        assert_eq!(window.longest(), usize::MAX);
        window.add(&record(100_000));
        assert!(window.has_room());
        assert!(window.longest() < usize::MAX);
        let mut small = 0;
        while window.has_room() {
            window.add(&record(500));
            small += 1;
        }
        assert!((3..=8).contains(&small), "{small}");
        window.remove(&record(500));
        window.remove(&record(500));
        assert!(window.has_room());
        window.remove(&record(100_000));
        assert_eq!(window.longest(), usize::MAX);
        window.clear();
        assert_eq!((window.bytes, window.large), (0, 0));
    }
}
