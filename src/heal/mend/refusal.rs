//! Lines that a node refuses, and what becomes of them.

use bstr::{BString, ByteSlice};

use super::Mend;
use super::types::Conflict;
use crate::heal::node::NodeError;
use crate::heal::place::Name;

/// Lines of one measurement that a node refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) node: usize,
    pub(super) database: String,
    pub(super) measurement: BString,
    pub(super) error: NodeError,
}

impl Refusal {
    pub(super) fn is_of_type(&self) -> bool {
        self.error.to_string().contains("field type conflict")
    }
}

impl Mend<'_> {
    /// The lines are left out, or their measurement is copied whole later.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        let is_all_of_it = self.places.from.is_none() && self.places.until.is_none();
        if !(refusal.is_of_type() && is_all_of_it && self.source.is_some()) {
            self.tell_refusal(refusal);
            return;
        }
        self.conflicts.insert(Conflict {
            node: refusal.node,
            database: refusal.database,
            measurement: refusal.measurement,
        });
    }

    /// Says the first refusal of a measurement on a node: each line of it may be refused in other words.
    pub(super) fn tell_refusal(&mut self, refusal: Refusal) {
        let Refusal {
            node,
            database,
            measurement,
            error,
        } = refusal;
        let line = format!(
            "{} in {database} is not mended: {error}",
            Name(measurement.as_bstr())
        );
        if self.told_refusals.insert((node, database, measurement)) {
            self.progress.note(line);
        }
    }
}
