//! `haflux dead-letters show`.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{folder, letters};
use crate::cli::output::{self, tell};
use crate::cli::place::Chosen;
use crate::cli::{record, text};
use crate::relay::dead_letters::{Letter, LetterId, NO_VERDICT};

pub(super) fn show(chosen: &Chosen, id: &LetterId, only_body: bool) -> Result<(), ExitCode> {
    let found = letters(chosen, Some(&id.replica))?;
    let failed = |why: &dyn std::fmt::Display| {
        tell!("{id}: {why}");
        Err(ExitCode::FAILURE)
    };
    let Some(letter) = found.iter().find(|letter| letter.id == *id) else {
        return failed(&"there is no such letter");
    };
    if letter.damaged {
        return failed(&"it is damaged and was set aside: it can only be dropped");
    }
    let letter = match folder(chosen).read(id) {
        Ok(letter) => letter,
        Err(error) => return failed(&error),
    };
    output::write(|out| {
        if only_body {
            out.write_all(letter.record.body())
        } else {
            print(out, id, &letter)
        }
    })
}

fn print(out: &mut dyn Write, id: &LetterId, letter: &Letter) -> io::Result<()> {
    let header = &letter.header;
    writeln!(out, "dead letter {id}")?;
    writeln!(
        out,
        "  record       {} of relay {}",
        header.sequence,
        text::one_line(&header.relay)
    )?;
    let (replica, time) = (
        text::one_line(&header.replica),
        text::one_line(&header.time),
    );
    match header.status {
        NO_VERDICT => writeln!(
            out,
            "  set aside    for {replica}, at {time}, without a verdict"
        )?,
        status => writeln!(
            out,
            "  refused by   {replica}, for good at {time}, with status {status}"
        )?,
    }
    writeln!(out, "  reason       {}", text::one_line(&header.reason))?;
    record::describe(out, &letter.record)?;
    writeln!(out)?;
    record::body(out, &letter.record)
}
