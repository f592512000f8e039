//! A user of the status page and the password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// A user and the password, as HTTP's Basic authentication sends them. No view of it shows either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsUser {
    credentials: Secret,
}

impl StatsUser {
    /// Of `user:password`; nothing if either is missing.
    pub fn new(text: &str) -> Option<StatsUser> {
        let (user, password) = text.split_once(':')?;
        if user.is_empty() || password.is_empty() {
            return None;
        }
        let credentials = Secret::new(STANDARD.encode(text).as_bytes());
        Some(StatsUser { credentials })
    }

    /// Whether an `Authorization` header names this user and password. The time that it takes tells nothing of them.
    pub fn is_meant_by(&self, header: &[u8]) -> bool {
        let Some((scheme, credentials)) = header.split_at_checked(b"Basic ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Basic ") && self.credentials.is(credentials.trim_ascii())
    }
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
