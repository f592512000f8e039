//! The rights that a query needs, in InfluxDB's order (influxql ast.go `RequiredPrivileges`, meta's `UserInfo.AuthorizeQuery`): of one
//! statement after the other, and of all of them before it runs one.

use super::classify::classify;
use super::collector::Collector;
use super::databases::Databases;
use super::keyword::Keyword;
use super::redact::redact;
use super::scan::{Kind, Scanner, Token};

/// What InfluxDB lets do whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// Any user.
    Identify,
    /// Who may read this database.
    Read(String),
    /// Who may write to this database.
    Write(String),
    /// An administrator.
    Administer,
}

impl Right {
    /// Whether who has it may change something.
    pub fn changes(&self) -> bool {
        matches!(self, Right::Write(_) | Right::Administer)
    }
}

/// Statements for administrators only.
const OF_ADMINISTRATORS: [&str; 19] = [
    "ALTER RETENTION POLICY",
    "CREATE DATABASE",
    "CREATE RETENTION POLICY",
    "CREATE SUBSCRIPTION",
    "CREATE USER",
    "DROP DATABASE",
    "DROP MEASUREMENT",
    "DROP SUBSCRIPTION",
    "DROP USER",
    "GRANT",
    "REVOKE",
    "SET PASSWORD",
    "SHOW DIAGNOSTICS",
    "SHOW GRANTS",
    "SHOW SHARD GROUPS",
    "SHOW SHARDS",
    "SHOW STATS",
    "SHOW SUBSCRIPTIONS",
    "SHOW USERS",
];

/// Rights of one query that are asked for, each once. Nobody is turned away for those beyond: the node judges them.
const MOST_RIGHTS: usize = 32;

/// A right that a query needs, and the statement in it that needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The right.
    pub right: Right,
    /// The statement, as InfluxDB writes it.
    statement: String,
}

impl Needed {
    /// What `query` needs, whose default database is this one, in the order in which InfluxDB asks for it. Never more than the query
    /// needs, so that nobody is turned away whom a node would let in; at least that its sender is a user.
    pub fn of(query: &[u8], database: Option<&[u8]>) -> Vec<Needed> {
        let default = String::from_utf8(database.unwrap_or_default().to_vec()).ok();
        let tokens = Scanner::new(query).collect::<Result<Vec<Token>, _>>();
        let tokens = tokens.unwrap_or_default();
        let mut all: Vec<Needed> = Vec::new();
        for statement in tokens.split(|token| token.kind == Kind::Semicolon) {
            for right in rights_of(query, statement, default.as_deref()) {
                if all.len() < MOST_RIGHTS && !all.iter().any(|known| known.right == right) {
                    all.push(Needed {
                        right,
                        statement: written(query, statement),
                    });
                }
            }
        }
        if all.is_empty() {
            all.push(Needed::nothing());
        }
        all
    }

    /// To be a user.
    pub fn nothing() -> Needed {
        Needed {
            right: Right::Identify,
            statement: String::new(),
        }
    }

    /// What a request to another endpoint needs, which is named in place of a statement.
    pub fn of_request(right: Right, request: String) -> Needed {
        Needed {
            right,
            statement: request,
        }
    }

    /// InfluxDB's words, made of what a node said to the question that was asked in the query's place.
    pub fn refusal(&self, said: &str) -> String {
        const BEFORE: &str = " not authorized to execute statement '";
        const BEHIND: &str = "', requires ";
        match (said.find(BEFORE), said.rfind(BEHIND)) {
            (Some(before), Some(behind))
                if !self.statement.is_empty() && before + BEFORE.len() <= behind =>
            {
                let (before, behind) = (said.get(..before + BEFORE.len()), said.get(behind..));
                [before, Some(self.statement.as_str()), behind]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            _ => said.to_owned(),
        }
    }
}

/// What one statement needs, in InfluxDB's order. A database that cannot be told is left out.
fn rights_of(query: &[u8], statement: &[Token], default: Option<&str>) -> Vec<Right> {
    let (Some(first), Some(last)) = (statement.first(), statement.last()) else {
        return Vec::new();
    };
    let text = query.get(first.start..last.end).unwrap_or_default();
    let class = classify(text);
    let name = class.names.first().copied().unwrap_or_default();
    let default = || default.map(str::to_owned);
    let on = || match behind(statement, Keyword::On) {
        Some(token) => token.name(query).filter(|name| !name.is_empty()),
        None => None,
    };
    let placed = || match behind(statement, Keyword::On) {
        Some(_) => on(),
        None => default(),
    };
    match name {
        _ if OF_ADMINISTRATORS.contains(&name) => vec![Right::Administer],
        "DELETE" | "DROP SERIES" => default().map(Right::Write).into_iter().collect(),
        "DROP RETENTION POLICY" | "DROP CONTINUOUS QUERY" => {
            on().map(Right::Write).into_iter().collect()
        }
        "CREATE CONTINUOUS QUERY" => {
            let target = target(query, statement).filter(|target| *target != Place::Default);
            let target = target.and_then(|target| target.name(None));
            let read = on().map(Right::Read);
            read.into_iter().chain(target.map(Right::Write)).collect()
        }
        "SELECT" | "SELECT INTO" | "EXPLAIN" | "EXPLAIN ANALYZE" => {
            let default = default();
            let reads = sources(query, statement);
            let reads = reads
                .into_iter()
                .filter_map(|place| place.name(default.as_deref()).map(Right::Read));
            let target = target(query, statement);
            let target = target.and_then(|place| place.name(default.as_deref()));
            reads.chain(target.map(Right::Write)).collect()
        }
        // What counts asks for different rights in its two forms.
        _ if statement
            .iter()
            .any(|token| token.keyword() == Some(Keyword::Cardinality)) =>
        {
            Vec::new()
        }
        "SHOW MEASUREMENTS"
        | "SHOW TAG KEYS"
        | "SHOW TAG VALUES"
        | "SHOW FIELD KEYS"
        | "SHOW SERIES"
        | "SHOW RETENTION POLICIES" => placed().map(Right::Read).into_iter().collect(),
        "SHOW CONTINUOUS QUERIES" | "SHOW QUERIES" => {
            default().map(Right::Read).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The database of a measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Default,
    Named(String),
}

impl Place {
    fn name(self, default: Option<&str>) -> Option<String> {
        match self {
            Place::Default => default.map(str::to_owned),
            Place::Named(name) => Some(name),
        }
    }
}

/// The token behind the first one of this keyword.
fn behind(statement: &[Token], keyword: Keyword) -> Option<&Token> {
    let at = statement
        .iter()
        .position(|token| token.keyword() == Some(keyword))?;
    statement.get(at + 1)
}

/// Where a `SELECT … INTO` writes.
fn target(query: &[u8], statement: &[Token]) -> Option<Place> {
    let is = |token: &Token, keyword| token.keyword() == Some(keyword);
    let into = statement
        .iter()
        .position(|token| is(token, Keyword::Into))?;
    let statement = statement.get(into..)?;
    let from = statement
        .iter()
        .position(|token| is(token, Keyword::From))?;
    places(query, statement.get(..from)?).into_iter().next()
}

/// Where a `SELECT` reads, in the order of its text.
fn sources(query: &[u8], statement: &[Token]) -> Vec<Place> {
    let from = statement
        .iter()
        .position(|token| token.keyword() == Some(Keyword::From));
    places(
        query,
        from.and_then(|from| statement.get(from..))
            .unwrap_or_default(),
    )
}

/// The databases that these tokens name, in their order; none behind one that cannot be told.
fn places(query: &[u8], tokens: &[Token]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut note = |found: &Databases| {
        let Databases::Named { names, default } = found else {
            return false;
        };
        let default = default.then_some(Place::Default);
        let named = names.iter().cloned().map(Place::Named);
        for place in default.into_iter().chain(named) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        true
    };
    let mut collector = Collector::default();
    for token in tokens {
        collector.token(query, *token);
        if !note(collector.so_far()) {
            return places;
        }
    }
    note(&collector.finish(query));
    places
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
    // InfluxDB hides passwords only; this goes to the client, and to no log.
    match text.contains("PASSWORD") {
        true => redact(text.as_bytes()),
        false => text,
    }
}

/// Whether a name needs no quotes.
fn is_bare(name: &str) -> bool {
    let mut tokens = Scanner::new(name.as_bytes());
    let only = tokens.next();
    tokens.next().is_none()
        && matches!(only, Some(Ok(token)) if token.kind == Kind::Name && token.end == name.len())
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

    fn rights(query: &str, database: Option<&str>) -> Vec<Right> {
        let needed = Needed::of(query.as_bytes(), database.map(str::as_bytes));
        needed.into_iter().map(|needed| needed.right).collect()
    }

    #[test]
    fn the_rights_are_those_that_influxdb_asks_for() {
        let write = |database: &str| Right::Write(database.to_owned());
        let read = |database: &str| Right::Read(database.to_owned());
        let table = [
            ("DROP DATABASE d", None, vec![Right::Administer]),
            (
                "create user u with password 'x'",
                None,
                vec![Right::Administer],
            ),
            ("DROP MEASUREMENT m", Some("d"), vec![Right::Administer]),
            (
                "DELETE FROM m; DROP USER u",
                Some("d"),
                vec![write("d"), Right::Administer],
            ),
            ("DELETE FROM m", None, vec![write("")]),
            ("DROP SERIES FROM m", Some("d"), vec![write("d")]),
            (
                "DROP RETENTION POLICY r ON d",
                Some("other"),
                vec![write("d")],
            ),
            (
                "DROP RETENTION POLICY r ON d; DELETE FROM m; DELETE FROM n",
                Some("other"),
                vec![write("d"), write("other")],
            ),
            (
                "SELECT v INTO x FROM m",
                Some("d"),
                vec![read("d"), write("d")],
            ),
            (
                "SELECT v INTO x..m FROM m",
                Some("d"),
                vec![read("d"), write("x")],
            ),
            (
                "SELECT v INTO x.r.:MEASUREMENT FROM b..m, (SELECT v FROM m, a.r./m/), c..\"m\"",
                Some("d"),
                vec![read("b"), read("d"), read("a"), read("c"), write("x")],
            ),
            ("SELECT v INTO x..m FROM $p..m", Some("d"), vec![write("x")]),
            (
                "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(1m) END",
                None,
                vec![read("d")],
            ),
            (
                "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT mean(v) INTO y..x FROM z..m GROUP BY time(1m) END",
                None,
                vec![read("d"), write("y")],
            ),
            ("DROP CONTINUOUS QUERY c ON d", None, vec![write("d")]),
            (
                "SHOW SERIES; SHOW TAG KEYS ON e; SHOW DATABASES; SHOW SERIES CARDINALITY ON f; DELETE FROM m",
                Some("d"),
                vec![read("d"), read("e"), write("d")],
            ),
            (
                "SHOW STATS; DELETE FROM m",
                Some("d"),
                vec![Right::Administer, write("d")],
            ),
            ("nonsense", None, vec![Right::Identify]),
            ("DELETE FROM \"", Some("d"), vec![Right::Identify]),
            ("", None, vec![Right::Identify]),
        ];
        for (query, database, expected) in table {
            assert_eq!(rights(query, database), expected, "{query}");
        }
        let many = "DROP RETENTION POLICY r ON d0;".repeat(3);
        assert_eq!(rights(&many, None).len(), 1);
        let many: String = (0..100)
            .map(|one| format!("DROP RETENTION POLICY r ON d{one};"))
            .collect();
        assert_eq!(rights(&many, None).len(), MOST_RIGHTS);
    }

    #[test]
    fn a_refusal_names_the_clients_own_statement() {
        let said = |question: &str, requires: &str| {
            format!(
                "error authorizing query: ro not authorized to execute statement '{question}', requires {requires}"
            )
        };
        let refusal = |query: &str, at: usize, said: &str| {
            let needed = Needed::of(query.as_bytes(), Some(b"x"));
            needed[at].refusal(said)
        };
        for (query, at, shown) in [
            ("DROP DATABASE zz;", 0, "DROP DATABASE zz"),
            (
                "drop  measurement \"nothing\"",
                0,
                "DROP MEASUREMENT nothing",
            ),
            (
                "DROP DATABASE \"of reader\"",
                0,
                "DROP DATABASE \"of reader\"",
            ),
            ("DROP DATABASE \"select\"", 0, "DROP DATABASE \"select\""),
            ("SHOW MEASUREMENTS; DROP DATABASE z", 1, "DROP DATABASE z"),
            ("DELETE FROM \"m\"", 0, "DELETE FROM m"),
            (
                "CREATE USER u WITH PASSWORD 'secret'",
                0,
                "CREATE USER u WITH PASSWORD [REDACTED]",
            ),
        ] {
            let requires = "admin privilege";
            assert_eq!(
                refusal(query, at, &said("SHOW USERS", requires)),
                said(shown, requires)
            );
        }
        assert_eq!(
            refusal("DROP USER x", 0, "authorization failed"),
            "authorization failed"
        );
        assert_eq!(
            refusal("x", 0, &said("SHOW DATABASES", "all")),
            said("SHOW DATABASES", "all")
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
