//! The newest durable records, in memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::reader::{Batch, Most};
use super::{Record, Sequence};

/// Records in order, the oldest given up when there are too many bytes.
#[derive(Debug)]
pub(super) struct Cache {
    records: VecDeque<Record>,
    bytes: usize,
    limit: usize,
    /// Every record above this one is here.
    after: Sequence,
    /// One of them that alone is larger than the limit, and when it came: it is not counted.
    large: Option<(Sequence, Instant)>,
}

/// Readers that are not behind have taken a record after so long.
const TAKEN_AFTER: Duration = Duration::from_millis(100);

/// What a record costs beside its payload.
const OVERHEAD: usize = size_of::<Record>();

impl Cache {
    /// An empty one that is complete above `after`.
    pub(super) fn new(limit: usize, after: Sequence) -> Self {
        Self {
            records: VecDeque::new(),
            bytes: 0,
            limit,
            after,
            large: None,
        }
    }

    /// Adds the next record.
    ///
    /// One that alone is larger than the limit is kept beside it, but one only: each reader would read its own copy of it from
    /// the disk.
    pub(super) fn push(&mut self, record: Record) {
        let size = record.payload.len() + OVERHEAD;
        if self.limit > 0 && size > self.limit {
            while self.large.is_some() && self.drop_oldest() {}
            self.large = Some((record.sequence, Instant::now()));
        } else {
            self.bytes += size;
        }
        self.records.push_back(record);
        while self.bytes > self.limit && self.drop_oldest() {}
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.records.pop_front() else {
            return false;
        };
        self.after = oldest.sequence;
        if self
            .large
            .is_some_and(|(large, _)| large == oldest.sequence)
        {
            self.large = None;
        } else {
            self.bytes -= oldest.payload.len() + OVERHEAD;
        }
        true
    }

    /// The records above `after` that a reader is given at once; `None` if some of them are not here.
    ///
    /// A reader that is behind reads from the disk until it comes to the newest ones, and holds its own copies meanwhile. So that it
    /// finds room for them, a large record that the others have had time to take is given up.
    pub(super) fn read(&mut self, after: Sequence, most: Most) -> Option<Batch> {
        if after < self.after {
            let is_taken = |(_, since): (Sequence, Instant)| since.elapsed() > TAKEN_AFTER;
            if self.large.is_some_and(is_taken) {
                while self.large.is_some() && self.drop_oldest() {}
            }
            return None;
        }
        let start = self
            .records
            .partition_point(|record| record.sequence <= after);
        let mut batch = Batch::new(most);
        for record in self.records.range(start..) {
            if !batch.has_room(record.payload.len()) {
                break;
            }
            batch.take(record.clone());
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::Kind;

    fn record(number: u64) -> Record {
        let payload = Bytes::from(vec![0; 100]);
        Record {
            sequence: Sequence::new(number),
            kind: Kind(0),
            unix_nanos: 0,
            offset: 0,
            payload,
        }
    }

    fn numbers(batch: Option<Batch>) -> Option<Vec<u64>> {
        let numbers = |batch: Batch| {
            let records = batch.records.iter();
            records.map(|record| record.sequence.get()).collect()
        };
        batch.map(numbers)
    }

    fn most(bytes: usize) -> Most {
        Most {
            bytes,
            longest: usize::MAX,
        }
    }

    #[test]
    fn gives_what_it_has_and_says_what_it_has_not() {
        let mut cache = Cache::new(3 * (100 + OVERHEAD), Sequence::new(10));
        assert_eq!(numbers(cache.read(Sequence::new(9), most(1000))), None);
        assert_eq!(
            numbers(cache.read(Sequence::new(10), most(1000))),
            Some(vec![])
        );
        for number in [11, 12, 20] {
            cache.push(record(number));
        }
        assert_eq!(
            numbers(cache.read(Sequence::new(10), most(1000))),
            Some(vec![11, 12, 20])
        );
        assert_eq!(
            numbers(cache.read(Sequence::new(10), most(200))),
            Some(vec![11, 12])
        );
        assert_eq!(
            numbers(cache.read(Sequence::new(10), most(1))),
            Some(vec![11])
        );
        assert_eq!(
            numbers(cache.read(Sequence::new(15), most(0))),
            Some(vec![20])
        );
        cache.push(record(21));
        assert_eq!(numbers(cache.read(Sequence::new(10), most(1000))), None);
        assert_eq!(
            numbers(cache.read(Sequence::new(11), most(1000))),
            Some(vec![12, 20, 21])
        );
    }

    #[test]
    fn a_record_larger_than_the_limit_is_shared_until_others_took_its_place() {
        let mut cache = Cache::new(3 * (100 + OVERHEAD), Sequence::ZERO);
        let large = |number| Record {
            payload: Bytes::from(vec![0; 1000]),
            ..record(number)
        };
        cache.push(record(1));
        cache.push(large(2));
        let read =
            |cache: &mut Cache, after| numbers(cache.read(Sequence::new(after), most(10_000)));
        assert_eq!(read(&mut cache, 0), Some(vec![1, 2]));
        for number in [3, 4] {
            cache.push(record(number));
        }
        assert_eq!(read(&mut cache, 0), Some(vec![1, 2, 3, 4]));
        cache.push(record(5));
        assert_eq!(read(&mut cache, 0), None);
        assert_eq!(read(&mut cache, 1), Some(vec![2, 3, 4, 5]));
        cache.push(large(6));
        assert_eq!(read(&mut cache, 1), None, "one large one only");
        assert_eq!(read(&mut cache, 2), Some(vec![3, 4, 5, 6]));
        for number in [7, 8, 9, 10] {
            cache.push(record(number));
        }
        assert_eq!(read(&mut cache, 6), None);
        assert_eq!(read(&mut cache, 7), Some(vec![8, 9, 10]));
        assert_eq!((cache.large, cache.bytes), (None, 3 * (100 + OVERHEAD)));
    }

    #[test]
    fn a_large_record_that_was_taken_makes_room_for_those_of_a_reader_that_is_behind() {
        let mut cache = Cache::new(3 * (100 + OVERHEAD), Sequence::new(1));
        let payload = Bytes::from(vec![0; 1000]);
        cache.push(Record {
            payload,
            ..record(2)
        });
        cache.push(record(3));
        let read =
            |cache: &mut Cache, after| numbers(cache.read(Sequence::new(after), most(10_000)));
        assert_eq!(read(&mut cache, 0), None);
        assert_eq!(read(&mut cache, 1), Some(vec![2, 3]), "it has just come");
        std::thread::sleep(TAKEN_AFTER + Duration::from_millis(1));
        assert_eq!(read(&mut cache, 1), Some(vec![2, 3]), "nobody is behind");
        assert_eq!(read(&mut cache, 0), None);
        assert_eq!(read(&mut cache, 1), None);
        assert_eq!(read(&mut cache, 2), Some(vec![3]));
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let mut cache = Cache::new(0, Sequence::ZERO);
        cache.push(record(1));
        assert_eq!(numbers(cache.read(Sequence::ZERO, most(1000))), None);
        assert_eq!(
            numbers(cache.read(Sequence::new(1), most(1000))),
            Some(vec![])
        );
    }
}
