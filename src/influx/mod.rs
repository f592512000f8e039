//! InfluxDB 1.x on the wire, as pure functions: what a request asks for, what a body holds, what an answer means.
//!
//! Nothing here does I/O, waits, logs, reads a clock or knows about the rest of haflux. What a node does is followed from
//! InfluxDB's sources (branches 1.6 to 1.12, and 1.13.2), and where those differ each item says which of them it follows.
//!
//! | module | concept |
//! | --- | --- |
//! | [`endpoint`] | paths and methods: what is a write, and what InfluxDB answers to the rest |
//! | [`parameters`] | query strings as Go reads them |
//! | [`precision`], [`credentials`], [`write_request`] | what a write's parameters and headers say |
//! | [`unpack`] | gzip bodies, within a limit, and packing them |
//! | [`line_protocol`] | lines, timestamps, where bodies may be joined and cut |
//! | [`answer_scan`], [`error_text`] | the error that a node's answer names, read while it passes |
//! | [`answer`], [`mod@format`] | answers that clients cannot tell from InfluxDB's |
//! | [`results`] | answers to `/query`, from JSON into the form that a client asked for |
//! | [`influxql`] | which statements change something, and which only read |
//! | `prometheus_read` | which reads of Prometheus are alike |
//! | [`verdict`] | what a replica's answer to a write means |
//! | `dropped_points` | why a node dropped points: too old, or past a limit |
//! | [`statement_verdict`] | what its answer to a changing statement means |
//! | `uploaded` | statements with secrets, as nodes do not log them |
//! | [`query_answer`], [`started`] | what a node's answers to questions of haflux's own say |
//!
//! Invariants:
//!
//! - **No input panics.** Every byte string is a possible body, query string or header.
//! - **Nothing is guessed.** A line that InfluxDB would refuse goes on byte for byte, so that InfluxDB's error speaks of what
//!   the client sent; a path is matched byte for byte, so that nothing walks around a check.
//! - **Text from outside never decides by accident.** Error texts quote lines, names and keys, so [`verdict`] reads them from
//!   their beginning and searches the middle only where a wrong hit errs to the safe side.
//! - **Memory is bounded** by the size of the input, or by a limit that is passed in where input unfolds.

pub mod answer;
pub mod answer_scan;
pub mod credentials;
mod dropped_points;
pub mod endpoint;
pub mod error_text;
pub mod format;
mod go_text;
pub mod influxql;
pub mod line_protocol;
pub(crate) mod message_pack;
pub mod parameters;
pub mod precision;
pub(crate) mod prometheus_read;
pub mod query_answer;
pub mod results;
pub mod started;
pub mod statement_verdict;
pub mod unpack;
mod uploaded;
pub mod verdict;
pub mod write_request;

pub use answer::{Answer, Refusal};
pub use answer_scan::{AnswerScan, Scanned, scan_answer};
pub use credentials::{Account, Credentials};
pub use endpoint::{Route, WriteEndpoint, answer_to_ping, answer_to_unknown_path, route};
pub use error_text::{ErrorText, shorten};
pub use format::Format;
pub use line_protocol::{
    Ending, MeasurementCheck, Normalized, Normalizer, OtherMeasurement, Point, check_measurements,
    closed_prefix, first_point, normalize, split,
};
pub use parameters::{FORM, Parameters};
pub use precision::{Precision, unix_nanos};
pub use query_answer::{QueryAnswer, RetentionPolicy, read_query_answer, retention_policies};
pub use started::{Started, read_started};
pub use statement_verdict::{
    StatementVerdict, judge_scanned_statement, judge_statement, may_be_half_done,
};
pub use unpack::{UnpackError, Unpacker, pack_gzip, unpack_gzip, unpacked_length};
pub(crate) use uploaded::Uploaded;
pub use verdict::{
    TryAgain, Verdict, dropped_of_partial_write, judge_scanned_write, judge_write,
    refusal_of_replica, refusal_of_text, words_of,
};
pub use write_request::{Consistency, WriteRequest, database_of_bucket, wants_pretty};
