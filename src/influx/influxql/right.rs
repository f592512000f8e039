//! The right that a query needs (influxql ast.go `RequiredPrivileges`; InfluxDB asks for the rights of all statements before it runs
//! one), as far as a question can be asked for it that changes nothing.

use super::classify::{Class, classify};
use super::databases::Databases;
use super::keyword::Keyword;
use super::scan::{Kind, Scanner};

/// What InfluxDB lets do whom. Never more than the query needs, so that nobody is turned away whom a node would let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// An administrator.
    Administer,
    /// Who may write to this database.
    Write(String),
    /// Any user.
    Identify,
}

/// Statements for administrators only.
const OF_ADMINISTRATORS: [&str; 12] = [
    "CREATE DATABASE",
    "DROP DATABASE",
    "CREATE RETENTION POLICY",
    "ALTER RETENTION POLICY",
    "CREATE SUBSCRIPTION",
    "DROP SUBSCRIPTION",
    "CREATE USER",
    "DROP USER",
    "SET PASSWORD",
    "GRANT",
    "REVOKE",
    "DROP MEASUREMENT",
];

/// Statements for who may write to their database.
const OF_WRITERS: [&str; 4] = [
    "DELETE",
    "DROP SERIES",
    "DROP RETENTION POLICY",
    "DROP CONTINUOUS QUERY",
];

impl Right {
    /// The right that `query` needs, whose default database is this one.
    pub fn of(query: &[u8], database: Option<&[u8]>) -> Right {
        let class = classify(query);
        let holds = |names: &[&str]| class.names.iter().any(|name| names.contains(name));
        if holds(&OF_ADMINISTRATORS) {
            return Right::Administer;
        }
        if holds(&OF_WRITERS)
            && let Some(only) = only_database(&class, database)
        {
            return Right::Write(only);
        }
        Right::Identify
    }

    /// InfluxDB's words for who lacks the right to run `shown`, made of what a node said to the question that was asked in the
    /// query's place.
    pub fn refusal(&self, said: &str, shown: &str) -> String {
        let shown = shown.trim().trim_end_matches(';').trim_end();
        match self {
            Right::Administer => said.replacen("'SHOW USERS'", &format!("'{shown}'"), 1),
            Right::Write(database) => {
                match said.split_once(" user is not authorized to write to database ") {
                    Some((user, _)) => format!(
                        "error authorizing query: {} not authorized to execute statement '{shown}', requires WRITE on {database}",
                        user.trim_matches('"')
                    ),
                    None => said.to_owned(),
                }
            }
            Right::Identify => said.to_owned(),
        }
    }
}

/// The one database that the query touches.
fn only_database(class: &Class, default: Option<&[u8]>) -> Option<String> {
    let Databases::Named {
        names,
        default: is_default,
    } = &class.databases
    else {
        return None;
    };
    let default = default
        .filter(|name| *is_default && !name.is_empty())
        .map(|name| String::from_utf8(name.to_vec()).ok());
    let mut all = names.iter().cloned();
    match (default, all.next(), all.next()) {
        (None, Some(only), None) => Some(only),
        (Some(default), None, _) => default,
        (Some(default), Some(only), None) => default.filter(|default| *default == only),
        _ => None,
    }
}

/// Whether the query begins with `CREATE USER … WITH ALL PRIVILEGES`: with authentication on, InfluxDB lets everybody run it as long
/// as there is no user (`QueryAuthorizer.AuthorizeQuery`).
pub fn creates_administrator(query: &[u8]) -> bool {
    let mut words = Vec::new();
    for token in Scanner::new(query) {
        match token {
            Ok(token) if token.kind == Kind::Semicolon => break,
            Ok(token) => words.extend(token.keyword()),
            Err(_) => return false,
        }
    }
    words.starts_with(&[Keyword::Create, Keyword::User])
        && words.ends_with(&[Keyword::All, Keyword::Privileges])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_is_the_one_that_influxdb_asks_for() {
        let write = |database: &str| Right::Write(database.to_owned());
        let table: [(&str, Option<&str>, Right); 16] = [
            ("DROP DATABASE d", None, Right::Administer),
            ("create user u with password 'x'", None, Right::Administer),
            ("GRANT ALL ON d TO u", Some("d"), Right::Administer),
            ("DROP MEASUREMENT m", Some("d"), Right::Administer),
            ("DELETE FROM m; DROP USER u", Some("d"), Right::Administer),
            ("DELETE FROM m", Some("d"), write("d")),
            ("DELETE FROM m", None, Right::Identify),
            ("DROP SERIES FROM m", Some("d"), write("d")),
            ("DROP RETENTION POLICY r ON d", None, write("d")),
            ("DROP RETENTION POLICY r ON d", Some("other"), write("d")),
            (
                "DROP RETENTION POLICY r ON d; DELETE FROM m",
                Some("other"),
                Right::Identify,
            ),
            ("SELECT v INTO x FROM m", Some("d"), Right::Identify),
            (
                "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(1m) END",
                None,
                Right::Identify,
            ),
            ("nonsense", None, Right::Identify),
            ("", None, Right::Identify),
            ("DROP CONTINUOUS QUERY c ON d", None, write("d")),
        ];
        for (query, database, expected) in table {
            let right = Right::of(query.as_bytes(), database.map(str::as_bytes));
            assert_eq!(right, expected, "{query}");
        }
    }

    #[test]
    fn a_refusal_names_the_clients_own_statement() {
        let said = "error authorizing query: ro not authorized to execute statement 'SHOW USERS', requires admin privilege";
        assert_eq!(
            Right::Administer.refusal(said, "DROP DATABASE zz;"),
            "error authorizing query: ro not authorized to execute statement 'DROP DATABASE zz', requires admin privilege"
        );
        let said = r#""ro" user is not authorized to write to database "x""#;
        assert_eq!(
            Right::Write("x".to_owned()).refusal(said, "DELETE FROM m"),
            "error authorizing query: ro not authorized to execute statement 'DELETE FROM m', requires WRITE on x"
        );
        assert_eq!(
            Right::Identify.refusal("authorization failed", "x"),
            "authorization failed"
        );
    }

    #[test]
    fn only_the_first_administrator_is_made_without_credentials() {
        for (query, expected) in [
            ("CREATE USER a WITH PASSWORD 'x' WITH ALL PRIVILEGES", true),
            (
                "create user a with password 'x' with all privileges; CREATE DATABASE d",
                true,
            ),
            ("CREATE USER a WITH PASSWORD 'x'", false),
            (
                "CREATE USER \"all privileges\" WITH PASSWORD 'ALL PRIVILEGES'",
                false,
            ),
            (
                "CREATE DATABASE d; CREATE USER a WITH PASSWORD 'x' WITH ALL PRIVILEGES",
                false,
            ),
            ("GRANT ALL PRIVILEGES TO a", false),
            ("", false),
        ] {
            assert_eq!(creates_administrator(query.as_bytes()), expected, "{query}");
        }
    }
}
