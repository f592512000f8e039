//! Which records a replica has judged beyond its cursor, as ranges: while a long statement keeps the cursor, the records of other
//! lanes are judged in long runs.

use std::collections::BTreeMap;

use crate::journal::Sequence;

/// A set of sequences, kept as ranges.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(in crate::relay) struct JudgedAhead {
    /// First to last of each range; no two of them touch.
    ranges: BTreeMap<u64, u64>,
}

impl JudgedAhead {
    /// Adds one.
    pub(in crate::relay) fn insert(&mut self, sequence: Sequence) {
        let number = sequence.get();
        let before = self.ranges.range(..=number).next_back();
        let first = match before {
            Some((_, last)) if *last >= number => return,
            Some((first, last)) if last.saturating_add(1) == number => *first,
            _ => number,
        };
        let next = number.saturating_add(1);
        let last = self.ranges.remove(&next).unwrap_or(number);
        self.ranges.insert(first, last);
    }

    /// Whether it is among them.
    pub(in crate::relay) fn contains(&self, sequence: Sequence) -> bool {
        let number = sequence.get();
        let before = self.ranges.range(..=number).next_back();
        before.is_some_and(|(_, last)| *last >= number)
    }

    /// Forgets all up to here.
    pub(in crate::relay) fn forget(&mut self, cursor: Sequence) {
        while let Some(first) = self.ranges.first_entry() {
            if *first.key() > cursor.get() {
                break;
            }
            let last = first.remove();
            if last > cursor.get() {
                self.ranges.insert(cursor.get().saturating_add(1), last);
                break;
            }
        }
    }

    /// Forgets all.
    pub(in crate::relay) fn clear(&mut self) {
        self.ranges.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_set(steps in proptest::collection::vec((0_u8..5, 1_u64..60), 0..200)) {
            let (mut ranges, mut set) = (JudgedAhead::default(), BTreeSet::new());
            for (what, number) in steps {
                if what == 0 {
                    ranges.forget(Sequence::new(number));
                    set.retain(|known| *known > number);
                } else {
                    ranges.insert(Sequence::new(number));
                    set.insert(number);
                }
                for number in 0..62 {
                    prop_assert_eq!(ranges.contains(Sequence::new(number)), set.contains(&number));
                }
                let holes = set.iter().filter(|number| !set.contains(&(*number + 1))).count();
                prop_assert_eq!(ranges.ranges.len(), holes);
            }
        }
    }
}
