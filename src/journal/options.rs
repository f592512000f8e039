//! How a journal is to behave.

use std::time::Duration;

use super::frame;
use super::segment::HEADER_SIZE;

/// When a record counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// When it is synced.
    Always,
    /// When the operating system has it; synced at this interval.
    Interval(Duration),
    /// When the operating system has it. Synced only at the end of a segment and before cursors are saved.
    Never,
}

/// How a journal is to behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// When a record counts as durable. Default: always synced.
    pub sync: Sync,
    /// Bytes of a segment file; raised so that the largest record fits. Default 32 MiB: the largest body that InfluxDB takes
    /// unless told otherwise (25 MB) fits, and with two spares a quiet journal takes 96 MiB of disk.
    pub segment_size: u64,
    /// Bytes of recent records kept in memory for readers. Default 8 MiB.
    pub cache_size: usize,
    /// The largest payload, in bytes. Default 30 MiB.
    pub max_record: usize,
    /// Bytes of records that may wait for the disk; raised so that the largest record fits. Default 32 MiB.
    pub max_queued: usize,
    /// Changed cursors are saved this often. Default 1 s.
    pub cursor_interval: Duration,
    /// Spare segments kept; at least 2. Default 2.
    pub spare_segments: usize,
    /// How long a close keeps trying on an ill disk. Default 10 s.
    pub close_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            sync: Sync::Always,
            segment_size: 32 * MIB,
            cache_size: 8 << 20,
            max_record: 30 << 20,
            max_queued: 32 << 20,
            cursor_interval: Duration::from_secs(1),
            spare_segments: 2,
            close_timeout: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// The same with every value raised or lowered to what can work.
    pub(super) fn checked(mut self) -> Self {
        self.max_record = self.max_record.min(frame::MAX_PAYLOAD);
        let largest = frame::size(self.max_record);
        self.segment_size = self
            .segment_size
            .max(HEADER_SIZE + largest)
            .next_multiple_of(4096);
        self.max_queued = self
            .max_queued
            .max(usize::try_from(largest).unwrap_or(usize::MAX));
        self.spare_segments = self.spare_segments.max(2);
        self
    }

    /// Bytes for frames in a segment.
    pub(super) fn capacity(&self) -> u64 {
        self.segment_size.saturating_sub(HEADER_SIZE)
    }
}
