//! Counters and states, and their views. The parts of the program are handed the struct they count into; every view (page,
//! CSV, JSON, Prometheus) reads the same structs.
//!
//! - [`counters`]: what is counted, in atomics that the program's parts hold.
//! - [`admin_state`]: what a person has ordered for a server.
//! - [`check_code`]: how a health check ended, in HAProxy's codes.
//! - `tls` and `http2`: what is counted of TLS and of HTTP/2.
//! - `releases`: whether nodes run the same release of InfluxDB.
//! - `work`: how a comparison, a mend or a rebuild stands.
//! - `queries`: what is counted of queries: of each frontend, and of each fingerprint.
//! - [`server_handle`]: where a server of a pool is now and whether it is up, for everybody who sends to it.
//! - [`snapshot`]: one reading of all of it, as plain values.
//! - [`units`]: how such a value is written, for a person and for a program.
//! - [`rate`], [`times`], [`outages`]: what is more than a counter: events a second, how long requests took, times down.
//! - [`figures`]: the one list of what each figure of the snapshot says.
//! - [`page`], [`json`], [`csv`](mod@csv), [`prometheus`]: the views. A view only writes; whatever is derived (a lag, a backend's state) is derived in the
//!   snapshot, so that no two views can disagree about it.
//!
//! Names and errors in the counters may hold anything that a configuration or a server can say. A view escapes all of it for
//! its format; nobody else has to.

pub mod admin_state;
pub mod check_code;
pub mod counters;
pub mod csv;
pub mod figures;
mod http2;
pub mod json;
pub mod outages;
pub mod page;
mod picture;
pub mod prometheus;
mod queries;
pub mod rate;
mod releases;
pub mod server_handle;
mod sharded;
pub mod snapshot;
pub mod times;
mod tls;
pub mod units;
mod work;

#[cfg(test)]
pub(crate) mod tests;

pub use admin_state::AdminState;
pub use check_code::CheckCode;
pub use counters::*;
pub use http2::Http2Stats;
pub use queries::{
    EndedQuery, QueriesView, QueryRow, QueryStats, QueryTable, QueryView, RunningQueryView,
};
pub use server_handle::ServerHandle;
pub use tls::{
    CERTIFICATE_ENDS_SOON, CertificateStats, HandshakeFailure, ServerHandshakeFailure,
    ServerTlsStats, StapleStats, TlsStats,
};
pub use work::{WorkFigures, WorkStats};
