//! Something that others must not learn, to be compared with what they say.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::{array, fmt, io};

use blake2::Blake2sMac;
use blake2::digest::consts::U32;
use blake2::digest::{CtOutput, Mac};

use crate::random;

type Hash = Blake2sMac<U32>;

/// The key of all secrets that are hashed without one of their own: it is the same throughout the process, so that two of them can be
/// compared, and dies with it.
static OF_PROCESS: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::random().unwrap_or_else(|_| SecretKey::of_hash_tables()));

/// The keyed hash of a secret. No view of it shows anything, and a comparison takes the same time whatever was said.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(CtOutput<Hash>);

impl Secret {
    /// Of these bytes, of any length.
    pub(crate) fn new(bytes: &[u8]) -> Secret {
        OF_PROCESS.hash(&[bytes])
    }

    /// Whether these bytes are the secret.
    pub(crate) fn is(&self, said: &[u8]) -> bool {
        Secret::new(said) == *self
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key that this process has drawn and nobody learns. What is hashed with it can be compared, and tells nobody else anything.
pub(crate) struct SecretKey([u8; 32]);

impl SecretKey {
    /// Draws one.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(crate) fn random() -> io::Result<SecretKey> {
        random::bytes().map(SecretKey)
    }

    /// Of what the standard library has drawn for its hash tables, which it cannot do without.
    fn of_hash_tables() -> SecretKey {
        let drawn: [[u8; 8]; 4] = array::from_fn(|_| RandomState::new().hash_one(()).to_le_bytes());
        let mut bytes = drawn.as_flattened().iter().copied();
        SecretKey(array::from_fn(|_| bytes.next().unwrap_or_default()))
    }

    /// Of these bytes, one after the other.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> Secret {
        Secret(self.keyed(parts).finalize())
    }

    /// A number that the same bytes always have.
    pub(crate) fn number(&self, bytes: &[u8]) -> u64 {
        let hash = self.keyed(&[bytes]).finalize().into_bytes();
        let first = hash.first_chunk().copied();
        first.map(u64::from_le_bytes).unwrap_or_default()
    }

    fn keyed(&self, parts: &[&[u8]]) -> Hash {
        let mut hash = <Hash as Mac>::new(&self.0.into());
        parts.iter().for_each(|part| hash.update(part));
        hash
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hashed_with_a_key_of_this_process() {
        let secret = Secret::new(b"s3cret");
        assert!(secret == Secret::new(b"s3cret") && secret.is(b"s3cret"));
        assert!(!secret.is(b"s3cre") && secret != Secret::new(b"other"));
        assert!(secret != SecretKey([0; 32]).hash(&[b"s3cret"]));
    }
}
