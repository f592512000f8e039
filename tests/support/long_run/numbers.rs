//! Points that are written once: which of them were sent, and which acknowledged.

use std::ops::Range;

/// Numbered points.
#[derive(Debug, Default)]
pub struct Series {
    /// Numbers below were sent.
    pub sent: u64,
    acknowledged: Vec<Range<u64>>,
}

impl Series {
    /// The next `count` numbers.
    pub fn take(&mut self, count: u64) -> Range<u64> {
        let first = self.sent;
        self.sent += count;
        first..self.sent
    }

    /// These were acknowledged.
    pub fn acknowledge(&mut self, numbers: Range<u64>) {
        match self.acknowledged.last_mut() {
            Some(last) if last.end == numbers.start => last.end = numbers.end,
            _ => self.acknowledged.push(numbers),
        }
    }

    /// Every acknowledged number in `within`, in order.
    pub fn acknowledged(&self, within: Range<u64>) -> impl Iterator<Item = u64> {
        let first = self
            .acknowledged
            .partition_point(|range| range.end <= within.start);
        self.acknowledged[first..]
            .iter()
            .take_while(move |range| range.start < within.end)
            .flat_map(move |range| range.start.max(within.start)..range.end.min(within.end))
    }
}
