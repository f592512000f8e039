//! The long runs: haflux and both nodes of a lab die, stop and stand still while clients are busy. `crash_run` looks at what is
//! there in the end, `consistency_run` at each answer. What both have in common is here; how much of what is theirs to say, as
//! plain data.
//!
//! - [`plan`]: what a run is told from outside.
//! - [`setup`]: the lab, told to lose its patience soon; [`network`]: ways to its nodes that deliver late.
//! - [`trouble`]: what is done to the lab.
//! - [`clients`], [`connection`]: what keeps it busy.
//! - [`events`]: what happened when.

pub mod clients;
pub mod connection;
pub mod events;
pub mod network;
pub mod plan;
pub mod setup;
pub mod trouble;

pub use connection::{Connection, Reply, Request};
pub use events::Events;
pub use plan::{CATCH_UP, Plan};
pub use setup::Setup;
pub use trouble::{Measure, Trouble};
