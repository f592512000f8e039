//! The whole proxy, on real sockets, in front of stand-in servers.
//!
//! Stand-ins and not InfluxDB, because the tests need servers that refuse, reset, hang and stream on command.

pub(crate) mod harness;

mod client;
mod connections;
mod forwarding;
mod health_checks;
mod plain_pools;
mod routing;
mod silent_servers;
mod stand_in;
mod stopping;
