//! What differs, in words.

use std::collections::HashSet;

use bstr::{BStr, BString, ByteSlice};
use jiff::Timestamp;

use super::fields::{differing, names, values};
use super::order::same;
use crate::control::Difference;
use crate::heal::node::Value;
use crate::heal::place::{DifferentPoint, Fields, Name, SeriesDifference, Tags};

/// Points of a series that are named one by one; more are told together.
const NAMED: usize = 3;

/// Characters of a text that are shown.
const SHOWN: usize = 60;

/// Bytes of a place, and of what a node holds there, that are shown.
const LONGEST: usize = 400;

/// What is told of points, for nodes of these names.
pub(in crate::heal) struct Words<'nodes> {
    nodes: &'nodes [String],
    /// Of which fields it was told that they have several types, with the measurement and the beginning of the shard group.
    types: HashSet<(String, i64, BString)>,
}

impl<'nodes> Words<'nodes> {
    pub(in crate::heal) fn new(nodes: &'nodes [String]) -> Words<'nodes> {
        Words {
            nodes,
            types: HashSet::new(),
        }
    }

    /// The differences that points of a series are, for a person.
    pub(in crate::heal) fn differences(&mut self, series: &SeriesDifference) -> Vec<Difference> {
        let mut told = Vec::new();
        let mut points = Vec::new();
        for point in &series.points {
            let only_types = self.types(series, point, &mut told);
            if !only_types {
                points.push(point);
            }
        }
        let place = place(series);
        if points.len() <= NAMED {
            for point in points {
                told.push(Difference {
                    kind: "point".to_owned(),
                    place: format!("{place} {}", time(point.time)),
                    holds: self.named(holds(point)),
                });
            }
        } else if let (Some(first), Some(last)) = (points.first(), points.last()) {
            let counts = (0..self.nodes.len()).map(|node| {
                let has =
                    |point: &&&DifferentPoint| point.holds.get(node).is_some_and(Option::is_some);
                match points.iter().filter(has).count() {
                    0 => "-".to_owned(),
                    count => format!("{count} of {} points that differ", points.len()),
                }
            });
            told.push(Difference {
                kind: "points".to_owned(),
                place: format!("{place} {} to {}", time(first.time), time(last.time)),
                holds: self.named(counts.collect()),
            });
        }
        told
    }

    fn named(&self, holds: Vec<String>) -> Vec<(String, String)> {
        let holds = holds.into_iter().map(shortened);
        self.nodes.iter().cloned().zip(holds).collect()
    }

    /// Tells of each field that has several types. Whether nothing else differs in the point.
    fn types(
        &mut self,
        series: &SeriesDifference,
        point: &DifferentPoint,
        told: &mut Vec<Difference>,
    ) -> bool {
        let all_have_it = point.holds.iter().all(Option::is_some);
        let mut only_types = all_have_it;
        for name in names(point) {
            let values: Vec<Option<&Value>> = values(point, name).collect();
            let mut there = values.iter().flatten();
            let first = there.next();
            let of_one_type =
                there.all(|value| first.is_some_and(|first| type_of(first) == type_of(value)));
            if of_one_type {
                let first = values.first().copied().flatten();
                let is_same = values.iter().all(|value| match (first, value) {
                    (Some(first), Some(value)) => same(first, value),
                    (first, value) => first.is_none() && value.is_none(),
                });
                only_types &= is_same;
                continue;
            }
            only_types &= values.iter().all(Option::is_some);
            let measurement = measurement(series);
            let key = (measurement.clone(), series.slice.from, name.to_owned());
            if self.types.insert(key) {
                let types = values
                    .iter()
                    .map(|value| value.map_or("-", type_of).to_owned());
                told.push(Difference {
                    kind: "type".to_owned(),
                    place: format!(
                        "{measurement} {} from {} to {}",
                        Name(name),
                        time(series.slice.from),
                        time(series.slice.until)
                    ),
                    holds: self.named(types.collect()),
                });
            }
        }
        only_types
    }
}

/// What each node holds of the fields that differ.
fn holds(point: &DifferentPoint) -> Vec<String> {
    let differ = differing(point);
    let held = point.holds.iter().map(|held| match held {
        None => "-".to_owned(),
        Some(fields) => {
            let fields = differ.iter().map(|name| field(fields, name));
            fields.collect::<Vec<_>>().join(" ")
        }
    });
    held.collect()
}

fn field(fields: &Fields, name: &BStr) -> String {
    let value = fields.iter().find(|(known, _)| known == name);
    let value = value.map_or_else(|| "-".to_owned(), |(_, value)| shown(value));
    format!("{}={value}", Name(name))
}

/// As in a line.
fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Integer(number) => format!("{number}i"),
        Value::Unsigned(number) => format!("{number}u"),
        Value::Boolean(is) => is.to_string(),
        Value::Text(text) => {
            let behind = text.char_indices().nth(SHOWN);
            let end = behind.map_or(text.len(), |(start, _, _)| start);
            let more = if behind.is_some() { "…" } else { "" };
            format!("{:?}{more}", text.get(..end).unwrap_or_default().as_bstr())
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Float(_) => "float",
        Value::Integer(_) => "integer",
        Value::Unsigned(_) => "unsigned",
        Value::Boolean(_) => "boolean",
        Value::Text(_) => "string",
    }
}

fn measurement(series: &SeriesDifference) -> String {
    let slice = &series.slice;
    let name = Name(slice.measurement.as_bstr());
    format!("{}.{}.{name}", slice.database, slice.policy)
}

fn place(series: &SeriesDifference) -> String {
    let mut place = measurement(series);
    for (key, value) in &series.tags as &Tags {
        let (key, value) = (Name(key.as_bstr()), Name(value.as_bstr()));
        place.push_str(&format!(",{key}={value}"));
    }
    shortened(place)
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// RFC 3339; nanoseconds since 1970 where the calendar does not reach.
pub(super) fn time(nanoseconds: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(time) => time.to_string(),
        Err(_) => nanoseconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::node::Slice;

    fn told(points: Vec<(i64, [Option<Fields>; 2])>) -> Vec<String> {
        let series = SeriesDifference {
            slice: Slice {
                database: "d".to_owned(),
                policy: "p".to_owned(),
                measurement: "m".into(),
                from: 0,
                until: 3_600_000_000_000,
            },
            tags: vec![("host".into(), "a b".into())],
            points: points
                .into_iter()
                .map(|(time, holds)| DifferentPoint {
                    time,
                    holds: holds.into(),
                })
                .collect(),
        };
        let nodes = ["one".to_owned(), "two".to_owned()];
        let mut words = Words::new(&nodes);
        let line = |difference: &Difference| {
            let holds = difference.holds.iter();
            let holds = holds.map(|(node, held)| format!("{node} {held}"));
            let holds: Vec<String> = holds.collect();
            format!(
                "{} {}: {}",
                difference.kind,
                difference.place,
                holds.join(", ")
            )
        };
        words.differences(&series).iter().map(line).collect()
    }

    fn fields(of: &[(&str, Value)]) -> Option<Fields> {
        let of = of.iter();
        Some(
            of.map(|(name, value)| ((*name).into(), value.clone()))
                .collect(),
        )
    }

    #[test]
    fn a_point_is_named_with_the_fields_that_differ() {
        let left = fields(&[
            ("a", Value::Float(1.0)),
            ("b", Value::Integer(2)),
            ("c", Value::Boolean(true)),
        ]);
        let right = fields(&[
            ("a", Value::Float(1.5)),
            ("b", Value::Integer(2)),
            ("d", Value::Text("x\n".into())),
        ]);
        assert_eq!(
            told(vec![
                (1_000_000_000, [left.clone(), right]),
                (1, [left, None])
            ]),
            [
                "point d.p.m,host=a b 1970-01-01T00:00:01Z: one a=1.0 c=true d=-, two a=1.5 c=- d=\"x\\n\"",
                "point d.p.m,host=a b 1970-01-01T00:00:00.000000001Z: one a=1.0 b=2i c=true, two -",
            ]
        );
    }

    #[test]
    fn names_that_are_not_utf_8_are_told_apart() {
        let told = [b"bad\xfem", b"bad\xffm"].map(|measurement| {
            let series = SeriesDifference {
                slice: Slice {
                    database: "d".to_owned(),
                    policy: "p".to_owned(),
                    measurement: measurement.into(),
                    from: 0,
                    until: 1,
                },
                tags: vec![(b"t\xe9".into(), b"v\xe9".into())],
                points: vec![DifferentPoint {
                    time: 0,
                    holds: vec![Some(vec![(b"f\xe9".into(), Value::Integer(1))]), None],
                }],
            };
            let nodes = ["one".to_owned(), "two".to_owned()];
            let told = Words::new(&nodes).differences(&series);
            let told = told
                .first()
                .map(|told| (told.place.clone(), told.holds.clone()));
            let (place, holds) = told.unwrap_or_default();
            let held = holds.first().map(|(_, held)| held.clone());
            (place, held.unwrap_or_default())
        });
        let expected = ["fe", "ff"].map(|byte| {
            let place = format!("d.p.bad\\x{byte}m,t\\xe9=v\\xe9 1970-01-01T00:00:00Z");
            (place, "f\\xe9=1i".to_owned())
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn many_points_are_told_together() {
        let one = || fields(&[("a", Value::Unsigned(1))]);
        let points = (0..5).map(|second| {
            let right = (second == 0)
                .then(|| fields(&[("a", Value::Unsigned(2))]))
                .flatten();
            (second * 1_000_000_000, [one(), right])
        });
        assert_eq!(
            told(points.collect()),
            [
                "points d.p.m,host=a b 1970-01-01T00:00:00Z to 1970-01-01T00:00:04Z: one 5 of 5 points that differ, two 1 of 5 points that differ"
            ]
        );
    }

    #[test]
    fn a_type_is_told_once_and_not_again_point_by_point() {
        let point = |second: i64, left: Value, right: Value| {
            (second, [fields(&[("a", left)]), fields(&[("a", right)])])
        };
        assert_eq!(
            told(vec![
                point(0, Value::Integer(1), Value::Float(1.0)),
                point(1, Value::Integer(2), Value::Float(2.0)),
            ]),
            [
                "type d.p.m a from 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z: one integer, two float"
            ]
        );
    }
}
