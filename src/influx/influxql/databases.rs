//! Which databases the text of a query names.
//!
//! A read barrier that misses a database answers from a replica that does not have its latest writes; one that names a
//! database too many only waits a little. So [every place](super::collector) where the grammar allows a database is taken, and
//! whatever is not plainly a name there makes the answer [`Databases::Unknown`]: a bound parameter (its value is elsewhere), `*`
//! (`SHOW MEASUREMENTS ON *.*`), a name that is not UTF-8.

use std::collections::BTreeSet;

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
