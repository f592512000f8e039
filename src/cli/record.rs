//! A record for a person. Never its credentials, nor a statement's passwords.

use std::io::{self, Write};

use super::text;
use crate::influx::Credentials;
use crate::relay::record::change::Change;
use crate::relay::record::statement::StatementRecord;
use crate::relay::record::write::{Form, WriteRecord};
use crate::shown;
use crate::stats::units::{Bytes, Count};

/// What it says of itself, a line each.
pub(super) fn describe(out: &mut dyn Write, record: &Change) -> io::Result<()> {
    match record {
        Change::Write(write) => describe_write(out, write),
        Change::Statement(statement) => describe_statement(out, statement),
    }
}

fn describe_statement(out: &mut dyn Write, record: &StatementRecord) -> io::Result<()> {
    let databases = match record.databases.as_deref() {
        None => "cannot be told".to_owned(),
        Some([]) => "none".to_owned(),
        Some(names) => names
            .iter()
            .map(|name| text::one_line(shown::name(name)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let path = record.target.split('?').next().unwrap_or_default();
    writeln!(out, "  databases    {databases}")?;
    writeln!(
        out,
        "  sent as      {} {}, {}",
        record.method.name(),
        text::one_line(path),
        Bytes(record.body.len() as u64)
    )?;
    describe_credentials(out, &record.credentials)
}

fn describe_credentials(out: &mut dyn Write, credentials: &Credentials) -> io::Result<()> {
    let credentials = match credentials {
        Credentials::None => "none",
        Credentials::Parameters { .. } => "a user and a password, not shown",
        Credentials::Authorization(_) => "an Authorization header, not shown",
    };
    writeln!(out, "  credentials  {credentials}")
}

fn describe_write(out: &mut dyn Write, record: &WriteRecord) -> io::Result<()> {
    let destination = &record.destination;
    let policy = match destination.retention_policy.as_str() {
        "" => "the default retention policy".to_owned(),
        name => format!("retention policy {}", text::one_line(shown::name(name))),
    };
    writeln!(
        out,
        "  into         database {}, {policy}",
        text::one_line(shown::name(&destination.database))
    )?;
    writeln!(
        out,
        "  holds        {} lines, {}, precision {}",
        Count(u64::from(record.lines)),
        Bytes(record.body.len() as u64),
        destination.precision.v1_name()
    )?;
    describe_credentials(out, &destination.credentials)
}

/// Its body; of a statement what it does.
pub(super) fn body(out: &mut dyn Write, record: &Change) -> io::Result<()> {
    let record = match record {
        Change::Write(write) => write,
        Change::Statement(statement) => {
            return writeln!(
                out,
                "{}",
                text::lines(statement.shown.as_bytes()).trim_end()
            );
        }
    };
    match record.destination.form {
        Form::LineProtocol => writeln!(out, "{}", text::lines(&record.body).trim_end()),
        Form::Prometheus => writeln!(
            out,
            "(a Prometheus remote write, compressed with snappy; --body writes it as it is)"
        ),
    }
}
