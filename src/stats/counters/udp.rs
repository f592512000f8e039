//! A UDP listener.

use super::{Counter, Gauge};

/// One UDP listener.
#[derive(Debug)]
pub struct UdpStats {
    /// Its address, as text.
    pub bind: String,
    /// The relay that it writes to.
    pub relay: String,
    /// The database of its lines.
    pub database: String,
    /// Datagrams received.
    pub packets: Counter,
    /// Bytes in them.
    pub bytes: Counter,
    /// Lines that were kept.
    pub lines: Counter,
    /// Lines that InfluxDB would refuse, and so were not kept.
    pub refused_lines: Counter,
    /// Datagrams with lines that were dropped because the journal took no more.
    pub dropped_packets: Counter,
    /// Datagrams that the kernel dropped before they could be read, its buffer being full.
    pub kernel_drops: Counter,
    /// Reads that failed.
    pub read_errors: Counter,
    /// Records appended.
    pub records: Counter,
    /// Nodes that refuse its lines for want of credentials or rights.
    pub refusing_nodes: Gauge,
}
