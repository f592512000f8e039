//! What a person may do to a replica: see where it stands, begin to rebuild it, take it back (rules R3 and R4).
//!
//! A diverged replica ends only through a person's hand. Before another replica's data is copied to it the journal is
//! pinned, so that nothing that comes meanwhile is let go; taken back, it follows from that pin on. The pin stands where the
//! other one would have to begin anew itself: what landed there late, and is still to be written over, may be in the copy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use log::warn;

use super::note::Note;
use super::relay::Relay;
use super::replica::Replica;
use super::roster::{Divergence, Place};
use crate::journal::{Cursor, Position, Sequence};

/// The journal's cursor that pins it for the rebuilding of a replica: this, and the replica's name. No server's name has a
/// space in it.
pub(super) const PIN_PREFIX: &str = "rebuild of ";

/// How long an order to pass over a record waits until that is done.
const SKIP_WAIT: Duration = Duration::from_secs(5);

/// Why an order about a replica is not carried out now.
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
    /// It does not follow the journal.
    #[error("{0} does not follow the journal: nothing is sent to it")]
    NotFollowing(String),
    /// The replica has a verdict on the record already.
    #[error("{name} has a verdict on record {sequence} already: its cursor is at {cursor}")]
    Judged {
        /// The replica.
        name: String,
        /// The record.
        sequence: u64,
        /// Where the replica's cursor stands.
        cursor: u64,
    },
    /// The journal does not have the record.
    #[error("there is no record {sequence}: the newest is {head}")]
    NoSuchRecord {
        /// The record asked for.
        sequence: u64,
        /// The newest one.
        head: u64,
    },
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
        let saved = self.journal.cursors();
        let others = self
            .replicas
            .iter()
            .filter(|other| other.index != replica.index && other.follows());
        let pin = others
            .filter(|other| self.board.is_near(other.index))
            .filter_map(|other| saved.iter().find(|cursor| cursor.name == other.stats.name))
            .map(|cursor| Position {
                sequence: cursor.sequence,
                offset: cursor.offset,
            })
            .min_by_key(|position| position.sequence)
            .ok_or(ReplicaError::NothingToCopy)?;
        let pin_name = format!("{PIN_PREFIX}{name}");
        self.journal.set_cursor(Cursor {
            name: pin_name.clone(),
            sequence: pin.sequence,
            offset: pin.offset,
            note: Bytes::new(),
        });
        if let Err(error) = self.pinned(replica, pin).await {
            match saved.into_iter().find(|cursor| cursor.name == pin_name) {
                Some(earlier) => self.journal.set_cursor(earlier),
                None => self.journal.remove_cursor(&pin_name),
            }
            return Err(error);
        }
        self.journal.remove_cursor(name);
        warn!(
            "replica {name} is being rebuilt; the journal is kept from record {} on",
            pin.sequence.next()
        );
        Ok(())
    }

    /// The journal is pinned: the replica is one no longer, unless it is the last.
    async fn pinned(&self, replica: &Replica, pin: Position) -> Result<(), ReplicaError> {
        self.sync_cursors().await?;
        let divergence = replica
            .place()
            .divergence()
            .cloned()
            .unwrap_or_else(|| Divergence::now("it is being rebuilt"));
        let place = Place::Rebuilding { divergence, pin };
        match replica.change_place_unless_last(place) {
            Some(noted) => noted.map_err(not_noted),
            None => Err(ReplicaError::NothingToCopy),
        }
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
        // What came while it was rebuilt is no backlog that it grew: it must not diverge for it.
        let note = Note {
            allowance: self.journal.durable().offset.saturating_sub(pin.offset),
            ..Note::default()
        };
        self.journal.set_cursor(Cursor {
            name: name.to_owned(),
            sequence: pin.sequence,
            offset: pin.offset,
            note: note.encode(),
        });
        self.sync_cursors().await?;
        replica.change_place(Place::Following).map_err(not_noted)?;
        self.journal.remove_cursor(&format!("{PIN_PREFIX}{name}"));
        warn!(
            "replica {name} is taken back; it follows from record {} on",
            pin.sequence.next()
        );
        Ok(())
    }

    /// Sets a record aside for a replica that has no verdict on it (rule N2). Returns whether that is done; if not, the record is
    /// noted, and passed over when the replica comes to it.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing has changed then.
    pub async fn skip(&self, name: &str, sequence: u64) -> Result<bool, ReplicaError> {
        let replica = self.replica(name)?;
        if !replica.follows() {
            return Err(ReplicaError::NotFollowing(name.to_owned()));
        }
        let cursor = replica.stats.cursor.get();
        if sequence <= cursor {
            return Err(ReplicaError::Judged {
                name: name.to_owned(),
                sequence,
                cursor,
            });
        }
        let head = self.journal.head().get();
        if sequence > head {
            return Err(ReplicaError::NoSuchRecord { sequence, head });
        }
        let sequence = Sequence::new(sequence);
        warn!("replica {name}: record {sequence} is to be passed over, as a person wants it");
        replica.skip(sequence);
        let mut skips = replica.watch_skips();
        let done = skips.wait_for(|skips| !skips.contains(&sequence));
        Ok(tokio::time::timeout(SKIP_WAIT, done).await.is_ok())
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

fn not_noted(error: std::io::Error) -> ReplicaError {
    ReplicaError::Disk(format!("the change could not be written down: {error}"))
}
