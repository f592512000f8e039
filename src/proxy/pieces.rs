//! A body that is coming in.

use bytes::{Bytes, BytesMut};

/// The smallest and the largest piece of memory that a body grows by: never much more than has come.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 1024 * 1024;

/// The pieces of a body, in memory that grows with them.
#[derive(Default)]
pub(super) struct Pieces {
    /// The first piece, as long as it is the only one: a body in one piece is not copied.
    only: Bytes,
    /// All of it, if there are more.
    chunks: Vec<BytesMut>,
    length: usize,
}

impl Pieces {
    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if self.length == 0 {
            self.length = piece.len();
            self.only = piece;
            return;
        }
        let only = std::mem::take(&mut self.only);
        self.append(&only);
        self.append(&piece);
        self.length += piece.len();
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let size = self.length.clamp(SMALLEST, LARGEST);
            let chunk = match self.chunks.last_mut() {
                Some(chunk) if chunk.len() < chunk.capacity() => chunk,
                _ => {
                    self.chunks.push(BytesMut::with_capacity(size));
                    continue;
                }
            };
            let room = chunk.capacity() - chunk.len();
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            chunk.extend_from_slice(now);
            bytes = later;
        }
    }

    /// The whole body in one piece. The pieces are given back as they are copied, so that it is not in memory twice.
    pub(super) fn join(self) -> Bytes {
        let mut chunks = self.chunks.into_iter();
        let Some(first) = chunks.next() else {
            return self.only;
        };
        let Some(second) = chunks.next() else {
            return first.freeze();
        };
        let mut whole = BytesMut::with_capacity(self.length);
        for chunk in [first, second].into_iter().chain(chunks) {
            whole.extend_from_slice(&chunk);
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![1; 1000]);
        let mut pieces = Pieces::default();
        pieces.push(piece.clone());
        assert_eq!(pieces.join().as_ptr(), piece.as_ptr());
        assert!(Pieces::default().join().is_empty());
    }

    #[test]
    fn memory_follows_the_bytes() {
        let mut pieces = Pieces::default();
        for _ in 0..5_000_000 {
            pieces.push(Bytes::from_static(b"x"));
            let held: usize = pieces.chunks.iter().map(BytesMut::capacity).sum();
            assert!(held <= 2 * pieces.length() + SMALLEST && held <= pieces.length() + LARGEST);
        }
        assert_eq!(pieces.join().len(), 5_000_000);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..20)) {
            let mut pieces = Pieces::default();
            for part in &parts {
                pieces.push(Bytes::copy_from_slice(part));
            }
            prop_assert_eq!(pieces.length(), parts.concat().len());
            prop_assert_eq!(pieces.join(), parts.concat());
        }
    }
}
