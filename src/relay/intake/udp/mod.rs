//! UDP: lines that come in datagrams become records of a relay's journal. It stands where InfluxDB's own UDP listener stood.
//!
//! # The life of a datagram
//!
//! 1. The kernel holds it in the socket's buffer ([`socket`]: `read_buffer`, set and read back). What does not fit there is
//!    dropped by the kernel; [`watch`] reads how many from `/proc/net/udp`.
//! 2. One task a listener ([`Listener`]) reads until nothing is left, into one buffer of the size of the largest datagram.
//! 3. The datagram's good lines go behind those of the datagrams before it ([`gather`]). What InfluxDB would refuse is counted
//!    and dropped. (InfluxDB's listener drops the whole datagram for one bad line.) Lines without a time get the moment at which
//!    the datagram was read, in the listener's precision.
//! 4. The lines become one record when they are full ([`FULL`] bytes, or the relay's `max_body` if that is less), or when the
//!    first of them has waited for [`GATHER_FOR`]. The record takes the same way as every other write: durable first, then to
//!    each replica, in the order of its lane.
//!
//! # Invariants
//!
//! - What one sender puts into a datagram changes nothing about another's lines: each line in a record, for itself, is one line
//!   that InfluxDB takes for a point, and ends closed. A line that does not is refused, whatever its datagram made of it.
//! - A record is stamped once, before it is in the journal, so all replicas store the same times.
//! - Nobody waits for a record: `ack`, `on_unavailable` and the number of replicas in reach mean nothing here. As long as the
//!   journal takes records, all of them get there, and so to every replica.
//! - Bounded: the kernel's buffer, one datagram, one record, and the journal's own queue. One timer a listener.
//! - A listener never keeps its thread from others for longer than [`BURST`] datagrams.
//! - At a stop, what the kernel holds is read (for at most [`DRAIN_FOR`]) and what was gathered is appended before the journal
//!   closes.
//!
//! # What can go wrong
//!
//! | trouble | what happens |
//! | --- | --- |
//! | datagrams come faster than they are read | the kernel drops them; `kernel_drops` |
//! | the kernel gives a smaller buffer than `read_buffer` | a warning at the start, with both sizes |
//! | the journal has no room, or too much waits for its disk | the record's datagrams are dropped; `dropped_packets` |
//! | a read fails | counted, tried again after [`READ_PAUSE`] |
//! | the address is in use | an error at the start; nothing is served |
//! | the process is killed | what the kernel held and what was gathered, for at most [`GATHER_FOR`], is lost, as datagrams can be |
//! | the nodes ask for credentials that the listener has not | they refuse the records: an error in the log, a problem on the page, `refusing_nodes`, all by asking them ([`ASK_PACE`]) |
//! | a person drops the database | the same: each node answers 404, and does not get it back |
//!
//! As InfluxDB's listener does, it makes its database before its first record: a `CREATE DATABASE` in the journal, unless every
//! replica that answers has it already; it does so again as long as none has it ([`database`]). The retention policy it never makes.

mod append;
mod database;
pub mod gather;
mod listener;
mod rights;
mod socket;
#[cfg(test)]
mod tests;
mod watch;

pub use listener::Listener;
pub use socket::{Bound, UdpBindError};
pub use watch::watch_drops;

use std::time::Duration;

use tokio::sync::watch::Receiver;

/// Bytes of lines that make a record.
pub const FULL: usize = 256 * 1024;

/// How long the first line of a record waits for more.
pub const GATHER_FOR: Duration = Duration::from_millis(100);

/// Datagrams that are read before other tasks have their turn.
pub const BURST: usize = 256;

/// How long a stop goes on to read what the kernel holds.
pub const DRAIN_FOR: Duration = Duration::from_secs(1);

/// How long a listener waits after a read that failed.
pub const READ_PAUSE: Duration = Duration::from_millis(100);

/// How often the kernel is asked for its drops, and at most how often each kind of loss is logged.
pub const WATCH_PACE: Duration = Duration::from_secs(5);

/// How often the nodes are asked whether they let a listener's lines in.
pub const ASK_PACE: Duration = Duration::from_secs(30);

/// Waits for a stop. A sender that is gone can no longer say it: that is one.
async fn stopped(stop: &mut Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
