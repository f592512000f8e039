//! What a listener has gathered goes into the journal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use log::warn;

use crate::config::model;
use crate::influx::{Credentials, Ending};
use crate::relay::record::write::{Destination, Form, WriteRecord};
use crate::relay::{AppendUnattendedError, Relay};
use crate::stats::UdpStats;

use super::WATCH_PACE;
use super::database::Database;
use super::gather::Gathered;
use super::rights::Rights;

/// Appends the records of one listener.
pub(super) struct Appender {
    address: SocketAddr,
    destination: Destination,
    relay: Arc<Relay>,
    stats: Arc<UdpStats>,
    database: Arc<Database>,
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
            database: Arc::new(Database::new()),
            told: None,
        }
    }

    /// Finds out whether the database has to be made. Where that cannot be told, it is made: twice does no harm, but a
    /// statement holds up what comes behind it.
    pub(super) async fn look_for_database(&mut self) {
        if self.relay.has_database(&self.destination).await {
            self.database.found();
        }
    }

    /// Writes in this name from here on.
    pub(super) fn log_in(&mut self, credentials: Credentials) {
        self.destination.credentials = credentials;
    }

    /// What tells whether the nodes let the records in.
    pub(super) fn rights(&self) -> Rights {
        Rights::new(
            self.address,
            self.destination.clone(),
            Arc::clone(&self.relay),
            Arc::clone(&self.stats),
            Arc::clone(&self.database),
        )
    }

    /// As InfluxDB's listener: the database is made before the first record.
    async fn make_database(&mut self) -> Result<(), AppendUnattendedError> {
        if !self.database.is_to_be_made() {
            return Ok(());
        }
        let made = self.relay.create_database(&self.destination).await;
        if made.is_err() {
            self.database.is_not_made();
        }
        made
    }

    /// Appends a record, or drops and counts its datagrams if the journal does not take it.
    pub(super) async fn append(&mut self, gathered: Gathered) {
        let record = WriteRecord {
            destination: self.destination.clone(),
            lines: gathered.lines,
            ending: Ending::Closed,
            body: gathered.body,
        };
        let appended = match self.make_database().await {
            Ok(()) => self.relay.append_unattended(record).await,
            Err(error) => Err(error),
        };
        match appended {
            Ok(()) => {
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
