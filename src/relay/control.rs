//! What a person may do to a replica: see where it stands, begin to rebuild it, take it back (rules R3 and R4).
//!
//! A diverged replica ends only through a person's hand. Before another replica's data is copied to it the journal is
//! pinned, so that nothing that comes meanwhile is let go; taken back, it follows from that pin on. The pin stands where the
//! other one would have to begin anew itself: what landed there late, and is still to be written over, may be in the copy. It
//! is taken back only if it holds what was [to be copied](crate::relay::replicator::copied).
//!
//! *As it is* is a person's word against what haflux knows: a copy that does not pass, a node that is held because it cannot
//! prove who it is, or, when no replica follows any more, one that diverged, which is sent what the journal has.

use std::sync::Arc;
use std::time::Duration;

use log::warn;

use crate::journal::{Cursor, CursorError, Position, Sequence};
use crate::relay::intake::relay::Relay;
use crate::relay::rebuild_hold::RebuildHold;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::membership::{Divergence, Membership};
use crate::relay::replicator::copied::{self, Contents};
use crate::relay::replicator::cursor_metadata::CursorMetadata;

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
    /// Its rebuilding has begun already.
    #[error(
        "the rebuilding of {name} is under way: the journal is kept for it from record {from} on; copy the data of a fresh replica to it, then: haflux replica readmit {name}"
    )]
    UnderWay {
        /// The replica.
        name: String,
        /// The first record that is kept for it.
        from: u64,
    },
    /// It does not hold what another replica holds.
    #[error(
        "{name} does not hold what was to be copied to it: {reason}; copy it, or, if that is known and right: haflux replica readmit {name} --as-it-is"
    )]
    NotCopied {
        /// The replica.
        name: String,
        /// What it lacks.
        reason: String,
    },
    /// haflux began to fill it, and did not finish.
    #[error(
        "haflux began to fill {0} and has not finished, so it may hold a part only; this goes on where it was: haflux replica rebuild {0}; if all was copied by other means: haflux replica readmit {0} --as-it-is"
    )]
    HalfCopied(String),
    /// It diverged, and others did not: it lacks what they have.
    #[error(
        "{name} has diverged, and {follower} has not: as it is, it would serve without what it lacks; rebuild it from {follower}: haflux replica rebuild {name}"
    )]
    OthersFollow {
        /// The replica.
        name: String,
        /// One that follows.
        follower: String,
    },
    /// haflux is rebuilding it.
    #[error("a rebuild of {0} is under way: haflux replica rebuild --cancel first")]
    Copies(String),
    /// Another order about it is being carried out.
    #[error("another order about {0} is being carried out: try again in a moment")]
    Ordered(String),
    /// The disk does not take it.
    #[error("{0}")]
    Disk(String),
}

/// Whether what haflux knows of a replica stands against its being taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readmission {
    /// It does.
    Checked,
    /// Only whether it knows those who write does: haflux itself has copied all that there was, and what was dropped meanwhile and
    /// made again comes with the journal.
    Copied,
    /// A person knows better.
    AsItIs,
}

impl Relay {
    /// The replicas and how they stand.
    pub fn memberships(&self) -> Vec<(String, Membership)> {
        self.replicas
            .iter()
            .map(|replica| (replica.stats.name.clone(), replica.membership()))
            .collect()
    }

    /// Pins the journal for the rebuilding of a replica, which is none from now on. Its data may be copied from any other
    /// replica once this has returned.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing has changed then.
    pub async fn begin_rebuild(&self, hold: &RebuildHold) -> Result<(), ReplicaError> {
        let replica = hold.replica();
        let name = replica.stats.name.as_str();
        if let Membership::Rebuilding { pin, .. } = replica.membership() {
            return Err(ReplicaError::UnderWay {
                name: name.to_owned(),
                from: pin.sequence.next().get(),
            });
        }
        let saved = self.journal.cursors();
        let (source, cursor) = self
            .others(replica)
            .filter(|other| self.pending_clients.is_near(other.index))
            .filter_map(|other| {
                let cursor = saved.iter().find(|cursor| cursor.name == other.stats.name);
                Some((other, cursor?))
            })
            .min_by_key(|(_, cursor)| cursor.sequence)
            .ok_or(ReplicaError::NothingToCopy)?;
        let pin = Position {
            sequence: cursor.sequence,
            offset: cursor.offset,
        };
        // What the others refuse from now on must be known when it is sent that.
        self.keep_refusals(replica, Some(pin.sequence));
        let pin_name = format!("{PIN_PREFIX}{name}");
        let set_pin = |metadata: &CursorMetadata| {
            let cursor = Cursor {
                name: pin_name.clone(),
                sequence: pin.sequence,
                offset: pin.offset,
                metadata: metadata.clone().encode(),
            };
            self.journal.set_cursor(cursor).map_err(not_saved)
        };
        let noted = CursorMetadata::decode(&cursor.metadata).unwrap_or_default();
        let mut to_copy = CursorMetadata {
            identity_point: noted.identity_point,
            known: noted.known,
            ..CursorMetadata::default()
        };
        // Before the questions: while they are asked, the journal must not let go of what stands behind the pin.
        let pinning = async {
            set_pin(&to_copy)?;
            let credentials = copied::credentials(&to_copy.known, to_copy.identity_point.as_ref());
            let contents = Contents::of(source, &credentials);
            let contents = tokio::time::timeout(self.settings.timeout, contents).await;
            to_copy.at_copy = contents.unwrap_or_default();
            set_pin(&to_copy)?;
            self.pinned(replica, pin).await
        };
        if let Err(error) = pinning.await {
            self.keep_refusals(replica, None);
            self.journal.remove_cursor(&pin_name);
            return Err(error);
        }
        self.journal.remove_cursor(name);
        warn!(
            "replica {name} is being rebuilt; the journal is kept from record {} on",
            pin.sequence.next()
        );
        Ok(())
    }

    /// Notes durably that haflux empties a replica that is being rebuilt, and fills it: until that is done, which ends when it is
    /// taken back, no check of its data would tell that the rest is missing.
    ///
    /// # Errors
    /// [`ReplicaError`]: the note could not be made.
    pub async fn begin_copy(&self, hold: &RebuildHold) -> Result<(), ReplicaError> {
        let Some(pin) = self.pin(&hold.replica().stats.name) else {
            return Ok(());
        };
        let metadata = CursorMetadata {
            half_copied: true,
            ..CursorMetadata::decode(&pin.metadata).unwrap_or_default()
        };
        let pin = Cursor {
            metadata: metadata.encode(),
            ..pin
        };
        self.journal.set_cursor(pin).map_err(not_saved)?;
        self.sync_cursors().await
    }

    fn keep_refusals(&self, replica: &Replica, pin: Option<Sequence>) {
        self.pending_clients
            .change_refusals(|refusals| refusals.pin(replica.index, pin));
    }

    /// The journal is pinned: the replica is one no longer, unless it is the last.
    async fn pinned(&self, replica: &Replica, pin: Position) -> Result<(), ReplicaError> {
        self.sync_cursors().await?;
        let divergence = replica
            .membership()
            .divergence()
            .cloned()
            .unwrap_or_else(|| Divergence::now("it is being rebuilt"));
        let place = Membership::Rebuilding { divergence, pin };
        match replica.change_place_unless_last(place) {
            Some(noted) => noted.map_err(not_noted),
            None => Err(ReplicaError::NothingToCopy),
        }
    }

    /// Takes a rebuilt replica back: it follows from where its rebuilding began. Says what it is sent next, for a person.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing has changed then.
    pub async fn readmit(
        &self,
        hold: &RebuildHold,
        readmission: Readmission,
    ) -> Result<String, ReplicaError> {
        let replica = hold.replica();
        let name = replica.stats.name.as_str();
        match (replica.membership(), readmission) {
            (Membership::Rebuilding { pin, .. }, Readmission::Checked | Readmission::Copied) => {
                let to_copy = self.to_copy(name);
                if to_copy.half_copied && readmission == Readmission::Checked {
                    return Err(ReplicaError::HalfCopied(name.to_owned()));
                }
                let others: Vec<&Replica> = self.others(replica).map(AsRef::as_ref).collect();
                let check = async {
                    match readmission {
                        Readmission::Copied => {
                            copied::check_writers(replica, &others, &to_copy).await
                        }
                        _ => copied::check(replica, &others, &to_copy).await,
                    }
                };
                let checked = tokio::time::timeout(self.settings.timeout, check).await;
                let checked = checked.unwrap_or_else(|_| Err("it does not answer".to_owned()));
                checked.map_err(|reason| ReplicaError::NotCopied {
                    name: name.to_owned(),
                    reason,
                })?;
                self.take_back(replica, pin).await
            }
            (Membership::Rebuilding { pin, .. }, Readmission::AsItIs) => {
                self.take_back(replica, pin).await
            }
            (Membership::Diverged(_), Readmission::AsItIs) => match self.others(replica).next() {
                Some(follower) => Err(ReplicaError::OthersFollow {
                    name: name.to_owned(),
                    follower: follower.stats.name.clone(),
                }),
                // Nothing tells what it lacks: it is sent all that the journal has.
                None => self.take_back(replica, Position::default()).await,
            },
            (Membership::Following, Readmission::AsItIs) if !replica.is_trusted() => {
                replica.take_back_as_it_is();
                warn!("replica {name} is to be taken for the node it was, as a person wants it");
                Ok(format!(
                    "{name} is taken for the node it was once it answers, whatever it can prove."
                ))
            }
            (Membership::Diverged(_), Readmission::Checked | Readmission::Copied) => {
                Err(ReplicaError::NotBegun(name.to_owned()))
            }
            (Membership::Following, _) => Err(ReplicaError::Follows(name.to_owned())),
        }
    }

    /// What was noted when the rebuilding began.
    fn to_copy(&self, name: &str) -> CursorMetadata {
        let pin = self.pin(name);
        pin.and_then(|pin| CursorMetadata::decode(&pin.metadata).ok())
            .unwrap_or_default()
    }

    fn pin(&self, name: &str) -> Option<Cursor> {
        let name = format!("{PIN_PREFIX}{name}");
        let mut cursors = self.journal.cursors().into_iter();
        cursors.find(|cursor| cursor.name == name)
    }

    /// It follows from here on.
    async fn take_back(&self, replica: &Replica, from: Position) -> Result<String, ReplicaError> {
        let name = &replica.stats.name;
        replica.begin_incarnation();
        // What came while it was rebuilt is no backlog that it grew: it must not diverge for it.
        let metadata = CursorMetadata {
            allowance: self.journal.durable().offset.saturating_sub(from.offset),
            // The copy may hold what any record up to now has left.
            copied: self.journal.barrier().sequence.get(),
            incarnation: replica.incarnation(),
            ..CursorMetadata::default()
        };
        let cursor = Cursor {
            name: name.clone(),
            sequence: from.sequence,
            offset: from.offset,
            metadata: metadata.encode(),
        };
        self.journal.set_cursor(cursor).map_err(not_saved)?;
        self.sync_cursors().await?;
        replica
            .change_membership(Membership::Following)
            .map_err(not_noted)?;
        self.journal.remove_cursor(&format!("{PIN_PREFIX}{name}"));
        self.give_up_other_places();
        warn!(
            "replica {name} is taken back; it follows from record {} on",
            from.sequence.next()
        );
        Ok(format!(
            "{name} is a replica again; it is sent what the journal has from record {} on, and is fresh once it has that.",
            from.sequence.next()
        ))
    }

    /// Gives up the places of servers that are no replicas any more, which were kept for as long as no replica followed.
    fn give_up_other_places(&self) {
        for cursor in self.journal.cursors() {
            let name = cursor.name.strip_prefix(PIN_PREFIX).unwrap_or(&cursor.name);
            if self.replica(name).is_err() {
                self.journal.remove_cursor(&cursor.name);
            }
        }
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
        let head = self.journal.barrier().sequence.get();
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

    /// The other ones that follow.
    fn others(&self, replica: &Replica) -> impl Iterator<Item = &Arc<Replica>> {
        let index = replica.index;
        self.replicas
            .iter()
            .filter(move |other| other.index != index && other.follows())
    }

    pub(super) fn replica(&self, name: &str) -> Result<&Arc<Replica>, ReplicaError> {
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
            Ok(Err(error)) => Err(not_saved(error)),
            Err(_) => Err(ReplicaError::Disk(
                "the journal's disk does not answer".to_owned(),
            )),
        }
    }
}

fn not_saved(error: CursorError) -> ReplicaError {
    ReplicaError::Disk(error.to_string())
}

fn not_noted(error: std::io::Error) -> ReplicaError {
    ReplicaError::Disk(format!("the change could not be written down: {error}"))
}
