//! `queries`: what the queries of a frontend's clients may take of the nodes.

use std::time::Duration;

/// `queries` of a `[[frontend]]`. The default limits nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryGuards {
    /// `max_running`: most queries at once. Default: no limit.
    pub max_running: Option<usize>,
    /// `max_running_per_user`: most queries at once of one user, or of one address without credentials. Default: no limit.
    pub max_running_per_user: Option<usize>,
    /// `max_time`: how long a query may run. Default: as long as it likes.
    pub max_time: Option<Duration>,
    /// `unbounded`: what becomes of a `SELECT` without a lower bound of time. Default: it is executed.
    pub unbounded: Unbounded,
    /// `slow`: a query that takes as long is logged. Default: none is.
    pub slow: Option<Duration>,
}

impl QueryGuards {
    /// Whether anything is asked of a query.
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

/// What becomes of a `SELECT` without a lower bound of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unbounded {
    /// `"allow"`: it is executed.
    #[default]
    Allow,
    /// `"refuse"`: 400.
    Refuse,
}
