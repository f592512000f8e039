//! Which measurements a request touches, for rules about them.
//!
//! A rule that misses a measurement lets a client read or change what it may not. So [every place](super::collector) where the
//! grammar allows one is taken, and whatever is not plainly a name there makes the answer [`Measurements::Unknown`]: a regular
//! expression, a bound parameter, an empty name, a name that is not UTF-8.

use std::collections::BTreeSet;

/// More names than this in one statement are not told apart.
const MOST_NAMES: usize = 256;

/// The measurements that are read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measurements {
    /// These, and no others.
    Named(BTreeSet<String>),
    /// It cannot be told: take all of them.
    Unknown,
}

impl Default for Measurements {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Measurements {
    /// Adds what stands where a measurement's name does; nothing if it is no name that can be told.
    pub(super) fn add(&mut self, name: Option<String>) {
        match (&mut *self, name.filter(|name| !name.is_empty())) {
            (Self::Named(names), Some(name)) if names.len() < MOST_NAMES => {
                names.insert(name);
            }
            _ => *self = Self::Unknown,
        }
    }

    /// Adds what `other` names.
    fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Named(names), Self::Named(more)) => {
                names.extend(more);
                if names.len() > MOST_NAMES {
                    *self = Self::Unknown;
                }
            }
            _ => *self = Self::Unknown,
        }
    }

    /// What a statement touches whose text names these in its sources and these as what it writes into; `name` is the statement's, by
    /// the grammar's words.
    pub(super) fn of(name: &str, sources: Self, targets: Self) -> Self {
        match Content::of(name) {
            Content::Nothing => Self::default(),
            Content::Everything => Self::Unknown,
            // Without `FROM` it is about the whole database, or no statement of the grammar.
            Content::Text => match sources {
                Self::Named(names) if names.is_empty() => Self::Unknown,
                mut all => {
                    all.merge(targets);
                    all
                }
            },
        }
    }
}

/// Whose data a kind of statement is about.
enum Content {
    /// The measurements that its text names; all of them if there is none.
    Text,
    /// No measurement's: it shows and destroys none.
    Nothing,
    /// Every measurement's: a whole database's, or what only the text of another statement names.
    Everything,
}

impl Content {
    /// What is not listed here, a statement that no grammar knows too, is about everything.
    fn of(name: &str) -> Self {
        match name {
            "SELECT"
            | "SELECT INTO"
            | "EXPLAIN"
            | "EXPLAIN ANALYZE"
            | "SHOW MEASUREMENTS"
            | "SHOW MEASUREMENT CARDINALITY"
            | "SHOW TAG KEYS"
            | "SHOW TAG KEY CARDINALITY"
            | "SHOW TAG VALUES"
            | "SHOW FIELD KEYS"
            | "SHOW FIELD KEY CARDINALITY"
            | "SHOW SERIES"
            | "DELETE"
            | "DROP MEASUREMENT"
            | "DROP SERIES"
            | "CREATE CONTINUOUS QUERY" => Self::Text,
            "SHOW DATABASES"
            | "SHOW RETENTION POLICIES"
            | "SHOW GRANTS"
            | "SHOW SUBSCRIPTIONS"
            | "SHOW USERS"
            | "CREATE DATABASE"
            | "CREATE USER"
            | "DROP USER"
            | "SET PASSWORD"
            | "GRANT"
            | "REVOKE"
            | "KILL QUERY" => Self::Nothing,
            _ => Self::Everything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::statements;
    use super::*;

    #[test]
    fn what_is_listed_is_in_the_grammar() {
        let known: Vec<&str> = statements::names().collect();
        let decided = known
            .iter()
            .filter(|name| !matches!(Content::of(name), Content::Everything));
        // `SELECT INTO` is a name of its own, and none of the table's.
        assert_eq!(decided.count() + 1, 16 + 12);
    }

    #[test]
    fn so_many_names_are_not_told_apart() {
        let some = |range: std::ops::Range<usize>| {
            let mut all = Measurements::default();
            range.for_each(|one| all.add(Some(one.to_string())));
            all
        };
        assert!(matches!(some(0..MOST_NAMES), Measurements::Named(_)));
        assert_eq!(some(0..MOST_NAMES + 1), Measurements::Unknown);
        let both = Measurements::of("SELECT INTO", some(0..MOST_NAMES), some(1000..1001));
        assert_eq!(both, Measurements::Unknown);
    }
}
