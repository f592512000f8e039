//! The log: one line a record on standard error, `TIME LEVEL TARGET: MESSAGE`.
//!
//! The access log has the target `access` and does not depend on `log_level`. Records of other crates pass from `info` up only,
//! whatever is asked for, because libraries quote whole requests, credentials included, in their `debug` records. Control characters are escaped whatever the
//! record holds, so that no client can write lines of its own.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use env_logger::Builder;
use env_logger::fmt::Formatter;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::model::Server;

/// The target of the access log's lines.
const ACCESS: &str = "access";

/// Starts logging as the configuration says; `override_filters`, in the form of `RUST_LOG`, takes its place.
pub(super) fn start(server: &Server, override_filters: Option<&str>) {
    let logger = OwnVerbose(builder(server, override_filters).build());
    let most = logger.0.filter();
    // Only a logger that was there before is in the way, and then it logs.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(most);
    }
}

/// Passes verbose records on from haflux itself only.
struct OwnVerbose<L>(L);

impl<L: Log> Log for OwnVerbose<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_own = crate_of(metadata.target()) == "haflux" || metadata.target() == ACCESS;
        (is_own || metadata.level() <= Level::Info) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// The first part of a target: the crate whose module it is.
fn crate_of(target: &str) -> &str {
    target.split_once("::").map_or(target, |(name, _)| name)
}

fn builder(server: &Server, override_filters: Option<&str>) -> Builder {
    let mut builder = Builder::new();
    match override_filters.filter(|filters| !filters.is_empty()) {
        Some(filters) => {
            builder.parse_filters(filters);
        }
        None => {
            let access = if server.access_log {
                LevelFilter::Info
            } else {
                LevelFilter::Off
            };
            builder
                .filter_level(server.log_level)
                .filter_module(ACCESS, access);
            // What Pingora says at `info` is about itself, not about the user's traffic.
            if server.log_level == LevelFilter::Info {
                builder.filter_module("pingora", LevelFilter::Warn);
            }
        }
    }
    builder.format(write_record);
    builder
}

fn write_record(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = out.timestamp_millis();
    write!(
        out,
        "{time} {:<5} {}: ",
        record.level(),
        short_target(record.target())
    )?;
    let mut line = OneLine(&mut *out, Ok(()));
    // The error, if there is one, is kept inside.
    let _ = write!(line, "{}", record.args());
    line.1?;
    writeln!(out)
}

/// Our own modules without the crate's name; of others' only the crate.
fn short_target(target: &str) -> &str {
    match target.split_once("::") {
        Some(("haflux", module)) => module,
        Some((name, _)) => name,
        None => target,
    }
}

/// Passes text on with its control characters escaped.
struct OneLine<W>(W, io::Result<()>);

impl<W: Write> fmt::Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut written = Ok(());
        for part in text.split_inclusive(char::is_control) {
            let clean = part.trim_end_matches(char::is_control);
            written = written.and_then(|()| self.0.write_all(clean.as_bytes()));
            if let Some(control) = part.chars().next_back().filter(|last| last.is_control()) {
                written = written.and_then(|()| write!(self.0, "{}", control.escape_default()));
            }
        }
        self.1 = written;
        if self.1.is_ok() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let mut written = Vec::new();
        write!(OneLine(&mut written, Ok(())), "a\nb\r\u{1b}[0m é\n").unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "a\\nb\\r\\u{1b}[0m é\\n"
        );
    }

    #[test]
    fn others_are_verbose_in_vain() {
        let logger = OwnVerbose(Builder::new().parse_filters("trace").build());
        let passes = |target: &str, level: Level| {
            let metadata = Metadata::builder().target(target).level(level).build();
            logger.enabled(&metadata)
        };
        for target in ["haflux", "haflux::proxy::app", "access"] {
            assert!(passes(target, Level::Trace), "{target}");
        }
        for target in [
            "pingora_core::server",
            "pingora_proxy",
            "hafluxed::x",
            "h2",
            "",
        ] {
            assert!(!passes(target, Level::Debug), "{target}");
            assert!(passes(target, Level::Info), "{target}");
        }
    }

    #[test]
    fn targets_are_short() {
        assert_eq!(
            short_target("haflux::relay::replicator"),
            "relay::replicator"
        );
        assert_eq!(short_target("pingora_core::server"), "pingora_core");
        assert_eq!(short_target("access"), "access");
    }
}
