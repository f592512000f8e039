//! Refused records until every replica has judged them: only then is it known whether a refusal was everybody's, or one
//! replica's and so a dead letter (rule W2).
//!
//! # States of a refusal, and where each stands
//!
//! | state | memory | disk | ends when |
//! | --- | --- | --- | --- |
//! | pending: no replica took the record | [`Refusals`] | a line of the [log](crate::relay::dead_letters), before the replica's saved cursor passes the record | every replica's saved cursor has passed it, or another replica takes it |
//! | certain: another replica took it | [`Refusals`] | as before; the record itself is in the journal | its dead letter is kept |
//! | kept | [`Refusals`] | the dead letter | every replica's saved cursor has passed it |
//!
//! The [`Keeper`](crate::relay::verdict::keeper) does what has to be done on disk.
//!
//! # Invariants
//!
//! - A replica's cursor is saved past a record that it refused only when that refusal is on disk ([`Refusals::save`]). Until
//!   then the cursor that was saved before stands, so after a crash the record is sent again, and is refused again.
//! - While a certain refusal has no dead letter, the journal keeps the record: the saved cursor of the replica that refused it
//!   stands before it, or, where that had passed it already, the saved cursors of all others that have not.
//! - What a replica judged without refusing it, it applied. So it is enough to know how far each replica has come, and to
//!   remember refusals: until every replica's cursor has been **saved** past the record, because until then one of them may be
//!   sent it again.
//! - A refusal is certain as soon as one replica took the record; a third one that is away is not waited for. One of a statement that
//!   may be [half done](crate::influx::may_be_half_done) is certain at once, because even replicas that all refused it may differ then.
//! - Nothing is forgotten for want of room. At `max_pending_refusals` no replica reads further, and a replica for whose verdict
//!   half of them wait is diverged (rule R3).
//!
//! Where all replicas are in reach nothing of this costs more than a line in a file for each refusal, and one sync for all of
//! them whenever a cursor is saved.

mod refusal;
mod table;

#[cfg(test)]
mod tests;

pub(in crate::relay) use refusal::Refusal;
pub(in crate::relay) use table::{Due, Entry, Refusals, Unsaved};
