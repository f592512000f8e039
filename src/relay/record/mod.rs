//! What the journal of a relay stores: a [write](mod@write) or a [`statement`], each with the credentials of its
//! client, and what a statement [touches](touched), [removes](removal) and [withdraws](withdrawal).

pub mod change;
pub mod reason;
pub(in crate::relay) mod removal;
#[cfg(test)]
pub(in crate::relay) mod samples;
pub mod statement;
pub(in crate::relay) mod touched;
pub(in crate::relay) mod withdrawal;
pub mod write;

/// More than the header of a record can take, in bytes: five fields of at most 64 KiB.
pub(in crate::relay) const MAX_HEADER: usize = 512 * 1024;
