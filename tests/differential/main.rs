//! haflux beside InfluxDB's own parsers, tests and clients.

#[path = "../support/mod.rs"]
mod support;

#[path = "../oracles/build.rs"]
mod build;

mod clients;
mod influxdb_suite;
mod influxql;
mod line_protocol;
mod outcomes;
mod python_suite;
mod request;
