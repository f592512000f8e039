//! What a replicator has read of the journal and not settled: records in [lanes](lane), within a [window], and how far
//! the replica has come through them ([`tracker`]). A record that the node takes only in pieces is [split].

pub(in crate::relay::replicator) mod lane;
pub(in crate::relay::replicator) mod lanes;
pub(in crate::relay) mod split;
pub(in crate::relay::replicator) mod tracker;
pub(in crate::relay::replicator) mod window;
