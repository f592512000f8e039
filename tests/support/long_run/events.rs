//! What happened when, to explain what went wrong.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::lock::lock;

/// What was done to the lab. Moments count from the beginning of the run.
pub struct Events {
    begun: Instant,
    events: Mutex<Vec<(Duration, String)>>,
}

impl Events {
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            events: Mutex::default(),
        }
    }

    /// It happens now.
    pub fn note(&self, what: String) {
        lock(&self.events).push((self.begun.elapsed(), what));
    }

    /// Those between two moments, one a line.
    pub fn between(&self, from: Duration, to: Duration) -> Vec<String> {
        lock(&self.events)
            .iter()
            .filter(|(at, _)| (from..=to).contains(at))
            .map(|(at, what)| line(*at, what))
            .collect()
    }
}

impl Events {
    /// From when to when `whom` was away: each time from what was done to it until it ran again.
    pub fn absences(&self, whom: &str) -> Vec<(Duration, Duration)> {
        let (of_whom, runs) = (format!("{whom}: "), format!("{whom}: runs"));
        let mut absences: Vec<(Duration, Duration)> = Vec::new();
        let mut away = false;
        for (at, what) in lock(&self.events).iter() {
            if *what == runs {
                if let Some((_, until)) = absences.last_mut() {
                    *until = *at;
                }
                away = false;
            } else if what.starts_with(&of_whom) && !away {
                absences.push((*at, Duration::MAX));
                away = true;
            }
        }
        absences
    }
}

/// A line that begins with its moment.
pub fn line(at: Duration, what: impl Display) -> String {
    format!("{:10.4} {what}", at.as_secs_f64())
}

/// Puts such lines in order.
pub fn sort_by_moment(lines: &mut [String]) {
    let moment = |line: &String| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.parse::<f64>().unwrap_or(0.0)
    };
    lines.sort_by(|one, other| moment(one).total_cmp(&moment(other)));
}
