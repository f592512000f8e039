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
use crate::relay::dead_letters::DeadLetters;
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

/// Gives up the places of servers that are no replicas any more, so that the journal keeps nothing for them.
///
/// If none that is left follows the journal, they stay: whoever took the last server that follows out of the configuration may put it back.
fn give_up_places(journal: &Journal, relay: &str, replicas: &[Arc<Replica>], known: &[Cursor]) {
    let is_replica = |name: &str| replicas.iter().any(|known| known.stats.name == name);
    let is_followed = replicas.iter().any(|replica| replica.follows());
    for cursor in known {
        let name = cursor.name.strip_prefix(PIN_PREFIX).unwrap_or(&cursor.name);
        if is_replica(name) {
            continue;
        }
        if is_followed {
            warn!(
                "relay {relay}: {name} is no replica any more; its place in the journal is given up"
            );
            journal.remove_cursor(&cursor.name);
        } else {
            error!(
                "relay {relay}: {name} is no replica any more, and none of those that are left follows the journal: put {name} back, or say whose data is right (haflux replica readmit NAME --as-it-is)"
            );
        }
    }
}

/// A rebuild goes on only with what the journal has kept for it: it kept nothing while the replica was not in the configuration.
fn end_rebuilds_without_pin(known: &[Cursor], replicas: &[Arc<Replica>]) {
    for replica in replicas {
        let pin = format!("{PIN_PREFIX}{}", replica.stats.name);
        if let Membership::Rebuilding { divergence, .. } = replica.membership()
            && !known.iter().any(|cursor| cursor.name == pin)
        {
            let reason = format!(
                "{}; its rebuilding had begun, but the journal was not kept for it since",
                divergence.reason
            );
            replica.set_membership(Membership::Diverged(Divergence::now(reason)));
        }
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
    end_rebuilds_without_pin(&known, replicas);
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
    give_up_places(journal, relay, replicas, &known);
    places
}

/// Names the dead letters of servers that are no replicas any more: they stay for a person.
pub(super) fn tell_of_letters(letters: &DeadLetters, relay: &str, replicas: &[Arc<Replica>]) {
    let is_replica = |name: &str| replicas.iter().any(|known| known.stats.name == name);
    for (name, count) in letters.counts() {
        if !is_replica(&name) {
            warn!(
                "relay {relay}: dead letters of {name}, which is no replica any more: {count}; if it does not come back: haflux dead-letters drop all --replica {name} --yes"
            );
        }
    }
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
        replica.restore_incarnation(metadata.incarnation);
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
