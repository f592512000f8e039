//! What the journal of a relay stores: a [write](mod@write) or a [`statement`], each with the credentials of its
//! client, and what a statement [touches](touched) and [removes](removal).

pub mod change;
pub(in crate::relay) mod removal;
#[cfg(test)]
pub(in crate::relay) mod samples;
pub mod statement;
pub(in crate::relay) mod touched;
pub mod write;
