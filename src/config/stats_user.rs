//! A user of the status page and the password.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake2::Blake2sMac;
use blake2::digest::consts::U32;
use blake2::digest::{CtOutput, Mac};

type Hash = Blake2sMac<U32>;

/// A user and the password, as HTTP's Basic authentication sends them. No view of it shows either.
#[derive(Clone)]
pub struct StatsUser {
    hash: CtOutput<Hash>,
}

impl StatsUser {
    /// Of `user:password`; nothing if either is missing.
    pub fn new(text: &str) -> Option<StatsUser> {
        let (user, password) = text.split_once(':')?;
        if user.is_empty() || password.is_empty() {
            return None;
        }
        let hash = hash_of(STANDARD.encode(text).as_bytes());
        Some(StatsUser { hash })
    }

    /// Whether an `Authorization` header names this user and password. The time that it takes tells nothing of them.
    pub fn is_meant_by(&self, header: &[u8]) -> bool {
        let Some((scheme, credentials)) = header.split_at_checked(b"Basic ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Basic ") && hash_of(credentials.trim_ascii()) == self.hash
    }
}

impl fmt::Debug for StatsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatsUser")
    }
}

/// A text of any length as one of 32 bytes, whose comparison takes the same time whatever is in it.
fn hash_of(text: &[u8]) -> CtOutput<Hash> {
    let mut hash = <Hash as Mac>::new(&Default::default());
    hash.update(text);
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_meant() {
        let user = StatsUser::new("admin:open:sesame").unwrap();
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(user.is_meant_by(header("admin:open:sesame").as_bytes()));
        assert!(
            user.is_meant_by(
                header("admin:open:sesame")
                    .replace("Basic", "basic")
                    .as_bytes()
            )
        );
        for wrong in [
            "admin:open",
            "admin:",
            "admin:open:sesame ",
            "Admin:open:sesame",
            "",
        ] {
            assert!(!user.is_meant_by(header(wrong).as_bytes()), "{wrong}");
        }
        for no_basic in ["", "Basic", "Bearer x", "Basic \u{e9}"] {
            assert!(!user.is_meant_by(no_basic.as_bytes()), "{no_basic}");
        }
        assert!(!format!("{user:?}").contains("sesame"));
        for nobody in ["", "admin", ":password", "admin:"] {
            assert!(StatsUser::new(nobody).is_none(), "{nobody}");
        }
    }
}
