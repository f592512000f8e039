//! What the sockets ask of whoever keeps the queries that run.

use super::replicas::ControlError;
use crate::stats::QueriesView;

/// Whoever keeps the queries of all frontends.
pub trait Queries: Send + Sync {
    /// Those that run, and what is counted of all.
    fn queries(&self) -> QueriesView;

    /// Ends the query with this id. Returns what became of it, for a person.
    ///
    /// # Errors
    /// No query has this id.
    fn kill(&self, id: u64) -> Result<String, ControlError>;
}
