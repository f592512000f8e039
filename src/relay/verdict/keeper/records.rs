//! The records of dead letters, out of the journal.

use std::io;

use log::error;

use crate::journal::{Journal, ReadError, Reader, Record, Sequence};
use crate::relay::record::change::Change;

/// A dead letter's record is read on to, rather than looked for, if it is so few records away from the last one.
const NEAR: u64 = 1024;

/// Bytes of records that are read at once.
const READ: usize = 256 << 10;

/// Finds records that are wanted in about the order of the journal.
pub(super) struct Records {
    journal: Journal,
    reader: Reader,
    /// Records that were read and not used, the first one last.
    read: Vec<Record>,
}

impl Records {
    pub(super) fn new(journal: Journal) -> Records {
        Records {
            reader: journal.reader(Sequence::ZERO),
            read: Vec::new(),
            journal,
        }
    }

    /// The record; nothing if the journal has lost it.
    ///
    /// # Errors
    /// The journal's disk did not answer.
    pub(super) async fn find(&mut self, sequence: Sequence) -> io::Result<Option<Change>> {
        let next = self
            .read
            .last()
            .map_or(self.reader.position().next(), |record| record.sequence);
        if sequence < next || sequence.get() - next.get() > NEAR {
            self.reader = self
                .journal
                .reader(Sequence::new(sequence.get().saturating_sub(1)));
            self.read.clear();
        }
        loop {
            match self.read.pop() {
                Some(record) if record.sequence < sequence => {}
                Some(record) if record.sequence == sequence => {
                    return Ok(understood(&record));
                }
                Some(later) => {
                    self.read.push(later);
                    return Ok(None);
                }
                None => match self.reader.read(READ).await {
                    Ok(records) if records.is_empty() => return Ok(None),
                    Ok(records) => self.read.extend(records.into_iter().rev()),
                    Err(ReadError::Gap { to, .. }) if to < sequence => {}
                    Err(ReadError::Gap { .. }) => return Ok(None),
                    Err(ReadError::Io(error)) => return Err(error),
                },
            }
        }
    }
}

fn understood(record: &Record) -> Option<Change> {
    match Change::decode(record.kind, record.payload.clone()) {
        Ok(change) => Some(change),
        Err(error) => {
            error!("record {} cannot be understood: {error}", record.sequence);
            None
        }
    }
}
