//! haflux makes two or more open-source InfluxDB nodes behave, to every client, like one InfluxDB that does not go down.
//!
//! The crate is one process in parts; arrows between them go down only: [`cli`] and [`server`] know everything, [`proxy`]
//! and [`heal`] stand on [`relay`], which stands on [`journal`], [`influx`] and [`stats`]; [`config`] is what all of them are given, and all of
//! them say what happens to [`logging`]. [`control`] stands beside [`server`]: how commands on the same machine talk to the process
//! that runs. [`tls`] reads certificates for [`config`] and [`proxy`]; [`dial`] makes all connections to servers. [`import`] writes a configuration from those of HAProxy and influxdb-relay.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![warn(unreachable_pub)]
#![warn(missing_docs)]

pub mod budget;
pub mod cli;
pub mod config;
pub mod control;
pub mod dial;
pub(crate) mod durable_file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod heal;
pub(crate) mod http_response;
pub mod identity;
pub mod import;
pub mod influx;
pub mod inherited;
pub mod journal;
pub mod logging;
pub mod offload;
pub(crate) mod per_source;
pub mod pieces;
pub mod proxy;
pub(crate) mod proxy_header;
pub(crate) mod random;
pub mod reactors;
pub mod relay;
pub(crate) mod secret;
pub mod server;
pub(crate) mod shown;
pub mod small_file;
pub mod source;
pub mod stats;
pub mod tls;
pub mod users;
