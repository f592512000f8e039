//! The saved cursor, and what one run of haflux tells the next by it.
//!
//! What is saved trails what is known by `rewind`, and stands before what is in doubt ([`Rewind`](crate::relay::replicator::rewind::Rewind)).
//! It does not pass a refusal that is not on disk ([`keeper`](crate::relay::verdict::keeper)): while that cannot be written, the cursor
//! that was saved before stands.
//! A life that ends well says so with it ([`Replicator::leave`]): then the next one need not fear that something may still
//! land. That word is taken back on disk before anything is sent ([`Replicator::unsettle`]).

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::{Common, Replicator, STOP_GRACE, SavedPlace};
use crate::journal::{Cursor, Position, Sequence};
use crate::relay::replica::handle::Replica;
use crate::relay::replicator::copied::Contents;
use crate::relay::replicator::cursor_metadata::CursorMetadata;
use crate::relay::replicator::rewind::Checkpoint;
use crate::relay::verdict::keeper::KeepError;
use crate::relay::verdict::reach::Reach;

impl Replicator {
    /// Moves the saved cursor to this place.
    ///
    /// # Errors
    /// A refusal before it cannot be put on disk; the saved cursor stays where it was.
    pub(super) async fn save(&mut self, back: Checkpoint) -> Result<(), KeepError> {
        let cursor = self.cursor_at(&back);
        self.keeper.save(self.replica.index, cursor).await?;
        let sequence = back.position.sequence;
        self.saved = back;
        self.is_known_unsaved = false;
        self.attempts.passed(sequence);
        self.replica.passed(sequence);
        Ok(())
    }

    /// Writes down with the saved cursor what has changed but the place.
    pub(super) fn save_note(&mut self) {
        let cursor = self.cursor_at(&self.saved);
        if let Err(error) = self.journal.set_cursor(cursor) {
            self.replica
                .note_error(format!("its cursor cannot be saved: {error}"));
        }
    }

    fn cursor_at(&self, place: &Checkpoint) -> Cursor {
        let metadata = CursorMetadata {
            identity_point: place.identity_point.as_deref().cloned(),
            known: self.known.clone(),
            at_copy: Contents::default(),
            half_copied: false,
            settled: self.is_settled,
            allowance: self.allowance,
            copied: self.copied.get(),
            incarnation: self.replica.incarnation(),
            attempts: self.attempts.saved(),
        };
        Cursor {
            name: self.replica.stats.name.clone(),
            sequence: place.position.sequence,
            offset: place.position.offset,
            metadata: metadata.encode(),
        }
    }

    /// Begins again where the cursor is saved, after its task has failed: what that had under way, and what it had shown of the
    /// replica, is not known.
    pub(in crate::relay) fn again(replica: Arc<Replica>, common: Common) -> Replicator {
        let (index, pending_clients) = (replica.index, Arc::clone(&common.pending_clients));
        let mut replicator = Replicator::at_saved_cursor(Arc::clone(&replica), common);
        let place = replicator.tracker.cursor().sequence;
        pending_clients.set_reach(index, Reach::Away);
        pending_clients.carries_out(index, None);
        pending_clients.unstall_all(index);
        pending_clients.go_back(index, place);
        replica.trust(None);
        replica
            .note_error("its task failed, and begins again where its cursor is saved".to_owned());
        replicator.show_trust();
        replicator.show_start(place);
        replicator
    }

    /// Knows what the saved cursor says, and nothing else; asks the node who it is before anything is sent.
    pub(super) fn at_saved_cursor(replica: Arc<Replica>, common: Common) -> Replicator {
        let name = &replica.stats.name;
        let cursors = common.journal.cursors();
        let cursor = cursors.iter().find(|cursor| cursor.name == *name);
        // Without a cursor it does not follow: it is given its place when it is taken back.
        let metadata =
            cursor.map(|cursor| CursorMetadata::decode(&cursor.metadata).unwrap_or_default());
        let metadata = metadata.unwrap_or_default();
        let position = cursor.map_or_else(Position::default, |cursor| Position {
            sequence: cursor.sequence,
            offset: cursor.offset,
        });
        let place = SavedPlace {
            checkpoint: Checkpoint {
                position,
                identity_point: metadata.identity_point.map(Arc::new),
            },
            known: metadata.known,
            settled: false,
            allowance: metadata.allowance,
            copied: Sequence::new(metadata.copied),
            attempts: metadata.attempts,
        };
        let mut replicator = Replicator::new(replica, common, place);
        replicator.link.stay_away(Instant::now());
        replicator
    }

    /// From now on something may be under way: a run that ends without a word must not be taken for one that ended well.
    pub(super) async fn unsettle(&mut self, stop: &mut watch::Receiver<bool>) {
        self.is_settled &= self.replica.follows();
        while std::mem::take(&mut self.is_settled) {
            self.save_note();
            let Err(error) = self.journal.sync_cursors().await else {
                return;
            };
            self.is_settled = true;
            self.replica
                .note_error(format!("its cursor cannot be saved: {error}"));
            tokio::select! {
                () = tokio::time::sleep(self.pace.retry_max) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// At the end: where it stands, and whether the next life need not fear that something may still land.
    pub(super) async fn leave(&mut self) {
        if !self.replica.follows() {
            return;
        }
        self.publish().await;
        self.is_settled = self.under_way.is_empty() && !self.is_in_doubt();
        let saved = tokio::time::timeout(STOP_GRACE, self.save(self.back())).await;
        if !matches!(saved, Ok(Ok(()))) {
            self.save_note();
        }
    }
}
