//! The log.

use std::sync::Arc;

use super::Counter;

/// The log.
#[derive(Debug, Default)]
pub struct LogStats {
    /// Messages that were held back because they repeat.
    pub held_back: Counter,
    /// Its targets, in the order of the configuration.
    pub targets: Vec<Arc<LogTargetStats>>,
}

/// One target of the log.
#[derive(Debug, Default)]
pub struct LogTargetStats {
    /// Where its lines go.
    pub to: String,
    /// Lines that were dropped because the target did not take them.
    pub dropped: Counter,
}
