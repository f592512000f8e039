//! The saved cursor, and what two lives of haflux tell each other by it.
//!
//! What is saved trails what is known by `rewind`, and stands before what is in doubt ([`Trail`](super::super::trail::Trail)).
//! A life that ends well says so with it ([`Replicator::leave`]): then the next one need not fear that something may still
//! land. That word is taken back on disk before anything is sent ([`Replicator::unsettle`]).

use tokio::sync::watch;

use super::super::copied::Contents;
use super::super::note::Note;
use super::super::trail::Mark;
use super::Replicator;
use crate::journal::{Cursor, Position};

impl Replicator {
    /// Sets the journal's cursor to this place.
    pub(super) fn save(&mut self, back: Mark) {
        let Position { sequence, offset } = back.position;
        self.saved = sequence;
        self.is_known_unsaved = false;
        self.attempts.passed(sequence);
        self.replica.passed(sequence);
        self.board.saved(self.replica.index, sequence);
        let note = Note {
            refusals: self.board.noted(self.replica.index),
            proof: back.proof.as_deref().cloned(),
            known: self.known.clone(),
            at_copy: Contents::default(),
            settled: self.is_settled,
            allowance: self.allowance,
            attempts: self.attempts.saved(),
        };
        self.journal.set_cursor(Cursor {
            name: self.replica.stats.name.clone(),
            sequence,
            offset,
            note: note.encode(),
        });
    }

    /// From now on something may be under way: a life that ends without a word must not be taken for one that ended well.
    pub(super) async fn unsettle(&mut self, stop: &mut watch::Receiver<bool>) {
        self.is_settled &= self.replica.follows();
        while std::mem::take(&mut self.is_settled) {
            self.save(self.back());
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
    pub(super) fn leave(&mut self) {
        if !self.replica.follows() {
            return;
        }
        self.publish();
        self.is_settled = self.under_way.is_empty() && !self.is_in_doubt();
        self.save(self.back());
    }
}
