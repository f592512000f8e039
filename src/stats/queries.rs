//! What is counted of queries: of each frontend, and of each fingerprint.
//!
//! The table of fingerprints is bounded. One more than it has room for takes the place of one that nobody has asked for an hour; if
//! there is no such one, it is counted as left out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::counters::{Counter, Gauge};
use super::times::LastTimes;
use super::units::{Bytes, Count, Moment, Span};

/// A fingerprint that nobody has asked for so long makes room for another one.
const UNUSED: Duration = Duration::from_secs(60 * 60);

/// Of the queries of one frontend.
#[derive(Debug, Default, Clone)]
pub struct QueryStats {
    /// Queries that run.
    pub running: Arc<Gauge>,
    /// Queries that were refused because `queries.max_running` ran.
    pub refused_all: Counter,
    /// Queries that were refused because `queries.max_running_per_user` of their user ran.
    pub refused_user: Counter,
    /// Queries that were refused because they have no lower bound of time.
    pub refused_unbounded: Counter,
    /// Queries that were ended because they ran for `queries.max_time`.
    pub ended_by_time: Counter,
    /// Queries that were ended by `haflux queries kill`.
    pub ended_by_order: Counter,
    /// Queries that took `queries.slow` or longer.
    pub slow: Counter,
}

/// The fingerprints of all frontends.
#[derive(Debug)]
pub struct QueryTable {
    rows: Mutex<Rows>,
    /// 0: nothing is counted.
    limit: AtomicUsize,
    /// Queries whose fingerprint had no room.
    pub left_out: Counter,
    /// `KILL QUERY` that haflux sent, because a node went on with a query whose connection was closed.
    pub kills: Counter,
}

#[derive(Debug)]
struct Rows {
    by_hash: HashMap<u64, Arc<QueryRow>>,
    /// Before then nothing makes room.
    next_room: Instant,
    /// What moments are counted from.
    begin: Instant,
}

/// What is counted of one fingerprint.
#[derive(Debug)]
pub struct QueryRow {
    /// The fingerprint.
    pub text: Arc<str>,
    running: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
    count: AtomicU64,
    times: LastTimes,
    /// In microseconds.
    slowest: AtomicU64,
    /// Where that one was answered.
    slowest_on: Mutex<String>,
    /// When it was asked for last, in seconds since the table's begin.
    used: AtomicU64,
}

/// How a query ended.
#[derive(Debug, Clone, Copy)]
pub struct EndedQuery<'a> {
    /// How long it took.
    pub time: Duration,
    /// Bytes of its answer's body.
    pub bytes: u64,
    /// Whether it has no answer, or one of status 400 and up.
    pub failed: bool,
    /// Backend and server that had it; nothing if it came to none.
    pub node: Option<(&'a str, &'a str)>,
}

impl Default for QueryTable {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            rows: Mutex::new(Rows {
                by_hash: HashMap::new(),
                next_room: now,
                begin: now,
            }),
            limit: AtomicUsize::new(0),
            left_out: Counter::default(),
            kills: Counter::default(),
        }
    }
}

impl QueryTable {
    /// At most so many fingerprints from now on; 0: nothing is counted, and what was is forgotten.
    pub fn change(&self, limit: usize) {
        let mut rows = self.rows.lock();
        if limit < self.limit.swap(limit, Ordering::Relaxed) {
            rows.by_hash = HashMap::new();
        }
        rows.next_room = rows.begin;
    }

    /// The most fingerprints.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether anything is counted.
    pub fn is_on(&self) -> bool {
        self.limit() > 0
    }

    /// What is counted of a fingerprint with this hash, which is asked for now; `text` is called for a new one. Nothing if it has no room.
    pub fn row(
        &self,
        hash: u64,
        now: Instant,
        text: impl FnOnce() -> Arc<str>,
    ) -> Option<Arc<QueryRow>> {
        let limit = self.limit();
        if limit == 0 {
            return None;
        }
        let mut rows = self.rows.lock();
        let since = now.saturating_duration_since(rows.begin);
        if let Some(row) = rows.by_hash.get(&hash) {
            row.used.store(since.as_secs(), Ordering::Relaxed);
            return Some(Arc::clone(row));
        }
        if rows.by_hash.len() >= limit && !rows.make_room(now) {
            drop(rows);
            self.left_out.increment();
            return None;
        }
        let row = Arc::new(QueryRow::new(text(), since.as_secs()));
        rows.by_hash.insert(hash, Arc::clone(&row));
        Some(row)
    }

    /// Fingerprints that are in it.
    pub fn len(&self) -> usize {
        self.rows.lock().by_hash.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them as `now` sees them, those that took most time in all first.
    pub fn read(&self) -> Vec<QueryView> {
        let rows: Vec<Arc<QueryRow>> = self.rows.lock().by_hash.values().cloned().collect();
        let mut views: Vec<QueryView> = rows.iter().map(|row| row.read()).collect();
        let weight = |view: &QueryView| {
            let median = view.p50.map_or(0, |time| time.0.as_micros());
            u128::from(view.count.0).saturating_mul(median)
        };
        views.sort_by(|one, other| {
            let heavier = weight(other).cmp(&weight(one));
            heavier.then_with(|| one.query.cmp(&other.query))
        });
        views
    }
}

impl Rows {
    /// Takes one out that nobody has asked for long; false if there is none.
    fn make_room(&mut self, now: Instant) -> bool {
        if now < self.next_room {
            return false;
        }
        let used = |row: &QueryRow| Duration::from_secs(row.used.load(Ordering::Relaxed));
        let oldest = self
            .by_hash
            .iter()
            .filter(|(_, row)| row.running.load(Ordering::Relaxed) == 0)
            .min_by_key(|(_, row)| used(row))
            .map(|(hash, row)| (*hash, self.begin + used(row) + UNUSED));
        match oldest {
            Some((hash, free_at)) if free_at <= now => self.by_hash.remove(&hash).is_some(),
            Some((_, free_at)) => {
                self.next_room = free_at;
                false
            }
            None => false,
        }
    }
}

impl QueryRow {
    fn new(text: Arc<str>, used: u64) -> Self {
        Self {
            text,
            running: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            count: AtomicU64::new(0),
            times: LastTimes::default(),
            slowest: AtomicU64::new(0),
            slowest_on: Mutex::default(),
            used: AtomicU64::new(used),
        }
    }

    /// One more runs.
    pub fn begin(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// One runs no more; `how` it ended, if that is known.
    pub fn end(&self, how: Option<EndedQuery<'_>>) {
        let relaxed = Ordering::Relaxed;
        self.running.fetch_sub(1, relaxed);
        let Some(ended) = how else {
            return;
        };
        self.count.fetch_add(1, relaxed);
        self.bytes.fetch_add(ended.bytes, relaxed);
        if ended.failed {
            self.errors.fetch_add(1, relaxed);
        }
        self.times.add(ended.time);
        let time = u64::try_from(ended.time.as_micros()).unwrap_or(u64::MAX);
        if time > self.slowest.fetch_max(time, relaxed) {
            let mut on = self.slowest_on.lock();
            on.clear();
            if let Some((backend, server)) = ended.node {
                on.push_str(backend);
                on.push('/');
                on.push_str(server);
            }
        }
    }

    fn read(&self) -> QueryView {
        let times = self.times.read();
        let count = self.count.load(Ordering::Relaxed);
        let slowest = Duration::from_micros(self.slowest.load(Ordering::Relaxed));
        QueryView {
            query: self.text.to_string(),
            count: Count(count),
            running: Count(self.running.load(Ordering::Relaxed)),
            errors: Count(self.errors.load(Ordering::Relaxed)),
            bytes: Bytes(self.bytes.load(Ordering::Relaxed)),
            p50: times.median.map(Span),
            p99: times.p99.map(Span),
            slowest: (count > 0).then_some(Span(slowest)),
            slowest_on: Some(self.slowest_on.lock().clone()).filter(|on| !on.is_empty()),
        }
    }
}

/// One fingerprint, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryView {
    /// The fingerprint.
    pub query: String,
    /// Queries that have ended.
    pub count: Count,
    /// Queries that run.
    pub running: Count,
    /// Those of `count` that have no answer, or one of status 400 and up.
    pub errors: Count,
    /// Bytes of their answers.
    pub bytes: Bytes,
    /// What half of the last 1024 did not exceed.
    pub p50: Option<Span>,
    /// What 99 of 100 of these did not exceed.
    pub p99: Option<Span>,
    /// The longest of all.
    pub slowest: Option<Span>,
    /// The backend and the server that had that one.
    pub slowest_on: Option<String>,
}

/// One query that runs, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningQueryView {
    /// What it is killed by.
    pub id: u64,
    /// When it began.
    pub began: Moment,
    /// How long it has run.
    pub age: Span,
    /// Its frontend.
    pub frontend: String,
    /// The client's address.
    pub client: String,
    /// Its user, as its credentials say, which a node has to verify.
    pub user: Option<String>,
    /// Its default database.
    pub database: Option<String>,
    /// The backend and the server that have it; nothing while none has.
    pub node: Option<String>,
    /// Its fingerprint.
    pub query: String,
}

/// All of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueriesView {
    /// The fingerprints, those that took most time in all first.
    pub queries: Vec<QueryView>,
    /// The most fingerprints; 0: none is counted.
    pub max_fingerprints: Count,
    /// Queries whose fingerprint had no room.
    pub left_out: Count,
    /// The queries that run longest, the longest first.
    pub running: Vec<RunningQueryView>,
    /// How many run in all.
    pub all_running: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> impl FnOnce() -> Arc<str> {
        let name = Arc::from(name);
        move || name
    }

    fn ended(millis: u64, node: &str) -> Option<EndedQuery<'_>> {
        Some(EndedQuery {
            time: Duration::from_millis(millis),
            bytes: 10,
            failed: millis > 100,
            node: Some(("back", node)),
        })
    }

    #[test]
    fn a_fingerprint_counts_its_queries() {
        let table = QueryTable::default();
        let now = Instant::now();
        assert!(table.row(1, now, text("a")).is_none() && !table.is_on());
        table.change(2);
        let row = table.row(1, now, text("a")).unwrap();
        assert!(Arc::ptr_eq(
            &row,
            &table.row(1, now, || unreachable!()).unwrap()
        ));
        for how in [ended(3, "one"), ended(200, "two"), ended(5, "one"), None] {
            row.begin();
            row.end(how);
        }
        row.begin();
        let quick = table.row(2, now, text("b")).unwrap();
        quick.begin();
        quick.end(ended(1, "one"));
        let views = table.read();
        let [first, second] = &views[..] else {
            panic!("{views:?}")
        };
        assert_eq!((first.query.as_str(), second.query.as_str()), ("a", "b"));
        assert_eq!((first.count.0, first.running.0, first.errors.0), (3, 1, 1));
        assert_eq!(
            (first.bytes.0, first.slowest_on.as_deref()),
            (30, Some("back/two"))
        );
        let millis = |span: Option<Span>| span.map(|span| span.0.as_millis());
        assert_eq!(
            [first.p50, first.p99, first.slowest].map(millis),
            [Some(5), Some(200), Some(200)]
        );
    }

    #[test]
    fn what_is_not_asked_for_makes_room() {
        let table = QueryTable::default();
        table.change(2);
        let begin = Instant::now();
        let at = |minutes: u64| begin + Duration::from_secs(minutes * 60);
        let names = || {
            let mut names: Vec<String> = table.read().into_iter().map(|one| one.query).collect();
            names.sort();
            names
        };
        assert!(table.row(1, at(0), text("a")).is_some());
        assert!(table.row(2, at(30), text("b")).is_some());
        assert!(table.row(3, at(50), text("c")).is_none());
        assert!(table.row(1, at(55), text("a")).is_some());
        assert!(table.row(3, at(62), text("c")).is_none());
        assert_eq!(
            (names(), table.left_out.get()),
            (vec!["a".into(), "b".into()], 2)
        );
        // What runs stays.
        table.row(2, at(63), text("b")).unwrap().begin();
        assert!(table.row(3, at(116), text("c")).is_some());
        assert_eq!(names(), ["b", "c"]);
        table.change(1);
        assert!(table.is_empty());
    }
}
