//! Says what a query needs: see the table in [`super`].

use thiserror::Error;

use super::collector::Collector;
use super::databases::Databases;
use super::keyword::{self, Keyword};
use super::limits::{Exceeded, Limits, check_nesting};
use super::scan::{self, Scanner, Token};
use super::statements::{self, Entry, Lead, Scope, Treatment};

/// So many statements' names are kept for logs.
const MOST_NAMES: usize = 8;

/// Holds figures about the node that answers, under this name on every node.
pub(crate) const NODE_LOCAL_DATABASE: &str = "_internal";

/// Why a request is refused, with what to tell the client (its `Display`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Refusal {
    /// A `DROP SHARD`.
    #[error(
        "DROP SHARD is not replicated: shard numbers differ between InfluxDB nodes; send it to each node itself"
    )]
    DropShard,
    /// `KILL QUERY` beside something else.
    #[error(
        "KILL QUERY goes to one InfluxDB node and is not replicated: send it alone, in a request of its own"
    )]
    MixedKillQuery,
    /// A NUL byte in the query.
    #[error("a query must not contain a NUL byte")]
    NulByte,
    /// A Flux query that each node would carry out, and that would act once for each, or differently on each.
    #[error(
        "this Flux query is not replicated: each InfluxDB node would carry it out, and it imports a package by which it may act \
         outside of InfluxDB, or whose values differ from node to node; send it to one node itself"
    )]
    Flux,
    /// More of something than a request may hold.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
}

/// How a request is to be treated, from the least demanding to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No statement at all, only comments and `;`: any replica answers it.
    Empty,
    /// Only reads: any fresh replica answers it.
    Read,
    /// Only reads, and one of them tells about the node that answers: one replica answers all of these.
    NodeLocalRead,
    /// Only `KILL QUERY`: goes to one replica, is never journaled and never repeated.
    KillQuery,
    /// Changes data or schema, or might: journaled.
    Change,
    /// Answered with an explanation; no replica gets it.
    Refused(Refusal),
}

impl Kind {
    /// The treatment that satisfies both. `KILL QUERY` and anything else have none but refusal: it must not be journaled,
    /// and what stands beside it might have to be.
    pub fn most_demanding(self, other: Self) -> Self {
        let (less, more) = if self <= other {
            (self, other)
        } else {
            (other, self)
        };
        match (less, more) {
            (Self::KillQuery, Self::Change)
            | (Self::Read | Self::NodeLocalRead, Self::KillQuery) => {
                Self::Refused(Refusal::MixedKillQuery)
            }
            _ => more,
        }
    }
}

/// What is known about a query. Holds nothing of its text but names of databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// How to treat it.
    pub kind: Kind,
    /// How many statements it holds, as far as it could be read.
    pub statements: usize,
    /// The databases it touches. For reads none is missing; of a change, which waits for all of them, it tells what is named.
    pub databases: Databases,
    /// Whether it holds a `SELECT … INTO` or a `DELETE`: pass it through [`super::time::pin_now`] before it is journaled.
    pub depends_on_time: bool,
    /// The first words of its first statements, for logs: `CREATE USER`, never more of the text. `?` is what no InfluxQL
    /// statement begins with.
    pub names: Vec<&'static str>,
}

impl Class {
    /// What nothing at all is.
    pub(crate) fn empty() -> Self {
        Self {
            kind: Kind::Empty,
            statements: 0,
            databases: Databases::default(),
            depends_on_time: false,
            names: Vec::new(),
        }
    }

    /// A request that is no InfluxQL, with one name for logs.
    pub(crate) fn other(kind: Kind, databases: Databases, name: &'static str) -> Self {
        Self {
            kind,
            statements: 1,
            databases,
            depends_on_time: false,
            names: vec![name],
        }
    }

    /// A request that holds more than it may.
    pub(crate) fn exceeded(exceeded: Exceeded) -> Self {
        let kind = Kind::Refused(Refusal::Exceeded(exceeded));
        Self::other(kind, Databases::Unknown, "?")
    }

    /// What holds if either of two queries may be the one that runs.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.kind = self.kind.most_demanding(other.kind);
        self.statements = self.statements.max(other.statements);
        self.databases.merge(other.databases);
        self.depends_on_time |= other.depends_on_time;
        let room = MOST_NAMES.saturating_sub(self.names.len());
        self.names.extend(other.names.into_iter().take(room));
        self
    }

    /// The databases that an answer to these reads must be up to date of; none for reads of what is no database's. Where both stand
    /// in one request, all.
    pub fn databases_of_reads(self) -> Databases {
        const OF_NO_DATABASE: [&str; 5] = [
            "SHOW CONTINUOUS QUERIES",
            "SHOW DATABASES",
            "SHOW GRANTS",
            "SHOW SUBSCRIPTIONS",
            "SHOW USERS",
        ];
        let mut names = self.names.iter();
        let is_of_databases =
            self.statements == self.names.len() && !names.any(|name| OF_NO_DATABASE.contains(name));
        match &self.databases {
            Databases::Named { names, .. } if !names.is_empty() && !is_of_databases => {
                Databases::Unknown
            }
            _ => self.databases,
        }
    }

    /// Reads of the node-local database stay with one node.
    pub(crate) fn keep_node_local(&mut self) {
        let named = matches!(&self.databases, Databases::Named { names, .. } if names.contains(NODE_LOCAL_DATABASE));
        if self.kind == Kind::Read && named {
            self.kind = Kind::NodeLocalRead;
        }
    }
}

/// Classifies the text of a query, which may be any bytes.
///
/// ```
/// use haflux::influx::influxql::{Kind, classify};
///
/// assert_eq!(classify(b"SELECT \"into\" FROM cpu").kind, Kind::Read);
/// assert_eq!(classify(b"select mean(v) into x from cpu").kind, Kind::Change);
/// ```
pub fn classify(query: &[u8]) -> Class {
    classify_within(query, &Limits::NONE)
}

/// The same, but a query that is past `limits` is [`Kind::Refused`]; it is read no further than to there.
pub(crate) fn classify_within(query: &[u8], limits: &Limits) -> Class {
    let mut classifier = Classifier {
        class: Class::empty(),
        statement: Statement::default(),
        limits: *limits,
        separators: 0,
    };
    if memchr::memchr(0, query).is_some() {
        classifier.class.kind = Kind::Refused(Refusal::NulByte);
        classifier.class.databases = Databases::Unknown;
        return classifier.class;
    }
    for scanned in Scanner::new(query) {
        match scanned {
            Ok(token) => {
                if let Err(exceeded) = classifier.token(query, token) {
                    return Class::exceeded(exceeded);
                }
            }
            Err(_) => {
                // InfluxDB may read on where this scanner does not, so all the rest counts.
                if let Err(exceeded) = check_nesting(query, limits) {
                    return Class::exceeded(exceeded);
                }
                classifier.end_statement(query);
                return classifier.unreadable(query);
            }
        }
    }
    classifier.end_statement(query);
    classifier.class
}

struct Classifier {
    class: Class,
    statement: Statement,
    limits: Limits,
    /// Semicolons so far.
    separators: usize,
}

impl Classifier {
    fn token(&mut self, query: &[u8], token: Token) -> Result<(), Exceeded> {
        let limits = self.limits;
        match token.kind {
            scan::Kind::Semicolon => {
                self.separators += 1;
                if self.separators >= limits.statements {
                    return Err(Exceeded::Statements(limits.statements));
                }
                self.end_statement(query);
                return Ok(());
            }
            scan::Kind::Regex => check_nesting(token.text(query), &limits)?,
            _ => {}
        }
        self.statement.token(query, token);
        if self.statement.depth > limits.depth {
            return Err(Exceeded::Depth(limits.depth));
        }
        if self.statement.terms > limits.terms {
            return Err(Exceeded::Terms(limits.terms));
        }
        Ok(())
    }

    fn end_statement(&mut self, query: &[u8]) {
        let statement = std::mem::take(&mut self.statement);
        if statement.length == 0 {
            return;
        }
        let entry = statement.entry();
        let changes_by_time =
            statement.into || statement.leads.first() == Some(&Lead::Keyword(Keyword::Delete));
        let (kind, name) = (statement.kind(entry), statement.name(entry));
        let mut single = Class::other(kind, statement.databases(query, entry), name);
        single.depends_on_time = changes_by_time && single.kind == Kind::Change;
        single.keep_node_local();
        let statements = self.class.statements.saturating_add(1);
        self.class = match statements {
            1 => single,
            _ => std::mem::replace(&mut self.class, Class::empty()).or(single),
        };
        self.class.statements = statements;
    }

    /// What to do with a text that InfluxDB's parser refuses as a whole, if this scanner is right about it.
    ///
    /// If no word that could begin or make a change stands anywhere in it, not even inside quotes, no reading of it changes
    /// anything, whether the scanner is right or not: it stays the read it looks like, and a replica refuses it. Otherwise
    /// it is a change, so that in any case the nodes stay equal; `KILL QUERY` and `DROP SHARD` are kept out of the journal.
    fn unreadable(mut self, query: &[u8]) -> Class {
        const CHANGES: &[Keyword] = &[
            Keyword::Alter,
            Keyword::Create,
            Keyword::Delete,
            Keyword::Drop,
            Keyword::Grant,
            Keyword::Into,
            Keyword::Revoke,
            Keyword::Set,
        ];
        self.class.databases = Databases::Unknown;
        if keyword::may_hold(query, &[Keyword::Kill]) {
            self.class.kind = Kind::Refused(Refusal::MixedKillQuery);
        } else if keyword::may_hold(query, &[Keyword::Drop])
            && keyword::may_hold(query, &[Keyword::Shard])
        {
            self.class.kind = Kind::Refused(Refusal::DropShard);
        } else if keyword::may_hold(query, CHANGES)
            || !matches!(self.class.kind, Kind::Read | Kind::NodeLocalRead)
        {
            self.class.kind = Kind::Change;
        }
        self.class
    }
}

/// One statement, as far as it has been read.
#[derive(Default)]
struct Statement {
    /// Its tokens so far.
    length: usize,
    /// Parentheses that are open.
    depth: usize,
    /// Operators, comparisons and commas so far.
    terms: usize,
    /// The first of them, as many as there are.
    leads: [Lead; statements::LEADS],
    /// Whether `INTO` stands in it.
    into: bool,
    /// Whether a word stands in it that only a statement that changes something begins with.
    suspect: bool,
    collector: Collector,
}

impl Statement {
    fn token(&mut self, query: &[u8], token: Token) {
        if let Some(lead) = self.leads.get_mut(self.length) {
            *lead = Lead::of(query, token);
        }
        if let Some(keyword) = token.keyword() {
            self.into |= keyword == Keyword::Into;
            self.suspect |= self.length > 0 && keyword.begins_a_change();
        }
        match token.kind {
            scan::Kind::LeftParen => self.depth += 1,
            scan::Kind::RightParen => self.depth = self.depth.saturating_sub(1),
            scan::Kind::Operator
            | scan::Kind::Star
            | scan::Kind::Comma
            | scan::Kind::Comparison(_)
            | scan::Kind::Keyword(Keyword::And | Keyword::Or) => self.terms += 1,
            _ => {}
        }
        self.length = self.length.saturating_add(1);
        self.collector.token(query, token);
    }

    /// What kind of statement it is; nothing if no statement begins so.
    fn entry(&self) -> Option<&'static Entry> {
        let leads = self.leads.get(..self.length).unwrap_or(&self.leads);
        statements::find(leads)
    }

    fn name(&self, entry: Option<&Entry>) -> &'static str {
        match entry {
            Some(entry) if self.into && entry.treatment == Treatment::Select => "SELECT INTO",
            Some(entry) => entry.name,
            None => "?",
        }
    }

    fn kind(&self, entry: Option<&Entry>) -> Kind {
        let Some(entry) = entry else {
            return Kind::Change;
        };
        let read = match entry.treatment {
            Treatment::Change => return Kind::Change,
            Treatment::KillQuery => return Kind::KillQuery,
            Treatment::DropShard => return Kind::Refused(Refusal::DropShard),
            Treatment::Explain => {
                return if self.suspect {
                    Kind::Change
                } else {
                    Kind::Read
                };
            }
            Treatment::Select | Treatment::Read => Kind::Read,
            Treatment::NodeLocalRead => Kind::NodeLocalRead,
        };
        if self.into || self.suspect {
            Kind::Change
        } else {
            read
        }
    }

    fn databases(self, query: &[u8], entry: Option<&Entry>) -> Databases {
        let scope = entry.map_or(Scope::Unknown, |entry| entry.scope);
        let placed = self.collector.placed;
        let mut databases = self.collector.finish(query);
        match scope {
            Scope::Text => {}
            Scope::Default if placed => {}
            Scope::Default => databases.use_default(),
            Scope::Nothing => return Databases::default(),
            Scope::Unknown => return Databases::Unknown,
        }
        databases
    }
}
