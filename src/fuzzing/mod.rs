//! What is tried with bytes that anybody may send or leave on a disk.
//!
//! A target takes any bytes and fails by a panic: of the code that it tries, or because something does not hold that must hold of any
//! bytes. `scripts/fuzz` gives them to libFuzzer, which looks for bytes that reach further; the test below gives each its corpus
//! (`fuzz/corpus`) and a few thousand changed pieces of it, so that every change is tried a little.
//!
//! This is compiled for both alone.

mod answers;
mod data;
mod files;
mod queries;
#[cfg(test)]
mod tests;

/// Tries something with these bytes.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: &[(&str, Target)] = &[
    ("line_protocol", data::line_protocol),
    ("gzip", data::gzip),
    ("udp", data::udp),
    ("record", data::record),
    ("influxql", queries::influxql),
    ("flux", queries::flux),
    ("query_request", queries::request),
    ("continuous_query", queries::continuous_query),
    ("prometheus_read", queries::prometheus_read),
    ("http_header", crate::proxy::fuzz_client::header),
    ("http_body", crate::proxy::fuzz_client::body),
    ("proxy_header", queries::proxy_header),
    ("http_response", answers::http_response),
    ("answer", answers::answer),
    ("message_pack", answers::message_pack),
    ("points", crate::heal::fuzz_node::points),
    ("shard_tar", crate::heal::fuzz_rebuild::shard_tar),
    ("toml", files::toml),
    ("yaml", files::yaml),
    ("haproxy_cfg", files::haproxy),
    ("influxdb_relay", files::influxdb_relay),
    ("journal", files::journal),
    ("dead_letter", crate::relay::dead_letters::fuzz::letter),
    (
        "pending_refusals",
        crate::relay::dead_letters::fuzz::pending,
    ),
    ("control", crate::control::fuzz::control),
    ("runtime_socket", crate::control::fuzz::runtime_socket),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}

/// The first byte, which chooses between ways, and what follows it.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}
