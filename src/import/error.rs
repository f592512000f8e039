//! Why nothing can be imported.

use super::word::WordError;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A line of haproxy.cfg that HAProxy cannot read either.
    #[error("{file}:{line}: {reason}")]
    Words {
        /// The file's name.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: WordError,
    },
    /// More statements than are read.
    #[error("{file}:{line}: more than {most} statements")]
    TooLong {
        /// The file's name.
        file: String,
        /// The first line that is not read.
        line: usize,
        /// How many are read.
        most: usize,
    },
    /// A file of influxdb-relay that is not TOML.
    #[error("{file}:{line}: not valid TOML: {reason}")]
    Toml {
        /// The file's name.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What the TOML parser says.
        reason: String,
    },
    /// No HTTP frontend is left.
    #[error("{file}: no frontend or listen section that haflux can serve: it needs mode http, an address that it can listen at, and somewhere to send requests{}", .notes.iter().map(|note| format!("\n  {note}")).collect::<String>())]
    NothingToServe {
        /// The first file's name.
        file: String,
        /// Why sections were left out.
        notes: Vec<String>,
    },
    /// The result is not a configuration; a defect of the import.
    #[error("what was written is not a configuration that haflux takes; please report this:\n{0}")]
    NotAccepted(String),
}
