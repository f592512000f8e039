//! Who is known on one server by another account than on the rest of its pool.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use http::HeaderValue;

use crate::influx::{Account, Credentials};

/// Accounts of one server, by the `Authorization` of those in whose place they are. `Debug` shows no secrets.
#[derive(Default)]
pub struct OwnAccounts {
    by_authorization: HashMap<Vec<u8>, Own>,
}

struct Own {
    /// The name of the account in whose place it is.
    of_pool: String,
    account: Account,
    authorization: HeaderValue,
}

impl OwnAccounts {
    /// The second of each pair is in the place of the first. Of several pairs with the same first account, the last one counts.
    pub fn new(pairs: impl IntoIterator<Item = (Account, Account)>) -> Self {
        let each = pairs.into_iter().filter_map(|(replaced, account)| {
            // Base64 is fit for a header.
            let mut authorization = HeaderValue::from_str(&account.header()).ok()?;
            authorization.set_sensitive(true);
            let own = Own {
                of_pool: replaced.username().to_owned(),
                account,
                authorization,
            };
            Some((replaced.header().into_bytes(), own))
        });
        Self {
            by_authorization: each.collect(),
        }
    }

    /// Whether everybody has the same account as on the other servers.
    pub fn is_empty(&self) -> bool {
        self.by_authorization.is_empty()
    }

    /// Whether both have the same accounts in the place of those of the same names.
    pub fn are_same(&self, other: &Self) -> bool {
        let sorted = |all: &Self| {
            let each = all.by_authorization.values();
            let mut pairs: Vec<_> = each
                .map(|own| (own.of_pool.clone(), own.account.header()))
                .collect();
            pairs.sort();
            pairs
        };
        sorted(self) == sorted(other)
    }

    /// By the names of those in whose place they are.
    pub(super) fn by_names(&self) -> BTreeMap<String, Account> {
        let each = self.by_authorization.values();
        each.map(|own| (own.of_pool.clone(), own.account.clone()))
            .collect()
    }

    /// The `Authorization` in the place of this one.
    pub(super) fn authorization(&self, of_pool: &[u8]) -> Option<HeaderValue> {
        let own = self.by_authorization.get(of_pool)?;
        Some(own.authorization.clone())
    }

    /// The account in the place of this one.
    pub(super) fn account(&self, of_pool: &Account) -> Option<Account> {
        let own = self.by_authorization.get(of_pool.header().as_bytes())?;
        Some(own.account.clone())
    }

    /// What a request offers here in the place of `of_pool`. What stands in the URL is never replaced: haflux puts nobody's there.
    pub(super) fn credentials<'a>(&self, of_pool: &'a Credentials) -> Cow<'a, Credentials> {
        match of_pool {
            Credentials::Authorization(value) => match self.authorization(value) {
                Some(own) => Cow::Owned(Credentials::Authorization(own.as_bytes().to_vec())),
                None => Cow::Borrowed(of_pool),
            },
            Credentials::None | Credentials::Parameters { .. } => Cow::Borrowed(of_pool),
        }
    }
}

impl std::fmt::Debug for OwnAccounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let accounts = self.by_authorization.values().map(|own| &own.account);
        f.debug_set().entries(accounts).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(username: &str, password: &str) -> Account {
        Account::new(username.to_owned(), password.as_bytes().to_vec())
    }

    #[test]
    fn only_the_very_account_is_replaced() {
        let own = account("other", "b");
        let accounts = OwnAccounts::new([(account("root", "a"), own.clone())]);
        let header = |account: &Account| Credentials::Authorization(account.header().into_bytes());
        let root = header(&account("root", "a"));
        assert_eq!(*accounts.credentials(&root), header(&own));
        assert_eq!(accounts.account(&account("root", "a")), Some(own.clone()));
        assert_eq!(
            accounts.by_names(),
            BTreeMap::from([("root".to_owned(), own)])
        );
        for same in [
            header(&account("root", "A")),
            header(&account("Root", "a")),
            Credentials::Authorization(b"Token root:a".to_vec()),
            Credentials::Parameters {
                user: b"root".to_vec(),
                password: b"a".to_vec(),
            },
            Credentials::None,
        ] {
            assert!(matches!(accounts.credentials(&same), Cow::Borrowed(_)));
        }
        assert!(accounts.account(&account("root", "A")).is_none());
        let with = |of_pool: &str, password: &str| {
            OwnAccounts::new([(account("root", of_pool), account("other", password))])
        };
        assert!(accounts.are_same(&with("a new one", "b")));
        assert!(!accounts.are_same(&with("a", "c")));
        assert!(!accounts.are_same(&OwnAccounts::default()));
        assert_eq!(format!("{accounts:?}"), "{Account(\"other\", …)}");
    }
}
