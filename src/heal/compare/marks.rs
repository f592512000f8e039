//! What is kept of points that differ until they are read again.
//!
//! Field by field, because a field that stays different may stand in a point whose other fields are written all the time.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use bstr::{BStr, BString};

use super::fields::{differing, values};
use crate::heal::node::Value;
use crate::heal::place::{DifferentPoint, SeriesDifference, Tags};

/// Fields of a point that are kept apart; of more, the first ones by their names speak for the point.
const FIELDS: usize = 64;

/// A point that differs, beside what is kept of it.
#[derive(Debug, PartialEq)]
pub(super) enum Again {
    /// Nothing is kept of it.
    New,
    /// Some of its fields differ as they did; this has no others that differ.
    Stays(DifferentPoint),
    /// All of its fields that differ do so by other values.
    Moves(DifferentPoint),
}

/// Points that differ, each with what stands for its fields that do.
#[derive(Default)]
pub(super) struct Marks {
    of_series: HashMap<Tags, BTreeMap<i64, Vec<u64>>>,
}

impl Marks {
    /// Those of the points of a series' differences.
    pub(super) fn of(differences: &[SeriesDifference]) -> Marks {
        let mut marks = Marks::default();
        for difference in differences {
            for point in &difference.points {
                marks.add(&difference.tags, point);
            }
        }
        marks
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.of_series.is_empty()
    }

    /// How many points there are.
    pub(super) fn count(&self) -> usize {
        self.of_series.values().map(BTreeMap::len).sum()
    }

    /// Adds a point, or what it holds now.
    pub(super) fn add(&mut self, tags: &Tags, point: &DifferentPoint) {
        let names = differing(point);
        let names = names.iter().take(FIELDS);
        let stand_for = names.map(|name| stands_for(point, name)).collect();
        if let Some(times) = self.of_series.get_mut(tags) {
            times.insert(point.time, stand_for);
        } else {
            let times = BTreeMap::from([(point.time, stand_for)]);
            self.of_series.insert(tags.clone(), times);
        }
    }

    /// What became of a point.
    pub(super) fn again(&self, tags: &Tags, mut point: DifferentPoint) -> Again {
        let Some(known) = self.at(tags, point.time) else {
            return Again::New;
        };
        let names = differing(&point).into_iter().take(FIELDS);
        let (stay, moving): (Vec<&BStr>, Vec<&BStr>) =
            names.partition(|name| known.contains(&stands_for(&point, name)));
        if stay.is_empty() {
            return Again::Moves(point);
        }
        let moving: Vec<BString> = moving.into_iter().map(BStr::to_owned).collect();
        for fields in point.holds.iter_mut().flatten() {
            fields.retain(|(name, _)| !moving.contains(name));
        }
        Again::Stays(point)
    }

    fn at(&self, tags: &Tags, time: i64) -> Option<&Vec<u64>> {
        self.of_series.get(tags)?.get(&time)
    }
}

/// A number for the values that the nodes hold of a field.
fn stands_for(point: &DifferentPoint, name: &BStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    for value in values(point, name) {
        value.is_some().hash(&mut hasher);
        let Some(value) = value else { continue };
        std::mem::discriminant(value).hash(&mut hasher);
        match value {
            Value::Float(number) => number.to_bits().hash(&mut hasher),
            Value::Integer(number) => number.hash(&mut hasher),
            Value::Unsigned(number) => number.hash(&mut hasher),
            Value::Boolean(is) => is.hash(&mut hasher),
            Value::Text(text) => text.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(holds: &[Option<&[(&str, i64)]>]) -> DifferentPoint {
        let fields = |fields: &&[(&str, i64)]| {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| ((*name).into(), Value::Integer(*value)));
            fields.collect()
        };
        DifferentPoint {
            time: 1,
            holds: holds.iter().map(|held| held.as_ref().map(fields)).collect(),
        }
    }

    #[test]
    fn a_field_that_stays_different_is_seen_among_others_that_move() {
        let tags = vec![("host".into(), "a".into())];
        let mut marks = Marks::default();
        marks.add(
            &tags,
            &point(&[
                Some(&[("moves", 1), ("same", 5), ("stays", 7)]),
                Some(&[("moves", 2), ("same", 5)]),
            ]),
        );
        assert_eq!(marks.count(), 1);
        let now = point(&[
            Some(&[("moves", 3), ("same", 6), ("stays", 7)]),
            Some(&[("moves", 4), ("same", 6)]),
        ]);
        let expected = point(&[Some(&[("same", 6), ("stays", 7)]), Some(&[("same", 6)])]);
        assert_eq!(marks.again(&tags, now), Again::Stays(expected));
        let moved = point(&[Some(&[("moves", 3), ("stays", 8)]), Some(&[("moves", 4)])]);
        assert_eq!(marks.again(&tags, moved.clone()), Again::Moves(moved));
        // A point that one node lacks, and that is written all the time, is on its way.
        marks.add(&tags, &point(&[Some(&[("moves", 1)]), None]));
        let later = point(&[Some(&[("moves", 2)]), None]);
        assert_eq!(
            marks.again(&tags, later.clone()),
            Again::Moves(later.clone())
        );
        let other = vec![("host".into(), "b".into())];
        assert_eq!(marks.again(&other, later.clone()), Again::New);
        assert_eq!(
            marks.again(&tags, DifferentPoint { time: 2, ..later }),
            Again::New
        );
    }

    #[test]
    fn values_that_are_not_the_same_stand_apart() {
        let of = |holds: [Option<Value>; 2]| {
            let fields = holds.map(|held| held.map(|value| vec![("f".into(), value)]));
            let point = DifferentPoint {
                time: 0,
                holds: fields.into(),
            };
            stands_for(&point, "f".into())
        };
        let all = [
            of([Some(Value::Integer(1)), None]),
            of([None, Some(Value::Integer(1))]),
            of([Some(Value::Integer(1)), Some(Value::Unsigned(1))]),
            of([Some(Value::Integer(1)), Some(Value::Float(1.0))]),
            of([Some(Value::Integer(1)), Some(Value::Text("1".into()))]),
            of([Some(Value::Integer(1)), Some(Value::Boolean(true))]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
    }

    #[test]
    fn many_fields_take_so_much_memory_and_none_is_said_to_be_the_same() {
        let fields: Vec<(BString, Value)> = (0..200)
            .map(|number| (format!("f{number:03}").into(), Value::Integer(number)))
            .collect();
        let point = DifferentPoint {
            time: 1,
            holds: vec![Some(fields), None],
        };
        let mut marks = Marks::default();
        marks.add(&Vec::new(), &point);
        assert_eq!(marks.at(&Vec::new(), 1).map(Vec::len), Some(FIELDS));
        assert_eq!(marks.again(&Vec::new(), point.clone()), Again::Stays(point));
    }
}
