//! The right that a query needs (influxql ast.go `RequiredPrivileges`; InfluxDB asks for the rights of all statements before it runs
//! one), as far as a question can be asked for it that changes nothing.

use super::classify::{Class, classify};
use super::databases::Databases;
use super::keyword::Keyword;
use super::redact::redact;
use super::scan::{Kind, Scanner, Token};

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
const OF_WRITERS: [&str; 5] = [
    "DELETE",
    "SELECT INTO",
    "DROP SERIES",
    "DROP RETENTION POLICY",
    "DROP CONTINUOUS QUERY",
];

/// What a query needs, and what InfluxDB would say to who may not run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The right.
    pub right: Right,
    /// The reads that stand before the statement that needs it, if nothing else does: a node that refuses one of them names that one.
    pub reads_before: String,
    /// The statement that needs it, as InfluxDB writes it.
    statement: String,
}

impl Needed {
    /// What `query` needs, whose default database is this one.
    pub fn of(query: &[u8], database: Option<&[u8]>) -> Needed {
        let class = classify(query);
        let is_of =
            |class: &Class, names: &[&str]| class.names.iter().any(|name| names.contains(name));
        let (right, names) = if is_of(&class, &OF_ADMINISTRATORS) {
            (Right::Administer, &OF_ADMINISTRATORS[..])
        } else if is_of(&class, &OF_WRITERS)
            && let Some(only) = only_database(&class, database)
        {
            (Right::Write(only), &OF_WRITERS[..])
        } else {
            (Right::Identify, &[][..])
        };
        let mut needed = Needed {
            right,
            reads_before: String::new(),
            statement: String::new(),
        };
        let tokens = Scanner::new(query).collect::<Result<Vec<Token>, _>>();
        let tokens = tokens.unwrap_or_default();
        let mut reads = Vec::new();
        for statement in tokens.split(|token| token.kind == Kind::Semicolon) {
            let (Some(first), Some(last)) = (statement.first(), statement.last()) else {
                continue;
            };
            let text = query.get(first.start..last.end).unwrap_or_default();
            let class = classify(text);
            if is_of(&class, names) {
                needed.statement = written(query, statement);
                needed.reads_before = reads.join("; ");
                break;
            }
            match class.kind {
                super::Kind::Read | super::Kind::NodeLocalRead => {
                    reads.push(String::from_utf8_lossy(text).into_owned());
                }
                _ => reads.clear(),
            }
        }
        needed
    }

    /// InfluxDB's words, made of what a node said to the question that was asked in the query's place.
    pub fn refusal(&self, said: &str) -> String {
        let statement = &self.statement;
        match &self.right {
            Right::Administer => said.replacen("'SHOW USERS'", &format!("'{statement}'"), 1),
            Right::Write(database) => {
                match said.split_once(" user is not authorized to write to database ") {
                    Some((user, _)) => format!(
                        "error authorizing query: {} not authorized to execute statement '{statement}', requires WRITE on {database}",
                        user.trim_matches('"')
                    ),
                    None => said.to_owned(),
                }
            }
            Right::Identify => said.to_owned(),
        }
    }
}

/// A statement as InfluxDB writes it, as far as that can be done word by word: keywords in capitals, names without needless quotes, no
/// passwords.
fn written(query: &[u8], statement: &[Token]) -> String {
    let mut text = String::new();
    for (at, token) in statement.iter().enumerate() {
        let is_glued = matches!(token.kind, Kind::Dot | Kind::Comma | Kind::RightParen)
            || (at > 0 && !token.spaced);
        if at > 0 && !is_glued {
            text.push(' ');
        }
        let plain = String::from_utf8_lossy(token.text(query));
        match token.kind {
            Kind::Keyword(_) => text.push_str(&plain.to_ascii_uppercase()),
            Kind::Quoted => match token.name(query) {
                Some(name) if is_bare(&name) => text.push_str(&name),
                _ => text.push_str(&plain),
            },
            _ => text.push_str(&plain),
        }
    }
    redact(text.as_bytes())
}

/// Whether a name needs no quotes.
fn is_bare(name: &str) -> bool {
    let mut tokens = Scanner::new(name.as_bytes());
    let only = tokens.next();
    tokens.next().is_none()
        && matches!(only, Some(Ok(token)) if token.kind == Kind::Name && token.end == name.len())
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
        let table: [(&str, Option<&str>, Right); 17] = [
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
            ("SELECT v INTO x FROM m", Some("d"), write("d")),
            ("SELECT v INTO x..m FROM m", Some("d"), Right::Identify),
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
            let needed = Needed::of(query.as_bytes(), database.map(str::as_bytes));
            assert_eq!(needed.right, expected, "{query}");
        }
    }

    #[test]
    fn a_refusal_names_the_clients_own_statement() {
        let said = "error authorizing query: ro not authorized to execute statement 'SHOW USERS', requires admin privilege";
        let refusal =
            |query: &str, said: &str| Needed::of(query.as_bytes(), Some(b"x")).refusal(said);
        for (query, shown) in [
            ("DROP DATABASE zz;", "DROP DATABASE zz"),
            ("drop  measurement \"nothing\"", "DROP MEASUREMENT nothing"),
            ("DROP DATABASE \"of reader\"", "DROP DATABASE \"of reader\""),
            ("DROP DATABASE \"select\"", "DROP DATABASE \"select\""),
            ("SHOW MEASUREMENTS; DROP DATABASE z", "DROP DATABASE z"),
            (
                "CREATE USER u WITH PASSWORD 'secret'",
                "CREATE USER u WITH PASSWORD [REDACTED]",
            ),
        ] {
            assert_eq!(
                refusal(query, said),
                format!(
                    "error authorizing query: ro not authorized to execute statement '{shown}', requires admin privilege"
                )
            );
        }
        let said = r#""ro" user is not authorized to write to database "x""#;
        assert_eq!(
            refusal("DELETE FROM \"m\"", said),
            "error authorizing query: ro not authorized to execute statement 'DELETE FROM m', requires WRITE on x"
        );
        assert_eq!(refusal("x", "authorization failed"), "authorization failed");
        let needed = Needed::of(b"SHOW USERS; SELECT v FROM m; DROP USER u", None);
        assert_eq!(needed.reads_before, "SHOW USERS; SELECT v FROM m");
        let needed = Needed::of(b"SHOW USERS; DELETE FROM m; DROP USER u", None);
        assert_eq!(needed.reads_before, "", "no question may change anything");
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
