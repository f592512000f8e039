//! What is kept with a replica's cursor: a JSON object, of which a version reads the fields that it knows.
//!
//! | field | |
//! | --- | --- |
//! | `proof` | the [identity point](crate::relay::replica::identity_point) that belongs to the cursor's place |
//! | `known` | the [databases](crate::relay::replica::known) that it is known to have |
//! | `at_copy` | of the pin of a rebuild: what [was there to be copied](crate::relay::replicator::copied) |
//! | `half_copied` | of the pin of a rebuild: haflux empties and fills the replica, and has not finished |
//! | `settled` | haflux ended well: nothing was under way to the replica, and nothing was in doubt |
//! | `allowance` | bytes that it may be behind beyond `max_backlog` until it has caught up: what came while it was rebuilt |
//! | `copied` | the newest record that may be in the data that was copied to it |
//! | `incarnation` | which of the nodes it is that were found at its address, one after the other ([tenure](crate::relay::tenure)) |
//! | `tried`, `set_aside`, `skips` | records that it leaves without a verdict ([attempts](crate::relay::replicator::attempts)) |
//!
//! Earlier versions kept refusals here, as a field or as a list alone. They are not read: such a cursor stands, and the record
//! of such a refusal is judged without it.

use bytes::Bytes;
use log::error;
use serde::{Deserialize, Serialize};

use crate::relay::replica::identity_point::IdentityPoint;
use crate::relay::replica::known::Known;
use crate::relay::replicator::attempts::SavedAttempts;
use crate::relay::replicator::copied::Contents;

/// What a cursor can carry.
const MAX_LENGTH: usize = 64 * 1024;

/// The metadata of one cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::relay) struct CursorMetadata {
    #[serde(rename = "proof", skip_serializing_if = "Option::is_none")]
    pub(in crate::relay) identity_point: Option<IdentityPoint>,
    #[serde(skip_serializing_if = "Known::is_empty")]
    pub(in crate::relay) known: Known,
    #[serde(skip_serializing_if = "Contents::is_empty")]
    pub(in crate::relay) at_copy: Contents,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::relay) half_copied: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::relay) settled: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::relay) allowance: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::relay) copied: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::relay) incarnation: u64,
    #[serde(flatten)]
    pub(in crate::relay) attempts: SavedAttempts,
}

// Serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl CursorMetadata {
    /// As it is kept; empty if it says nothing. If it does not fit, the identity point is left out.
    pub(in crate::relay) fn encode(mut self) -> Bytes {
        if self == CursorMetadata::default() {
            return Bytes::new();
        }
        loop {
            match serde_json::to_vec(&self) {
                Ok(text) if text.len() <= MAX_LENGTH => return Bytes::from(text),
                Ok(_) if !self.at_copy.is_empty() => self.at_copy = Contents::default(),
                Ok(_) if !self.known.is_empty() => self.known = Known::default(),
                Ok(_) if self.identity_point.is_some() => self.identity_point = None,
                Ok(text) => return Bytes::from(text),
                Err(error) => {
                    error!("the metadata of a cursor cannot be written: {error}");
                    return Bytes::new();
                }
            }
        }
    }

    /// Reads what [`CursorMetadata::encode`] wrote, or the list of the first versions, of which nothing is taken.
    ///
    /// # Errors
    /// It is neither.
    pub(in crate::relay) fn decode(metadata: &[u8]) -> Result<CursorMetadata, serde_json::Error> {
        match metadata.first() {
            None | Some(b'[') => Ok(CursorMetadata::default()),
            Some(_) => serde_json::from_slice(metadata),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::replica::identity_point::tests::record;

    #[test]
    fn a_restart_reads_what_was_kept() {
        let metadata = CursorMetadata {
            identity_point: IdentityPoint::of(&record("m v=1 5")),
            known: Known::default(),
            at_copy: Contents::default(),
            half_copied: true,
            settled: true,
            allowance: 7,
            copied: 6,
            incarnation: 3,
            attempts: SavedAttempts {
                tried: vec![(8, 2)],
                set_aside: vec![5],
                skips: vec![9],
            },
        };
        assert!(metadata.identity_point.is_some());
        assert_eq!(
            CursorMetadata::decode(&metadata.clone().encode()).expect("a note"),
            metadata
        );
        assert!(CursorMetadata::default().encode().is_empty());
        assert_eq!(
            CursorMetadata::decode(b"").expect("a note"),
            CursorMetadata::default()
        );
    }

    #[test]
    fn notes_of_other_versions_are_read_as_far_as_they_are_known() {
        let list = br#"[{"sequence":7,"status":400,"reason":"no"}]"#;
        assert_eq!(
            CursorMetadata::decode(list).expect("a note"),
            CursorMetadata::default()
        );
        let fields = br#"{"later":true,"refusals":[{"sequence":7}],"settled":true}"#;
        assert!(CursorMetadata::decode(fields).expect("a note").settled);
        assert!(CursorMetadata::decode(b"nonsense").is_err());
    }

    #[test]
    fn it_is_never_longer_than_a_cursor_can_carry() {
        let mut long = IdentityPoint::of(&record("m v=1 5")).expect("a point");
        long.database = "d".repeat(MAX_LENGTH);
        let metadata = CursorMetadata {
            identity_point: Some(long),
            allowance: 7,
            ..CursorMetadata::default()
        };
        let text = metadata.encode();
        assert!(text.len() <= MAX_LENGTH);
        let kept = CursorMetadata::decode(&text).expect("a note");
        assert_eq!((kept.identity_point, kept.allowance), (None, 7));
    }
}
