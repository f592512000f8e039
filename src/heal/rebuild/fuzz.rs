//! What [`crate::fuzzing`] tries of the files of a shard.

use super::shard_tar::{Held, ShardTar, Step};

/// A tar that a node sends: the pieces in which it comes make no difference.
pub(crate) fn shard_tar(bytes: &[u8]) {
    let Some((length, tar)) = bytes.split_first() else {
        return;
    };
    let whole = through(tar, tar.len().max(1));
    assert_eq!(through(tar, usize::from(*length) + 1), whole);
}

/// What is sent on, and of how many files; whether it ends well.
fn through(mut left: &[u8], length: usize) -> (Vec<u8>, Held, bool) {
    let mut reader = ShardTar::new("d/p/1");
    let mut sent = Vec::new();
    while !left.is_empty() {
        let (piece, _) = left.split_at_checked(length).unwrap_or((left, &[]));
        let Ok((taken, step)) = reader.take(piece) else {
            return (sent, reader.sent(), false);
        };
        match step {
            Step::Nothing => {}
            Step::Same => sent.extend_from_slice(piece.get(..taken).expect("no more than came")),
            Step::Instead(bytes) => sent.extend_from_slice(&bytes),
            Step::Deleted | Step::End => break,
        }
        left = left.get(taken..).unwrap_or_default();
    }
    (sent, reader.sent(), true)
}
