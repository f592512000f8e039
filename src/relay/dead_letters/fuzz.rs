//! What [`crate::fuzzing`] tries of files of refusals.

use super::header::LetterHeader;
use super::pending;

/// A file of a dead letter. What is read is written alike.
pub(crate) fn letter(bytes: &[u8]) {
    let Ok((header, length)) = LetterHeader::decode(bytes) else {
        return;
    };
    assert!(length <= bytes.len());
    let written = header.encode().expect("what was read fits");
    let (again, length) = LetterHeader::decode(&written).expect("what was written is read");
    assert_eq!(length, written.len());
    assert_eq!(again.encode().expect("it fits"), written);
}

/// A log of pending refusals.
pub(crate) fn pending(bytes: &[u8]) {
    pending::fuzz(bytes);
}
