//! Restores the state that the previous run left on disk: where each replica stood, and what was noted with it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use log::{error, info, warn};

use crate::config::nearest;
use crate::journal::{self, Cursor, Journal, Position, Sequence};
use crate::relay::control::PIN_PREFIX;
use crate::relay::replica::handle::Replica;
use crate::relay::replica::membership::{Divergence, Membership};
use crate::relay::replicator::SavedPlace;
use crate::relay::replicator::cursor_metadata::CursorMetadata;
use crate::relay::replicator::rewind::Checkpoint;
use crate::relay::verdict::pending::PendingClients;
use crate::stats::RelayStats;

/// What recovery found, for the log.
pub(super) fn tell(relay: &str, recovery: &journal::Recovery) {
    info!("relay {relay}: {recovery}");
    if recovery.torn_bytes_cut > 0 {
        info!(
            "relay {relay}: {} bytes that were being written when it was cut off, and never acknowledged as durable, are gone",
            recovery.torn_bytes_cut
        );
    }
    for gap in &recovery.gaps {
        error!(
            "relay {relay}: the journal has lost what was between record {} and record {}",
            gap.after, gap.before
        );
    }
    for cursor in &recovery.cursors_beyond_head {
        error!(
            "relay {relay}: {} has applied up to record {}, but the journal ends at {}: the replicas may differ in what is missing",
            cursor.name, cursor.sequence, recovery.head.sequence
        );
    }
}

/// Says what power took, as far as that can be known. The journal cannot know its own lost end, nor the places of the replicas
/// show it: they are saved only behind what is synced.
pub(super) fn tell_of_power(recovery: &journal::Recovery, stats: &RelayStats) {
    if recovery.clean || recovery.is_new() {
        return;
    }
    let head = recovery.head.sequence;
    let text = format!(
        "the system went down without stopping haflux, and sync was not \"always\": writes that were acknowledged after record {head} may be missing here, and the replicas may differ in them"
    );
    error!("relay {}: {text}", stats.name);
    let error = (SystemTime::now(), text);
    stats.journal.last_error.store(Some(Arc::new(error)));
}

/// Names that stand in the relay's folder, if not one of them is a server's now: then nothing tells which node lacks what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherNames {
    known: Vec<(String, bool)>,
    configured: Vec<String>,
}

impl OtherNames {
    /// Compares the names of the journal's cursors and of diverged replicas with those of the configuration.
    pub(super) fn find(
        journal: &Journal,
        diverged: Vec<String>,
        configured: Vec<String>,
    ) -> Option<OtherNames> {
        let mut known: BTreeMap<String, bool> = journal
            .cursors()
            .into_iter()
            .map(|cursor| match cursor.name.strip_prefix(PIN_PREFIX) {
                Some(rebuilt) => (rebuilt.to_owned(), true),
                None => (cursor.name, false),
            })
            .collect();
        known.extend(diverged.into_iter().map(|name| (name, true)));
        let is_other = !known.is_empty() && !configured.iter().any(|name| known.contains_key(name));
        is_other.then(|| OtherNames {
            known: known.into_iter().collect(),
            configured,
        })
    }
}

impl Display for OtherNames {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let known = self.known.iter().map(|(name, diverged)| match diverged {
            true => format!("{name} (diverged)"),
            false => name.clone(),
        });
        let known: Vec<String> = known.collect();
        write!(
            f,
            "it belongs to the servers {}, and the configuration names none of them but {}",
            known.join(", "),
            self.configured.join(", ")
        )?;
        let names = || self.known.iter().map(|(name, _)| name.as_str());
        for name in &self.configured {
            if let Some(near) = nearest(name, names()) {
                write!(f, "; is {name} the one that was {near}?")?;
            }
        }
        Ok(())
    }
}

/// Where each replica stood. Whoever follows has a cursor afterwards, or the journal would not keep its records for it.
pub(super) fn restore_cursors(
    journal: &Journal,
    relay: &str,
    replicas: &[Arc<Replica>],
) -> Vec<Position> {
    let known = journal.cursors();
    let of = |name: &str| known.iter().find(|cursor| cursor.name == name);
    for cursor in &known {
        let replica = cursor.name.strip_prefix(PIN_PREFIX).unwrap_or(&cursor.name);
        if !replicas.iter().any(|known| known.stats.name == replica) {
            warn!(
                "relay {relay}: {replica} is no replica any more; its place in the journal is given up"
            );
            journal.remove_cursor(&cursor.name);
        }
    }
    let head = journal.barrier();
    let has_history = head.sequence > Sequence::ZERO;
    // A table without a single cursor is no table: that some replica is diverged says nothing about the others then.
    let nobody_known = !replicas
        .iter()
        .any(|replica| of(&replica.stats.name).is_some())
        && (known.is_empty() || replicas.iter().all(|replica| replica.follows()));
    if has_history && nobody_known {
        error!(
            "relay {relay}: the replicas' places in the journal are lost; everything that it holds is sent to all of them again, in order"
        );
    }
    let mut places = Vec::with_capacity(replicas.len());
    for replica in replicas {
        let name = &replica.stats.name;
        if let Some(cursor) = of(name) {
            places.push(Position {
                sequence: cursor.sequence,
                offset: cursor.offset,
            });
            continue;
        }
        if has_history && !nobody_known && replica.follows() {
            replica.set_membership(Membership::Diverged(Divergence::now(
                "it is new in a pool with history: what was written before it came is not on it",
            )));
        }
        let place = if nobody_known {
            Position::default()
        } else {
            head
        };
        if replica.follows() {
            let cursor = Cursor {
                name: name.clone(),
                sequence: place.sequence,
                offset: place.offset,
                metadata: Bytes::new(),
            };
            if let Err(error) = journal.set_cursor(cursor) {
                error!("replica {name}: its place in the journal cannot be saved: {error}");
            }
        }
        places.push(place);
    }
    places
}

/// Which replicas were being rebuilt, by the journal's pins: what the membership file lost. Whoever follows has a cursor too.
pub(super) fn restore_rebuilding(journal: &Journal, replicas: &[Arc<Replica>]) {
    let known = journal.cursors();
    let of = |name: &str| known.iter().find(|cursor| cursor.name == name);
    for replica in replicas {
        let name = &replica.stats.name;
        if of(name).is_none()
            && let Some(pin) = of(&format!("{PIN_PREFIX}{name}"))
        {
            replica.set_membership(Membership::Rebuilding {
                divergence: Divergence::now("it is being rebuilt; why is not known any more"),
                pin: Position {
                    sequence: pin.sequence,
                    offset: pin.offset,
                },
            });
        }
    }
}

/// What was noted with the places: what was set aside, which the pending clients are told too, and the identity point of who stands there.
pub(super) fn restore_notes(
    journal: &Journal,
    pending_clients: &PendingClients,
    replicas: &[Arc<Replica>],
    places: Vec<Position>,
) -> Vec<SavedPlace> {
    let cursors = journal.cursors();
    let checkpoint = |(replica, position): (&Arc<Replica>, Position)| {
        let name = &replica.stats.name;
        let noted = cursors.iter().find(|cursor| cursor.name == *name);
        let metadata = CursorMetadata::decode(noted.map_or(&[], |cursor| cursor.metadata.as_ref()));
        let metadata = metadata.unwrap_or_else(|error| {
            warn!(
                "replica {name}: the metadata of its cursor cannot be read ({error}); the identity point and what was set aside in it are forgotten"
            );
            CursorMetadata::default()
        });
        pending_clients.restore_set_aside(replica.index, &metadata.attempts.set_aside);
        SavedPlace {
            checkpoint: Checkpoint {
                position,
                identity_point: metadata.identity_point.map(Arc::new),
            },
            known: metadata.known,
            settled: metadata.settled,
            allowance: metadata.allowance,
            copied: Sequence::new(metadata.copied),
            attempts: metadata.attempts,
        }
    };
    replicas.iter().zip(places).map(checkpoint).collect()
}
