//! What a statement may take from those whom a node accepted before: a database, a right, a password.

use std::sync::Arc;

use crate::relay::record::removal::Removal;
use crate::relay::record::statement::StatementRecord;

/// Statements after which somebody may be refused who was accepted, in any database.
const OF_USERS: [&str; 3] = ["DROP USER", "REVOKE", "SET PASSWORD"];

/// Whose acceptance says nothing any more once a statement is in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Withdrawal {
    /// Nobody's.
    Nothing,
    /// Everybody's for these databases.
    Databases(Arc<[String]>),
    /// Everybody's.
    All,
}

impl Withdrawal {
    /// Of a statement, whether it is carried out or not. What cannot be told is all.
    pub(in crate::relay) fn of(statement: &StatementRecord) -> Withdrawal {
        if statement.is_query() {
            match statement.kinds() {
                Some(kinds) if !kinds.iter().any(|kind| OF_USERS.contains(kind)) => {}
                _ => return Withdrawal::All,
            }
        }
        match Removal::of(statement) {
            Removal::Nothing | Removal::Points(_) => Withdrawal::Nothing,
            Removal::Databases(Some(names)) if !names.is_empty() => {
                Withdrawal::Databases(names.into())
            }
            Removal::Databases(_) => Withdrawal::All,
        }
    }

    /// Whether somebody may be refused now who was accepted for this database; it is empty where nothing is asked about one.
    pub(in crate::relay) fn concerns(&self, database: &str) -> bool {
        match self {
            Withdrawal::Nothing => false,
            Withdrawal::Databases(names) => names.iter().any(|name| name == database),
            Withdrawal::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::relay::record::samples::statement_record;

    #[test]
    fn what_may_be_refused_from_now_on_is_withdrawn() {
        let of = |shown: &str, databases: Option<&[&str]>| {
            let databases = databases.map(|names| names.iter().map(|name| (*name).to_owned()));
            Withdrawal::of(&StatementRecord {
                databases: databases.map(Iterator::collect),
                ..statement_record(shown)
            })
        };
        for shown in [
            "CREATE DATABASE d",
            "CREATE USER u WITH PASSWORD [REDACTED]",
            "GRANT ALL ON d TO u",
            "DELETE FROM m",
            "DROP SERIES FROM m",
            "SELECT v INTO x FROM m",
        ] {
            assert_eq!(of(shown, Some(&["d"])), Withdrawal::Nothing, "{shown}");
        }
        for shown in ["DROP DATABASE d", "CREATE DATABASE d; DROP DATABASE d"] {
            let expected = Withdrawal::Databases(["d".to_owned()].into());
            assert_eq!(of(shown, Some(&["d"])), expected, "{shown}");
            assert_eq!(of(shown, None), Withdrawal::All, "{shown}");
        }
        for shown in [
            "DROP USER u",
            "REVOKE ALL ON d FROM u",
            "REVOKE ALL PRIVILEGES FROM u",
            "SET PASSWORD FOR u = [REDACTED]",
            "DELETE FROM m; DROP USER u",
            "DELETE FROM m; DELETE FR…",
        ] {
            assert_eq!(of(shown, Some(&["d"])), Withdrawal::All, "{shown}");
        }
        let many = "DELETE FROM m;".repeat(20) + "DROP USER u";
        assert_eq!(of(&many, Some(&["d"])), Withdrawal::All);
    }
}
