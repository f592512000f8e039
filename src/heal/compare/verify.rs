//! Reads the points of what is suspected, and tells differences that stay from writes that are on their way.
//!
//! A point counts as different if it differed, then every node applied what the journal held by then, and a field of it still differs
//! by the same values. A point whose fields all changed meanwhile is read once more, and once more; one that only began to differ
//! later is a newer write, which the nodes get in their time. A point that clients remove and write again, always the same, may have been
//! seen in between twice: where few points differ, they are read once more while nothing moves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Comparison;
use super::marks::{Again, Marks};
use super::merge::{Direction, Merge, Next};
use super::questions;
use super::survey::Unit;
use crate::heal::error::WorkError;
use crate::heal::node::{Node, Slice};
use crate::heal::place::{Finding, SeriesDifference};

/// Points of a series that are told at once.
const TOLD_AT_ONCE: usize = 1_000;

/// Points that are read while nothing moves; more than these clients do not make.
const FEW: usize = 1_000;

/// How often it is looked for points whose sums differ and of which none comes.
const LOOKS: usize = 3;

/// How often a point is read again whose values change.
const ROUNDS: usize = 4;

/// Continuous queries run on each node by its own clock, so their points differ for a moment without any write in the journal.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Units, each with what was seen to differ in it twice.
type Suspects = Vec<(Unit, Vec<SeriesDifference>)>;

/// Points of a unit that differ.
enum Read {
    /// All of them.
    All(Marks),
    /// More than can be held; these are some.
    TooMany(Marks),
    /// No node holds any point there.
    Nothing,
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
                let left = most.saturating_sub(held);
                let Some(read) = self.read_if_it_can_be(&unit, left).await? else {
                    continue;
                };
                match read {
                    Read::Nothing => {}
                    Read::All(marks) => {
                        held += marks.count();
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
            let mut few = Vec::new();
            for (unit, marks) in batch {
                let again = || self.read_again(&unit, &marks);
                let read = self.patiently(again).await;
                let Some((differences, changed)) = self.unless_unread(&unit.slice, read)? else {
                    continue;
                };
                if !differences.is_empty() {
                    few.push((unit.clone(), differences));
                }
                if points_of(&few) > FEW {
                    self.tell_all(few.drain(..)).await?;
                }
                if !changed.is_empty() {
                    moving.push((unit, changed));
                }
            }
            moving.extend(self.tell_what_is_sure(few).await?);
            batch = moving;
        }
        for (unit, marks) in batch {
            self.progress.note(format!(
                "{}.{}.{}: {} points differ by other values each time that they are read: they are still moving, so they are not counted",
                unit.slice.database,
                unit.slice.policy,
                unit.slice.measurement,
                marks.count()
            ));
        }
        Ok(())
    }

    /// Tells what differs while nothing moves, too. Returns what differs by other values then.
    async fn tell_what_is_sure(&self, few: Suspects) -> Result<Vec<(Unit, Marks)>, WorkError> {
        if few.is_empty() {
            return Ok(Vec::new());
        }
        let prompt: Vec<Node> = self.nodes.iter().map(Node::at_once).collect();
        let promptly = Comparison {
            nodes: &prompt,
            found: self.found.clone(),
            ..*self
        };
        let look = || self.while_nothing_moves(promptly.read_all_again(&few));
        let seen = self.patiently(look).await?;
        let (sure, changed) = seen.unwrap_or((few, Vec::new()));
        self.tell_all(sure.into_iter()).await?;
        Ok(changed)
    }

    /// What differs as it did, and what differs otherwise by now.
    async fn read_all_again(
        &self,
        suspects: &Suspects,
    ) -> Result<(Suspects, Vec<(Unit, Marks)>), WorkError> {
        let (mut differing, mut changed) = (Vec::new(), Vec::new());
        for (unit, differences) in suspects {
            let read = self.read_again(unit, &Marks::of(differences)).await;
            let Some((same, others)) = self.unless_unread(&unit.slice, read)? else {
                continue;
            };
            differing.push((unit.clone(), same));
            if !others.is_empty() {
                changed.push((unit.clone(), others));
            }
        }
        Ok((differing, changed))
    }

    async fn tell_all(
        &self,
        suspects: impl Iterator<Item = (Unit, Vec<SeriesDifference>)>,
    ) -> Result<(), WorkError> {
        for difference in suspects.flat_map(|(_, differences)| differences) {
            self.tell(Finding::Points(difference)).await?;
        }
        Ok(())
    }

    /// Reads a unit. None if it is left out, because it cannot be read.
    async fn read_if_it_can_be(&self, unit: &Unit, most: usize) -> Result<Option<Read>, WorkError> {
        for _ in 0..LOOKS {
            let read = self.patiently(|| self.read(unit, most)).await;
            match self.unless_unread(&unit.slice, read)? {
                Some(Read::Nothing) if !unit.is_part => {}
                read => return Ok(read),
            }
            self.settle(Instant::now()).await?;
            let whole = Slice {
                from: unit.within.0,
                until: unit.within.1,
                ..unit.slice.clone()
            };
            let suspects = self.patiently(|| self.survey(&whole)).await;
            let Some(suspects) = self.unless_unread(&whole, suspects)? else {
                return Ok(None);
            };
            let is_suspect = suspects.iter().any(|other| {
                other.tags.is_none() || unit.tags.is_none() || other.tags == unit.tags
            });
            if !is_suspect {
                return Ok(Some(Read::Nothing));
            }
        }
        self.leave_out(
            &unit.slice,
            "its sums differ, but no node gives the points that they are made of".to_owned(),
        );
        Ok(None)
    }

    async fn read(&self, unit: &Unit, most: usize) -> Result<Read, WorkError> {
        let mut marks = Marks::default();
        let mut held = 0;
        let mut merge = self.points(unit).await?;
        merge
            .differing(|tags, point| {
                if held >= most {
                    held += 1;
                    return Next::Enough;
                }
                held += 1;
                marks.add(tags, &point);
                Next::Go
            })
            .await?;
        Ok(if held > most {
            Read::TooMany(marks)
        } else if merge.has_rows() {
            Read::All(marks)
        } else {
            Read::Nothing
        })
    }

    /// What differs as it did, and the marks of what differs otherwise by now.
    async fn read_again(
        &self,
        unit: &Unit,
        marks: &Marks,
    ) -> Result<(Vec<SeriesDifference>, Marks), WorkError> {
        let mut differences: Vec<SeriesDifference> = Vec::new();
        let mut changed = Marks::default();
        let mut merge = self.points(unit).await?;
        merge
            .differing(|tags, point| {
                let point = match marks.again(tags, point) {
                    Again::Stays(point) => point,
                    Again::Moves(point) => {
                        changed.add(tags, &point);
                        return Next::Go;
                    }
                    Again::New => return Next::Go,
                };
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
                Next::Go
            })
            .await?;
        Ok((differences, changed))
    }

    async fn points(&self, unit: &Unit) -> Result<Merge<'_>, WorkError> {
        let question = questions::points(&unit.slice, unit.tags.as_ref());
        let merge = Merge::ask(self.nodes, &question, Direction::Ascending, self.progress);
        Ok(merge.await?)
    }
}

fn points_of(suspects: &Suspects) -> usize {
    let differences = suspects.iter().flat_map(|(_, differences)| differences);
    differences.map(|difference| difference.points.len()).sum()
}

/// The two halves of its time; none if it is but a moment.
fn halves(unit: &Unit) -> Option<(Unit, Unit)> {
    let middle = unit.slice.from.midpoint(unit.slice.until);
    let (mut first, mut second) = (unit.clone(), unit.clone());
    first.slice.until = middle;
    second.slice.from = middle;
    (first.is_part, second.is_part) = (true, true);
    (unit.slice.from < middle && middle < unit.slice.until).then_some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_whole() {
        let unit = |from, until| Unit {
            slice: Slice {
                database: String::new(),
                policy: String::new(),
                measurement: "".into(),
                from,
                until,
            },
            within: (0, 0),
            tags: None,
            is_part: true,
        };
        assert_eq!(halves(&unit(3, 9)), Some((unit(3, 6), unit(6, 9))));
        assert_eq!(halves(&unit(3, 4)), None);
        let (first, second) = halves(&unit(i64::MIN, i64::MAX)).unwrap();
        assert_eq!(first.slice.until, second.slice.from);
    }
}
