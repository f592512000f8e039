//! Which databases the text of a query names.
//!
//! A read barrier that misses a database answers from a replica that does not have its latest writes; one that names a
//! database too many only waits a little. So every place where the grammar allows a database is taken, and whatever is not
//! plainly a name there makes the answer [`Databases::Unknown`]: a bound parameter (its value is elsewhere), `*`
//! (`SHOW MEASUREMENTS ON *.*`), a name that is not UTF-8.
//!
//! Places: behind `ON`; `db.rp.m`, `db..m`, `db.rp./regex/` in a list of sources, in subqueries too; the same behind
//! `WITH MEASUREMENT =` and `INTO`; `CREATE DATABASE` and `DROP DATABASE`. A source of fewer parts lies in the request's `db`.

use std::collections::BTreeSet;

use super::keyword::Keyword;
use super::scan::{Comparison, Kind, Token};

/// More names than this in one request are not told apart.
const MOST_NAMES: usize = 256;

/// The databases that a request touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Databases {
    /// These, and no others.
    Named {
        /// The names in the text.
        names: BTreeSet<String>,
        /// Whether the request's parameter `db` is used as well.
        default: bool,
    },
    /// It cannot be told: take all of them.
    Unknown,
}

impl Default for Databases {
    fn default() -> Self {
        Self::Named {
            names: BTreeSet::new(),
            default: false,
        }
    }
}

impl Databases {
    /// Whether `name` is, or could be, among the names in the text.
    pub fn may_name(&self, name: &str) -> bool {
        match self {
            Self::Named { names, .. } => names.contains(name),
            Self::Unknown => true,
        }
    }

    /// Adds what `other` names.
    pub(crate) fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (
                Self::Named { names, default },
                Self::Named {
                    names: more,
                    default: used,
                },
            ) => {
                *default |= used;
                names.extend(more);
                if names.len() > MOST_NAMES {
                    *self = Self::Unknown;
                }
            }
            _ => *self = Self::Unknown,
        }
    }

    /// Adds one name.
    pub(crate) fn add(&mut self, name: String) {
        if let Self::Named { names, .. } = self {
            names.insert(name);
            if names.len() > MOST_NAMES {
                *self = Self::Unknown;
            }
        }
    }

    /// Says that the parameter `db` is used.
    pub(crate) fn use_default(&mut self) {
        if let Self::Named { default, .. } = self {
            *default = true;
        }
    }
}

/// A measurement's name being read: `db.rp.m`, or fewer parts.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// The parts so far, empty ones (`db..m`) counted.
    count: usize,
    /// The first part.
    first: Token,
}

/// What the next token can be.
#[derive(Debug, Default)]
enum Expect {
    /// Nothing that names a database.
    #[default]
    Nothing,
    /// A database, behind `ON` or `DATABASE`.
    Database,
    /// A source or target: a name, a regular expression or a subquery.
    Source,
    /// A dot behind a part, or the end of the source.
    AfterPart(Parts),
    /// A part, behind a dot.
    AfterDot(Parts),
    /// A comma and another source, or the end of the list.
    AfterSource,
}

/// Reads the databases out of one statement, token by token.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    found: Databases,
    expect: Expect,
    before: Option<Kind>,
    /// For each open parenthesis, whether it opened a subquery.
    subqueries: Vec<bool>,
    /// Whether `ON` named the database of the statement.
    pub(crate) placed: bool,
}

impl Collector {
    /// Takes the statement's next token.
    pub(crate) fn token(&mut self, query: &[u8], token: Token) {
        self.expect = match std::mem::take(&mut self.expect) {
            Expect::Nothing => self.plain(token),
            Expect::Database => {
                self.named(query, token);
                Expect::Nothing
            }
            Expect::Source => self.source(token),
            Expect::AfterPart(parts) => match token.kind {
                Kind::Dot => Expect::AfterDot(parts),
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

    /// What the tokens have named so far.
    pub(crate) fn so_far(&self) -> &Databases {
        &self.found
    }

    /// Ends the statement.
    pub(crate) fn finish(mut self, query: &[u8]) -> Databases {
        match self.expect {
            Expect::AfterPart(parts) | Expect::AfterDot(parts) => {
                self.end_source(query, parts);
            }
            Expect::Database | Expect::Source => self.found = Databases::Unknown,
            Expect::Nothing | Expect::AfterSource => {}
        }
        self.found
    }

    fn plain(&mut self, token: Token) -> Expect {
        match token.kind {
            Kind::Keyword(Keyword::From | Keyword::Into) => Expect::Source,
            Kind::Keyword(Keyword::On) => {
                self.placed = true;
                Expect::Database
            }
            Kind::Keyword(Keyword::Database) => Expect::Database,
            Kind::Comparison(Comparison::Equal | Comparison::Matches)
                if self.before == Some(Kind::Keyword(Keyword::Measurement)) =>
            {
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
                Expect::AfterSource
            }
            Kind::Name | Kind::Quoted | Kind::Parameter => Expect::AfterPart(Parts {
                count: 1,
                first: token,
            }),
            _ => {
                self.found = Databases::Unknown;
                self.plain(token)
            }
        }
    }

    fn after_dot(&mut self, query: &[u8], token: Token, mut parts: Parts) -> Expect {
        match token.kind {
            Kind::Name | Kind::Quoted | Kind::Parameter => {
                // A parameter as the last part could hold a regular expression, which is one part as well.
                parts.count += 1;
                Expect::AfterPart(parts)
            }
            Kind::Dot => {
                parts.count += 1;
                Expect::AfterDot(parts)
            }
            Kind::Regex | Kind::Colon => {
                parts.count += 1;
                self.end_source(query, parts);
                Expect::AfterSource
            }
            _ => {
                self.end_source(query, parts);
                self.found = Databases::Unknown;
                self.plain(token)
            }
        }
    }

    fn after_source(&mut self, token: Token) -> Expect {
        match token.kind {
            Kind::Comma => Expect::Source,
            _ => self.plain(token),
        }
    }

    fn end_source(&mut self, query: &[u8], parts: Parts) {
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
