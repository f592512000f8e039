//! Groups of statements, as rules about statements name them. A statement may be of several.

use std::fmt;

/// Some groups.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Groups(u32);

macro_rules! groups {
    ($($name:ident $bit:literal $word:literal,)*) => {
        impl Groups {
            $(const $name: Self = Self(1 << $bit);)*

            /// The word for each.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$name),)*];
        }
    };
}

groups! {
    SELECT 0 "select",
    SELECT_INTO 1 "select_into",
    EXPLAIN 2 "explain",
    SHOW 3 "show",
    DELETE 4 "delete",
    DROP 5 "drop",
    CREATE 6 "create",
    ALTER 7 "alter",
    KILL 8 "kill",
    USERS 9 "user_management",
    DATABASES 10 "database_management",
    POLICIES 11 "retention_policies",
    CONTINUOUS_QUERIES 12 "continuous_queries",
    SUBSCRIPTIONS 13 "subscriptions",
    FLUX 14 "flux",
}

impl Groups {
    /// Those of the statement that [`Class::names`](super::Class::names) names so; none if it cannot be told what it is.
    pub(super) fn of(name: &str) -> Self {
        let verb = match name.split(' ').next() {
            Some("SHOW") => return Self::SHOW,
            Some("DROP") => Self::DROP,
            Some("CREATE") => Self::CREATE,
            Some("ALTER") => Self::ALTER,
            _ => Self::default(),
        };
        match name {
            "SELECT" => Self::SELECT,
            "SELECT INTO" => Self::SELECT_INTO,
            "EXPLAIN" | "EXPLAIN ANALYZE" => Self::EXPLAIN,
            "DELETE" | "v2 delete" => Self::DELETE,
            "KILL QUERY" => Self::KILL,
            "Flux" => Self::FLUX,
            "GRANT" | "REVOKE" | "SET PASSWORD" => Self::USERS,
            "DROP MEASUREMENT" | "DROP SERIES" | "DROP SHARD" => verb,
            "CREATE USER" | "DROP USER" => verb.and(Self::USERS),
            "CREATE DATABASE" | "DROP DATABASE" => verb.and(Self::DATABASES),
            "v2 buckets" => Self::DATABASES.and(Self::POLICIES),
            "CREATE RETENTION POLICY" | "ALTER RETENTION POLICY" | "DROP RETENTION POLICY" => {
                verb.and(Self::POLICIES)
            }
            "CREATE CONTINUOUS QUERY" | "DROP CONTINUOUS QUERY" => {
                verb.and(Self::CONTINUOUS_QUERIES)
            }
            "CREATE SUBSCRIPTION" | "DROP SUBSCRIPTION" => verb.and(Self::SUBSCRIPTIONS),
            _ => Self::default(),
        }
    }

    /// Whether a comparison of nodes shows what the statement that [`Class::names`](super::Class::names) names so has done. It compares
    /// points, databases, policies and continuous queries, with `users` users and their rights too, and neither passwords nor
    /// subscriptions.
    pub(crate) fn is_compared(name: &str, users: bool) -> bool {
        let groups = Self::of(name);
        let is_of_users = groups.meet(Self::USERS);
        let sets_password = matches!(name, "CREATE USER" | "SET PASSWORD");
        let is_unseen = sets_password || groups.meet(Self::SUBSCRIPTIONS.and(Self::KILL));
        !groups.is_empty() && !is_unseen && (users || !is_of_users)
    }

    /// These and the others.
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether a group is in both.
    pub fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Groups {
    /// `select, show`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Self::WORDS.iter().filter(|(_, group)| self.meet(*group));
        for (index, (word, _)) in words.enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influx::influxql::statements;

    #[test]
    fn every_statement_that_is_known_is_of_a_group() {
        for name in statements::names() {
            let is_known = !name.ends_with('?') || name.starts_with("SHOW");
            assert_eq!(!Groups::of(name).is_empty(), is_known, "{name}");
        }
        for name in ["SELECT INTO", "Flux", "v2 delete", "v2 buckets"] {
            assert!(!Groups::of(name).is_empty(), "{name}");
        }
        assert_eq!(Groups::of("DROP USER").to_string(), "drop, user_management");
    }

    #[test]
    fn a_comparison_shows_neither_passwords_nor_what_is_not_known() {
        for name in statements::names() {
            let is_unseen = name.ends_with("SUBSCRIPTION")
                || ["CREATE USER", "SET PASSWORD", "KILL QUERY"].contains(&name)
                || name.ends_with('?') && !name.starts_with("SHOW");
            let is_of_users = ["GRANT", "REVOKE", "DROP USER"].contains(&name);
            assert_eq!(Groups::is_compared(name, true), !is_unseen, "{name}");
            let is_of_database = !is_unseen && !is_of_users;
            assert_eq!(Groups::is_compared(name, false), is_of_database, "{name}");
        }
    }
}
