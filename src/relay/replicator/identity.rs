//! Whether a replica is who it was, and what becomes of that when the way to it is interrupted (rule R1).

use std::time::{Duration, Instant};

use log::{error, info};

use super::greeting::Identity;
use super::{Link, Replicator};

/// A sentinel that ended sooner is not replaced at once: something there closes idle connections.
const SHORT_LIFE: Duration = Duration::from_secs(1);

impl Replicator {
    /// Says who was greeted. False: it is another one, and is diverged.
    pub(super) fn is_who_it_was(&mut self, identity: &Identity) -> bool {
        let name = &self.replica.stats.name;
        match identity {
            Identity::Same => {
                if !self.replica.is_trusted() {
                    info!("replica {name} is the same process as before: it has lost nothing");
                }
            }
            Identity::Proven => {
                info!("replica {name} is the node it was: it has the point it was asked for");
            }
            Identity::Unproven(why) => {
                info!("replica {name} is taken for the node it was, without proof: {why}");
            }
            Identity::Another(missing) => {
                let reason = format!("it is not the node it was: {missing}");
                if self.replica.diverge(&reason) {
                    return false;
                }
                error!(
                    "replica {name}: {reason}; no other replica follows, so it goes on with what it has"
                );
                self.replica.note_error(reason);
                self.forget_proof();
            }
        }
        true
    }

    /// No point is known any more that the replica must have: its next proof is the next write that it accepts. For statements
    /// that delete, which must be settled when this is called.
    pub(super) fn forget_proof(&mut self) {
        self.witness.forget();
        self.trail.forget_proofs();
        if let Some(place) = &mut self.going_back {
            place.proof = None;
        }
        self.save(self.back());
    }

    /// It may be another node from here on, until it is greeted anew.
    pub(super) fn distrust(&mut self) {
        self.trail.interrupted();
        self.replica.set_trusted(false);
        self.show_trust();
        self.sentinel = None;
    }

    /// The node's process has ended, or something between here and there closed the connection: it is greeted at once.
    pub(super) fn sentinel_ended(&mut self, now: Instant) {
        let lived = self.sentinel.as_ref().map(|sentinel| sentinel.age());
        if lived.is_some_and(|age| age < SHORT_LIFE) {
            self.sentinel_after = now + self.sentinel_backoff.next();
        } else {
            self.sentinel_after = now;
            self.sentinel_backoff.reset();
        }
        self.distrust();
        if self.is_linked() {
            let name = &self.replica.stats.name;
            info!("replica {name} closed its connection; who is there is asked again");
            self.replica.client.drop_idle();
            self.link = Link::Away { until: now };
        }
    }

    /// Whether a node that answers is to be greeted anew: nothing watches for its end, or its name means another address now.
    pub(super) fn is_to_be_greeted_anew(&self, now: Instant) -> bool {
        let is_unwatched = self.sentinel.is_none() && self.sentinel_after <= now;
        let address = self.replica.server.address();
        is_unwatched || (address.is_some() && address != self.address)
    }

    /// When it will be.
    pub(super) fn next_sentinel(&self) -> Option<Instant> {
        let is_missing = self.is_linked() && self.sentinel.is_none();
        is_missing.then_some(self.sentinel_after)
    }
}
