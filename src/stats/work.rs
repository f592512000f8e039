//! How a work on a relay's nodes stands: a comparison, a mend or a rebuild.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::units::{Bytes, Count, Span, per_second};

/// How far the moments lie apart from which a rate is counted.
const SAMPLE_PACE: Duration = Duration::from_secs(1);

/// So many of them are kept: a rate is that of the last ten seconds.
const SAMPLES: usize = 10;

/// The numbers of a work. Whoever does it adds to them; the command, the status page and the metrics read them.
#[derive(Debug)]
pub struct WorkStats {
    /// Its name as a command.
    pub name: &'static str,
    /// The replica that a rebuild fills.
    pub target: Option<String>,
    /// When it began.
    pub began: SystemTime,
    slices: AtomicU64,
    slices_done: AtomicU64,
    points: AtomicU64,
    bytes: AtomicU64,
    differing: AtomicU64,
    course: Mutex<Course>,
}

/// What changes together.
#[derive(Debug)]
struct Course {
    step: String,
    waits: bool,
    began: Instant,
    ended: Option<(Instant, SystemTime)>,
    failed: Option<String>,
    /// When the slices that are counted began, and how many of them were done before.
    pass: (Instant, u64),
    samples: VecDeque<Sample>,
}

/// Points and bytes at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    points: u64,
    bytes: u64,
}

/// The numbers as they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkFigures {
    /// Slices that are done, and all of them as far as they are known, in this pass over the data.
    pub slices: (u64, u64),
    /// How many of a hundred slices are done; nothing while none are known.
    pub percent: Option<u64>,
    /// Points that were copied or written, and rows that were read to compare.
    pub points: u64,
    /// The same a second: of the last ten seconds, or of the whole when it is over.
    pub points_per_second: u64,
    /// Bytes that were read from nodes.
    pub bytes: u64,
    /// The same a second.
    pub bytes_per_second: u64,
    /// How many seconds this pass takes on at its pace; nothing while that cannot be told.
    pub seconds_left: Option<u64>,
}

impl WorkStats {
    /// A work begins. `name`: as a command.
    pub fn new(name: &'static str) -> WorkStats {
        WorkStats::begin(name, Instant::now())
    }

    fn begin(name: &'static str, now: Instant) -> WorkStats {
        WorkStats {
            name,
            target: None,
            began: SystemTime::now(),
            slices: AtomicU64::new(0),
            slices_done: AtomicU64::new(0),
            points: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            differing: AtomicU64::new(0),
            course: Mutex::new(Course {
                step: String::new(),
                waits: false,
                began: now,
                ended: None,
                failed: None,
                pass: (now, 0),
                samples: VecDeque::new(),
            }),
        }
    }

    /// It is a rebuild of this replica.
    pub fn filling(self, target: &str) -> WorkStats {
        WorkStats {
            target: Some(target.to_owned()),
            ..self
        }
    }

    /// Says what it is at, for a person.
    pub fn set_step(&self, step: String) {
        let mut course = self.course.lock();
        course.step = step;
        course.waits = false;
    }

    /// The same of something that it waits for: how long it takes on cannot be told until the next step.
    pub fn wait(&self, step: String) {
        let mut course = self.course.lock();
        course.step = step;
        course.waits = true;
    }

    /// What it is at, for a person.
    pub fn step(&self) -> String {
        self.course.lock().step.clone()
    }

    /// The data is gone over from its beginning: slices count from here on.
    pub fn begin_pass(&self) {
        self.begin_pass_at(Instant::now());
    }

    fn begin_pass_at(&self, now: Instant) {
        let mut course = self.course.lock();
        course.pass = (now, 0);
        self.slices.store(0, Ordering::Relaxed);
        self.slices_done.store(0, Ordering::Relaxed);
    }

    /// So many more slices are to be done in this pass.
    pub fn expect(&self, slices: u64) {
        self.slices.fetch_add(slices, Ordering::Relaxed);
    }

    /// One of them is.
    pub fn slice_done(&self) {
        self.slices_done.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them was done by a run before, and says nothing about the pace.
    pub fn slice_skipped(&self) {
        let mut course = self.course.lock();
        course.pass.1 += 1;
        self.slice_done();
    }

    /// So many points were copied, written or compared, and so many bytes read for them.
    pub fn add(&self, points: u64, bytes: u64) {
        self.add_at(points, bytes, Instant::now());
    }

    fn add_at(&self, points: u64, bytes: u64, now: Instant) {
        let mut course = self.course.lock();
        let is_due = course
            .samples
            .back()
            .is_none_or(|last| now.saturating_duration_since(last.at) >= SAMPLE_PACE);
        if is_due {
            if course.samples.len() >= SAMPLES {
                course.samples.pop_front();
            }
            // What came before is counted up to here.
            course.samples.push_back(self.sample(now));
        }
        self.points.fetch_add(points, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sample(&self, at: Instant) -> Sample {
        Sample {
            at,
            points: self.points.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// One more difference was found.
    pub fn differs(&self) {
        self.differing.fetch_add(1, Ordering::Relaxed);
    }

    /// Differences that were found.
    pub fn differing(&self) -> u64 {
        self.differing.load(Ordering::Relaxed)
    }

    /// It does not come to its end.
    pub fn fail(&self, reason: &str) {
        self.course.lock().failed = Some(reason.to_owned());
    }

    /// Why it did not come to its end; nothing if it did, was cancelled, or is under way.
    pub fn failed(&self) -> Option<String> {
        self.course.lock().failed.clone()
    }

    /// It is over.
    pub fn end(&self) {
        self.course.lock().ended = Some((Instant::now(), SystemTime::now()));
    }

    /// When it ended; nothing while it is under way.
    pub fn ended(&self) -> Option<SystemTime> {
        self.course.lock().ended.map(|(_, at)| at)
    }

    /// Its numbers now.
    pub fn figures(&self) -> WorkFigures {
        self.figures_at(Instant::now())
    }

    fn figures_at(&self, now: Instant) -> WorkFigures {
        let course = self.course.lock();
        let (done, all) = (
            self.slices_done.load(Ordering::Relaxed),
            self.slices.load(Ordering::Relaxed),
        );
        let last = self.sample(course.ended.map_or(now, |(at, _)| at));
        let first = match (course.ended, course.samples.front()) {
            (None, Some(first)) => *first,
            (Some(_), _) | (None, None) => Sample {
                at: course.began,
                points: 0,
                bytes: 0,
            },
        };
        let (pass, skipped) = course.pass;
        let seconds_left = match course.ended {
            None if course.waits => None,
            None => left(
                now.saturating_duration_since(pass),
                done.saturating_sub(skipped),
                all.saturating_sub(done),
            ),
            Some(_) => None,
        };
        let time = last.at.saturating_duration_since(first.at);
        WorkFigures {
            slices: (done, all),
            percent: done.saturating_mul(100).checked_div(all),
            points: last.points,
            points_per_second: per_second(last.points.saturating_sub(first.points), time),
            bytes: last.bytes,
            bytes_per_second: per_second(last.bytes.saturating_sub(first.bytes), time),
            seconds_left,
        }
    }
}

/// How many seconds it takes to do what is to do, at the pace of what was done; nothing if nothing was, or nothing is left.
fn left(time: Duration, done: u64, to_do: u64) -> Option<u64> {
    if to_do == 0 {
        return None;
    }
    time.as_secs().saturating_mul(to_do).checked_div(done)
}

impl WorkFigures {
    /// How a work stands that is at `step`, in one line.
    pub fn line(&self, step: &str) -> String {
        match self.to_string() {
            figures if figures.is_empty() => step.to_owned(),
            figures => format!("{step}: {figures}"),
        }
    }
}

/// `37 %, 120 of 324 slices, 1,234,567 points (15,432/s), 96.0 MiB (12.0 MiB/s), about 13 s left`; nothing while nothing is known.
impl fmt::Display for WorkFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, all) = self.slices;
        let mut parts = Vec::new();
        if let Some(percent) = self.percent {
            let (done, all) = (Count(done), Count(all));
            parts.push(format!("{percent} %, {done} of {all} slices"));
        }
        if self.points > 0 {
            let (points, rate) = (Count(self.points), Count(self.points_per_second));
            parts.push(format!("{points} points ({rate}/s)"));
        }
        if self.bytes > 0 {
            let (bytes, rate) = (Bytes(self.bytes), Bytes(self.bytes_per_second));
            parts.push(format!("{bytes} ({rate}/s)"));
        }
        if let Some(left) = self.seconds_left {
            parts.push(format!("about {} left", Span(Duration::from_secs(left))));
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds_and_of_the_whole_at_the_end() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let work = WorkStats::begin("rebuild", begun);
        assert_eq!(work.figures_at(after(5)), WorkFigures::default());
        for second in 0..100 {
            // The first half is faster.
            let points = if second < 50 { 1_000 } else { 100 };
            work.add_at(points, 10 * points, after(second));
        }
        let figures = work.figures_at(after(100));
        assert_eq!((figures.points, figures.bytes), (55_000, 550_000));
        assert_eq!(
            (figures.points_per_second, figures.bytes_per_second),
            (100, 1_000)
        );
        // Nothing comes any more.
        assert_eq!(work.figures_at(after(190)).points_per_second, 10);
        work.course.lock().ended = Some((after(110), SystemTime::now()));
        assert_eq!(work.figures_at(after(500)).points_per_second, 500);
    }

    #[test]
    fn what_a_run_before_has_done_says_nothing_about_the_time_that_is_left() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let work = WorkStats::begin("rebuild", begun);
        work.begin_pass_at(after(10));
        work.expect(100);
        for _ in 0..50 {
            work.slice_skipped();
        }
        let figures = work.figures_at(after(12));
        assert_eq!((figures.percent, figures.seconds_left), (Some(50), None));
        for _ in 0..10 {
            work.slice_done();
        }
        let figures = work.figures_at(after(30));
        assert_eq!((figures.slices, figures.percent), ((60, 100), Some(60)));
        assert_eq!(figures.seconds_left, Some(80));
        // Another pass, as the comparison behind a copy, begins from nothing.
        work.begin_pass_at(after(40));
        let figures = work.figures_at(after(41));
        assert_eq!((figures.slices, figures.percent), ((0, 0), None));
        work.expect(4);
        work.slice_done();
        assert_eq!(work.figures_at(after(50)).seconds_left, Some(30));
        work.end();
        assert_eq!(work.figures_at(after(50)).seconds_left, None);
    }

    #[test]
    fn a_line_tells_what_is_known() {
        let figures = WorkFigures {
            slices: (120, 324),
            percent: Some(37),
            points: 1_234_567,
            points_per_second: 15_432,
            bytes: 96 << 20,
            bytes_per_second: 12 << 20,
            seconds_left: Some(13),
        };
        assert_eq!(
            figures.to_string(),
            "37 %, 120 of 324 slices, 1,234,567 points (15,432/s), 96.0 MiB (12.0 MiB/s), about 13 s left"
        );
        assert!(
            figures
                .line("copying points")
                .starts_with("copying points: 37 %, ")
        );
        assert_eq!(
            WorkFigures::default().line("copying points"),
            "copying points"
        );
    }
}
