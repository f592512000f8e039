//! Where nodes differ, with all that each holds there: what `compare` finds and `mend` ends.

use std::fmt;

use bstr::{BStr, BString};

use super::node::{Slice, Value};
use crate::control::Difference;

/// A series' tags: keys and values, ordered by key; tags without a value are left out.
pub(super) type Tags = Vec<(BString, BString)>;

/// The fields of one point, ordered by name.
pub(super) type Fields = Vec<(BString, Value)>;

/// A name for a person: bytes that are not UTF-8 are shown as `\xff`, so that no two names look the same.
pub(super) struct Name<'name>(pub(super) &'name BStr);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Something that differs, and stays so.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// A database, a policy, a continuous query or a user, in words.
    Schema(Difference),
    /// Points of one series.
    Points(SeriesDifference),
}

/// Points of one series that differ. More of one series come in several of these, in the order of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesDifference {
    /// Database, policy and measurement, and the time in which no node's shard group ends.
    pub(super) slice: Slice,
    /// Of the series.
    pub(super) tags: Tags,
    /// The points that differ, in the order of time.
    pub(super) points: Vec<DifferentPoint>,
}

/// A point that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DifferentPoint {
    /// Nanoseconds since 1970.
    pub(super) time: i64,
    /// What each of the nodes that are compared holds, in their order.
    pub(super) holds: Vec<Option<Fields>>,
}
