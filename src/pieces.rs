//! A body that is coming in.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// The smallest and the largest piece of memory that a body grows by: never much more than has come.
const SMALLEST: usize = 4 * 1024;
const LARGEST: usize = 1024 * 1024;

/// The pieces of a body, in memory that grows with them.
#[derive(Default)]
pub struct Pieces {
    /// The first piece, as long as it is the only one: a body in one piece is not copied. Later, what stands before the chunks.
    only: Bytes,
    /// All of it, if there are more.
    chunks: VecDeque<BytesMut>,
    length: usize,
}

impl From<Bytes> for Pieces {
    fn from(whole: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(whole);
        pieces
    }
}

impl Pieces {
    /// Bytes so far.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The bytes, piece by piece.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let chunks = self.chunks.iter().map(|chunk| &chunk[..]);
        std::iter::once(&self.only[..]).chain(chunks)
    }

    /// Adds what came next.
    pub fn push(&mut self, piece: Bytes) {
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
            let chunk = match self.chunks.back_mut() {
                Some(chunk) if chunk.len() < chunk.capacity() => chunk,
                _ => {
                    self.chunks.push_back(BytesMut::with_capacity(size));
                    continue;
                }
            };
            let room = chunk.capacity() - chunk.len();
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            chunk.extend_from_slice(now);
            bytes = later;
        }
    }

    /// What came first, `most` bytes of it at most and one mebibyte; `None` if there is nothing left. Its memory is given back
    /// with it.
    pub fn take_first(&mut self, most: usize) -> Option<Bytes> {
        if self.only.is_empty() {
            self.only = self.chunks.pop_front()?.freeze();
        }
        let most = most.max(1).min(self.only.len());
        let first = self.only.split_to(most);
        self.length = self.length.saturating_sub(first.len());
        Some(first)
    }

    /// The whole body in one piece. The pieces are given back as they are copied, so that it is not in memory twice.
    pub fn join(self) -> Bytes {
        if self.chunks.is_empty() {
            return self.only;
        }
        let mut whole = BytesMut::with_capacity(self.length);
        whole.extend_from_slice(&self.only);
        drop(self.only);
        for chunk in self.chunks {
            if whole.is_empty() && chunk.len() == self.length {
                return chunk.freeze();
            }
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
        fn nothing_is_lost(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..20), most in 1_usize..9000) {
            let mut pieces = Pieces::default();
            for part in &parts {
                pieces.push(Bytes::copy_from_slice(part));
            }
            let whole = parts.concat();
            prop_assert_eq!(pieces.length(), whole.len());
            prop_assert_eq!(&pieces.parts().collect::<Vec<_>>().concat(), &whole);
            let first = pieces.take_first(most).unwrap_or_default();
            prop_assert!(first.len() <= most);
            prop_assert_eq!(pieces.length(), whole.len() - first.len());
            prop_assert_eq!([first, pieces.join()].concat(), whole);
        }
    }
}
