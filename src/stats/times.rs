//! How long requests took: averages over the last ones, as HAProxy shows them, histograms, and percentiles of the last ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde::de::Error as _;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sharded::Sharded;

/// Over how many requests averages and percentiles go, as HAProxy's averages.
const WINDOW: u64 = 1024;

/// The upper bounds of a histogram's buckets, in microseconds. What took longer is only in the count of all.
pub const BOUNDS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// The average of the last 1024 times or so, and the longest of all. An older time weighs less than a newer one.
#[derive(Debug, Default)]
pub struct Average {
    seen: AtomicU64,
    /// The average times the window, in microseconds.
    sum: AtomicU64,
    longest: AtomicU64,
}

impl Average {
    /// Takes in one time.
    pub fn add(&self, time: Duration) {
        let relaxed = Ordering::Relaxed;
        let time = micros(time);
        let seen = self.seen.fetch_add(1, relaxed).saturating_add(1);
        let _ = self.sum.fetch_update(relaxed, relaxed, |sum| {
            let leaves = match seen > WINDOW {
                true => sum.div_ceil(WINDOW),
                false => 0,
            };
            Some(sum.saturating_sub(leaves).saturating_add(time))
        });
        self.longest.fetch_max(time, relaxed);
    }

    /// The average.
    pub fn get(&self) -> Duration {
        let window = self.seen.load(Ordering::Relaxed).clamp(1, WINDOW);
        Duration::from_micros(self.sum.load(Ordering::Relaxed) / window)
    }

    /// The longest time.
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }
}

/// How many times lay in which range.
#[derive(Debug, Default)]
pub struct Histogram(Sharded<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    /// Times up to each bound that are over the one before; then those over the last.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

/// A histogram as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramReading {
    /// How many times were at most as long as the bound of the same position in [`BOUNDS`].
    pub up_to: [u64; BOUNDS.len()],
    /// How many times there were.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Serialize for HistogramReading {
    /// `{"count": 3, "sum": 0.2, "up_to": {"0.0005": 1, …}}`, bounds and sum in seconds.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let up_to: BTreeMap<String, u64> = self
            .buckets()
            .map(|(bound, count)| (bound.to_string(), count))
            .collect();
        let mut object = serializer.serialize_struct("Histogram", 3)?;
        object.serialize_field("count", &self.count)?;
        object.serialize_field("sum", &self.sum.as_secs_f64())?;
        object.serialize_field("up_to", &up_to)?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for HistogramReading {
    /// Errors where a bound is missing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            count: u64,
            sum: f64,
            up_to: BTreeMap<String, u64>,
        }
        let written = Written::deserialize(deserializer)?;
        let mut up_to = [0; BOUNDS.len()];
        for (place, bound) in up_to.iter_mut().zip(BOUNDS) {
            let bound = seconds(bound).to_string();
            let count = written.up_to.get(&bound);
            *place = *count.ok_or_else(|| D::Error::custom(format!("no bound {bound}")))?;
        }
        Ok(HistogramReading {
            up_to,
            count: written.count,
            sum: Duration::try_from_secs_f64(written.sum).map_err(D::Error::custom)?,
        })
    }
}

impl HistogramReading {
    /// Each bound in seconds, with how many times were at most as long.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.into_iter().map(seconds).zip(self.up_to)
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

impl Histogram {
    /// Takes in one time.
    pub fn add(&self, time: Duration) {
        let time = micros(time);
        let bucket = BOUNDS.partition_point(|bound| *bound < time);
        let here = self.0.here();
        if let Some(bucket) = here.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        here.sum.fetch_add(time, Ordering::Relaxed);
    }

    /// Reads it.
    pub fn read(&self) -> HistogramReading {
        let mut count = 0;
        let mut cumulated = (0..=BOUNDS.len()).map(|bucket| {
            let counts = self.0.all().filter_map(|one| one.buckets.get(bucket));
            count += counts.map(|one| one.load(Ordering::Relaxed)).sum::<u64>();
            count
        });
        let up_to = std::array::from_fn(|_| cumulated.next().unwrap_or_default());
        let count = cumulated.next().unwrap_or_default();
        HistogramReading {
            up_to,
            count,
            sum: Duration::from_micros(
                self.0
                    .all()
                    .map(|one| one.sum.load(Ordering::Relaxed))
                    .fold(0, u64::wrapping_add),
            ),
        }
    }
}

/// The last 1024 times, each as it was.
#[derive(Debug)]
pub struct LastTimes {
    /// How many there were since the start. The next one takes the place of the oldest.
    seen: AtomicU64,
    /// In microseconds; 71 minutes stand for all that is longer.
    times: Box<[AtomicU32]>,
}

impl Default for LastTimes {
    fn default() -> Self {
        Self {
            seen: AtomicU64::new(0),
            times: (0..WINDOW).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

/// What the last 1024 times are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// How many times there are: 1024, or fewer after a start.
    pub count: u64,
    /// The time that half of them do not exceed; nothing without a time.
    pub median: Option<Duration>,
    /// The time that 99 of 100 do not exceed.
    pub p99: Option<Duration>,
    /// The longest of them.
    pub max: Option<Duration>,
}

impl LastTimes {
    /// Takes in one time.
    pub fn add(&self, time: Duration) {
        let place = self.seen.fetch_add(1, Ordering::Relaxed) % WINDOW;
        let place = usize::try_from(place).unwrap_or_default();
        if let Some(slot) = self.times.get(place) {
            let time = u32::try_from(micros(time)).unwrap_or(u32::MAX);
            slot.store(time, Ordering::Relaxed);
        }
    }

    /// Reads them. A time that is taken in meanwhile may be missing.
    pub fn read(&self) -> Percentiles {
        let count = self.seen.load(Ordering::Relaxed).min(WINDOW);
        let filled = usize::try_from(count).unwrap_or_default();
        let filled = self.times.iter().take(filled);
        let mut times: Vec<u32> = filled.map(|time| time.load(Ordering::Relaxed)).collect();
        times.sort_unstable();
        let not_exceeded_by = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            let time = times.get(rank.checked_sub(1)?)?;
            Some(Duration::from_micros(u64::from(*time)))
        };
        Percentiles {
            count,
            median: not_exceeded_by(50),
            p99: not_exceeded_by(99),
            max: not_exceeded_by(100),
        }
    }
}

/// Times of one kind: all of them by length, and the last ones.
#[derive(Debug, Default)]
pub struct Latency {
    all: Histogram,
    last: LastTimes,
}

impl Latency {
    /// Takes in one time.
    pub fn add(&self, time: Duration) {
        self.all.add(time);
        self.last.add(time);
    }

    /// All times since the start, by length.
    pub fn histogram(&self) -> HistogramReading {
        self.all.read()
    }

    /// What the last 1024 are like.
    pub fn last(&self) -> Percentiles {
        self.last.read()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_follows_the_last_requests() {
        let average = Average::default();
        assert_eq!(average.get(), Duration::ZERO);
        average.add(Duration::from_millis(1));
        average.add(Duration::from_millis(3));
        assert_eq!(average.get(), Duration::from_millis(2));
        for _ in 0..20_000 {
            average.add(Duration::from_millis(7));
        }
        let now = average.get();
        assert!(now.abs_diff(Duration::from_millis(7)) < Duration::from_micros(10));
        average.add(Duration::from_secs(1));
        assert_eq!(average.longest(), Duration::from_secs(1));
        assert!(average.get() < Duration::from_millis(9));
    }

    #[test]
    fn percentiles_are_those_of_the_last_times() {
        let latency = Latency::default();
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
        let said = |latency: &Latency| {
            let last = latency.last();
            (last.count, [last.median, last.p99, last.max].map(millis))
        };
        assert_eq!(said(&latency), (0, [None; 3]));
        latency.add(Duration::from_millis(3));
        assert_eq!(said(&latency), (1, [Some(3); 3]));
        for number in 1..=100 {
            latency.add(Duration::from_millis(number));
        }
        assert_eq!(said(&latency), (101, [Some(50), Some(99), Some(100)]));
        // What is older than the last 1024 is forgotten, but for the histogram.
        for _ in 0..1013 {
            latency.add(Duration::from_millis(7));
        }
        latency.add(Duration::from_secs(7200));
        for _ in 0..10 {
            latency.add(Duration::from_millis(8));
        }
        assert_eq!(said(&latency), (1024, [Some(7), Some(8), Some(4_294_967)]));
        assert_eq!(latency.histogram().count, 1125);
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 400, 60_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let read = histogram.read();
        let up_to = |micros: u64| read.up_to[BOUNDS.iter().position(|b| *b == micros).unwrap()];
        assert_eq!(
            [500, 1_000, 2_500, 250_000, 500_000, 30_000_000].map(up_to),
            [1, 2, 3, 3, 4, 4]
        );
        assert_eq!(read.count, 5);
        assert_eq!(read.sum, Duration::from_millis(60_403));
    }
}
