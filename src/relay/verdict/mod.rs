//! Which replica took which record, who hears of it, and who may answer a read.
//!
//! Replicators report to the [`pending`] clients; the [`policy`] says when one of these may be answered. [`freshness`] says
//! which replica a read may go to, and [`reach`] for which replicas clients wait. A refusal that another replica has not
//! judged is one of the [`refusals`], and the [`keeper`] puts it on disk.

pub(in crate::relay) mod catch_up;
pub mod freshness;
pub(in crate::relay) mod judged;
pub(in crate::relay) mod keeper;
pub mod pending;
pub mod policy;
pub mod reach;
pub(in crate::relay) mod refusals;
