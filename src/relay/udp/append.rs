//! What a listener has gathered goes into the journal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::warn;

use crate::config::model;
use crate::influx::{Credentials, Ending};
use crate::relay::Relay;
use crate::relay::record::{Destination, Form, WriteRecord};
use crate::stats::UdpStats;

use super::WATCH_PACE;
use super::gather::Gathered;

/// Appends the records of one listener.
pub(super) struct Appender {
    address: SocketAddr,
    destination: Destination,
    relay: Arc<Relay>,
    stats: Arc<UdpStats>,
    /// When it was last logged that the journal took no record.
    told: Option<Instant>,
}

impl Appender {
    pub(super) fn new(settings: &model::Udp, relay: Arc<Relay>, stats: Arc<UdpStats>) -> Appender {
        Appender {
            address: settings.bind,
            destination: Destination {
                form: Form::LineProtocol,
                precision: settings.precision,
                consistency: None,
                database: settings.database.clone(),
                retention_policy: settings.retention_policy.clone(),
                credentials: Credentials::None,
            },
            relay,
            stats,
            told: None,
        }
    }

    /// Appends a record, or drops and counts its datagrams if the journal does not take it.
    pub(super) fn append(&mut self, gathered: Gathered) {
        let record = WriteRecord {
            destination: self.destination.clone(),
            lines: gathered.lines,
            ending: Ending::Closed,
            body: gathered.body,
        };
        match self.relay.append_unattended(record) {
            Ok(_) => {
                self.stats.records.increment();
                let relay = self.relay.stats();
                relay.stamped_lines.add(u64::from(gathered.stamped));
            }
            Err(error) => {
                self.stats.dropped_packets.add(u64::from(gathered.packets));
                let now = Instant::now();
                if self.told.is_none_or(|told| now - told >= WATCH_PACE) {
                    self.told = Some(now);
                    warn!(
                        "udp {}: datagrams are dropped: relay {}: {error}",
                        self.address,
                        self.relay.stats().name
                    );
                }
            }
        }
    }
}
