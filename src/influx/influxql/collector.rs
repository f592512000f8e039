//! Reads databases and measurements out of a statement.
//!
//! Places of a database: behind `ON`; `db.rp.m`, `db..m`, `db.rp./regex/` in a list of sources, in subqueries too; the same
//! behind `WITH MEASUREMENT =` and `INTO`; `CREATE DATABASE` and `DROP DATABASE`. A source of fewer parts lies in the request's
//! `db`. One with a bound parameter right behind it may lie anywhere.
//!
//! Places of a measurement: the last part of a source or target; `DROP MEASUREMENT`. `INTO db.rp.:MEASUREMENT` writes into
//! measurements of the sources' names, so it names no others; InfluxDB takes `INTO db.rp :MEASUREMENT` for the same.
//! Behind the `FROM` of a `REVOKE` stands a user.

use super::databases::Databases;
use super::keyword::Keyword;
use super::measurements::Measurements;
use super::scan::{Comparison, Kind, Token};

/// A measurement's name being read: `db.rp.m`, or fewer parts.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// The parts so far, empty ones (`db..m`) counted.
    count: usize,
    /// The first part.
    first: Token,
    /// The last part, if it is one that may be a name.
    last: Option<Token>,
}

impl Parts {
    /// With one more part behind a dot.
    fn and(self, last: Option<Token>) -> Self {
        Self {
            count: self.count + 1,
            last,
            ..self
        }
    }
}

/// What the next token can be.
#[derive(Debug, Default)]
enum Expect {
    /// Nothing that names a database.
    #[default]
    Nothing,
    /// A database, behind `ON` or `DATABASE`.
    Database,
    /// A measurement, behind `DROP MEASUREMENT`.
    Measurement,
    /// A source or target: a name, a regular expression or a subquery.
    Source,
    /// A dot behind a part, or the end of the source.
    AfterPart(Parts),
    /// A part, behind a dot.
    AfterDot(Parts),
    /// A comma and another source, or the end of the list.
    AfterSource,
}

/// Reads the names out of one statement, token by token.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    found: Databases,
    /// Nothing if nobody asks for them.
    measurements: Option<Measurements>,
    expect: Expect,
    before: Option<Kind>,
    /// Whether the statement is a `REVOKE`.
    revokes: bool,
    /// For each open parenthesis, whether it opened a subquery.
    subqueries: Vec<bool>,
    /// Whether `ON` named the database of the statement.
    pub(crate) placed: bool,
}

impl Collector {
    /// One that looks for measurements, too.
    pub(crate) fn of_measurements() -> Self {
        Self {
            measurements: Some(Measurements::default()),
            ..Self::default()
        }
    }

    /// Takes the statement's next token.
    pub(crate) fn token(&mut self, query: &[u8], token: Token) {
        self.expect = match std::mem::take(&mut self.expect) {
            Expect::Nothing => self.plain(token),
            Expect::Database => {
                self.named(query, token);
                Expect::Nothing
            }
            Expect::Measurement => {
                self.measured(token.name(query));
                self.plain(token)
            }
            Expect::Source => self.source(token),
            Expect::AfterPart(parts) => match token.kind {
                Kind::Dot => Expect::AfterDot(parts),
                // InfluxDB's parser puts a token behind the parts back, and looks by the text behind it whether a regular expression
                // follows: `db.rp$p/**/` is `db.rp./…/` where `$p` stands for one.
                Kind::Parameter | Kind::Regex => {
                    self.nothing_told();
                    self.plain(token)
                }
                Kind::Colon => self.names_of_sources(query, parts),
                _ => {
                    self.end_source(query, parts);
                    self.after_source(token)
                }
            },
            Expect::AfterDot(parts) => self.after_dot(query, token, parts),
            Expect::AfterSource => self.after_source(token),
        };
        self.before = Some(token.kind);
    }

    /// The databases that the tokens have named so far.
    pub(crate) fn so_far(&self) -> &Databases {
        &self.found
    }

    /// Ends the statement: its databases.
    pub(crate) fn finish(mut self, query: &[u8]) -> Databases {
        self.end(query);
        self.found
    }

    /// The same, with its measurements.
    pub(crate) fn finish_with_measurements(mut self, query: &[u8]) -> (Databases, Measurements) {
        self.end(query);
        let measurements = self.measurements.unwrap_or(Measurements::Unknown);
        (self.found, measurements)
    }

    fn end(&mut self, query: &[u8]) {
        match std::mem::take(&mut self.expect) {
            Expect::AfterPart(parts) => self.end_source(query, parts),
            Expect::AfterDot(parts) => self.end_source(
                query,
                Parts {
                    last: None,
                    ..parts
                },
            ),
            Expect::Source => self.nothing_told(),
            Expect::Database => self.found = Databases::Unknown,
            Expect::Measurement => self.measured(None),
            Expect::Nothing | Expect::AfterSource => {}
        }
    }

    /// Where a source should stand, something else does.
    fn nothing_told(&mut self) {
        self.found = Databases::Unknown;
        self.measured(None);
    }

    /// Takes the name of a measurement, or that it cannot be told.
    fn measured(&mut self, name: Option<String>) {
        if let Some(measurements) = &mut self.measurements {
            measurements.add(name);
        }
    }

    fn plain(&mut self, token: Token) -> Expect {
        match token.kind {
            Kind::Keyword(Keyword::From) if self.revokes => Expect::Nothing,
            Kind::Keyword(Keyword::From | Keyword::Into) => Expect::Source,
            Kind::Keyword(Keyword::Revoke) if self.before.is_none() => {
                self.revokes = true;
                Expect::Nothing
            }
            Kind::Keyword(Keyword::On) => {
                self.placed = true;
                Expect::Database
            }
            Kind::Keyword(Keyword::Database) => Expect::Database,
            Kind::Keyword(Keyword::Measurement)
                if self.before == Some(Kind::Keyword(Keyword::Drop)) =>
            {
                Expect::Measurement
            }
            Kind::Comparison(comparison @ (Comparison::Equal | Comparison::Matches))
                if self.before == Some(Kind::Keyword(Keyword::Measurement)) =>
            {
                if comparison == Comparison::Matches {
                    self.measured(None);
                }
                Expect::Source
            }
            Kind::LeftParen => {
                self.subqueries.push(false);
                Expect::Nothing
            }
            Kind::RightParen => match self.subqueries.pop() {
                Some(true) => Expect::AfterSource,
                _ => Expect::Nothing,
            },
            _ => Expect::Nothing,
        }
    }

    fn source(&mut self, token: Token) -> Expect {
        match token.kind {
            Kind::LeftParen => {
                self.subqueries.push(true);
                Expect::Nothing
            }
            Kind::Regex => {
                self.found.use_default();
                self.measured(None);
                Expect::AfterSource
            }
            Kind::Name | Kind::Quoted | Kind::Parameter => Expect::AfterPart(Parts {
                count: 1,
                first: token,
                last: Some(token),
            }),
            _ => {
                self.nothing_told();
                self.plain(token)
            }
        }
    }

    fn after_dot(&mut self, query: &[u8], token: Token, parts: Parts) -> Expect {
        match token.kind {
            // A parameter as the last part could hold a regular expression, which is one part as well.
            Kind::Name | Kind::Quoted | Kind::Parameter => {
                Expect::AfterPart(parts.and(Some(token)))
            }
            Kind::Dot => Expect::AfterDot(parts.and(None)),
            Kind::Regex => {
                self.end_source(query, parts.and(None));
                Expect::AfterSource
            }
            Kind::Colon => self.names_of_sources(query, parts),
            _ => {
                self.nothing_told();
                self.plain(token)
            }
        }
    }

    /// A target ends with `:MEASUREMENT`.
    fn names_of_sources(&mut self, query: &[u8], parts: Parts) -> Expect {
        self.database_of(query, parts.and(None));
        Expect::AfterSource
    }

    fn after_source(&mut self, token: Token) -> Expect {
        match token.kind {
            Kind::Comma => Expect::Source,
            _ => self.plain(token),
        }
    }

    fn end_source(&mut self, query: &[u8], parts: Parts) {
        self.database_of(query, parts);
        self.measured(parts.last.and_then(|last| last.name(query)));
    }

    /// Takes the database of a source.
    fn database_of(&mut self, query: &[u8], parts: Parts) {
        match parts.count {
            1 | 2 => self.found.use_default(),
            3 => self.named(query, parts.first),
            _ => self.found = Databases::Unknown,
        }
    }

    /// Takes a token that stands where a database does.
    fn named(&mut self, query: &[u8], token: Token) {
        match token.name(query) {
            // An empty name is no name: the default counts.
            Some(name) if name.is_empty() => self.found.use_default(),
            Some(name) => self.found.add(name),
            None => self.found = Databases::Unknown,
        }
    }
}
