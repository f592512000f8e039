//! Statements that hold a password. What a node says of one is not passed on, because it may quote the statement: InfluxDB names the
//! words at which it stops to understand, and they may be of the password.

use std::fmt;

use super::{Node, NodeError};
use crate::influx::influxql::{can_be_said, identifier, string};

/// Beginnings of what InfluxDB says of a statement that it has understood. They, and what follows them, hold no password.
const OF_UNDERSTOOD: [&str; 7] = [
    "authorization failed",
    "bcrypt: ",
    "create admin user first",
    "error authorizing query: ",
    "user already exists",
    "user name required",
    "user not found",
];

/// What stands for other words of a node.
const NOT_SHOWN: &str = "its words are not shown, because they may be of a password";

/// Gives a user a password. No view of it shows the statement.
pub(in crate::heal) struct PasswordStatement {
    user: String,
    statement: String,
}

/// No statement can give this user this password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no statement can give the user {user:?} the password that is given: a carriage return or a NUL is in it, or in the name"
)]
pub(in crate::heal) struct Unsayable {
    user: String,
}

impl PasswordStatement {
    /// Makes the user.
    ///
    /// # Errors
    /// [`Unsayable`]
    pub(in crate::heal) fn create(
        user: &str,
        password: &str,
        is_admin: bool,
    ) -> Result<PasswordStatement, Unsayable> {
        let admin = if is_admin { " WITH ALL PRIVILEGES" } else { "" };
        let name = identifier(user);
        let statement = format!(
            "CREATE USER {name} WITH PASSWORD {}{admin}",
            string(password)
        );
        PasswordStatement::of(user, password, statement)
    }

    /// Gives a user that is there another password.
    ///
    /// # Errors
    /// [`Unsayable`]
    pub(in crate::heal) fn set(user: &str, password: &str) -> Result<PasswordStatement, Unsayable> {
        let name = identifier(user);
        let statement = format!("SET PASSWORD FOR {name} = {}", string(password));
        PasswordStatement::of(user, password, statement)
    }

    fn of(user: &str, password: &str, statement: String) -> Result<PasswordStatement, Unsayable> {
        let user = user.to_owned();
        match can_be_said(&user) && can_be_said(password) {
            true => Ok(PasswordStatement { user, statement }),
            false => Err(Unsayable { user }),
        }
    }

    /// The same error, without what may be of the statement.
    fn without_its_words(&self, error: NodeError) -> NodeError {
        let shown = |reason: String, instead: &str| {
            let is_understood = OF_UNDERSTOOD
                .iter()
                .any(|beginning| reason.starts_with(beginning));
            match is_understood {
                true => reason,
                false => instead.to_owned(),
            }
        };
        match error {
            NodeError::Refused { node, reason } => {
                let instead = format!("it does not take the password of {:?}", self.user);
                NodeError::Refused {
                    node,
                    reason: shown(reason, &instead),
                }
            }
            NodeError::Busy {
                node,
                status,
                reason,
            } => NodeError::Busy {
                node,
                status,
                reason: shown(reason, NOT_SHOWN),
            },
            NodeError::Unauthorized {
                node,
                status,
                user,
                reason,
            } => NodeError::Unauthorized {
                node,
                status,
                user,
                reason: shown(reason, NOT_SHOWN),
            },
            NodeError::Unreadable { node, .. } => NodeError::Unreadable {
                node,
                reason: NOT_SHOWN.to_owned(),
            },
            // These are haflux's own words.
            NodeError::Unreachable { .. }
            | NodeError::LargeChunk { .. }
            | NodeError::Ended(_)
            | NodeError::Unaskable { .. } => error,
        }
    }
}

impl fmt::Debug for PasswordStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordStatement({:?}, …)", self.user)
    }
}

impl Node {
    /// Gives a user a password.
    ///
    /// # Errors
    /// [`NodeError`], which holds no word of the statement.
    pub(in crate::heal) async fn give_password(
        &self,
        statement: &PasswordStatement,
    ) -> Result<(), NodeError> {
        let asked = self.ask("", &statement.statement).await;
        asked
            .map(drop)
            .map_err(|error| statement.without_its_words(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_quotes_a_statement_that_holds_a_password() {
        let statement = PasswordStatement::create("ada", "TOP SECRET", false).unwrap();
        let node = || "n2".to_owned();
        let quoting = "error parsing query: found TOPSECRET, expected string at line 1, char 36";
        let errors = |reason: &str| {
            [
                NodeError::Refused {
                    node: node(),
                    reason: reason.to_owned(),
                },
                NodeError::Busy {
                    node: node(),
                    status: 500,
                    reason: reason.to_owned(),
                },
                NodeError::Unauthorized {
                    node: node(),
                    status: 403,
                    user: None,
                    reason: reason.to_owned(),
                },
                NodeError::Unreadable {
                    node: node(),
                    reason: reason.to_owned(),
                },
            ]
        };
        for error in errors(quoting) {
            let said = statement.without_its_words(error).to_string();
            assert!(said.contains("n2") && !said.contains("SECRET"), "{said}");
        }
        let [refused, ..] = errors(quoting);
        assert_eq!(
            statement.without_its_words(refused).to_string(),
            "n2 refuses: it does not take the password of \"ada\""
        );
        let [refused, ..] = errors("user already exists");
        assert_eq!(
            statement.without_its_words(refused).to_string(),
            "n2 refuses: user already exists"
        );
        assert!(!format!("{statement:?}").contains("SECRET"));
    }

    #[test]
    fn what_no_statement_can_say_makes_none() {
        for (user, password) in [("ada", "a\rb"), ("ada", "a\0"), ("a\rda", "b")] {
            let user = user.to_owned();
            let unsayable = Err(Unsayable { user: user.clone() });
            let made = PasswordStatement::set(&user, password);
            assert_eq!(made.map(|made| made.statement), unsayable);
        }
        let made = PasswordStatement::set("a\"da", "it's\n\\\u{fffd}").unwrap();
        assert_eq!(
            made.statement,
            "SET PASSWORD FOR \"a\\\"da\" = 'it\\'s\\n\\\\\u{fffd}'"
        );
    }
}
