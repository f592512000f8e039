//! Hashes of passwords: bcrypt's and Argon2's.

use std::fmt;

use argon2::password_hash::{
    PasswordHash as Phc, PasswordHashString, PasswordHasher, PasswordVerifier, SaltString,
};
use argon2::{Algorithm, Argon2, Params};
use base64::Engine;
use bcrypt::{BASE_64, HashParts};
use thiserror::Error;

use super::error::LineFault;
use crate::random;

/// bcrypt's name in messages.
const BCRYPT: &str = "bcrypt";

/// Argon2's name in messages.
const ARGON2: &str = "Argon2";

/// The costs of bcrypt that are taken. 16 takes some seven seconds of a core.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// The most memory that a check with Argon2 may take, in KiB.
const MOST_MEMORY: u32 = 256 << 10;

/// The most passes over it.
const MOST_PASSES: u32 = 32;

/// A hash that a password can be checked against. No view of it shows anything.
pub(super) enum PasswordHash {
    Bcrypt(String),
    Argon2(PasswordHashString),
}

impl PasswordHash {
    /// As it stands in a file.
    ///
    /// # Errors
    /// It is of no kind that is known, not whole, or too costly.
    pub(super) fn parse(text: &str) -> Result<Self, LineFault> {
        if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|one| text.starts_with(one))
        {
            return Self::bcrypt(text);
        }
        if text.starts_with("$argon2") {
            return Self::argon2(text);
        }
        Err(LineFault::Kind)
    }

    fn bcrypt(text: &str) -> Result<Self, LineFault> {
        const MALFORMED: LineFault = LineFault::Malformed { algorithm: BCRYPT };
        let parts: HashParts = text.parse().map_err(|_| MALFORMED)?;
        if !COSTS.contains(&parts.get_cost()) {
            return Err(LineFault::Cost {
                algorithm: BCRYPT,
                cost: "a cost from 4 to 16",
            });
        }
        // Salt and hash are the last 53 characters.
        let (salt, hash) = text
            .len()
            .checked_sub(53)
            .and_then(|start| text.get(start..)?.split_at_checked(22))
            .ok_or(MALFORMED)?;
        let is_whole = |text: &str, bytes: usize| {
            BASE_64
                .decode(text)
                .is_ok_and(|decoded| decoded.len() == bytes)
        };
        match is_whole(salt, 16) && is_whole(hash, 23) {
            true => Ok(Self::Bcrypt(text.to_owned())),
            false => Err(MALFORMED),
        }
    }

    fn argon2(text: &str) -> Result<Self, LineFault> {
        const MALFORMED: LineFault = LineFault::Malformed { algorithm: ARGON2 };
        let hash = PasswordHashString::new(text).map_err(|_| MALFORMED)?;
        let parts = hash.password_hash();
        let params = Params::try_from(&parts).map_err(|_| MALFORMED)?;
        Algorithm::try_from(parts.algorithm).map_err(|_| MALFORMED)?;
        if parts.hash.is_none() || parts.salt.is_none() {
            return Err(MALFORMED);
        }
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
            return Err(LineFault::Cost {
                algorithm: ARGON2,
                cost: "256 MiB (m=262144) and 32 passes (t=32) at most",
            });
        }
        Ok(Self::Argon2(hash))
    }

    /// Whether the password is the one that was hashed. Takes as long as the hash wants.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => {
                let parts: Phc<'_> = hash.password_hash();
                Argon2::default().verify_password(password, &parts).is_ok()
            }
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// Why a password was not hashed.
#[derive(Debug, Error)]
pub enum HashError {
    /// The operating system gives no salt.
    #[error("the operating system gives no random bytes: {0}")]
    NoSalt(#[from] std::io::Error),
    /// The library refuses it.
    #[error("the password cannot be hashed: {0}")]
    Refused(argon2::password_hash::Error),
}

/// What stands behind a user's name in the file for this password: its hash by Argon2id with a new salt, 19 MiB of memory and two
/// passes, as OWASP recommends.
///
/// # Errors
/// [`HashError`].
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    let salt = SaltString::encode_b64(&random::bytes::<16>()?).map_err(HashError::Refused)?;
    let hash = Argon2::default().hash_password(password, &salt);
    Ok(hash.map_err(HashError::Refused)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_of_a_hash() {
        for hash in [
            // By the C library's crypt(3).
            "$2y$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy".to_owned(),
            bcrypt::hash("open sesame", 4).unwrap(),
            hash_password(b"open sesame").unwrap(),
        ] {
            let parsed = PasswordHash::parse(&hash).unwrap();
            assert!(parsed.is_of(b"open sesame"), "{hash}");
            for wrong in ["", "open", "open sesame ", "Open sesame"] {
                assert!(!parsed.is_of(wrong.as_bytes()), "{wrong}");
            }
            assert!(!format!("{parsed:?}").contains('$'));
        }
    }
}
