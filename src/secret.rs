//! Something that others must not learn, to be compared with what they say.

use std::fmt;

use blake2::Blake2sMac;
use blake2::digest::consts::U32;
use blake2::digest::{CtOutput, Mac};

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

fn hash_of(bytes: &[u8]) -> CtOutput<Hash> {
    let mut hash = <Hash as Mac>::new(&Default::default());
    hash.update(bytes);
    hash.finalize()
}
