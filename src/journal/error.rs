//! What can be refused or fail.

use std::io;

use super::Sequence;

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it.
    #[error("the journal is in use by {holder}")]
    Locked {
        /// What the owner wrote into the lock: its process id and start time.
        holder: String,
    },
    /// The folder could not be used.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The files are of a newer haflux.
    #[error(
        "{file} has format version {version}, this haflux reads up to {}",
        super::segment::VERSION
    )]
    Version {
        /// The file.
        file: String,
        /// Its format version.
        version: u32,
    },
}

/// Why a record was not taken, or will not be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full, or ill, or gone. Heals by itself.
    #[error("the journal has no room")]
    NoRoom,
    /// Too much waits for the disk already. Passes.
    #[error("too much is waiting for the journal's disk")]
    QueueFull,
    /// The record is larger than `max_record`.
    #[error("the record is too large for the journal")]
    TooLarge,
    /// The journal was closed. Of a record that has a ticket: it may or may not be stored.
    #[error("the journal is closed")]
    Closed,
}

impl AppendError {
    /// Whether the same record will never be taken, however often it is tried.
    pub fn is_final(self) -> bool {
        match self {
            AppendError::TooLarge => true,
            AppendError::NoRoom | AppendError::QueueFull | AppendError::Closed => false,
        }
    }
}

/// Why a cursor was not taken, or cursors could not be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The cursor stands at a record that is not committed.
    #[error("the cursor is beyond the newest committed record")]
    BeyondCommitted,
}

/// Why a read gave no records.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// These records, both ends included, are damaged or no longer kept. Said once; the next read goes on behind them.
    #[error("records {from} to {to} are damaged or no longer kept")]
    Gap {
        /// The first one missing.
        from: Sequence,
        /// The last one missing.
        to: Sequence,
    },
    /// The disk does not answer now. Nothing was passed over; try again later.
    #[error("cannot read the journal: {0}")]
    Io(#[from] io::Error),
}
