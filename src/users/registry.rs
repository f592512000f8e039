//! The users of a file, and the checks of what clients say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::error::UsersError;
use super::file::{self, Listed};
use super::password::PasswordHash;
use super::settings::UserSettings;
use super::token::TokenHash;
use crate::secret::{Secret, SecretKey};
use crate::small_file;

/// The users of a file as it was read. A reload makes new ones, which remember nothing.
#[derive(Debug)]
pub struct Users {
    passwords: HashMap<Arc<str>, Password>,
    tokens: HashMap<TokenHash, Arc<str>>,
    /// By names in certificates, in lower case.
    certificates: HashMap<String, Arc<str>>,
    /// What the names that nobody has are checked against.
    decoys: Vec<Arc<PasswordHash>>,
    key: SecretKey,
    remember_for: Duration,
    turns: Arc<Semaphore>,
    /// Of the file.
    content: Secret,
}

/// A user's password.
#[derive(Debug)]
struct Password {
    hash: Arc<PasswordHash>,
    /// The keyed hash of name and password that were right, and until when that is remembered.
    right: Mutex<Option<(Secret, Instant)>>,
}

impl Users {
    /// Reads the file of `settings`.
    ///
    /// # Errors
    /// It cannot be read, or a line of it means nothing.
    pub fn read(settings: &UserSettings) -> Result<Users, UsersError> {
        let bytes = small_file::read(&settings.file, file::LARGEST)?;
        let Listed {
            passwords,
            tokens,
            certificates,
        } = file::parse(&settings.file, &bytes)?;
        let key = SecretKey::random().map_err(|error| UsersError::NoKey {
            reason: error.to_string(),
        })?;
        let decoys = passwords.values().map(|(hash, _)| Arc::clone(hash));
        Ok(Users {
            decoys: decoys.collect(),
            passwords: passwords
                .into_iter()
                .map(|(name, (hash, _))| {
                    let right = Mutex::new(None);
                    (name, Password { hash, right })
                })
                .collect(),
            tokens: tokens
                .into_iter()
                .map(|(token, (user, _))| (token, user))
                .collect(),
            certificates: certificates
                .into_iter()
                .map(|(name, (user, _))| (name, user))
                .collect(),
            key,
            remember_for: settings.remember_for,
            turns: Arc::new(Semaphore::new(settings.at_once)),
            content: Secret::new(&bytes),
        })
    }

    /// Whether the file held the same.
    pub fn are_same(&self, other: &Users) -> bool {
        self.content == other.content
    }

    /// Whose token this is.
    pub fn with_token(&self, token: &[u8]) -> Option<Arc<str>> {
        self.tokens.get(&TokenHash::of(token)).cloned()
    }

    /// Who has a certificate that is made out to one of these names.
    pub fn with_certificate(&self, names: &[String]) -> Option<Arc<str>> {
        let known = |name: &String| self.certificates.get(&name.to_ascii_lowercase());
        names.iter().find_map(known).cloned()
    }

    /// The user of this name, if a check of this password is remembered.
    pub fn remembered(&self, name: &str, password: &[u8]) -> Option<Arc<str>> {
        let (user, known) = self.passwords.get_key_value(name)?;
        let said = self.keyed(name, password);
        let right = known.right.lock();
        let (right, until) = right.as_ref()?;
        (*right == said && Instant::now() < *until).then(|| Arc::clone(user))
    }

    /// The user of this name, if this is the password. Takes as long as the user's hash wants, on a thread of its own, once it has its
    /// turn; as long for a name that nobody has.
    pub async fn check(&self, name: &str, password: &[u8]) -> Option<Arc<str>> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        // Many connections of one client come at once: the first that had its turn did the work.
        if let Some(user) = self.remembered(name, password) {
            return Some(user);
        }
        let known = self.passwords.get_key_value(name);
        let hash = match known {
            Some((_, known)) => Arc::clone(&known.hash),
            None => self.decoy(name)?,
        };
        let said = password.to_vec();
        let checking = tokio::task::spawn_blocking(move || {
            // Kept although the client may be gone: the check goes on without it.
            let _turn = turn;
            hash.is_of(&said)
        });
        let is_right = checking.await.unwrap_or(false);
        let (user, known) = known.filter(|_| is_right)?;
        let until = Instant::now() + self.remember_for;
        *known.right.lock() = Some((self.keyed(name, password), until));
        Some(Arc::clone(user))
    }

    /// Somebody's hash, the same for the same name.
    fn decoy(&self, name: &str) -> Option<Arc<PasswordHash>> {
        let count = u64::try_from(self.decoys.len()).ok()?;
        let place = self.key.number(name.as_bytes()).checked_rem(count)?;
        self.decoys.get(usize::try_from(place).ok()?).cloned()
    }

    fn keyed(&self, name: &str, password: &[u8]) -> Secret {
        // No name holds a NUL.
        self.key.hash(&[name.as_bytes(), b"\0", password])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{Token, hash_password};

    fn users(text: &str, remember_for: Duration) -> Users {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users");
        std::fs::write(&file, text).unwrap();
        let settings = UserSettings {
            file,
            remember_for,
            at_once: 1,
            max_waiting: 4,
            max_failures: 30,
        };
        Users::read(&settings).unwrap()
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_and_nothing_else() {
        let hash = bcrypt::hash("sesame", 4).unwrap();
        let users = users(
            &format!("eva:{hash}\nadam:{hash}\n"),
            Duration::from_secs(60),
        );
        assert_eq!(users.remembered("eva", b"sesame"), None);
        assert_eq!(users.check("eva", b"wrong").await, None);
        assert_eq!(users.check("nobody", b"sesame").await, None);
        assert_eq!(users.check("eva", b"sesame").await.as_deref(), Some("eva"));
        assert_eq!(users.remembered("eva", b"sesame").as_deref(), Some("eva"));
        for (name, password) in [("eva", "wrong"), ("adam", "sesame"), ("nobody", "sesame")] {
            assert_eq!(users.remembered(name, password.as_bytes()), None, "{name}");
        }
        let shown = format!("{users:?}");
        assert!(
            !shown.contains("sesame") && !shown.contains("$2"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn what_is_remembered_is_forgotten() {
        let hash = bcrypt::hash("sesame", 4).unwrap();
        let users = users(&format!("eva:{hash}\n"), Duration::ZERO);
        assert!(users.check("eva", b"sesame").await.is_some());
        assert_eq!(users.remembered("eva", b"sesame"), None);
    }

    #[test]
    fn tokens_and_certificates_are_those_of_their_users() {
        let token = Token::draw().unwrap();
        let text = format!("eva:{}\nadam:$certificate$Adam.Example\n", token.proof());
        let users = users(&text, Duration::ZERO);
        assert_eq!(
            users.with_token(token.text().as_bytes()).as_deref(),
            Some("eva")
        );
        assert_eq!(users.with_token(b"").as_deref(), None);
        let names = ["x".to_owned(), "aDam.example".to_owned()];
        assert_eq!(users.with_certificate(&names).as_deref(), Some("adam"));
        assert_eq!(users.with_certificate(&names[..1]), None);
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_checked_all_the_same() {
        let hash = hash_password(b"sesame").unwrap();
        let users = users(&format!("eva:{hash}\n"), Duration::ZERO);
        let took = async |name: &str| {
            let begun = Instant::now();
            assert!(users.check(name, b"wrong").await.is_none());
            begun.elapsed()
        };
        let (known, unknown) = (took("eva").await, took("nobody").await);
        assert!(
            unknown > known / 100,
            "a name that nobody has is told by the time: {unknown:?} beside {known:?}"
        );
        let decoy = |name| Arc::as_ptr(&users.decoy(name).unwrap());
        assert_eq!(decoy("nobody"), decoy("nobody"));
    }
}
