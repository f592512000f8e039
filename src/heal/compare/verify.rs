//! Reads the points of what is suspected, and tells differences that stay from writes that are on their way.
//!
//! A point counts as different if it differed, then every node applied what the journal held by then, and the point still differs
//! by the same values. A point whose values changed meanwhile is read once more, and once more; one that only began to differ later
//! is a newer write, which the nodes get in their time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::Comparison;
use super::merge::{Direction, Merge, Next};
use super::questions;
use super::settle::Patience;
use super::survey::Unit;
use crate::heal::error::WorkError;
use crate::heal::node::{Slice, Value};
use crate::heal::place::{DifferentPoint, Finding, SeriesDifference, Tags};

/// Points of a series that are told at once.
const TOLD_AT_ONCE: usize = 1_000;

/// How often a point is read again whose values change.
const ROUNDS: usize = 4;

/// Continuous queries run on each node by its own clock, so their points differ for a moment without any write in the journal.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The points that differ, each with what stands for the values that the nodes hold.
type Marks = HashMap<Tags, BTreeMap<i64, u64>>;

/// Points of a unit that differ.
enum Read {
    /// All of them.
    All(Marks),
    /// More than can be held; these are some.
    TooMany(Marks),
}

impl Comparison<'_> {
    /// Tells what differs in these, and stays so.
    pub(super) async fn verify(&self, units: Vec<Unit>) -> Result<(), WorkError> {
        let most = self.relay.settings().heal.max_points;
        let mut queue = VecDeque::from(units);
        while !queue.is_empty() {
            let began = Instant::now();
            let mut batch = Vec::new();
            let mut held = 0;
            while let Some(unit) = queue.pop_front() {
                match self
                    .read_patiently(&unit, most.saturating_sub(held))
                    .await?
                {
                    Read::All(marks) => {
                        held += count(&marks);
                        if !marks.is_empty() {
                            batch.push((unit, marks));
                        }
                    }
                    Read::TooMany(_) if held > 0 => {
                        queue.push_front(unit);
                        break;
                    }
                    Read::TooMany(marks) => match halves(&unit) {
                        Some((first, second)) => {
                            queue.push_front(second);
                            queue.push_front(first);
                        }
                        None => {
                            self.progress.note(format!(
                                "{} at {}: more points differ than are held at once (heal.max_points); not all are named",
                                unit.slice.measurement, unit.slice.from
                            ));
                            held = most;
                            batch.push((unit, marks));
                        }
                    },
                }
                if held >= most {
                    break;
                }
            }
            self.tell_what_stays(batch, began).await?;
        }
        Ok(())
    }

    /// Reads these until each of their points is the same everywhere, or differs by the same values twice.
    async fn tell_what_stays(
        &self,
        mut batch: Vec<(Unit, Marks)>,
        began: Instant,
    ) -> Result<(), WorkError> {
        let mut began = began;
        for _ in 0..ROUNDS {
            if batch.is_empty() {
                return Ok(());
            }
            self.settle(began).await?;
            began = Instant::now();
            let mut moving = Vec::new();
            for (unit, marks) in batch {
                let (differences, changed) = self.read_again_patiently(&unit, &marks).await?;
                for difference in differences {
                    self.tell(Finding::Points(difference)).await?;
                }
                if !changed.is_empty() {
                    moving.push((unit, changed));
                }
            }
            batch = moving;
        }
        for (unit, marks) in batch {
            self.progress.note(format!(
                "{}.{}.{}: {} points differ by other values each time that they are read: they are still moving, so they are not counted",
                unit.slice.database,
                unit.slice.policy,
                unit.slice.measurement,
                count(&marks)
            ));
        }
        Ok(())
    }

    async fn read_patiently(&self, unit: &Unit, most: usize) -> Result<Read, WorkError> {
        let mut patience = Patience::new(self.progress);
        loop {
            match self.read(unit, most).await {
                Err(error) => patience.bear(error).await?,
                read => return read,
            }
        }
    }

    async fn read_again_patiently(
        &self,
        unit: &Unit,
        marks: &Marks,
    ) -> Result<(Vec<SeriesDifference>, Marks), WorkError> {
        let mut patience = Patience::new(self.progress);
        loop {
            match self.read_again(unit, marks).await {
                Err(error) => patience.bear(error).await?,
                read => return read,
            }
        }
    }

    async fn read(&self, unit: &Unit, most: usize) -> Result<Read, WorkError> {
        let mut marks = Marks::new();
        let mut held = 0;
        let mut merge = self.points(unit).await?;
        merge
            .differing(|tags, point| {
                if held >= most {
                    held += 1;
                    return Next::Enough;
                }
                held += 1;
                mark(&mut marks, tags, &point);
                Next::Go
            })
            .await?;
        Ok(if held > most {
            Read::TooMany(marks)
        } else {
            Read::All(marks)
        })
    }

    /// What differs as it did, and the marks of what differs otherwise by now.
    async fn read_again(
        &self,
        unit: &Unit,
        marks: &Marks,
    ) -> Result<(Vec<SeriesDifference>, Marks), WorkError> {
        let mut differences: Vec<SeriesDifference> = Vec::new();
        let mut changed = Marks::new();
        let mut merge = self.points(unit).await?;
        merge
            .differing(|tags, point| {
                let known = marks.get(tags).and_then(|times| times.get(&point.time));
                match known {
                    None => {}
                    Some(known) if *known == stands_for(&point) => {
                        let last = differences
                            .last_mut()
                            .filter(|last| last.tags == *tags && last.points.len() < TOLD_AT_ONCE);
                        match last {
                            Some(last) => last.points.push(point),
                            None => differences.push(SeriesDifference {
                                slice: Slice {
                                    from: unit.within.0,
                                    until: unit.within.1,
                                    ..unit.slice.clone()
                                },
                                tags: tags.clone(),
                                points: vec![point],
                            }),
                        }
                    }
                    Some(_) => mark(&mut changed, tags, &point),
                }
                Next::Go
            })
            .await?;
        Ok((differences, changed))
    }

    async fn points(&self, unit: &Unit) -> Result<Merge<'_>, WorkError> {
        let question = questions::points(&unit.slice, unit.tags.as_deref());
        let database = &unit.slice.database;
        let merge = Merge::ask(
            self.nodes,
            database,
            &question,
            Direction::Ascending,
            self.progress,
        );
        Ok(merge.await?)
    }
}

fn count(marks: &Marks) -> usize {
    marks.values().map(BTreeMap::len).sum()
}

fn mark(marks: &mut Marks, tags: &Tags, point: &DifferentPoint) {
    let stands_for = stands_for(point);
    if let Some(times) = marks.get_mut(tags) {
        times.insert(point.time, stands_for);
    } else {
        marks.insert(tags.clone(), BTreeMap::from([(point.time, stands_for)]));
    }
}

/// A number for the values that the nodes hold.
fn stands_for(point: &DifferentPoint) -> u64 {
    let mut hasher = DefaultHasher::new();
    for held in &point.holds {
        held.is_some().hash(&mut hasher);
        for (name, value) in held.iter().flatten() {
            name.hash(&mut hasher);
            std::mem::discriminant(value).hash(&mut hasher);
            match value {
                Value::Float(number) => number.to_bits().hash(&mut hasher),
                Value::Integer(number) => number.hash(&mut hasher),
                Value::Unsigned(number) => number.hash(&mut hasher),
                Value::Boolean(is) => is.hash(&mut hasher),
                Value::Text(text) => text.hash(&mut hasher),
            }
        }
    }
    hasher.finish()
}

/// The two halves of its time; none if it is but a moment.
fn halves(unit: &Unit) -> Option<(Unit, Unit)> {
    let middle = unit.slice.from.midpoint(unit.slice.until);
    let (mut first, mut second) = (unit.clone(), unit.clone());
    first.slice.until = middle;
    second.slice.from = middle;
    (unit.slice.from < middle && middle < unit.slice.until).then_some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_the_same_stand_apart() {
        let of = |holds: [Option<Value>; 2]| {
            let fields = holds.map(|held| held.map(|value| vec![("f".to_owned(), value)]));
            stands_for(&DifferentPoint {
                time: 0,
                holds: fields.into(),
            })
        };
        let all = [
            of([Some(Value::Integer(1)), None]),
            of([None, Some(Value::Integer(1))]),
            of([Some(Value::Integer(1)), Some(Value::Unsigned(1))]),
            of([Some(Value::Integer(1)), Some(Value::Float(1.0))]),
            of([Some(Value::Integer(1)), Some(Value::Text("1".to_owned()))]),
            of([Some(Value::Integer(1)), Some(Value::Boolean(true))]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
    }

    #[test]
    fn halves_are_the_whole() {
        let unit = |from, until| Unit {
            slice: Slice {
                database: String::new(),
                policy: String::new(),
                measurement: String::new(),
                from,
                until,
            },
            within: (0, 0),
            tags: None,
        };
        assert_eq!(halves(&unit(3, 9)), Some((unit(3, 6), unit(6, 9))));
        assert_eq!(halves(&unit(3, 4)), None);
        let (first, second) = halves(&unit(i64::MIN, i64::MAX)).unwrap();
        assert_eq!(first.slice.until, second.slice.from);
    }
}
