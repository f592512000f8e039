//! What is kept with a replica's cursor: a JSON object, of which a version reads the fields that it knows.
//!
//! | field | |
//! | --- | --- |
//! | `refusals` | its refusals that wait for another replica's verdict |
//! | `proof` | the [proof](super::proof) that belongs to the cursor's place |
//! | `known` | the [databases](super::known) that it is known to have |
//! | `at_copy` | of the pin of a rebuild: what [was there to be copied](super::copied) |
//! | `settled` | haflux ended well: nothing was under way to the replica, and nothing was in doubt |
//! | `allowance` | bytes that it may be behind beyond `max_backlog` until it has caught up: what came while it was rebuilt |
//! | `tried`, `set_aside`, `skips` | records that it leaves without a verdict ([attempts](super::attempts)) |
//!
//! The first versions wrote the list of refusals alone.

use bytes::Bytes;
use log::error;
use serde::{Deserialize, Serialize};

use super::attempts::SavedAttempts;
use super::copied::Contents;
use super::known::Known;
use super::proof::Proof;

/// What a cursor can carry.
const MAX_LENGTH: usize = 64 * 1024;

/// The note of one cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) refusals: Vec<NotedRefusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Proof>,
    #[serde(skip_serializing_if = "Known::is_empty")]
    pub(super) known: Known,
    #[serde(skip_serializing_if = "Contents::is_empty")]
    pub(super) at_copy: Contents,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) settled: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) allowance: u64,
    #[serde(flatten)]
    pub(super) attempts: SavedAttempts,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedRefusal {
    /// The record.
    pub sequence: u64,
    /// The status that the replica answered with.
    pub status: u16,
    /// Its words, shortened.
    pub reason: String,
}

// Serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Note {
    /// As it is kept; empty if it says nothing. What does not fit is left out, the newest refusals first.
    pub(super) fn encode(mut self) -> Bytes {
        if self == Note::default() {
            return Bytes::new();
        }
        loop {
            match serde_json::to_vec(&self) {
                Ok(text) if text.len() <= MAX_LENGTH => return Bytes::from(text),
                Ok(_) if !self.refusals.is_empty() => {
                    self.refusals.truncate(self.refusals.len() / 2);
                }
                Ok(_) if !self.at_copy.is_empty() => self.at_copy = Contents::default(),
                Ok(_) if !self.known.is_empty() => self.known = Known::default(),
                Ok(_) => self.proof = None,
                Err(error) => {
                    error!("the note of a cursor cannot be written: {error}");
                    return Bytes::new();
                }
            }
        }
    }

    /// Reads what [`Note::encode`] wrote, or the list of the first versions.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn decode(note: &[u8]) -> Result<Note, serde_json::Error> {
        match note.first() {
            None => Ok(Note::default()),
            Some(b'[') => Ok(Note {
                refusals: serde_json::from_slice(note)?,
                ..Note::default()
            }),
            Some(_) => serde_json::from_slice(note),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proof::tests::record;
    use super::*;

    fn refusal(sequence: u64, reason: &str) -> NotedRefusal {
        NotedRefusal {
            sequence,
            status: 400,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn a_restart_reads_what_was_kept() {
        let note = Note {
            refusals: vec![refusal(7, "no")],
            proof: Proof::of(&record("m v=1 5")),
            known: Known::default(),
            at_copy: Contents::default(),
            settled: true,
            allowance: 7,
            attempts: SavedAttempts {
                tried: vec![(8, 2)],
                set_aside: vec![5],
                skips: vec![9],
            },
        };
        assert!(note.proof.is_some());
        assert_eq!(Note::decode(&note.clone().encode()).expect("a note"), note);
        assert!(Note::default().encode().is_empty());
        assert_eq!(Note::decode(b"").expect("a note"), Note::default());
    }

    #[test]
    fn the_first_versions_list_and_fields_to_come_are_read() {
        let old = br#"[{"sequence":7,"status":400,"reason":"no"}]"#;
        let note = Note::decode(old).expect("a note");
        assert_eq!((note.refusals, note.proof), (vec![refusal(7, "no")], None));
        let new = br#"{"later":true,"refusals":[{"sequence":7,"status":400,"reason":"no"}]}"#;
        let note = Note::decode(new).expect("a note");
        assert_eq!(note.refusals, [refusal(7, "no")]);
        assert!(Note::decode(b"nonsense").is_err());
    }

    #[test]
    fn it_is_never_longer_than_a_cursor_can_carry() {
        let note = Note {
            refusals: vec![refusal(u64::MAX, &"\u{1}".repeat(200)); 200],
            proof: Proof::of(&record("m v=1 5")),
            known: Known::default(),
            at_copy: Contents::default(),
            settled: false,
            allowance: 0,
            attempts: SavedAttempts::default(),
        };
        let text = note.encode();
        assert!(text.len() <= MAX_LENGTH);
        let kept = Note::decode(&text).expect("a note");
        assert!(kept.proof.is_some() && kept.refusals.len() >= 25);
    }
}
