//! What a statement may remove of what a replica is known to hold (rule R1).

use crate::relay::record::statement::StatementRecord;

/// Databases by name; `None` is all of them, because the statement does not tell.
type Databases = Option<Vec<String>>;

/// What may be gone once a statement was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::relay) enum Removal {
    /// No point and no database.
    Nothing,
    /// Points of these databases.
    Points(Databases),
    /// These databases, with their points.
    Databases(Databases),
}

/// What removes points, and leaves the database.
const POINTS: [&str; 5] = [
    "ALTER RETENTION POLICY",
    "DELETE",
    "DROP MEASUREMENT",
    "DROP RETENTION POLICY",
    "DROP SERIES",
];

/// What removes neither.
const NOTHING: [&str; 12] = [
    "CREATE CONTINUOUS QUERY",
    "CREATE DATABASE",
    "CREATE RETENTION POLICY",
    "CREATE SUBSCRIPTION",
    "CREATE USER",
    "DROP CONTINUOUS QUERY",
    "DROP SUBSCRIPTION",
    "DROP USER",
    "GRANT",
    "REVOKE",
    "SELECT INTO",
    "SET PASSWORD",
];

impl Removal {
    /// Of a statement, whether it is carried out or not. What is not sure to stay may go.
    pub(in crate::relay) fn of(statement: &StatementRecord) -> Removal {
        let databases = statement.databases.clone();
        let Some(kinds) = statement.kinds() else {
            return Removal::Databases(databases);
        };
        let reads = |kind: &str| kind.starts_with("SHOW") || matches!(kind, "SELECT" | "EXPLAIN");
        let stays = |kind: &str| NOTHING.contains(&kind) || reads(kind);
        let of_points = |kind: &str| stays(kind) || POINTS.contains(&kind);
        if kinds.iter().all(|kind| stays(kind)) {
            Removal::Nothing
        } else if kinds.iter().all(|kind| of_points(kind)) {
            Removal::Points(databases)
        } else {
            Removal::Databases(databases)
        }
    }

    /// Whether points of this database may go.
    pub(in crate::relay) fn takes_points(&self, database: &str) -> bool {
        match self {
            Removal::Nothing => false,
            Removal::Points(databases) | Removal::Databases(databases) => {
                holds(databases, database)
            }
        }
    }

    /// Whether this database may go.
    pub(in crate::relay) fn takes_database(&self, database: &str) -> bool {
        match self {
            Removal::Nothing | Removal::Points(_) => false,
            Removal::Databases(databases) => holds(databases, database),
        }
    }
}

fn holds(databases: &Databases, name: &str) -> bool {
    databases
        .as_ref()
        .is_none_or(|databases| databases.iter().any(|database| database == name))
}

#[cfg(test)]
mod tests {

    use super::*;

    use crate::relay::record::samples::statement_record;

    fn statement(shown: &str) -> StatementRecord {
        let databases = Some(vec!["d".to_owned()]);
        StatementRecord {
            databases,
            ..statement_record(shown)
        }
    }

    #[test]
    fn only_what_may_be_removed_is_forgotten() {
        let of = |shown: &str| Removal::of(&statement(shown));
        let d = || Some(vec!["d".to_owned()]);
        for shown in [
            "CREATE DATABASE a; grant all on a to u",
            "SELECT mean(v) INTO x FROM m GROUP BY time(1m)",
            "SHOW DATABASES; SELECT v INTO x FROM m",
            "SET PASSWORD FOR u = 'x'",
            "DROP USER u",
        ] {
            assert_eq!(of(shown), Removal::Nothing, "{shown}");
        }
        for shown in [
            "CREATE DATABASE a; DROP SERIES FROM m",
            "DELETE FROM m",
            "ALTER RETENTION POLICY p ON d DURATION 1h",
        ] {
            assert_eq!(of(shown), Removal::Points(d()), "{shown}");
        }
        let many = "CREATE DATABASE a;".repeat(20) + "DROP DATABASE a";
        for shown in ["DROP DATABASE d", "CREATE DATABASE a; CREATE DATA…", &many] {
            assert_eq!(of(shown), Removal::Databases(d()), "{shown}");
        }
        let mut other = statement("CREATE DATABASE a");
        other.target = "/api/v2/delete".to_owned();
        other.databases = None;
        assert_eq!(Removal::of(&other), Removal::Databases(None));
    }

    #[test]
    fn other_databases_are_left_alone() {
        let removal = Removal::Points(Some(vec!["d".to_owned()]));
        assert!(removal.takes_points("d") && !removal.takes_points("e"));
        assert!(!removal.takes_database("d"));
        let all = Removal::Databases(None);
        assert!(all.takes_points("e") && all.takes_database("e"));
        assert!(!Removal::Nothing.takes_points("d"));
    }
}
