//! The sockets for orders: how a command on the same machine, or one of HAProxy's tools, talks to the haflux that runs.
//!
//! What ends the divergence of a replica is a person's decision, so there must be a way to tell a running haflux of it. That
//! way is a Unix stream socket, [`SOCKET_NAME`] in `data_dir`: whoever may use it is whom the operating system lets into that
//! folder, and there is no port, no password and no page that a stranger could find. `server.stats_socket` is a second one, at a
//! path, with a mode, a group and a [`Level`](crate::config::model::Level) of its own. Both are one piece of machinery, and both
//! speak both phrasings.
//!
//! This part knows nothing of relays and pools. Whatever keeps the replicas implements [`Replicas`], whatever keeps the servers
//! implements [`Servers`], and whatever keeps the queries that run [`Queries`]; [`ControlSocket`] puts questions to them, and [`ask`] is the other end, for the commands.
//!
//! # Protocol
//!
//! A client sends one JSON document in one line, and gets one JSON document in one line, which says what became of it:
//!
//! ```text
//! > {"command":"status"}
//! < {"replicas":[{"relay":"influx_relay","name":"influxlab","state":"fresh",…}]}
//! > {"command":"rebuild_begin","name":"influxlab2","relay":null}
//! < {"done":"the journal is kept from …"}
//! > {"command":"readmit","name":"influxlab3"}
//! < {"refused":{"unknown_replica":{"name":"influxlab3","known":["influxlab","influxlab2"]}}}
//! > {"command":"reload","dry_run":true}
//! < {"done":"frontend \"front\", maxconn: 2000 -> 700\na reload takes all of it"}
//! > {"command":"skip","name":"influxlab2","sequence":41}
//! < {"done":"record 41 is set aside …"}
//! > {"command":"kill_query","id":7}
//! < {"done":"query 7 of 192.0.2.1, on influx_back/influxlab, after 12 s: SELECT mean(v) FROM m"}
//! > {"command":"snapshot"}
//! < {"snapshot":"{\"version\":…}"}
//! ```
//!
//! More lines may follow on the same connection; each is answered before the next is read. A document that is no request gets
//! `{"misunderstood":"why"}` and the connection ends; what follows it is not read.
//!
//! A line that does not begin with `{` holds HAProxy's commands, separated by `;` (its management guide, section 9.3, and `text`).
//! Each answer goes before the next command is carried out, then the connection ends unless `prompt` was said. After an order that
//! takes longer than the connection may last, nothing more of the line is carried out.
//!
//! # Invariants
//!
//! - There is one socket for a data_dir: one that answers belongs to another haflux, and [`ControlSocket::bind`] fails; one
//!   that refuses connections was left by a haflux that was killed, and is replaced. Anything else of that name is left
//!   alone. Two that start in the same instant are told apart by the journal's lock, which is taken before.
//! - The socket has its mode (of `data_dir`'s: 0600) and its group from its first instant: it is made under another name and renamed
//!   when both are set, so nobody finds one that is not ready.
//! - At its end the socket is removed, but only if the path still leads to the one that was bound.
//! - A line has at most [`LONGEST_REQUEST`] bytes. The socket of `data_dir` has at most [`MOST_CONNECTIONS`] connections (more wait in
//!   the kernel's queue, which is bounded too), and each has [`DEADLINE`] in all, so nobody can keep the others out for longer;
//!   `stats_socket` has keys for both. Of a line's answers one is held.
//! - Nothing that comes in makes it panic, and no failure of a connection ends the socket.
//! - An order that was given is carried out even if whoever gave it has left or its deadline passes: [`Replicas`] decides in
//!   a task of its own, so that it is never dropped half-way. The place among the connections is held until it ends.

mod bind;
mod carry_out;
mod client;
mod configuration;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod healing;
mod line;
mod message;
mod queries;
mod replicas;
mod servers;
mod settings;
mod socket;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

pub use bind::ControlBindError;
pub use carry_out::Orders;
pub use client::{AskError, ask};
pub use configuration::Configuration;
pub use healing::{Compared, Difference, HealOrder, HealReport, HealState, Healing, Passwords};
pub use message::{Answer, Request};
pub use queries::Queries;
pub use replicas::{ControlError, ReplicaReport, Replicas};
pub use servers::{ServerReport, Servers};
pub use settings::of_data_dir;
pub use socket::ControlSocket;

/// The socket's name in `data_dir`.
pub const SOCKET_NAME: &str = "control.sock";

/// Bytes of a request's line, its end not counted.
pub const LONGEST_REQUEST: usize = 64 * 1024;

/// Connections at once.
pub const MOST_CONNECTIONS: usize = 8;

/// How long a connection may last, all of its requests together.
pub const DEADLINE: Duration = Duration::from_secs(10);
