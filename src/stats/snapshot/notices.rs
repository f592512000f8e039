//! What a person has ordered and what follows from it: no fault, and easily forgotten.

use serde::{Deserialize, Serialize};

use super::problems::counted;
use super::{BackendView, RelayView, ServerView, Snapshot};
use crate::stats::AdminState;

/// An order that takes a server out of service.
#[derive(Debug, Serialize, Deserialize)]
pub struct Notice {
    /// What is ordered, in one line.
    pub what: String,
    /// What it means.
    pub why: String,
    /// What to do.
    pub action: String,
    /// The commands for that, on haflux's host.
    pub commands: Vec<String>,
}

/// One for each server that is in drain or maint, in the order of the configuration.
pub(super) fn of(all: &Snapshot) -> Vec<Notice> {
    let each = all.backends.iter().flat_map(|backend| {
        let servers = backend.servers.iter();
        servers.filter_map(|server| of_server(all, backend, server))
    });
    each.collect()
}

fn of_server(all: &Snapshot, backend: &BackendView, server: &ServerView) -> Option<Notice> {
    let of_pool = |relay: &&RelayView| relay.pool == backend.name;
    let relays = all.relays.iter().filter(of_pool);
    let (word, meaning, for_relays): (_, _, String) = match server.admin {
        AdminState::Ready => return None,
        AdminState::Drain => (
            "drain",
            "It gets no new requests; what is under way is finished, and its checks go on.",
            relays.map(while_drained).collect(),
        ),
        AdminState::Maint => (
            "maint",
            "It gets nothing: no requests and no checks.",
            relays.map(|relay| while_in_maint(relay, server)).collect(),
        ),
    };
    let place = format!("{}/{}", backend.name, server.name);
    Some(Notice {
        what: format!("Server {place} is in {word} by order"),
        why: format!("{meaning}{for_relays}"),
        action: "When the work on it is done, end the order.".to_owned(),
        commands: vec![format!("haflux server ready {place}")],
    })
}

fn while_drained(relay: &RelayView) -> String {
    format!(" Relay {} goes on writing to it.", relay.name)
}

fn while_in_maint(relay: &RelayView, server: &ServerView) -> String {
    let replica = relay.replicas.iter().find(|one| one.name == server.name);
    let waiting = replica.map_or_else(String::new, |replica| {
        let records = counted(replica.lag.records, "record");
        format!(" ({records}, {})", replica.lag.bytes)
    });
    let limit = match relay.max_backlog.is_zero() {
        true => String::new(),
        false => format!(
            "; past {} or {} it is diverged and must be rebuilt",
            relay.max_backlog, relay.max_backlog_age
        ),
    };
    format!(
        " Relay {} sends it nothing, and its backlog{waiting} grows{limit}.",
        relay.name
    )
}
