//! What a person may do to a replica: see where it stands, begin to rebuild it, take it back (rules R3 and R4).
//!
//! A diverged replica ends only through a person's hand. Before another replica's data is copied to it the journal is
//! pinned, so that nothing that comes meanwhile is let go; taken back, it follows from that pin on.

use std::sync::Arc;

use bytes::Bytes;
use log::warn;

use super::relay::Relay;
use super::replica::Replica;
use super::roster::{Divergence, Place};
use crate::journal::{Cursor, Position, Sequence};

/// The journal's cursor that pins it for the rebuilding of a replica: this, and the replica's name. No server's name has a
/// space in it.
pub(super) const PIN_PREFIX: &str = "rebuild of ";

/// Why a replica cannot be rebuilt or taken back now.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// There is no replica of that name.
    #[error("relay {relay} has no replica {name}")]
    Unknown {
        /// The relay.
        relay: String,
        /// The name asked for.
        name: String,
    },
    /// No other replica could be copied from.
    #[error("no other replica is up and has applied everything: there is nothing to copy from")]
    NothingToCopy,
    /// It follows the journal already.
    #[error("{0} follows the journal; there is nothing to take back")]
    Follows(String),
    /// Its rebuilding has not begun.
    #[error(
        "the rebuilding of {0} has not begun: what was written since it diverged is not kept for it"
    )]
    NotBegun(String),
    /// The disk does not take it.
    #[error("{0}")]
    Disk(String),
}

impl Relay {
    /// The replicas and how they stand.
    pub fn places(&self) -> Vec<(String, Place)> {
        self.replicas
            .iter()
            .map(|replica| (replica.stats.name.clone(), replica.place()))
            .collect()
    }

    /// Pins the journal for the rebuilding of a replica, which is none from now on. Its data may be copied from any other
    /// replica once this has returned.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing has changed then.
    pub async fn begin_rebuild(&self, name: &str) -> Result<(), ReplicaError> {
        let replica = self.replica(name)?;
        let others = self
            .replicas
            .iter()
            .filter(|other| other.index != replica.index && other.follows());
        let pin = others
            .filter(|other| self.board.is_near(other.index))
            .map(|other| Position {
                sequence: Sequence::new(other.stats.cursor.get()),
                offset: other.stats.cursor_offset.get(),
            })
            .min_by_key(|position| position.sequence)
            .ok_or(ReplicaError::NothingToCopy)?;
        self.journal.set_cursor(Cursor {
            name: format!("{PIN_PREFIX}{name}"),
            sequence: pin.sequence,
            offset: pin.offset,
            note: Bytes::new(),
        });
        self.sync_cursors().await?;
        let divergence = replica
            .place()
            .divergence()
            .cloned()
            .unwrap_or_else(|| Divergence::now("it is being rebuilt"));
        self.change(replica, Place::Rebuilding { divergence, pin })?;
        self.journal.remove_cursor(name);
        warn!(
            "replica {name} is being rebuilt; the journal is kept from record {} on",
            pin.sequence.next()
        );
        Ok(())
    }

    /// Takes a rebuilt replica back: it follows from where its rebuilding began.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing has changed then.
    pub async fn readmit(&self, name: &str) -> Result<(), ReplicaError> {
        let replica = self.replica(name)?;
        let pin = match replica.place() {
            Place::Rebuilding { pin, .. } => pin,
            Place::Diverged(_) => return Err(ReplicaError::NotBegun(name.to_owned())),
            Place::Following => return Err(ReplicaError::Follows(name.to_owned())),
        };
        self.journal.set_cursor(Cursor {
            name: name.to_owned(),
            sequence: pin.sequence,
            offset: pin.offset,
            note: Bytes::new(),
        });
        self.sync_cursors().await?;
        self.change(replica, Place::Following)?;
        self.journal.remove_cursor(&format!("{PIN_PREFIX}{name}"));
        warn!(
            "replica {name} is taken back; it follows from record {} on",
            pin.sequence.next()
        );
        Ok(())
    }

    fn replica(&self, name: &str) -> Result<&Arc<Replica>, ReplicaError> {
        let named = self
            .replicas
            .iter()
            .find(|replica| replica.stats.name == name);
        named.ok_or_else(|| ReplicaError::Unknown {
            relay: self.settings.name.clone(),
            name: name.to_owned(),
        })
    }

    fn change(&self, replica: &Replica, place: Place) -> Result<(), ReplicaError> {
        replica.change_place(place).map_err(|error| {
            ReplicaError::Disk(format!("the change could not be written down: {error}"))
        })
    }

    async fn sync_cursors(&self) -> Result<(), ReplicaError> {
        let synced = tokio::time::timeout(self.settings.timeout, self.journal.sync_cursors()).await;
        match synced {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ReplicaError::Disk(error.to_string())),
            Err(_) => Err(ReplicaError::Disk(
                "the journal's disk does not answer".to_owned(),
            )),
        }
    }
}
