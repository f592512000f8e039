//! A UDP listener.

use serde::{Deserialize, Serialize};

use crate::stats::counters::UdpStats;
use crate::stats::units::{Bytes, Count};

/// One UDP listener.
#[derive(Debug, Serialize, Deserialize)]
pub struct UdpView {
    /// Its address.
    pub bind: String,
    /// The relay that it writes to.
    pub relay: String,
    /// The database of its lines.
    pub database: String,
    /// Datagrams received.
    pub packets: Count,
    /// Bytes in them.
    pub bytes: Bytes,
    /// Lines that were kept.
    pub lines: Count,
    /// Lines that were not kept.
    pub refused_lines: Count,
    /// Datagrams with lines that the journal did not take.
    pub dropped_packets: Count,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: Count,
    /// Reads that failed.
    pub read_errors: Count,
    /// Records appended.
    pub records: Count,
    /// Nodes that refuse its lines for want of credentials or rights.
    pub refusing_nodes: Count,
}

pub(super) fn read(stats: &UdpStats) -> UdpView {
    let UdpStats {
        bind,
        relay,
        database,
        packets,
        bytes,
        lines,
        refused_lines,
        dropped_packets,
        kernel_drops,
        read_errors,
        records,
        refusing_nodes,
    } = stats;
    UdpView {
        bind: bind.clone(),
        relay: relay.clone(),
        database: database.clone(),
        packets: Count(packets.get()),
        bytes: Bytes(bytes.get()),
        lines: Count(lines.get()),
        refused_lines: Count(refused_lines.get()),
        dropped_packets: Count(dropped_packets.get()),
        kernel_drops: Count(kernel_drops.get()),
        read_errors: Count(read_errors.get()),
        records: Count(records.get()),
        refusing_nodes: Count(refusing_nodes.get()),
    }
}
