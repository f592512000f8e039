//! The words of the journal as types.

use std::fmt;

use bytes::Bytes;

/// The number of a record. Ascending, never used twice; numbers may be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first record.
    pub const ZERO: Sequence = Sequence(0);

    /// The sequence with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after this.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before this; zero's is zero.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The one that is `count` further.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a record is; the caller's own numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

/// One journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub sequence: Sequence,
    /// The caller's kind.
    pub kind: Kind,
    /// When it was appended: nanoseconds since 1970 by the wall clock.
    pub unix_nanos: u64,
    /// Bytes of the journal since its birth, up to and including this record.
    pub offset: u64,
    /// What the caller stored.
    pub payload: Bytes,
}

/// A place in the journal: a record, and how many bytes there are up to and including it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The record.
    pub sequence: Sequence,
    /// Bytes since the journal's birth.
    pub offset: u64,
}

/// Records that were synced and are lost: those above `after` and below `before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The newest record before the damage.
    pub after: Sequence,
    /// The first number behind the damage.
    pub before: Sequence,
}

/// How the journal is, for a status page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// New records are admitted. False: the disk is full, ill or gone.
    pub takes_records: bool,
    /// The last failure of the disk, with what was tried. Kept after it has healed.
    pub last_error: Option<String>,
    /// Failures of the disk since the start.
    pub errors: u64,
    /// Bytes that it takes on the disk.
    pub bytes_on_disk: u64,
}
