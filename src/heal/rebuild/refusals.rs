//! What a target does not take of the points: a note, not the end of a rebuild. The proof names what differs for it.

use std::collections::BTreeSet;

use bstr::BString;
use parking_lot::Mutex;

use crate::heal::error::WorkError;
use crate::heal::node::{NodeError, Slice};
use crate::heal::progress::Progress;

/// Where points were refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Database, policy and measurement. Each batch may be refused in other words, so only the first one's are told.
    told: Mutex<BTreeSet<(String, String, BString)>>,
}

impl Refusals {
    /// Says that points of a slice were refused, if these points are the reason.
    ///
    /// # Errors
    /// Any other error.
    pub(super) fn note(
        &self,
        slice: &Slice,
        error: WorkError,
        progress: &Progress,
    ) -> Result<(), WorkError> {
        let WorkError::Node(NodeError::Refused { node, reason }) = &error else {
            return Err(error);
        };
        let Some(what) = of_these_points(reason) else {
            return Err(error);
        };
        let Slice {
            database,
            policy,
            measurement,
            ..
        } = slice;
        let place = (database.clone(), policy.clone(), measurement.clone());
        if self.told.lock().insert(place) {
            progress.note(format!(
                "{node} does not take some points of {database}.{policy} {measurement:?}{what}: {reason}"
            ));
        }
        Ok(())
    }
}

/// Why other points of the same slice may be taken; nothing if they may not. `reason`: the node's words.
fn of_these_points(reason: &str) -> Option<&'static str> {
    if reason.contains("field type conflict") {
        Some(", whose field has another type by now")
    } else if reason.contains("invalid number") {
        // Only Flux writes unsigned numbers into a node that was built without them (docs/versions.md).
        Some(", namely those with unsigned numbers")
    } else if reason.starts_with("partial write: ") {
        // As by `max-values-per-tag` and `max-series-per-database`: the others are written.
        Some("")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> WorkError {
        WorkError::Node(NodeError::Refused {
            node: "n2".to_owned(),
            reason: reason.to_owned(),
        })
    }

    #[test]
    fn refused_points_are_told_once_and_all_else_is_an_error() {
        let slice = Slice {
            database: "d".to_owned(),
            policy: "p".to_owned(),
            measurement: "m".into(),
            from: 0,
            until: 9,
        };
        let progress = Progress::new("relay", "rebuild");
        let refusals = Refusals::default();
        let of = |reason: &str| refusals.note(&slice, refused(reason), &progress);
        for reason in [
            "partial write: max-values-per-tag limit exceeded (5/5): measurement=\"m\" dropped=1",
            "partial write: max-series-per-database limit exceeded: (12) dropped=8",
            "partial write: field type conflict: input field \"v\" dropped=3",
            "partial write: unable to parse 'm v=1u 1': invalid number dropped=0",
        ] {
            assert!(of(reason).is_ok(), "{reason}");
        }
        for reason in ["Request Entity Too Large", "database not found: \"d\""] {
            assert!(of(reason).is_err(), "{reason}");
        }
        assert!(
            refusals
                .note(&slice, WorkError::Cancelled, &progress)
                .is_err()
        );
        assert_eq!(
            progress.report().notes,
            [
                "n2 does not take some points of d.p \"m\": partial write: max-values-per-tag limit exceeded (5/5): measurement=\"m\" dropped=1"
            ]
        );
    }
}
