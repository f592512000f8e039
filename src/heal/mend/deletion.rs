//! The `DELETE` of points of one series.

use std::collections::BTreeSet;

use bstr::{BStr, BString, ByteSlice};

use super::plan::Span;
use crate::heal::node::{SPECIAL_KEYS, is_sayable};
use crate::heal::place::Tags;
use crate::influx::influxql::{identifier, string};

/// Why a `DELETE` would not take one series of a measurement alone. `keys`: those of all its series.
pub(super) fn obstacle(
    measurement: &BStr,
    tags: &Tags,
    keys: &BTreeSet<BString>,
) -> Option<String> {
    if !is_sayable(measurement) {
        return Some("InfluxQL cannot say its name".to_owned());
    }
    let is_special = |key: &&BString| SPECIAL_KEYS.iter().any(|special| *key == special);
    if let Some(key) = keys.iter().find(is_special) {
        return Some(format!("a tag is called {key}"));
    }
    let of_tags = tags.iter().flat_map(|(key, value)| [key, value]);
    let odd = keys
        .iter()
        .chain(of_tags)
        .find(|text| !is_sayable(text.as_bstr()));
    odd.map(|odd| format!("InfluxQL cannot say {odd:?} of its tags"))
}

/// Deletes the points of one series, in every policy. `keys`: those of all series of the measurement.
pub(super) fn delete(
    measurement: &BStr,
    tags: &Tags,
    keys: &BTreeSet<BString>,
    (from, until): Span,
) -> String {
    let mut statement = format!(
        "DELETE FROM {} WHERE time >= {from} AND time <= {until}",
        identifier(&measurement.to_str_lossy())
    );
    let mut condition = |key: &BStr, value: &BStr| {
        // Untyped, a key that is a field's name too would match every series.
        let condition = format!(
            " AND {}::tag = {}",
            identifier(&key.to_str_lossy()),
            string(&value.to_str_lossy())
        );
        statement.push_str(&condition);
    };
    for (key, value) in tags {
        condition(key.as_bstr(), value.as_bstr());
    }
    for key in keys {
        if tags.iter().all(|(known, _)| known != key) {
            condition(key.as_bstr(), "".into());
        }
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_of_one_series() {
        let keys = ["host", "rack's"].map(BString::from).into();
        let tags = vec![("host".into(), "it's".into())];
        assert_eq!(
            delete("m\"".into(), &tags, &keys, (1, 2)),
            "DELETE FROM \"m\\\"\" WHERE time >= 1 AND time <= 2 AND \"host\"::tag = 'it\\'s' AND \"rack's\"::tag = ''"
        );
    }

    #[test]
    fn what_influxql_cannot_say_is_not_deleted_alone() {
        let of = |measurement: &[u8], key: &[u8], value: &[u8]| {
            let tags = vec![(key.into(), value.into())];
            obstacle(measurement.as_bstr(), &tags, &BTreeSet::from([key.into()]))
        };
        assert_eq!(of(b"m", b"host", b"a"), None);
        for (measurement, key, value) in [
            (&b"m\xe9"[..], &b"host"[..], &b"a"[..]),
            (b"m", b"_name", b"a"),
            (b"m", b"host\0", b"a"),
            (b"m", b"host", b"\xe9"),
        ] {
            assert!(
                of(measurement, key, value).is_some(),
                "{measurement:?} {key:?}"
            );
        }
    }
}
