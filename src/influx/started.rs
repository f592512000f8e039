//! When a node's process started, from its `/debug/vars`: two equal ones are one process, which has lost nothing in between.
//!
//! InfluxDB (1.6 to 1.12, `serveExpvar`) writes it first of all: `{"system": {"currentTime":…,"started":"…","uptime":…}, …`, to
//! the nanosecond, and asks for no credentials unless `pprof-auth-enabled`. What follows may be megabytes, so the answer
//! may be cut anywhere behind it.

use serde::Deserialize;

/// The moment at which a node's process started, as it words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started(String);

impl Started {
    /// As a node words it in `SHOW DIAGNOSTICS`, too; none if it says nothing.
    pub fn said(started: &str) -> Option<Started> {
        (!started.is_empty()).then(|| Started(started.to_owned()))
    }
}

#[derive(Deserialize)]
struct System {
    started: String,
}

/// Reads it from the beginning of an answer; `None` if it is not there.
pub fn read_started(body: &[u8]) -> Option<Started> {
    let rest = body.trim_ascii_start().strip_prefix(b"{")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"system\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<System>();
    let system = values.next()?.ok()?;
    Started::said(&system.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_beginning_and_needs_no_more() {
        // As 1.6.7 answers, cut off.
        let body = b"{\n\"system\": {\"currentTime\":\"2026-11-25T03:46:25.814530309Z\",\"started\":\"2026-11-25T03:46:23.796114943Z\",\"uptime\":2},\n\"cmdline\": [\"infl";
        let started = read_started(body);
        assert_eq!(
            started,
            Some(Started("2026-11-25T03:46:23.796114943Z".to_owned()))
        );
        for other in [
            &b""[..],
            b"404 page not found",
            b"{}",
            b"{\"system\": null}",
            b"{\"system\": {\"started\":null}}",
            b"{\"system\": {\"started\":\"\"}}",
            b"{\"system\": {\"star",
        ] {
            assert_eq!(read_started(other), None, "{other:?}");
        }
    }
}
