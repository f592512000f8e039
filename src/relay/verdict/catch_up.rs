//! How long a replica that is behind will take to catch up, by what it has done of late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is looked back at.
const WINDOW: Duration = Duration::from_secs(10);

/// Between two looks.
const PACE: Duration = Duration::from_millis(500);

/// Less time than this says nothing about a rate.
const LEAST: Duration = Duration::from_secs(1);

/// Longer than anybody waits.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The recent past of one replica.
#[derive(Debug, Default)]
pub(in crate::relay) struct Progress {
    /// When, and how many bytes it was behind.
    past: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// It is `behind` bytes behind now. Says when it will be behind no more, if the lag goes on to shrink as it did.
    pub(in crate::relay) fn look(&mut self, now: Instant, behind: u64) -> Option<Duration> {
        let since = |moment: Instant| now.saturating_duration_since(moment);
        if self
            .past
            .back()
            .is_none_or(|(last, _)| since(*last) >= PACE)
        {
            self.past.push_back((now, behind));
        }
        while self.past.len() > 2
            && self
                .past
                .get(1)
                .is_some_and(|(next, _)| since(*next) >= WINDOW)
        {
            self.past.pop_front();
        }
        let (then, before) = *self.past.front()?;
        let (took, shrunk) = (since(then), before.checked_sub(behind)?);
        if behind == 0 || shrunk == 0 || took < LEAST {
            return None;
        }
        let seconds = took.as_secs_f64() * (behind as f64 / shrunk as f64);
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|left| *left < LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every second at a lag that changes by `change` bytes a second.
    fn looks(
        progress: &mut Progress,
        start: Instant,
        from: u64,
        change: i64,
        seconds: u64,
    ) -> Option<Duration> {
        let mut said = None;
        for second in 0..=seconds {
            let behind = from.saturating_add_signed(change * second.cast_signed());
            said = progress.look(start + Duration::from_secs(second), behind);
        }
        said
    }

    #[test]
    fn a_lag_that_shrinks_has_an_end_and_one_that_grows_has_none() {
        let start = Instant::now();
        let left = looks(&mut Progress::default(), start, 1_000, -10, 20);
        assert_eq!(left.map(|left| left.as_secs()), Some(80));
        assert_eq!(looks(&mut Progress::default(), start, 1_000, 10, 20), None);
        assert_eq!(looks(&mut Progress::default(), start, 1_000, 0, 20), None);
        assert_eq!(
            looks(&mut Progress::default(), start, 100, -10, 10),
            None,
            "it is there"
        );
        assert_eq!(
            looks(&mut Progress::default(), start, u64::MAX, -1, 20),
            None,
            "no time at all"
        );
    }

    #[test]
    fn only_the_last_seconds_count_and_little_is_kept() {
        let start = Instant::now();
        let mut progress = Progress::default();
        looks(&mut progress, start, 1_000, 0, 60);
        let left = looks(
            &mut progress,
            start + Duration::from_secs(61),
            1_000,
            -10,
            20,
        );
        assert_eq!(left.map(|left| left.as_secs()), Some(80));
        assert!(progress.past.len() < 40);
    }
}
