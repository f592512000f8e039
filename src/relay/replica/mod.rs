//! One node: the way to it, what is said on it, and whether the node is the one that it was.
//!
//! [`client`] carries one [`request`] to the node and reads its [`response`]; of that, an [`answer`] is kept, and a long
//! one to a statement goes on as an [`answer_stream`]. The [`liveness`] connection ends when the node's process ends.
//! An [`identity_point`] and the databases that the node must have ([`known`]) show that its data is still there; they are
//! asked for by [`questions`]. [`membership`] says on disk whether the node follows, and [`handle`] is what the other parts
//! of a relay share about it.

pub(in crate::relay) mod answer;
pub(in crate::relay) mod answer_stream;
pub(in crate::relay) mod backoff;
pub(in crate::relay) mod client;
pub(in crate::relay) mod handle;
pub(in crate::relay) mod identity_point;
pub(in crate::relay) mod known;
pub(in crate::relay) mod liveness;
pub mod membership;
pub(in crate::relay) mod questions;
pub(in crate::relay) mod request;
pub(in crate::relay) mod response;
