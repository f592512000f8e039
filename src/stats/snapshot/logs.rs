//! What is counted of the log.

use serde::{Deserialize, Serialize};

use crate::stats::counters::{LogStats, LogTargetStats};
use crate::stats::units::Count;

/// The log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogView {
    /// Messages that were held back because they repeat.
    pub held_back: Count,
    /// In the order of the configuration.
    pub targets: Vec<LogTargetView>,
}

/// One target of the log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogTargetView {
    /// Where its lines go.
    pub to: String,
    /// Lines that were dropped because the target did not take them.
    pub dropped: Count,
}

pub(super) fn read(stats: &LogStats) -> LogView {
    let LogStats { held_back, targets } = stats;
    LogView {
        held_back: Count(held_back.get()),
        targets: targets.iter().map(|target| log_target(target)).collect(),
    }
}

fn log_target(stats: &LogTargetStats) -> LogTargetView {
    let LogTargetStats { to, dropped } = stats;
    LogTargetView {
        to: to.clone(),
        dropped: Count(dropped.get()),
    }
}
