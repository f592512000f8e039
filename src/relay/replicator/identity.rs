//! Whether a replica is who it was, and what becomes of that when the way to it is interrupted (rule R1).

use std::sync::Arc;
use std::time::Instant;

use log::{error, info};

use super::Replicator;
use super::handshake::{Identity, Welcome};
use crate::relay::record::removal::Removal;
use crate::relay::replica::identity_point::IdentityPoint;

impl Replicator {
    /// Says who answered the handshake. Returns false for another node, which is diverged.
    pub(super) fn is_who_it_was(&mut self, welcome: &Welcome) -> bool {
        let name = &self.replica.stats.name;
        match &welcome.identity {
            Identity::Another(missing) => {
                let reason = format!("it is not the node it was: {missing}");
                if self.replica.diverge(&reason) {
                    return false;
                }
                error!(
                    "replica {name}: {reason}; no other replica follows, so it goes on with what it has"
                );
                self.replica.note_error(reason);
                self.replica.begin_incarnation();
                self.forget(&Removal::Databases(None));
            }
            _ if welcome.has_lost_nothing => {
                if !self.replica.is_trusted() {
                    info!("replica {name} is the same process as before: it has lost nothing");
                }
            }
            Identity::Unproven(why) => {
                info!("replica {name} is taken for the node it was, without proof: {why}");
                // Not even a database speaks for it.
                if self.known.is_empty() && self.link.started().is_some() {
                    self.replica.begin_incarnation();
                    self.save_note();
                }
            }
            Identity::Proven | Identity::Uninterrupted => {
                info!("replica {name} is the node it was: it has the point it was asked for");
            }
        }
        true
    }

    /// It may be another one: that is told once, and it is asked again.
    pub(super) fn hold(&mut self, now: Instant, reason: String) {
        if !std::mem::replace(&mut self.is_held, true) {
            error!("replica {} is held: {reason}", self.replica.stats.name);
        }
        self.replica.set_held(true);
        self.distrust();
        self.lost(now, reason, None);
    }

    /// The newest point that it accepted.
    pub(super) fn newest_identity_point(&self) -> Option<Arc<IdentityPoint>> {
        let accepted = self.last_accepted.newest().map(Arc::new);
        accepted.or_else(|| self.rewind.newest_identity_point())
    }

    /// What a statement may remove, the replica need not have. Saved before the statement is sent: a node that is asked for
    /// what a `DROP` took, because haflux ended meanwhile, would be diverged for it.
    pub(super) fn forget(&mut self, removal: &Removal) {
        if *removal == Removal::Nothing {
            return;
        }
        self.last_accepted.forget(removal);
        self.known.forget(removal);
        self.rewind.forget_identity_points(removal);
        self.doubts.forget_identity_points(removal);
        for reread in &mut self.rereads {
            reread.forget_identity_point(removal);
        }
        if let Some(place) = &mut self.going_back {
            place.forget_identity_point(removal);
        }
        self.saved.forget_identity_point(removal);
        self.save_note();
    }

    /// It may be another node from here on, until the next handshake.
    pub(super) fn distrust(&mut self) {
        self.doubts.interrupted();
        self.replica.trust(None);
        self.show_trust();
        self.link.distrust();
    }

    /// The node's process has ended, or something between here and there closed the connection: a handshake begins at once.
    pub(super) fn liveness_ended(&mut self, now: Instant) {
        self.link.put_off_liveness(now);
        self.distrust();
        if self.is_linked() {
            let name = &self.replica.stats.name;
            info!("replica {name} closed its connection; who is there is asked again");
            self.replica.client.drop_idle();
            self.link.stay_away(now);
        }
    }
}
