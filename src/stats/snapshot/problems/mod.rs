//! What is wrong now, and what a person does about it: the top of every view. The words are those of `docs/operation.md`.

mod proxy;
mod relay;
mod udp;

use std::fmt::Display;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ErrorView, RelayView, Snapshot};
use crate::stats::units::Count;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or data is in danger.
    Error,
    /// Something needs a look, or will pass by itself.
    Warning,
}

impl Severity {
    /// The word for a person.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }

    /// The page's colour, as [`Status::mood`](super::Status::mood).
    pub fn mood(self) -> &'static str {
        match self {
            Severity::Error => "bad",
            Severity::Warning => "warn",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub what: String,
    /// What it means and why it is so.
    pub why: String,
    /// What to do.
    pub action: String,
    /// The commands for that, on haflux's host unless they say otherwise.
    pub commands: Vec<String>,
}

/// All of them, the worst first.
pub(super) fn of(all: &Snapshot) -> Vec<Problem> {
    let mut found = Found {
        several_relays: all.relays.len() > 1,
        since_start: all.started.age().0,
        problems: Vec::new(),
    };
    for relay in &all.relays {
        found.journal(relay);
        found.disk(relay);
    }
    for frontend in &all.frontends {
        found.certificates(frontend);
        found.staples(frontend);
    }
    for backend in &all.backends {
        found.backend(backend);
    }
    for relay in &all.relays {
        found.freshness(relay);
        let pool = all.backends.iter().find(|pool| pool.name == relay.pool);
        for replica in &relay.replicas {
            found.replica(relay, replica, pool);
        }
        found.letters(relay);
        found.differences(relay);
        found.releases(relay);
        found.faults(relay);
    }
    for listener in &all.udp {
        found.udp(listener);
    }
    for backend in &all.backends {
        for server in &backend.servers {
            found.server(all, backend, server);
            found.own_certificates(backend, server);
        }
    }
    found.problems.sort_by_key(|problem| problem.severity);
    found.problems
}

struct Found {
    several_relays: bool,
    /// How long the process has run.
    since_start: Duration,
    problems: Vec<Problem>,
}

impl Found {
    fn say(
        &mut self,
        severity: Severity,
        what: String,
        why: impl Into<String>,
        action: impl Into<String>,
        commands: Vec<String>,
    ) {
        self.problems.push(Problem {
            severity,
            what,
            why: why.into(),
            action: action.into(),
            commands,
        });
    }

    /// A command of haflux, with the relay where its name is needed.
    fn told(&self, relay: &RelayView, command: impl Display) -> String {
        match self.several_relays {
            true => format!("haflux {command} --relay {}", relay.name),
            false => format!("haflux {command}"),
        }
    }
}

/// An error with the time since then, as a sentence; nothing if there is none.
fn text_of(error: Option<&ErrorView>) -> String {
    error.map_or_else(String::new, |error| {
        format!("{} ago: {}", error.at.age(), error.text)
    })
}

/// So many of them.
pub(super) fn counted(count: Count, what: &str) -> String {
    match count.0 {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// How much of `most` it is; 0 without a limit.
fn percent(value: u128, most: u128) -> u64 {
    let part = value.saturating_mul(100).checked_div(most).unwrap_or(0);
    part.try_into().unwrap_or(u64::MAX)
}

impl Snapshot {
    /// The state of everything in one line.
    pub fn headline(&self) -> String {
        let Some(first) = self.problems.first() else {
            return match self.notices.as_slice() {
                [] if self.relays.is_empty() => "All is well: every server is up.".to_owned(),
                [] => "All is well: every server is up and every replica follows.".to_owned(),
                [one] => format!("Nothing is wrong. {}.", one.what),
                [one, more @ ..] => {
                    format!("Nothing is wrong. {}, and {} more.", one.what, more.len())
                }
            };
        };
        match self.problems.len() - 1 {
            0 => format!("{}.", first.what),
            1 => format!("{}, and one thing more.", first.what),
            more => format!("{}, and {more} things more.", first.what),
        }
    }

    /// How bad the worst problem is; `idle` if there is nothing but orders. As [`Status::mood`](super::Status::mood).
    pub fn mood(&self) -> &'static str {
        match self.problems.first() {
            Some(problem) => problem.severity.mood(),
            None if self.notices.is_empty() => "good",
            None => "idle",
        }
    }
}
