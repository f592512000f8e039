//! The figures of UDP listeners.

use super::figure::{About, Figure, Kind, Readable, Reading, figure, text};
use super::group::{Part, Typed};
use crate::stats::snapshot::UdpView;

pub(super) fn listeners() -> Typed<UdpView> {
    let figures: Vec<Figure<UdpView>> = vec![
        text!("bind", "Its address."),
        text!("relay", "The relay that it writes to."),
        text!("database", "The database of its lines."),
        figure!(
            Counter,
            packets,
            "packets_total",
            "datagrams",
            "Datagrams that were received."
        ),
        figure!(
            Counter,
            bytes,
            "received_bytes_total",
            "bytes",
            "Size of those datagrams."
        ),
        figure!(
            Counter,
            lines,
            "lines_total",
            "lines",
            "Lines that were kept."
        ),
        figure!(
            Counter,
            refused_lines,
            "refused_lines_total",
            "lines",
            "Lines that InfluxDB would refuse, and that were not kept."
        ),
        figure!(
            Counter,
            dropped_packets,
            "dropped_packets_total",
            "datagrams",
            "Datagrams with lines that were dropped because the journal took no more."
        ),
        figure!(
            Counter,
            kernel_drops,
            "kernel_drops_total",
            "datagrams",
            "Datagrams that the kernel dropped because its buffer was full."
        ),
        figure!(
            Counter,
            read_errors,
            "read_errors_total",
            "reads",
            "Reads of the socket that failed."
        ),
        figure!(
            Counter,
            records,
            "records_total",
            "records",
            "Records that were appended to the journal."
        ),
        figure!(
            Gauge,
            refusing_nodes,
            "refusing_nodes",
            "nodes",
            "Nodes that refuse its lines for want of credentials, rights or the database."
        ),
    ];
    Typed {
        part: Part {
            title: "UDP listeners",
            path: "udp[].",
            prefix: "haflux_udp_",
            labels: &["bind", "relay", "database"],
        },
        each: |snapshot| {
            let labels =
                |udp: &UdpView| vec![udp.bind.clone(), udp.relay.clone(), udp.database.clone()];
            snapshot.udp.iter().map(|udp| (labels(udp), udp)).collect()
        },
        figures,
    }
}
