//! The order in which a node gives series, and when two of their values are the same.

use std::cmp::Ordering;

use crate::heal::node::Value;
use crate::heal::place::{Fields, Tags};

/// InfluxDB orders the series of an answer by the values of their tags, tag by tag in the order of the keys; a tag that a series
/// has not counts as an empty value, which precedes all others.
pub(super) fn by_tags(left: &Tags, right: &Tags) -> Ordering {
    let mut left = left.iter().peekable();
    let mut right = right.iter().peekable();
    loop {
        return match (left.peek(), right.peek()) {
            (None, None) => Ordering::Equal,
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (Some((left_key, left_value)), Some((right_key, right_value))) => {
                match left_key.cmp(right_key) {
                    // The right one has no value for the left one's key.
                    Ordering::Less => Ordering::Greater,
                    Ordering::Greater => Ordering::Less,
                    Ordering::Equal => match left_value.cmp(right_value) {
                        Ordering::Equal => {
                            left.next();
                            right.next();
                            continue;
                        }
                        unequal => unequal,
                    },
                }
            }
        };
    }
}

/// Whether these are the same value to the bit, and of the same type.
pub(in crate::heal) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => left.to_bits() == right.to_bits(),
        (left, right) => left == right,
    }
}

/// Whether nodes that hold these hold the same.
pub(in crate::heal) fn same_fields(left: Option<&Fields>, right: Option<&Fields>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.0 == right.0 && same(&left.1, &right.1))
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(of: &[(&str, &str)]) -> Tags {
        let of = of.iter();
        of.map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn series_are_in_influxdbs_order() {
        // As influxd 1.6.7 gives them.
        let order = [
            tags(&[]),
            tags(&[("b", "2")]),
            tags(&[("a", "0"), ("b", "3")]),
            tags(&[("a", "0 x"), ("b", "3")]),
            tags(&[("a", "0!")]),
            tags(&[("a", "1")]),
            tags(&[("a", "1"), ("b", "2")]),
            tags(&[("a", "~")]),
            tags(&[("a", "é")]),
        ];
        for (at, left) in order.iter().enumerate() {
            for (other, right) in order.iter().enumerate() {
                assert_eq!(by_tags(left, right), at.cmp(&other), "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn values_are_the_same_to_the_bit() {
        assert!(!same(&Value::Float(0.0), &Value::Float(-0.0)));
        assert!(!same(&Value::Float(1.0), &Value::Float(1.0_f64.next_up())));
        assert!(!same(&Value::Float(1.0), &Value::Integer(1)));
        assert!(same(&Value::Float(0.1), &Value::Float(0.1)));
        assert!(same(&Value::Text("".into()), &Value::Text("".into())));
        let one = vec![("f".into(), Value::Boolean(true))];
        assert!(same_fields(Some(&one), Some(&one)));
        assert!(!same_fields(Some(&one), None));
        assert!(!same_fields(Some(&one), Some(&Vec::new())));
    }
}
