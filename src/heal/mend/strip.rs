//! Times of one series that are mended together, and how many strips are.

use super::plan::Span;
use crate::heal::node::Slice;
use crate::heal::place::{SeriesDifference, Tags};

/// Points that lie further apart are read one by one, because many others may lie between them.
const NEAR: i64 = 60_000_000_000;

/// Points of a batch.
const MOST_POINTS: usize = 1_000;

/// Spans of a batch: each is a question of its own.
const MOST_SPANS: usize = 200;

/// Times of one series at which nodes differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strip {
    pub(super) slice: Slice,
    pub(super) tags: Tags,
    /// In order.
    pub(super) times: Vec<i64>,
}

impl Strip {
    pub(super) fn of(series: &SeriesDifference) -> Strip {
        Strip {
            slice: series.slice.clone(),
            tags: series.tags.clone(),
            times: series.points.iter().map(|point| point.time).collect(),
        }
    }

    /// The times as few spans of which each is quickly read.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for time in &self.times {
            match spans.last_mut() {
                Some((_, last)) if time.saturating_sub(*last) <= NEAR => *last = *time,
                _ => spans.push((*time, *time)),
            }
        }
        spans
    }

    fn split_at(&self, at: usize) -> [Strip; 2] {
        let part = |times: &[i64]| Strip {
            times: times.to_vec(),
            ..self.clone()
        };
        let (first, second) = self.times.split_at(at.min(self.times.len()));
        [part(first), part(second)]
    }
}

/// Strips that are mended together.
pub(super) fn batches(strips: Vec<Strip>) -> Vec<Vec<Strip>> {
    let mut batches = Vec::new();
    let mut batch: Vec<Strip> = Vec::new();
    let (mut points, mut spans) = (0, 0);
    for strip in strips {
        let (more_points, more_spans) = (strip.times.len(), strip.spans().len());
        let is_full = points + more_points > MOST_POINTS || spans + more_spans > MOST_SPANS;
        if is_full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            (points, spans) = (0, 0);
        }
        points += more_points;
        spans += more_spans;
        batch.push(strip);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// Two halves of a batch, the first one first; none of a single point.
pub(super) fn halves(mut batch: Vec<Strip>) -> Option<[Vec<Strip>; 2]> {
    if batch.len() > 1 {
        let second = batch.split_off(batch.len() / 2);
        return Some([batch, second]);
    }
    let strip = batch.first()?;
    if strip.times.len() < 2 {
        return None;
    }
    Some(strip.split_at(strip.times.len() / 2).map(|half| vec![half]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(times: Vec<i64>) -> Strip {
        Strip {
            slice: Slice {
                database: "d".to_owned(),
                policy: "p".to_owned(),
                measurement: "m".into(),
                from: 0,
                until: i64::MAX,
            },
            tags: Vec::new(),
            times,
        }
    }

    #[test]
    fn near_times_are_read_at_once_and_far_ones_alone() {
        let times = vec![0, 10, NEAR + 10, 3 * NEAR, i64::MAX - 1];
        let spans = strip(times).spans();
        let alone = i64::MAX - 1;
        assert_eq!(
            spans,
            [(0, NEAR + 10), (3 * NEAR, 3 * NEAR), (alone, alone)]
        );
    }

    #[test]
    fn batches_are_bounded_and_come_apart_down_to_a_point() {
        let strips = vec![strip((0..600).collect()); 3];
        let far = (0..150).map(|at| at * 2 * NEAR);
        let strips = [strips, vec![strip(far.collect()); 2]].concat();
        let lengths: Vec<usize> = batches(strips).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, 2, 1]);
        let [first, second] = halves(vec![strip(vec![1, 2, 3])]).expect("two halves");
        assert_eq!(first, [strip(vec![1])]);
        assert_eq!(second, [strip(vec![2, 3])]);
        assert_eq!(halves(vec![strip(vec![1])]), None);
        let [first, second] = halves(vec![strip(vec![1]); 3]).expect("two halves");
        assert_eq!((first.len(), second.len()), (1, 2));
    }
}
