//! A write record for a person. Never its credentials.

use std::io::{self, Write};

use super::text;
use crate::influx::Credentials;
use crate::relay::record::{Form, WriteRecord};
use crate::stats::units::{Bytes, Count};

/// What it says of itself, a line each.
pub(super) fn describe(out: &mut dyn Write, record: &WriteRecord) -> io::Result<()> {
    let destination = &record.destination;
    let policy = match destination.retention_policy.as_str() {
        "" => "the default retention policy".to_owned(),
        name => format!("retention policy {}", text::one_line(name)),
    };
    writeln!(
        out,
        "  into         database {}, {policy}",
        text::one_line(&destination.database)
    )?;
    writeln!(
        out,
        "  holds        {} lines, {}, precision {}",
        Count(u64::from(record.lines)),
        Bytes(record.body.len() as u64),
        destination.precision.v1_name()
    )?;
    let credentials = match destination.credentials {
        Credentials::None => "none",
        Credentials::Parameters { .. } => "a user and a password, not shown",
        Credentials::Authorization(_) => "an Authorization header, not shown",
    };
    writeln!(out, "  credentials  {credentials}")
}

/// Its body.
pub(super) fn body(out: &mut dyn Write, record: &WriteRecord) -> io::Result<()> {
    match record.destination.form {
        Form::LineProtocol => writeln!(out, "{}", text::lines(&record.body).trim_end()),
        Form::Prometheus => writeln!(
            out,
            "(a Prometheus remote write, compressed with snappy; --body writes it as it is)"
        ),
    }
}
