//! Lines on their way to one target: whoever logs puts them in without waiting, and a thread of the target's own takes them out.
//!
//! The queue is bounded in bytes. A line that finds no room is dropped and counted; the next lines that the target takes are
//! followed by one that says how many. The memory is at most twice the bound: one buffer is filled while the other is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::LogTargetStats;

/// Lines, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Batch {
    /// One line.
    pub(super) fn of(line: &[u8]) -> Batch {
        Batch {
            bytes: line.to_vec(),
            ends: vec![line.len()],
        }
    }

    /// All lines at once.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each line.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let between = starts.zip(&self.ends);
        between.map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// How many lines lie wholly within the first `written` bytes.
    pub(super) fn lines_within(&self, written: usize) -> usize {
        self.ends.partition_point(|end| *end <= written)
    }

    /// What its lines take of the queue's bound.
    fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// Lines that were dropped since it was said last.
    dropped: u64,
    /// The thread is writing what it took.
    is_writing: bool,
}

/// The queue of one target.
#[derive(Debug)]
pub(super) struct Queue {
    bound: usize,
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    stats: Arc<LogTargetStats>,
}

impl Queue {
    pub(super) fn new(bound: usize, stats: Arc<LogTargetStats>) -> Queue {
        Queue {
            bound,
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            stats,
        }
    }

    /// Puts a line in, or drops it if there is no room.
    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.state.lock();
        let needed = line.len() + size_of::<usize>();
        if state.waiting.size() + needed > self.bound {
            state.dropped += 1;
            self.stats.dropped.increment();
            return;
        }
        state.waiting.bytes.extend_from_slice(line);
        let end = state.waiting.bytes.len();
        state.waiting.ends.push(end);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for lines and puts them into `batch` in place of what it held; returns how many were dropped behind them. What was
    /// taken before counts as written.
    pub(super) fn take(&self, batch: &mut Batch) -> u64 {
        batch.clear();
        let mut state = self.state.lock();
        state.is_writing = false;
        while state.waiting.ends.is_empty() && state.dropped == 0 {
            self.emptied.notify_all();
            self.filled.wait(&mut state);
        }
        state.is_writing = true;
        std::mem::swap(&mut state.waiting, batch);
        std::mem::take(&mut state.dropped)
    }

    /// Counts lines that the target did not take.
    pub(super) fn lost(&self, lines: usize) {
        let lines = u64::try_from(lines).unwrap_or(u64::MAX);
        self.stats.dropped.add(lines);
        self.state.lock().dropped += lines;
    }

    /// Waits until all lines are written, but not past `until`.
    pub(super) fn wait_until_empty(&self, until: Instant) {
        let mut state = self.state.lock();
        while !state.waiting.ends.is_empty() || state.is_writing {
            if self.emptied.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }
}

/// How long the thread of a target leaves it alone after a failure.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(bound: usize) -> (Queue, Arc<LogTargetStats>) {
        let stats = Arc::new(LogTargetStats::default());
        (Queue::new(bound, Arc::clone(&stats)), stats)
    }

    #[test]
    fn lines_come_out_as_they_went_in_and_what_has_no_room_is_counted() {
        let (queue, stats) = queue(40);
        for line in ["first\n", "second\n", "third\n", "4\n"] {
            queue.put(line.as_bytes());
        }
        let mut batch = Batch::default();
        assert_eq!(queue.take(&mut batch), 1);
        let lines: Vec<&[u8]> = batch.lines().collect();
        assert_eq!(lines, [b"first\n".as_slice(), b"second\n", b"4\n"]);
        assert_eq!(batch.bytes(), b"first\nsecond\n4\n");
        assert_eq!(stats.dropped.get(), 1);
        assert_eq!(
            [0, 5, 6, 12, 13, 15].map(|written| batch.lines_within(written)),
            [0, 0, 1, 1, 2, 3]
        );
        queue.lost(2);
        assert_eq!(queue.take(&mut batch), 2);
        assert_eq!((batch.len(), stats.dropped.get()), (0, 3));
    }

    #[test]
    fn the_end_waits_for_what_is_being_written_but_not_forever() {
        let (queue, _) = queue(1000);
        queue.wait_until_empty(Instant::now());
        queue.put(b"x\n");
        let begun = Instant::now();
        queue.wait_until_empty(begun + Duration::from_millis(30));
        assert!(begun.elapsed() >= Duration::from_millis(30));
        queue.take(&mut Batch::default());
        let begun = Instant::now();
        queue.wait_until_empty(begun + Duration::from_millis(30));
        assert!(
            begun.elapsed() >= Duration::from_millis(30),
            "it is being written"
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = queue.take(&mut Batch::default());
            });
            queue.wait_until_empty(Instant::now() + Duration::from_secs(60));
            queue.put(b"end\n");
        });
    }
}
