//! What must hold in the end, asked of all nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::ledger::{Ledger, Place, Point, counted_time, counted_unit};
use super::support::long_run::events::{self, Events};
use super::support::long_run::numbers::Series;
use super::support::{Influxd, Lab, lock, same_points};
use super::{CLIENTS, DATABASES};

/// Violations that are told in words; the others are counted.
const TOLD: usize = 12;

/// Points asked for at once.
const PAGE: u64 = 20_000;

/// Up to so many points the nodes are also compared whole, by another way.
const SMALL: u64 = 100_000;

/// Time that is asked for at once where points bear the time of their writing.
const PAGE_OF_TIME: Duration = Duration::from_secs(20);

/// What did not hold.
#[derive(Debug, Default)]
pub struct Violations {
    /// Points asked for, on all nodes together.
    pub checked: u64,
    /// Acknowledged, and not on a node.
    pub missing: u64,
    /// Lower than the last value acknowledged.
    pub lower: u64,
    /// Not the same on all nodes.
    pub differing: u64,
    /// Stamped more than once.
    pub doubled: u64,
    /// On a node, and never sent.
    pub never_sent: u64,
    /// The nodes never caught up.
    pub behind: u64,
    told: Vec<String>,
}

impl Violations {
    pub fn is_empty(&self) -> bool {
        let Violations {
            checked: _,
            missing,
            lower,
            differing,
            doubled,
            never_sent,
            behind,
            told: _,
        } = self;
        [missing, lower, differing, doubled, never_sent, behind]
            .iter()
            .all(|count| **count == 0)
    }

    /// The nodes never caught up.
    pub fn never_level(&mut self, told: String) {
        self.behind += 1;
        self.told.push(told);
    }

    /// One line of counts.
    pub fn summary(&self) -> String {
        format!(
            "checked {} points: {} missing, {} with too low a value, {} differing, {} doubled, {} never sent{}",
            self.checked,
            self.missing,
            self.lower,
            self.differing,
            self.doubled,
            self.never_sent,
            if self.behind > 0 {
                "; the nodes never caught up"
            } else {
                ""
            }
        )
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() < TOLD {
            self.told.push(what());
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        self.told.iter().try_for_each(|told| writeln!(f, "{told}"))
    }
}

/// Checks everything.
pub fn check(lab: &Lab, ledger: &Ledger, events: &Events) -> Violations {
    let mut violations = Violations::default();
    let nodes = &lab.nodes();
    for (place, database) in DATABASES.iter().enumerate() {
        check_rising(
            nodes,
            database,
            &ledger.rising[place],
            events,
            &mut violations,
        );
        for client in 0..CLIENTS {
            let series = lock(&ledger.counted[client][place]);
            check_counted(nodes, database, client, &series, &mut violations);
            let series = lock(&ledger.stamped[client][place]);
            let oldest = SystemTime::now() - ledger.elapsed() - PAGE_OF_TIME;
            check_stamped(nodes, database, client, oldest, &series, &mut violations);
        }
        if violations.checked < SMALL {
            for pair in nodes.windows(2) {
                for difference in same_points(pair[0], pair[1], database) {
                    violations.differing += 1;
                    violations.tell(|| format!("{database}: {difference}"));
                }
            }
        }
    }
    violations
}

fn check_rising(
    nodes: &[&Influxd],
    database: &str,
    places: &[Mutex<Place>],
    events: &Events,
    violations: &mut Violations,
) {
    for (number, place) in places.iter().enumerate() {
        let place = lock(place);
        let query = format!("SELECT v FROM rising WHERE place = '{number}'");
        let mut found = Vec::new();
        compare(nodes, database, &query, violations, |points, _, _| {
            found.push(points.into_iter().collect::<BTreeMap<u64, u64>>());
        });
        let values_at = |time: u64| -> Vec<Option<u64>> {
            found
                .iter()
                .map(|points| points.get(&(time * 1_000_000_000)).copied())
                .collect()
        };
        for (time, point) in (0..).zip(&place.points) {
            let values = values_at(time);
            let told = |what: &str, value: Option<u64>| {
                format!(
                    "{database}: rising,place={number} at {time} s: {what}: {values:?} on the nodes, {:?} acknowledged, {} sent\n{}",
                    point.acknowledged,
                    point.sent,
                    history(point, value, events)
                )
            };
            for value in &values {
                let (what, counter) = match (*value, point.acknowledged) {
                    (None, Some(_)) => ("missing", &mut violations.missing),
                    (Some(value), _) if value > point.sent => {
                        ("never sent", &mut violations.never_sent)
                    }
                    (Some(value), Some(acknowledged)) if value < acknowledged => {
                        ("too low", &mut violations.lower)
                    }
                    _ => continue,
                };
                *counter += 1;
                violations.tell(|| told(what, *value));
            }
            if values.iter().any(|value| Some(value) != values.first()) {
                violations.differing += 1;
                violations.tell(|| told("differs", None));
            }
        }
        for points in &found {
            let known = place.points.len() as u64 * 1_000_000_000;
            let strange = points
                .keys()
                .filter(|time| **time >= known || **time % 1_000_000_000 != 0);
            for time in strange {
                violations.never_sent += 1;
                violations
                    .tell(|| format!("{database}: rising,place={number} has a point at {time}"));
            }
        }
    }
}

/// What was tried on a point, around the value that is there and at the end, and what happened meanwhile.
fn history(point: &Point, value: Option<u64>, events: &Events) -> String {
    const AROUND: u64 = 6;
    let near = |wanted: u64, value: u64| value + AROUND >= wanted && value <= wanted + AROUND;
    let shown: Vec<_> = point
        .attempts
        .iter()
        .filter(|attempt| {
            near(point.sent, attempt.value) || value.is_some_and(|value| near(value, attempt.value))
        })
        .collect();
    let mut lines: Vec<String> = shown
        .iter()
        .map(|attempt| {
            let what = format!(
                "client {} sends {}; {:.4} {:?}",
                attempt.client,
                attempt.value,
                attempt.ended.as_secs_f64(),
                attempt.outcome
            );
            events::line(attempt.sent, what)
        })
        .collect();
    if let (Some(first), Some(last)) = (shown.first(), shown.last()) {
        let margin = Duration::from_secs(5);
        lines.extend(events.between(first.sent.saturating_sub(margin), last.ended + margin));
    }
    events::sort_by_moment(&mut lines);
    lines.join("\n")
}

fn check_counted(
    nodes: &[&Influxd],
    database: &str,
    client: usize,
    series: &Series,
    violations: &mut Violations,
) {
    let nanos = counted_unit(client).nanos;
    let time = |number: u64| counted_time(client, number) * nanos;
    for first in (0..series.sent.max(1)).step_by(PAGE as usize) {
        let page = first..first + PAGE;
        // The first and the last page take in everything that is before and after what was sent.
        let from = if first == 0 { 0 } else { time(page.start) };
        let until = if page.end < series.sent {
            format!("AND time < {}", time(page.end))
        } else {
            String::new()
        };
        let query = format!(
            "SELECT v, text FROM counted WHERE client = '{client}' AND time >= {from} {until}"
        );
        let told = |number: u64, node: &Influxd| {
            format!(
                "{database}: counted,client={client} number {number} on {}",
                node.address()
            )
        };
        compare(
            nodes,
            database,
            &query,
            violations,
            |points, node, violations| {
                let mut found: BTreeMap<u64, u64> = BTreeMap::new();
                for (at, value) in points {
                    if value >= series.sent || time(value) != at {
                        violations.never_sent += 1;
                        violations.tell(|| format!("never sent: {} at {at}", told(value, node)));
                    }
                    found.insert(value, at);
                }
                for number in missing(series, &page, |number| found.contains_key(&number)) {
                    violations.missing += 1;
                    violations.tell(|| format!("missing: {}", told(number, node)));
                }
            },
        );
    }
}

fn check_stamped(
    nodes: &[&Influxd],
    database: &str,
    client: usize,
    oldest: SystemTime,
    series: &Series,
    violations: &mut Violations,
) {
    let nanos = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    };
    // Numbers rise with the time that they are stamped with, so a number's copies may be far apart, but all are met.
    let none = vec![0_u8; usize::try_from(series.sent).unwrap_or(usize::MAX)];
    let mut seen = vec![none; nodes.len()];
    let (mut from, now) = (0, nanos(SystemTime::now()));
    let mut until = nanos(oldest);
    while from <= now {
        let query = format!(
            "SELECT v FROM stamped WHERE client = '{client}' AND time >= {from} AND time < {until} GROUP BY line"
        );
        let mut seen = seen.iter_mut();
        compare(
            nodes,
            database,
            &query,
            violations,
            |points, node, violations| {
                let Some(seen) = seen.next() else { return };
                for (at, number) in points {
                    let count = usize::try_from(number)
                        .ok()
                        .and_then(|place| seen.get_mut(place));
                    match count {
                        Some(count) => *count = count.saturating_add(1),
                        None => {
                            violations.never_sent += 1;
                            violations.tell(|| {
                            format!("{database}: stamped,client={client} number {number} at {at} on {}, never sent", node.address())
                        });
                        }
                    }
                }
            },
        );
        from = until;
        until = from.saturating_add(u64::try_from(PAGE_OF_TIME.as_nanos()).unwrap_or(u64::MAX));
    }
    for (seen, node) in seen.iter().zip(nodes) {
        let told = |number: usize| {
            format!(
                "{database}: stamped,client={client} number {number} on {}",
                node.address()
            )
        };
        for (number, count) in seen.iter().enumerate() {
            if *count > 1 {
                violations.doubled += 1;
                violations.tell(|| format!("{count} times: {}", told(number)));
            }
        }
        let is_there = |number: u64| usize::try_from(number).is_ok_and(|place| seen[place] > 0);
        for number in missing(series, &(0..series.sent), is_there) {
            violations.missing += 1;
            violations.tell(|| format!("missing: {}", told(usize::try_from(number).unwrap_or(0))));
        }
    }
}

/// Acknowledged numbers that are not there.
fn missing<'a>(
    series: &'a Series,
    page: &Range<u64>,
    is_there: impl Fn(u64) -> bool + 'a,
) -> impl Iterator<Item = u64> + 'a {
    series
        .acknowledged(page.clone())
        .filter(move |number| !is_there(*number))
}

/// Asks all nodes the same, compares their answers byte for byte, and hands out the points of each.
fn compare(
    nodes: &[&Influxd],
    database: &str,
    query: &str,
    violations: &mut Violations,
    mut look: impl FnMut(Vec<(u64, u64)>, &Influxd, &mut Violations),
) {
    let ask = |node: &&Influxd| node.query_answer(database, query);
    let answers: Vec<_> = nodes.iter().map(ask).collect();
    if answers.iter().any(|answer| answer.body != answers[0].body) {
        violations.differing += 1;
        violations.tell(|| {
            let sizes: Vec<_> = answers.iter().map(|answer| answer.body.len()).collect();
            format!("{database}: {query}: answers of {sizes:?} bytes differ")
        });
    }
    for (answer, node) in answers.iter().zip(nodes) {
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let answer = answer.json();
        let failure = answer["results"][0].get("error");
        assert!(failure.is_none(), "{query}: {failure:?}");
        let points: Vec<(u64, u64)> = series_of(&answer).flat_map(rows_of).collect();
        violations.checked += points.len() as u64;
        look(points, node, violations);
    }
}

fn series_of(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["results"][0]["series"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
}

/// Time and value.
fn rows_of(series: &Value) -> impl Iterator<Item = (u64, u64)> {
    let rows = series["values"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().map(|row| {
        let number = |column: usize| {
            row[column]
                .as_u64()
                .expect("a time and a value, both whole")
        };
        (number(0), number(1))
    })
}
