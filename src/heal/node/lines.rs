//! Points as lines.

use super::Series;

/// Appends the lines of points, with times in nanoseconds and a newline behind each.
pub(in crate::heal) fn append_lines(into: &mut Vec<u8>, measurement: &str, series: &Series) {
    todo!()
}
