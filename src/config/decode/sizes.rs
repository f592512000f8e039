//! Limits in bytes that must not contradict each other.

use crate::config::error::Problem;
use crate::config::field::{Field, Table};
use crate::config::tree::quote;
use crate::config::units::format_size;

/// The smallest size that any limit may have.
pub(super) const SMALLEST: usize = 1024;

/// The largest that a body may have.
pub(super) const LARGEST_BODY: usize = 1 << 30;

/// The most that all bodies held at once may have.
pub(super) const LARGEST_INFLIGHT: usize = 1 << 40;

/// A limit that the file gives, and where.
pub(super) type Given<'a> = Option<(Field<'a>, usize)>;

/// A limit, if the file gives one.
pub(super) fn size<'a>(table: &Table<'a>, key: &'static str, largest: usize) -> Given<'a> {
    let field = table.get(key)?;
    let bytes = field.size(SMALLEST..=largest)?;
    Some((field, bytes))
}

/// What counts, and how it is shown.
pub(super) fn or_default(given: &Given<'_>, default: usize) -> (usize, String) {
    match given {
        Some((field, bytes)) => (*bytes, field.describe()),
        None => (default, quote(&format_size(default as u64))),
    }
}

/// Reports one that is given and below another one.
pub(super) fn at_least(given: &Given<'_>, bound: &'static str, limit: usize, shown: &str) {
    if let Some((field, bytes)) = given
        && *bytes < limit
    {
        field.report(Problem::Below {
            bound,
            limit: shown.to_owned(),
            found: field.describe(),
        });
    }
}
