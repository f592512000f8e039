//! The fields of a point that differs.

use bstr::{BStr, ByteSlice};

use super::order::same;
use crate::heal::node::Value;
use crate::heal::place::DifferentPoint;

/// The names of the fields that any node holds, in their order.
pub(super) fn names(point: &DifferentPoint) -> Vec<&BStr> {
    let fields = point.holds.iter().flatten().flatten();
    let mut names: Vec<&BStr> = fields.map(|(name, _)| name.as_bstr()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What each node holds of a field.
pub(super) fn values<'point>(
    point: &'point DifferentPoint,
    name: &BStr,
) -> impl Iterator<Item = Option<&'point Value>> {
    point.holds.iter().map(move |held| {
        let fields = held.as_ref()?;
        let at = fields.binary_search_by(|(known, _)| known.as_bstr().cmp(name));
        fields.get(at.ok()?).map(|(_, value)| value)
    })
}

/// The names of the fields of which not all nodes hold the same, in their order.
pub(super) fn differing(point: &DifferentPoint) -> Vec<&BStr> {
    let mut names = names(point);
    names.retain(|name| {
        let mut values = values(point, name);
        let first = values.next().flatten();
        values.any(|value| match (first, value) {
            (Some(first), Some(value)) => !same(first, value),
            (first, value) => first.is_some() || value.is_some(),
        })
    });
    names
}
