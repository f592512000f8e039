//! What a record of the relay's journal holds: a write or a statement.

use bytes::Bytes;

use crate::journal::Kind;
use crate::relay::record::statement::{STATEMENT, StatementRecord};
use crate::relay::record::write::{FieldTooLong, RecordError, WRITE, WriteRecord};

/// One record's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Points.
    Write(WriteRecord),
    /// A request that changes data or schema.
    Statement(StatementRecord),
}

impl Change {
    /// Reads a record's payload; bodies share its memory.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn decode(kind: Kind, payload: Bytes) -> Result<Change, RecordError> {
        match kind {
            WRITE => WriteRecord::decode(payload).map(Change::Write),
            STATEMENT => StatementRecord::decode(payload).map(Change::Statement),
            other => Err(RecordError::Kind(other.0)),
        }
    }

    /// The head of its payload, to be followed by [`Change::body`].
    ///
    /// # Errors
    /// A field does not fit the format; not so for what was decoded.
    pub fn encode_head(&self) -> Result<Bytes, FieldTooLong> {
        match self {
            Change::Write(write) => write.encode_head(),
            Change::Statement(statement) => statement.encode_head(),
        }
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        match self {
            Change::Write(write) => &write.body,
            Change::Statement(statement) => &statement.body,
        }
    }

    /// The one database that it touches; nothing if it is more than one, or cannot be told.
    pub fn database(&self) -> Option<&str> {
        match self {
            Change::Write(write) => Some(&write.destination.database),
            Change::Statement(statement) => match statement.databases.as_deref() {
                Some([only]) => Some(only),
                _ => None,
            },
        }
    }
}
