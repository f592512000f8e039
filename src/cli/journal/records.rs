//! `haflux journal inspect --records` and `--show`.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use super::inspect::failed;
use super::range::Range;
use crate::cli::output::{self, tell};
use crate::cli::{record, text};
use crate::journal::inspection::{Item, records};
use crate::journal::{Record, Sequence};
use crate::relay::record::change::Change;
use crate::relay::record::statement::STATEMENT;
use crate::relay::record::write::WRITE;
use crate::shown;

/// One row a record, as they come: a journal does not fit into a table's memory.
pub(super) fn list(folder: &Path, range: Range) -> Result<(), ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut told = writeln!(
        out,
        "{:<20}  {:<20}  {:<10}  {:>8}  {:>10}  DATABASE",
        "SEQUENCE", "TIME", "KIND", "LINES", "BYTES"
    );
    let mut visit = |item: Item| {
        told = match item {
            Item::Record(record) => row(&mut out, &record),
            Item::Unreadable(gap) => writeln!(
                out,
                "what lies between {} and {} cannot be read",
                gap.after, gap.before
            ),
        };
        // A reader that has gone away has seen enough.
        if told.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let (from, to) = (Sequence::new(range.from), Sequence::new(range.to));
    records(folder, from, to, &mut visit).map_err(|error| failed(&error))?;
    output::write(|_| told.and_then(|()| out.flush()))
}

fn row(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    let kind = match record.kind {
        WRITE => "write".to_owned(),
        STATEMENT => "statement".to_owned(),
        other => format!("kind {}", other.0),
    };
    let length = record.payload.len();
    let (lines, bytes, database) = match Change::decode(record.kind, record.payload.clone()) {
        Ok(Change::Write(write)) => (
            write.lines.to_string(),
            write.body.len(),
            text::one_line(shown::name(&write.destination.database)),
        ),
        Ok(Change::Statement(statement)) => (
            "-".to_owned(),
            statement.body.len(),
            format!("({})", text::one_line(&statement.shown)),
        ),
        Err(error) => ("-".to_owned(), length, format!("({error})")),
    };
    writeln!(
        out,
        "{:<20}  {:<20}  {kind:<10}  {lines:>8}  {bytes:>10}  {database}",
        record.sequence.get(),
        text::time(record.unix_nanos)
    )
}

/// One record.
pub(super) fn show(folder: &Path, sequence: u64, only_body: bool) -> Result<(), ExitCode> {
    let (mut found, wanted) = (None, Sequence::new(sequence));
    let mut visit = |item: Item| match item {
        Item::Record(record) => {
            found = Some(record);
            ControlFlow::Break(())
        }
        Item::Unreadable(_) => ControlFlow::Continue(()),
    };
    records(folder, wanted, wanted, &mut visit).map_err(|error| failed(&error))?;
    let Some(found) = found else {
        tell!("the journal holds no readable record {sequence}");
        return Err(ExitCode::FAILURE);
    };
    let change = Change::decode(found.kind, found.payload.clone()).map_err(|error| {
        tell!("record {sequence}: {error}");
        ExitCode::FAILURE
    })?;
    output::write(|out| {
        if only_body {
            out.write_all(change.body())
        } else {
            print(out, &found, &change)
        }
    })
}

fn print(out: &mut dyn Write, found: &Record, change: &Change) -> io::Result<()> {
    writeln!(out, "record {}", found.sequence)?;
    writeln!(out, "  appended     {}", text::time(found.unix_nanos))?;
    record::describe(out, change)?;
    writeln!(out)?;
    record::body(out, change)
}
