//! Which lanes a statement touches: what is written to others may pass it, and reads of others need not see it.
//!
//! | statement | lanes |
//! | --- | --- |
//! | one that names its databases: `SELECT … INTO`, `DELETE`, `CREATE DATABASE`, … | these |
//! | users and their rights: they decide what later writes may do, in every lane | all |
//! | one whose databases cannot be told, or that is no `/query` | all |

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::relay::record::statement::StatementRecord;

/// Statements that decide who may write and read.
const OF_USERS: [&str; 5] = [
    "CREATE USER",
    "DROP USER",
    "GRANT",
    "REVOKE",
    "SET PASSWORD",
];

/// The lanes that a statement touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Touched {
    /// Any.
    All,
    /// These.
    Lanes(Arc<BTreeSet<String>>),
}

impl Touched {
    /// The lanes of this statement.
    pub(in crate::relay) fn of(statement: &StatementRecord) -> Touched {
        let kinds = statement.kinds();
        let is_of_lanes = |kinds: &Vec<&str>| !kinds.iter().any(|kind| OF_USERS.contains(kind));
        match &statement.databases {
            Some(databases)
                if !databases.is_empty() && kinds.is_some_and(|kinds| is_of_lanes(&kinds)) =>
            {
                Touched::Lanes(Arc::new(databases.iter().cloned().collect()))
            }
            _ => Touched::All,
        }
    }

    /// Whether it touches this lane.
    pub(in crate::relay) fn contains(&self, lane: &str) -> bool {
        match self {
            Touched::All => true,
            Touched::Lanes(lanes) => lanes.contains(lane),
        }
    }

    /// The lanes, if they are known.
    pub(in crate::relay) fn lanes(&self) -> Option<&BTreeSet<String>> {
        match self {
            Touched::All => None,
            Touched::Lanes(lanes) => Some(lanes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::relay::record::samples::statement_record;

    fn statement(shown: &str, databases: Option<&[&str]>) -> StatementRecord {
        StatementRecord {
            databases: databases.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            ..statement_record(shown)
        }
    }

    #[test]
    fn what_cannot_be_told_is_all() {
        let lanes = |names: &[&str]| {
            Touched::Lanes(Arc::new(
                names.iter().map(|name| (*name).to_owned()).collect(),
            ))
        };
        for (shown, databases, expected) in [
            (
                "SELECT v INTO b..m FROM m",
                Some(&["a", "b"][..]),
                lanes(&["a", "b"]),
            ),
            (
                "DROP DATABASE a; CREATE DATABASE a",
                Some(&["a"]),
                lanes(&["a"]),
            ),
            ("DELETE FROM m", None, Touched::All),
            ("DELETE FROM m", Some(&[]), Touched::All),
            (
                "CREATE USER u WITH PASSWORD [REDACTED]",
                Some(&[]),
                Touched::All,
            ),
            ("GRANT ALL ON a TO u", Some(&["a"]), Touched::All),
            ("DELETE FROM m; DROP USER u", Some(&["a"]), Touched::All),
            ("DELETE FROM m; DELETE FR…", Some(&["a"]), Touched::All),
        ] {
            assert_eq!(
                Touched::of(&statement(shown, databases)),
                expected,
                "{shown}"
            );
        }
        let many = "DELETE FROM m;".repeat(20) + "DROP USER u";
        assert_eq!(Touched::of(&statement(&many, Some(&["a"]))), Touched::All);
        let mut other = statement("DELETE FROM m", Some(&["a"]));
        other.target = "/api/v2/delete".to_owned();
        assert_eq!(Touched::of(&other), Touched::All);
        assert!(lanes(&["a"]).contains("a") && !lanes(&["a"]).contains("b"));
        assert!(Touched::All.contains("b"));
    }
}
