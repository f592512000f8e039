//! What is lost without anybody hearing of it: datagrams that the kernel drops, and lines that are refused.
//!
//! Linux lists the sockets of UDP in `/proc/net/udp` and `/proc/net/udp6`, one a line, with the inode in the tenth column and in
//! the last one how many datagrams were dropped since the socket was made (proc(5)). One task reads them for all listeners.

use std::net::SocketAddr;
use std::sync::Arc;

use log::warn;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::stats::UdpStats;

use super::WATCH_PACE;
use super::socket::Bound;

/// Position of the inode in a line.
const INODE: usize = 9;
/// Position of the drops.
const DROPS: usize = 12;

/// A listener that is watched.
struct Watched {
    address: SocketAddr,
    inode: u64,
    stats: Arc<UdpStats>,
    /// What the kernel said last; its count wraps.
    drops: u32,
    refused: u64,
}

impl Watched {
    fn look(&mut self, table: &str) {
        let Some(drops) = drops_of(table, self.inode) else {
            return;
        };
        let new = drops.wrapping_sub(self.drops);
        self.drops = drops;
        self.stats.kernel_drops.add(u64::from(new));
        if new > 0 {
            warn!(
                "udp {}: the kernel dropped {new} datagrams: they came faster than they were read, or were damaged",
                self.address
            );
        }
    }

    fn tell_refused(&mut self) {
        let refused = self.stats.refused_lines.get();
        let new = refused.saturating_sub(self.refused);
        self.refused = refused;
        if new > 0 {
            warn!(
                "udp {}: {new} lines were no line protocol and were dropped",
                self.address
            );
        }
    }
}

/// Counts the kernel's drops of `listeners` until `stop` is true, and logs what was lost.
pub fn watch_drops<'a>(
    listeners: impl IntoIterator<Item = (&'a Bound, Arc<UdpStats>)>,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let watched: Vec<Watched> = listeners
        .into_iter()
        .map(|(bound, stats)| Watched {
            address: bound.address,
            inode: bound.inode,
            stats,
            drops: 0,
            refused: 0,
        })
        .collect();
    run(watched, stop)
}

async fn run(mut watched: Vec<Watched>, mut stop: watch::Receiver<bool>) {
    let mut pace = tokio::time::interval(WATCH_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = false;
    while !ended {
        tokio::select! {
            _ = pace.tick() => {}
            () = super::stopped(&mut stop) => ended = true,
        }
        let (with_4, with_6) = (
            watched.iter().any(|each| each.address.is_ipv4()),
            watched.iter().any(|each| each.address.is_ipv6()),
        );
        let tables = tokio::task::spawn_blocking(move || {
            (
                read_if(with_4, "/proc/net/udp"),
                read_if(with_6, "/proc/net/udp6"),
            )
        });
        let (table_4, table_6) = tables.await.unwrap_or_default();
        for each in &mut watched {
            each.look(if each.address.is_ipv4() {
                &table_4
            } else {
                &table_6
            });
            each.tell_refused();
        }
    }
}

/// A table, empty if it is not wanted or cannot be read: then nothing is known of the kernel's drops.
fn read_if(wanted: bool, file: &str) -> String {
    if wanted {
        std::fs::read_to_string(file).unwrap_or_default()
    } else {
        String::new()
    }
}

/// What the kernel dropped of the socket with this inode, by a table of `/proc/net`.
pub(super) fn drops_of(table: &str, inode: u64) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(INODE);
        let this: u64 = columns.next()?.parse().ok()?;
        if this != inode {
            return None;
        }
        columns.nth(DROPS - INODE - 1)?.parse().ok()
    })
}
