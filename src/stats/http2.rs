//! What is counted of HTTP/2 on a frontend.

use std::sync::Arc;

use super::{Counter, Gauge};

/// HTTP/2 on one frontend.
#[derive(Debug, Default, Clone)]
pub struct Http2Stats {
    /// Connections that spoke it.
    pub connections: Counter,
    /// Requests that have a stream now.
    pub streams: Arc<Gauge>,
    /// Requests that were turned away unseen, because their frontend or their source had as many connections and requests as it may.
    pub refused: Counter,
    /// Requests that their clients took back, or had reset by breaking the rules, before they were answered.
    pub resets: Counter,
    /// Connections ended because their client took back more than `max_resets` in a minute.
    pub calmed: Counter,
    /// Connections ended because what their client sent breaks the protocol, or a bound against floods.
    pub broken: Counter,
}
