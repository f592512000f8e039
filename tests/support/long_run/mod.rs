//! The long runs: haflux and both nodes of a lab die, stop and stand still while clients are busy. `crash_run` looks at what is
//! there in the end, `consistency_run` at each answer. What both have in common is here; how much of what is theirs to say, as
//! plain data.
//!
//! - [`plan`]: what a run is told from outside.
//! - [`setup`]: the lab, told to lose its patience soon; [`network`]: ways to its nodes that deliver late.
//! - [`trouble`]: what is done to the lab.
//! - [`clients`], [`connection`], [`questions`]: what keeps it busy.
//! - [`model`]: what a thing holds, and whether a read may show it so; [`replies`]: what answers say; [`numbers`]: points that are
//!   written once.
//! - [`events`], [`tally`], [`violations`]: what happened when, how often, and what of it must not.

pub mod cells;
pub mod clients;
pub mod connection;
pub mod events;
pub mod model;
pub mod network;
pub mod numbers;
pub mod plan;
pub mod questions;
pub mod replies;
pub mod setup;
pub mod tally;
pub mod trouble;
pub mod violations;

pub use connection::{Connection, Reply, Request};
pub use events::Events;
pub use plan::{CATCH_UP, Plan};
pub use setup::Setup;
pub use tally::Tally;
pub use trouble::{Measure, Trouble};
pub use violations::{Violation, Violations};
