//! What the sockets ask of whoever keeps the servers of all backends.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::replicas::ControlError;
use crate::stats::csv::StatQuery;
use crate::stats::{AdminState, CheckCode};

/// Where a server of a backend stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReport {
    /// The number of its backend, as in the statistics.
    pub backend_id: usize,
    /// Its backend.
    pub backend: String,
    /// Its number in the backend, from 1 on.
    pub id: usize,
    /// Its name.
    pub name: String,
    /// Its address as configured.
    pub address: String,
    /// Its IP address now; nothing while its name is not resolved.
    pub ip: Option<String>,
    /// The name that its address has in the configuration; nothing for an IP address.
    pub fqdn: Option<String>,
    /// Its port.
    pub port: u16,
    /// What its checks say and what is ordered, in HAProxy's word.
    pub status: String,
    /// What is ordered.
    pub admin: AdminState,
    /// Whether its checks say that it is well; true without checks.
    pub up: bool,
    /// Whether it is checked.
    pub checked: bool,
    /// How its last check ended, if one was made.
    pub last_check: Option<CheckCode>,
    /// The port that its checks ask in place of its own.
    pub check_port: Option<u16>,
    /// Whether TLS is spoken to it.
    pub tls: bool,
    /// Checks in a row that make it up, and down.
    pub rise: usize,
    /// See `rise`.
    pub fall: usize,
    /// Its weight now.
    pub weight: u32,
    /// Its weight in the configuration.
    pub initial_weight: u32,
    /// Requests under way on it.
    pub sessions: u64,
    /// Seconds since its status changed.
    pub since: u64,
}

/// Whoever keeps the servers of all backends, and the statistics.
#[async_trait]
pub trait Servers: Send + Sync {
    /// How every server of every backend stands, in the order of the configuration.
    fn servers(&self) -> Vec<ServerReport>;

    /// Statistics as HAProxy's `show stat` has them; nothing if the query names a proxy that there is not.
    fn statistics(&self, query: &StatQuery) -> Option<String>;

    /// Everything that is counted, as the JSON document of the status page.
    fn snapshot(&self) -> String;

    /// Names and values about the process, as HAProxy's `show info` has them.
    fn process(&self) -> Vec<(&'static str, String)>;

    /// Puts a server in a state. Returns what became of it, for a person.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn set_state(
        &self,
        backend: &str,
        server: &str,
        state: AdminState,
    ) -> Result<String, ControlError>;

    /// Gives a server a weight: a number, or a percentage of the configuration's. Returns what became of it, for a person.
    ///
    /// # Errors
    /// Why nothing was changed.
    async fn set_weight(
        &self,
        backend: &str,
        server: &str,
        weight: &str,
    ) -> Result<String, ControlError>;
}
