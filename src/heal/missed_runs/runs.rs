//! When InfluxDB runs a continuous query, and over which time (services/continuous_querier/service.go: `shouldRunContinuousQuery`,
//! `ExecuteContinuousQuery`, `truncate`). Times are nanoseconds since 1970.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::influx::influxql::ContinuousQuery;

/// How often InfluxDB looks which queries are due (`run-interval`), unless it is told otherwise.
const LOOK: i64 = 1_000_000_000;

/// One run of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// When it is due.
    pub(super) at: i64,
    /// It reads and writes from here …
    pub(super) from: i64,
    /// … up to here, which is left out.
    pub(super) until: i64,
}

/// The runs of a query from some time on, in their order; they do not end.
#[derive(Debug)]
pub(super) struct Runs {
    interval: i64,
    offset: i64,
    /// Between two runs as the query says.
    every: i64,
    /// Between two runs as InfluxDB makes them, which looks once a second: a multiple of `every`.
    pace: i64,
    /// How much time a run covers.
    covers: i64,
    zone: TimeZone,
    last: i64,
}

impl Runs {
    /// The runs that are due behind `after`.
    ///
    /// # Errors
    /// This host does not know the query's time zone.
    pub(super) fn of(query: &ContinuousQuery, after: i64) -> Result<Runs, jiff::Error> {
        let zone = match &query.time_zone {
            Some(name) => TimeZone::get(name)?,
            None => TimeZone::UTC,
        };
        let interval = query.interval;
        let every = query.every.filter(|every| *every > 0).unwrap_or(interval);
        let covers = query.resampled_for.filter(|covers| *covers > 0);
        let pace = every.saturating_mul(1 + (LOOK - 1) / every);
        let mut runs = Runs {
            interval,
            offset: query.offset,
            every,
            pace,
            covers: covers.unwrap_or(interval.max(every)),
            zone,
            last: 0,
        };
        runs.last = runs.truncate(after.saturating_sub(runs.offset), pace) + runs.offset;
        Ok(runs)
    }

    /// How far the zone's clocks are ahead of UTC.
    fn ahead(&self, time: i64) -> i64 {
        let time = Timestamp::from_nanosecond(time.into());
        let offset = time.map_or(0, |time| self.zone.to_offset(time).seconds());
        i64::from(offset) * 1_000_000_000
    }

    /// The multiple of `step`, by the zone's clocks, at or before `time`.
    fn truncate(&self, time: i64, step: i64) -> i64 {
        let ahead = self.ahead(time);
        let into = time.saturating_add(ahead).rem_euclid(step);
        let start = time.saturating_sub(into);
        start + self.shift(ahead, self.ahead(start), step)
    }

    /// By how much a time has to be moved between whose ends the zone's clocks were changed.
    fn shift(&self, before: i64, behind: i64, step: i64) -> i64 {
        let shift = before - behind;
        match shift.abs() < step {
            true => shift,
            false => 0,
        }
    }

    /// The run that is due `step` behind another one.
    fn due(&self, last: i64, step: i64) -> i64 {
        let next = last.saturating_add(step);
        let shift = self.shift(self.ahead(last - 1), self.ahead(next - 1), step);
        next.saturating_add(shift)
    }
}

impl Iterator for Runs {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let due = self.due(self.last, self.every);
        let at = match self.pace == self.every {
            true => due,
            false => self.due(self.last, self.pace),
        };
        self.last = at;
        let back = self.covers.saturating_add(self.offset + 1);
        let from = due.saturating_add(self.interval).saturating_sub(back);
        let ahead = self.interval - self.every.min(self.interval) - self.offset;
        Some(Run {
            at,
            from: self.truncate(from, self.interval) + self.offset,
            until: self.truncate(at.saturating_add(ahead), self.interval) + self.offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> i64 {
        let time: Timestamp = text.parse().unwrap();
        i64::try_from(time.as_nanosecond()).unwrap()
    }

    fn runs(query: &str, after: &str, count: usize) -> Vec<[String; 3]> {
        let text = format!("CREATE CONTINUOUS QUERY q ON d {query} END");
        let query = ContinuousQuery::parse(&text).unwrap();
        let shown = |time: i64| Timestamp::from_nanosecond(time.into()).unwrap().to_string();
        let runs = Runs::of(&query, time(after)).unwrap().take(count);
        runs.map(|run| [run.at, run.from, run.until].map(shown))
            .collect()
    }

    fn expected(runs: &[[&str; 3]]) -> Vec<[String; 3]> {
        let day = |time: &str| match time.contains('T') {
            true => format!("{time}Z"),
            false => format!("2000-01-01T{time}Z"),
        };
        runs.iter().map(|run| run.map(day)).collect()
    }

    const SELECT: &str = "BEGIN SELECT mean(v) INTO t FROM m GROUP BY";

    #[test]
    fn a_run_is_due_at_the_end_of_each_interval() {
        assert_eq!(
            runs(&format!("{SELECT} time(10m)"), "2000-01-01T00:10:00Z", 2),
            expected(&[
                ["00:20:00", "00:10:00", "00:20:00"],
                ["00:30:00", "00:20:00", "00:30:00"]
            ])
        );
        assert_eq!(
            runs(&format!("{SELECT} time(10m)"), "2000-01-01T00:09:59Z", 1),
            expected(&[["00:10:00", "00:00:00", "00:10:00"]])
        );
        // Weeks begin on Thursdays, as 1970 did.
        assert_eq!(
            runs(&format!("{SELECT} time(1w)"), "2000-01-01T00:00:00Z", 1),
            expected(&[[
                "2000-01-06T00:00:00",
                "1999-12-30T00:00:00",
                "2000-01-06T00:00:00"
            ]])
        );
        assert_eq!(
            runs(
                &format!("{SELECT} time(1m, 30s)"),
                "2000-01-01T00:00:29Z",
                2
            ),
            expected(&[
                ["00:00:30", "1999-12-31T23:59:30", "00:00:30"],
                ["00:01:30", "00:00:30", "00:01:30"]
            ])
        );
    }

    /// As InfluxDB's own tests of this.
    #[test]
    fn resampling_covers_more_and_comes_oftener() {
        assert_eq!(
            runs(
                &format!("RESAMPLE EVERY 10s FOR 2m {SELECT} time(1m)"),
                "2000-01-01T00:09:55Z",
                2
            ),
            expected(&[
                ["00:10:00", "00:08:00", "00:10:00"],
                ["00:10:10", "00:09:00", "00:11:00"]
            ])
        );
        assert_eq!(
            runs(
                &format!("RESAMPLE EVERY 1m {SELECT} time(30s)"),
                "2000-01-01T00:09:30Z",
                2
            ),
            expected(&[
                ["00:10:00", "00:09:00", "00:10:00"],
                ["00:11:00", "00:10:00", "00:11:00"]
            ])
        );
    }

    #[test]
    fn a_run_comes_no_oftener_than_influxdb_looks() {
        assert_eq!(
            runs(&format!("{SELECT} time(400ms)"), "2000-01-01T00:00:00Z", 2),
            expected(&[
                ["00:00:01.2", "00:00:00", "00:00:01.2"],
                ["00:00:02.4", "00:00:01.2", "00:00:02.4"]
            ])
        );
    }

    #[test]
    fn days_are_those_of_the_time_zone() {
        // Clocks went forward on the 26th.
        assert_eq!(
            runs(
                &format!("{SELECT} time(1d) TZ('Europe/Berlin')"),
                "2000-03-25T12:00:00Z",
                3
            ),
            expected(&[
                [
                    "2000-03-25T23:00:00",
                    "2000-03-24T23:00:00",
                    "2000-03-25T23:00:00"
                ],
                [
                    "2000-03-26T22:00:00",
                    "2000-03-25T23:00:00",
                    "2000-03-26T22:00:00"
                ],
                [
                    "2000-03-27T22:00:00",
                    "2000-03-26T22:00:00",
                    "2000-03-27T22:00:00"
                ]
            ])
        );
        let unknown =
            format!("CREATE CONTINUOUS QUERY q ON d {SELECT} time(1d) TZ('No/Where') END");
        assert!(Runs::of(&ContinuousQuery::parse(&unknown).unwrap(), 0).is_err());
    }
}
