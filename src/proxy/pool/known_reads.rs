//! Which reads have been answered before: only such a read is tried on another server when one ended, or went silent and was
//! marked down, while it ran.
//!
//! A read can end a server: by its form, or because of what it makes the server hold. From here that looks like a server that
//! was killed while innocent reads were under way. A read that ended one server must not be handed to the next; an innocent one
//! should be, so that nobody notices that a node died. What tells them apart is that innocent reads come again and again: the
//! same text, but for its times, has been answered lately, and its answer has always begun within a moment ([`QUICK`]). So a
//! read is innocent if its server ended, or answered anything for the last time, within that moment of getting it.
//!
//! The table has a fixed size and holds keyed hashes. A newer read takes the place of an older one with the same slot; then the
//! older one is unknown until it is answered again, which is the safe side.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A read that has waited for longer when its server ends may be what ended it.
pub(in crate::proxy) const QUICK: Duration = Duration::from_secs(1);

/// A larger request is never known.
pub(in crate::proxy) const LARGEST: usize = 16 * 1024;

/// So many digits in a row are a time in seconds or a smaller unit, and may differ.
const DIGITS_OF_TIMES: usize = 10;

const SLOTS: usize = 4096;

/// The table.
#[derive(Debug)]
pub(in crate::proxy) struct KnownReads {
    key: RandomState,
    slots: Box<[AtomicU64]>,
}

/// A read as the table knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Shape(u64);

impl Default for KnownReads {
    fn default() -> Self {
        Self {
            key: RandomState::new(),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl KnownReads {
    /// What is known a request with this target and body by; nothing if it is too large.
    pub(in crate::proxy) fn shape(&self, target: &[u8], body: &[u8]) -> Option<Shape> {
        if target.len().saturating_add(body.len()) > LARGEST {
            return None;
        }
        let mut hasher = self.key.build_hasher();
        for text in [target, body] {
            without_times(text, |piece| hasher.write(piece));
            hasher.write_u8(0xff);
        }
        // No slot that is empty is like a shape.
        Some(Shape(hasher.finish() | 1))
    }

    /// It was answered.
    pub(in crate::proxy) fn answered(&self, shape: Shape) {
        if let Some(slot) = self.slot(shape) {
            slot.store(shape.0, Ordering::Relaxed);
        }
    }

    /// Whether one like it was answered.
    pub(in crate::proxy) fn knows(&self, shape: Shape) -> bool {
        let slot = self.slot(shape);
        slot.is_some_and(|slot| slot.load(Ordering::Relaxed) == shape.0)
    }

    fn slot(&self, shape: Shape) -> Option<&AtomicU64> {
        let index = (shape.0 >> 1) % (SLOTS as u64);
        self.slots.get(usize::try_from(index).ok()?)
    }
}

/// Hands on the pieces of a text, with a `t` for each time. Of as many digits in a row as a time has, at least one is looked at.
fn without_times(text: &[u8], mut take: impl FnMut(&[u8])) {
    let is_other = |byte: &u8| !byte.is_ascii_digit();
    let mut taken = 0;
    let mut at = DIGITS_OF_TIMES - 1;
    while let Some((before, behind)) = text.split_at_checked(at)
        && let Some(byte) = behind.first()
    {
        if byte.is_ascii_digit() {
            let start = before
                .iter()
                .rposition(is_other)
                .map_or(0, |other| other + 1);
            let end = at + behind.iter().position(is_other).unwrap_or(behind.len());
            if end - start >= DIGITS_OF_TIMES {
                take(text.get(taken..start).unwrap_or_default());
                take(b"t");
                taken = end;
            }
            at = end;
        }
        at += DIGITS_OF_TIMES;
    }
    take(text.get(taken..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn every_time_is_found(text in "([0-9]{8,11}|[0-9]{1,25}|[a-c=&]{1,3}){0,12}") {
            let mut found = Vec::new();
            without_times(text.as_bytes(), |piece| found.extend_from_slice(piece));
            let runs = text.as_bytes().chunk_by(|one, next| one.is_ascii_digit() == next.is_ascii_digit());
            let expected: Vec<u8> = runs
                .flat_map(|run| if run.len() >= DIGITS_OF_TIMES && run[0].is_ascii_digit() { b"t" } else { run })
                .copied()
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn times_may_differ_and_nothing_else() {
        let known = KnownReads::default();
        let shape = |body: &str| known.shape(b"/query?db=d", body.as_bytes()).unwrap();
        let first = shape("q=SELECT v FROM m WHERE time > 1700000000000ms LIMIT 10");
        assert!(!known.knows(first));
        known.answered(first);
        assert!(known.knows(shape(
            "q=SELECT v FROM m WHERE time > 1700000099999ms LIMIT 10"
        )));
        for other in [
            "q=SELECT v FROM m WHERE time > 1700000000000ms LIMIT 11",
            "q=SELECT v FROM m WHERE time > 1700000000000ms LIMIT 1000",
            "q=SELECT w FROM m WHERE time > 1700000000000ms LIMIT 10",
            "",
        ] {
            assert!(!known.knows(shape(other)), "{other}");
        }
        assert_ne!(known.shape(b"a", b"b"), known.shape(b"ab", b""));
        assert_eq!(known.shape(b"/query", &[b'('; LARGEST]), None);
    }
}
