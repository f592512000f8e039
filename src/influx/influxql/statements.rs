//! The table of statements (parse_tree.go of influxql v1.0 to v1.4, InfluxDB 1.6 to 1.12).

use super::keyword::Keyword;
use super::scan::{Kind, Token};

/// So many tokens at the beginning tell what a statement is.
pub(crate) const LEADS: usize = 4;

/// One of the tokens at the beginning of a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lead {
    /// A reserved word.
    Keyword(Keyword),
    /// `VERBOSE`, reserved in 1.11 and later.
    Verbose,
    /// Anything else.
    #[default]
    Other,
}

impl Lead {
    /// What `token` is at the beginning of a statement.
    pub(crate) fn of(query: &[u8], token: Token) -> Self {
        match token.kind {
            Kind::Keyword(keyword) => Self::Keyword(keyword),
            Kind::Name if token.is_name(query, "VERBOSE") => Self::Verbose,
            _ => Self::Other,
        }
    }
}

/// How a kind of statement is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// A read unless `INTO` stands in it, or anything that does not belong there.
    Select,
    /// A read, with `INTO` too: what it explains is never written.
    Explain,
    /// A read.
    Read,
    /// A read of what only the answering node has.
    NodeLocalRead,
    /// A change.
    Change,
    /// Stops a query of one node.
    KillQuery,
    /// Names a shard by the number that it has on one node.
    DropShard,
}

/// Which databases a kind of statement touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those that its text tells.
    Text,
    /// Those that its text tells, and the parameter `db` unless it has an `ON`.
    Default,
    /// None.
    Nothing,
    /// It cannot be told.
    Unknown,
}

/// One kind of statement.
#[derive(Debug)]
pub(crate) struct Entry {
    words: &'static [Keyword],
    /// Its name in logs.
    pub(crate) name: &'static str,
    /// How it is treated.
    pub(crate) treatment: Treatment,
    /// Which databases it touches.
    pub(crate) scope: Scope,
}

macro_rules! table {
    ($($($word:ident)+ => $name:literal $treatment:ident $scope:ident,)*) => {
        &[$(Entry {
            words: &[$(Keyword::$word),+],
            name: $name,
            treatment: Treatment::$treatment,
            scope: Scope::$scope,
        },)*]
    };
}

/// Every statement of the grammar; the first entry whose words begin a statement is its kind. The entries of one word at the
/// end of a group catch what the grammar does not know: behind `SHOW` no version has ever had a change, everything else
/// unknown is one.
static STATEMENTS: &[Entry] = table! {
    Select => "SELECT" Select Text,
    Show Measurements => "SHOW MEASUREMENTS" Read Default,
    Show Measurement => "SHOW MEASUREMENT CARDINALITY" Read Default,
    Show Tag Keys => "SHOW TAG KEYS" Read Default,
    Show Tag Key => "SHOW TAG KEY CARDINALITY" Read Default,
    Show Tag Values => "SHOW TAG VALUES" Read Default,
    Show Field Keys => "SHOW FIELD KEYS" Read Default,
    Show Field Key => "SHOW FIELD KEY CARDINALITY" Read Default,
    Show Series => "SHOW SERIES" Read Default,
    Show Retention Policies => "SHOW RETENTION POLICIES" Read Default,
    Show Databases => "SHOW DATABASES" Read Nothing,
    Show Continuous Queries => "SHOW CONTINUOUS QUERIES" Read Nothing,
    Show Grants For => "SHOW GRANTS" Read Nothing,
    Show Subscriptions => "SHOW SUBSCRIPTIONS" Read Nothing,
    Show Users => "SHOW USERS" Read Nothing,
    Show Diagnostics => "SHOW DIAGNOSTICS" NodeLocalRead Nothing,
    Show Queries => "SHOW QUERIES" NodeLocalRead Nothing,
    Show Shard Groups => "SHOW SHARD GROUPS" NodeLocalRead Nothing,
    Show Shards => "SHOW SHARDS" NodeLocalRead Nothing,
    Show Stats => "SHOW STATS" NodeLocalRead Nothing,
    Show => "SHOW ?" Read Unknown,
    Explain Select => "EXPLAIN" Explain Text,
    Explain Analyze Select => "EXPLAIN ANALYZE" Explain Text,
    Explain => "EXPLAIN ?" Change Unknown,
    Delete => "DELETE" Change Default,
    Drop Measurement => "DROP MEASUREMENT" Change Default,
    Drop Series => "DROP SERIES" Change Default,
    Drop Database => "DROP DATABASE" Change Text,
    Drop Retention Policy => "DROP RETENTION POLICY" Change Text,
    Drop Continuous Query => "DROP CONTINUOUS QUERY" Change Text,
    Drop Subscription => "DROP SUBSCRIPTION" Change Text,
    Drop User => "DROP USER" Change Nothing,
    Drop Shard => "DROP SHARD" DropShard Nothing,
    Drop => "DROP ?" Change Unknown,
    Create Database => "CREATE DATABASE" Change Text,
    Create Retention Policy => "CREATE RETENTION POLICY" Change Text,
    Create Continuous Query => "CREATE CONTINUOUS QUERY" Change Text,
    Create Subscription => "CREATE SUBSCRIPTION" Change Text,
    Create User => "CREATE USER" Change Nothing,
    Create => "CREATE ?" Change Unknown,
    Alter Retention Policy => "ALTER RETENTION POLICY" Change Text,
    Alter => "ALTER ?" Change Unknown,
    Grant => "GRANT" Change Text,
    Revoke => "REVOKE" Change Text,
    Set Password For => "SET PASSWORD" Change Nothing,
    Set => "SET ?" Change Unknown,
    Kill => "KILL QUERY" KillQuery Nothing,
};

/// The kind of the statement that begins with `leads`; nothing if no statement begins so.
pub(crate) fn find(leads: &[Lead]) -> Option<&'static Entry> {
    // `EXPLAIN [ANALYZE] [VERBOSE] SELECT` is found without its `VERBOSE`.
    let explains = leads.first() == Some(&Lead::Keyword(Keyword::Explain));
    let words = leads
        .iter()
        .filter(|lead| !(explains && **lead == Lead::Verbose));
    STATEMENTS.iter().find(|entry| {
        let mut words = words.clone();
        entry
            .words
            .iter()
            .all(|word| words.next() == Some(&Lead::Keyword(*word)))
    })
}

/// The names of all.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STATEMENTS.iter().map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_hides_a_later_one() {
        for (at, entry) in STATEMENTS.iter().enumerate() {
            let leads: Vec<Lead> = entry
                .words
                .iter()
                .map(|word| Lead::Keyword(*word))
                .collect();
            assert!(leads.len() <= LEADS);
            assert!(
                std::ptr::eq(find(&leads).unwrap(), &STATEMENTS[at]),
                "{}",
                entry.name
            );
        }
    }
}
