//! What came of it all, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use super::good::{Attempt, Came};
use super::support::http::Reply;
use super::support::lock;

/// What the attackers were answered: by kind, by answer.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<&'static str, BTreeMap<String, u64>>>,
}

impl Tally {
    /// Counts what came of one request.
    pub fn count(&self, attack: &'static str, reply: &Reply) {
        let came = match reply {
            Reply::Answer(answer) => answer.status.to_string(),
            Reply::Refused => "no connection".to_owned(),
            Reply::Closed => "closed".to_owned(),
            Reply::Silence => "silence".to_owned(),
        };
        self.add(attack, &came, 1);
    }

    /// Counts something else.
    pub fn add(&self, attack: &'static str, came: &str, count: u64) {
        let mut counts = lock(&self.counts);
        *counts
            .entry(attack)
            .or_default()
            .entry(came.to_owned())
            .or_default() += count;
    }

    /// One line of an attack's.
    pub fn line(&self, attack: &str) -> String {
        let counts = lock(&self.counts);
        let Some(counts) = counts.get(attack) else {
            return "nothing came of it".to_owned();
        };
        let told: Vec<String> = counts
            .iter()
            .map(|(came, count)| format!("{count} × {came}"))
            .collect();
        told.join(", ")
    }

    /// Requests that were answered or not.
    pub fn requests(&self) -> u64 {
        lock(&self.counts).values().flat_map(BTreeMap::values).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = lock(&self.counts).keys().copied().collect();
        names
            .iter()
            .try_for_each(|name| writeln!(f, "  {name:28}{}", self.line(name)))
    }
}

/// How the good client was served.
#[derive(Debug, Default)]
pub struct Served {
    /// In order.
    times: Vec<Duration>,
    failures: BTreeMap<String, u64>,
}

impl Served {
    /// Of these attempts.
    pub fn of<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Self {
        let mut served = Served::default();
        for attempt in attempts {
            served.times.push(attempt.took);
            let what = match &attempt.came {
                Came::Well => continue,
                Came::Status(status) => format!("{:?} {status}", attempt.what),
                Came::Nothing => format!("{:?} without an answer", attempt.what),
            };
            *served.failures.entry(what).or_default() += 1;
        }
        served.times.sort_unstable();
        served
    }

    /// The time within which this share of its requests was answered.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let place = (last as f64 * share).ceil() as usize;
        self.times.get(place).copied().unwrap_or_default()
    }

    /// Requests.
    pub fn requests(&self) -> usize {
        self.times.len()
    }

    /// The failures by what was answered.
    pub fn told_failures(&self) -> String {
        let told = self.failures.iter();
        let told: Vec<String> = told
            .map(|(what, count)| format!("{count} × {what}"))
            .collect();
        told.join(", ")
    }

    /// Requests that failed.
    pub fn failures(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |share| self.quantile(share).as_secs_f64() * 1000.0;
        write!(
            f,
            "{} requests, p50 {:.0} ms, p99 {:.0} ms, worst {:.0} ms, {} failures",
            self.requests(),
            millis(0.5),
            millis(0.99),
            millis(1.0),
            self.failures()
        )?;
        match self.told_failures() {
            told if told.is_empty() => Ok(()),
            told => write!(f, " ({told})"),
        }
    }
}
