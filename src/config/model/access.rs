//! `rules`: what the clients of a frontend may read, change and state.

use std::fmt;
use std::sync::Arc;

use crate::influx::influxql::Groups;

/// One table of `rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// `users`: whom it is for, by the name in their credentials; everybody if it is empty.
    pub users: Vec<Pattern>,
    /// `read`: databases that may be read; all of them without it.
    pub read: Option<Vec<Pattern>>,
    /// `write`: databases that may be changed; all of them without it.
    pub write: Option<Vec<Pattern>>,
    /// `measurements`: those that may be read and changed; all of them without it.
    pub measurements: Option<AllowedMeasurements>,
    /// `read_only`: nothing may be changed.
    pub read_only: bool,
    /// `statements`: groups of statements that are allowed; all of them without it.
    pub statements: Option<Groups>,
    /// `deny_statements`: groups of statements that are not, also where `statements` names them.
    pub deny_statements: Option<Groups>,
}

/// The measurements that a client may read and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedMeasurements(Arc<[Pattern]>);

impl AllowedMeasurements {
    /// Those that match one of these.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns.into())
    }

    /// The patterns.
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// Whether `name` is among them.
    pub fn allow(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether they are all that there may be.
    pub fn are_all(&self) -> bool {
        self.0.iter().any(Pattern::is_everything)
    }
}

/// A name in which `*` stands for anything, nothing included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern that is written so.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it stands for `name`.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // The earliest place of each part leaves the most room for those behind it.
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }

    /// Whether it stands for every name.
    pub fn is_everything(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, matching, others) in [
            ("db1", &["db1"][..], &["db", "db11", "", "DB1"][..]),
            ("db_*", &["db_", "db_1", "db_*"], &["db", "xdb_1"]),
            ("*_raw", &["_raw", "a_raw", "a_raw_raw"], &["raw", "a_raw_"]),
            (
                "a*b*c",
                &["abc", "a1b2c", "abbcc", "abcbc"],
                &["ab", "acb", "xabc", "abcx"],
            ),
            ("a*a", &["aa", "aba"], &["a"]),
            ("*", &["", "x"], &[]),
            ("**", &["", "x"], &[]),
        ] {
            let pattern = Pattern::new(pattern);
            for name in matching {
                assert!(pattern.matches(name), "{pattern} {name}");
            }
            for name in others {
                assert!(!pattern.matches(name), "{pattern} {name}");
            }
        }
        assert!(Pattern::new("**").is_everything() && !Pattern::new("*a").is_everything());
    }
}
