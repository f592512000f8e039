//! What has to be done to a node for the points of one series: from what the nodes hold, without asking anybody.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;

use crate::heal::compare::same;
use crate::heal::node::Value;
use crate::heal::place::Fields;

/// The points of a series that a node holds.
pub(super) type Held = BTreeMap<i64, Fields>;

/// Times of which both ends are meant.
pub(super) type Span = (i64, i64);

/// What is to be done to the points that one node holds of a series.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Change {
    /// Points to be deleted, all of those that the node holds in these times.
    pub(super) removals: Vec<Span>,
    /// How many points these are.
    pub(super) removed: u64,
    /// To be written behind that.
    pub(super) writes: Held,
    /// What the node holds now of what is deleted or overwritten.
    pub(super) before: Held,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.removals.is_empty() && self.writes.is_empty()
    }
}

/// What makes the target hold what the source holds at these times, which are in order. All that both hold in `spans` is given.
pub(super) fn like_source(source: &Held, target: &Held, times: &[i64], spans: &[Span]) -> Change {
    let mut change = Change::default();
    let mut removed = BTreeSet::new();
    for time in times {
        match (source.get(time), target.get(time)) {
            (None, None) => {}
            (Some(wanted), None) => {
                change.writes.insert(*time, wanted.clone());
            }
            (Some(wanted), Some(there)) if has_all_names(wanted, there) => {
                change.fill(*time, wanted, there);
            }
            (wanted, Some(there)) => {
                removed.insert(*time);
                change.before.insert(*time, there.clone());
                if let Some(wanted) = wanted {
                    change.writes.insert(*time, wanted.clone());
                }
            }
        }
    }
    change.removed = removed.len() as u64;
    change.removals = runs(target, &removed, spans);
    change
}

/// What makes each node hold every value that any holds at these times, and how many points have values that contradict: those
/// values stay as they are.
pub(super) fn union(holds: &[&Held], times: &[i64]) -> (Vec<Change>, u64) {
    let mut changes = vec![Change::default(); holds.len()];
    let mut contradictory = 0;
    for time in times {
        let mut wanted: BTreeMap<&BString, Option<&Value>> = BTreeMap::new();
        for (name, value) in holds.iter().filter_map(|held| held.get(time)).flatten() {
            let known = wanted.entry(name).or_insert(Some(value));
            if known.is_some_and(|known| !same(known, value)) {
                *known = None;
            }
        }
        contradictory += u64::from(wanted.values().any(Option::is_none));
        let wanted = wanted.into_iter();
        let wanted: Fields = wanted
            .filter_map(|(name, value)| Some((name.clone(), value?.clone())))
            .collect();
        let none = Fields::new();
        for (change, held) in changes.iter_mut().zip(holds) {
            change.fill(*time, &wanted, held.get(time).unwrap_or(&none));
        }
    }
    (changes, contradictory)
}

impl Change {
    /// Writes the fields that the node lacks or has other values of.
    fn fill(&mut self, time: i64, wanted: &Fields, there: &Fields) {
        let mut written = Fields::new();
        let mut before = Fields::new();
        for (name, value) in wanted {
            let held = there.iter().find(|(known, _)| known == name);
            match held {
                Some((_, held)) if same(held, value) => continue,
                Some((_, held)) => before.push((name.clone(), held.clone())),
                None => {}
            }
            written.push((name.clone(), value.clone()));
        }
        if !written.is_empty() {
            self.writes.insert(time, written);
        }
        if !before.is_empty() {
            self.before.insert(time, before);
        }
    }
}

fn has_all_names(wanted: &Fields, there: &Fields) -> bool {
    let mut there = there.iter();
    there.all(|(name, _)| wanted.iter().any(|(known, _)| known == name))
}

/// The times to be removed in as few spans as hold no other point of the target. None reaches beyond what was read.
fn runs(target: &Held, removed: &BTreeSet<i64>, spans: &[Span]) -> Vec<Span> {
    let mut runs = Vec::new();
    for (from, until) in spans {
        let mut run: Option<Span> = None;
        for time in target.range(*from..=*until).map(|(time, _)| *time) {
            if removed.contains(&time) {
                run = Some((run.map_or(time, |(first, _)| first), time));
            } else {
                runs.extend(run.take());
            }
        }
        runs.extend(run);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(points: &[(i64, &[(&str, i64)])]) -> Held {
        let fields = |fields: &[(&str, i64)]| {
            let fields = fields.iter();
            fields
                .map(|(name, value)| ((*name).into(), Value::Integer(*value)))
                .collect()
        };
        points
            .iter()
            .map(|(time, of)| (*time, fields(of)))
            .collect()
    }

    #[test]
    fn a_target_gets_what_it_lacks_and_loses_what_the_source_has_not() {
        let source = held(&[
            (1, &[("a", 1)]),
            (2, &[("a", 2), ("b", 2)]),
            (3, &[("a", 3)]),
            (9, &[("a", 9)]),
        ]);
        let target = held(&[
            (2, &[("a", 0), ("b", 2)]),
            (3, &[("a", 3), ("c", 3)]),
            (4, &[("a", 4)]),
            (5, &[("a", 5)]),
            (6, &[("a", 6)]),
            (7, &[("a", 7)]),
            (9, &[("a", 9)]),
        ]);
        let change = like_source(
            &source,
            &target,
            &[1, 2, 3, 4, 6, 7, 8, 9],
            &[(1, 6), (7, 9)],
        );
        let expected = Change {
            removals: vec![(3, 4), (6, 6), (7, 7)],
            removed: 4,
            writes: held(&[(1, &[("a", 1)]), (2, &[("a", 2)]), (3, &[("a", 3)])]),
            before: held(&[
                (2, &[("a", 0)]),
                (3, &[("a", 3), ("c", 3)]),
                (4, &[("a", 4)]),
                (6, &[("a", 6)]),
                (7, &[("a", 7)]),
            ]),
        };
        assert_eq!(change, expected);
        assert!(like_source(&source, &source, &[1, 2, 3], &[(1, 3)]).is_empty());
    }

    #[test]
    fn a_union_gives_each_what_the_others_have_and_leaves_contradictions() {
        let one = held(&[(1, &[("a", 1)]), (3, &[("a", 3), ("b", 1)])]);
        let two = held(&[(2, &[("a", 2)]), (3, &[("a", 4), ("c", 1)])]);
        let (changes, contradictory) = union(&[&one, &two], &[1, 2, 3]);
        assert_eq!(contradictory, 1);
        let writes: Vec<_> = changes.iter().map(|change| &change.writes).collect();
        assert_eq!(writes[0], &held(&[(2, &[("a", 2)]), (3, &[("c", 1)])]));
        assert_eq!(writes[1], &held(&[(1, &[("a", 1)]), (3, &[("b", 1)])]));
        assert!(changes.iter().all(|change| change.removals.is_empty()));
        assert!(changes.iter().all(|change| change.before.is_empty()));
    }
}
