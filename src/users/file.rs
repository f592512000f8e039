//! The file of users: a line each, `NAME:HASH`, as Apache's htpasswd writes them.
//!
//! | line | how its user is known |
//! | --- | --- |
//! | `NAME:$2y$10$…` (or `$2a$`, `$2b$`) | by a password, hashed with bcrypt, which looks at its first 72 bytes |
//! | `NAME:$argon2id$v=19$…` (or `$argon2i$`, `$argon2d$`) | by a password, hashed with Argon2 |
//! | `NAME:$token$HEX` | by a token, of which this is BLAKE2s-256 |
//! | `NAME:$certificate$OTHER` | by a client certificate that is made out to `OTHER` |
//!
//! Empty lines and those that begin with `#` count for nothing. A user may have one password, and any number of the others.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::error::{LineFault, UsersError};
use super::password::PasswordHash;
use super::token::TokenHash;

/// The largest file that is read, in bytes: some ten thousand users.
pub(super) const LARGEST: u64 = 1 << 20;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

/// What a file says, and which line says it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// By names of users.
    pub(super) passwords: HashMap<Arc<str>, (Arc<PasswordHash>, usize)>,
    /// The users of tokens.
    pub(super) tokens: HashMap<TokenHash, (Arc<str>, usize)>,
    /// The users of names in certificates, in lower case.
    pub(super) certificates: HashMap<String, (Arc<str>, usize)>,
}

/// Understands what the file at `path` holds.
///
/// # Errors
/// The first line that means nothing.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Listed, UsersError> {
    let mut listed = Listed::default();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).map_err(|_| UsersError::NotUtf8 {
            path: path.to_owned(),
            line: number,
        })?;
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        listed.add(line, number).map_err(|fault| UsersError::Line {
            path: path.to_owned(),
            line: number,
            fault,
        })?;
    }
    Ok(listed)
}

/// Whether a user may have this name.
pub fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && !name.contains(|letter: char| letter == ':' || letter.is_control())
        && !name.starts_with('#')
        && name.trim() == name
}

impl Listed {
    fn add(&mut self, line: &str, number: usize) -> Result<(), LineFault> {
        let (name, proof) = line.split_once(':').ok_or(LineFault::NotAPair)?;
        if !is_name(name) || proof.is_empty() {
            return Err(LineFault::NotAPair);
        }
        let name: Arc<str> = Arc::from(name);
        if let Some(token) = proof.strip_prefix("$token$") {
            let token = TokenHash::parse(token).ok_or(LineFault::Token)?;
            return note(&mut self.tokens, token, (name, number));
        }
        if let Some(other) = proof.strip_prefix("$certificate$") {
            let other = other.trim().to_ascii_lowercase();
            if other.is_empty() {
                return Err(LineFault::Certificate);
            }
            return note(&mut self.certificates, other, (name, number));
        }
        let hash = Arc::new(PasswordHash::parse(proof)?);
        if let Some((_, first)) = self.passwords.get(&name) {
            return Err(LineFault::SecondPassword { first: *first });
        }
        self.passwords.insert(name, (hash, number));
        Ok(())
    }
}

fn note<Key: Eq + std::hash::Hash>(
    all: &mut HashMap<Key, (Arc<str>, usize)>,
    key: Key,
    user: (Arc<str>, usize),
) -> Result<(), LineFault> {
    if let Some((_, first)) = all.get(&key) {
        return Err(LineFault::Twice { first: *first });
    }
    all.insert(key, user);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy";
    const TOKEN: &str = "$token$000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn fault(text: &str) -> Option<String> {
        let parsed = parse(Path::new("/etc/users"), text.as_bytes());
        parsed.err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let text = format!(
            "# people\n\nadmin:{BCRYPT}\r\nadmin:{TOKEN}\nadmin:$certificate$Admin.Example\nö b:$certificate$b\n"
        );
        let listed = parse(Path::new("/etc/users"), text.as_bytes()).unwrap();
        assert_eq!(listed.passwords.len(), 1);
        assert_eq!(listed.tokens.len(), 1);
        let user = |name: &str| listed.certificates.get(name).map(|(user, _)| &**user);
        assert_eq!(user("admin.example"), Some("admin"));
        assert_eq!(user("b"), Some("ö b"));
    }

    #[test]
    fn an_error_names_the_line_and_shows_nothing_of_it() {
        let long = "x".repeat(256);
        for (line, expected) in [
            ("secret", "NAME:HASH"),
            (":secret", "NAME:HASH"),
            ("secret:", "NAME:HASH"),
            (&format!("{long}:{BCRYPT}"), "NAME:HASH"),
            ("secret\u{1}:x", "NAME:HASH"),
            (" secret:x", "NAME:HASH"),
            ("a:secret", "bcrypt ($2y$…)"),
            ("a:$apr1$secret$", "bcrypt ($2y$…)"),
            ("a:{SHA}secret", "bcrypt ($2y$…)"),
            ("a:$2y$04$secret", "a whole hash by bcrypt"),
            (
                "a:$2y$31$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy",
                "a cost from 4 to 16",
            ),
            ("a:$argon2id$secret", "a whole hash by Argon2"),
            (
                "a:$argon2id$v=19$m=9000000,t=2,p=1$c2FsdHNhbHQ$c2VjcmV0c2VjcmV0c2VjcmV0",
                "256 MiB",
            ),
            ("a:$token$secret", "64 hexadecimal digits"),
            ("a:$certificate$", "the name in a client's certificate"),
            (
                &format!("b:{BCRYPT}"),
                "has a password in line 2; expected one",
            ),
            (&format!("c:{TOKEN}"), "stands in line 3 already"),
        ] {
            let text = format!("#\nb:{BCRYPT}\nb:{TOKEN}\n{line}\n");
            let said = fault(&text).unwrap_or_else(|| panic!("{line}"));
            assert!(said.starts_with("/etc/users, line 4: "), "{said}");
            assert!(said.contains(expected), "{line}: {said}");
            assert!(
                !said.contains("secret") && !said.contains("c2VjcmV0"),
                "{said}"
            );
        }
        let latin = parse(Path::new("/etc/users"), b"\na\xff:b").unwrap_err();
        assert_eq!(latin.to_string(), "/etc/users, line 2: not UTF-8");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(name in "[a:#$ ]{0,4}", proof in r"\$(2y\$|argon2id\$|token\$|certificate\$)[v=19m,tp$0-9a-zA-Z/.]{0,60}|.{0,40}") {
            let _ = fault(&format!("{name}:{proof}"));
        }
    }
}
