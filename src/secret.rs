//! Something that others must not learn, to be compared with what they say.

use std::{fmt, io};

use blake2::Blake2sMac;
use blake2::digest::consts::U32;
use blake2::digest::{CtOutput, Mac};

use crate::random;

type Hash = Blake2sMac<U32>;

/// The hash of a secret. No view of it shows anything, and a comparison takes the same time whatever was said.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(CtOutput<Hash>);

impl Secret {
    /// Of these bytes, of any length.
    pub(crate) fn new(bytes: &[u8]) -> Secret {
        Secret(hash_of(bytes))
    }

    /// Whether these bytes are the secret.
    pub(crate) fn is(&self, said: &[u8]) -> bool {
        hash_of(said) == self.0
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

fn hash_of(bytes: &[u8]) -> CtOutput<Hash> {
    let mut hash = <Hash as Mac>::new(&Default::default());
    hash.update(bytes);
    hash.finalize()
}
