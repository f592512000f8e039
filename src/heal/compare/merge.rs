//! The answers of several nodes to one question, row by row side by side.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bstr::BString;

use super::order::{by_tags, same, same_fields};
use crate::heal::error::WorkError;
use crate::heal::node::{Node, NodeError, PointStream, Question, Series, Value};
use crate::heal::place::{DifferentPoint, Fields, Tags};
use crate::heal::progress::Progress;

/// In which order series and points come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::heal) enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first, and series from the last one on.
    Descending,
}

impl Direction {
    fn of(self, ordering: Ordering) -> Ordering {
        match self {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        }
    }
}

/// What a row is for whoever looks at those that differ.
pub(in crate::heal) enum Next {
    /// Look at the next one.
    Go,
    /// That is enough.
    Enough,
}

/// The answer of one node, of which one part is held.
struct Side {
    node: String,
    /// None: it has no such database or policy, so nothing in it.
    stream: Option<PointStream>,
    part: Series,
    at: usize,
    direction: Direction,
}

/// The answers of all nodes.
pub(in crate::heal) struct Merge<'progress> {
    sides: Vec<Side>,
    direction: Direction,
    progress: &'progress Progress,
    /// Whether any node has given a row.
    has_rows: bool,
    /// The columns that came, of all nodes.
    columns: BTreeSet<BString>,
}

impl<'progress> Merge<'progress> {
    /// Asks each of the nodes; one that has no such database or policy holds nothing.
    pub(in crate::heal) async fn ask(
        nodes: &[Node],
        question: &Question<'_>,
        direction: Direction,
        progress: &'progress Progress,
    ) -> Result<Merge<'progress>, NodeError> {
        let streams = nodes.iter().map(|node| node.select(question));
        let streams = futures_util::future::join_all(streams).await;
        let mut sides = Vec::with_capacity(nodes.len());
        for (node, stream) in nodes.iter().zip(streams) {
            sides.push(Side {
                node: node.name().to_owned(),
                stream: absent_is_empty(stream)?,
                part: Series::default(),
                at: 0,
                direction,
            });
        }
        Ok(Merge {
            sides,
            direction,
            progress,
            has_rows: false,
            columns: BTreeSet::new(),
        })
    }

    /// Reads all of it, and shows `differs` each row that differs: its series, and what each node holds.
    ///
    /// # Errors
    /// [`WorkError`]: what was shown before is sound.
    pub(in crate::heal) async fn differing(
        &mut self,
        differs: impl FnMut(&Tags, DifferentPoint) -> Next,
    ) -> Result<(), WorkError> {
        self.rows(|_| false, differs).await
    }

    /// The same of rows of sums, of which one that is not finite says nothing of its values: a row with one is shown, too.
    ///
    /// # Errors
    /// [`WorkError`]: what was shown before is sound.
    pub(in crate::heal) async fn suspicious(
        &mut self,
        suspects: impl FnMut(&Tags, DifferentPoint) -> Next,
    ) -> Result<(), WorkError> {
        self.rows(Side::has_overflowed, suspects).await
    }

    /// Shows each row that differs, or for which `is_vague` holds on any side.
    async fn rows(
        &mut self,
        is_vague: impl Fn(&Side) -> bool,
        mut show: impl FnMut(&Tags, DifferentPoint) -> Next,
    ) -> Result<(), WorkError> {
        let mut has_row = vec![false; self.sides.len()];
        while let Some(least) = self.least().await? {
            let Some(first) = self.sides.get(least) else {
                return Ok(());
            };
            let Some((tags, time)) = first.place() else {
                return Ok(());
            };
            for (has, side) in has_row.iter_mut().zip(&self.sides) {
                *has = side
                    .place()
                    .is_some_and(|(theirs, at)| at == time && theirs == tags);
            }
            let are_same = has_row.iter().all(|has| *has)
                && self.sides.iter().all(|side| first.has_same_row(side));
            let with_row = self.sides.iter().zip(&has_row).filter(|(_, has)| **has);
            let is_vague = with_row.map(|(side, _)| side).any(&is_vague);
            let mut next = Next::Go;
            if !are_same || is_vague {
                let sides = self.sides.iter().zip(&has_row);
                let holds = sides.map(|(side, has)| has.then(|| side.fields()));
                let holds: Vec<Option<Fields>> = holds.collect();
                let one = holds.first().and_then(Option::as_ref);
                if is_vague || holds.iter().any(|other| !same_fields(one, other.as_ref())) {
                    next = show(tags, DifferentPoint { time, holds });
                }
            }
            self.has_rows = true;
            for (side, has) in self.sides.iter_mut().zip(&has_row) {
                side.at = side.at.saturating_add(usize::from(*has));
            }
            if matches!(next, Next::Enough) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether any node has given a row.
    pub(in crate::heal) fn has_rows(&self) -> bool {
        self.has_rows
    }

    /// The names of the columns that any node's answer had.
    pub(in crate::heal) fn into_columns(self) -> BTreeSet<BString> {
        self.columns
    }

    /// The side whose next row is the first one; none when all are read.
    async fn least(&mut self) -> Result<Option<usize>, WorkError> {
        let mut least: Option<usize> = None;
        for at in 0..self.sides.len() {
            let Some(side) = self.sides.get_mut(at) else {
                break;
            };
            if !side.fill(self.progress, &mut self.columns).await? {
                continue;
            }
            let this = self.sides.get(at).and_then(Side::place);
            let that = least
                .and_then(|least| self.sides.get(least))
                .and_then(Side::place);
            let is_less = match (this, that) {
                (Some(this), Some(that)) => {
                    self.direction.of(by_place(this, that)) == Ordering::Less
                }
                (_, None) => true,
                (None, Some(_)) => false,
            };
            if is_less {
                least = Some(at);
            }
        }
        Ok(least)
    }
}

fn by_place(left: (&Tags, i64), right: (&Tags, i64)) -> Ordering {
    by_tags(left.0, right.0).then(left.1.cmp(&right.1))
}

/// A node that has no such database or policy has nothing in it.
fn absent_is_empty(
    stream: Result<PointStream, NodeError>,
) -> Result<Option<PointStream>, NodeError> {
    match stream {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

impl Side {
    /// Has a row ready, or none is left: then false.
    async fn fill(
        &mut self,
        progress: &Progress,
        columns: &mut BTreeSet<BString>,
    ) -> Result<bool, WorkError> {
        while self.at >= self.part.rows.len() {
            let Some(stream) = &mut self.stream else {
                return Ok(false);
            };
            let before = stream.bytes();
            let next = match stream.next().await {
                Err(error) if error.is_absent() => None,
                next => next?,
            };
            let bytes = stream.bytes().saturating_sub(before);
            let Some(next) = next else {
                progress.points(0, bytes);
                (self.stream, self.part, self.at) = (None, Series::default(), 0);
                return Ok(false);
            };
            progress.points(u64::try_from(next.rows.len()).unwrap_or(u64::MAX), bytes);
            self.stays_in_order(&next)?;
            for name in &next.fields {
                if !columns.contains(name) {
                    columns.insert(name.clone());
                }
            }
            (self.part, self.at) = (next, 0);
        }
        Ok(true)
    }

    /// Rows side by side are only found where all nodes keep to one order.
    fn stays_in_order(&self, next: &Series) -> Result<(), NodeError> {
        let last = self
            .part
            .rows
            .last()
            .map(|(time, _)| (&self.part.tags, *time));
        let first = next.rows.first().map(|(time, _)| (&next.tags, *time));
        match (last, first) {
            (Some(last), Some(first))
                if self.direction.of(by_place(last, first)) != Ordering::Less =>
            {
                Err(NodeError::Unreadable {
                    node: self.node.clone(),
                    reason: format!("series come out of order: {:?} after {:?}", first, last),
                })
            }
            _ => Ok(()),
        }
    }

    fn place(&self) -> Option<(&Tags, i64)> {
        let row = self.part.rows.get(self.at);
        row.map(|(time, _)| (&self.part.tags, *time))
    }

    fn values(&self) -> &[Option<Value>] {
        let row = self.part.rows.get(self.at);
        row.map_or(&[], |(_, values)| values.as_slice())
    }

    /// Whether the next rows of both are the same at the first glance: the same columns with the same values.
    fn has_same_row(&self, other: &Side) -> bool {
        let pairs = || self.values().iter().zip(other.values());
        self.part.fields == other.part.fields
            && pairs().all(|pair| match pair {
                (Some(left), Some(right)) => same(left, right),
                (left, right) => left.is_none() && right.is_none(),
            })
    }

    /// Whether a number of the next row is not finite.
    fn has_overflowed(&self) -> bool {
        let mut values = self.values().iter().flatten();
        values.any(|value| matches!(value, Value::Float(number) if !number.is_finite()))
    }

    /// The fields of the next row.
    fn fields(&self) -> Fields {
        let pairs = self.part.fields.iter().zip(self.values());
        let pairs = pairs.filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        let mut fields: Fields = pairs.collect();
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        fields
    }
}
