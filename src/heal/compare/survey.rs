//! Finds the series of a slice that may differ, by sums.
//!
//! A series' sums over an hour are the same on every node that holds the same there, to the bit, because InfluxDB adds up the values
//! of one series in the order of time. Sums that differ need not mean that points do (another version may add otherwise), and sums that
//! have overflowed are equal whatever the points are: what is found here is a suspicion, which reading the points confirms or ends.

use std::collections::{BTreeMap, BTreeSet};

use bstr::{BString, ByteSlice};

use super::Comparison;
use super::merge::{Direction, Merge, Next};
use super::questions;
use crate::heal::error::WorkError;
use crate::heal::node::{NodeError, Question, Slice, is_of_first_years, is_sayable};
use crate::heal::place::Tags;
use crate::heal::schema::GREATEST;

/// Series of a slice that are held as suspects; where there are more, all of the slice is read.
const MOST_SERIES: usize = 1_000;

/// Series that are read one by one; where there are more, all series are read in one answer.
const READ_ALONE: usize = 50;

/// Points that are to be read from all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Which, and when.
    pub(super) slice: Slice,
    /// The time of the slice of which they are a part.
    pub(super) within: (i64, i64),
    /// Of one series; none: of all.
    pub(super) tags: Option<Tags>,
    /// Only a part of the time in which a sum differs, which may hold no points.
    pub(super) is_part: bool,
}

/// The series that may differ, with the time from the first sum that differs to the end of the last.
#[derive(Debug, Default)]
struct Suspects {
    series: BTreeMap<Tags, (i64, i64)>,
    all: Option<(i64, i64)>,
}

impl Suspects {
    fn add(&mut self, tags: &Tags, from: i64, until: i64) {
        widen(self.all.get_or_insert((from, until)), from, until);
        if let Some(known) = self.series.get_mut(tags) {
            widen(known, from, until);
        } else if self.series.len() <= MOST_SERIES {
            self.series.insert(tags.clone(), (from, until));
        }
    }

    /// What is to be read of `slice`.
    fn units(self, slice: &Slice) -> Vec<Unit> {
        let of = |(from, until): (i64, i64), tags| Unit {
            slice: Slice {
                from: from.max(slice.from),
                until: until.min(slice.until),
                ..slice.clone()
            },
            within: (slice.from, slice.until),
            tags,
            is_part: false,
        };
        match self.all {
            Some(all) if self.series.len() > READ_ALONE => vec![of(all, None)],
            _ => {
                let series = self.series.into_iter();
                series.map(|(tags, time)| of(time, Some(tags))).collect()
            }
        }
    }
}

fn widen(known: &mut (i64, i64), from: i64, until: i64) {
    *known = (known.0.min(from), known.1.max(until));
}

impl Comparison<'_> {
    /// What is to be read of a slice.
    pub(super) async fn survey(&self, slice: &Slice) -> Result<Vec<Unit>, WorkError> {
        let width = questions::width(slice);
        let mut suspects = Suspects::default();
        let all = questions::points(slice, None);
        // Sums end now where a question has no end.
        let columns = if self.places.full || is_of_first_years(slice) {
            None
        } else {
            let sums = questions::sums(slice);
            let sums = self.look(&sums, Direction::Ascending, width, &mut suspects);
            match sums.await {
                Err(WorkError::Node(error)) if has_too_many_hours(&error) => None,
                columns => Some(columns?),
            }
        };
        let Some(columns) = columns else {
            self.look(&all, Direction::Ascending, width, &mut suspects)
                .await?;
            return Ok(suspects.units(slice));
        };
        // InfluxDB makes no sum of the greatest time, which the newest points show.
        if columns.is_empty() && slice.until < GREATEST {
            return Ok(Vec::new());
        }
        match names_of(&without_sums(&columns)) {
            Some(texts) => {
                for names in texts.chunks(FIELDS_AT_ONCE) {
                    let question = questions::fields(slice, names);
                    self.look(&question, Direction::Ascending, width, &mut suspects)
                        .await?;
                }
            }
            None => {
                self.look(&all, Direction::Ascending, width, &mut suspects)
                    .await?;
            }
        }
        let newest = questions::newest(slice);
        self.look(&newest, Direction::Descending, width, &mut suspects)
            .await?;
        Ok(suspects.units(slice))
    }

    /// Asks all nodes and holds the series of rows that differ, or have overflowed, as suspects. Returns the columns of the answers.
    async fn look(
        &self,
        question: &Question<'_>,
        direction: Direction,
        width: i64,
        suspects: &mut Suspects,
    ) -> Result<BTreeSet<BString>, WorkError> {
        let mut merge = Merge::ask(self.nodes, question, direction, self.progress).await?;
        merge
            .suspicious(|tags, point| {
                let from = point.time.saturating_sub(point.time.rem_euclid(width));
                suspects.add(tags, from, from.saturating_add(width));
                Next::Go
            })
            .await?;
        Ok(merge.into_columns())
    }
}

/// Whether a node makes fewer sums in one answer (`max-select-buckets`).
fn has_too_many_hours(error: &NodeError) -> bool {
    let reason = error.reason_of_refusal();
    reason.is_some_and(|reason| reason.starts_with("max-select-buckets limit exceeded"))
}

/// Fields that one question names; a statement has a length.
const FIELDS_AT_ONCE: usize = 200;

/// The fields that have values but no sums: those of texts and booleans.
fn without_sums(columns: &BTreeSet<BString>) -> Vec<BString> {
    let counted = columns
        .iter()
        .filter_map(|column| column.strip_prefix(b"count_"));
    counted
        .filter(|name| !columns.contains([b"sum_", *name].concat().as_bstr()))
        .map(BString::from)
        .collect()
}

/// The names as InfluxQL says them; none if it cannot say one of them.
fn names_of(fields: &[BString]) -> Option<Vec<&str>> {
    let fields = fields.iter();
    let names = fields.map(|name| name.to_str().ok().filter(|_| is_sayable(name.as_bstr())));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice() -> Slice {
        Slice {
            database: "d".to_owned(),
            policy: "p".to_owned(),
            measurement: "m".into(),
            from: 5,
            until: 95,
        }
    }

    fn tags(host: usize) -> Tags {
        vec![("host".into(), host.to_string().into())]
    }

    #[test]
    fn a_few_series_are_read_one_by_one_within_their_time() {
        let mut suspects = Suspects::default();
        suspects.add(&tags(1), 0, 10);
        suspects.add(&tags(1), 30, 40);
        suspects.add(&tags(2), 90, 100);
        let units = suspects.units(&slice());
        let times: Vec<(i64, i64)> = units
            .iter()
            .map(|unit| (unit.slice.from, unit.slice.until))
            .collect();
        assert_eq!(times, [(5, 40), (90, 95)]);
        assert!(units.iter().all(|unit| unit.tags.is_some()));
        assert!(Suspects::default().units(&slice()).is_empty());
    }

    #[test]
    fn many_series_are_read_together() {
        for many in [READ_ALONE + 1, MOST_SERIES + 100] {
            let mut suspects = Suspects::default();
            for host in 0..many {
                suspects.add(&tags(host), 20, 30);
            }
            suspects.add(&tags(many), 60, 70);
            let units = suspects.units(&slice());
            let [unit] = units.as_slice() else {
                panic!("{units:?}");
            };
            assert_eq!((unit.slice.from, unit.slice.until), (20, 70));
            assert_eq!(unit.tags, None);
        }
    }

    #[test]
    fn fields_without_sums_are_texts_and_booleans() {
        let columns = [
            "count_a",
            "count_sum_b",
            "sum_a",
            "count_c",
            "sum_sum_c",
            "count_sum_c",
        ];
        let columns = columns.into_iter().map(BString::from).collect();
        assert_eq!(without_sums(&columns), ["c", "sum_b"]);
    }
}
